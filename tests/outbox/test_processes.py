"""Several processes on one driver: all may append, one delivers."""
import os
import signal
import subprocess
import sys
import time

import pytest

from adb_lineage.outbox import Outbox
from tests.outbox.events import ManualClock, event, tokens

APPEND = """
import sys
from adb_lineage.outbox import Outbox
from tests.outbox.events import event
box = Outbox(sys.argv[1], busy_seconds=60)
for index in range(int(sys.argv[3])):
    box.append(event(f"{sys.argv[2]}-{index}"))
assert not box.trouble, box.trouble
"""
HOLD = """
import sys, time
from adb_lineage.outbox import Outbox
box = Outbox(sys.argv[1])
runs = box.take("other", runs=1, lease_seconds=float(sys.argv[2]))
print(len(runs), flush=True)
time.sleep(600)
"""


def run(code, *arguments, **more):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], text=True, **more)


def test_processes_append_at_once(tmp_path):
    path = tmp_path / "outbox.db"
    children = [run(APPEND, path, name, 100) for name in range(6)]
    assert [child.wait() for child in children] == [0] * 6
    box = Outbox(str(path))
    assert box.counts()["new"] == 600
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(f"{path}-wal").st_mode & 0o777 == 0o600


@pytest.fixture
def holder(tmp_path):
    box = Outbox(str(tmp_path / "outbox.db"))
    box.append(event("r"))
    box.append(event("s"))
    started = []

    def start(seconds):
        child = run(HOLD, box.path, seconds, stdout=subprocess.PIPE)
        started.append(child)
        assert child.stdout.readline() == "1\n"
        return child

    yield box, start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def test_only_one_delivers_and_a_killed_one_is_followed_at_once(holder):
    box, start = holder
    child = start(600)
    assert box.take("me", runs=10, lease_seconds=600) == []
    assert box.holder().owner == "other"
    child.kill()
    child.wait()
    assert {found.run_id for found in box.take("me", runs=10, lease_seconds=600)} == {"r", "s"}


def test_one_that_hangs_is_followed_after_the_age_of_its_lease(holder):
    box, start = holder
    child = start(0.5)
    os.kill(child.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 60
    found = []
    while not found and time.monotonic() < deadline:
        found = box.take("me", runs=10, lease_seconds=5)
        time.sleep(0.05)
    assert {run.run_id for run in found} == {"r", "s"}


def test_the_one_that_was_followed_settles_nothing_any_more(tmp_path):
    clock = ManualClock()
    box = Outbox(str(tmp_path / "outbox.db"), clock=clock)
    box.append(event("r"))
    first = box.take("slow", runs=1, lease_seconds=10)
    clock.pass_(11)
    second = box.take("quick", runs=1, lease_seconds=10)
    box.dead(tokens(first), "too late")
    assert box.counts()["taken"] == 1
    box.delivered(tokens(second))
    box.wait(tokens(first), 0, "too late")
    assert box.counts()["delivered"] == 1


def test_a_lease_of_before_a_restart_of_the_machine_is_void(tmp_path):
    clock = ManualClock()
    box = Outbox(str(tmp_path / "outbox.db"), clock=clock)
    box.append(event("r"))
    assert box.take("before", runs=1, lease_seconds=10)
    clock.ticks = 3.0
    assert box.take("after", runs=1, lease_seconds=10)


def test_the_wall_clock_has_no_say_in_the_lease(tmp_path):
    clock = ManualClock()
    box = Outbox(str(tmp_path / "outbox.db"), clock=clock)
    box.append(event("r"))
    assert box.take("one", runs=1, lease_seconds=10)
    for jump in (-10**6, 10**7):
        clock.jump(jump)
        assert box.take("two", runs=1, lease_seconds=10) == []


def test_a_lease_given_back_is_free_and_so_is_what_was_taken(tmp_path):
    box = Outbox(str(tmp_path / "outbox.db"))
    box.append(event("r"))
    box.take("one", runs=1, lease_seconds=600)
    box.release("one")
    assert len(box.take("two", runs=1, lease_seconds=600)) == 1


FORK = """
import multiprocessing, os, sys
from adb_lineage.outbox import Outbox
from tests.outbox.events import event
box = Outbox(sys.argv[1])
box.append(event("parent-1"))
child = multiprocessing.get_context("fork").Process(target=box.append, args=(event("child"),))
child.start()
child.join()
assert child.exitcode == 0
pid = os.fork()
if not pid:
    sys.exit(0)  # on the way out it must close nothing of the parent's
assert os.waitpid(pid, 0)[1] == 0
box.append(event("parent-2"))
box.close()
assert not box.trouble, box.trouble
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_opens_the_file_for_itself_and_leaves_the_parent_s_alone(tmp_path):
    path = tmp_path / "outbox.db"
    assert run(FORK, path).wait() == 0
    assert {info.run_id for info in Outbox(str(path)).runs()} == {"parent-1", "child", "parent-2"}


def test_killed_while_appending_loses_nothing_that_append_returned_for(tmp_path):
    code = """
import sys
from adb_lineage.outbox import Outbox
from tests.outbox.events import event
box = Outbox(sys.argv[1])
for index in range(10**6):
    box.append(event(f"{sys.argv[2]}-{index}"))
    print(index, flush=True)
"""
    path = tmp_path / "outbox.db"
    for round_ in range(5):
        child = run(code, path, round_, stdout=subprocess.PIPE)
        lines = [child.stdout.readline() for _ in range(20 + 7 * round_)]
        child.kill()
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        box = Outbox(str(path))
        kept = {info.run_id for info in box.runs(limit=10**6) if info.run_id.startswith(f"{round_}-")}
        box.close()
        promised = {f"{round_}-{line.strip()}" for line in lines if line.endswith("\n")}
        assert promised <= kept
        assert len(kept - promised) <= 1


def test_the_lease_never_empties_the_log_of_what_was_flushed(tmp_path):
    """A machine that dies can't be had in a test: what is seen is that the log only grows by the lease, not shrinks."""
    outbox = Outbox(str(tmp_path / "outbox.db"))
    outbox.append(event("r", kept=os.urandom(3 << 20).hex()))
    log = tmp_path / "outbox.db-wal"
    before = log.stat().st_size
    moved = (tmp_path / "outbox.db").stat().st_mtime_ns
    for _ in range(1200):
        assert outbox.hold("me", 10)
    assert log.stat().st_size > before and (tmp_path / "outbox.db").stat().st_mtime_ns == moved
    outbox.close()
    assert not log.exists()
