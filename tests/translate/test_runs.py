"""Events of one run become one picture, and the picture a process."""
import hashlib
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adb_lineage.assets import AssetName
from adb_lineage.translate import TranslateOptions, translate_run
from adb_lineage.translate.process import process_hash
from tests.translate.world import (
    HOST,
    LAKE,
    NOTEBOOK,
    URL,
    WORKSPACE,
    dataset,
    event,
    lineage,
    names,
    process_of,
    translated,
)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest().upper()


ONE = [
    event("START", inputs=[dataset("in1")], environment=NOTEBOOK),
    event("RUNNING", inputs=[dataset("in1"), dataset("in2")], time="2026-01-01T00:00:02Z"),
    event("COMPLETE", outputs=[dataset("out", schema={"fields": [{"name": "a", "type": "long"}]})],
          time="2026-01-01T00:00:05Z"),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_events_are_merged_in_any_order(order):
    expected = translated(*ONE)
    translation = translated(*[ONE[position] for position in order])
    assert translation == expected
    assert json.dumps(translation.entities()) == json.dumps(expected.entities())
    process = process_of(translation)
    assert names(process["inputs"]) == [f"{URL}/in1", f"{URL}/in2"]
    assert names(process["outputs"]) == [f"{URL}/out"]
    assert process["qualifiedName"].startswith(f"databricks://{HOST}/notebooks/Shared/nb/processes/")
    assert translation.state == "COMPLETE"


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        (["START"], "START"),
        (["START", "RUNNING"], "RUNNING"),
        (["START", "RUNNING", "COMPLETE"], "COMPLETE"),
        (["START", "FAIL"], "FAIL"),
        (["START", "FAIL", "COMPLETE"], "FAIL"),
        (["START", "ABORT", "COMPLETE"], "ABORT"),
        (["start", "complete"], "COMPLETE"),
        (["OTHER"], "OTHER"),
        (["what is this"], "OTHER"),
        ([None], "OTHER"),
    ],
)
def test_state(kinds, state):
    events = [event(kind, inputs=[dataset("a")], outputs=[dataset("b")]) for kind in kinds]
    assert translated(*events).state == state
    assert translated(*reversed(events)).state == state


def test_several_completes_count_once():
    complete = event(inputs=[dataset("a")], outputs=[dataset("b")])
    assert translated(complete) == translated(complete, complete, json.loads(json.dumps(complete)))


def test_a_self_join_counts_twice_in_the_identity_and_once_in_the_inputs():
    translation = translated(event(inputs=[dataset("a"), dataset("a")], outputs=[dataset("b")]))
    process = process_of(translation)
    assert names(process["inputs"]) == [f"{URL}/a"]
    assert process["qualifiedName"].endswith(f"/{md5(f'{URL}/a,{URL}/a')}->{md5(f'{URL}/b')}")


def test_facets_of_all_events_are_one():
    start = event("START", inputs=[dataset("a", schema={"fields": [{"name": "x", "type": "string"}]})],
                  environment={**NOTEBOOK, "mountPoints": None})
    complete = event(inputs=[dataset("a", schema={"_deleted": False, "fields": [{"name": "y", "type": "long"}]})],
                     outputs=[dataset("/mnt/m/b", "dbfs", columnLineage=lineage(("a", "x", "y")))],
                     environment={"spark.databricks.notebook.path": None,
                                  "mountPoints": [{"mountPoint": "/mnt/m", "source": LAKE}]})
    later = event(outputs=[dataset("/mnt/m/b", "dbfs", columnLineage=lineage(("a", "x", "z")))],
                  time="2026-01-01T00:00:09Z")
    translation = translated(start, complete, later)
    process = process_of(translation)
    assert names(process["outputs"]) == [f"{URL}/b"]
    assert [column.name for column in translation.assets[0].columns] == ["y"]
    assert "/notebooks/Shared/nb/" in process["qualifiedName"]
    rows = json.loads(process["columnMapping"])[0]["ColumnMapping"]
    assert rows == [{"Source": "x", "Sink": "y"}, {"Source": "x", "Sink": "z"}]


