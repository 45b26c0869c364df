"""Lineage over HTTP: direction, depth, width, parents, pages, direct edges."""
from __future__ import annotations

import pytest

PATH = "azure_datalake_gen2_path"


@pytest.fixture
def chain(api, make):
    """d0 -> p1 -> d1 -> p2 -> d2 -> p3 -> d3, and a side input `s` of p2."""
    api.upsert(*(make.entity(PATH, f"d{number}") for number in range(4)), make.entity(PATH, "s"))
    for number in (1, 2, 3):
        inputs = [make.ref(PATH, f"d{number - 1}")] + ([make.ref(PATH, "s")] if number == 2 else [])
        api.upsert(make.entity("databricks_process", f"p{number}", inputs=inputs,
                               outputs=[make.ref(PATH, f"d{number}")], columnMapping=f'"{number}"'))
    return api


def graph(api, type_name, name, prefix="/datamap/api/atlas/v2", **params):
    """Edges by name, sorted, and the raw answer."""
    params = {"direction": "BOTH", **params, "attr:qualifiedName": name}
    answer = api.get(f"/lineage/uniqueAttribute/type/{type_name}", params=params, prefix=prefix)
    shown = {guid: header["displayText"] for guid, header in answer["guidEntityMap"].items()}
    edges = sorted(f"{shown[one['fromEntityId']]}>{shown[one['toEntityId']]}" for one in answer["relations"])
    return edges, answer, shown


@pytest.mark.parametrize(("type_name", "name", "params", "expected"), [
    (PATH, "d1", {"depth": 1}, ["d0>p1", "d1>p2", "p1>d1", "p2>d2"]),
    (PATH, "d1", {"depth": 1, "direction": "INPUT"}, ["d0>p1", "p1>d1"]),
    (PATH, "d1", {"depth": 1, "direction": "output"}, ["d1>p2", "p2>d2"]),
    (PATH, "d0", {"depth": 2}, ["d0>p1", "d1>p2", "p1>d1", "p2>d2"]),
    (PATH, "d3", {"direction": "INPUT"},
     ["d0>p1", "d1>p2", "d2>p3", "p1>d1", "p2>d2", "p3>d3", "s>p2"]),
    (PATH, "d3", {"direction": "INPUT", "depth": 2}, ["d1>p2", "d2>p3", "p2>d2", "p3>d3", "s>p2"]),
    (PATH, "d0", {"depth": 0}, ["d0>p1", "d1>p2", "d2>p3", "p1>d1", "p2>d2", "p3>d3"]),
    ("databricks_process", "p2", {"depth": 1}, ["d1>p2", "p2>d2", "s>p2"]),
    ("Process", "p2", {"depth": 2, "direction": "INPUT"}, ["d0>p1", "d1>p2", "p1>d1", "s>p2"]),
])
def test_depth_counts_dataset_hops(chain, type_name, name, params, expected):
    edges, answer, shown = graph(chain, type_name, name, **params)
    assert edges == expected
    assert answer["lineageDepth"] == params.get("depth", 3)
    assert answer["lineageDirection"] == params.get("direction", "BOTH").upper()
    assert set(shown.values()) == {end for edge in edges for end in edge.split(">")}


def test_by_guid_is_the_same(chain):
    _, answer, _ = graph(chain, PATH, "d1")
    guid = answer["baseEntityGuid"]
    assert chain.get(f"/lineage/{guid}", params={"direction": "BOTH"}) == answer
    assert set(answer) == {
        "baseEntityGuid", "lineageDirection", "lineageDepth", "lineageWidth", "childrenCount", "includeParent",
        "guidEntityMap", "relations", "parentRelations", "widthCounts",
    }
    process = next(one for one in answer["guidEntityMap"].values() if one["displayText"] == "p1")
    assert process["attributes"]["columnMapping"] == '"1"'
    relation = answer["relations"][0]["relationshipId"]
    assert chain.get(f"/relationship/guid/{relation}")["relationship"]["status"] == "ACTIVE"


def test_width_bounds_what_is_expanded_and_counts_tell_the_rest(api, make):
    api.upsert(make.entity(PATH, "hub"), *(
        make.entity("databricks_process", f"p{number:02}", inputs=[make.ref(PATH, "hub")]) for number in range(15)))
    edges, answer, _ = graph(api, PATH, "hub", direction="OUTPUT")
    assert (len(edges), answer["lineageWidth"]) == (10, 10)
    assert answer["widthCounts"]["OUTPUT"][answer["baseEntityGuid"]] == 15
    assert edges[0] == "hub>p00"
    assert len(graph(api, PATH, "hub", direction="OUTPUT", width=3)[0]) == 3
    assert len(graph(api, PATH, "hub", direction="OUTPUT", width=0)[0]) == 15


def test_counts_are_the_neighbours_on_that_side(chain):
    _, answer, shown = graph(chain, PATH, "d2", direction="INPUT")
    counts = {shown[guid]: count for guid, count in answer["widthCounts"]["INPUT"].items()}
    assert counts == {"d2": 1, "p2": 2, "d1": 1, "s": 0, "p1": 1, "d0": 0}


