"""The main job on real Spark: files, tables, views, caches, JDBC, failures."""
from __future__ import annotations

import pytest

from tests.case_harness.case import matches

pytestmark = pytest.mark.spark

ABFSS = "abfss://lake@acct.dfs.core.windows.net"


def names(datasets):
    return [(one["namespace"], one["name"]) for one in datasets]


def columns(event):
    """`{output column: {input column: set of subtypes}}` of an event with one output."""
    facet = event["outputs"][0]["facets"]["columnLineage"]
    return {column: {one["field"]: {way["subtype"] for way in one["transformations"]} for one in found["inputFields"]}
            for column, found in facet["fields"].items()}


@pytest.fixture(scope="module")
def orders(observed):
    path = f"{ABFSS}/main/orders"
    observed.spark.createDataFrame(
        [(1, "a", 10.0), (2, "b", 20.0)], "id long, customer string, amount double").write.parquet(path)
    observed.spark.read.parquet(path).createOrReplaceTempView("main_orders")
    observed.events()
    return path


@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "orc", "text"])
def test_files_are_read_and_written_under_their_azure_names(lake, kind):
    spark = lake.spark
    source, target = f"{ABFSS}/files/{kind}/in", f"{ABFSS}/files/{kind}/out"
    spark.createDataFrame([("x",)], "value string").write.format(kind).save(source)
    lake.events()
    reader = spark.read.format(kind).schema("value string")
    reader.load(source).selectExpr("upper(value) as value").write.format(kind).save(target)
    start, end = lake.events()
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert names(end["inputs"]) == [(ABFSS, f"files/{kind}/in")]
    assert names(end["outputs"]) == [(ABFSS, f"files/{kind}/out")]
    assert columns(end) == {"value": {"value": {"TRANSFORMATION"}}}
    assert end["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 1


def test_ctas_is_one_run_at_the_tables_location(lake, orders):
    lake.spark.sql("create table main_ctas using parquet as select id, sum(amount) total from main_orders group by id")
    end, = lake.ended()
    output = end["outputs"][0]
    assert names(end["inputs"]) == [(ABFSS, "main/orders")]
    assert output["name"].endswith("/warehouse/main_ctas")
    assert output["facets"]["symlinks"]["identifiers"][0]["name"] == "default.main_ctas"
    assert output["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    if not matches(lake.spark.version, "<3.1"):  # it does not count the rows of a CTAS
        assert output["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert columns(end) == {"id": {"id": {"IDENTITY"}}, "total": {"amount": {"AGGREGATION"}}}
    assert [one["name"] for one in output["facets"]["schema"]["fields"]] == ["id", "total"]


def test_inserts_and_save_as_table_reach_the_same_table(lake, orders):
    spark = lake.spark
    spark.table("main_orders").write.saveAsTable("main_t")
    spark.sql("insert into main_t select id, customer, amount * 2 from main_orders")
    spark.sql("insert overwrite main_t select id, customer, amount from main_orders")
    spark.table("main_orders").write.insertInto("main_t")
    ended = lake.ended()
    assert len({(one["outputs"][0]["namespace"], one["outputs"][0]["name"]) for one in ended}) == 1
    changes = [one["outputs"][0]["facets"].get("lifecycleStateChange", {}).get("lifecycleStateChange") for one in ended]
    assert changes == ["CREATE", None, "OVERWRITE", None]
    assert columns(ended[1])["amount"] == {"amount": {"TRANSFORMATION"}}


def test_partitions_belong_to_their_table(lake, orders):
    spark = lake.spark
    spark.sql("create table main_parts (id long, day string) using parquet partitioned by (day)")
    spark.sql("insert into main_parts partition (day = '2024-01-01') select id from main_orders")
    spark.table("main_orders").write.partitionBy("customer").parquet(f"{ABFSS}/main/by_customer")
    spark.read.parquet(f"{ABFSS}/main/by_customer/customer=a").write.parquet(f"{ABFSS}/main/of_a")
    create, insert, write, read = lake.ended()
    assert create["outputs"][0]["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    assert insert["outputs"][0]["name"].endswith("/main_parts")
    assert write["outputs"][0]["name"] == "main/by_customer"
    assert names(read["inputs"]) == [(ABFSS, "main/by_customer")]


def test_views_and_caches_are_seen_through(lake, orders):
    spark = lake.spark
    spark.sql("create temporary view main_v as select id, amount as price from main_orders")
    cached = spark.table("main_v").cache()
    cached.count()
    lake.events()
    cached.select("price").write.json(f"{ABFSS}/main/prices")
    end, = lake.ended()
    cached.unpersist()
    assert names(end["inputs"]) == [(ABFSS, "main/orders")]
    assert columns(end) == {"price": {"amount": {"IDENTITY"}}}


def test_jdbc_tables_and_queries_are_read_as_their_tables(lake, orders):
    spark, url = lake.spark, "jdbc:derby:memory:main;create=true"
    spark.table("main_orders").select("id", "customer").write.jdbc(url, "APP.CUSTOMERS", mode="overwrite")
    write = lake.ended()[-1]
    assert names(write["outputs"]) == [("derby:memory:main", "APP.CUSTOMERS")]
    customers = spark.read.jdbc(url, "APP.CUSTOMERS")
    customers.join(spark.table("main_orders").select("id", "amount"), "id").write.parquet(f"{ABFSS}/main/joined")
    query = "select c.\"id\" as k from APP.CUSTOMERS c"
    spark.read.format("jdbc").option("url", url).option("query", query).load().write.parquet(f"{ABFSS}/main/keys")
    joined, keys = lake.ended()
    assert names(joined["inputs"]) == [("derby:memory:main", "APP.CUSTOMERS"), (ABFSS, "main/orders")]
    assert names(keys["inputs"]) == [("derby:memory:main", "APP.CUSTOMERS")]
    both = joined["outputs"][0]["facets"]["columnLineage"]["dataset"]
    assert {(one["field"], one["transformations"][0]["subtype"]) for one in both} == {("id", "JOIN")}


@pytest.mark.parametrize(("query", "expected"), [
    ("with c as (select id, sum(amount) s from main_orders group by id) select a.id, b.s from c a join c b using (id)",
     {"id": {"id": {"IDENTITY"}}, "s": {"amount": {"AGGREGATION"}}}),
    ("select id, (select max(amount) from main_orders) m from main_orders where id in (select id from main_orders)",
     {"id": {"id": {"IDENTITY"}}, "m": {"amount": {"AGGREGATION"}}}),
    ("select id, customer x from main_orders union all select id + 1, upper(customer) from main_orders",
     {"id": {"id": {"IDENTITY", "TRANSFORMATION"}}, "x": {"customer": {"IDENTITY", "TRANSFORMATION"}}}),
    ("select id, row_number() over (partition by customer order by amount) n,"
     " sum(amount) over (partition by customer) s from main_orders",
     {"id": {"id": {"IDENTITY"}}, "n": {"customer": {"WINDOW"}, "amount": {"WINDOW"}},
      "s": {"customer": {"WINDOW"}, "amount": {"AGGREGATION"}}}),
    ("select case when id > 1 then customer else 'none' end c, md5(customer) h from main_orders",
     {"c": {"id": {"CONDITIONAL"}, "customer": {"TRANSFORMATION"}}, "h": {"customer": {"TRANSFORMATION"}}}),
    ("select id, e from main_orders lateral view explode(array(amount, amount + 1)) x as e",
     {"id": {"id": {"IDENTITY"}}, "e": {"amount": {"TRANSFORMATION"}}}),
    ("select customer, sum(amount) s from main_orders group by rollup (customer)",
     {"customer": {"customer": {"IDENTITY"}}, "s": {"amount": {"AGGREGATION"}}}),
    ("select o.id from main_orders o where exists (select 1 from main_orders i where i.id = o.id)",
     {"id": {"id": {"IDENTITY"}}}),
])
def test_columns(lake, orders, query, expected):
    lake.spark.sql(query).write.mode("overwrite").parquet(f"{ABFSS}/main/columns")
    end, = lake.ended()
    assert columns(end) == expected


def test_reads_are_recognised_as_reads(lake, orders):
    lake.spark.table("main_orders").collect()
    end, = lake.ended()
    assert names(end["inputs"]) == [(ABFSS, "main/orders")]
    assert end["outputs"] == []


def test_a_failed_query_is_a_failed_run_with_its_message(lake, orders):
    with pytest.raises(Exception, match="boom"):
        failing = lake.spark.sql(
            "select id, cast(assert_true(concat(customer, 'boom') = '') as string) x from main_orders")
        failing.write.parquet(f"{ABFSS}/main/failed")
    end, = lake.ended()
    assert end["eventType"] == "FAIL"
    assert "boom" in str(end["run"]["facets"]["errorMessage"])
    assert names(end["inputs"]) == [(ABFSS, "main/orders")]


def test_the_run_id_is_a_uuid7_that_a_replay_repeats(lake, orders):
    lake.spark.table("main_orders").write.mode("overwrite").parquet(f"{ABFSS}/main/ids")
    start, end = lake.events()
    assert start["run"]["runId"][14] == "7"
    row = lake.record.rows(1)[0]
    assert row["run_id"] == end["run"]["runId"]
    application = lake.capture.application
    from datetime import datetime

    started = datetime.fromisoformat(start["eventTime"].replace("Z", "+00:00"))
    assert application.run_id(round(started.timestamp() * 1000), row["execution"]) == end["run"]["runId"]
