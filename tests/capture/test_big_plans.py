"""What capture costs does not grow with the size of a plan, or only in proportion to it."""
from __future__ import annotations

import pytest

from adb_lineage.capture.columns import ColumnLineage
from adb_lineage.capture.describing import Limits, Plans, open_describer
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.transformations import Source
from tests.capture.captured import captured_by
from tests.case_harness.case import matches

pytestmark = pytest.mark.spark


@pytest.fixture
def captured(spark_session):
    return captured_by(spark_session)


@pytest.fixture
def round_trips(captured, spark_session, tmp_path):
    """The round trips for a query with so many relations and so many operators above each."""
    for number in range(6):
        spark_session.range(1).write.parquet(str(tmp_path / f"in{number}"))

    def count(relations, operators):
        def program(session):
            frames = [session.read.parquet(str(tmp_path / f"in{number}")) for number in range(relations)]
            union = frames[0]
            for frame in frames[1:]:
                union = union.union(frame)
            for number in range(operators):
                union = union.where(f"id > {number}").selectExpr("id + 1 as id")
            union.write.mode("overwrite").csv(str(tmp_path / "out"))

        row, _ = captured(program)
        assert len(row["inputs"]) == relations
        assert row["columns"] == 1
        return row["round_trips"]

    return count


def test_round_trips_do_not_grow_with_the_number_of_operators(round_trips):
    assert round_trips(2, 40) == round_trips(2, 4)


def test_round_trips_grow_by_the_same_number_with_each_relation(round_trips):
    one, two, six = (round_trips(number, 1) for number in (1, 2, 6))
    assert six - two == 4 * (two - one)
    assert two - one < 20


def union_of(session, children):
    by_name = () if matches(session.version, "<3.1") else (False, False)
    return session._jvm.org.apache.spark.sql.catalyst.plans.logical.Union(children, *by_name)


def test_a_union_doubled_twenty_times_is_described_and_followed_once(spark_session, tmp_path):
    """The plan is built as such: Spark's own analysis would visit a million relations."""
    spark_session.range(3).write.parquet(str(tmp_path / "a"))
    java = spark_session._jvm
    plan = spark_session.read.parquet(str(tmp_path / "a"))._jdf.queryExecution().analyzed()
    for _ in range(20):
        both = java.java.util.ArrayList()
        both.add(plan)
        both.add(plan)
        plan = union_of(spark_session, java.org.apache.spark.api.python.PythonUtils.toSeq(both))
    jvm = Jvm(60.0)
    description = Plans(open_describer(spark_session.sparkContext), jvm, Limits()).describe(plan)
    assert description.detail == "all"
    assert len(description.text) < 20_000
    leaf, = description.root.leaves()
    columns = ColumnLineage({leaf: 0}, 1000).evaluate(description.root)
    assert [set(origin.lineage) for origin in columns.row()] == [{Source(0, "id")}]
    assert jvm.round_trips == 2


def test_a_node_that_breaks_costs_the_columns_and_not_the_relations(spark_session, tmp_path):
    """A proprietary node may throw when it is asked for its children; so does this one, which has none."""
    spark_session.range(3).write.parquet(str(tmp_path / "a"))
    java = spark_session._jvm
    both = java.java.util.ArrayList()
    both.add(spark_session.read.parquet(str(tmp_path / "a"))._jdf.queryExecution().analyzed())
    both.add(union_of(spark_session, None))
    plan = union_of(spark_session, java.org.apache.spark.api.python.PythonUtils.toSeq(both))
    description = Plans(open_describer(spark_session.sparkContext), Jvm(60.0), Limits()).describe(plan)
    assert description.detail == "leaves"
    assert "can't be told (java.lang.NullPointerException); not all of its leaves were reached" in description.reason
    assert [leaf.name for leaf in description.root.leaves()] == ["LogicalRelation"]


def test_ten_thousand_columns_are_followed_within_the_default_limits(captured, tmp_path):
    (tmp_path / "wide").mkdir()

    def program(session):
        names = [f"c{number}" for number in range(10_000)]
        wide = session.read.schema(", ".join(f"{name} int" for name in names)).parquet(str(tmp_path / "wide"))
        wide.selectExpr(*(f"{name} + c0 as {name}" for name in names)).write.json(str(tmp_path / "out"))

    row, events = captured(program, Limits())
    assert row["notes"] == []
    assert row["columns"] == 10_000
    fields = events[-1].outputs[0].facets["columnLineage"].fields
    assert sorted(one.field for one in fields["c9999"].inputFields) == ["c0", "c9999"]
