"""Rule files: what they may say, how they are refused, hosts, mounts, templates and identifiers."""
import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adb_lineage.errors import SettingsError
from adb_lineage.translate.names import NameEngine, RuleError, default_rules, load_rules, parse_rules
from adb_lineage.translate.names.hosts import Hosts
from adb_lineage.translate.names.identifiers import Levels, NotAnIdentifier, split_identifier, split_query
from adb_lineage.translate.names.mounts import Mounts
from adb_lineage.translate.names.paths import path_facts, segment_pattern
from adb_lineage.translate.names.template import Template

ROOT = Path(__file__).parents[2]
BAD = yaml.safe_load((ROOT / "tests" / "cases" / "rules" / "bad.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["says"][:60])
def test_a_bad_file_is_refused_with_the_reason(case):
    with pytest.raises(RuleError) as refusal:
        parse_rules(case["text"], "my-rules.yaml")
    assert str(refusal.value).startswith("my-rules.yaml, line ")
    assert case["says"] in str(refusal.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="can't read the rules"):
        load_rules(tmp_path / "no.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="can't read the rules"):
        load_rules(tmp_path / "bytes.yaml")


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_rule_file_or_refused(text):
    with contextlib.suppress(RuleError):
        parse_rules(text)


def test_the_built_in_rules_are_read_once():
    assert default_rules() is default_rules()


def test_own_rules_come_first_and_replace_those_of_their_name():
    rules = parse_rules("""
rules:
- rule: clickhouse
  namespace: 'clickhouse://(?P<host>%{host})(?::\\d+)?'
  levels: [database: '{param_database}', table]
  unless: {database: '^system$'}
  fold: lower
  type: clickhouse_table
  qualified_name: 'clickhouse://{host|lower}/{database}/{table}'
  alternatives:
  - self
  - clickhouse_view: 'clickhouse://{host|lower}/{database}/{table}'
- rule: kafka
  namespace: 'kafka://(?P<host>%{host}).*'
  type: my_topic
  qualified_name: '{host|label}/{name}'
""")
    engine = NameEngine(rules)
    asset = engine.name_dataset("clickhouse://CH.corp:8123?database=Db", "Orders")
    assert asset.name == ("clickhouse_table", "clickhouse://ch.corp/Db/Orders")
    assert asset.alternatives[-1] == ("clickhouse_view", "clickhouse://ch.corp/db/orders")
    assert engine.name_dataset("clickhouse://ch", "system.parts").placeholder
    assert engine.name_dataset("kafka://b.corp:9092", "t").name == ("my_topic", "b/t")
    assert [rule.name for rule in rules.rules].count("kafka") == 1
    assert engine.name_dataset("abfss://c@a.dfs.core.windows.net", "x").rule == "adls-gen2-path"


def test_a_file_may_stand_alone():
    engine = NameEngine(parse_rules("extends: nothing\nhosts: {a: b}"))
    assert engine.name_dataset("abfss://c@a.dfs.core.windows.net", "x").rule == "placeholder"
    assert NameEngine(parse_rules("")).name_dataset("s3://b", "x").rule == "s3-path"


def test_renaming_a_host_is_one_line():
    engine = NameEngine(parse_rules("hosts: {10.1.2.3: sqlprod.database.windows.net}"))
    asset = engine.name_dataset("sqlserver://10.1.2.3:1433", "db.dbo.t")
    assert asset.name == ("azure_sql_table", "mssql://sqlprod.database.windows.net/db/dbo/t")


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        (r"sqlserver://10.0.0.4\PROD:1433;databaseName=d", "t", "mssql://db.corp/PROD/d/dbo/t"),
        ("sqlserver://;serverName=10.0.0.4;databaseName=d", "t", "mssql://db.corp/MSSQLSERVER/d/dbo/t"),
        ("oracle:thin:@10.0.0.4:1521:XE", "HR.T", "oracle://db.corp/XE/HR/T"),
        ("jdbc:oracle:thin:scott/tiger@//10.0.0.4:1521/XE", "HR.T", "oracle://db.corp/XE/HR/T"),
        ("oracle:thin:@(DESCRIPTION=(ADDRESS=(HOST=10.0.0.4))(CONNECT_DATA=(SID=S)))", "HR.T", "oracle://db.corp/S/HR/T"),
        ("mysql://address=(host=10.0.0.4)(port=33)(password=p)/db", "t", "mysql://servers/db.corp:33/dbs/db/tables/t"),
    ],
)
def test_a_host_is_renamed_wherever_the_driver_has_it(namespace, name, expected):
    engine = NameEngine(parse_rules("hosts: {10.0.0.4: db.corp}"))
    assert engine.name_dataset(namespace, name).name.qualified_name == expected


@pytest.mark.parametrize(
    "namespace",
    [
        "jdbc:oracle:thin:scott/geheim@//ora:1521/XE", 'jdbc:oracle:thin:scott/"geh@eim"@ora:1521:XE',
        "jdbc:db2://h:50000/S:password=geheim;user=u;", "jdbc:db2://h:50000/S:user=u;password=geheim;",
        "jdbc:teradata://td/PASSWORD=geheim,USER=u", "jdbc:mysql://(host=h,port=3306,user=u,password=geheim)/db",
        "postgresql://u:geh/eim@h:5432/db", "sqlserver://h:1433;user=u;password=geheim;database=d",
        "jdbc:vertica://u:geheim@h/db?password=geheim", "redis://:geheim@h:6379", "nosuch:h:password=geheim",
        "s3a://AKIA:geh/eim@bucket", "https://u:geheim@es.corp:9200", "hdfs://u:geheim@nn:8020",
    ],
)
@pytest.mark.parametrize("rules", ["deployed.json", "legacy-settings.json", None])
def test_no_password_gets_into_a_name(namespace, rules):
    folder = ROOT / "tests" / "cases" / "names" / "accelerator"
    engine = NameEngine(load_rules(folder / rules) if rules else default_rules())
    for name in ("A.B", "A", "db.s.t", "(select 1) q"):
        assert "eim" not in repr(engine.name_dataset(namespace, name))


def test_example_of_the_documentation_works():
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = page.split("```yaml\n")[1:]
    assert len(blocks) >= 3
    for block in blocks:
        parse_rules(block.split("```")[0], "docs/extending.md")


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        ("sqlserver://SRV.privatelink.corp:1433;x=1", "sqlserver://srv.corp:1433;x=1"),
        ("abfss://c@srv.privatelink.corp/dir", "abfss://c@srv.corp/dir"),
        ("postgres://10.0.0.4:5432/db", "postgres://pg.corp:5432/db"),
        ("postgres://10.0.0.4:5433/db", "postgres://pg2.corp:5499/db"),
        ("jdbc:oracle:thin:@//10.0.0.4:1521/x", "jdbc:oracle:thin:@//pg.corp:1521/x"),
        ("mongodb://u:p@10.0.0.4", "mongodb://u:p@pg.corp"),
        ("postgres://10.0.0.44:5432", "postgres://10.0.0.44:5432"),
        ("bigquery", "bigquery"),
        ("//10.0.0.4", "//10.0.0.4"),
    ],
)
def test_hosts(namespace, expected):
    hosts = Hosts({"*.privatelink.corp": "*.corp", "10.0.0.4": "pg.corp", "10.0.0.4:5433": "pg2.corp:5499"})
    assert hosts.canonical(namespace) == expected