def test_a_deleted_facet_is_gone():
    first = event("START", inputs=[dataset("a", schema={"fields": [{"name": "x"}]})], outputs=[dataset("b")])
    last = event(inputs=[dataset("a", schema={"_deleted": True})], outputs=[dataset("b")])
    assert translated(first, last).assets[0].columns == ()


def test_self_write_is_lineage():
    process = process_of(translated(event(inputs=[dataset("t"), dataset("s")], outputs=[dataset("t")])))
    assert names(process["inputs"]) == [f"{URL}/t", f"{URL}/s"]
    assert names(process["outputs"]) == [f"{URL}/t"]


def test_same_name_in_two_containers_is_lineage():
    # The accelerator compared names without their namespaces and dropped this (B-20).
    other = dataset("retail", "abfss://other@lake.dfs.core.windows.net")
    assert translated(event(inputs=[dataset("retail")], outputs=[other])).has_lineage


@pytest.mark.parametrize("sides", [{"inputs": [dataset("a")]}, {"outputs": [dataset("a")]}])
def test_one_sided_runs_are_recorded_and_the_setting_decides(sides):
    translation = translated(event(**sides))
    assert not translation.has_lineage
    assert translation.process is None
    assert translation.entities() == []
    assert [asset.name.qualified_name for asset in translation.assets] == [f"{URL}/a"]
    assert "include_one_sided" in translation.skipped[0].reason
    process = process_of(translated(event(**sides), include_one_sided=True))
    assert len(process["inputs"]) + len(process["outputs"]) == 1


def test_failed_runs_say_so_and_the_setting_decides():
    failed = event("FAIL", inputs=[dataset("a")], outputs=[dataset("b")],
                   errorMessage={"message": "bad password=hunter2\nat line", "programmingLanguage": "SQL"})
    description = process_of(translated(failed, include_failed=True))["description"]
    assert "FAIL" in description
    assert "bad password=***" in description
    translation = translated(failed)
    assert not translation.has_lineage
    assert "include_failed" in translation.skipped[0].reason


def test_identity_of_the_accelerator():
    # The one value that the reference publishes: an input hash beginning with B596CF43.
    path = "https://splineexamplessa.blob.core.windows.net/rawdata/testcase/eleven/exampleinputb"
    assert process_hash([path], ["x"]).startswith("B596CF43")
    # Inputs are lower-cased and sorted in their own case, an output is neither.
    assert process_hash(["https://A/b", "https://A/B"], ["https://A/Out"]) == (
        f"{md5('https://a/b,https://a/b')}->{md5('https://A/Out')}"
    )
    assert process_hash(["b", "Z", "a"], ["o"]) == f"{md5('z,a,b')}->{md5('o')}"
    # Two outputs: sorted, both in the identity.
    assert process_hash(["i"], ["y", "X"]) == process_hash(["i"], ["X", "y"]) == f"{md5('i')}->{md5('X,y')}"
    # Not ASCII: the accelerator gave all paths of one length the same name.
    assert process_hash(["путь"], ["o"]) != process_hash(["друг"], ["o"])


def test_process_moves_to_the_chosen_assets_and_keeps_its_name():
    output = dataset("b", columnLineage=lineage(("a", "x", "y")))
    translation = translated(event(inputs=[dataset("a")], outputs=[output], environment=NOTEBOOK))
    before = process_of(translation)
    own = {asset.name.qualified_name: asset.name for asset in translation.assets}
    scanned = AssetName("azure_datalake_gen2_resource_set", f"{URL}/a/{{SparkPartitions}}")
    after = process_of(translation, {own[f"{URL}/a"]: scanned})
    assert after["qualifiedName"] == before["qualifiedName"]
    assert after["inputs"] == [
        {"typeName": "azure_datalake_gen2_resource_set", "uniqueAttributes": {"qualifiedName": scanned.qualified_name}}
    ]
    assert json.loads(after["columnMapping"])[0]["DatasetMapping"] == {
        "Source": scanned.qualified_name, "Sink": f"{URL}/b",
    }
    assert process_of(translation) == before


