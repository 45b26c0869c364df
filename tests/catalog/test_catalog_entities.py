"""Create-or-update, reading, partial updates and deletion of entities, over HTTP."""
from __future__ import annotations

import json

import pytest

TABLE = "databricks_table"
COLUMN = "databricks_table_column"
PATH = "azure_datalake_gen2_path"


def headers(answer, operation):
    return sorted(one["attributes"]["qualifiedName"] for one in answer.get("mutatedEntities", {}).get(operation, ()))


class TestIdentity:
    def test_upsert_is_by_type_and_qualified_name(self, api, make):
        first = api.upsert(make.entity(PATH, "https://a/x", guid="-1", path="p"))
        again = api.upsert(make.entity(PATH, "https://a/x", guid=-1, path="q"))
        assert headers(first, "CREATE") == headers(again, "UPDATE") == ["https://a/x"]
        assert first["guidAssignments"] == again["guidAssignments"]
        assert api.read(PATH, "https://a/x")["attributes"]["path"] == "q"

    def test_unchanged_entities_are_left_out_but_keep_their_assignment(self, api, make):
        api.upsert(make.entity(PATH, "https://a/x", guid="-1"))
        before = api.read(PATH, "https://a/x")
        again = api.upsert(make.entity(PATH, "https://a/x", guid="-1"), make.entity(PATH, "https://a/y", guid="-2"))
        assert headers(again, "CREATE") == ["https://a/y"]
        assert "UPDATE" not in again["mutatedEntities"]
        assert again["guidAssignments"]["-1"] == before["guid"]
        assert api.read(PATH, "https://a/x") == before
        assert "mutatedEntities" not in api.upsert(make.entity(PATH, "https://a/x", guid="-1"))

    def test_the_name_is_unique_in_a_branch_of_types_only(self, api, make):
        api.upsert(make.entity(PATH, "same"), make.entity("databricks_process", "same"))
        assert api.guid(PATH, "same") != api.guid("databricks_process", "same")

    def test_names_are_case_sensitive_and_any_unicode(self, api, make):
        odd = "https://a/Отчёт/$1/{SparkPartitions}/100%/a b?c#d\U0001f600"
        api.upsert(make.entity(PATH, odd), make.entity(PATH, odd.upper()))
        assert api.guid(PATH, odd) != api.guid(PATH, odd.upper())

    def test_a_supertype_updates_the_instance_and_never_makes_a_second_one(self, api, make):
        api.upsert(make.entity(TABLE, "t"))
        answer = api.upsert(make.entity("DataSet", "t", description="by supertype"))
        assert headers(answer, "UPDATE") == ["t"]
        assert api.read(TABLE, "t")["attributes"]["description"] == "by supertype"

    def test_two_placeholders_for_one_name_give_one_entity(self, api, make):
        answer = api.upsert(
            make.entity(PATH, "x", guid="-1", path="first"), make.entity(PATH, "x", guid="-two", path="second"))
        assert answer["guidAssignments"]["-1"] == answer["guidAssignments"]["-two"]
        assert headers(answer, "CREATE") == ["x"]
        assert api.read(PATH, "x")["attributes"]["path"] == "second"

    def test_an_unknown_assigned_guid_is_replaced(self, api, make):
        answer = api.upsert(make.entity(PATH, "x", guid="00000000-0000-4000-8000-000000000001"))
        real = answer["guidAssignments"]["00000000-0000-4000-8000-000000000001"]
        assert api.get(f"/entity/guid/{real}")["entity"]["attributes"]["qualifiedName"] == "x"

    def test_without_a_guid_the_server_makes_a_placeholder(self, api, make):
        (key,) = api.upsert(make.entity(PATH, "x"))["guidAssignments"]
        assert key.startswith("-")

    def test_by_guid_a_name_may_change_but_not_to_one_that_is_taken(self, api, make):
        api.upsert(make.entity(PATH, "x"), make.entity(PATH, "y"))
        guid = api.guid(PATH, "x")
        api.upsert(make.entity(PATH, "z", guid=guid))
        assert api.guid(PATH, "z") == guid
        api.read(PATH, "x", 404)
        assert "another" in api.refuse_entities(400, "ATLAS-400-00-01A", make.entity(PATH, "y", guid=guid))


