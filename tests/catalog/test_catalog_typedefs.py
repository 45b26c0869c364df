"""Type definitions over HTTP: the rules as a table (cases/typedefs.json), the life of a type, what is built in."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from adb_lineage.catalog import Catalog, CatalogError, typedefs

CASES = json.loads((Path(__file__).parent / "cases" / "typedefs.json").read_text())
KEYS = {"enumDefs", "structDefs", "classificationDefs", "entityDefs", "relationshipDefs", "businessMetadataDefs",
        "termTemplateDefs"}
SAMPLE = {
    "entityDefs": [{"name": "sample", "superTypes": ["DataSet"], "attributeDefs": [
        {"name": "a", "typeName": "int", "isOptional": True}]}],
    "relationshipDefs": [{"name": "sample_sample", "relationshipCategory": "ASSOCIATION",
                          "endDef1": {"type": "sample", "name": "left"},
                          "endDef2": {"type": "sample", "name": "right"}}],
}


@pytest.fixture(scope="module")
def catalog():
    with Catalog() as one:
        one.create_typedefs(SAMPLE)
        yield one


@pytest.mark.parametrize("case", CASES[:-1], ids=lambda case: case["case"])  # the last one is for HTTP only
def test_a_refused_request_changes_nothing(catalog, case):
    before = catalog.typedef_headers()
    with pytest.raises(CatalogError) as refused:
        if case["method"] == "DELETE":
            catalog.delete_typedefs([one["name"] for value in case["body"].values() for one in value])
        else:
            {"POST": catalog.create_typedefs, "PUT": catalog.update_typedefs}[case["method"]](case["body"])
    assert refused.value.code == case["code"], refused.value.message
    assert catalog.typedef_headers() == before


@pytest.mark.parametrize("case", [case for case in CASES if case["method"] == "DELETE"], ids=lambda case: case["case"])
def test_refused_deletes_over_http(api, case):
    api.call("POST", "/types/typedefs", json=SAMPLE)
    status = int(case["code"].split("-")[1])
    api.refuse("DELETE", "/types/typedefs", status, case["code"], json=case["body"])


def test_the_life_of_a_type(api, make):
    created = api.call("POST", "/types/typedefs", json=SAMPLE)
    assert set(created) == KEYS
    (definition,) = created["entityDefs"]
    assert definition["attributeDefs"][0] == {
        "name": "a", "typeName": "int", "isOptional": True, "cardinality": "SINGLE", "valuesMinCount": 0,
        "valuesMaxCount": 1, "isUnique": False, "isIndexable": False, "includeInNotification": False,
    }
    ends = {one["name"]: one for one in definition["relationshipAttributeDefs"]}
    assert ends["inputToProcesses"]["typeName"] == "array<Process>"
    assert (ends["left"]["typeName"], ends["left"]["relationshipTypeName"]) == ("sample", "sample_sample")
    for key, value in (("name", "sample"), ("guid", definition["guid"])):
        for kind in ("entitydef", "typedef"):
            assert api.get(f"/types/{kind}/{key}/{value}") == definition

    api.upsert(make.entity("sample", "s", a=1))
    update = json.loads(json.dumps(SAMPLE))
    update["entityDefs"][0]["attributeDefs"].append({"name": "b", "typeName": "string", "isOptional": True})
    (changed,) = api.call("PUT", "/types/typedefs", json=update)["entityDefs"]
    assert (changed["guid"], changed["version"], changed["lastModifiedTS"]) == (definition["guid"], 2, "2")
    assert api.read("sample", "s")["attributes"]["b"] is None

    api.refuse("DELETE", "/types/typedefs", 409, "ATLAS-409-00-002", json=SAMPLE)
    api.call("DELETE", f"/entity/guid/{api.guid('sample', 's')}")
    api.call("DELETE", "/types/typedef/name/sample_sample", 204)
    api.call("DELETE", "/types/typedef/name/sample", 204)
    api.refuse("GET", "/types/entitydef/name/sample", 404, "ATLAS-404-00-001")
    api.refuse("GET", f"/types/entitydef/guid/{definition['guid']}", 404, "ATLAS-404-00-002")


def test_reading_definitions(api):
    everything = api.get("/types/typedefs", params={"includeTermTemplate": "false", "api-version": "2023-09-01"})
    assert set(everything) == KEYS
    for category in ("entity", "ENTITY"):
        only = api.get("/types/typedefs", params={"type": category})
        assert only["entityDefs"] == everything["entityDefs"]
        assert only["relationshipDefs"] == []
    headers = api.get("/types/typedefs/headers")
    assert len(headers) == sum(len(value) for value in everything.values())
    api.refuse("GET", "/types/relationshipdef/name/hive_table", 404, "ATLAS-404-00-001")
    api.refuse("GET", "/types/nonsense/name/hive_table", 404, "RequestUriNotFound")
    api.refuse("GET", "/types/entitydef/label/hive_table", 404, "RequestUriNotFound")


def test_the_order_inside_a_request_does_not_matter(api):
    api.call("POST", "/types/typedefs", json={
        "relationshipDefs": [{"name": "r", "endDef1": {"type": "child", "name": "x"},
                              "endDef2": {"type": "parent", "name": "y"}}],
        "entityDefs": [
            {"name": "child", "superTypes": ["parent"], "attributeDefs": [{"name": "e", "typeName": "grade"}]},
            {"name": "parent", "superTypes": ["Asset"]},
        ],
        "enumDefs": [{"name": "grade", "elementDefs": [{"value": "A", "ordinal": 1}]}],
    })
    assert "child" in api.get("/types/entitydef/name/parent")["subTypes"]


def test_purviews_own_check_does_not_bind_atlas(atlas_api):
    body = {"entityDefs": [{"name": "x", "options": {"schemaAttributes": "data_type"}}]}
    atlas_api.call("POST", "/types/typedefs", json=body)


def test_the_accelerators_types_are_refused_and_the_corrected_ones_accepted(api):
    """accelerator.md 4.9 and 9: the published file has `schemaAttributes: "data_type"`."""
    def types(schema_attributes):
        return {"entityDefs": [
            {"name": "purview_custom_connector_generic_column", "superTypes": ["DataSet"],
             "options": {"schemaAttributes": schema_attributes},
             "attributeDefs": [{"name": "data_type", "typeName": "string", "valuesMinCount": 1}]},
            {"name": "purview_custom_connector_generic_entity_with_columns", "superTypes": ["DataSet"],
             "options": {"schemaElementsAttribute": "columns"}},
        ]}

    message = api.refuse("POST", "/types/typedefs", 400, "ATLAS-400-00-01A", json=types("data_type"))
    assert "should be list of string, but found: data_type" in message
    api.call("POST", "/types/typedefs", json=types('["data_type"]'))


def test_built_in_types_say_where_they_come_from_and_keep_their_guids():
    for path in typedefs.BUILTIN_FILES.glob("*.json"):
        assert json.loads(path.read_text())["source"], path
    assert [one["guid"] for one in typedefs.builtin()] == [one["guid"] for one in typedefs.builtin()]


def test_two_catalogs_on_one_file_see_each_others_types(tmp_path):
    with Catalog(tmp_path / "c.db") as one, Catalog(tmp_path / "c.db") as other:
        other.typedef_headers()
        one.create_typedefs(SAMPLE)
        assert other.typedef("ENTITY", name="sample")["guid"] == one.typedef("ENTITY", name="sample")["guid"]
        one.delete_typedefs(["sample_sample", "sample", "hive_server_databases"])
        with pytest.raises(CatalogError):
            other.typedef("RELATIONSHIP", name="hive_server_databases")
