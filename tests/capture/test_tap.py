"""The taps on real Spark: the relay with several readers, and the Python listener that stands in for it."""
from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from adb_lineage.capture import proxies
from adb_lineage.capture.analysis import Means, analyse
from adb_lineage.capture.describing import Limits
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.places import Places
from adb_lineage.capture.proxies import sweep
from adb_lineage.capture.surroundings import Surroundings
from adb_lineage.capture.tap import ListenerTap, RelayTap, new_relay
from adb_lineage.databricks.identity import LOCAL_PROPERTIES

pytestmark = pytest.mark.spark


def all_of(tap, seconds=2.0):
    tap.drain(10_000)
    found = []
    while True:
        finished = tap.poll(seconds if not found else 0.3)
        if finished is None:
            return found
        found.append(finished)
        tap.done(finished)


@pytest.fixture
def context(spark_session, observed):
    observed.events()
    return spark_session.sparkContext


def test_two_readers_share_one_relay_and_take_over_from_each_other(context, observed, tmp_path):
    """`observed` is the first reader of the relay here; this test's readers compete with it, so it rests."""
    first = RelayTap(context, capacity=100, allowed=LOCAL_PROPERTIES, session="nobody's")
    assert first._relay.equals(observed.capture.tap._relay)
    assert first.poll(0.2) is None
    before = observed.capture.tap.counters()["readers"]
    first.close()
    assert observed.capture.tap.counters()["readers"] == before - 1


def test_a_reader_that_leaves_gives_back_what_it_had_taken(spark_session, tmp_path):
    context = spark_session.sparkContext
    relay = new_relay(context, 10, LOCAL_PROPERTIES)
    bus = context._jsc.sc().listenerBus()
    bus.addToQueue(relay, "adb_lineage_test")
    try:
        spark_session.range(3).write.mode("overwrite").parquet(str(tmp_path / "x"))
        bus.waitUntilEmpty(10_000)
        item = relay.take("a", None, 5000)
        assert relay.take("b", None, 100) is None
        relay.leave("a")
        again = relay.take("b", None, 1000)
        assert again.id() == item.id()
        relay.done("b", again.id())
        assert "waiting=0&leased=0" in relay.counters()
    finally:
        bus.removeListener(relay)


def test_only_allowed_properties_leave_the_jvm(spark_session, tmp_path):
    context = spark_session.sparkContext
    relay = new_relay(context, 10, LOCAL_PROPERTIES)
    bus = context._jsc.sc().listenerBus()
    bus.addToQueue(relay, "adb_lineage_test")
    context.setLocalProperty("spark.databricks.api.token", "planted-secret-77")
    context.setLocalProperty("spark.databricks.notebook.path", "/Shared/Ünï & $x=1")
    try:
        spark_session.range(3).write.mode("overwrite").parquet(str(tmp_path / "x"))
        bus.waitUntilEmpty(10_000)
        header = relay.take("a", None, 5000).header()
        assert "planted-secret-77" not in header
        assert "notebook.path" in header
    finally:
        context.setLocalProperty("spark.databricks.api.token", None)
        context.setLocalProperty("spark.databricks.notebook.path", None)
        bus.removeListener(relay)


def test_a_full_queue_drops_and_counts_and_never_waits(spark_session, tmp_path):
    context = spark_session.sparkContext
    relay = new_relay(context, 2, LOCAL_PROPERTIES)
    bus = context._jsc.sc().listenerBus()
    bus.addToQueue(relay, "adb_lineage_test")
    try:
        for n in range(5):
            spark_session.range(3).write.mode("overwrite").parquet(str(tmp_path / f"x{n}"))
        bus.waitUntilEmpty(10_000)
        assert "seen=5&dropped=3" in relay.counters()
    finally:
        bus.removeListener(relay)