class TestReferences:
    def test_placeholders_in_any_order(self, api, make):
        api.upsert(
            make.entity("databricks_process", "p", guid="-1", inputs=[{"guid": "-2"}], outputs=[{"guid": -3}]),
            make.entity(PATH, "in", guid="-2"),
            make.entity(PATH, "out", guid="-3"),
        )
        process = api.read("databricks_process", "p")
        assert make.names(process["relationshipAttributes"]["inputs"]) == ["in"]
        assert [set(one) for one in process["attributes"]["outputs"]] == [{"guid", "typeName"}]

    def test_by_unique_attributes_and_a_supertype_with_extra_keys(self, api, make):
        api.upsert(make.entity(TABLE, "in"))
        reference = {**make.ref("DataSet", "in"), "qualifiedName": "in", "displayText": "ignored"}
        api.upsert(make.entity("databricks_process", "p", inputs=[reference]))
        assert make.names(api.read(TABLE, "in")["relationshipAttributes"]["inputToProcesses"]) == ["p"]

    def test_referred_entities_are_taken_in_if_somebody_refers_to_them(self, api, make):
        body = {
            "entity": make.entity("databricks_process", "p", inputs=[{"guid": "-5"}]),
            "referredEntities": {"-5": make.entity(PATH, "in"), "-6": make.entity(PATH, "nobody's")},
        }
        answer = api.call("POST", "/entity", json=body)
        assert headers(answer, "CREATE") == ["in", "p"]
        api.read(PATH, "nobody's", 404)

    @pytest.mark.parametrize(("reference", "status", "code"), [
        ({"guid": "-77"}, 404, "ATLAS-404-00-00A"),
        ({"guid": "1e8d5b1c-0000-4000-8000-000000000000"}, 404, "ATLAS-404-00-00A"),
        ({"typeName": PATH, "uniqueAttributes": {"qualifiedName": "missing"}}, 404, "ATLAS-404-00-00A"),
        ({"typeName": PATH}, 400, "ATLAS-400-00-021"),
        ({}, 400, "ATLAS-400-00-021"),
        (7, 400, "ATLAS-400-00-021"),
        ({"typeName": "no_such_type", "uniqueAttributes": {"qualifiedName": "x"}}, 400, "ATLAS-400-00-014"),
    ])
    def test_a_bad_reference_stores_nothing(self, api, make, reference, status, code):
        api.refuse_entities(
            status, code, make.entity(PATH, "good"), make.entity("databricks_process", "p", inputs=[reference]))
        api.read(PATH, "good", 404)

    def test_a_deleted_entity_can_not_be_referred_to(self, api, make):
        api.upsert(make.entity(PATH, "in"))
        guid = api.guid(PATH, "in")
        api.call("DELETE", f"/entity/guid/{guid}")
        for reference in ({"guid": guid}, make.ref(PATH, "in")):
            api.refuse_entities(404, "ATLAS-404-00-00A", make.entity("databricks_process", "p", inputs=[reference]))

    def test_a_process_is_no_input_of_a_process(self, api, make):
        api.upsert(make.entity("databricks_notebook", "n"))
        api.refuse_entities(
            400, "ATLAS-400-00-045",
            make.entity("databricks_process", "p", outputs=[make.ref("databricks_notebook", "n")]))


