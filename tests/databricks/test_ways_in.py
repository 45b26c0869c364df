"""The ways in, end to end: a job of two notebooks in the stand-in, its lineage in a catalog, its output untouched.

Every way with every trouble, and on another Python and Spark than the tests' own (see `standin.cluster.PYTHON`):

    STANDIN_TROUBLES=all python -m pytest tests/databricks/test_ways_in.py
    JAVA_HOME=… STANDIN_PYTHON=…/bin/python python -m pytest tests/databricks -m "spark and not network"
"""
from __future__ import annotations

import http.server
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
import urllib.request
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

import pytest

from adb_lineage.catalog.server import CatalogServer
from tests.databricks.runtimes import interpreter
from tests.databricks.standin.cluster import TOKEN, WORKSPACE, Cluster, Repl, pip_install, site_packages

pytestmark = [pytest.mark.spark, pytest.mark.slow]
INIT_SCRIPTS = pathlib.Path(__file__).parents[2] / "init_scripts"

EXTRACT = """# Databricks notebook source
spark.createDataFrame([(1, "a", 2.0), (2, "b", 3.0)], "id long, name string, amount double") \\
    .write.mode("overwrite").parquet("{data}/raw")
print("raw is written")

# COMMAND ----------

# MAGIC %sql
# MAGIC create or replace temporary view raw as select * from parquet.`{data}/raw`

# COMMAND ----------

spark.sql("select id, upper(name) as name, amount from raw").write.mode("overwrite").parquet("{data}/clean")
import sys
print(spark.read.parquet("{data}/clean").count(), file=sys.stderr)

# COMMAND ----------

1 / 0
"""
REPORT = """# Databricks notebook source
from pyspark.sql import functions as F
clean = spark.read.parquet("{data}/clean")
clean.groupBy("name").agg(F.sum("amount").alias("total")).write.mode("overwrite").parquet("{data}/report")

# COMMAND ----------

spark.read.parquet("{data}/report").orderBy("name").show()
"""
EDGES = {("extract", "raw", "clean"), ("report", "clean", "report")}


@pytest.fixture()
def catalog(tmp_path: pathlib.Path) -> Iterator[CatalogServer]:
    server = CatalogServer(tmp_path / "catalog.sqlite").start()
    yield server
    server.close()


@pytest.fixture()
def notebooks(tmp_path: pathlib.Path) -> Dict[str, pathlib.Path]:
    """The job: its source knows nothing of lineage."""
    (tmp_path / "notebooks").mkdir()
    found = {}
    for name, source in (("extract", EXTRACT), ("report", REPORT)):
        found[name] = tmp_path / "notebooks" / f"{name}.py"
        found[name].write_text(source.replace("{data}", f"{tmp_path}/data"))
    return found


