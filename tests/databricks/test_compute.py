"""Compute where Py4J ends is recognised by looking, and said in words."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from adb_lineage.databricks import compute

CASES = [
    ("local", {}, {}),
    ("classic", {"DATABRICKS_RUNTIME_VERSION": "15.4"}, {}),
    ("classic", {}, {"spark.databricks.workspaceUrl": "adb-1.2.azuredatabricks.net"}),
    ("classic", {"DATABRICKS_RUNTIME_VERSION": "15.4", "DATA_SECURITY_MODE": "SINGLE_USER"}, {}),
    ("serverless", {"DATABRICKS_RUNTIME_VERSION": "client.4.1"}, {}),
    ("serverless", {"DATABRICKS_RUNTIME_VERSION": "17.3", "IS_SERVERLESS": "TRUE"}, {}),
    ("standard", {"DATABRICKS_RUNTIME_VERSION": "15.4", "DATA_SECURITY_MODE": "USER_ISOLATION"}, {}),
    ("standard", {"DATABRICKS_RUNTIME_VERSION": "15.4", "SPARK_REMOTE": "unix:///x"}, {}),
    ("standard", {"DATABRICKS_RUNTIME_VERSION": "16.4", "SPARK_CONNECT_MODE_ENABLED": "1"}, {}),
    ("connect", {"SPARK_REMOTE": "sc://host"}, {}),
    ("table_acl", {"DATABRICKS_RUNTIME_VERSION": "12.2", "DATA_SECURITY_MODE": "LEGACY_TABLE_ACL"}, {}),
    ("table_acl", {"DATABRICKS_RUNTIME_VERSION": "12.2"}, {"spark.databricks.pyspark.enablePy4JSecurity": "true"}),
    ("pipeline", {"DATABRICKS_RUNTIME_VERSION": "15.4"}, {"pipelines.id": "1"}),
]


@pytest.mark.parametrize(("kind", "environ", "conf"), CASES)
def test_recognised(kind: str, environ: dict, conf: dict) -> None:
    found = compute.recognise(environ=environ, conf=conf)
    assert found.kind == kind
    assert found.possible == (kind in ("local", "classic"))


def test_a_connect_session_is_told_by_its_class() -> None:
    session = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
    assert compute.recognise(session, environ={"DATABRICKS_RUNTIME_VERSION": "16.4"}).kind == "standard"
    assert compute.recognise(session, environ={}).kind == "connect"


def test_words_say_what_is_not_possible_and_what_is() -> None:
    for one in compute.KINDS.values():
        if one.possible:
            assert "is captured" in one.words()
        else:
            assert one.words().startswith(f"No lineage is captured here: {one.name}.") and one.instead in one.words()


def test_the_gateway_s_refusal() -> None:
    error = RuntimeError("py4j.security.Py4JSecurityException: Method public … is not whitelisted on class …")
    refused = compute.refused_by(error)
    assert refused is not None and refused.kind == "table_acl"
    assert compute.refused_by(RuntimeError("other")) is None


@pytest.mark.parametrize(("variables", "said"), [
    ({"DATA_SECURITY_MODE": "USER_ISOLATION"}, "standard (shared) access mode"),
    ({"IS_SERVERLESS": "TRUE"}, "serverless"), ({"DATA_SECURITY_MODE": "SINGLE_USER"}, "")])
def test_status_says_it_where_nobody_has_turned_it_on(variables: dict, said: str) -> None:
    """On such compute no SparkContext ever comes, for which the autostart waits."""
    env = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2]), "DATABRICKS_RUNTIME_VERSION": "15.4",
           **variables}
    done = subprocess.run([sys.executable, "-c", "import adb_lineage; print(adb_lineage.status())"], env=env,
                          capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and "state: off" in done.stdout
    assert said in done.stdout and ("problem: No lineage is captured here" in done.stdout) == bool(said)


TAPPED = """
import json, sys, time
import adb_lineage
from adb_lineage.record import Record
from pyspark.sql import SparkSession

key, value, folder = sys.argv[1:]
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config(key, value).getOrCreate()
adb_lineage.enable(spark)
until = time.monotonic() + 60
while "problem" not in adb_lineage.status() and time.monotonic() < until:
    time.sleep(0.1)
queues = str(spark._jsc.sc().listenerBus().activeQueues().toString())
print(json.dumps([adb_lineage.status()["problem"], [row["reason"] for row in Record(folder + "/record.sqlite").rows()],
                  "adb" in queues]))
"""


@pytest.mark.spark
@pytest.mark.parametrize(("key", "value", "name"), [
    ("spark.databricks.pyspark.enablePy4JSecurity", "true", "table access control"), ("pipelines.id", "1", "pipeline")])
def test_what_only_the_spark_conf_tells(key: str, value: str, name: str, tmp_path: pathlib.Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2]), "DATABRICKS_RUNTIME_VERSION": "15.4",
           "ADB_LINEAGE_ENDPOINT": "http://127.0.0.1:9", "ADB_LINEAGE_AUTH": "none",
           "ADB_LINEAGE_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", TAPPED, key, value, str(tmp_path)], capture_output=True, text=True,
                          timeout=180, env=env)
    assert done.returncode == 0, done.stderr
    problem, reasons, listening = json.loads(done.stdout)
    assert name in problem and reasons == [problem] and not listening


ENABLE = """
import json, sys
import adb_lineage
for _ in range(2):
    lineage = adb_lineage.enable()
status = adb_lineage.status()
from adb_lineage.record import Record
rows = Record(sys.argv[1] + "/record.sqlite").rows()
print(json.dumps([status["state"], status["problem"], [row["reason"] for row in rows],
                  [name for name in sys.modules if name.split(".")[0] in ("pyspark", "py4j")], adb_lineage.disable()]))
"""


@pytest.mark.parametrize("mode", ["USER_ISOLATION", "LEGACY_TABLE_ACL"])
def test_where_nothing_can_be_captured_it_is_said_once_and_nothing_else_is_done(mode: str,
                                                                                tmp_path: pathlib.Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2]), "DATABRICKS_RUNTIME_VERSION": "15.4",
           "DATA_SECURITY_MODE": mode, "ADB_LINEAGE_ENDPOINT": "http://127.0.0.1:9", "ADB_LINEAGE_AUTH": "none",
           "ADB_LINEAGE_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", ENABLE, str(tmp_path)], capture_output=True, text=True, timeout=60,
                          env=env)
    assert done.stderr == ""
    state, problem, reasons, modules, _ = json.loads(done.stdout)
    assert state == "off: see problem" and problem.startswith("No lineage is captured here: Databricks compute with")
    assert reasons == [problem] and modules == []
