"""The record: merged, bounded, readable from elsewhere, never an exception."""
import json
import sqlite3
import subprocess
import sys
import threading

import pytest

from adb_lineage.record import Record
from tests.outbox.events import ManualClock


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "record.db")


def test_facts_are_merged_from_both_sides(path):
    capture, delivery = Record(path), Record(path)
    capture.note("r", capture="captured", statement="SELECT 1", why=None)
    delivery.note("r", delivery="waiting", delivery_reason="503")
    delivery.note("r", delivery="delivered", delivery_reason=None)
    (row,) = capture.rows()
    assert {key: row[key] for key in ("run_id", "capture", "statement", "delivery")} == {
        "run_id": "r", "capture": "captured", "statement": "SELECT 1", "delivery": "delivered"}
    assert "delivery_reason" not in row and "why" not in row
    assert capture.row("r")["delivery"] == "delivered" and capture.row("nobody") == {}


def test_rows_are_newest_first_and_bounded(path):
    record = Record(path, rows=1000)
    for index in range(3000):
        record.note(f"r{index}", capture="captured")
    assert [row["run_id"] for row in record.rows(2)] == ["r2999", "r2998"]
    assert 1000 <= record.coverage()["seen"] <= 1200


def test_coverage_counts_by_outcome_and_reason(path):
    clock = ManualClock()
    record = Record(path, clock=clock.time)
    record.note("a", capture="captured", delivery="delivered")
    clock.pass_(5)
    record.note("b", capture="skipped", reason="it moved no data")
    record.note("c", capture="skipped", reason="it moved no data")
    record.note("d", capture="failed", delivery="dead")
    assert record.coverage() == {
        "seen": 4,
        "since": clock.now - 5,
        "capture": {"captured": 1, "skipped": 2, "failed": 1},
        "delivery": {"delivered": 1, "dead": 1},
        "skipped": {"it moved no data": 2},
        "failed_in_spark": 0,
        "notes_lost": 0,
    }


def test_another_process_reads_while_threads_write(path):
    record = Record(path)
    threads = [
        threading.Thread(target=lambda name=name: [record.note(f"{name}-{index}", x=index) for index in range(200)])
        for name in range(4)
    ]
    for thread in threads:
        thread.start()
    code = "import sys; from adb_lineage.record import Record; print(len(Record(sys.argv[1]).rows(10**6)))"
    for _ in range(3):
        assert int(subprocess.check_output([sys.executable, "-c", code, path])) >= 0
    for thread in threads:
        thread.join()
    assert int(subprocess.check_output([sys.executable, "-c", code, path])) == 800


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), b"bytes", {("a", 1): 2}, "\ud800", "Имя$"])
def test_odd_facts_are_kept_somehow(path, value):
    record = Record(path)
    record.note("r", odd=value, kept="x")
    assert record.rows()[0]["kept"] == "x"


def test_a_fact_that_holds_itself_is_kept_somehow(path):
    loop = []
    loop.append(loop)
    record = Record(path)
    record.note("r", odd=loop, kept="x")
    assert record.rows()[0]["kept"] == "x"


def test_long_facts_give_way_longest_first(path):
    record = Record(path)
    record.note("r", assets=[{"name": "x" * 1000}] * 500, statement="y" * 1000, kept="z")
    row = record.rows()[0]
    assert row["kept"] == "z" and row["statement"] == "y" * 1000 and "left out" in row["assets"]
    record.note("many", **{f"key{index}": "v" * 50 for index in range(5000)})
    assert len(json.dumps(record.rows(1)[0])) < 100_000


def test_without_a_usable_folder_a_note_is_no_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    record = Record(str(tmp_path / "file" / "record.db"))
    for index in range(5000):
        record.note(f"r{index}", x=1)
    assert record.rows() == []
    assert record.coverage()["notes_lost"] == 3000
    record.close()


def test_notes_made_while_the_file_is_locked_arrive_later(path):
    record = Record(path, busy_seconds=0.05, retry_seconds=0.0)
    record.note("before", x=1)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    record.note("during", x=1)
    blocker.execute("ROLLBACK")
    blocker.close()
    record.note("after", x=1)
    assert [row["run_id"] for row in record.rows()] == ["after", "during", "before"]


def test_a_broken_record_is_set_aside(path):
    with open(path, "wb") as file:
        file.write(b"\xff" * 10_000)
    record = Record(path)
    record.note("r", x=1)
    assert [row["run_id"] for row in record.rows()] == ["r"]