def get(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/datamap/api/atlas/v2{path}", timeout=10) as reply:
        return json.load(reply)


def edges(catalog: CatalogServer) -> Set[Tuple[str, str, str]]:
    """(task or notebook, input's last part, output's last part) of each process in the catalog."""
    found = set()
    request = urllib.request.Request(
        f"{catalog.url}/datamap/api/search/query?api-version=2023-09-01", method="POST",
        data=json.dumps({"keywords": "*", "limit": 1000}).encode(), headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        runnables = [one for one in json.load(reply)["value"] if one["entityType"] in (
            "databricks_notebook_task", "databricks_notebook")]
    for one in runnables:
        whole = get(catalog.url, f"/entity/guid/{one['id']}")
        for process in whole["entity"].get("relationshipAttributes", {}).get("processes") or []:
            entity = get(catalog.url, f"/entity/guid/{process['guid']}")["entity"]
            ends = [[get(catalog.url, f"/entity/guid/{end['guid']}")["entity"]["attributes"]["qualifiedName"]
                     for end in entity["attributes"].get(side) or []] for side in ("inputs", "outputs")]
            found |= {(one["qualifiedName"].rpartition("/")[2], source.rpartition("/")[2], sink.rpartition("/")[2])
                      for source in ends[0] for sink in ends[1]}
    return found


def wait_for(what: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > until:
            return found
        time.sleep(0.3)


def settings(endpoint: str, data: pathlib.Path, **more: str) -> Dict[str, str]:
    return {"ADB_LINEAGE_ENDPOINT": endpoint, "ADB_LINEAGE_AUTH": "none", "ADB_LINEAGE_DATA_DIR": str(data),
            "ADB_LINEAGE_EXIT_SECONDS": "30", "ADB_LINEAGE_CAPTURE_SECONDS": "60", **more}


def outputs(cluster: Cluster, notebooks: Dict[str, pathlib.Path], env: Dict[str, str]) -> List[Tuple[bytes, bytes]]:
    """Run the job with `env` in its REPLs; what each notebook wrote to stdout and stderr."""
    cluster.env = env
    before = set(cluster.finished)
    cluster.run_job(notebooks)
    return [(repl.output.read_bytes(), repl.errors.read_bytes()) for repl in cluster.finished if repl not in before]


def by_library(cluster: Cluster, wheel: pathlib.Path) -> None:
    cluster.install_library(wheel)


def by_init_script(cluster: Cluster, wheel: pathlib.Path) -> None:
    python = cluster.root / "databricks/python3"
    subprocess.run([str(python / "bin/python"), "-m", "ensurepip"], check=True, capture_output=True)
    done = subprocess.run(["bash", str(INIT_SCRIPTS / "adb_lineage_cluster.sh")], capture_output=True, text=True, env={
        "PATH": "/usr/bin:/bin", "INIT_ADB_LINEAGE_ROOT": str(cluster.root), "DB_IS_DRIVER": "TRUE",
        "INIT_ADB_LINEAGE_WHEEL": str(wheel), "PIP_CONFIG_FILE": "/dev/null", "HOME": str(cluster.root / "root"),
        "INIT_ADB_LINEAGE_SECONDS": "600"})
    assert (done.returncode, done.stdout) == (0, ""), (
        cluster.root / "var/log/adb_lineage/init.log").read_text()


def by_notebook(cluster: Cluster, wheel: pathlib.Path) -> None:
    cluster.prepare_notebook = lambda python: pip_install(python, wheel)


WAYS = [by_library, by_init_script, by_notebook]


def tear(python: str) -> None:
    """What an installation leaves that was cut off: modules are missing, one is garbage."""
    package = site_packages(pathlib.Path(python).parents[1]) / "adb_lineage"
    if package.exists():
        (package / "lineage.py").write_text("def (")
        shutil.rmtree(package / "capture")


def damage(cluster: Cluster) -> None:
    tear(cluster.library_python)
    tear(cluster.runtime_python)
    prepare = cluster.prepare_notebook
    cluster.prepare_notebook = lambda python: (prepare(python), tear(python))[0]


class Refusing(http.server.BaseHTTPRequestHandler):
    """A catalog that knows nobody."""

    asked = 0

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        Refusing.asked += 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_GET


@pytest.fixture()
def refusing() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ALL_TROUBLES = os.environ.get("STANDIN_TROUBLES") == "all"


def troubles(refusing: str) -> Dict[str, Dict[str, str]]:
    """Settings with which nothing can be delivered, by what is wrong with them."""
    return {
        "not configured": {},
        "Purview unreachable": {"ADB_LINEAGE_ENDPOINT": "http://127.0.0.1:9", "ADB_LINEAGE_AUTH": "none"},
        "Purview refuses the credentials": {
            "ADB_LINEAGE_ENDPOINT": refusing, "ADB_LINEAGE_FLAVOUR": "atlas", "ADB_LINEAGE_AUTH": "basic",
            "ADB_LINEAGE_USERNAME": "u", "ADB_LINEAGE_PASSWORD": "wrong"},
        "no token to be had": {"ADB_LINEAGE_ACCOUNT": "contoso", "ADB_LINEAGE_AUTH": "client_secret",
                               "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "wrong",
                               "HTTPS_PROXY": "http://127.0.0.1:9"},
        "the Jobs API unreachable": {"ADB_LINEAGE_ENDPOINT": "http://127.0.0.1:9", "ADB_LINEAGE_AUTH": "none",
                                     "ADB_LINEAGE_JOBS_API": "true", "HTTPS_PROXY": "http://127.0.0.1:9"},
        "a setting that is unknown": {"ADB_LINEAGE_ENDPOINT": refusing, "ADB_LINEAGE_ACOUNT": "typo"},
    }


def check_troubles(cluster: Cluster, way: Any, notebooks: Dict[str, pathlib.Path], plain: List[Tuple[bytes, bytes]],
                   folder: pathlib.Path, refusing: str) -> None:
    """Whatever is wrong, the job writes the same bytes to stdout and stderr as without us.

    Which way we came in matters to a broken wheel only, so one way meets all other troubles, unless told otherwise.
    """
    for number, (trouble, env) in enumerate(troubles(refusing).items() if way is by_library or ALL_TROUBLES else ()):
        common = {"ADB_LINEAGE_DATA_DIR": str(folder / str(number)), "ADB_LINEAGE_EXIT_SECONDS": "1"}
        assert outputs(cluster, notebooks, {**common, **env}) == plain, trouble
        assert trouble != "Purview refuses the credentials" or Refusing.asked
    damage(cluster)
    assert outputs(cluster, notebooks, settings(refusing, folder / "torn")) == plain, "the wheel broken"


@pytest.mark.parametrize("way", WAYS)
def test_a_job_of_two_notebooks(way: Any, cluster: Callable[..., Cluster], wheel: pathlib.Path, catalog: CatalogServer,
                                refusing: str, notebooks: Dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    one = cluster()
    with one:
        plain = outputs(one, notebooks, {})
        assert b"ZeroDivisionError" in plain[0][0] and b"|   A|" in plain[1][0] and plain[0][1] == b"2\n"
        way(one, wheel)
        data = tmp_path / "data" / "lineage"
        assert outputs(one, notebooks, settings(catalog.url, data)) == plain
        assert wait_for(lambda: edges(catalog) >= EDGES, 10), edges(catalog)
        job = get(catalog.url, f"/entity/uniqueAttribute/type/databricks_job?attr:qualifiedName="
                               f"databricks://{WORKSPACE}/jobs/11")["entity"]
        assert job["attributes"]["name"] == "nightly"
        for path in data.iterdir():
            assert TOKEN.encode() not in path.read_bytes(), path
        check_troubles(one, way, notebooks, plain, tmp_path / "data", refusing)
        log = (one.root / "driver.log").read_text()  # of a relay whose readers were killed, one after the other
        assert "adb" not in log.replace("adb-", "") and "py4j" not in log.lower(), log


@pytest.fixture(scope="session")
def python_3_8(tmp_path_factory: pytest.TempPathFactory, wheel: pathlib.Path) -> str:
    """A CPython 3.8 with our dependencies for it, and the pyspark of the tests where that still runs on 3.8."""
    base = interpreter("3.8")
    pyspark = importlib.import_module("pyspark")
    if base is None:
        pytest.skip("no CPython 3.8 here")
    if not pyspark.__version__.startswith("3."):
        pytest.skip(f"pyspark {pyspark.__version__} does not run on Python 3.8")
    folder = tmp_path_factory.mktemp("python38") / "env"
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)], check=True)
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "adb_lineage"], check=True)
    for name in ("pyspark", "py4j"):
        (site_packages(folder) / name).symlink_to(pathlib.Path(importlib.import_module(name).__file__ or "").parent)
    return python


