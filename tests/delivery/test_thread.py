"""Starting, flushing, stopping: bounded in time, silent, and never in a forked child."""
import os
import subprocess
import sys
import threading
import time

import pytest

from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.errors import RetryLater
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record
from tests.delivery.small_catalog import SmallCatalog, SmallServer
from tests.delivery.small_translate import translate
from tests.outbox.events import event


@pytest.fixture
def server():
    server = SmallServer()
    yield server
    server.close()


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(str(tmp_path / "outbox.db"))
    yield box
    box.close()


@pytest.fixture
def record(tmp_path):
    return Record(str(tmp_path / "record.db"))


@pytest.fixture
def start(outbox, server, record):
    started = []

    def start(catalog=None, **options):
        delivery = Delivery(outbox, translate, catalog or SmallCatalog(server.port), record, DeliveryOptions(**options))
        started.append(delivery)
        delivery.start()
        return delivery

    yield start
    for delivery in started:
        delivery.stop(0)


class Stuck(SmallCatalog):
    """A catalog whose write never ends, until it is closed."""

    def __init__(self, port):
        super().__init__(port)
        self.entered = threading.Event()
        self.closed = threading.Event()

    def write(self, entities, missing):
        self.entered.set()
        self.closed.wait()
        raise RetryLater("closed")

    def close(self):
        self.closed.set()


def test_flush_waits_for_what_is_ready_and_not_for_what_is_incomplete(outbox, server, start):
    delivery = start()
    outbox.append(event("open", "START"))
    for index in range(20):
        outbox.append(event(f"r{index}", job=f"job{index}"))
    assert delivery.flush(60)
    assert outbox.counts() == {"new": 1, "taken": 0, "waiting": 0, "delivered": 20, "dead": 0}


def test_flush_does_not_wait_for_a_catalog_that_is_away_for_longer(outbox, server, start):
    server.always, server.retry_after = 503, 300
    delivery = start()
    outbox.append(event("r"))
    started = time.monotonic()
    assert not delivery.flush(240)
    assert time.monotonic() - started < 120
    assert delivery.status()["state"] == "waiting" and "503" in delivery.status()["why"]


def test_flush_counts_a_dead_run_as_settled(outbox, start):
    delivery = start()
    outbox.append(event("r", job="bad"))
    assert delivery.flush(60)
    assert outbox.counts()["dead"] == 1


def test_flush_waits_for_the_process_that_delivers_whichever_it_is(outbox, server, start, tmp_path):
    first = start()
    outbox.append(event("a"))
    assert first.flush(60)
    other = Outbox(outbox.path)
    follower = Delivery(other, translate, SmallCatalog(server.port), Record(str(tmp_path / "other.db")))
    follower.start()
    other.append(event("b", job="other"))
    assert follower.flush(60)
    assert follower.status()["state"] == "following"
    assert outbox.counts()["delivered"] == 2
    follower.stop(5)
    other.close()


def test_a_follower_s_flush_knows_that_the_leader_waits(outbox, server, start, tmp_path):
    server.always, server.retry_after = 503, 300
    leader = start()
    outbox.append(event("a"))
    assert not leader.flush(240)
    other = Outbox(outbox.path)
    follower = Delivery(other, translate, SmallCatalog(server.port), Record(str(tmp_path / "other.db")))
    follower.start()
    other.append(event("b"))
    started = time.monotonic()
    assert not follower.flush(240)
    assert time.monotonic() - started < 120
    assert "503" in follower.status()["why"]
    follower.stop(0)
    other.close()


def test_stop_is_bounded_even_when_the_catalog_hangs_and_the_next_one_delivers(outbox, server, record, start):
    stuck = Stuck(server.port)
    delivery = start(stuck)
    outbox.append(event("r"))
    assert stuck.entered.wait(30)
    started = time.monotonic()
    assert not delivery.stop(1)
    assert time.monotonic() - started < 10
    assert delivery.status()["state"] == "stopped"
    successor = start()
    outbox.retry()
    assert successor.flush(60)
    assert outbox.counts()["delivered"] == 1


def test_a_worker_that_is_busy_keeps_its_lease(outbox, server, record, start):
    stuck = Stuck(server.port)
    start(stuck, lease_seconds=0.3)
    outbox.append(event("r"))
    assert stuck.entered.wait(30)
    time.sleep(1.0)
    assert outbox.take("other", runs=1, lease_seconds=1) == []
    stuck.close()