class TestValidation:
    @pytest.mark.parametrize(("entity", "status", "code", "part"), [
        ({"typeName": "nope", "attributes": {}}, 400, "ATLAS-400-00-014", "nope"),
        ({"attributes": {}}, 400, "ATLAS-400-00-014", "None"),
        ({"typeName": PATH, "attributes": {"name": "x"}}, 404, "ATLAS-404-00-007",
         "azure_datalake_gen2_path.qualifiedName: mandatory attribute value missing in type Referenceable"),
        ({"typeName": PATH, "attributes": {"qualifiedName": "x", "name": None}}, 404, "ATLAS-404-00-007",
         "mandatory attribute value missing in type Asset"),
        ({"typeName": PATH, "attributes": {"qualifiedName": "x", "name": "x", "size": "many"}}, 404,
         "ATLAS-404-00-007", "azure_datalake_gen2_path.size=many: invalid value for type long"),
        ({"typeName": PATH, "attributes": ["no"]}, 400, "ATLAS-400-00-01A", "objects"),
        ({"typeName": PATH, "attributes": {"qualifiedName": "x", "name": "x"}, "labels": "l"}, 400,
         "ATLAS-400-00-01A", "labels"),
        ({"typeName": PATH, "attributes": {"qualifiedName": "x", "name": "x"}, "labels": ["l" * 51]}, 400,
         "ATLAS-400-00-01A", "label"),
        ({"typeName": PATH, "attributes": {"qualifiedName": "x", "name": "x"},
          "classifications": [{"typeName": "nope"}]}, 400, "ATLAS-400-00-046", "nope"),
        ("text", 400, "ATLAS-400-00-01A", "object"),
    ])
    def test_one_bad_entity_fails_the_whole_bulk(self, api, make, entity, status, code, part):
        assert part in api.refuse_entities(status, code, make.entity(PATH, "good"), entity)
        api.read(PATH, "good", 404)
        assert api.get("/types/statistics")["entities"] == {}

    @pytest.mark.parametrize("body", [{}, {"entities": []}, {"entities": None}, {"entities": {}}, [], None])
    def test_nothing_to_write(self, api, body):
        api.refuse("POST", "/entity/bulk", 400, "ATLAS-400-00-01A", json=body)

    def test_unknown_attributes_are_dropped_silently(self, api, make):
        api.upsert(make.entity("Process", "p", columnMapping="[]"))
        assert "columnMapping" not in api.read("Process", "p")["attributes"]

    def test_a_full_update_needs_all_mandatory_attributes(self, api, make):
        api.upsert(make.entity("hive_column", "c", type="int"))
        api.refuse_entities(404, "ATLAS-404-00-007", make.entity("hive_column", "c"))

    def test_only_given_attributes_are_touched_and_null_clears(self, api, make):
        api.upsert(make.entity(PATH, "x", path="p", contentType="text"))
        api.upsert(make.entity(PATH, "x", path=None))
        attributes = api.read(PATH, "x")["attributes"]
        assert (attributes["path"], attributes["contentType"]) == (None, "text")

    def test_a_child_without_its_parent(self, api, atlas_api, make):
        column = make.entity(COLUMN, "t#c")
        api.upsert(column)  # Purview does not hold to its own flag
        answer = atlas_api.upsert(column, status=404)
        assert answer["errorCode"] == "ATLAS-404-00-007"
        assert "requestId" not in answer
        atlas_api.upsert(
            make.entity(TABLE, "t", related={"dbSchema": {"guid": "-9"}}),
            make.entity(COLUMN, "t#c", related={"table": make.ref(TABLE, "t")}),
            make.entity("databricks_schema", "s", guid="-9", related={"catalog": {"guid": "-8"}}),
            make.entity("databricks_catalog", "k", guid="-8", related={"metastore": {"guid": "-7"}}),
            make.entity("databricks_metastore", "m", guid="-7"),
        )


