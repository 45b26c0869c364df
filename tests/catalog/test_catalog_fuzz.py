"""Whatever a client sends: a refusal with a code, never a fault, and a store that still agrees with itself."""
from __future__ import annotations

import os
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adb_lineage.catalog import Catalog, CatalogError

EXAMPLES = int(os.environ.get("CATALOG_FUZZ_EXAMPLES", "60"))
"""A long run is `CATALOG_FUZZ_EXAMPLES=5000 python -m pytest tests/catalog/test_catalog_fuzz.py`."""

NAMES = st.sampled_from(["a", "b", "c", "d"])
TYPES = st.sampled_from([
    "databricks_table", "databricks_table_column", "databricks_schema", "databricks_process",
    "azure_datalake_gen2_path", "DataSet", "Process", "databricks_notebook", "hive_table", "hive_column", "nope",
])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["guid", "typeName", "uniqueAttributes", "qualifiedName", "attributes", "id"]), inner,
        max_size=3),
    max_leaves=6)
REFERENCES = st.one_of(
    st.builds(lambda guid: {"guid": guid}, st.sampled_from(["-1", "-2", "-3", -1, "x"])),
    st.builds(lambda kind, name: {"typeName": kind, "uniqueAttributes": {"qualifiedName": name}}, TYPES, NAMES),
    JUNK)
VALUES = REFERENCES | st.lists(REFERENCES, max_size=3) | JUNK
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["inputs", "outputs", "columns", "table", "dbSchema", "task", "sources", "description", "size",
                     "type", "userProperties", "columnMapping", "isFile", "createTime"]), VALUES, max_size=4)
ENTITIES = st.builds(
    lambda kind, name, guid, attributes, related, more: {
        "typeName": kind, "guid": guid, "attributes": {"qualifiedName": name, "name": name, **attributes},
        "relationshipAttributes": related, **more},
    TYPES, NAMES, st.sampled_from([None, "-1", "-2", -3, "x"]), ATTRIBUTES, ATTRIBUTES,
    st.dictionaries(st.sampled_from(["labels", "contacts", "customAttributes", "classifications", "collectionId"]),
                    JUNK, max_size=1))


def check(catalog):
    """The invariants of the store."""
    connection = sqlite3.connect(str(catalog.path))
    types = catalog._types
    active = "SELECT id FROM entity WHERE status = 'ACTIVE'"
    for query, why in (
        (f"SELECT * FROM relationship WHERE status = 'ACTIVE' AND (end1 NOT IN ({active}) OR end2 NOT IN ({active}))",
         "an active edge to a deleted entity"),
        (f"SELECT * FROM attribute_index WHERE entity NOT IN ({active})", "an index row of a deleted entity"),
        ("SELECT * FROM entity WHERE status = 'ACTIVE' AND id NOT IN (SELECT entity FROM attribute_index"
         " WHERE attribute = 'qualifiedName' AND value = qualified_name)", "an entity that is not indexed"),
        ("SELECT type, qualified_name FROM entity WHERE status = 'ACTIVE' GROUP BY 1, 2 HAVING count(*) > 1",
         "a double"),
        ("SELECT rowid FROM entity_text EXCEPT SELECT id FROM entity WHERE status = 'ACTIVE'", "text of nothing"),
    ):
        assert connection.execute(query).fetchall() == [], why
    for definition in types.of_category("RELATIONSHIP"):
        for end in ("1", "2"):
            if definition[f"endDef{end}"]["cardinality"] == "SINGLE":
                assert connection.execute(
                    f"SELECT end{end} FROM relationship WHERE type = ? AND status = 'ACTIVE' GROUP BY 1"
                    " HAVING count(*) > 1", (definition["name"],)).fetchall() == [], definition["name"]
    connection.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(
    st.lists(ENTITIES | ENTITIES | JUNK, min_size=1, max_size=5),
    st.none() | st.dictionaries(NAMES, ENTITIES | JUNK, max_size=2)), min_size=1, max_size=4))
def test_any_sequence_of_bulks(requests):
    with Catalog() as catalog:
        for entities, referred in requests:
            write(catalog, entities, referred)
            check(catalog)


def write(catalog, entities, referred):
    try:
        answer = catalog.create_or_update(entities, referred)
    except CatalogError as refused:
        assert refused.status in (400, 404)
    else:
        for guid in answer["guidAssignments"].values():
            read = catalog.entity(guid)["entity"]
            try:
                catalog.lineage(guid, depth=0, include_parent=True)
            except CatalogError as refused:
                assert refused.code == "ATLAS-404-00-011"
            # What is read can be written back: nothing has changed.
            if read["status"] == "ACTIVE":
                again = catalog.create_or_update([read])
                assert "mutatedEntities" not in again, again
    catalog.search({"keywords": "a"}, hidden=True)


@pytest.fixture(scope="module")
def catalog():
    with Catalog() as one:
        yield one


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(JUNK | st.dictionaries(st.sampled_from(
    ["keywords", "limit", "offset", "filter", "facets", "orderby", "continuationToken"]), JUNK | st.builds(
        lambda key, value: {key: value},
        st.sampled_from(["and", "or", "not", "entityType", "attributeName", "updateTime"]),
        JUNK), max_size=4))
def test_any_search(catalog, body):
    try:
        catalog.search(body)
    except CatalogError as refused:
        assert refused.status == 400


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(JUNK | st.fixed_dictionaries({}, optional={key: st.lists(st.fixed_dictionaries(
    {"name": st.sampled_from(["t1", "t2", "DataSet"]) | JUNK}, optional={
        "superTypes": st.lists(st.sampled_from(["DataSet", "t1", "t2", "nope"]), max_size=2) | JUNK,
        "attributeDefs": st.lists(st.fixed_dictionaries({"name": NAMES, "typeName": st.sampled_from(
            ["int", "array<int>", "map<int,", "array<", "t1", "array<t2>", ""])}), max_size=2) | JUNK,
        "endDef1": JUNK, "options": JUNK, "elementDefs": JUNK, "relationshipCategory": JUNK}) | JUNK, max_size=2)
    for key in ("entityDefs", "enumDefs", "relationshipDefs", "structDefs")}))
def test_any_typedef(catalog, body):
    for call in (catalog.create_typedefs, catalog.update_typedefs):
        try:
            call(body)
        except CatalogError as refused:
            assert refused.status in (400, 409)
    catalog.typedefs()
    assert catalog.statistics()["types"] > 100