@pytest.mark.network
@pytest.mark.parametrize("way", WAYS)
def test_python_3_8_and_the_shell_before_11(way: Any, cluster: Callable[..., Cluster], wheel: pathlib.Path,
                                            catalog: CatalogServer, refusing: str, tmp_path: pathlib.Path,
                                            notebooks: Dict[str, pathlib.Path], python_3_8: str) -> None:
    """Runtime 10.4: no IPython, no after-init hook, no dbruntime."""
    one = cluster(python=python_3_8, shell="plain", after_init_hook=False, dbruntime=False, runtime="10.4")
    way(one, wheel)
    with one:
        plain = outputs(one, notebooks, {})
        assert b"|   A|" in plain[1][0]
        assert outputs(one, notebooks, settings(catalog.url, tmp_path / "lineage")) == plain
        # without cell events a job's REPL is not waited for: the next Python on the driver delivers
        one.attach("/Shared/later").cell("print(1)")
        assert wait_for(lambda: edges(catalog) >= EDGES, 60), edges(catalog)
        check_troubles(one, way, notebooks, plain, tmp_path / "data", refusing)


def test_without_a_notebook_s_own_python(cluster: Callable[..., Cluster], wheel: pathlib.Path, catalog: CatalogServer,
                                         tmp_path: pathlib.Path) -> None:
    """One Python process on the driver covers the sessions that have none: SQL, Scala, JDBC."""
    one = cluster(env=settings(catalog.url, tmp_path / "lineage"))
    one.install_library(wheel)
    with one:
        repl = one.attach("/Shared/open")
        repl.cell("print(1)")
        one.ask(do="sql", text=f"insert overwrite directory '{tmp_path}/raw' using parquet select 1 as id")
        one.ask(do="sql", text=f"insert overwrite directory '{tmp_path}/out' using parquet "
                               f"select id + 1 as id from parquet.`{tmp_path}/raw`")
        record = wait_for(lambda: rows(repl, "insert overwrite"))
        assert record and not record[0]["notebook"], "not the open notebook's: it did not run it"