class TestRelationshipAttributes:
    def test_columns_from_both_sides_in_one_request(self, api, make):
        def columns():
            return make.names(api.read(TABLE, "t")["relationshipAttributes"]["columns"])

        batch = [
            make.entity(TABLE, "t", guid="-1", related={"columns": [{"guid": "-2"}, {"guid": "-3"}]}),
            make.entity(COLUMN, "c1", guid="-2"),
            make.entity(COLUMN, "c2", guid="-3"),
            make.entity(COLUMN, "c3", guid="-4", related={"table": {"guid": "-1"}}),
        ]
        api.upsert(*batch)
        assert columns() == ["c1", "c2", "c3"]
        assert "mutatedEntities" not in api.upsert(*reversed(batch))
        assert columns() == ["c1", "c2", "c3"]

    def test_setting_a_list_replaces_it_and_orphans_of_a_composition_go(self, api, make):
        api.upsert(
            make.entity(TABLE, "t", related={"columns": [{"guid": "-2"}, {"guid": "-3"}]}),
            make.entity(COLUMN, "c1", guid="-2"), make.entity(COLUMN, "c2", guid="-3"))
        gone = api.guid(COLUMN, "c2")
        answer = api.upsert(make.entity(TABLE, "t", related={"columns": [make.ref(COLUMN, "c1")]}))
        assert headers(answer, "UPDATE") == ["t"]
        assert headers(answer, "DELETE") == ["c2"]
        api.read(COLUMN, "c2", 404)
        assert api.get(f"/entity/guid/{gone}")["entity"]["status"] == "DELETED"
        assert make.names(api.read(TABLE, "t")["relationshipAttributes"]["columns"]) == ["c1"]

    def test_a_child_that_moves_is_not_an_orphan(self, api, make):
        api.upsert(
            make.entity(TABLE, "t1", related={"columns": [{"guid": "-2"}]}), make.entity(COLUMN, "c", guid="-2"),
            make.entity(TABLE, "t2"))
        answer = api.upsert(
            make.entity(TABLE, "t1", related={"columns": []}),
            make.entity(COLUMN, "c", related={"table": make.ref(TABLE, "t2")}))
        assert headers(answer, "UPDATE") == ["c", "t1", "t2"]
        assert make.names(api.read(TABLE, "t2")["relationshipAttributes"]["columns"]) == ["c"]
        assert api.read(TABLE, "t1")["relationshipAttributes"]["columns"] == []

    def test_a_single_end_holds_one_whoever_sets_it(self, api, make):
        api.upsert(make.entity(TABLE, "t1"), make.entity(TABLE, "t2"), make.entity(COLUMN, "c"))
        api.upsert(make.entity(COLUMN, "c", related={"table": make.ref(TABLE, "t1")}))
        api.upsert(make.entity(TABLE, "t2", related={"columns": [make.ref(COLUMN, "c")]}))
        assert api.read(COLUMN, "c")["relationshipAttributes"]["table"]["displayText"] == "t2"
        assert api.read(TABLE, "t1")["relationshipAttributes"]["columns"] == []

    def test_taken_twice_in_one_request_the_last_one_wins(self, api, make):
        api.upsert(
            make.entity(COLUMN, "c", guid="-1"),
            make.entity(TABLE, "t1", related={"columns": [{"guid": "-1"}]}),
            make.entity(TABLE, "t2", related={"columns": [{"guid": "-1"}]}))
        assert api.read(COLUMN, "c")["relationshipAttributes"]["table"]["displayText"] == "t2"
        assert api.read(TABLE, "t1")["relationshipAttributes"]["columns"] == []

    def test_null_clears_under_relationship_attributes_only(self, api, make):
        api.upsert(make.entity(TABLE, "t"), make.entity(COLUMN, "c", related={"table": make.ref(TABLE, "t")}))
        api.upsert(make.entity(COLUMN, "c", table=None))
        assert api.read(COLUMN, "c")["relationshipAttributes"]["table"]["displayText"] == "t"
        api.upsert(make.entity(COLUMN, "c", related={"table": None}))
        assert api.read(COLUMN, "c")["relationshipAttributes"]["table"] is None

    def test_relationship_attributes_win_over_attributes(self, api, make):
        api.upsert(make.entity(PATH, "a"), make.entity(PATH, "b"))
        api.upsert(make.entity(
            "Process", "p", inputs=[make.ref(PATH, "a")], related={"inputs": [make.ref(PATH, "b")]}))
        assert make.names(api.read("Process", "p")["relationshipAttributes"]["inputs"]) == ["b"]

    @pytest.mark.parametrize("related", [{"columns": {"guid": "-1"}}, {"dbSchema": [{"guid": "-1"}]}])
    def test_list_and_single_are_not_mixed_up(self, api, make, related):
        api.refuse_entities(404, "ATLAS-404-00-007", make.entity(TABLE, "t", related=related))

    def test_attributes_of_an_edge(self, api, make):
        mapping = '[{"Source":"a","Sink":"b"}]'
        edge = {"typeName": "direct_lineage_dataset_dataset", "attributes": {"columnMapping": mapping}}
        api.upsert(make.entity(PATH, "up"), make.entity(PATH, "down", related={
            "sources": [{**make.ref(PATH, "up"), "relationshipAttributes": edge}]}))
        (sink,) = api.read(PATH, "up")["relationshipAttributes"]["sinks"]
        assert sink["displayText"] == "down"
        assert sink["relationshipAttributes"] == edge

    def test_the_relationship_type_may_be_named_where_several_serve_an_attribute(self, api, make):
        types = {
            "entityDefs": [{"name": "hub", "superTypes": ["Asset"]}, {"name": "spoke", "superTypes": ["Asset"]}],
            "relationshipDefs": [
                {"name": f"hub_{kind}", "relationshipCategory": "ASSOCIATION",
                 "endDef1": {"type": "hub", "name": "links", "cardinality": "SET"},
                 "endDef2": {"type": "spoke", "name": f"{kind}_hub", "cardinality": "SINGLE"}}
                for kind in ("near", "far")
            ],
        }
        api.call("POST", "/types/typedefs", json=types)
        api.upsert(make.entity("spoke", "s1", guid="-1"), make.entity("spoke", "s2", guid="-2"), make.entity(
            "hub", "h", related={"links": [{"guid": "-1", "relationshipType": "hub_far"}, {"guid": "-2"}]}))
        assert api.read("spoke", "s1")["relationshipAttributes"]["far_hub"]["displayText"] == "h"
        assert api.read("spoke", "s2")["relationshipAttributes"]["near_hub"]["displayText"] == "h"


