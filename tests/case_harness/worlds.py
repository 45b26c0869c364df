"""The kinds of Spark session that cases run in, each a process of its own: static configuration can't be changed."""
from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Dict, Mapping

from tests.case_harness import doubles
from tests.case_harness.case import Case
from tests.case_harness.session import LAKE


class Unavailable(Exception):
    """This world can't be had with the packages that are installed; the text says which is missing."""


def configuration(world: str, folder: Path) -> Dict[str, str]:
    """The Spark configuration that makes a world. Raises Unavailable."""
    if world == "hive":
        return {
            "spark.sql.catalogImplementation": "hive",
            "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:{folder / 'metastore'};create=true",
            "spark.hadoop.hive.exec.dynamic.partition.mode": "nonstrict",
        }
    if world == "iceberg":
        return {
            "spark.driver.extraClassPath": str(_iceberg_jar()),
            "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            "spark.sql.catalog.ice": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.ice.type": "hadoop",
            "spark.sql.catalog.ice.warehouse": f"file:{folder / 'ice'}",
        }
    if world == "doubles":
        return {
            "spark.driver.extraClassPath": str(doubles.compiled()),
            "spark.sql.catalog.uc": "com.databricks.sql.managedcatalog.UnityCatalogV2Proxy",
            "spark.sql.catalog.uc.root": f"{LAKE}/metastore",
            "spark.databricks.unityCatalog.enabled": "true",
        }
    return {}


def _iceberg_jar() -> Path:
    import pyspark

    line = ".".join(pyspark.__version__.split(".")[:2])
    spec = importlib.util.find_spec("snowpark_connect_deps_iceberg")
    jars = sorted(Path(str(spec.origin)).parent.glob(f"jars/iceberg-spark-runtime-{line}_*.jar")) if spec else []
    if not jars:
        raise Unavailable(
            f"snowpark-connect-deps-iceberg==1.0.2 has Iceberg's runtime for Spark 3.5; this is {line}" if line != "3.5"
            else "python -m pip install snowpark-connect-deps-iceberg==1.0.2 brings Iceberg's JAR")
    return jars[0]


class World:
    """A child process with a tapped Spark session; `run` has it execute one case."""

    def __init__(self, world: str, folder: Path) -> None:
        self._log: IO[bytes] = (folder / "worker.log").open("wb")
        self._log_path = folder / "worker.log"
        conf = configuration(world, folder)
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.case_harness.worker", str(folder), json.dumps(conf)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=str(Path(__file__).parents[2]))
        self.places: Mapping[str, str] = self._answer()["places"]

    def run(self, case: Case) -> Dict[str, Any]:
        """`{"events", "rows", "error", "failure"}`: what was emitted and recorded for the case's statement."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"path": str(case.path), "id": case.id}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Let Spark stop."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    def _answer(self) -> Dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(60)
            tail = self._log_path.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"the process of the cases ended with {self._process.returncode}:\n{tail}")
        answer: Dict[str, Any] = json.loads(line)
        return answer


class Worlds:
    """Starts each world at its first case and keeps it."""

    def __init__(self) -> None:
        self._worlds: Dict[str, World] = {}
        self._failures: Dict[str, Exception] = {}

    def get(self, name: str) -> World:
        """The running world. Raises Unavailable; one that did not start is not tried again."""
        if name in self._failures:
            raise self._failures[name]
        world = self._worlds.get(name)
        if world is None:
            try:
                world = World(name, Path(tempfile.mkdtemp(prefix=f"cases-{name}-")))
            except Exception as error:
                self._failures[name] = error
                raise
            self._worlds[name] = world
        return world

    def close(self) -> None:
        """Stop all of them."""
        for world in self._worlds.values():
            world.close()