def rows(repl: Repl, statement: str) -> List[Dict[str, Any]]:
    """The record's rows with that statement, newest first."""
    from adb_lineage.record import Record

    record = Record(f"{repl.cluster.env['ADB_LINEAGE_DATA_DIR']}/record.sqlite")
    try:
        return [row for row in record.rows(100) if statement in row.get("statement", "")]
    finally:
        record.close()


def test_a_command_without_a_spark_job_is_told_by_its_cell(cluster: Callable[..., Cluster], wheel: pathlib.Path,
                                                           catalog: CatalogServer, tmp_path: pathlib.Path) -> None:
    """Such a command has no local properties; two notebooks are open, and either may read the relay."""
    one = cluster(env=settings(catalog.url, tmp_path / "lineage"))
    one.install_library(wheel)
    with one:
        repls = {path: one.attach(path) for path in ("/Shared/first", "/Shared/second")}
        for path, repl in repls.items():
            name = path.rpartition("/")[2]
            repl.cell(f"spark.range(3).write.mode('overwrite').parquet('{tmp_path}/{name}')")
            repl.cell(f"create table {name}_table using parquet location '{tmp_path}/{name}'", "sql")
            repl.cell(f"_ = spark.sql('create view {name}_view as select id from {name}_table')")
        for path, repl in repls.items():
            name = path.rpartition("/")[2]
            found = wait_for(lambda name=name, repl=repl: rows(repl, f"create view {name}_view"))  # type: ignore[misc]
            assert found and found[0]["notebook"] == path and found[0]["user"] == "a@b.example"


def test_pip_install_in_a_notebook(cluster: Callable[..., Cluster], wheel: pathlib.Path, catalog: CatalogServer,
                                   tmp_path: pathlib.Path) -> None:
    """The notebook's own copy wins over the cluster's, in this notebook alone."""
    one = cluster(env=settings(catalog.url, tmp_path / "lineage"))
    one.install_library(wheel)
    with one:
        repl = one.attach("/Shared/trial")
        pip_install(str(repl.environment / "bin" / "python"), wheel)
        repl.cell("dbutils.library.restartPython()")
        repl.cell("import adb_lineage, json; from adb_lineage.databricks import autostart;"
                  "print(adb_lineage.__file__); print(json.dumps(autostart.report()))")
        path, report = repl.output.read_text().splitlines()
        assert path.startswith(str(repl.environment))
        assert [copy["running"] for copy in json.loads(report)["copies"]] == [True, False]

