"""The client that we ship, pyapacheatlas, against the catalog: the calls of an ordinary user of it."""
from __future__ import annotations

import json

import pytest
from pyapacheatlas.auth import BasicAuthentication
from pyapacheatlas.core import AtlasClient, AtlasEntity, AtlasException, AtlasProcess, EntityTypeDef, TypeCategory
from pyapacheatlas.core.typedef import AtlasAttributeDef, ChildEndDef, ParentEndDef, RelationshipTypeDef

PATH = "azure_datalake_gen2_path"


@pytest.fixture(params=["/datamap/api/atlas/v2", "/catalog/api/atlas/v2", "/api/atlas/v2"])
def client(server, request):
    return AtlasClient(server.url + request.param, BasicAuthentication("admin", "admin"))


TABLE = EntityTypeDef(
    "demo_table", superTypes=["DataSet"], options={"schemaElementsAttribute": "columns"},
    attributeDefs=[AtlasAttributeDef("owner_team", isOptional=True)])
COLUMN = EntityTypeDef(
    "demo_column", superTypes=["DataSet"], options={"schemaAttributes": '["data_type"]'},
    attributeDefs=[AtlasAttributeDef("data_type", isOptional=False)])
COLUMNS = RelationshipTypeDef(
    "demo_table_columns", endDef1=ParentEndDef("columns", "demo_table"), endDef2=ChildEndDef("table", "demo_column"),
    relationshipCategory="COMPOSITION")


def test_typedefs(client):
    client.upload_typedefs(entityDefs=[TABLE, COLUMN], relationshipDefs=[COLUMNS])
    with pytest.raises(AtlasException, match="ATLAS-409-00-001"):
        client.upload_typedefs(entityDefs=[TABLE])
    client.upload_typedefs(entityDefs=[TABLE, EntityTypeDef("demo_other")], force_update=True)
    assert client.get_typedef(TypeCategory.ENTITY, name="demo_table")["superTypes"] == ["DataSet"]
    assert "demo_other" in {one["name"] for one in client.get_all_typedefs()["entityDefs"]}
    client.delete_type("demo_other")
    client.delete_typedefs(relationshipDefs=[COLUMNS])
    client.delete_typedefs(entityDefs=[TABLE, COLUMN])
    with pytest.raises(AtlasException, match="ATLAS-404-00-001"):
        client.get_typedef(TypeCategory.ENTITY, name="demo_table")


def test_entities_and_lineage(client):
    source = AtlasEntity("in", PATH, "https://a.dfs.core.windows.net/c/in/", guid="-1")
    sink = AtlasEntity("out", "hive_table", "default.out@adb-1", guid="-2")
    process = AtlasProcess(
        "load", "databricks_process", "databricks://adb-1/notebooks/load/processes/A->B", guid=-3,
        inputs=[source], outputs=[sink], attributes={"columnMapping": json.dumps([{
            "DatasetMapping": {"Source": source.qualifiedName, "Sink": sink.qualifiedName},
            "ColumnMapping": [{"Source": "a", "Sink": "a"}]}])})
    columns = [
        AtlasEntity(name, "hive_column", f"default.out.{name}@adb-1", guid=guid, attributes={"type": "int"})
        for name, guid in (("a", "-4"), ("b", "-5"), ("c", "-6"))
    ]
    sink.addRelationship(columns=[columns[0].to_json(minimum=True), columns[1].to_json(minimum=True)])
    columns[2].addRelationship(table=sink)
    result = client.upload_entities([source, sink, process, *columns])
    assert set(result["guidAssignments"]) == {"-1", "-2", "-3", "-4", "-5", "-6"}
    assert len(result["mutatedEntities"]["CREATE"]) == 6

    table = client.get_entity(qualifiedName="default.out@adb-1", typeName="hive_table")["entities"][0]
    assert len(table["relationshipAttributes"]["columns"]) == 3
    assert len(table["attributes"]["columns"]) == 3
    assert client.get_entity(qualifiedName="nope", typeName="hive_table") == {}
    guid = result["guidAssignments"]["-3"]
    read = client.get_single_entity(guid)["entity"]
    assert [one["guid"] for one in read["attributes"]["inputs"]] == [result["guidAssignments"]["-1"]]
    assert client.get_entity_header(guid)["displayText"] == "load"

    lineage = client.get_entity_lineage(guid, direction="BOTH")
    assert len(lineage["guidEntityMap"]) == 3
    assert len(lineage["relations"]) == 2

    client.partial_update_entity(guid=guid, attributes={"description": "one"})
    client.partial_update_entity(
        qualifiedName="default.out@adb-1", typeName="hive_table", attributes={"comment": "two"})
    assert client.get_single_entity(guid)["entity"]["attributes"]["description"] == "one"

    edge = client.get_relationship(lineage["relations"][0]["relationshipId"])
    assert edge["relationship"]["status"] == "ACTIVE"
    client.delete_relationship(lineage["relations"][0]["relationshipId"])
    assert len(client.get_entity_lineage(guid, direction="BOTH")["relations"]) == 1

    client.delete_entity(result["guidAssignments"]["-2"])
    assert client.get_entity(qualifiedName="default.out.a@adb-1", typeName="hive_column") == {}


def test_a_refusal_is_readable_and_stores_nothing(client):
    good = AtlasEntity("g", PATH, "good", guid="-1")
    with pytest.raises(AtlasException, match="ATLAS-404-00-007"):
        client.upload_entities([good, AtlasEntity("c", "hive_column", "c", guid="-2")])
    assert client.get_entity(qualifiedName="good", typeName=PATH) == {}


def test_relationships(client):
    client.upload_entities([
        AtlasEntity("a", PATH, "a", guid="-1"), AtlasEntity("b", PATH, "b", guid="-2")])
    made = client.upload_relationship({
        "typeName": "direct_lineage_dataset_dataset", "guid": "-1", "attributes": {"columnMapping": "[]"},
        "end1": {"typeName": PATH, "uniqueAttributes": {"qualifiedName": "a"}},
        "end2": {"typeName": PATH, "uniqueAttributes": {"qualifiedName": "b"}}})
    lineage = client.get_entity_lineage(made["end2"]["guid"], direction="INPUT")
    assert [one["fromEntityId"] for one in lineage["relations"]] == [made["end1"]["guid"]]
