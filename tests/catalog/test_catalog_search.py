"""search/query over HTTP: keywords, the filter grammar as a table, facets, order, pages."""
from __future__ import annotations

import base64
import json

import pytest
import requests

from adb_lineage.catalog.server import serve_in_thread

PATH = "azure_datalake_gen2_path"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """One catalog with a handful of assets, for reading only."""
    with serve_in_thread(tmp_path_factory.mktemp("search") / "c.db") as server:
        def entity(type_name, name, qualified_name, **more):
            attributes = {"qualifiedName": qualified_name, "name": name, **more.pop("attributes", {})}
            return {"typeName": type_name, "attributes": attributes, **more}

        server.catalog.create_typedefs({"classificationDefs": [{"name": "MICROSOFT.PERSONAL.NAME"}]})
        server.catalog.create_or_update([
            entity(PATH, "orders", "https://lake/raw/sales/orders/", attributes={
                "description": "Raw orders of the shop", "owner": "ann", "size": 10, "isFile": False},
                collectionId="abc"),
            entity(PATH, "orders_2024.csv", "https://lake/raw/sales/orders_2024.csv", attributes={
                "owner": "bob", "size": 200, "isFile": True}),
            entity("databricks_table", "orders", "databricks://m/catalogs/c/schemas/s/tables/orders",
                   labels=["gold"], classifications=[{"typeName": "MICROSOFT.PERSONAL.NAME"}],
                   contacts={"Owner": [{"id": "u1", "info": "x"}]}),
            entity("databricks_table", "Bücher", "databricks://m/catalogs/c/schemas/s/tables/Bücher"),
            entity("databricks_table_column", "orders_id", "databricks://m/…/orders#orders_id"),
            entity("databricks_process", "load orders", "databricks://w/notebooks/load/processes/A->B"),
            entity("databricks_notebook", "load", "databricks://w/notebooks/load"),
        ])
        yield server


@pytest.fixture
def api(filled):
    class Search:
        url = filled.url

        @staticmethod
        def find(body, status=200, service="/datamap/api"):
            answer = requests.post(filled.url + service + "/search/query", json=body, timeout=30)
            assert answer.status_code == status, answer.text
            return answer.json()

    return Search


def found(answer):
    return sorted(f"{one['entityType']}:{one['name']}" for one in answer["value"])


ORDERS = [f"{PATH}:orders", f"{PATH}:orders_2024.csv", "databricks_table:orders"]
EVERYTHING = sorted([*ORDERS, "databricks_table:Bücher", "databricks_notebook:load"])


@pytest.mark.parametrize(("keywords", "expected"), [
    (None, EVERYTHING), ("", EVERYTHING), ("*", EVERYTHING),
    ("orders", ORDERS), ("ORDERS", ORDERS), ("order", []), ("order*", ORDERS), ("orders shop", ORDERS[:1]),
    ("bücher", ["databricks_table:Bücher"]), ("sales/orders", ORDERS[:2]),
    ('orders"', ORDERS), ('" OR *', []), ("->", []), ("AND OR NOT", []), ("(", []),
])
def test_keywords(api, keywords, expected):
    answer = api.find({"keywords": keywords})
    assert found(answer) == expected
    assert answer["@search.count"] == len(expected)


@pytest.mark.parametrize(("filter_", "expected"), [
    ({}, EVERYTHING),
    ({"entityType": "databricks_table"}, ["databricks_table:Bücher", "databricks_table:orders"]),
    ({"typeName": "databricks_table", "includeSubTypes": False},
     ["databricks_table:Bücher", "databricks_table:orders"]),
    ({"entityType": "DataSet"}, sorted([*ORDERS, "databricks_table:Bücher"])),
    ({"entityType": "DataSet", "includeSubTypes": False}, []),
    ({"objectType": "Tables"}, ["databricks_table:Bücher", "databricks_table:orders"]),
    ({"assetType": "Azure Data Lake Storage Gen2"}, ORDERS[:2]),
    ({"collectionId": "abc"}, ORDERS[:1]),
    ({"classification": "MICROSOFT.PERSONAL.NAME", "includeSubClassifications": True}, ORDERS[2:]),
    ({"label": "gold"}, ORDERS[2:]),
    ({"contactId": "u1"}, ORDERS[2:]),
    ({"fileExtension": "csv"}, ORDERS[1:2]),
    ({"term": "any"}, []),
    ({"attributeName": "owner", "operator": "eq", "attributeValue": "ann"}, ORDERS[:1]),
    ({"attributeName": "owner", "attributeValue": "ann"}, ORDERS[:1]),
    ({"attributeName": "size", "operator": "gt", "attributeValue": 10}, ORDERS[1:2]),
    ({"attributeName": "size", "operator": "ge", "attributeValue": 10}, ORDERS[:2]),
    ({"attributeName": "size", "operator": "lt", "attributeValue": 11}, ORDERS[:1]),
    ({"attributeName": "size", "operator": "le", "attributeValue": 9}, []),
    ({"attributeName": "isFile", "operator": "eq", "attributeValue": True}, ORDERS[1:2]),
    ({"and": [{"entityType": PATH}, {"attributeName": "size", "operator": "ne", "attributeValue": 10}]}, ORDERS[1:2]),
    ({"attributeName": "qualifiedName", "operator": "prefix", "attributeValue": "https://lake/raw/sales/orders"},
     ORDERS[:2]),
    ({"attributeName": "qualifiedName", "operator": "contains", "attributeValue": "s_2"}, ORDERS[1:2]),
    ({"attributeName": "qualifiedName", "operator": "contains", "attributeValue": "%"}, []),
    ({"attributeName": "it's \"odd\"", "operator": "eq", "attributeValue": 1}, []),
    ({"kind": "AndFilter", "and": [{"kind": "TypeFilter", "entityType": PATH}, {"not": {"fileExtension": "csv"}}]},
     ORDERS[:1]),
    ({"or": [{"label": "gold"}, {"fileExtension": "csv"}]}, ORDERS[1:]),
    ({"or": []}, EVERYTHING),
    ({"updateTime": "LAST_24H"}, EVERYTHING),
    ({"createTime": "MORE_THAN_365D"}, []),
    ({"createTime": {"operator": "ge", "timeThreshold": 0}}, EVERYTHING),
    ({"updateTime": {"operator": "timerange", "timeThreshold": "LAST_7D"}}, EVERYTHING),
    ({"attributeName": "createTime", "operator": "timerange", "attributeValue": "LAST_30D"}, EVERYTHING),
])
def test_filters(api, filter_, expected):
    assert found(api.find({"filter": filter_})) == expected


