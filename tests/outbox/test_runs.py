"""A run's events stay together: when they are handed out, and what late ones do."""
import itertools

import pytest

from adb_lineage.outbox import Outbox, Verdict
from tests.outbox.events import ManualClock, event, tokens


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def outbox(tmp_path, clock):
    box = Outbox(str(tmp_path / "outbox.db"), clock=clock, incomplete_seconds=3600, keep_seconds=86_400)
    yield box
    box.close()


def take(outbox, runs=100, **more):
    return outbox.take("me", runs=runs, lease_seconds=10, **more)


@pytest.mark.parametrize("order", list(itertools.permutations(["START", "RUNNING", "COMPLETE"])))
def test_a_run_is_ready_with_its_terminal_event_and_brings_all_others(outbox, order):
    for position, kind in enumerate(order):
        outbox.append(event("r", kind))
        expected = ["r"] if "COMPLETE" in order[: position + 1] else []
        runs = take(outbox)
        assert [run.run_id for run in runs] == expected
        if runs:
            assert [found["eventType"] for found in runs[0].events] == list(order[: position + 1])
            assert runs[0].complete
            outbox.delivered(tokens(runs))
    assert outbox.counts()["delivered"] == 1


def test_an_incomplete_run_is_ready_when_its_time_is_over(outbox, clock):
    outbox.append(event("r", "START"))
    clock.pass_(3599)
    outbox.append(event("r", "RUNNING"))
    assert take(outbox) == []
    clock.pass_(2)
    (run,) = take(outbox)
    assert not run.complete and len(run.events) == 2


def test_a_stream_that_keeps_running_is_handed_out_again_and_again(outbox, clock):
    handed_out = 0
    for batch in range(200):
        outbox.append(event("stream", "RUNNING", at=f"2026-03-01T10:{batch // 60:02}:{batch % 60:02}Z"))
        clock.pass_(60)
        runs = take(outbox)
        handed_out += len(runs)
        outbox.delivered(tokens(runs))
    assert handed_out == 3


def test_a_late_event_opens_its_run_again(outbox):
    outbox.append(event("r", "COMPLETE"))
    outbox.delivered(tokens(take(outbox)))
    outbox.append(event("r", "START"))
    (run,) = take(outbox)
    assert [found["eventType"] for found in run.events] == ["COMPLETE", "START"]


def test_an_event_that_comes_during_the_delivery_keeps_the_run_open(outbox):
    outbox.append(event("r", "COMPLETE"))
    runs = take(outbox)
    outbox.append(event("r", "FAIL"))
    assert take(outbox) == []
    outbox.delivered(tokens(runs))
    (run,) = take(outbox)
    assert len(run.events) == 2


@pytest.mark.parametrize("settle", ["delivered", "dead"])
def test_a_late_start_of_an_incomplete_run_waits_for_its_time_again(outbox, clock, settle):
    outbox.append(event("r", "START"))
    clock.pass_(3601)
    runs = take(outbox)
    outbox.append(event("r", "RUNNING"))
    if settle == "delivered":
        outbox.delivered(tokens(runs))
    else:
        outbox.dead(tokens(runs), "because")
    assert take(outbox) == []
    clock.pass_(3601)
    assert len(take(outbox)) == 1


def test_the_same_event_twice_is_one_event(outbox):
    for _ in range(3):
        outbox.append(event("r"))
    outbox.delivered(tokens(take(outbox)))
    outbox.append(event("r"))
    assert take(outbox) == []
    outbox.append(event("r"), again=True)
    (run,) = take(outbox)
    assert len(run.events) == 1


def test_a_run_survives_a_restart(tmp_path, clock):
    first = Outbox(str(tmp_path / "outbox.db"), clock=clock)
    first.append(event("r", "START"))
    first.append(event("w"))
    first.wait(tokens(take(first)), clock.time() + 60, "away")
    first.release("me")
    first.close()
    second = Outbox(str(tmp_path / "outbox.db"), clock=clock)
    second.append(event("r", "COMPLETE"))
    (run,) = take(second)
    assert len(run.events) == 2
    clock.pass_(61)
    assert [run.run_id for run in take(second)] == ["w"]


