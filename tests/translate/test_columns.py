"""Column mappings: grouped by pairs, on the names of the assets, each within Purview's limits."""
import json

import pytest

from adb_lineage.assets import AssetName
from adb_lineage.translate.columns import Detail, map_columns, nested_name
from tests.translate.world import LAKE, URL, dataset, event, lineage, process_of, translated

A, B, SINK = (AssetName("t", name) for name in ("a", "b", "sink"))


def mapping(translation, chosen=None):
    return json.loads(process_of(translation, chosen)["columnMapping"])


def pairs(groups):
    return {
        (group["DatasetMapping"]["Source"], group["DatasetMapping"]["Sink"], row["Source"], row["Sink"])
        for group in groups
        for row in group["ColumnMapping"]
    }


def test_the_accelerators_lost_and_doubled_groups():
    # The example of section 6.3, which the accelerator turned into four groups with one pair lost.
    edges = [("A", "x", "a"), ("A", "y", "b"), ("B", "z", "c"), ("B", "w", "d"), ("A", "x", "e"), ("B", "z", "e"),
             ("B", "z", "g"), ("A", "x", "g")]
    run = event(inputs=[dataset("A"), dataset("B")], outputs=[dataset("o", columnLineage=lineage(*edges))])
    groups = mapping(translated(run))
    assert [group["DatasetMapping"]["Source"] for group in groups] == [f"{URL}/A", f"{URL}/B"]
    assert pairs(groups) == {(f"{URL}/{name}", f"{URL}/o", source, sink) for name, source, sink in edges}
    assert groups[0]["ColumnMapping"][0] == {"Source": "x", "Sink": "a"}


def test_several_outputs_do_not_mix():
    outputs = [dataset(name, columnLineage=lineage(("A", "x", name))) for name in ("o", "p")]
    groups = mapping(translated(event(inputs=[dataset("A")], outputs=outputs)))
    assert pairs(groups) == {(f"{URL}/A", f"{URL}/o", "x", "o"), (f"{URL}/A", f"{URL}/p", "x", "p")}


def test_no_column_lineage_is_an_empty_list():
    run = event(inputs=[dataset("A")], outputs=[dataset("o")])
    assert process_of(translated(run))["columnMapping"] == "[]"


def test_a_file_or_partition_is_the_input_it_lies_in():
    edges = [("raw/A/f.csv", "x", "a"), ("raw/A/dt=1", "y", "b"), ("/raw/A", "w", "d"), ("raw/AB/f.csv", "z", "c")]
    run = event(inputs=[dataset("raw/A"), dataset("raw")], outputs=[dataset("o", columnLineage=lineage(*edges))])
    assert pairs(mapping(translated(run))) == {
        (f"{URL}/raw/A", f"{URL}/o", "x", "a"),
        (f"{URL}/raw/A", f"{URL}/o", "y", "b"),
        (f"{URL}/raw/A", f"{URL}/o", "w", "d"),
        (f"{URL}/raw", f"{URL}/o", "z", "c"),
    }


def test_the_namespace_counts_and_a_stranger_is_named_by_the_rules():
    facet = lineage(("A", "x", "a"), namespace="abfss://other@lake.dfs.core.windows.net")
    run = event(inputs=[dataset("A")], outputs=[dataset("o", columnLineage=facet)])
    assert pairs(mapping(translated(run))) == {("https://lake.dfs.core.windows.net/other/A", f"{URL}/o", "x", "a")}


def transformed(*transformations):
    field = {"namespace": LAKE, "name": "A", "field": "x", "transformations": list(transformations)}
    facet = {"fields": {"y": {"inputFields": [field]}}}
    return event(inputs=[dataset("A")], outputs=[dataset("o", columnLineage=facet)])


DIRECT = {"type": "DIRECT", "subtype": "IDENTITY", "description": "", "masking": False}
INDIRECT = {"type": "INDIRECT", "subtype": "FILTER", "description": "x > 5 and name = 'Jane'", "masking": False}


@pytest.mark.parametrize(
    ("transformations", "extra"),
    [
        ([], {}),
        ([DIRECT], {}),
        ([{**DIRECT, "subtype": "TRANSFORMATION", "description": "x * 2"}], {"Expression": "x * ?"}),
        ([INDIRECT], {"Type": "INDIRECT/FILTER", "Expression": "x > ? and name = '?'"}),
        ([DIRECT, {**INDIRECT, "description": ""}], {}),
        ([{"type": "INDIRECT"}, {"type": "INDIRECT", "subtype": "JOIN"}], {"Type": "INDIRECT,INDIRECT/JOIN"}),
        ([None, 7], {}),
    ],
)
def test_rows_tell_what_is_more_than_a_copy(transformations, extra):
    (group,) = mapping(translated(transformed(*transformations)))
    assert group["ColumnMapping"] == [{"Source": "x", "Sink": "y", **extra}]


def test_expressions_in_full_without_redaction_and_indirect_edges_by_the_setting():
    (group,) = mapping(translated(transformed(INDIRECT), redact=False))
    assert group["ColumnMapping"][0]["Expression"] == "x > 5 and name = 'Jane'"
    assert mapping(translated(transformed(INDIRECT), indirect=False)) == []


