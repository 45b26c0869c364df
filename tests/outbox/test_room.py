"""The size bound: what goes first, and that it is said."""
import os

import pytest

from adb_lineage.errors import GiveUp
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record
from tests.outbox.events import event, tokens

BOUND = 4 << 20


@pytest.fixture
def record(tmp_path):
    return Record(str(tmp_path / "record.db"))


@pytest.fixture
def outbox(tmp_path, record):
    box = Outbox(str(tmp_path / "outbox.db"), max_bytes=BOUND, synchronous="OFF", record=record)
    yield box
    assert not box.trouble
    box.close()


def random_text(size):
    return os.urandom(size // 2).hex()


def fill(outbox, count, prefix="r", **facets):
    for index in range(count):
        outbox.append(event(f"{prefix}{index}", **{name: {"x": random_text(size)} for name, size in facets.items()}))


def take_all(outbox):
    return outbox.take("me", runs=10_000, lease_seconds=10, max_bytes=1 << 30)


def file_size(outbox):
    return os.path.getsize(outbox.path)


def test_delivered_runs_go_first_oldest_first_and_untouched_ones_stay_whole(outbox):
    fill(outbox, 100, "old", **{"spark.logicalPlan": 40_000})
    outbox.delivered(tokens(take_all(outbox)))
    fill(outbox, 150, "new", **{"spark.logicalPlan": 40_000})
    states = {info.run_id: info.state for info in outbox.runs(limit=1000)}
    assert all(f"new{index}" in states for index in range(150))
    gone = [index for index in range(100) if f"old{index}" not in states]
    assert gone and gone == list(range(len(gone)))
    assert all("spark.logicalPlan" in run.events[0]["run"]["facets"] for run in take_all(outbox))


def test_then_the_plans_of_the_oldest_go_and_no_run_does(outbox, record):
    fill(outbox, 400, **{"spark.logicalPlan": 40_000, "kept": 10})
    runs = take_all(outbox)
    assert len(runs) == 400
    shortened = [run.run_id for run in runs if run.left_out]
    assert shortened and set(shortened) == {f"r{index}" for index in range(len(shortened))}
    assert {run.left_out for run in runs} == {("Spark plan",), ()}
    assert all("kept" in run.events[0]["run"]["facets"] for run in runs)
    assert all(run.events[0]["inputs"] and run.events[0]["outputs"] for run in runs)
    assert record.rows() == []


def test_then_column_lineage_then_schemas(outbox):
    for index in range(400):
        fat = event(f"r{index}", **{"spark.logicalPlan": {"x": random_text(20_000)}})
        fat["outputs"][0]["facets"] = {"columnLineage": {"x": random_text(20_000)}, "schema": {"x": random_text(9000)}}
        outbox.append(fat)
    left_out = [run.left_out for run in take_all(outbox)]
    assert len(left_out) == 400
    assert all(found[:1] == ("Spark plan",) for found in left_out[:300])
    assert ("Spark plan", "column lineage") in left_out


def test_then_dead_runs_and_then_the_oldest_with_a_record_of_each(outbox, record):
    fill(outbox, 20, "dead", kept=40_000)
    outbox.dead(tokens(take_all(outbox)), "refused: 400")
    fill(outbox, 200, "r", kept=40_000)
    kept = {run.run_id for run in take_all(outbox)}
    said = {row["run_id"]: row["delivery_reason"] for row in record.rows(1000)}
    assert kept | set(said) == {*(f"dead{index}" for index in range(20)), *(f"r{index}" for index in range(200))}
    assert not kept & set(said)
    assert "r199" in kept and "dead0" in said and "refused: 400" in said["dead0"]
    assert all("over its bound of 4194304 bytes" in reason for reason in said.values())


def test_the_file_stays_within_its_bound_whatever_comes(outbox):
    for index in range(20):
        fill(outbox, 20, f"big{index}-", **{"spark.logicalPlan": 30_000, "kept": 5000})
        fill(outbox, 100, f"small{index}-")
        if index % 7 == 0:
            outbox.delivered(tokens(outbox.take("me", runs=100, lease_seconds=10)))
        assert file_size(outbox) <= BOUND


def test_space_is_given_back_after_a_bad_day(outbox):
    fill(outbox, 100, **{"spark.logicalPlan": 40_000})
    outbox.dead(tokens(take_all(outbox)), "bad")
    outbox.close()
    assert file_size(outbox) > BOUND // 4
    outbox.drop()
    outbox.tidy()
    outbox.close()
    assert file_size(outbox) < BOUND // 8


def test_an_event_longer_than_all_the_room_is_given_up_and_nothing_else_is_lost(outbox):
    fill(outbox, 5)
    with pytest.raises(GiveUp, match="too long"):
        outbox.append(event("huge", inputs=[random_text(BOUND * 2)]))
    assert len(take_all(outbox)) == 5


def test_the_newest_event_finds_room_while_all_the_others_are_being_delivered(tmp_path):
    outbox = Outbox(str(tmp_path / "outbox.db"), max_bytes=1 << 20, synchronous="OFF")
    database, filled = outbox._inbox.database, 0
    while not filled or database.run(database.used_bytes) < (1 << 20) - (64 << 10):
        outbox.append(event(f"r{filled}", inputs=[os.urandom(20_000).hex()]))
        filled += 1
    taken = outbox.take("me", runs=1000, lease_seconds=60, max_bytes=1 << 30)
    assert len(taken) == filled
    fresh = [f"fresh{index}" for index in range(5)]
    for run in fresh:
        outbox.append(event(run, inputs=[os.urandom(60_000).hex()]))
    assert outbox.take("me", runs=0, lease_seconds=60) == []
    outbox.delivered(tokens(taken))
    found = {run.run_id for run in outbox.take("me", runs=1000, lease_seconds=60, max_bytes=1 << 30)}
    assert found == set(fresh) and outbox.counts()["dead"] == 0
