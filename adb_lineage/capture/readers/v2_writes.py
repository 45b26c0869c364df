"""Commands on V2 tables (and on any relation of a DataFrame or SQL write that Spark left in a V2 node)."""
from __future__ import annotations

from typing import Any, Optional, Tuple, Union

from adb_lineage.capture.datasets import Dataset, TableName
from adb_lineage.capture.options import Options
from adb_lineage.capture.readers.base import Reading, RowLevel, Skip, Write, command, keeps_existing
from adb_lineage.capture.readers.v2 import path_of_identifier, table_name_of
from adb_lineage.capture.row_level import deleted, merged, updated


@command("AppendData")
def append(reading: Reading) -> Union[Write, Skip]:
    """INSERT INTO, and `writeTo(…).append()`; not what Iceberg's procedures write when they compact a table."""
    catalog = reading.jvm.attempt(reading.java, "table", "catalog?")
    if reading.jvm.class_name(catalog).endswith(".SparkCachedTableCatalog"):
        return Skip("maintenance (Iceberg rewrites files): the rows of the table stay as they are")
    return Write(target="table")


@command("OverwriteByExpression", "OverwritePartitionsDynamic")
def overwrite(reading: Reading) -> Write:
    """INSERT OVERWRITE, `replaceWhere`, dynamic partition overwrite."""
    return Write(target="table", lifecycle="OVERWRITE")


@command("ReplaceData", "WriteDelta", "ReplaceIcebergData", "WriteIcebergDelta")
def rewritten(reading: Reading) -> Write:
    """MERGE, UPDATE and DELETE after Spark's rewriting: the query has the rows as they will be."""
    query = reading.node.child("query")
    merges = query is not None and any(node.name == "MergeRows" for node in query.walk())
    return Write(target="table", rows=RowLevel(merges=merges))


@command("MergeIntoTable", "MergeIntoIcebergTable", "UnresolvedMergeIntoIcebergTable")
def merge(reading: Reading) -> Write:
    """MERGE that the table does by itself."""
    return Write(target="targetTable", query="", rows=RowLevel(("targetTable", "sourceTable"), merged, merges=True))


@command("UpdateTable", "UpdateIcebergTable")
def update(reading: Reading) -> Write:
    """UPDATE that the table does by itself."""
    return Write(target="table", query="", rows=RowLevel(("table",), updated))


@command("DeleteFromTable", "DeleteFromTableWithFilters", "DeleteFromIcebergTable")
def delete(reading: Reading) -> Write:
    """DELETE that the table does by itself."""
    return Write(target="table", query="", rows=RowLevel(("table",), deleted))


@command("CreateTableAsSelect")
def create_as_select(reading: Reading) -> Write:
    """CREATE TABLE … AS SELECT in a V2 catalog; the nested write knows where the table lies (Spark 3.4)."""
    return new_table(reading, "CREATE", "query")


@command("ReplaceTableAsSelect")
def replace_as_select(reading: Reading) -> Write:
    """CREATE OR REPLACE TABLE … AS SELECT."""
    return new_table(reading, "OVERWRITE", "query")


@command("CreateTable", "CreateV2Table")
def create(reading: Reading) -> Write:
    """CREATE TABLE in a V2 catalog."""
    return new_table(reading, "CREATE", "")


@command("ReplaceTable")
def replace(reading: Reading) -> Write:
    """CREATE OR REPLACE TABLE without rows."""
    return new_table(reading, "OVERWRITE", "")


def new_table(reading: Reading, lifecycle: str, query: str) -> Write:
    """A table that a V2 catalog makes: by its name, at the location that the command gives, if it gives one."""
    name, path = new_name(reading)
    location = path or _location(reading)
    kept = keeps_existing(reading)
    if name is None:
        return Write(reading.surroundings.path(location) if location else None, lifecycle, query, unless_there=kept)
    if location:
        return Write(reading.surroundings.table(name, location, escaped=False), lifecycle, query, unless_there=kept)
    guess = reading.surroundings.default_location(name)
    return Write(reading.surroundings.table(name, guess), lifecycle, query, provisional=True, unless_there=kept)


def new_name(reading: Reading) -> Tuple[Optional[TableName], str]:
    """Catalog, namespace and name of a table to be made; or the path, for a table that is named by one.

    Spark 3.0 to 3.2 have catalog and identifier in the command, 3.3 the parts of the name, 3.4 a resolved identifier.
    """
    jvm = reading.jvm
    resolved = jvm.attempt(reading.java, "name")
    holder = reading.java if resolved is None else resolved
    catalog = jvm.attempt(holder, "catalog")
    identifier = jvm.attempt(holder, "identifier") or jvm.attempt(holder, "tableName")
    if identifier is not None:
        name = table_name_of(reading, catalog, identifier)
        return name, "" if name is not None else path_of_identifier(reading, identifier)
    parts = jvm.lines(jvm.ask(holder, "nameParts"))
    if "/" in parts[-1]:
        return None, parts[-1]
    return TableName(parts[-1], ".".join(parts[:-1]), "" if catalog is None else str(jvm.ask(catalog, "name"))), ""


def _location(reading: Reading) -> str:
    jvm = reading.jvm
    given = jvm.attempt(reading.java, "tableSpec", "location?")
    if given is None:
        properties = jvm.attempt(reading.java, "properties") or jvm.attempt(reading.java, "tableSpec", "properties")
        given = Options(jvm, properties).get("location")
    return str(given or "")


def existing_table(reading: Reading, catalog: Any, identifier: Any) -> Dataset:
    """A V2 table that a command names: where it was last seen, else by its name; or the path that names it."""
    name = table_name_of(reading, catalog, identifier)
    if name is None:
        return reading.surroundings.path(path_of_identifier(reading, identifier))
    return reading.surroundings.existing(name)
