"""When Python is slow or gone, user's queries run on and the driver JVM keeps nothing alive that it must not."""
from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from urllib.parse import parse_qsl

import pytest

from adb_lineage.capture.tap import new_relay
from adb_lineage.databricks.identity import LOCAL_PROPERTIES

pytestmark = pytest.mark.spark
PATIENCE = 60.0


class Stage:
    """A relay on the bus of its own queue, and readers in processes of their own."""

    def __init__(self, spark, **relay):
        self.spark = spark
        self._context = spark.sparkContext
        self._jvm = self._context._jvm
        self.relay = new_relay(self._context, relay.pop("capacity", 100), LOCAL_PROPERTIES, **relay)
        self.key = f"adb_lineage.test.{id(self)}"
        self._jvm.java.lang.System.getProperties().put(self.key, self.relay)
        self._bus = self._context._jsc.sc().listenerBus()
        self._bus.addToQueue(self.relay, self.key)
        self._server = None
        self._readers = []

    def reader(self, name):
        if self._server is None:
            self._server = self._jvm.org.apache.spark.api.python.Py4JServer(self._context._jsc.sc().conf())
            self._server.start()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.capture.reader_process", str(self._server.getListeningPort()),
             self._server.secret(), self.key, name], stdout=subprocess.PIPE, universal_newlines=True)
        self._readers.append(process)
        assert process.stdout.readline().strip() == "ready"
        return process

    def queries(self, count):
        for _ in range(count):
            self.spark.range(2).collect()
        self._bus.waitUntilEmpty(30_000)

    def counters(self):
        return {name: int(value) for name, value in parse_qsl(self.relay.counters())}

    def until(self, **wanted):
        """Wait for counters; the last ones seen."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.counters()
            if all(found[name] == value for name, value in wanted.items()):
                break
            time.sleep(0.05)
        return found

    def close(self):
        for process in self._readers:
            process.kill()
            process.wait()
            process.stdout.close()
        if self._server is not None:
            self._server.shutdown()
        self._bus.removeListener(self.relay)
        self._jvm.java.lang.System.getProperties().remove(self.key)


@pytest.fixture
def stage(spark_session):
    stages = []

    def make(**relay):
        stages.append(Stage(spark_session, **relay))
        return stages[-1]

    yield make
    for one in stages:
        one.close()


def test_a_stopped_reader_holds_up_nobody_and_goes_on_where_it_was(stage):
    here = stage(capacity=8, lease=600_000, sleep=600_000)
    reader = here.reader("frozen")
    here.queries(3)
    assert here.until(waiting=0, leased=0)["seen"] == 3
    os.kill(reader.pid, signal.SIGSTOP)
    here.queries(20)  # returns: nobody waits for the reader
    frozen = here.counters()
    assert frozen["waiting"] + frozen["leased"] <= 8
    assert frozen["dropped"] >= 20 - 8 - 1
    os.kill(reader.pid, signal.SIGCONT)
    after = here.until(waiting=0, leased=0)
    assert after["seen"] == 23
    assert (after["waiting"], after["leased"]) == (0, 0)


def test_what_a_killed_reader_had_goes_to_another(stage):
    here = stage(lease=500, sleep=600_000)
    first = here.reader("killed")
    os.kill(first.pid, signal.SIGSTOP)
    here.queries(4)
    first.kill()
    here.reader("heir")
    assert here.until(waiting=0, leased=0) == {**here.counters(), "seen": 4, "dropped": 0, "unheard": 0, "waiting": 0,
                                               "leased": 0}


def test_when_nobody_polls_the_relay_sleeps_and_lets_go(stage, spark_session):
    here = stage(sleep=3000, lease=600_000)
    jvm = spark_session.sparkContext._jvm
    leased = None
    while leased is None:  # on a busy machine the relay may fall asleep meanwhile
        here.relay.take("dead", None, 10)
        here.queries(1)
        leased = here.relay.take("dead", None, 1000)
    watched = jvm.java.lang.ref.WeakReference(leased.query())
    del leased
    here.queries(1)
    time.sleep(3.5)
    here.queries(1)  # asleep by now: this one is not kept, and those before are let go
    asleep = here.counters()
    assert (asleep["waiting"], asleep["leased"]) == (0, 0)
    assert asleep["unheard"] >= 3
    spark_session.sparkContext.parallelize([1], 1).foreach(lambda one: None)  # an RDD job is unheard, too
    assert here.until(unheard=asleep["unheard"] + 1)["unheard"] == asleep["unheard"] + 1
    deadline = time.monotonic() + PATIENCE
    while watched.get() is not None and time.monotonic() < deadline:
        here.queries(1)  # Spark itself remembers the last execution here and there
        gc.collect()
        jvm.java.lang.System.gc()
        time.sleep(0.2)
    assert watched.get() is None
    fresh = None
    while fresh is None:
        here.relay.take("another", None, 10)  # awake again
        here.queries(1)
        fresh = here.relay.take("another", None, 1000)
    assert fresh.query() is not None


@pytest.mark.parametrize("listening", [False, True])
def test_a_driver_short_of_memory_gives_up_queries_instead_of_failing(listening, tmp_path):
    """A small driver runs queries whose plans are together larger than its heap, while the reader takes none.

    It does so without the relay on the bus as well: then what fails with it is the relay's doing.
    """
    program = textwrap.dedent(f"""
        import gc
        from tests.case_harness.java import find_java
        find_java()
        from pyspark.sql import SparkSession
        from adb_lineage.capture.tap import new_relay
        spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
                 .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
                 .config("spark.sql.ui.retainedExecutions", "1").config("spark.driver.memory", "500m")
                 .config("spark.sql.warehouse.dir", {str(tmp_path)!r}).getOrCreate())
        spark.sparkContext.setLogLevel("OFF")
        relay = new_relay(spark.sparkContext, 1000, [])
        bus = spark.sparkContext._jsc.sc().listenerBus()
        if {listening}:
            bus.addToQueue(relay, "test")
        for number in range(30):  # each plan holds 20 MB of values
            frame = spark.sql(f"select * from values (repeat('{{number % 10}}', 20000000)) t(a)")
            assert frame.count() == 1
            del frame
            gc.collect()  # the JVM keeps a plan as long as Python has its frame
            bus.waitUntilEmpty(30000)
        took = 0
        while relay.take("late", None, 100) is not None:
            took += 1
        print("took", took, relay.counters())
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    counters = dict(parse_qsl(done.stdout.split()[-1]))
    if listening:
        assert int(counters["seen"]) == 30
        assert int(counters["dropped"]) > 0
        assert int(done.stdout.split()[-2]) + int(counters["dropped"]) == 30