def test_two_datasets_that_are_one_asset_become_one_input():
    scanned = AssetName("hive_table", "d.t@w")
    translation = translated(event(inputs=[dataset("a"), dataset("a2")], outputs=[dataset("b")]))
    chosen = {asset.name: scanned for asset in translation.assets if asset.display_name.startswith("a")}
    assert names(process_of(translation, chosen)["inputs"]) == ["d.t@w"]


def test_entities_may_be_changed_by_who_gets_them():
    translation = translated(event(inputs=[dataset("a")], outputs=[dataset("b")], environment=NOTEBOOK))
    first = translation.entities()
    for entity in first:
        entity["guid"] = "-1"
        entity["attributes"]["name"] = "changed"
    assert "changed" not in json.dumps(translation.entities())
    assert "guid" not in json.dumps(translation.entities())


def test_facts_of_the_run_are_told():
    start = event("START", inputs=[dataset("a")], environment={
        **NOTEBOOK, "orgId": "4630430682081461", "spark.databricks.job.id": "12", "spark.databricks.job.runId": "99",
        "spark.databricks.job.parentRunId": "98", "spark.databricks.job.type": "notebook",
        "spark.databricks.job.taskKey": "load"})
    done = event(inputs=[dataset("a")], time="2026-01-01T00:01:30.5Z",
                 outputs=[{**dataset("b"), "outputFacets": {"outputStatistics": {"rowCount": 1200, "size": 5}}}])
    description = process_of(translated(start, done))["description"]
    for fact in ("Reads 1, writes 1", "COMPLETE", "2026-01-01T00:01:30.5Z", "90.5 s", "1200 rows",
                 "someone@example.com", f"https://{HOST}/jobs/12/runs/98?o=4630430682081461"):
        assert fact in description


def test_the_plan_is_redacted_and_goes_when_it_is_too_large():
    plan = {"plan": [{"class": "org.apache.spark.sql.catalyst.expressions.Literal", "value": "Jane Doe"},
                     {"class": "x.JDBCRelation",
                      "options": {"password": "hunter2", "url": "jdbc:x://u:pw@h/d?token=abc"}}]}
    both = {"inputs": [dataset("a")], "outputs": [dataset("b")]}
    told = process_of(translated(event(**both, **{"spark.logicalPlan": plan})))["sparkPlan"]
    assert json.loads(told)["plan"][0]["value"] == "***"
    for secret in ("Jane", "hunter2", "pw@", "abc"):
        assert secret not in told
    raw = process_of(translated(event(**both, **{"spark.logicalPlan": plan}), redact=False))["sparkPlan"]
    assert json.loads(raw) == plan
    large = translated(event(**both, **{"spark.logicalPlan": {"plan": ["x" * 40_000]}}))
    assert process_of(large)["sparkPlan"] == "{}"
    assert large.skipped[0].subject == "sparkPlan"
    assert "40013 bytes" in large.skipped[0].reason
    assert process_of(translated(event(**both, **{"spark.logicalPlan": plan}), plan=False))["sparkPlan"] == "{}"


def node(kind, **fields):
    return {"class": f"org.apache.spark.sql.catalyst.expressions.{kind}", "num-children": 0, **fields}