def test_pages_of_direct_neighbours(chain):
    guid = chain.guid("databricks_process", "p2")
    for service in ("/datamap/api", "/catalog/api", "/datamap/api/atlas/v2"):
        page = chain.get(
            f"/lineage/{guid}/next/", prefix=service, params={"direction": "INPUT", "limit": 1, "offset": 0})
        assert len(page["guidEntityMap"]) == 2  # the base and one more
        assert page["widthCounts"] == {"BOTH": None}
        assert "parentRelations" not in page
    assert page["relations"][0]["toEntityId"] == guid
    rest = chain.get(f"/lineage/{guid}/next", prefix="/datamap/api", params={"direction": "BOTH", "offset": 1})
    assert len(rest["relations"]) == 2


@pytest.fixture
def notebook(api, make):
    api.upsert(
        make.entity("databricks_workspace", "w", guid="-1"),
        make.entity("databricks_job", "j", guid="-2", related={"workspace": {"guid": "-1"}}),
        make.entity("databricks_notebook_task", "t", guid="-3", related={"job": {"guid": "-2"}}),
        make.entity(PATH, "in", guid="-4"), make.entity(PATH, "out", guid="-5"),
        make.entity("databricks_process", "p", inputs=[{"guid": "-4"}], outputs=[{"guid": "-5"}],
                    related={"task": {"guid": "-3"}}),
    )
    return api


def test_a_task_rolls_down_to_its_processes(notebook):
    edges, answer, _ = graph(notebook, "databricks_notebook_task", "t")
    assert (edges, answer["childrenCount"]) == (["in>p", "p>out"], 1)
    assert answer["parentRelations"] == []


def test_parents_are_the_chain_of_compositions(notebook):
    _, answer, shown = graph(notebook, PATH, "out", direction="INPUT", includeParent="true")
    chain = [f"{shown[one['childEntityId']]}<{shown[one['parentEntityId']]}" for one in answer["parentRelations"]]
    assert chain == ["p<t", "t<j", "j<w"]
    assert {"t", "j", "w"} <= set(shown.values())


def test_direct_edges_run_from_source_to_sink(api, make):
    api.upsert(make.entity(PATH, "up"), make.entity(PATH, "down", related={"sources": [make.ref(PATH, "up")]}))
    assert graph(api, PATH, "down", direction="INPUT")[0] == ["up>down"]
    assert graph(api, PATH, "up", direction="OUTPUT")[0] == ["up>down"]
    assert graph(api, PATH, "up", direction="INPUT")[0] == []


def test_a_cycle_ends(api, make):
    api.upsert(make.entity(PATH, "d"), make.entity(
        "databricks_process", "merge", inputs=[make.ref(PATH, "d")], outputs=[make.ref(PATH, "d")]))
    assert graph(api, PATH, "d", depth=0)[0] == ["d>merge", "merge>d"]


def test_what_is_deleted_is_hidden_in_purview_and_shown_in_atlas(chain, atlas_api, make):
    chain.call("DELETE", f"/entity/guid/{chain.guid('databricks_process', 'p2')}")
    assert graph(chain, PATH, "d1")[0] == ["d0>p1", "p1>d1"]
    atlas_api.upsert(make.entity("hive_table", "a"), make.entity("hive_table", "b"), make.entity(
        "Process", "p", inputs=[make.ref("hive_table", "a")], outputs=[make.ref("hive_table", "b")]))
    atlas_api.call("DELETE", f"/entity/guid/{atlas_api.guid('Process', 'p')}")
    assert graph(atlas_api, "hive_table", "a")[0] == ["a>p", "p>b"]


def test_a_process_that_only_writes(api, atlas_api, make):
    """Atlas' algorithm leaves it out of the lineage of what it wrote; see profile.py for Purview."""
    for one, expected in ((api, ["p>out"]), (atlas_api, [])):
        one.upsert(make.entity("hive_table", "out"), make.entity("Process", "p", outputs=[
            make.ref("hive_table", "out")]))
        edges, answer, _ = graph(one, "hive_table", "out")
        assert edges == expected
        assert answer["baseEntityGuid"] in answer["guidEntityMap"]


def test_refusals(api, make):
    api.upsert(make.entity("databricks_workspace", "w"), make.entity(PATH, "d"))
    guid = api.guid("databricks_workspace", "w")
    api.refuse("GET", f"/lineage/{guid}", 404, "ATLAS-404-00-011", params={"direction": "BOTH"})
    api.refuse("GET", "/lineage/nope", 404, "ATLAS-404-00-005")
    path = f"/lineage/{api.guid(PATH, 'd')}"
    for params in ({"direction": "UP"}, {"depth": "x"}, {"width": "x"}):
        api.refuse("GET", path, 400, "ATLAS-400-00-01A", params=params)
    api.refuse("GET", "/lineage/uniqueAttribute/type/DataSet", 404, "ATLAS-404-00-009",
               params={"attr:qualifiedName": "nope"})


def test_a_wide_and_deep_graph_is_bounded(api, make):
    """9,000 relations at most, as Atlas; the answer still comes."""
    for start in range(0, 5000, 500):
        api.upsert(make.entity(PATH, "hub"), *(
            make.entity("databricks_process", f"p{number}", inputs=[make.ref(PATH, "hub")],
                        outputs=[make.ref(PATH, "hub")])
            for number in range(start, start + 500)))
    _, answer, _ = graph(api, PATH, "hub", width=0)
    assert len(answer["relations"]) == 9000