class TestReading:
    def test_every_attribute_and_end_of_the_type_is_there(self, api, make):
        api.upsert(make.entity(TABLE, "t"))
        entity = api.read(TABLE, "t")
        assert entity["attributes"]["description"] is None
        assert entity["relationshipAttributes"]["inputToProcesses"] == []
        assert entity["relationshipAttributes"]["dbSchema"] is None
        assert entity["lastModifiedTS"] == "1"
        assert (entity["version"], entity["status"]) == (0, "ACTIVE")

    def test_referred_entities_are_what_is_owned(self, api, make):
        api.upsert(
            make.entity(TABLE, "t", related={"columns": [{"guid": "-2"}]}), make.entity(COLUMN, "c", guid="-2"),
            make.entity("databricks_process", "p", inputs=[make.ref(TABLE, "t")]))
        guid, child = api.guid(TABLE, "t"), api.guid(COLUMN, "c")
        full = api.get(f"/entity/guid/{guid}")
        assert list(full["referredEntities"]) == [child]
        assert full["referredEntities"][child]["relationshipAttributes"]["table"]["guid"] == guid
        short = api.get(f"/entity/guid/{guid}", params={"minExtInfo": "true", "ignoreRelationships": "True"})
        assert "relationshipAttributes" not in short["entity"]
        assert set(short["referredEntities"][child]["attributes"]) == {"qualifiedName", "name"}

    def test_bulk_by_guid_and_header(self, api, make):
        api.upsert(make.entity(PATH, "x"), make.entity(PATH, "y"))
        guids = [api.guid(PATH, "y"), api.guid(PATH, "x")]
        answer = api.get("/entity/bulk", params={"guid": guids})
        assert [one["guid"] for one in answer["entities"]] == guids
        assert api.get(f"/entity/guid/{guids[0]}/header")["displayText"] == "y"
        api.refuse("GET", "/entity/bulk", 404, "ATLAS-404-00-005", params={"guid": [guids[0], "nope"]})
        api.refuse("GET", "/entity/bulk", 404, "ATLAS-404-00-005")
        api.refuse("GET", "/entity/guid/nope", 404, "ATLAS-404-00-005")
        api.refuse("GET", "/entity/guid/nope/header", 404, "ATLAS-404-00-005")

    def test_bulk_by_unique_attribute_leaves_missing_ones_out(self, api, make):
        api.upsert(make.entity(PATH, "x"), make.entity(TABLE, "t"))
        path = "/entity/bulk/uniqueAttribute/type/DataSet"
        params = {"attr_0:qualifiedName": "x", "attr_1:qualifiedName": "nope", "attr_2:qualifiedName": "t"}
        assert [one["typeName"] for one in api.get(path, params=params)["entities"]] == [PATH, TABLE]
        assert "entities" not in api.get(path, params={"attr_0:qualifiedName": "nope"})

    def test_by_unique_attribute(self, api, make):
        api.upsert(make.entity(PATH, "x"))
        path = "/entity/uniqueAttribute/type/"
        assert api.get(path + "Referenceable?attr:qualifiedName=x")["entity"]["typeName"] == PATH
        params = {"attr:qualifiedName": "nope"}
        api.refuse("GET", path + PATH, 404, "ATLAS-404-00-009", params=params)
        api.refuse("GET", path + PATH, 400, "ATLAS-400-00-013", params={"attr:name": "x"})
        api.refuse("GET", path + PATH, 400, "ATLAS-400-00-013")
        api.refuse("GET", path + "nope", 400, "ATLAS-400-00-014", params=params)

    def test_details_come_back(self, api, make):
        details = {
            "labels": ["one"], "customAttributes": {"k": "v"}, "contacts": {"Owner": [{"id": "7", "info": "i"}]},
            "source": "test", "collectionId": "abcdef",
        }
        api.upsert({**make.entity(PATH, "x"), **details})
        entity = api.read(PATH, "x")
        assert {key: entity[key] for key in details} == details
        api.upsert(make.entity(PATH, "x"), params={"collectionId": "moved"})
        assert api.read(PATH, "x")["collectionId"] == "moved"

    def test_the_legacy_mirror_of_atlas_has_unique_attributes(self, atlas_api, make):
        atlas_api.upsert(make.entity(PATH, "x", related={"filesystem": None}), make.entity(
            "Process", "p", inputs=[make.ref(PATH, "x")]))
        (mirrored,) = atlas_api.read("Process", "p")["attributes"]["inputs"]
        assert mirrored["uniqueAttributes"] == {"qualifiedName": "x"}