JANE = node("Literal", value="Jane Doe", dataType="string")
PLANS = [
    # As Spark's optimizer leaves it: the names of columns are made of expressions, a folded literal of several.
    ([JANE, node("Alias", name="(name = Jane Doe)"), node("Alias", name="Jane Doe")],
     ["***", "(name = ***)", "***"]),
    ([node("Literal", value="keys: [Jane], values: [7001]"), node("Alias", name="map(Jane, 7001)")],
     ["***", "map(***, ***)"]),
    ([node("Literal", value=7001), node("AttributeReference", name="count(x)"), node("Alias", name="name")],
     ["***", "count(x)", "name"]),
    ([node("CreateView", originalText="select * from t where name = 'Jane' and token='x'")],
     ["select * from t where name = '?' and token='?'"]),
    # A plan that comes as text, whole and cut (the agent cuts at 50,000 characters).
    (json.dumps([JANE]), ["***"]),
    (json.dumps([node("Project", name="x"), JANE])[:-20], ["***"]),
    (json.dumps([node("Project", name="x"), JANE])[:-30], ["***"]),
]


@pytest.mark.parametrize(("plan", "told"), PLANS)
def test_no_literal_of_a_plan_is_told_in_whatever_form_it_comes(plan, told):
    facets = {"spark.logicalPlan": {"_producer": "p", "plan": plan}}
    text = process_of(translated(event(inputs=[dataset("a")], outputs=[dataset("b")], **facets)))["sparkPlan"]
    assert "Jane" not in text and "7001" not in text
    redacted = json.loads(text)["plan"]
    assert isinstance(redacted, type(plan))
    for part in told:
        assert part in str(redacted)


def test_an_asset_of_thousands_of_datasets_loses_its_plan_and_no_dataset():
    inputs = [dataset(f"{'deep/' * 40}{number}") for number in range(8000)]
    translation = translated(event(inputs=inputs, outputs=[dataset("b")], **{"spark.logicalPlan": {"plan": ["x"]}}))
    process = process_of(translation)
    assert len(process["inputs"]) == 8000
    assert process["sparkPlan"] == "{}"
    assert any(skip.subject == "sparkPlan" for skip in translation.skipped)


def test_columns_of_assets_nested_ones_with_dots():
    schema = {"fields": [
        {"name": "id", "type": "long", "description": "key"},
        {"name": "s", "type": "struct", "fields": [{"name": "x", "type": "int"}]},
        {"name": "items", "type": "array", "fields": [
            {"name": "_element", "type": "struct", "fields": [{"name": "price", "type": "double"}]}]},
        {"name": "m", "type": "map", "fields": [{"name": "key", "type": "string"}, {"name": "value", "type": "int"}]},
        {"type": "lost"}, None, {"name": "id", "type": "again"},
    ]}
    columns = translated(event(inputs=[dataset("a", schema=schema)])).assets[0].columns
    assert [(column.name, column.type) for column in columns] == [
        ("id", "long"), ("s", "struct"), ("s.x", "int"), ("items", "array"), ("items.price", "double"),
        ("m", "map"), ("m.key", "string"), ("m.value", "int"),
    ]
    assert columns[0].description == "key"


UC = {"identifiers": [{"namespace": "unity-catalog", "name": "main.s.t", "type": "TABLE"}]}
TABLE = "databricks://11111111-2222-3333-4444-555555555555/catalogs/main/schemas/s/tables/t"
METASTORE = "11111111-2222-3333-4444-555555555555"


def test_the_setting_chooses_between_location_and_table_and_links_them():
    run = event(inputs=[dataset("ext/t", symlinks=UC)], outputs=[dataset("b")])
    for prefer, first in (("location", f"{URL}/ext/t"), ("table", TABLE)):
        translation = translated(run, prefer=prefer, metastore=METASTORE)
        assert translation.assets[0].name.qualified_name == first
        (link,) = translation.links
        assert (link.location.name.qualified_name, link.table.name.qualified_name) == (f"{URL}/ext/t", TABLE)