@pytest.mark.parametrize("body", [
    {"filter": {"nonsense": 1}}, {"filter": ["x"]}, {"filter": {"and": {}}}, {"filter": {"entityType": 5}},
    {"filter": {"attributeName": "a", "operator": "like", "attributeValue": "x"}},
    {"filter": {"attributeName": "a", "operator": "eq", "attributeValue": {}}},
    {"filter": {"createTime": "SOON"}}, {"filter": {"createTime": {"operator": "ge", "timeThreshold": "x"}}},
    {"limit": 1001}, {"limit": -1}, {"limit": "many"}, {"orderby": [{"nonsense": "asc"}]},
    {"continuationToken": "x"}, {"continuationToken": base64.b64encode(b"{}").decode()}, [], None,
])
def test_what_is_not_understood_is_refused(api, body):
    assert api.find(body, 400)["errorCode"] == "ATLAS-400-00-01A"


def test_by_guid(api):
    hit = api.find({"keywords": "bücher"})["value"][0]
    assert found(api.find({"filter": {"id": hit["id"]}})) == ["databricks_table:Bücher"]


def test_a_hit(api):
    hit = api.find({"keywords": "gold orders", "filter": {"label": "gold"}})["value"]
    assert hit == []  # labels are no text
    (hit,) = api.find({"keywords": "orders", "filter": {"label": "gold"}})["value"]
    assert hit["qualifiedName"] == "databricks://m/catalogs/c/schemas/s/tables/orders"
    assert hit["classification"] == ["MICROSOFT.PERSONAL.NAME"]
    assert hit["contact"] == [{"id": "u1", "info": "x", "contactType": "Owner"}]
    assert hit["objectType"] == "Tables"
    assert hit["@search.score"] > 0


def test_pages_by_token_reach_everything_once(api):
    body = {"limit": 2, "orderby": [{"name": "desc"}]}
    seen = []
    while True:
        page = api.find(body)
        seen += [one["name"] for one in page["value"]]
        if "continuationToken" not in page:
            break
        token = json.loads(base64.b64decode(page["continuationToken"]))
        assert set(token) == {"sessionId", "offset", "requestHash"}
        body["continuationToken"] = page["continuationToken"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(EVERYTHING)
    assert api.find({**body, "limit": 3}, 400)["errorMessage"].endswith("belongs to another request")


def test_offset_belongs_to_the_classic_api(api):
    body = {"orderby": [{"qualifiedName": "ASC"}], "offset": 3}
    assert len(api.find(body, service="/catalog/api")["value"]) == len(EVERYTHING) - 3
    assert len(api.find(body)["value"]) == len(EVERYTHING)


def test_facets(api):
    facets = [{"facet": name} for name in ("entityType", "assetType", "classification", "label", "term")]
    answer = api.find({"facets": facets, "limit": 0})["@search.facets"]
    assert answer["entityType"][0] == {"count": 2, "value": PATH}
    assert {"count": 3, "value": "Databricks"} in answer["assetType"]
    assert answer["classification"] == [{"count": 1, "value": "MICROSOFT.PERSONAL.NAME"}]
    assert answer["label"] == [{"count": 1, "value": "gold"}]
    assert answer["term"] == []
    few = api.find({"facets": [{"facet": "entityType", "count": 1}], "keywords": "orders"})["@search.facets"]
    assert few == {"entityType": [{"count": 2, "value": PATH}]}


def test_the_page_finds_what_purview_hides(api):
    answer = requests.get(api.url + "/web/search", params={"q": "orders*"}, timeout=30).json()
    assert {"databricks_process", "databricks_table_column"} <= {one["entityType"] for one in answer["value"]}
