"""V2 data sources: tables of catalogs, and connectors that are told by their options."""
from __future__ import annotations

from typing import Any, Optional, Tuple

from adb_lineage.capture.connectors import connector, cosmos_name, nothing, sql_source
from adb_lineage.capture.datasets import Dataset, TableName
from adb_lineage.capture.jdbc import parse_jdbc_url
from adb_lineage.capture.options import Options
from adb_lineage.capture.plan import simple_name
from adb_lineage.capture.readers.base import Reading, relation, schema_of
from adb_lineage.capture.readers.files import datasets_of_paths

Datasets = Tuple[Dataset, ...]

# Table properties by which a connector names its dataset itself (OpenLineage's extension interface).
_OWN_NAME, _OWN_NAMESPACE, _OWN_QUERY = (
    "openlineage.dataset.name", "openlineage.dataset.namespace", "openlineage.dataset.query")
# Tables of a catalog that hold a V1 CatalogTable.
_V1_MEMBERS = {"V1Table": "v1Table", "UnityCatalogTableV2": "catalogTable", "DeltaTableV2": "catalogTable?"}


@relation("DataSourceV2Relation", "StreamingDataSourceV2Relation")
def v2_relation(reading: Reading) -> Datasets:
    """A V2 table: by what it says of itself, by its catalog and identifier, or by its options."""
    jvm, java = reading.jvm, reading.java
    table = jvm.ask(java, "table")
    return v2_table(reading, table, jvm.attempt(java, "catalog?"), jvm.attempt(java, "identifier?"),
                    jvm.attempt(java, "options"))


@relation("DataSourceV2ScanRelation", "StreamingDataSourceV2ScanRelation")
def v2_scan(reading: Reading) -> Datasets:
    """A V2 table once the optimizer has planned its scan."""
    return v2_relation(reading.at(reading.node, reading.jvm.ask(reading.java, "relation")))


def v2_table(reading: Reading, table: Any, catalog: Any, identifier: Any, options: Any,
             format_name: str = "") -> Datasets:
    """The datasets of a V2 table; `catalog`, `identifier` and `options` are None where there is none.

    `format_name` is the short name of the source, "" where only the table's class tells.
    """
    jvm = reading.jvm
    class_name = jvm.class_name(table)
    if class_name.endswith(".RowLevelOperationTable"):  # what MERGE, UPDATE and DELETE put around their target
        table = jvm.ask(table, "table")
        class_name = jvm.class_name(table)
    kind = simple_name(class_name)
    name = table_name_of(reading, catalog, identifier)
    schema = schema_of(reading.node)
    if kind in _V1_MEMBERS:
        found = _with_v1_table(reading, table, kind, name)
        if found:
            return tuple(dataset.with_schema(schema) for dataset in found)
    if kind == "JDBCTable":
        found = _jdbc_table(reading, table)
    elif class_name.startswith("org.apache.spark.sql.execution.datasources.v2."):
        paths = jvm.attempt(table, "paths")  # a file format that is read as V2
        found = datasets_of_paths(reading, jvm.lines(paths)) if paths is not None else ()
    else:
        found = ()
    if not found and kind not in _V1_MEMBERS:  # a Delta table's properties would load its snapshot
        found = _by_properties(reading, table, name)
    if not found:
        found = cosmos_name(str(jvm.attempt(table, "name") or "")) if kind.startswith("Items") else ()
    known = connector(class_name, format_name)
    if not found:
        found = known(Options(jvm, options, reading.surroundings.root))
        if any(not dataset.known for dataset in found) and name is not None:
            found = ()
    if not found and name is not None:
        found = (reading.surroundings.table(name, None),)
    elif found and name is not None and len(found) == 1:
        found = (found[0].linked(reading.surroundings.symlink(name)),)
    if not found and known is not nothing:
        found = (Dataset("unknown", str(jvm.attempt(table, "name") or class_name), known=False),)
    return tuple(dataset if dataset.columns is not None else dataset.with_schema(schema) for dataset in found)


def table_name_of(reading: Reading, catalog: Any, identifier: Any) -> Optional[TableName]:
    """Catalog, namespace and name of a V2 identifier; None for none, or for one that is a path."""
    if identifier is None:
        return None
    parts = _parts(reading, identifier)
    if any("/" in part for part in parts):
        return None
    return TableName(parts[-1], ".".join(parts[:-1]), "" if catalog is None else str(reading.jvm.ask(catalog, "name")))


def path_of_identifier(reading: Reading, identifier: Any) -> str:
    """The path that a V2 identifier is: Delta has it in the name, Iceberg its folder in the namespace."""
    *namespace, name = _parts(reading, identifier)
    return name if "/" in name else "/".join((*namespace, name))


def _parts(reading: Reading, identifier: Any) -> Tuple[str, ...]:
    namespace = tuple(str(part) for part in reading.jvm.ask(identifier, "namespace"))
    return (*namespace, str(reading.jvm.ask(identifier, "name")))


def _with_v1_table(reading: Reading, table: Any, kind: str, name: Optional[TableName]) -> Datasets:
    jvm = reading.jvm
    v1_table = jvm.attempt(table, _V1_MEMBERS[kind])
    uri = jvm.attempt(v1_table, "storage", "locationUri?")
    location = None if uri is None else jvm.text(uri)
    if v1_table is not None and name is None:
        identifier = jvm.ask(v1_table, "identifier")
        name = TableName(str(jvm.ask(identifier, "table")), str(jvm.ask(identifier, "database?") or ""))
    if location is None:
        path = jvm.attempt(table, "path") if kind == "DeltaTableV2" else None
        if path is not None:
            place = jvm.text(path)
            surroundings = reading.surroundings
            return (surroundings.table(name, place, escaped=False) if name else surroundings.path(place),)
    return (reading.surroundings.table(name, location),) if name else ()


def _jdbc_table(reading: Reading, table: Any) -> Datasets:
    """A table of Spark's own JDBC catalog."""
    options = reading.jvm.ask(table, "jdbcOptions")
    return sql_source(parse_jdbc_url(str(reading.jvm.ask(options, "url"))),
                      str(reading.jvm.ask(options, "tableOrQuery")).replace("`", '"'))


def _by_properties(reading: Reading, table: Any, name: Optional[TableName]) -> Datasets:
    """What a table's properties tell: a dataset's name of its own, or the location."""
    properties = reading.jvm.attempt(table, "properties")
    if properties is None:
        return ()

    def read(key: str) -> str:
        value = reading.jvm.call(properties, "get", key)
        return "" if value is None else str(value)

    namespace = read(_OWN_NAMESPACE)
    if namespace and read(_OWN_NAME):
        return (Dataset(namespace, read(_OWN_NAME)),)
    if namespace and read(_OWN_QUERY):
        return sql_source(parse_jdbc_url(namespace), read(_OWN_QUERY))
    location = read("location")
    if not location:
        return ()
    return (reading.surroundings.table(name, location, escaped=False) if name else reading.surroundings.path(location),)