def test_what_the_whole_dataset_depends_on_has_the_sink_star():
    whole = [{"namespace": LAKE, "name": "A", "field": "d", "transformations": [INDIRECT]},
             {"namespace": LAKE, "name": "A", "field": "e"}]
    run = event(inputs=[dataset("A")], outputs=[dataset("o", columnLineage=lineage(("A", "x", "y"), whole=whole))])
    (group,) = mapping(translated(run))
    assert [(row["Source"], row["Sink"], row.get("Type")) for row in group["ColumnMapping"]] == [
        ("x", "y", None), ("d", "*", "INDIRECT/FILTER"), ("e", "*", "INDIRECT"),
    ]


def test_nested_names():
    assert nested_name("a._element.b") == "a.b"
    assert nested_name("_element") == "_element"
    assert nested_name("a.b") == "a.b"


def test_a_pair_stands_once_and_direct_wins():
    fields = [{"namespace": LAKE, "name": "A", "field": "x", "transformations": told}
              for told in ([{"type": "INDIRECT", "subtype": "JOIN"}], [DIRECT], [{"type": "INDIRECT"}])]
    facet = {"fields": {"y": {"inputFields": fields}}}
    twice = [dataset("o", columnLineage=facet), dataset("o", columnLineage=facet)]
    (group,) = mapping(translated(event(inputs=[dataset("A")], outputs=twice)))
    assert group["ColumnMapping"] == [{"Source": "x", "Sink": "y"}]


def sizes(groups, max_bytes):
    result = map_columns(groups, {}, max_bytes)
    for part in result.parts:
        assert len(part.encode()) + len("columnMapping") <= max_bytes
        json.loads(part)
    return result, [group for part in result.parts for group in json.loads(part)]


def test_what_goes_first_when_a_mapping_is_too_large():
    told = {
        (A, SINK): {(f"колонка {i}", f"c{i}"): Detail("", "выражение " * 20) for i in range(20)},
        (B, SINK): {(f"k{i}", "*"): Detail("INDIRECT/JOIN", "e" * 50) for i in range(20)},
    }
    everything = pairs(json.loads(map_columns(told, {}, 10**6).parts[0]))

    whole, groups = sizes(told, 20_000)
    assert (whole.lost, pairs(groups)) == ((), everything)

    shorter, groups = sizes(told, 8_000)
    assert shorter.lost == ("expressions of columns shortened",)
    assert pairs(groups) == everything
    assert all(len(row["Expression"]) <= 80 for group in groups for row in group["ColumnMapping"])

    without, groups = sizes(told, 3_000)
    assert without.lost == ("expressions of columns left out",)
    assert pairs(groups) == everything

    few, groups = sizes(told, 1_500)
    assert few.lost == ("expressions of columns left out", "20 indirect column pairs left out")
    assert pairs(groups) == {pair for pair in everything if pair[3] != "*"}

    split, groups = sizes(told, 400)
    assert split.lost[-1] == f"column mapping split over {len(split.parts)} processes"
    assert pairs(groups) == {pair for pair in everything if pair[3] != "*"}
    assert sum(len(group["ColumnMapping"]) for group in groups) == 20


def test_a_pair_that_fits_nowhere_is_named():
    result, groups = sizes({(A, SINK): {("x" * 500, "y"): Detail(), ("x", "y"): Detail()}}, 300)
    assert pairs(groups) == {("a", "sink", "x", "y")}
    assert "column pair of" in result.lost[-1]


def test_ten_thousand_columns_keep_every_pair():
    edges = [("A" if i % 2 else "B", f"column_{i}", f"column_{i}") for i in range(10_000)]
    run = event(inputs=[dataset("A"), dataset("B")], outputs=[dataset("o", columnLineage=lineage(*edges))])
    translation = translated(run)
    processes = [entity for entity in translation.entities() if entity["typeName"] == "databricks_process"]
    assert len(processes) > 1
    assert processes[-1]["attributes"]["qualifiedName"] == translation.process
    seen = [pair for process in processes for pair in sorted(pairs(json.loads(process["attributes"]["columnMapping"])))]
    assert len(seen) == len(set(seen)) == 10_000
    for process in processes:
        assert len(process["attributes"]["columnMapping"].encode()) + len("columnMapping") <= 32 * 1024
        assert process["attributes"]["inputs"] and process["attributes"]["outputs"]
        assert process["relationshipAttributes"] == processes[-1]["relationshipAttributes"]
    assert any(f"split over {len(processes)} processes" in skip.reason for skip in translation.skipped)


def test_sources_that_are_one_asset_in_the_catalog_are_one_group():
    # Purview folds the files of several years into one resource set.
    edges = [("raw/2023", "x", "y"), ("raw/2024", "x", "y"), ("raw/2024", "z", "y")]
    output = dataset("o", columnLineage=lineage(*edges))
    translation = translated(event(inputs=[dataset("raw/2023"), dataset("raw/2024")], outputs=[output]))
    years = AssetName("azure_datalake_gen2_resource_set", f"{URL}/raw/{{Year}}/{{SparkPartitions}}")
    chosen = {asset.name: years for asset in translation.assets[:2]}
    (group,) = mapping(translation, chosen)
    assert group["DatasetMapping"] == {"Source": years.qualified_name, "Sink": f"{URL}/o"}
    assert group["ColumnMapping"] == [{"Source": "x", "Sink": "y"}, {"Source": "z", "Sink": "y"}]
    assert len(mapping(translation)) == 2
