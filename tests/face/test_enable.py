"""The public face around real programs: what the user's program sees, and what arrives."""
from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.slow]

ENABLE = "import adb_lineage; adb_lineage.enable()"
JOB = """
    spark = session()
    spark.range(5).selectExpr("id", "id * 2 as v").write.parquet(folder + "/a")
    spark.read.parquet(folder + "/a").createOrReplaceTempView("a")
    spark.sql("create table t using parquet as select id, sum(v) as total from a group by id")
    print("user output")
"""
OURS = ("adb_lineage", "adb.lineage", "openlineage", "Traceback", "py4j")


def ended(events):
    return [event for event in events if event["eventType"] != "START"]


def test_a_program_that_only_uses_spark_yields_the_right_events(programs):
    done = programs.run(JOB + "    spark.stop()", before=ENABLE, **programs.file_transport())
    assert done.returncode == 0, done.stderr
    assert done.stdout == "user output\n"
    write, table = ended(programs.events())
    assert write["outputs"][0]["name"] == f"{programs.folder}/a"
    assert [one["name"] for one in table["inputs"]] == [f"{programs.folder}/a"]
    assert table["outputs"][0]["name"] == f"{programs.folder}/warehouse/t"
    assert table["job"]["name"] == "nightly_job.execute_create_data_source_table_as_select_command.default_t"
    fields = table["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert {name: [one["field"] for one in found["inputFields"]] for name, found in fields.items()} == {
        "id": ["id"], "total": ["v"]}
    assert table["run"]["facets"]["environment-properties"]["environment-properties"][
        "spark.databricks.notebook.path"] == "program.py"


def test_the_users_program_prints_the_same_with_and_without_us(programs):
    plain = programs.run(JOB)
    with_us = programs.run(JOB.replace('"/a"', '"/b"').replace("table t", "table u"), before=ENABLE,
                           **programs.file_transport())
    assert with_us.stdout == plain.stdout
    assert not [line for line in with_us.stderr.splitlines() if any(mark in line for mark in OURS)]


def test_nothing_is_lost_when_the_program_just_ends(programs):
    assert programs.run(JOB, before=ENABLE, **programs.file_transport()).returncode == 0
    assert len(ended(programs.events())) == 2


def test_flush_waits_for_a_capture_that_is_still_in_the_making(programs):
    slowly = """
        import time
        import adb_lineage
        from adb_lineage.lineage import Lineage
        build = Lineage._build
        Lineage._build = lambda *given: (time.sleep(20), build(*given))[1]
        lineage = adb_lineage.enable()
    """
    counted = "    print(lineage.flush(200), sum(1 for _ in open(folder + '/events.ndjson')))"
    done = programs.run(JOB + counted, before=slowly, **programs.file_transport())
    assert done.stdout.splitlines()[-1:] == ["True 4"], done.stderr


def test_spark_is_stopped_with_work_pending_and_started_again(programs):
    body = """
        spark = session()
        for n in range(5):
            spark.range(n + 1).write.parquet(f"{folder}/first{n}")
        spark.stop()
        spark = session()
        spark.range(3).write.parquet(folder + "/second")
        spark.stop()
    """
    done = programs.run(body, before=ENABLE, **programs.file_transport())
    assert done.returncode == 0, done.stderr
    names = [event["outputs"][0]["name"].rsplit("/", 1)[1] for event in ended(programs.events())]
    assert names == ["first0", "first1", "first2", "first3", "first4", "second"]


def test_enable_twice_is_once_and_disable_leaves_no_trace(programs):
    body = """
        import json
        spark = session()
        first, second = adb_lineage.enable(spark), adb_lineage.enable(spark)
        spark.range(5).write.parquet(folder + "/seen")
        assert first.flush(60)
        state = {"same": first is second, "tap": adb_lineage.status()["tap"]}
        adb_lineage.disable()
        state["queues"] = spark.sparkContext._jsc.sc().listenerBus().activeQueues().toString()
        spark.range(5).write.parquet(folder + "/unseen")
        state["after"] = adb_lineage.status()["state"]
        adb_lineage.enable(spark)
        spark.range(5).write.parquet(folder + "/seen_again")
        adb_lineage.disable()
        json.dump(state, open(folder + "/state.json", "w"))
        spark.sparkContext.setLogLevel("WARN")
        spark.stop()
    """
    done = programs.run(body, before="import adb_lineage", **programs.file_transport())
    assert done.returncode == 0, done.stderr
    state = json.loads((programs.folder / "state.json").read_text())
    assert state["same"] is True
    assert state["tap"] == "relay"
    assert state["after"] == "off"
    assert "adb_lineage" not in state["queues"]
    names = [event["outputs"][0]["name"].rsplit("/", 1)[1] for event in ended(programs.events())]
    assert names == ["seen", "seen_again"]
    assert not [line for line in done.stderr.splitlines() if any(mark in line for mark in OURS)]


def test_disable_while_queries_run_in_other_threads(programs):
    body = """
        import threading, time
        spark = session()
        lineage = adb_lineage.enable(spark)
        stop = threading.Event()
        errors = []
        def work(n):
            try:
                while not stop.is_set():
                    spark.range(10).write.mode("overwrite").parquet(f"{folder}/w{n}")
            except Exception as error:
                errors.append(error)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for one in threads: one.start()
        time.sleep(4)
        adb_lineage.disable()
        time.sleep(1)
        stop.set()
        for one in threads: one.join()
        print("errors", errors)
    """
    done = programs.run(body, before="import adb_lineage", **programs.file_transport())
    assert done.stdout == "errors []\n", done.stderr
    assert not [line for line in done.stderr.splitlines() if any(mark in line for mark in OURS)]


BROKEN = """
class T:
    kind = "broken"
    def emit(self, event): raise {error}("no")
    def close(self, timeout=-1): raise {error}("no")
"""


@pytest.mark.parametrize("error", ["OSError", "SystemExit"])
def test_a_broken_transport_is_in_the_record_and_nowhere_else(programs, error):
    body = """
        import json
        spark = session()
        lineage = adb_lineage.enable(spark, transport=T())
        spark.range(5).write.parquet(folder + "/a")
        spark.range(5).write.parquet(folder + "/b")
        lineage.flush(60)
        json.dump(adb_lineage.status(), open(folder + "/state.json", "w"), default=str)
        print("fine")
    """
    done = programs.run(body, before="import adb_lineage" + BROKEN.format(error=error))
    assert done.stdout == "fine\n", done.stderr
    assert not [line for line in done.stderr.splitlines() if any(mark in line for mark in OURS)]
    state = json.loads((programs.folder / "state.json").read_text())
    assert state["queries"]["not_emitted"] == 2
    assert "not emitted" in state["newest"][0]["reason"]


def test_a_bad_setting_is_refused_at_once_and_in_words(programs):
    body = """
        from adb_lineage.errors import SettingsError
        try:
            adb_lineage.enable(settings={"acount": "x"})
        except SettingsError as error:
            print(error)
    """
    done = programs.run(body, before="import adb_lineage")
    assert "acount" in done.stdout


def test_without_a_target_the_program_runs_and_status_says_what_is_missing(programs):
    done = programs.run(JOB + "    print(adb_lineage.status()['problem'])", before=ENABLE)
    assert done.returncode == 0, done.stderr
    assert "account" in done.stdout
    assert "endpoint" in done.stdout
