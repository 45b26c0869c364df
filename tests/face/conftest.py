"""Programs that know nothing of lineage, run as processes of their own."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import textwrap
from typing import Any, Dict, List

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = """
    import os, sys
    from pyspark.sql import SparkSession
    folder = sys.argv[1]
    def session():
        spark = (SparkSession.builder.master("local[2]").appName("Nightly Job").config("spark.ui.enabled", "false")
                 .config("spark.sql.shuffle.partitions", "2").config("spark.driver.host", "127.0.0.1")
                 .config("spark.sql.warehouse.dir", folder + "/warehouse").getOrCreate())
        return spark
"""


class Programs:
    """Runs a program around the Spark code it is given, and reads what it left behind."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.events_file = folder / "events.ndjson"

    def run(self, body: str, *, before: str = "", after: str = "", timeout: float = 240,
            **environ: str) -> subprocess.CompletedProcess[str]:
        """Run HEADER, `before` (the lineage calls), `body` (the user's code), `after`."""
        return subprocess.run(self.command(before, body, after), env=self.environ(environ), capture_output=True,
                              text=True, timeout=timeout, check=False, cwd=self.folder)

    def start(self, body: str, *, before: str = "", **environ: str) -> subprocess.Popen[str]:
        """The same, not waited for."""
        return subprocess.Popen(self.command(before, body, ""), env=self.environ(environ), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, cwd=self.folder)

    def command(self, *parts: str) -> List[str]:
        program = self.folder / "program.py"
        program.write_text("\n".join(textwrap.dedent(part) for part in (HEADER, *parts)), encoding="utf-8")
        return [sys.executable, str(program), str(self.folder)]

    def environ(self, more: Dict[str, str]) -> Dict[str, str]:
        plain = {key: value for key, value in os.environ.items()
                 if not key.startswith(("ADB_LINEAGE_", "OPENLINEAGE", "PYSPARK_GATEWAY"))}
        plain["PYTHONPATH"] = os.pathsep.join([str(ROOT), plain.get("PYTHONPATH", "")])
        return {**plain, "HOME": str(self.folder), "ADB_LINEAGE_DATA_DIR": str(self.folder / "data"),
                "PYSPARK_PYTHON": sys.executable, **more}

    def file_transport(self) -> Dict[str, str]:
        """The environment that makes the OpenLineage client write to a file."""
        return {"OPENLINEAGE__TRANSPORT__TYPE": "file",
                "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(self.events_file),
                "OPENLINEAGE__TRANSPORT__APPEND": "true"}

    def events(self) -> List[Dict[str, Any]]:
        """The events in that file."""
        return [json.loads(line) for line in self.events_file.read_text().splitlines()]


@pytest.fixture
def programs(tmp_path: pathlib.Path) -> Programs:
    return Programs(tmp_path)
