"""Notebooks and threads that share a driver are told apart; what runs inside a statement is part of it."""
from __future__ import annotations

import threading

import pytest

from tests.case_harness.case import matches

pytestmark = pytest.mark.spark

LAKE = "abfss://lake@acct.dfs.core.windows.net"
NOTEBOOKS = 6
ROUNDS = 4


def test_concurrent_notebooks_keep_their_own_names_and_datasets(lake):
    """Each thread is a notebook with a session of its own; all write at the same time."""
    spark, problems = lake.spark, []
    if type(spark.sparkContext._gateway).__name__ != "ClientServer":
        pytest.skip("PYSPARK_PIN_THREAD is off, as it is before Spark 3.2: threads share their local properties")
    start = threading.Barrier(NOTEBOOKS)

    def notebook(number):
        try:
            session = spark.newSession()
            spark.sparkContext.setLocalProperty("spark.databricks.notebook.path", f"/Shared/nb{number}")
            spark.sparkContext.setLocalProperty("user", f"u{number}@example.com")
            start.wait(60)
            for turn in range(ROUNDS):
                frame = session.range(10).selectExpr(f"id as c{number}")
                frame.write.mode("overwrite").parquet(f"{LAKE}/threads/in{number}/{turn}")
                read = session.read.parquet(f"{LAKE}/threads/in{number}/{turn}")
                read.write.mode("overwrite").json(f"{LAKE}/threads/out{number}/{turn}")
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=notebook, args=(number,)) for number in range(NOTEBOOKS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    ended = [event for event in lake.ended() if event["inputs"]]
    assert len(ended) == NOTEBOOKS * ROUNDS
    for event in ended:
        number = event["inputs"][0]["name"].split("/")[1][2:]
        environment = event["run"]["facets"]["environment-properties"]["environment-properties"]
        assert environment["spark.databricks.notebook.path"] == f"/Shared/nb{number}"
        assert environment["user"] == f"u{number}@example.com"
        assert [one["name"] for one in event["outputs"]] == [event["inputs"][0]["name"].replace("/in", "/out")]
        assert list(event["outputs"][0]["facets"]["columnLineage"]["fields"]) == [f"c{number}"]
    assert len({event["run"]["runId"] for event in ended}) == len(ended)


def test_a_statement_with_statements_inside_is_one_process(lake):
    """A CTAS runs an insert, an INSERT OVERWRITE DIRECTORY a write: each is one process, with the rows written.

    Spark 3.2 and 3.3 do not tell that the write is the directory's: it is a run of its own, of the same process.
    """
    spark = lake.spark
    spark.range(5).write.mode("overwrite").parquet(f"{LAKE}/threads/numbers")
    lake.events()
    spark.sql(f"create table th_ctas using parquet as select id from parquet.`{LAKE}/threads/numbers`")
    spark.sql(f"insert overwrite directory '{LAKE}/threads/directory' using json select id from th_ctas")
    ended = lake.ended()
    written = {}
    for event in ended:
        (read,), (output,) = event["inputs"], event["outputs"]
        rows = output["outputFacets"].get("outputStatistics", {}).get("rowCount")
        written.setdefault((read["name"].rpartition("/")[2], output["name"].rpartition("/")[2]), []).append(rows)
    # Who asks for a command's result sets its metrics to zero before Spark 3.2, and before 3.1 in the inner one, too.
    first, second = next((rows for spec, rows in {
        "<3.1": ([None], [None]), ">=3.1,<3.2": ([5], [None]), ">=3.2,<3.4": ([5], [5, None]),
    }.items() if matches(spark.version, spec)), ([5], [5]))
    assert written == {("numbers", "th_ctas"): first, ("th_ctas", "directory"): second}
    assert {row["capture"] for row in lake.record.rows(len(ended))} == {"captured"}


def test_a_statement_without_sql_is_told_by_its_method(lake):
    lake.spark.range(5).write.mode("overwrite").parquet(f"{LAKE}/threads/method")
    assert lake.events()
    assert lake.record.rows(1)[0]["statement"] == "parquet"


def test_nothing_is_asked_of_catalog_or_file_system(lake, monkeypatch):
    """Every call that capture makes to the JVM, by name: none of those that could cost a listing or a credential."""
    from adb_lineage.capture.jvm import Jvm

    asked = set()
    original = Jvm.call

    def call(self, target, member, *arguments):
        asked.add(member)
        return original(self, target, member, *arguments)

    spark = lake.spark
    spark.range(5).write.mode("overwrite").parquet(f"{LAKE}/threads/asked")
    spark.sql(f"create table th_asked using parquet location '{LAKE}/threads/asked'")
    lake.events()
    monkeypatch.setattr(Jvm, "call", call)
    spark.sql("create table th_asked2 using parquet as select id + 1 as next from th_asked where id > 1")
    spark.sql("create view th_view as select next from th_asked2")
    spark.sql("select * from th_view").collect()
    spark.read.csv(f"{LAKE}/threads/asked").write.mode("overwrite").json(f"{LAKE}/threads/asked3")
    spark.sql("alter table th_asked2 rename to th_asked4")
    spark.sql("drop table th_asked4")
    assert len(lake.ended()) >= 5
    assert "analyzed" in asked
    forbidden = {"createRelation", "inputFiles", "sizeInBytes", "loadTable", "listFiles", "getTableMetadata",
                 "externalCatalog", "optimizedPlan", "stats", "snapshot", "deltaLog", "treeString", "simpleString"}
    assert not asked & forbidden
