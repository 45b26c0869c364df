"""The whole demo: catalog, lakehouse under lineage in a process of its own, and the lineage read back.

Progress goes to stderr; the result is the caller's to print.
"""
from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

import adb_lineage
from adb_lineage.demo.java import java_home
from adb_lineage.demo.readback import Catalog, ProcessLineage
from adb_lineage.demo.runner import NOT_DELIVERED
from adb_lineage.demo.workspace import Workspace
from adb_lineage.errors import FixNeeded, GiveUp

WORKSPACE = "contoso.lakehouse.local"
"""Stands for the host of an Azure Databricks workspace in qualified names."""
NOTEBOOK = "lakehouse.py"
LIMIT_SECONDS = 900.0
_NEEDED = {"pyspark": "pyspark", "starlette": "starlette", "uvicorn": "uvicorn"}
_FOREIGN = ("SPARK_", "PYSPARK_", "HADOOP_", "ADB_LINEAGE_", "OPENLINEAGE_", "AZURE_")
"""Variables that could lead the demo's Spark or its lineage somewhere else."""
_LOG_TAIL = 15

Progress = Callable[[str], None]


class Result(NamedTuple):
    """What came of a run."""

    processes: List[ProcessLineage]
    seconds: float
    requests: int
    """API requests that the catalog answered for the lineage, reading back included."""


def check_extras() -> None:
    """Raise `FixNeeded`, with the pip command, if something is not installed that the demo needs."""
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise FixNeeded(
            f"the demo needs {', '.join(missing)}, not installed: python -m pip install 'adb_lineage[demo]'")


def run(workspace: Workspace, url: str, progress: Progress) -> Result:
    """Run the lakehouse against the catalog at `url` and read its lineage back.

    Raises `FixNeeded` when Spark can't start here, `GiveUp` when the program fails or no lineage arrives; both say
    where the log is.
    """
    started = time.monotonic()
    progress("Lay out the lake and let the raw files land.")
    workspace.prepare()
    environment = _environment(workspace, url)
    progress(f"Start Spark (its output is in {workspace.log}).")
    status = _spark(workspace, environment, progress)
    if status == NOT_DELIVERED:
        raise GiveUp(f"the lineage did not reach the catalog in time; see the end of {workspace.log}")
    if status != 0:
        raise GiveUp(f"the Spark program ended with status {status}; the end of {workspace.log}:\n{_tail(workspace)}")
    progress("Read the lineage back from the catalog.")
    processes = Catalog(url).processes()
    if not processes:
        raise GiveUp(f"the program ran, but the catalog holds no lineage of it; see {workspace.log}")
    return Result(processes, time.monotonic() - started, _requests(url))


def _environment(workspace: Workspace, url: str) -> Dict[str, str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    java = java_home(workspace.spark, environment)
    if java is not None:
        environment["JAVA_HOME"] = java
    package = str(Path(adb_lineage.__file__).resolve().parent.parent)
    environment.update({
        "PYTHONPATH": os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH")))),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONIOENCODING": "utf-8",
        "SPARK_CONF_DIR": str(workspace.spark / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "ADB_LINEAGE_ENDPOINT": url,
        "ADB_LINEAGE_AUTH": "none",
        "ADB_LINEAGE_DATA_DIR": str(workspace.data),
        "ADB_LINEAGE_WORKSPACE": WORKSPACE,
        "ADB_LINEAGE_NOTEBOOK": NOTEBOOK,
    })
    return environment


def _spark(workspace: Workspace, environment: Dict[str, str], progress: Progress) -> int:
    """Run the Spark process; its stdout is progress, its stderr goes to the log. Never outlives this call."""
    with workspace.log.open("w", encoding="utf-8") as log, subprocess.Popen(
        [sys.executable, "-m", "adb_lineage.demo.runner"], env=environment, cwd=workspace.spark,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, encoding="utf-8", errors="replace",
    ) as process:
        deadline = threading.Timer(LIMIT_SECONDS, process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            for line in process.stdout or ():
                progress(line.rstrip())
            return process.wait()
        finally:
            deadline.cancel()
            if process.poll() is None:
                process.kill()


def _tail(workspace: Workspace) -> str:
    lines = workspace.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_LOG_TAIL:])


def _requests(url: str) -> int:
    import requests

    answer = requests.get(f"{url}/debug/requests?last=0", timeout=30)
    answer.raise_for_status()
    return int(answer.json()["total"])