def test_the_listener_sees_its_session_and_can_be_taken_off(spark_session, tmp_path):
    tap = ListenerTap(spark_session.sparkContext, spark_session, capacity=10)
    spark_session.range(3).selectExpr("id", "id + 1 as n").write.parquet(str(tmp_path / "a"))
    with pytest.raises(Exception, match="boom"):
        spark_session.range(1).selectExpr("assert_true(concat(id, 'boom') = '')").collect()
    written, failed = all_of(tap)
    jvm = Jvm(5.0)
    surroundings = Surroundings.of(jvm, written.query.sparkSession(), Places())
    analysis = analyse(written.query, Means(jvm, surroundings, Limits(), tap.describer))
    assert [output.dataset.name for output in analysis.outputs] == [str(tmp_path / "a")]
    assert "boom" in failed.failure
    assert written.ended >= written.started > 0
    tap.close()
    spark_session.range(3).write.parquet(str(tmp_path / "b"))
    assert all_of(tap, 0.5) == []
    assert tap.counters()["seen"] == 2


LISTENER = """
import time
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession
from adb_lineage.capture.tap import ListenerTap

gateway = launch_gateway()
jvm = gateway.jvm
java = jvm.org.apache.spark.api.java.JavaSparkContext(jvm.org.apache.spark.SparkContext.getOrCreate())
context = SparkContext(gateway=gateway, jsc=java, conf=SparkConf(_jconf=java.getConf()))
sessions = jvm.org.apache.spark.sql
try:
    session = sessions.classic.SparkSession.getDefaultSession().get()
except TypeError:
    session = sessions.SparkSession.getDefaultSession().get()
taps = [ListenerTap(context, SparkSession(context, one), capacity=10) for one in (session, session.newSession())]
print("ready", flush=True)
time.sleep(600)
"""


def sweeps_have_ended():
    for thread in threading.enumerate():
        if thread.name == "adb_lineage-sweep":
            thread.join(60)


def test_listeners_of_a_python_that_was_killed_are_swept(spark_session, tmp_path, caplog):
    """Each would cost a failed connection and an error in the driver's log with every query of its session."""
    context = spark_session.sparkContext
    server = context._jvm.org.apache.spark.api.python.Py4JServer(context._jsc.sc().conf())
    server.start()
    own = ListenerTap(context, spark_session, capacity=10)
    sweeps_have_ended()
    environment = {**os.environ, "PYSPARK_GATEWAY_PORT": str(server.getListeningPort()),
                   "PYSPARK_GATEWAY_SECRET": server.secret()}
    command = [sys.executable, "-c", LISTENER]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "ready\n"
            assert sweep(context) == 0, "all of them live"
        finally:
            other.kill()
    assert len(spark_session._jsparkSession.listenerManager().listListeners()) == 2
    assert sweep(context) == 2
    assert sweep(context) == 0
    spark_session.range(3).write.parquet(str(tmp_path / "a"))
    assert len(all_of(own)) == 1, "those who live have not noticed"
    assert [record for record in caplog.records if record.name.startswith("py4j")] == []
    own.close()
    server.shutdown()


def test_a_listener_sweeps_when_it_starts(spark_session, monkeypatch):
    swept = []
    monkeypatch.setattr(proxies, "sweep", lambda context: swept.append(context))
    tap = ListenerTap(spark_session.sparkContext, spark_session, capacity=10)
    sweeps_have_ended()
    tap.close()
    assert swept == [spark_session.sparkContext]


def test_rdd_reads_without_a_source_or_of_a_known_one_are_counted(observed, tmp_path):
    context, tap = observed.spark.sparkContext, observed.capture.tap
    context.parallelize(["a"], 1).saveAsTextFile(str(tmp_path / "text"))
    observed.events()
    before = tap.counters()["rdd_reads"]
    context.parallelize(range(4), 2).map(str).collect()
    text = context.textFile(str(tmp_path / "text"))
    for _ in range(3):
        text.count()
    observed.spark.range(3).collect()
    assert [event["eventType"] for event in observed.events() if event["inputs"]] == ["COMPLETE"]
    assert tap.counters()["rdd_reads"] == before + 3
