"""Attribute values: what may be sent and what is stored, as a table of cases (cases/values.json)."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from adb_lineage.catalog import Catalog, CatalogError

CASES = json.loads((Path(__file__).parent / "cases" / "values.json").read_text())
TYPES = sorted({case[0] for case in CASES})


@pytest.fixture(scope="module")
def catalog():
    attribute = {"isOptional": True}
    with Catalog() as one:
        one.create_typedefs({
            "enumDefs": [{"name": "colour", "elementDefs": [{"value": "RED"}, {"value": "GREEN"}]}],
            "structDefs": [{"name": "point", "attributeDefs": [
                {"name": "x", "typeName": "int"}, {"name": "y", "typeName": "int", **attribute}]}],
            "entityDefs": [{"name": "holder", "superTypes": ["Referenceable"], "attributeDefs": [
                *({"name": f"a{index}", "typeName": name, **attribute} for index, name in enumerate(TYPES)),
                {"name": "several", "typeName": "array<string>", "cardinality": "SET", "isOptional": True,
                 "valuesMinCount": 1, "valuesMaxCount": 2},
                {"name": "friend", "typeName": "DataSet", **attribute},
                {"name": "anything", "typeName": "array<objectid>", **attribute},
            ]}],
        })
        yield one


def store(catalog, **attributes):
    catalog.create_or_update([{"typeName": "holder", "attributes": {"qualifiedName": "h", **attributes}}])
    return catalog.entity_by_unique("holder", {"qualifiedName": "h"})["entity"]["attributes"]


@pytest.mark.parametrize(("type_name", "sent", "stored"), CASES, ids=[f"{case[0]}={case[1]!r}" for case in CASES])
def test_value(catalog, type_name, sent, stored):
    name = f"a{TYPES.index(type_name)}"
    if stored == "INVALID":
        with pytest.raises(CatalogError) as refused:
            store(catalog, **{name: sent})
        assert refused.value.code == "ATLAS-404-00-007"
        assert f"holder.{name}" in refused.value.message or "point." in refused.value.message
    else:
        assert store(catalog, **{name: sent})[name] == stored


def test_the_item_at_fault_is_named(catalog):
    with pytest.raises(CatalogError, match=r"holder\.a\d+\[1\]=x: invalid value for type int"):
        store(catalog, **{f"a{TYPES.index('array<int>')}": [1, "x"]})


def test_a_set_keeps_its_first_order_and_its_bounds(catalog):
    assert store(catalog, several=["b", "a", "b"])["several"] == ["b", "a"]
    for wrong in ([], ["a", "b", "c"]):
        with pytest.raises(CatalogError, match="several"):
            store(catalog, several=wrong)


def test_references_that_are_no_relationship(catalog):
    table = {"typeName": "databricks_table", "guid": "-1", "attributes": {"qualifiedName": "t", "name": "t"}}
    guid = catalog.create_or_update([table])["guidAssignments"]["-1"]
    expected = {"guid": guid, "typeName": "databricks_table"}
    assert store(catalog, friend={"guid": guid})["friend"] == expected
    by_name = {"typeName": "DataSet", "uniqueAttributes": {"qualifiedName": "t"}}
    assert store(catalog, anything=[by_name])["anything"] == [expected]
    with pytest.raises(CatalogError) as refused:
        store(catalog, friend={"guid": "-404"})
    assert refused.value.code == "ATLAS-404-00-00A"
    catalog.create_or_update([{"typeName": "hive_db", "attributes": {
        "qualifiedName": "d", "name": "d", "clusterName": "c"}}])
    with pytest.raises(CatalogError) as refused:
        store(catalog, friend={"typeName": "hive_db", "uniqueAttributes": {"qualifiedName": "d"}})
    assert refused.value.code == "ATLAS-404-00-007"


def test_lone_surrogates_store_nothing(catalog):
    with pytest.raises(UnicodeEncodeError):
        catalog.create_or_update([{"typeName": "holder", "attributes": {"qualifiedName": "\ud800"}}])
    assert catalog.search({"keywords": "holder"})["@search.count"] == 0
