"""What lineage costs a Python that starts: the wheel's `.pth` in each kind of process, and the imports of a driver's.

    python -m benchmarks.startup [--rounds 50]

Builds the wheel, installs it into an environment of its own and starts that environment's Python again and again, the
kinds of process in turn. Prints JSON, in milliseconds: the smallest and the median time that reading the `.pth` takes
in each kind of process, beside what starting Python takes without it; then the time of our imports in a driver's
Python, where pyspark and IPython are loaded already: `until heard` before its first query is heard, `later` what
follows on our own thread.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List

ROOT = pathlib.Path(__file__).parents[1]
GATEWAY = {"PYSPARK_GATEWAY_PORT": "1", "PYSPARK_GATEWAY_SECRET": "s"}
CONFIGURED = {"ADB_LINEAGE_ACCOUNT": "contoso"}
PROCESSES: Dict[str, Dict[str, str]] = {
    "not configured": {},
    "not configured, a driver": GATEWAY,
    "configured, no driver (executor, tool, %sh without gateway)": CONFIGURED,
    "configured, a child of the driver's Python": {**CONFIGURED, **GATEWAY, "_ADB_LINEAGE_PID": "1"},
    "configured, a driver's Python": {**CONFIGURED, **GATEWAY},
}
READ_PTH = """
import time, sys, os, site
folder = sys.argv[1]
sys.path.append(folder)
started = time.perf_counter()
site.addpackage(folder, "adb_lineage.pth", None)
print(time.perf_counter() - started)
"""
IMPORTS = """
import time, json, sys
import IPython.core.interactiveshell, pyspark.sql
def timed(*names):
    started = time.perf_counter()
    for name in names:
        __import__(name)
    return 1000 * (time.perf_counter() - started)
found = {"until heard": timed("adb_lineage.lineage", "adb_lineage.capture.tap", "adb_lineage.databricks.repl",
                              "adb_lineage.databricks.identity")}
found["later"] = timed("adb_lineage.transport", "adb_lineage.composition", "adb_lineage.capture.capture",
                       "adb_lineage.databricks.driver")
print(json.dumps(found))
"""


def installed(folder: pathlib.Path) -> pathlib.Path:
    """The site-packages of a new environment that holds our wheel and nothing else; its Python is `bin/python`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, str(ROOT)], check=True)
        subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site),
                        *map(str, pathlib.Path(wheels).glob("*.whl"))], check=True)
    return site


def clean(more: Dict[str, str]) -> Dict[str, str]:
    """This process's environment without anything that speaks of lineage."""
    kept = {name: value for name, value in os.environ.items()
            if name not in PROCESSES["configured, a driver's Python"] and not name.startswith("ADB_LINEAGE_")}
    return {**kept, "PYTHONPATH": "", **more}


def milliseconds(values: List[float]) -> Dict[str, float]:
    return {"least": round(1000 * min(values), 3), "median": round(1000 * statistics.median(values), 3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        site = installed(pathlib.Path(folder) / "env")
        python = str(pathlib.Path(folder) / "env" / "bin" / "python")
        times: Dict[str, List[float]] = {name: [] for name in PROCESSES}
        bare: List[float] = []
        for _ in range(rounds):
            started = time.perf_counter()
            subprocess.run([python, "-I", "-S", "-c", ""], env=clean({}), check=True)
            bare.append(time.perf_counter() - started)
            for name, environment in PROCESSES.items():
                done = subprocess.run([python, "-S", "-c", READ_PTH, str(site)], env=clean(environment), check=True,
                                      capture_output=True, text=True)
                times[name].append(float(done.stdout))
        report: Dict[str, Any] = {"starting Python without site": milliseconds(bare)}
        report["reading the .pth"] = {name: milliseconds(values) for name, values in times.items()}
        found = [json.loads(subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True,
                                           env={**clean({}), "PYTHONPATH": str(site)}).stdout)
                 for _ in range(max(3, rounds // 10))]
        report["imports of a driver's Python"] = {
            part: milliseconds([one[part] / 1000 for one in found]) for part in ("until heard", "later")}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
