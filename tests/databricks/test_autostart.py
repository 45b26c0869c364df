"""The `.pth` of the wheel, in real interpreters: who is armed, who is left alone, and what it loads meanwhile."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any, Callable, Dict, List

import pytest

from adb_lineage.databricks import autostart
from tests.databricks.standin.cluster import Cluster, make_environment, pip_install

CONFIGURED = {"ADB_LINEAGE_ACCOUNT": "contoso"}
GATEWAY = {"PYSPARK_GATEWAY_PORT": "1", "PYSPARK_GATEWAY_SECRET": "s"}
DRIVER = {**CONFIGURED, **GATEWAY}

REFUSED = [
    ("not configured", GATEWAY, ["python", "x.py"]),
    ("not configured", {**GATEWAY, "ADB_LINEAGE_ACCOUNT": ""}, ["python", "x.py"]),
    ("switched off", {**DRIVER, "ADB_LINEAGE_ENABLED": "False"}, ["python", "x.py"]),
    ("worker of Spark", {**DRIVER, "PYTHON_WORKER_FACTORY_SECRET": "s"}, ["python", "-m", "pyspark.daemon"]),
    ("process of pyspark", DRIVER, ["python", "-m", "pyspark.worker"]),
    ("process of pyspark", DRIVER, ["python", "-W", "ignore", "-m", "pyspark.sql.connect.streaming.worker"]),
    ("a child", {**DRIVER, autostart.OWNER: "17"}, ["python", "x.py"]),
    ("a tool: pip", DRIVER, ["python", "-m", "pip", "install", "x"]),
    ("a tool: pip", DRIVER, ["python", "/databricks/python3/bin/pip", "install", "x"]),
    ("a tool: pip", DRIVER, ["python", "-mpip", "install", "x"]),
    ("a tool: pip", DRIVER, ["python", "-Im", "pip", "install", "x"]),
    ("a tool: pip", DRIVER, ["python", "-uWignore", "-Xdev", "-X", "utf8", "-sm", "pip", "install", "x"]),
    ("a tool: pylint", DRIVER, ["/usr/bin/python", "-X", "utf8", "/x/bin/pylint", "m"]),
    ("a tool: ipykernel", DRIVER, ["python", "-m", "ipykernel", "install"]),
    ("not a driver", CONFIGURED, ["python", "x.py"]),
]


@pytest.mark.parametrize(("why", "environ", "command"), REFUSED)
def test_left_alone(why: str, environ: Dict[str, str], command: List[str]) -> None:
    assert why in (autostart.refusal(environ, command, 42) or "")


@pytest.mark.parametrize(("environ", "command"), [
    (DRIVER, ["python", "/databricks/python_shell/scripts/db_ipykernel_launcher.py", "-f", "x"]),
    (DRIVER, ["python", "script.py"]),  # spark-submit
    ({**DRIVER, autostart.OWNER: "42"}, ["python", "x.py"]),  # exec of itself
    (CONFIGURED, ["python", "/databricks/python_shell/scripts/PythonShell.py", "34567"]),
    ({**GATEWAY, "ADB_LINEAGE_ENABLED": "true"}, ["python", "-c", "x"]),
    (DRIVER, ["python", "-Bc", "x", "-m", "pip"]),
    (DRIVER, ["python", "-Wm", "script.py"]),
    (DRIVER, ["python", "--", "script.py", "-m", "pip"]),
])
def test_armed(environ: Dict[str, str], command: List[str]) -> None:
    assert autostart.refusal(environ, command, 42) is None


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, wheel: pathlib.Path) -> str:
    """An environment with nothing but our wheel in it."""
    folder = tmp_path_factory.mktemp("environment") / "env"
    make_environment(sys.executable, folder)
    pip_install(str(folder / "bin" / "python"), wheel)
    return str(folder / "bin" / "python")


def run(python: str, source: str, environ: Dict[str, str], *options: str) -> subprocess.CompletedProcess:
    return subprocess.run([python, *options, "-c", source], env={"PATH": os.environ["PATH"], **environ},
                          cwd=os.path.dirname(python), capture_output=True, text=True, timeout=60)


LOADED = "import sys, json; print(json.dumps(sorted(sys.modules)))"


@pytest.mark.parametrize("environ", [{}, GATEWAY, CONFIGURED])
def test_where_it_is_none_of_our_business_nothing_is_imported(python: str, environ: Dict[str, str]) -> None:
    with_us = run(python, LOADED, environ)
    without = run(python, LOADED, environ, "-S")
    ours = set(json.loads(with_us.stdout)) - set(json.loads(without.stdout))
    assert not [name for name in ours if name.startswith("adb_lineage")]
    assert with_us.stderr == ""


def test_a_driver_loads_only_the_bootstrap(python: str) -> None:
    done = run(python, LOADED, DRIVER)
    ours = [name for name in json.loads(done.stdout) if name.startswith("adb_lineage")]
    assert ours == ["adb_lineage", "adb_lineage._version", "adb_lineage.databricks", "adb_lineage.databricks.autostart"]
    bare = set(json.loads(run(python, LOADED, {}).stdout))
    more = {name.split(".")[0] for name in set(json.loads(done.stdout)) - bare}  # `bare` has json: it prints
    assert not more & {"pyspark", "py4j", "openlineage", "requests", "azure", "attr", "yaml", "threading", "logging",
                       "typing", "socket", "ssl", "sqlite3", "subprocess", "asyncio", "importlib"}


def test_the_wheel_broken_in_any_way_stays_silent(python: str, tmp_path: pathlib.Path, wheel: pathlib.Path) -> None:
    folder = tmp_path / "env"
    make_environment(sys.executable, folder)
    broken = str(folder / "bin" / "python")
    pip_install(broken, wheel)
    package = next((folder / "lib").glob("python*/site-packages/adb_lineage"))
    for damage in ("raise RuntimeError('x')", "def (", "import no_such_module"):
        (package / "databricks" / "autostart.py").write_text(damage)
        done = run(broken, "print('fine')", DRIVER)
        assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)
    for path in sorted(package.rglob("*.py")):
        path.unlink()
    done = run(broken, "print('fine')", DRIVER)
    assert (done.stdout, done.stderr) == ("fine\n", "")


FAKE = """
class SparkContext:
    _active_spark_context = None
    {hook}
    def __init__(self):
        SparkContext._active_spark_context = self