def test_mounts():
    mounts = Mounts([
        {"mountPoint": "/mnt/a", "source": "abfss://old@x"},
        {"mountPoint": "/mnt/a/", "source": "abfss://c@x/sub/"},
        {"mountPoint": "/", "source": "DatabricksRoot"},
        {"mountPoint": "/Volumes", "source": "UnityCatalogVolumes"},
        {"mountPoint": None, "source": 1}, "text", {},
    ])
    assert mounts.resolve("/mnt/a/b") == ("abfss://c@x/sub", "/b")
    assert mounts.resolve("/mnt/a") == ("abfss://c@x/sub", "/")
    assert mounts.resolve("/mnt/ab") is None
    assert mounts.resolve("") is None
    assert not Mounts()
    names = NameEngine(default_rules()).within(mounts)
    assert names("dbfs", "/mnt/a/b").name == names("file:", "/mnt/a/b").name == names("abfss://c@x", "/sub/b").name
    assert names("abfss://c@y", "/mnt/a/b").name[1] == "https://y/c/mnt/a/b"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.b.c", ["a", "b", "c"]),
        ("[a].[b.c]", ["a", "b.c"]),
        ("[a]]b]", ["a]b"]),
        ('"a""b".c', ['a"b', "c"]),
        ("`a``b`.`c.d`", ["a`b", "c.d"]),
        ("db..t", ["db", "", "t"]),
        (" [a] . [b] ", ["a", "b"]),
        ("[a].", ["a", ""]),
        ("", [""]),
        ("a.[b].c", ["a", "b", "c"]),
    ],
)
def test_identifiers(name, parts):
    assert split_identifier(name) == parts


