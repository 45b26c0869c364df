"""A busy driver costs a query its columns at most: with clocks that run ahead, its datasets are still there."""
from __future__ import annotations

import itertools
import threading

import pytest

from adb_lineage.capture.describing import Limits
from adb_lineage.capture.jvm import PATIENCE, Jvm, OutOfTime
from adb_lineage.capture.tap import ListenerTap
from tests.capture.captured import BUDGET, Kept, captured_by, new_capture

pytestmark = pytest.mark.spark

@pytest.fixture
def captured(spark_session):
    return captured_by(spark_session)


@pytest.fixture
def join(spark_session, tmp_path):
    for name in ("orders", "customers"):
        spark_session.range(3).selectExpr("id", f"id as {name}_id").write.parquet(str(tmp_path / name))

    def program(session):
        orders, customers = (session.read.parquet(str(tmp_path / name)) for name in ("orders", "customers"))
        orders.join(customers, "id").write.parquet(str(tmp_path / "out"))

    return program


def running(step):
    """A clock that runs ahead by `step` seconds whenever it is looked at."""
    ticks = itertools.count()
    return lambda: next(ticks) * step


@pytest.mark.parametrize("clocks", [
    {"work": running(BUDGET + 1)}, {"clock": running(BUDGET * (PATIENCE + 1))},
], ids=["work", "elapsed"])
def test_when_the_time_is_used_up_columns_are_given_up_and_datasets_are_not(captured, join, tmp_path, clocks):
    row, events = captured(join, **clocks)
    assert row["capture"] == "captured"
    assert sorted(name for _, name in row["inputs"]) == [str(tmp_path / name) for name in ("customers", "orders")]
    assert [name for _, name in row["outputs"]] == [str(tmp_path / "out")]
    assert row["columns"] == 0
    assert any(note.startswith("no columns: ") for note in row["notes"])
    end = events[-1]
    assert [one.name for one in end.outputs] == [str(tmp_path / "out")]
    assert [one.name for one in end.outputs[0].facets["schema"].fields] == ["id", "orders_id", "customers_id"]
    assert end.outputs[0].outputFacets["outputStatistics"].rowCount == 3


def test_waiting_for_a_busy_machine_costs_no_columns(captured, join):
    """Elapsed time runs a hundred times as fast as work, as it does where a hundred threads want each processor."""
    row, _ = captured(join, clock=running(BUDGET / 100))
    assert row["columns"] == 3
    assert row["notes"] == []


def test_a_plan_that_is_too_big_gives_its_datasets(captured, join, tmp_path):
    row, _ = captured(join, Limits(BUDGET, plan_bytes=1000))
    assert sorted(name for _, name in row["inputs"]) == [str(tmp_path / name) for name in ("customers", "orders")]
    assert [name for _, name in row["outputs"]] == [str(tmp_path / "out")]
    assert row["columns"] == 0
    assert any("longer than 1000 characters" in note for note in row["notes"])


def test_relations_beyond_the_limit_are_counted_out_loud(captured, join):
    row, _ = captured(join, Limits(BUDGET, leaves=1))
    assert len(row["inputs"]) == 1
    assert "more than 1 relations: the others are not known" in row["notes"]


def test_what_still_waits_when_the_program_ends_is_in_the_record(spark_session, tmp_path):
    release = threading.Event()

    class Slow(Kept):
        def emit(self, event):
            release.wait(60)

    session = spark_session.newSession()
    tap = ListenerTap(spark_session.sparkContext, session, capacity=10)
    kept = Kept()
    capture = new_capture(tap, Slow(), kept)
    try:
        for number in range(3):
            session.range(2).write.parquet(str(tmp_path / str(number)))
        tap.drain(30_000)
        capture.start()
        capture.stop(0.2)
    finally:
        release.set()
    lost, = (row for row in kept.rows.values() if row["capture"] == "dropped")
    assert lost["queries"] >= 2
    assert lost["reason"] == f"{lost['queries']} because the program ended before they were captured"


def test_another_thread_s_work_is_not_counted():
    jvm = Jvm(0.05, clock=lambda: 0.0)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin)
    thread.start()
    threading.Event().wait(0.3)
    jvm.check()
    stop.set()
    thread.join()
    with pytest.raises(OutOfTime, match=r"0\.05 s"):
        while True:
            jvm.check()
