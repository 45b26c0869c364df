"""`adb-lineage explain` on a record."""
from __future__ import annotations

import json

import pytest

from adb_lineage.cli import main
from adb_lineage.record import Record

CAPTURED = {
    "when": "2026-11-23T01:02:03.004+00:00", "execution": 7, "function": "command", "user": "ada@example.com",
    "notebook": "/Users/ada/заметки", "databricks_job": "12", "databricks_run": "34", "cell": "56",
    "job": "spark.execute_x", "statement": "insert into  t\n select *   from u", "operation": "InsertIntoHadoopFs",
    "capture": "captured", "reason": "", "failed": "", "inputs": [["abfss://lake@acct.dfs.core.windows.net", "u"]],
    "outputs": [["file", "/w/t"]], "columns": 3, "notes": ["relation x.Y is of an unknown kind"], "seconds": 0.0123,
    "round_trips": 49,
}


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setenv("ADB_LINEAGE_DATA_DIR", str(tmp_path))
    record = Record(str(tmp_path / "record.sqlite"))
    yield record
    record.close()


def test_a_captured_statement_is_told_with_all_that_is_known_of_it(record, capsys):
    record.note("r1", **CAPTURED)
    record.note("r1", delivery="delivered", process="databricks://ws/process")
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.splitlines()[:9] == [
        "2026-11-23 01:02:03Z  captured  ada@example.com, /Users/ada/заметки, job 12 run 34, cell 56",
        "  insert into t select * from u  [InsertIntoHadoopFs by command]",
        "  reads   abfss://lake@acct.dfs.core.windows.net/u",
        "  writes  file:/w/t",
        "  note: relation x.Y is of an unknown kind",
        "  3 columns with lineage, 12 ms, 49 round trips",
        "  delivery: delivered",
        "  process: databricks://ws/process",
        "",
    ]


def test_one_column_is_one_column(record, capsys):
    record.note("r1", **{**CAPTURED, "columns": 1})
    assert main(["explain"]) == 0
    assert "  1 column with lineage, 12 ms, 49 round trips" in capsys.readouterr().out


def test_the_figures_count_what_was_seen_captured_skipped_dropped_and_failed(record, capsys):
    record.note("r1", **CAPTURED)
    for number in range(3):
        record.note(f"s{number}", capture="skipped", reason="ShowTables moves no data")
    record.note("s9", capture="skipped", reason="the query reads no dataset")
    record.note("f1", capture="failed", reason="capture failed: ValueError: x")
    record.note("lost", capture="dropped", queries=40, reason="40 because the queue was full")
    record.note("r1", delivery="waiting")
    assert main(["explain", "--last", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("46 statements seen since ")
    assert lines[0].endswith(": 1 captured, 4 skipped, 40 dropped, 1 failed")
    assert lines[1:] == ["  skipped      3  ShowTables moves no data", "  skipped      1  the query reads no dataset",
                         "delivery: 1 waiting"]


def test_the_newest_statements_come_first_and_json_has_the_same(record, capsys):
    for number in range(5):
        record.note(f"r{number}", **{**CAPTURED, "statement": f"select {number}"})
    assert main(["explain", "--last", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["statement"] for one in found["statements"]] == ["select 4", "select 3"]
    assert found["coverage"]["seen"] == 5
    assert main(["explain", "--last", "1"]) == 0
    assert "select 4" in capsys.readouterr().out


def test_a_skipped_and_a_failed_statement_say_why(record, capsys):
    record.note("r1", when="2026-11-23T01:02:03+00:00", capture="skipped", reason="a temporary view is no dataset",
                statement="create temporary view v as select 1", operation="CreateViewCommand")
    record.note("r2", **{**CAPTURED, "failed": "[DIVIDE_BY_ZERO] no"})
    assert main(["explain"]) == 0
    output = capsys.readouterr().out
    assert "  reason: a temporary view is no dataset" in output
    assert "  failed in Spark: [DIVIDE_BY_ZERO] no" in output
    assert ": 1 captured, 1 skipped, 0 dropped, 0 failed; 1 of them failed in Spark\n" in output


def test_without_any_statement_it_says_so(record, capsys):
    assert main(["explain"]) == 0
    assert "no statement in the record" in capsys.readouterr().out


@pytest.mark.parametrize("last", ["-1", "x"])
def test_a_bad_number_is_refused(record, capsys, last):
    with pytest.raises(SystemExit) as stopped:
        main(["explain", "--last", last])
    assert stopped.value.code == 2
    assert "--last" in capsys.readouterr().err
