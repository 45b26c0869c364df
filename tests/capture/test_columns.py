"""Columns of queries on real Spark, as its analysis gives them: expected in columns.yaml.

`versions` in a case are exceptions: for a range of Spark versions, why, and `skip` or what is expected there instead.
"""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from adb_lineage.capture.columns import ColumnLineage
from adb_lineage.capture.datasets import is_internal
from adb_lineage.capture.describing import Limits, Plans, open_describer, subqueries
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.sql_text import MAX_TEXT
from tests.case_harness.case import matches

pytestmark = pytest.mark.spark

CONTENT = yaml.safe_load(Path(__file__).with_name("columns.yaml").read_text(encoding="utf-8"))
TABLES = CONTENT.pop("tables")
CASES = [(section, case) for section, cases in CONTENT.items() for case in cases]


def on_this_version(case):
    import pyspark

    for spec, exception in case.get("versions", {}).items():
        if matches(pyspark.__version__, spec):
            return {**case, **exception}
    return case


@pytest.fixture(scope="module")
def prepared(spark_session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns")
    session = spark_session.newSession()
    for table, schema in TABLES.items():
        session.createDataFrame([], schema).write.parquet(str(folder / table))
        session.read.schema(schema).parquet(str(folder / table)).createOrReplaceTempView(table)
    session.udf.register("plus", lambda a, b: a + b, "int")
    session.udf.register("shout", lambda text: text.upper(), "string")
    return session, {table: str(folder / table) for table in TABLES}


@pytest.fixture(scope="module")
def written(prepared):
    """What a query would write, and the table of each leaf; `{t}` in it is the folder of a table."""
    session, folders = prepared
    describer = open_describer(session.sparkContext)

    def analyse(sql):
        jvm = Jvm(60.0)
        plans = Plans(describer, jvm, Limits())
        root = plans.describe(session.sql(sql.format(**folders))._jdf.queryExecution().analyzed()).root
        leaves = dict.fromkeys(leaf for part in [root, *subqueries(root)] for leaf in part.leaves()
                               if leaf.name == "LogicalRelation")
        tables = [jvm.lines(jvm.ask(plans.get(leaf), "relation", "location", "rootPaths"))[0].rpartition("/")[2]
                  for leaf in leaves]
        lineage = ColumnLineage({leaf: number for number, leaf in enumerate(leaves)}, 10_000)
        columns = lineage.evaluate(root)
        assert not lineage.lost
        return [one.name for one in columns.attributes], lineage.written(columns), tables

    return analyse


def edges(lineage, tables):
    return sorted({f"{tables[source.leaf]}.{source.column}{'' if way.subtype == 'IDENTITY' else ' ' + way.subtype}"
                   f"{' MASKED' if way.masking else ''}" for source, ways in lineage.items() for way in ways})


def listed(value):
    return sorted(value if isinstance(value, list) else [value])


@pytest.mark.parametrize(("section", "case"), CASES, ids=[f"{section}-{case['sql'][:60]}" for section, case in CASES])
def test_columns(written, section, case):
    case = on_this_version(case)
    if case.get("skip"):
        pytest.skip(case["why"])
    names, found, tables = written(case["sql"])
    assert {name: edges(found.columns.get(name, {}), tables) for name in names} == {
        name: listed(value) for name, value in case["columns"].items()}
    if "uses" in case:
        assert edges(found.uses, tables) == listed(case["uses"])
    for name, text in case.get("texts", {}).items():
        assert re.sub(r"#\d+L?", "", found.texts[name]) == text


def classes(value, found):
    """The parameter names of each class in a plan's JSON."""
    if isinstance(value, dict):
        if "class" in value:
            found.setdefault(value["class"], set()).update(value)
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        classes(one, found)
    return found


def test_parameters_have_the_names_that_spark_s_own_json_gives_them(prepared):
    """The describer reads them from class files: Scala's reflection, which Spark asks, is slow to start."""
    session, folders = prepared
    describer = open_describer(session.sparkContext)
    ours, spark_s = {}, {}
    for sql in [case["sql"] for _, case in CASES if not on_this_version(case).get("skip")]:
        plan = session.sql(sql.format(**folders))._jdf.queryExecution().analyzed()
        classes(json.loads(Plans(describer, Jvm(60.0), Limits()).describe(plan).text)["plan"], ours)
        classes(json.loads(plan.toJSON()), spark_s)
    assert len(spark_s) > 50
    for name, keys in ours.items():  # Spark leaves out what is None, the describer in expressions what says nothing
        keys -= {"operator", "sql-name"}
        assert keys <= spark_s.get(name, keys) or keys >= spark_s[name], name


def test_a_driver_s_first_query_does_not_wait_for_scala_s_reflection(spark_session):
    java = spark_session._jvm
    find = open_describer(spark_session.sparkContext)._java.getClass().getDeclaredMethod(
        "recordedNames", _array(spark_session, java.java.lang.Class, java.java.lang.Class.forName("java.lang.Class"),
                                java.java.lang.Integer.TYPE))
    find.setAccessible(True)
    for name, arity in (("plans.logical.Project", 2), ("expressions.Alias", 2), ("expressions.aggregate.First", 2),
                        ("expressions.AttributeReference", 4)):
        kind = java.java.lang.Class.forName(f"org.apache.spark.sql.catalyst.{name}")
        found = find.invoke(None, _array(spark_session, java.java.lang.Object, kind, arity))
        expected = java.org.apache.spark.sql.catalyst.ScalaReflection.getConstructorParameterNames(kind)
        assert ",".join(found) == expected.mkString(","), name


def _array(session, kind, *values):
    array = session.sparkContext._gateway.new_array(kind, len(values))
    for place, value in enumerate(values):
        array[place] = value
    return array


def test_a_text_has_an_end(written):
    _, found, _ = written(f"select concat({', '.join(['name'] * 400)}) as c, {' + '.join(['a'] * 400)} as d from t")
    assert len(found.texts["c"]) == MAX_TEXT
    assert found.texts["c"].endswith("…")
    assert len(found.texts["d"]) <= MAX_TEXT
    assert "…" in found.texts["d"]


@pytest.mark.parametrize("name", [
    "_metadata", "_change_type", "_commit_version", "_commit_timestamp", "__row_operation",
    "_databricks_internal_edge_computed_column_skip_row", "__delta_internal_row_index", "_row-id-col-1",
    "_row-commit-version-col-1"])
def test_internal_columns_of_databricks_never_show(written, name):
    assert is_internal(name)
    _, found, _ = written(f"select id, a as `{name}`, 1 as c from t")
    assert name not in found.columns