"""
FORK_HOOK = """
    hooks = []
    @classmethod
    def _add_after_init_hook(cls, hook): cls.hooks.append(hook)
"""


@pytest.mark.parametrize("hook", ["", FORK_HOOK])
def test_importing_pyspark_goes_as_without_us(python: str, tmp_path: pathlib.Path, hook: str) -> None:
    package = tmp_path / "pyspark"
    package.mkdir()
    (package / "__init__.py").write_text(FAKE.format(hook=hook))
    (package / "data.txt").write_text("resource")
    source = ("import pyspark, inspect, pkgutil, sys\n"
              "print(type(pyspark.__loader__).__name__, 'SparkContext' in inspect.getsource(pyspark),"
              " pkgutil.get_data('pyspark', 'data.txt'), len(getattr(pyspark.SparkContext, 'hooks', [])),"
              " [type(f).__name__ for f in sys.meta_path if not isinstance(f, type)])")
    ours, plain = (run(python, source, {**environ, "PYTHONPATH": str(tmp_path)}) for environ in (DRIVER, {}))
    hooks = " 1 " if hook else " 0 "
    assert ours.stdout.replace(hooks, " 0 ") == plain.stdout and ours.stderr == ""
    assert hooks in ours.stdout


def test_a_pyspark_that_cannot_be_imported_fails_as_without_us(python: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "pyspark.py").write_text("import no_such_thing")
    ours, plain = (run(python, "import pyspark", {**environ, "PYTHONPATH": str(tmp_path)}) for environ in (DRIVER, {}))
    assert ours.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]
    absent = run(python, "import pyspark", DRIVER)
    assert absent.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'pyspark'"


def test_two_copies_are_told_apart(python: str, tmp_path: pathlib.Path, wheel: pathlib.Path) -> None:
    folder = tmp_path / "notebook"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder),
                    str(wheel)], check=True)
    (folder / "adb_lineage" / "_version.py").write_text('__version__ = "99.0"\n')
    source = ("import json; from adb_lineage.databricks import autostart; autostart.arm();"
              "print(json.dumps(autostart.report()))")
    report: Dict[str, Any] = json.loads(run(python, source, {**DRIVER, "PYTHONPATH": str(folder)}).stdout)
    assert [(one["version"], one["running"]) for one in report["copies"]][:1] == [("99.0", True)]
    assert [one["running"] for one in report["copies"]] == [True, False]
    assert report["path"] == str(folder / "adb_lineage") and report["stage"] == "armed"


STATE = "from adb_lineage.databricks import autostart as a; import json; print(json.dumps(a.report()))"


@pytest.mark.spark
@pytest.mark.parametrize("fork", [{}, {"after_init_hook": False, "dbruntime": False, "shell": "plain"}],
                         ids=["from 11.3", "before"])
def test_a_notebook_s_repl_starts_and_its_children_do_not(cluster: Callable[..., Cluster], wheel: pathlib.Path,
                                                          fork: Dict[str, Any]) -> None:
    one = cluster(env={"ADB_LINEAGE_ENABLED": "true"}, **fork)
    one.install_library(wheel)
    with one:
        repl = one.attach()
        repl.cell("import time; time.sleep(1)")
        repl.cell(STATE)
        assert json.loads(repl.output.read_text())["stage"] in ("starting", "started", "failed")
        repl.cell(f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {STATE!r}], "
                  "capture_output=True, text=True).stdout)")
        child = json.loads(repl.output.read_text().splitlines()[1])
        assert child["stage"] == "refused" and "a child" in child["refused"]
        repl.cell("def probe(_):\n    import sys, json\n"
                  "    yield json.dumps([m for m in sys.modules if m.startswith('adb_lineage')])\n"
                  "print(sc.parallelize([1], 1).mapPartitions(probe).collect())")
        assert repl.output.read_text().splitlines()[-1] == "['[]']", "an executor's Python"
        assert repl.errors.read_text() == ""


@pytest.mark.spark
def test_library_folder_whose_pth_files_are_not_read(cluster: Callable[..., Cluster], wheel: pathlib.Path) -> None:
    """Question 1 of the reference, the other answer: an import is enough then, and the init script needs none."""
    one = cluster(env={"ADB_LINEAGE_ENABLED": "true"}, library_pth=False)
    one.install_library(wheel)
    with one:
        repl = one.attach()
        repl.cell("import sys; print('adb_lineage' in sys.modules)")
        assert repl.output.read_text() == "False\n"
        repl.cell("from adb_lineage.databricks import autostart; print(autostart.arm())")
        assert repl.output.read_text() == "False\nNone\n"