@pytest.mark.parametrize("name", ["[a", 'a"b', "[a]b", "`", "a.[b"])
def test_what_is_no_identifier(name):
    with pytest.raises(NotAnIdentifier):
        split_identifier(name)


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=4))
def test_quoted_identifiers_come_back(parts):
    for opening, closing in ("[]", '""', "``"):
        quoted = ".".join(opening + part.replace(closing, closing * 2) + closing for part in parts)
        assert split_identifier(quoted) == parts


@pytest.mark.parametrize(
    ("name", "given_database", "expected"),
    [
        ("t", "d", "d/dbo/t"), ("s.t", "d", "d/s/t"), ("o.s.t", "d", "o/s/t"), ("d.d.s.t", "d", "d/s/t"),
        ("d.t", "", "d/dbo/t"), ("d.s.t", "", "d/s/t"), ("d.o.s.t", "", "o/s/t"), ("D.d.s.t", "", "d/s/t"),
        ("d..t", "", "d/dbo/t"), ("t", "", None), ("l.o.s.t", "d", None), ("a.b.c.d.e", "", None), ("d.s.", "", None),
    ],
)
def test_levels(name, given_database, expected):
    levels = Levels(("database", "schema", "table"), {"schema": "dbo"})
    if expected is None:
        with pytest.raises(NotAnIdentifier):
            levels.fill(name, {"database": given_database})
    else:
        values = levels.fill(name, {"database": given_database})
        assert "/".join(values[level] for level in levels.names) == expected


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("(select 1) q", ("", "(select 1) q")),
        (" SELECT a", ("", "SELECT a")),
        ("SELECT*from t", ("", "SELECT*from t")),
        ("with x as (select 1) select 2", ("", "with x as (select 1) select 2")),
        ("db.(select 1) q", ("db.", "(select 1) q")),
        ("[d b].s.select 1", ("[d b].s.", "select 1")),
        ("selected", None), ("select", None), ("orders", None), ("[select].t", None), ("call.records", None),
        ("exec.t", None), ("db.with.t", None), ("a.b.c.(select 1) q", None),
    ],
)
def test_queries(name, query):
    assert split_query(name) == query


def test_templates():
    template = Template("{{x}}/{a|lower}/{b|default:none|upper}")
    assert template.fill({"a": "A$1{x}", "b": None}) == "{x}/a$1{x}/NONE"
    assert template.fill({"a": "", "b": "y"}) is None
    assert template.variables == ("a",)
    given_a = template.given({"a": "Q", "b": "B"}, frozenset({"b"}))
    assert given_a.fill({}) == "{x}/q/NONE"
    assert given_a.fill({"b": "c"}) == "{x}/q/C"
    assert Template("x").constant
    assert Template("{a}").simple == ("", "a", "")


@pytest.mark.parametrize(
    ("segment", "pattern"),
    [
        ("sales_2024-01-31_7.csv", "sales_{Year}-{Month}-{Day}_{N}.csv"),
        ("20240131.json", "{Year}{Month}{Day}.json"),
        ("f_2b9c0a4e-8a57-4f6e-9c53-1de0cb7d6c0a.json", "f_{GUID}.json"),
        ("v12", "v{N}"),
        ("plain.csv", "plain.csv"),
    ],
)
def test_patterns_of_resource_sets(segment, pattern):
    assert segment_pattern(segment) == pattern


def test_a_dated_folder_is_never_its_neighbour():
    facts = path_facts("raw/2023/x"), path_facts("raw/2024/x")
    for name in ("path", "folder", "spark_set"):
        assert facts[0][name] != facts[1][name]
    assert path_facts("/") == {}


def test_patterns_of_an_account_choose_among_a_rules_names():
    rules = parse_rules("patterns: {oracle_table: 'oracle://(?<Server>[^/]+)/(?<Schema>[^/]+)/(?<Table>[^/]+)$'}")
    asset = NameEngine(rules).name_dataset("oracle://ora:1521", "SVC.HR.EMP")
    assert asset.name == ("oracle_table", "oracle://ora/HR/EMP")
    assert asset.name in asset.alternatives
    never = parse_rules("patterns: {oracle_table: 'nothing fits'}")
    assert NameEngine(never).name_dataset("oracle://ora:1521", "SVC.HR.EMP").name[1] == "oracle://ora/SVC/HR/EMP"


def test_the_accelerators_mapping_as_a_setting_in_one_string():
    path = ROOT / "tests" / "cases" / "names" / "accelerator" / "deployed.json"
    once = json.dumps(json.loads(path.read_text(encoding="utf-8")))
    for text in (once, json.dumps(once), json.dumps({"OlToPurviewMappings": json.loads(once)["olToPurviewMappings"]})):
        assert parse_rules(text).rules[0].name == "wasbsNLayerMnt"
