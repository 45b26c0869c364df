"""Delta's own commands, of open-source Delta and of Databricks: the same tails of names, some with `Edge` behind.

Members differ between versions, so they are tried by name (reference databricks.md, section 6.1).
"""
from __future__ import annotations

import json
from typing import Any, Optional, Tuple, Union

from adb_lineage.capture.datasets import Dataset, TableName, fields_of
from adb_lineage.capture.readers.base import (
    THERE_ALREADY,
    Reading,
    RowLevel,
    Skip,
    Write,
    command,
    identifier,
    lifecycle_of_mode,
    location_of,
    name_of_identifier,
    table_name,
)
from adb_lineage.capture.readers.connectors import v1_relation
from adb_lineage.capture.readers.v2 import v2_table
from adb_lineage.capture.row_level import deleted, merged, updated

COPY_TARGETS = ("targetDeltaRelation", "target", "targetTable", "table", "copyIntoTarget", "copyIntoTable")
COPY_PATHS = ("source", "sourcePath", "path", "sourceLocation", "location", "sourceUri", "inputPath",
              "copyIntoSourcePath", "from")
COPY_QUERIES = ("sourceData", "query", "sourceQuery", "copyIntoSource")


@command("MergeIntoCommand", "DeltaMergeInto")
def merge(reading: Reading) -> Write:
    """MERGE INTO, and `DeltaTable.merge`."""
    return Write(target="target", query="", rows=RowLevel(("target", "source"), merged, merges=True))


@command("UpdateCommand", "DeltaUpdateTable")
def update(reading: Reading) -> Write:
    """UPDATE, and `DeltaTable.update`."""
    target = "child" if "target" not in reading.node.fields and "child" in reading.node.fields else "target"
    return Write(target=target, query="", rows=RowLevel((target,), updated))


@command("DeleteCommand", "DeltaDelete")
def delete(reading: Reading) -> Write:
    """DELETE, and `DeltaTable.delete`."""
    target = "child" if "target" not in reading.node.fields and "child" in reading.node.fields else "target"
    return Write(target=target, query="", rows=RowLevel((target,), deleted))


@command("CopyIntoCommand")
def copy_into(reading: Reading) -> Write:
    """COPY INTO: from the files of a folder, through a plan where the version has one."""
    plans = [name for name in (*COPY_TARGETS, *COPY_QUERIES) if reading.node.child(name) is not None]
    target = next((name for name in COPY_TARGETS if name in plans), "")
    query = next((name for name in (*COPY_QUERIES, "source") if name in plans and name != target), "")
    inputs: Tuple[Dataset, ...] = ()
    for name in COPY_PATHS:
        value = reading.node.fields.get(name) if reading.node.fields else reading.jvm.attempt(reading.java, name)
        if isinstance(value, str) and "/" in value:
            inputs = (reading.surroundings.path(value),)
            break
    dataset = None if target else _table_member(reading, *COPY_TARGETS)
    return Write(dataset, "", query, target=target, inputs=() if query else inputs)


@command("CreateDeltaTableCommand")
def create(reading: Reading) -> Union[Write, Skip]:
    """CREATE and REPLACE TABLE [AS SELECT | CLONE] of a Delta table."""
    jvm = reading.jvm
    table = jvm.ask(reading.java, "table")
    name = table_name(reading, "table", table)
    operation = jvm.text(jvm.attempt(reading.java, "operation") or "")
    mode = jvm.text(jvm.ask(reading.java, "mode"))
    lifecycle = "OVERWRITE" if "Replace" in operation else lifecycle_of_mode(mode, True)
    location = location_of(reading, table)
    if location and bool(jvm.attempt(reading.java, "tableByPath")):
        dataset: Optional[Dataset] = reading.surroundings.path(location, escaped=True)
    elif name is None:
        dataset = None
    else:
        dataset = reading.surroundings.table(name, location or reading.surroundings.default_location(name))
    query = jvm.ask(reading.java, "query?")
    if mode == "Ignore" and jvm.attempt(reading.java, "existingTableOpt?") is not None:
        return Skip(THERE_ALREADY)
    if query is None:
        return Write(dataset, lifecycle, "")
    if jvm.class_name(query).rpartition(".")[2].startswith("CloneTableCommand"):
        return Write(dataset, lifecycle, "", inputs=_clone_source(reading, query), copies=True)
    return Write(dataset, lifecycle, "query?", provisional=location is None, unless_there=mode == "Ignore")


@command("DeltaDynamicPartitionOverwriteCommand")
def overwrite_partitions(reading: Reading) -> Write:
    """INSERT OVERWRITE with `partitionOverwriteMode=dynamic`: what Delta makes of OverwritePartitionsDynamic."""
    return Write(target="table", lifecycle="OVERWRITE")


