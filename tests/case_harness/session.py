"""A local Spark with real `abfss://` and `wasbs://` paths, tapped by the real capture."""
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping

from tests.case_harness.doubles import mount_table
from tests.case_harness.java import JVM_OPTIONS, find_java

LAKE = "abfss://lake@acct.dfs.core.windows.net"
BLOB = "wasbs://out@acct.blob.core.windows.net"


def start_session(folder: Path, more: Mapping[str, str]) -> Any:
    """A SparkSession that keeps all it writes below `folder`; `more` is configuration on top."""
    find_java()
    mounted, needed = mount_table()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    builder = (SparkSession.builder.master("local[2]").appName("adb_lineage tests")
               .config("spark.ui.enabled", "false")
               .config("spark.sql.shuffle.partitions", "2")
               .config("spark.driver.host", "127.0.0.1")
               .config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.driver.extraJavaOptions", " ".join(
                   (*JVM_OPTIONS, f"-Dderby.stream.error.file={folder / 'derby.log'}")))
               .config("spark.sql.warehouse.dir", str(folder / "warehouse")))
    for url in (LAKE, BLOB):  # Hadoop's mount table over the local disk
        scheme, authority = url.split("://")
        (folder / scheme).mkdir()
        builder = (builder
                   .config(f"spark.hadoop.fs.{scheme}.impl", mounted)
                   .config(f"spark.hadoop.fs.viewfs.mounttable.{authority}.linkFallback", f"file://{folder / scheme}"))
    for key, value in {**needed, **more}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark


class Observed:
    """A Spark session whose lineage events can be read after each statement."""

    def __init__(self, spark: Any, folder: Path) -> None:
        from adb_lineage.capture.capture import Capture, CaptureOptions
        from adb_lineage.capture.context import SPARK_PROPERTIES, script_environment
        from adb_lineage.capture.describing import Limits
        from adb_lineage.capture.events import Application
        from adb_lineage.capture.tap import open_tap
        from adb_lineage.databricks.identity import LOCAL_PROPERTIES
        from adb_lineage.record import Record

        context = spark.sparkContext
        self.spark = spark
        self.folder = folder
        self.record = Record(str(folder / "record.sqlite"))
        self._events: List[Dict[str, Any]] = []
        application = Application(
            context.applicationId, context.appName, context.startTime, context.version, "tests")
        allowed = LOCAL_PROPERTIES + SPARK_PROPERTIES
        tap = open_tap(context, lambda _: spark, capacity=1000, allowed=allowed, session_only=False)
        self.capture = Capture(
            tap, application, script_environment("tests"), self, self.record, CaptureOptions(Limits(seconds=120.0)))
        self.capture.start()

    def emit(self, event: Any) -> None:
        """What the capture calls in place of the OpenLineage client."""
        from adb_lineage.openlineage_client import Serde

        self._events.append(Serde.to_dict(event))

    def events(self) -> List[Dict[str, Any]]:
        """All events since the last call, as JSON objects, in the order they were emitted."""
        assert self.capture.flush(60), self.capture.last_error
        taken, self._events[:] = list(self._events), []
        return taken

    def ended(self) -> List[Dict[str, Any]]:
        """The events since the last call that end a run."""
        return [event for event in self.events() if event["eventType"] != "START"]