def test_a_worker_that_hangs_for_too_long_loses_it(outbox, server, record, start):
    stuck = Stuck(server.port)
    start(stuck, lease_seconds=0.3, busy_seconds=0.5)
    outbox.append(event("r"))
    assert stuck.entered.wait(30)
    deadline = time.monotonic() + 60
    while not outbox.take("other", runs=1, lease_seconds=30) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert outbox.holder().owner == "other"
    stuck.close()


LEADER = """
import sys, time
from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record
from tests.delivery.small_catalog import SmallCatalog
from tests.delivery.small_translate import translate
folder, port = sys.argv[1:]
outbox = Outbox(folder + "/outbox.db")
# A lease that no silence ends in time: only its death lets others follow.
options = DeliveryOptions(lease_seconds=3600.0)
delivery = Delivery(outbox, translate, SmallCatalog(int(port)), Record(folder + "/record.db"), options)
delivery.start()
while delivery.status()["state"] != "delivering":
    time.sleep(0.01)
print("delivering", flush=True)
time.sleep(600)
"""


def test_a_leader_that_is_killed_while_delivering_is_followed_within_seconds(outbox, server, start, tmp_path):
    server.seconds = 0.3
    for index in range(50):
        outbox.append(event(f"r{index}", job=f"job{index}"))
    child = subprocess.Popen([sys.executable, "-c", LEADER, str(tmp_path), str(server.port)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"delivering\n"
    follower = start()
    assert follower.status()["state"] == "following"
    child.kill()
    child.wait()
    child.stdout.close()
    server.seconds = 0.0
    assert follower.flush(60)
    assert outbox.counts()["delivered"] == 50
    assert follower.status()["state"] in ("idle", "delivering")


SILENT = """
import os, sys, threading
from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record
from tests.delivery.small_catalog import SmallCatalog
from tests.delivery.small_translate import translate
from tests.outbox.events import event
folder, port, how = sys.argv[1:]
outbox = Outbox(folder + "/outbox.db")
record = Record(folder + "/record.db")
delivery = Delivery(outbox, translate, SmallCatalog(int(port)), record,
                    DeliveryOptions(spool_dir=folder + "/spool"))
delivery.start()
for index in range(200):
    outbox.append(event(f"r{index}", job=f"job{index}"))
outbox.append(event("odd", job="impossible-base"))
if how == "fork":
    pid = os.fork()
    if not pid:
        delivery.start()
        assert not delivery.flush(1) and not delivery.stop(1)
        assert delivery.status()["state"] == "stopped"
        assert threading.active_count() == 1
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert delivery.flush(60)
elif how == "stop":
    delivery.stop(10)
    assert not delivery.stop(10)
    outbox.close()
    record.close()
elif how == "raise":
    sys.exit("the user's own last words")
"""


@pytest.mark.parametrize(
    "how, words", [("exit", ""), ("stop", ""), ("fork", ""), ("raise", "the user's own last words")]
)
@pytest.mark.parametrize("fault", [None, 503, "drop", "slow"])
def test_whatever_happens_nothing_is_printed_and_the_program_ends(tmp_path, server, how, words, fault):
    if how == "fork" and fault:
        server.faults.append(fault)
    else:
        server.always = fault
    result = subprocess.run(
        [sys.executable, "-W", "default", "-W", "ignore::DeprecationWarning", "-c", SILENT, str(tmp_path),
         str(server.port), how], capture_output=True, text=True, timeout=120)
    assert result.stdout == ""
    assert result.stderr.strip() == words
    assert result.returncode == (1 if words else 0)
    kept = Outbox(str(tmp_path / "outbox.db"))
    assert sum(kept.counts().values()) == 201
    assert len(server.entities) <= 200 * 2 + 2
    if how == "fork":
        assert kept.counts()["delivered"] == 200
    kept.close()


def test_a_child_of_a_fork_does_not_deliver_even_when_told_to_start(tmp_path, server):
    code = SILENT.replace("delivery.start()\nfor", "for", 1).replace("assert delivery.flush(60)", "")
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(server.port), "fork"],
                            capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    assert server.calls == {}
    assert os.path.exists(tmp_path / "outbox.db")