def test_waiting_runs_come_back_when_due_and_say_why(outbox, clock):
    outbox.append(event("r"))
    outbox.wait(tokens(take(outbox)), clock.time() + 30, "503 from the catalog")
    (info,) = outbox.runs(["waiting"])
    assert (info.why, info.attempts) == ("503 from the catalog", 1)
    assert take(outbox) == []
    clock.pass_(31)
    assert len(take(outbox)) == 1


@pytest.mark.parametrize("jump", [-864_000, -3600, 3600, 864_000])
@pytest.mark.parametrize("state", ["new", "waiting"])
def test_a_clock_that_jumps_holds_nothing_back_for_long(outbox, clock, jump, state):
    outbox.append(event("r", "START" if state == "new" else "COMPLETE"))
    if state == "waiting":
        outbox.wait(tokens(take(outbox)), clock.time() + 60, "away")
    clock.jump(jump)
    clock.pass_(3600 + 3600)
    assert len(take(outbox)) == 1


def test_often_tried_runs_come_last_and_alone(outbox, clock):
    for name in ("bad", "worse"):
        outbox.append(event(name))
        for _ in range(2):
            outbox.wait(tokens(take(outbox)), clock.time(), "failed")
    for name in ("good", "fine"):
        outbox.append(event(name))
    assert [run.run_id for run in take(outbox)] == ["good", "fine"]
    assert take(outbox, suspects=False) == []
    assert len(take(outbox)) == 1
    assert len(take(outbox)) == 1


def test_what_is_taken_at_once_is_bounded_by_bytes_but_never_nothing(outbox):
    for index in range(10):
        outbox.append(event(f"r{index}", inputs=["x" * 10_000]))
    assert len(take(outbox, max_bytes=35_000)) == 3
    assert len(take(outbox, max_bytes=1)) == 1


def test_a_run_with_thousands_of_events_keeps_the_first_the_last_and_the_terminal_one(outbox):
    for index in range(1000):
        kind = "START" if index == 0 else "COMPLETE" if index == 500 else "RUNNING"
        outbox.append(event("r", kind, at=f"2026-03-01T10:00:00.{index:06}Z"))
    (run,) = take(outbox, max_bytes=1 << 30)
    times = [found["eventTime"] for found in run.events]
    assert len(times) == 256
    assert times[0].endswith(".000000Z") and times[-1].endswith(".000999Z")
    assert "COMPLETE" in {found["eventType"] for found in run.events}
    assert run.left_out == ("744 events",)


def test_delivered_runs_go_when_nobody_waits_for_them_any_more(outbox, clock):
    outbox.append(event("done"))
    outbox.append(event("half", "START"))
    outbox.append(event("dead"))
    clock.pass_(3601)
    runs = take(outbox)
    outbox.dead(tokens(runs, "dead"), "bad")
    outbox.delivered(tokens(runs, "done") + tokens(runs, "half"))
    clock.pass_(86_399)
    assert outbox.tidy() == 0
    clock.pass_(2)
    assert outbox.tidy() == 1
    clock.pass_(7 * 86_400)
    assert outbox.tidy() == 1
    assert [info.run_id for info in outbox.runs()] == ["dead"]


def test_dead_runs_are_listed_shown_retried_and_dropped(outbox):
    for name in ("a", "b", "c"):
        outbox.append(event(name))
    outbox.dead(tokens(take(outbox)), "400 ATLAS-400-00-01A")
    assert {info.why for info in outbox.runs(["dead"])} == {"400 ATLAS-400-00-01A"}
    assert outbox.events("a") == [event("a")]
    assert outbox.retry(["a", "nobody"]) == 1
    assert [run.run_id for run in take(outbox)] == ["a"]
    assert outbox.drop(["b"]) == 1
    assert outbox.events("b") == []
    assert outbox.retry() == 1
    assert [run.run_id for run in take(outbox)] == ["c"]


def test_marks_only_grow(outbox):
    outbox.append(event("r"))
    outbox.settle([Verdict(token, "delivered") for token in tokens(take(outbox))], {"p": 5.0})
    outbox.append(event("s"))
    outbox.settle([Verdict(token, "dead", "bad") for token in tokens(take(outbox))], {"p": 4.0, "q": 1.0})
    assert outbox.marks(["p", "q", "nobody"]) == {"p": 5.0, "q": 1.0}
