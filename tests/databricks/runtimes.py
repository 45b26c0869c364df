"""What a Databricks runtime ships, and what pip would do to it: reads `constraints/*.txt`, asks pip's own resolver.

The runtime is played by a virtual environment of the matching Python whose site-packages holds one `.dist-info` a
listed package: a name and a version, which is all that pip reads of an installed package that it has no reason to
change. The packages themselves are not there.
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Dict, List, NamedTuple, Optional, Tuple

CONSTRAINTS = pathlib.Path(__file__).parent / "constraints"


class Runtime(NamedTuple):
    """A runtime as its constraints file describes it; `packages` maps normalised names to versions."""

    name: str
    python: str
    packages: Dict[str, str]


def normalise(name: str) -> str:
    """PEP 503's form of a package name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def load(name: str) -> Runtime:
    """Read `constraints/<name>.txt`."""
    text = (CONSTRAINTS / f"{name}.txt").read_text(encoding="utf-8")
    python = re.search(r"^# python: (\S+)$", text, re.M)
    assert python, name
    rows = [line.split("==") for line in text.splitlines() if line and not line.startswith("#")]
    return Runtime(name, python.group(1), {normalise(package): version for package, version in rows})


def names() -> List[str]:
    """The runtimes there are lists of, oldest first."""
    return sorted((path.stem for path in CONSTRAINTS.glob("*.txt")), key=lambda stem: [int(p) for p in stem.split(".")])


def interpreter(python: str) -> Optional[str]:
    """A CPython `python` (such as "3.9") of this machine: the running one, on PATH, or pyenv's."""
    if python == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", str(pathlib.Path.home() / ".pyenv"))) / "versions"
    for candidate in sorted(pyenv.glob(f"{python}.*/bin/python"), reverse=True):
        return str(candidate)
    return shutil.which(f"python{python}")


def install(runtime: Runtime, folder: pathlib.Path) -> str:
    """Make the environment that plays `runtime` under `folder`; the answer is its Python."""
    base = interpreter(runtime.python)
    assert base, f"no CPython {runtime.python} on this machine"
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    site = next((folder / "lib").glob("python*/site-packages"))
    for name, version in runtime.packages.items():
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "INSTALLER").write_text("runtime\n")
        (info / "RECORD").write_text("")
    return python


def resolve(python: str, *requirements: str) -> Dict[str, str]:
    """What `pip install` would put into that environment, name to version; nothing is installed.

    The pip is that of the Python which the environment was made with, as the environment itself has none.
    """
    base = str(pathlib.Path(python).resolve())
    command = [base, "-m", "pip", "--python", python, "install", "--dry-run", "--quiet", "--report", "-", "--no-input",
               "--disable-pip-version-check", "--only-binary", ":all:", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    return {normalise(item["metadata"]["name"]): item["metadata"]["version"] for item in report["install"]}


def changes(runtime: Runtime, installs: Dict[str, str]) -> List[Tuple[str, str, str]]:
    """Those of `installs` that replace something of the runtime: (name, its version, the new one)."""
    return sorted((name, runtime.packages[name], version) for name, version in installs.items()
                  if name in runtime.packages)
