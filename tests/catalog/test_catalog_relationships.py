"""Relationships on their own, over HTTP."""
from __future__ import annotations

import pytest

PATH = "azure_datalake_gen2_path"


@pytest.fixture
def ends(api, make):
    api.upsert(make.entity(PATH, "a"), make.entity(PATH, "b"), make.entity("databricks_process", "p"))
    return {"dataset": make.ref("DataSet", "a"), "process": make.ref("Process", "p")}


def body(ends, **more):
    return {"typeName": "dataset_process_inputs", "end1": ends["process"], "end2": ends["dataset"], **more}


def test_create_read_delete(api, make, ends):
    created = api.call("POST", "/relationship", json=body(ends))
    assert created["end1"] == {
        "guid": api.guid("databricks_process", "p"), "typeName": "databricks_process",
        "uniqueAttributes": {"qualifiedName": "p"},
    }
    assert (created["status"], created["label"], created["propagateTags"]) == (
        "ACTIVE", "r:dataset_process_inputs", "NONE")
    path = f"/relationship/guid/{created['guid']}"
    assert api.get(path) == {"relationship": created, "referredEntities": {}}
    assert len(api.get(path, params={"extendedInfo": "true"})["referredEntities"]) == 2
    assert make.names(api.read(PATH, "a")["relationshipAttributes"]["inputToProcesses"]) == ["p"]
    api.refuse("POST", "/relationship", 409, "ATLAS-409-00-004", json=body(ends))
    api.call("DELETE", path, 204)
    api.refuse("DELETE", path, 404, "ATLAS-404-00-00F")
    assert api.get(path)["relationship"]["status"] == "DELETED"
    assert api.read(PATH, "a")["relationshipAttributes"]["inputToProcesses"] == []
    api.call("POST", "/relationship", json=body(ends))


def test_swapped_ends_are_put_right(api, ends):
    swapped = {"typeName": "dataset_process_inputs", "end1": ends["dataset"], "end2": ends["process"]}
    assert api.call("POST", "/relationship", json=swapped)["end1"]["typeName"] == "databricks_process"


def test_a_given_guid_is_honoured_a_placeholder_is_not(api, make, ends):
    guid = "11111111-2222-4333-8444-555555555555"
    assert api.call("POST", "/relationship", json=body(ends, guid=guid))["guid"] == guid
    other = {**ends, "dataset": make.ref(PATH, "b")}
    assert not api.call("POST", "/relationship", json=body(other, guid="-1"))["guid"].startswith("-")


def test_attributes_may_change_and_nothing_else(api, make, ends):
    direct = {"typeName": "direct_lineage_dataset_dataset", "end1": make.ref(PATH, "a"), "end2": make.ref(PATH, "b"),
              "attributes": {"columnMapping": "[]", "unknown": 1}}
    created = api.call("POST", "/relationship", json=direct)
    assert created["attributes"] == {"columnMapping": "[]"}
    changed = api.call("PUT", "/relationship", json={
        "guid": created["guid"], "attributes": {"columnMapping": '[{"Source":"x","Sink":"y"}]'}})
    assert (changed["attributes"]["columnMapping"], changed["lastModifiedTS"]) == ('[{"Source":"x","Sink":"y"}]', "2")
    api.refuse("PUT", "/relationship", 404, "ATLAS-400-00-069", json={
        "guid": created["guid"], "typeName": "dataset_process_inputs"})
    api.refuse("PUT", "/relationship", 404, "ATLAS-400-00-06A", json={
        "guid": created["guid"], "end1": ends["process"]})
    api.refuse("PUT", "/relationship", 404, "ATLAS-404-00-00C", json={"guid": "nope"})


@pytest.mark.parametrize(("change", "status", "code"), [
    ({"typeName": "nope"}, 400, "ATLAS-400-00-028"),
    ({"typeName": PATH}, 400, "ATLAS-400-00-028"),
    ({"end1": None}, 400, "ATLAS-400-00-07D"),
    ({"end2": {"guid": "nope"}}, 404, "ATLAS-404-00-00A"),
    ({"end2": {"typeName": "x"}}, 400, "ATLAS-400-00-021"),
    ({"end2": {"typeName": "databricks_process", "uniqueAttributes": {"qualifiedName": "p"}}},
     400, "ATLAS-400-00-036"),
    ({"attributes": ["x"]}, 400, "ATLAS-400-00-01A"),
])
def test_refusals(api, ends, change, status, code):
    api.refuse("POST", "/relationship", status, code, json=body(ends, **change))
    api.refuse("POST", "/relationship", 400, "ATLAS-400-00-01A", json=[])
    api.refuse("GET", "/relationship/guid/nope", 404, "ATLAS-404-00-00C")


def test_a_single_end_is_taken_over(api, make):
    api.upsert(make.entity("hive_table", "t1"), make.entity("hive_table", "t2"),
               make.entity("hive_column", "c", type="int", table=make.ref("hive_table", "t1")))
    api.call("POST", "/relationship", json={
        "typeName": "hive_table_columns", "end1": make.ref("hive_table", "t2"), "end2": make.ref("hive_column", "c")})
    assert api.read("hive_column", "c")["attributes"]["table"]["guid"] == api.guid("hive_table", "t2")
    assert api.read("hive_table", "t1")["attributes"]["columns"] == []