@command("DeltaInsertReplaceOnOrUsingCommand")
def insert_replace(reading: Reading) -> Write:
    """INSERT … REPLACE ON | USING: the rows take the place of those that they match."""
    return Write(_table_member(reading, "deltaTable"), "OVERWRITE")


@v1_relation("DeltaCDFRelation")
def change_feed(reading: Reading) -> Tuple[Dataset, ...]:
    """The change data feed of a table that is read by its path; the log itself is not asked."""
    path = reading.jvm.attempt(reading.java, "snapshotWithSchemaMode", "snapshot", "deltaLog", "dataPath")
    return () if path is None else (reading.surroundings.path(reading.jvm.text(path)),)


@command("CloneTableCommand")
def clone(reading: Reading) -> Write:
    """CREATE TABLE … SHALLOW | DEEP CLONE."""
    name = identifier(reading, "targetIdent")
    path = reading.jvm.attempt(reading.java, "targetPath")
    location = None if path is None else reading.jvm.text(path)
    named = name is not None and "/" not in name.table
    dataset = (reading.surroundings.table(name, location, escaped=False) if named and name
               else reading.surroundings.path(location) if location else None)
    return Write(dataset, "CREATE", "", inputs=_clone_source(reading, reading.java), copies=True)


def _clone_source(reading: Reading, clone_command: Any) -> Tuple[Dataset, ...]:
    """The table that is cloned: its catalog entry, which has the columns too, or the folder of its data."""
    jvm = reading.jvm
    source = jvm.attempt(clone_command, "sourceTable")
    table = jvm.attempt(source, "sourceTable")  # of a Delta source, the table itself
    entry = jvm.attempt(source, "catalogTable?")
    if entry is None:
        entry = jvm.attempt(table, "catalogTable?")
    path = jvm.attempt(source, "dataPath")
    if path is None:
        path = jvm.attempt(table, "path")
    location = None if path is None else jvm.text(path)
    name = name_of_identifier(jvm, jvm.attempt(entry, "identifier"))
    if name is not None:
        location = location or location_of(reading, entry)
        schema = fields_of(json.loads(jvm.ask(entry, "schema", "json")))
        return (reading.surroundings.table(name, location, escaped=path is None).with_schema(schema),)
    return (reading.surroundings.path(location),) if location else ()


@command("RestoreTableCommand")
def restore(reading: Reading) -> Write:
    """RESTORE TABLE: the table's rows become those of one of its own versions."""
    return Write(_table_member(reading, "sourceTable", "table", "targetTable", "targetIdent"), "OVERWRITE", "")


@command("ConvertToDeltaCommand")
def convert(reading: Reading) -> Write:
    """CONVERT TO DELTA: the same files under another format; `parquet.`path`` names them by path."""
    name = identifier(reading, "tableIdentifier")
    path = reading.jvm.attempt(reading.java, "deltaPath?")
    if path is None and name is not None and "/" in name.table:
        path = name.table
    if path is not None:
        return Write(reading.surroundings.path(str(path)), "ALTER", "")
    return Write(reading.surroundings.existing(name) if name else None, "ALTER", "")


@command("WriteIntoDeltaCommand")
def inner_write(reading: Reading) -> Skip:
    """The inner step of a write; the statement's own execution has the lineage."""
    return Skip("the inner step of another statement's write")


@command("TruncateDeltaTableCommand")
def truncate(reading: Reading) -> Write:
    """TRUNCATE TABLE of a Delta table."""
    return Write(_table_member(reading, "table", "target", "tableIdentifier"), "TRUNCATE", "")


@command("OptimizeTableCommand", "OptimizeCommand", "VacuumTableCommand", "VacuumCommand", "ReorgTableCommand",
         "DeltaReorgTableCommand", "DeltaReorgTable", "AutoCompactCommand", "FSCKRepairTableCommand",
         "DeltaGenerateCommand", "AnalyzeTableCommand", "AnalyzeTablesCommand", "AnalyzeColumnCommand",
         "AnalyzePartitionCommand", "AnalyzeTable", "AnalyzeTables", "AnalyzeColumn", "ComputeStatisticsCommand")
def maintenance(reading: Reading) -> Skip:
    """OPTIMIZE, VACUUM, ANALYZE and their like leave the rows of their table as they are."""
    kind = reading.node.name.replace("Command", "").replace("Edge", "")
    return Skip(f"maintenance ({kind}): the rows of the table stay as they are")


def _table_member(reading: Reading, *members: str) -> Optional[Dataset]:
    """The table in the first of these members that is there: a V2 table, an identifier, or a name."""
    jvm = reading.jvm
    for member in members:
        value = jvm.attempt(reading.java, member)
        if value is None:
            continue
        name: Optional[TableName] = identifier(reading, member)
        if name is not None:
            return reading.surroundings.path(name.table) if "/" in name.table else reading.surroundings.existing(name)
        found = v2_table(reading, value, None, None, None)
        if found:
            return found[0]
    return None


