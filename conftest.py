"""Fixtures that every room's tests share: one real Spark for the whole run, tapped by the real capture."""
from __future__ import annotations

import os
import sys
from typing import Any, Iterator

import pytest

from tests.case_harness.session import Observed, find_java, start_session
from tests.planted import SPARK

pytest_plugins = ["tests.planted_secrets"]


@pytest.fixture(scope="session", autouse=True)
def spark_environment() -> None:
    """What Spark needs of the machine, for this process and for those that tests start."""
    find_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def spark_session(spark_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Spark with real `abfss://` and `wasbs://` paths (Hadoop's mount table over the local disk)."""
    spark = start_session(tmp_path_factory.mktemp("spark"), SPARK)
    yield spark
    spark.stop()


@pytest.fixture(scope="session")
def observed(spark_session: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """The session, tapped by the relay; what the capture emits is kept as JSON."""
    observed = Observed(spark_session, tmp_path_factory.mktemp("capture"))
    yield observed
    observed.capture.stop(10)


@pytest.fixture
def lake(observed: Observed, request: pytest.FixtureRequest) -> Observed:
    """`observed` with nothing left over from the test before."""
    observed.events()
    return observed