@pytest.mark.parametrize(
    "location",
    [
        ("abfss://uc@lake.dfs.core.windows.net", f"{METASTORE}/tables/22222222-2222-3333-4444-555555555555"),
        (LAKE, "root/__unitystorage/schemas/22222222-2222-3333-4444-555555555555/tables/22222222-2222-3333"),
        ("file", "/local/disk/warehouse/t"),
    ],
)
def test_storage_that_no_scan_reaches_never_stands_for_a_table(location):
    namespace, name = location
    metastore = None if METASTORE in name else METASTORE
    translation = translated(event(inputs=[dataset(name, namespace, symlinks=UC)], outputs=[dataset("b")]),
                             metastore=metastore)
    assert translation.assets[0].name.qualified_name == TABLE


def test_a_warehouse_folder_as_namespace_stands_for_the_workspaces_metastore():
    symlinks = {"identifiers": [{"namespace": f"{LAKE}/db", "name": "db.t", "type": "TABLE"}]}
    translation = translated(event(inputs=[dataset("db/t", symlinks=symlinks)], outputs=[dataset("b")]))
    assert translation.assets[0].name.qualified_name == f"{URL}/db/t"
    assert translation.links[0].table.name == AssetName("hive_table", f"db.t@{HOST}")


def test_malformed_parts_are_skipped_with_the_reason_and_the_rest_stays():
    bad = event(inputs=[dataset("a"), None, 7, {"namespace": 1, "name": "x"}, {"name": "no namespace"}, {}],
                outputs=[dataset("b", schema={"fields": "none"}, symlinks={"identifiers": [None, {"name": "x"}]},
                                 columnLineage={"fields": {"y": {"inputFields": [None, {"field": 1}, "x"]}, "z": 3}})])
    translation = translated(bad, None, "text", {"no": "run"}, {"run": None})
    assert names(process_of(translation)["inputs"]) == [f"{URL}/a"]
    reasons = [skip.reason for skip in translation.skipped]
    assert "NoneType is not a dataset" in reasons
    assert "dataset without namespace or name: 1, 'x'" in reasons
    assert "str is not a JSON object" in reasons
    assert "no run: not a run event" in reasons


def test_nothing_at_all():
    translation = translate_run([], TranslateOptions())
    assert (translation.run_id, translation.state, translation.assets) == ("", "OTHER", ())
    assert not translation.has_lineage


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
SOUND = event(inputs=[dataset("a", schema={"fields": [{"name": "x", "type": "int"}]}, symlinks=UC)],
              outputs=[dataset("b", columnLineage=lineage(("a", "x", "y"), whole=[{"namespace": LAKE, "name": "a",
                                                                                  "field": "x"}]))],
              environment={**NOTEBOOK, "spark.databricks.job.id": "1", "adb_lineage.job": {"parameters": ["x"]}})


def paths_in(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_in(item, (*path, key))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_damage_is_survived(data):
    damaged = json.loads(json.dumps(SOUND))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([path for path in paths_in(damaged) if path]))
        holder = damaged
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = data.draw(JSON)
    translation = translated(damaged, SOUND)
    again = translated(json.loads(json.dumps(SOUND)), json.loads(json.dumps(damaged)))
    assert translation.assets == again.assets
    assert json.dumps(translation.entities()).encode() == json.dumps(again.entities()).encode()


def test_text_that_utf8_cannot_hold_and_nesting_without_end():
    deep = current = {}
    for _ in range(5000):
        current["fields"] = [{"name": "x"}]
        current = current["fields"][0]
    output = dataset("b", schema=deep, columnLineage=lineage(("\ud800", "\udfff", "y\ud800")))
    broken = event(inputs=[dataset("\ud800")], outputs=[output], **{"spark.logicalPlan": {"plan": deep}},
                   environment={"spark.databricks.notebook.path": "/\ud800/nb", "user": "\ud800"})
    translation = translated(broken, broken)
    json.dumps(translation.entities(), ensure_ascii=False).encode("utf-8")
    assert translation.has_lineage


def test_options_have_no_side_effects():
    one, two = TranslateOptions(), TranslateOptions(workspace=WORKSPACE)
    assert one.rules is two.rules
    assert translate_run(ONE, one) == translate_run(ONE, one)