class TestPartialUpdate:
    def test_one_attribute_by_guid(self, api, make):
        api.upsert(make.entity(PATH, "x", path="p", size=1))
        guid = api.guid(PATH, "x")
        answer = api.call("PUT", f"/entity/guid/{guid}", json=5, params={"name": "size"})
        assert headers(answer, "PARTIAL_UPDATE") == ["x"]
        assert answer["partialUpdatedEntities"] == answer["mutatedEntities"]["PARTIAL_UPDATE"]
        assert answer["guidAssignments"] == {}
        for value, stored in (("", ""), (0, "0"), (False, "false"), (None, None)):
            api.call("PUT", f"/entity/guid/{guid}", data=json.dumps(value), params={"name": "path"})
            assert api.read(PATH, "x")["attributes"]["path"] == stored
        assert api.read(PATH, "x")["attributes"]["size"] == 5

    def test_a_reference_by_guid(self, api, make):
        api.upsert(make.entity(TABLE, "t"), make.entity(COLUMN, "c"))
        guid = api.guid(COLUMN, "c")
        api.call("PUT", f"/entity/guid/{guid}", json=make.ref(TABLE, "t"), params={"name": "table"})
        assert make.names(api.read(TABLE, "t")["relationshipAttributes"]["columns"]) == ["c"]

    @pytest.mark.parametrize(("name", "status", "code"), [
        ("nope", 400, "ATLAS-400-00-023"),
        ("userProperties", 400, "ATLAS-400-00-027"),
        ("inputToProcesses", 400, "ATLAS-400-00-027"),
    ])
    def test_other_attributes_are_refused(self, api, make, name, status, code):
        api.upsert(make.entity(PATH, "x"))
        guid = api.guid(PATH, "x")
        api.refuse("PUT", f"/entity/guid/{guid}", status, code, json="v", params={"name": name})
        api.refuse("PUT", "/entity/guid/nope", 404, "ATLAS-404-00-005", json="v", params={"name": name})

    def test_by_unique_attribute_merges(self, api, make):
        api.upsert(make.entity("hive_column", "c", type="int", comment="old", position=1))
        path, params = "/entity/uniqueAttribute/type/hive_column", {"attr:qualifiedName": "c"}
        answer = api.call("PUT", path, json={"entity": {"attributes": {"comment": "new"}}}, params=params)
        assert headers(answer, "PARTIAL_UPDATE") == ["c"]
        attributes = api.read("hive_column", "c")["attributes"]
        assert (attributes["comment"], attributes["type"], attributes["position"]) == ("new", "int", 1)
        body = {"entity": {"attributes": {"type": None}}}
        api.refuse("PUT", path, 404, "ATLAS-404-00-007", json=body, params=params)
        api.refuse("PUT", path, 404, "ATLAS-404-00-009", json=body, params={"attr:qualifiedName": "nope"})
        api.refuse("PUT", path, 400, "ATLAS-400-00-01A", json={}, params=params)
        api.refuse("PUT", path, 400, "ATLAS-400-00-013", json=body)


