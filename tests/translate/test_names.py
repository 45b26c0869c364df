"""The name engine on its cases: every source, the accelerator's mappings, and what must hold for any dataset."""
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adb_lineage.assets import AssetName
from adb_lineage.translate.names import Mounts, NameEngine, default_rules, kin_of, load_rules, parse_rules
from adb_lineage.translate.names.cases import BUILT_IN_CASES, load_cases
from adb_lineage.translate.names.sources import sources_page
from tests.translate.fuzz_names import check, pairs

ROOT = Path(__file__).parents[2]
ACCELERATOR = ROOT / "tests" / "cases" / "names" / "accelerator"
CASES = load_cases(BUILT_IN_CASES)
ENGINE = NameEngine(default_rules())

SOURCES = """ADLS Gen2, ADLS Gen1, Blob, OneLake, DBFS root, Mounts, Volumes, Workspace files, Azure SQL Database,
Azure SQL Managed Instance, SQL Server, Synapse dedicated, Synapse serverless, PostgreSQL, MySQL, MariaDB, Oracle, Db2,
Teradata, SAP HANA, Snowflake, Redshift, BigQuery, Kusto, Cosmos DB (SQL), Cosmos DB (Mongo), Cassandra, MongoDB,
Amazon S3, Google Cloud Storage, HDFS, Kafka, Event Hubs, Hive metastore, Unity Catalog, Delta Sharing, Power BI,
Local files, Anything else"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}: {case.note or case.name}")
def test_case(case):
    assert case.failures(ENGINE) == []


WAYS_BACK = [
    ("azure_datalake_gen2_path", "https://acct.dfs.core.windows.net/c/raw/sales",
     "https://acct.blob.core.windows.net/c/raw/sales/{SparkPartitions}"),
    ("azure_blob_path", "https://acct.blob.core.windows.net/c/raw/2023",
     "https://acct.dfs.core.windows.net/c/raw/{Year}/{SparkPartitions}"),
    ("aws_s3_v2_object", "s3://bucket/raw/sales", "s3://bucket/raw/sales/"),
    ("azure_sql_table", "mssql://srv.database.windows.net/db/dbo/Orders",
     "mssql://srv.database.windows.net/db/dbo/orders"),
    # What the rules would not give that name to is not guessed at.
    ("azure_datalake_gen2_path", "https://acct.dfs.core.windows.net/c/raw/sales/", None),
    ("azure_sql_table", "dbo.Orders", None),
    ("databricks_table", "databricks://x/catalogs/c/schemas/s/tables/t", None),
]


@pytest.mark.parametrize(("type_name", "name", "other"), WAYS_BACK)
def test_from_a_name_in_the_catalog_to_the_others_of_the_asset(type_name, name, other):
    own = AssetName(type_name, name)
    kin = kin_of(own, ENGINE.within())
    assert bool(kin) == bool(other)
    assert not kin or own in kin and other in [one.qualified_name for one in kin]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}: {case.note or case.name}")
def test_the_way_back_ends_at_the_asset_or_nowhere(case):
    asset = case.explain(ENGINE).asset
    kin = kin_of(asset.name, ENGINE.within())
    assert not kin or asset.name in kin


@pytest.mark.parametrize("source", [source.strip() for source in SOURCES.split(",")])
def test_every_source_has_three_cases_one_of_them_odd(source):
    names = [case.namespace + case.name for case in CASES if case.source == source]
    assert len(names) >= 3
    assert any(re.search(r"[^\w./:@=;,-]", name) for name in names)


@pytest.mark.parametrize(
    "case", load_cases(ACCELERATOR / "cases.yaml"), ids=lambda case: f"{case.source}: {case.namespace} {case.name}"
)
def test_mapping_of_the_accelerator(case):
    assert case.failures(NameEngine(load_rules(ACCELERATOR / case.source))) == []


def test_a_case_that_fails_is_told():
    case = load_cases(BUILT_IN_CASES)[0]
    engine = NameEngine(parse_rules("{extends: nothing}"))
    failures = case.failures(engine)
    assert any("qualified name is" in failure for failure in failures)
    assert any("alternatives have no" in failure for failure in failures)


def test_page_of_sources_is_up_to_date():
    page = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    assert page == sources_page(CASES, ENGINE), "run: adb-lineage rules sources > docs/sources.md"


def test_explanation_names_every_rule_before_the_one_that_matched():
    explanation = ENGINE.explain("postgres://pg.corp.net", "db.t")
    assert explanation.asset.rule == "postgresql"
    rules = [rule.name for rule in default_rules().rules]
    assert [miss.rule for miss in explanation.misses] == rules[: rules.index("postgresql")]
    assert all(miss.reason for miss in explanation.misses)


def test_same_dataset_gives_the_same_asset_from_the_cache_and_afresh():
    first = ENGINE.name_dataset("dbfs", "/mnt/x/y", mounts=[{"mountPoint": "/mnt/x", "source": "abfss://c@a.dfs.x.y"}])
    again = ENGINE.name_dataset(
        "dbfs", "/mnt/x/y", mounts=Mounts([{"mountPoint": "mnt/x/", "source": "abfss://c@a.dfs.x.y/"}])
    )
    other = ENGINE.name_dataset("dbfs", "/mnt/x/y")
    assert first == again
    assert other.placeholder


def test_a_rule_that_fails_affects_its_dataset_alone():
    class Broken:
        name = "broken"

        def bind(self, namespace, variables):
            if "boom" in namespace:
                raise KeyError(namespace)
            return lambda name: 1 / 0 if name == "arithmetic" else {}["missing"]

    rules = default_rules()
    broken = type(rules)((Broken(), *rules.rules), rules.hosts)
    engine = NameEngine(broken)
    assert engine.name_dataset("abfss://c@boom.dfs.core.windows.net", "x").rule == "adls-gen2-path"
    explanation = engine.explain("abfss://c@a.dfs.core.windows.net", "x")
    assert explanation.asset.rule == "adls-gen2-path"
    assert explanation.misses[0].reason == "failed: KeyError('missing')"


def test_placeholder_says_what_it_stands_for():
    asset = ENGINE.name_dataset("clickhouse://u:pw@ch:8123", "db.t")
    assert asset.placeholder
    assert asset.alternatives == ()
    assert asset.attributes == {
        "purview_qualifiedName": "clickhouse://ch:8123/db.t",
        "original_source": "clickhouse://ch:8123",
    }


def test_what_a_placeholder_stands_for_has_no_secret():
    asset = ENGINE.name_dataset("https://example.com/a?token=hidden", "b")
    assert "hidden" not in str(asset)


def test_long_names_are_cut_and_stay_apart():
    long = "x" * 5000
    one = ENGINE.name_dataset("abfss://c@a.dfs.core.windows.net", long + "1")
    two = ENGINE.name_dataset("abfss://c@a.dfs.core.windows.net", long + "2")
    assert one.name != two.name
    assert len(one.name.qualified_name.encode()) == 4096
    assert one.placeholder


def test_random_pieces():
    ours = NameEngine(default_rules()), NameEngine(default_rules())
    deployed = ACCELERATOR / "deployed.json"
    theirs = NameEngine(load_rules(deployed)), NameEngine(load_rules(deployed))
    for number, (namespace, name) in zip(range(1500), pairs(20241123)):
        check(*ours, namespace, name)
        if number % 5 == 0:
            check(*theirs, namespace, name)


AGAIN = NameEngine(default_rules())


@settings(max_examples=300, deadline=None)
@given(namespace=st.text(), name=st.text())
def test_any_text(namespace, name):
    check(ENGINE, AGAIN, namespace, name)


@settings(max_examples=300, deadline=None)
@given(
    scheme=st.sampled_from(["abfss", "wasbs", "sqlserver", "postgres", "mysql", "oracle", "kafka", "hive", "s3", "x"]),
    authority=st.text(alphabet="abc.@:-_;=/ é", max_size=30),
    name=st.text(alphabet="abc./[]\"`'{}$= 2024éы\\", max_size=40),
)
def test_any_shape(scheme, authority, name):
    check(ENGINE, AGAIN, f"{scheme}://{authority}", name)