class TestDelete:
    def test_is_soft_and_a_new_post_makes_a_new_entity(self, api, make):
        api.upsert(make.entity(PATH, "x"))
        guid = api.guid(PATH, "x")
        answer = api.call("DELETE", "/entity/bulk", params={"guid": [guid, "unknown"]})
        assert headers(answer, "DELETE") == ["x"]
        api.read(PATH, "x", 404)
        assert api.get(f"/entity/guid/{guid}")["entity"]["status"] == "DELETED"
        assert api.search({"keywords": "x"})["@search.count"] == 0
        assert "mutatedEntities" not in api.call("DELETE", f"/entity/guid/{guid}")
        api.upsert(make.entity(PATH, "x"))
        assert api.guid(PATH, "x") != guid

    def test_compositions_cascade_and_other_edges_are_cut(self, api, make):
        api.upsert(
            make.entity("databricks_schema", "s", guid="-1"),
            make.entity(TABLE, "t", guid="-2", related={"dbSchema": {"guid": "-1"}, "columns": [{"guid": "-3"}]}),
            make.entity(COLUMN, "c", guid="-3"),
            make.entity("databricks_process", "p", inputs=[{"guid": "-2"}]),
        )
        path = "/entity/uniqueAttribute/type/databricks_schema"
        answer = api.call("DELETE", path, params={"attr:qualifiedName": "s"})
        assert headers(answer, "DELETE") == ["c", "s", "t"]
        assert headers(answer, "UPDATE") == ["p"]
        assert api.read("databricks_process", "p")["attributes"]["inputs"] == []
        api.refuse("DELETE", path, 404, "ATLAS-404-00-009", params={"attr:qualifiedName": "s"})

    def test_what_a_deleted_entity_had_can_still_be_read(self, api, make):
        api.upsert(make.entity(TABLE, "t", related={"columns": [{"guid": "-3"}]}), make.entity(COLUMN, "c", guid="-3"))
        guid = api.guid(TABLE, "t")
        api.call("DELETE", f"/entity/guid/{guid}")
        (column,) = api.get(f"/entity/guid/{guid}")["entity"]["relationshipAttributes"]["columns"]
        assert (column["entityStatus"], column["relationshipStatus"]) == ("DELETED", "DELETED")

    def test_no_guid_at_all(self, api):
        api.refuse("DELETE", "/entity/bulk", 400, "ATLAS-400-00-01A")
        assert "mutatedEntities" not in api.call("DELETE", "/entity/guid/unknown")
