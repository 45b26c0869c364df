"""Statements that change what a table is: CREATE, ALTER, RENAME, TRUNCATE, DROP, and loading files into one."""
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Optional, Tuple

from adb_lineage.capture.datasets import Dataset, TableName, fields_of, from_path
from adb_lineage.capture.plan import string_list
from adb_lineage.capture.readers.base import (
    Reading,
    Skip,
    Write,
    command,
    identifier,
    keeps_existing,
    location_of,
    name_of_identifier,
    table_name,
)
from adb_lineage.capture.readers.v2 import table_name_of, v2_table
from adb_lineage.capture.readers.v2_writes import existing_table, new_table


@command("CreateDataSourceTableCommand", "CreateTableCommand")
def create_table(reading: Reading) -> Write:
    """CREATE TABLE without rows."""
    table = reading.jvm.ask(reading.java, "table")
    name = table_name(reading, "table", table)
    if name is None:
        return Write(query="")
    location = location_of(reading, table) or reading.surroundings.default_location(name)
    schema = fields_of(json.loads(reading.jvm.ask(table, "schema", "json")))
    return Write(reading.surroundings.table(name, location).with_schema(schema), "CREATE", "",
                 unless_there=keeps_existing(reading))


@command("CreateTableLikeCommand")
def create_table_like(reading: Reading) -> Write:
    """CREATE TABLE … LIKE: it takes the columns of another table, not its rows."""
    name = identifier(reading, "targetTable")
    if name is None:
        return Write(query="")
    if not name.database:  # Spark qualifies it when it runs
        current = reading.jvm.ask(reading.query, "sparkSession", "sessionState", "catalogManager", "currentNamespace")
        name = replace(name, database=".".join(str(part) for part in current))
    uri = reading.jvm.attempt(reading.java, "fileFormat", "locationUri?")
    location = reading.surroundings.default_location(name) if uri is None else reading.jvm.text(uri)
    return Write(reading.surroundings.table(name, location), "CREATE", "", unless_there=keeps_existing(reading))


@command("CreateTableLike")
def create_v2_table_like(reading: Reading) -> Write:
    """CREATE TABLE … LIKE in a V2 catalog."""
    return new_table(reading, "CREATE", "")


@command("LoadDataCommand")
def load_data(reading: Reading) -> Write:
    """LOAD DATA: the files of a path become the table's."""
    name = identifier(reading, "table")
    path = str(reading.jvm.ask(reading.java, "path"))
    local = bool(reading.jvm.ask(reading.java, "isLocal"))
    source = from_path(path) if local else reading.surroundings.path(path)
    overwrite = bool(reading.jvm.ask(reading.java, "isOverwrite"))
    dataset = reading.surroundings.existing(name) if name else None
    return Write(dataset, "OVERWRITE" if overwrite else "", "", inputs=(source,))


@command("AlterTableAddColumnsCommand", "AlterTableChangeColumnCommand", "AlterTableAddPartitionCommand",
         "AlterTableDropPartitionCommand", "AlterTableRenamePartitionCommand", "AlterTableSetPropertiesCommand",
         "AlterTableUnsetPropertiesCommand", "AlterTableSerDePropertiesCommand", "RepairTableCommand",
         "AlterTableRecoverPartitionsCommand", "AlterTableChangeColumnCommentsCommand")
def alter(reading: Reading) -> Write:
    """ALTER TABLE of the session catalog."""
    name = identifier(reading, "tableName", "table", "tableIdent")
    return Write(reading.surroundings.existing(name) if name else None, "ALTER", "")


@command("AlterTableSetLocationCommand")
def set_location(reading: Reading) -> Write:
    """ALTER TABLE … SET LOCATION: from now on the table is what lies there; of a partition, only that."""
    name = identifier(reading, "tableName")
    if name is None:
        return Write(None, "ALTER", "")
    if reading.jvm.ask(reading.java, "partitionSpec?") is not None:
        return Write(reading.surroundings.existing(name), "ALTER", "")
    location = str(reading.jvm.ask(reading.java, "location"))
    return Write(reading.surroundings.table(name, location, escaped=False), "ALTER", "")


@command("AlterTableRenameCommand")
def rename(reading: Reading) -> Write:
    """ALTER TABLE … RENAME TO of the session catalog; the new name takes the database of the old one."""
    old, new = identifier(reading, "oldName"), identifier(reading, "newName")
    if old is None or new is None:
        return Write(None, "RENAME", "")
    return _renamed(reading, old, replace(new, database=new.database or old.database, catalog=old.catalog))


@command("RenameTable")
def rename_v2(reading: Reading) -> Write:
    """ALTER TABLE … RENAME TO in a V2 catalog."""
    jvm = reading.jvm
    child = jvm.attempt(reading.java, "child") or jvm.attempt(reading.java, "table")
    catalog = jvm.attempt(child, "catalog") or jvm.attempt(reading.java, "catalog")
    old = table_name_of(reading, catalog, jvm.attempt(child, "identifier") or jvm.attempt(reading.java, "oldIdent"))
    parts = string_list(reading.node.fields.get("newName")) or tuple(jvm.lines(jvm.ask(reading.java, "newName")))
    if old is None or not parts:
        return Write(None, "RENAME", "")
    if len(parts) > 2 and parts[0] == old.catalog:
        parts = parts[1:]
    return _renamed(reading, old, TableName(parts[-1], ".".join(parts[:-1]) or old.database, old.catalog))


def _renamed(reading: Reading, old: TableName, new: TableName) -> Write:
    """A managed table of the session catalog moves with its name; any other stays where it is.

    Managed is what lies where Spark would put it: in the warehouse, or in a folder `<database>.db`.
    """
    surroundings = reading.surroundings
    before = surroundings.existing(old)
    link = surroundings.symlink(new)
    folder, _, last = before.name.rpartition("/")
    if before.key == surroundings.table(old, None).key:
        after = surroundings.table(new, None)
    elif last == old.table.lower() and (before.key == _default_key(reading, old)
                                        or folder.endswith(f"/{old.database.lower()}.db")):
        after = replace(before, name=f"{folder}/{new.table}", symlinks=(link,))
    else:
        after = replace(before, symlinks=(link,))
    return Write(after, "RENAME", "", previous=before)


def _default_key(reading: Reading, name: TableName) -> Optional[Tuple[str, str]]:
    location = reading.surroundings.default_location(name)
    return reading.surroundings.path(location).key if location else None


@command("TruncateTableCommand")
def truncate(reading: Reading) -> Write:
    """TRUNCATE TABLE of the session catalog; of single partitions it is an ALTER."""
    name = identifier(reading, "tableName")
    part = reading.jvm.ask(reading.java, "partitionSpec?") is not None
    return Write(reading.surroundings.existing(name) if name else None, "ALTER" if part else "TRUNCATE", "")


@command("DropTableCommand")
def drop(reading: Reading) -> Write:
    """DROP TABLE and DROP VIEW of the session catalog."""
    name = identifier(reading, "tableName")
    return Write(reading.surroundings.existing(name) if name else None, "DROP", "")


@command("AddColumns", "ReplaceColumns", "DropColumns", "RenameColumn", "AlterColumn", "AlterColumns", "AlterTable",
         "SetTableLocation", "SetTableProperties", "UnsetTableProperties", "CommentOnTable", "AddPartitions",
         "DropPartitions", "RenamePartitions", "TruncatePartition", "RecoverPartitions", "RepairTable",
         "AddConstraint", "AddCheckConstraint", "DropConstraint", "AlterTableClusterBy", "AlterTableCollation",
         "AlterTableSetPropertiesDeltaCommand", "AlterTableUnsetPropertiesDeltaCommand",
         "AlterTableAddColumnsDeltaCommand", "AlterTableDropColumnsDeltaCommand",
         "AlterTableChangeColumnDeltaCommand", "AlterTableReplaceColumnsDeltaCommand",
         "AlterTableAddConstraintDeltaCommand", "AlterTableDropConstraintDeltaCommand",
         "AlterTableSetLocationDeltaCommand", "AlterTableClusterByDeltaCommand", "AlterTableDropFeatureDeltaCommand")
def alter_v2(reading: Reading) -> Write:
    """ALTER TABLE of a V2 catalog, and Delta's own commands for it."""
    return Write(_resolved(reading), "ALTER", "")


@command("TruncateTable")
def truncate_v2(reading: Reading) -> Write:
    """TRUNCATE TABLE of a V2 catalog."""
    return Write(_resolved(reading), "TRUNCATE", "")


@command("DropTable")
def drop_v2(reading: Reading) -> Write:
    """DROP TABLE of a V2 catalog, and from Spark 3.4 of any."""
    return Write(_resolved(reading), "DROP", "")


@command("DropView")
def drop_view(reading: Reading) -> Write:
    """DROP VIEW of a V2 catalog."""
    return Write(_resolved(reading), "DROP", "")


@command("DropTempViewCommand")
def drop_temporary_view(reading: Reading) -> Skip:
    """A temporary view is no dataset."""
    return Skip("a temporary view is no dataset")


def _resolved(reading: Reading) -> Optional[Dataset]:
    """The table below a V2 command: a resolved table or identifier; or (Spark 3.0, Delta) the command's own members."""
    jvm = reading.jvm
    holder = jvm.attempt(reading.java, "table")
    if holder is None:
        holder = jvm.attempt(reading.java, "child")
    if holder is None:
        holder = reading.java
    catalog = _member(reading, holder, "catalog")
    name = _member(reading, holder, "identifier") or _member(reading, holder, "ident")
    if reading.jvm.class_name(name).endswith(".TableIdentifier"):
        v1_name = name_of_identifier(jvm, name)
        return reading.surroundings.existing(v1_name) if v1_name is not None else None
    table = _member(reading, holder, "table")
    if table is None and name is not None:
        return existing_table(reading, catalog, name)
    found = v2_table(reading, holder if table is None else table, catalog, name, None)
    return found[0] if found else None


def _member(reading: Reading, holder: Any, name: str) -> Any:
    """A member that some nodes have as it is and others in an Option."""
    value = reading.jvm.attempt(holder, name)
    kind = reading.jvm.class_name(value)
    if kind in ("scala.Some", "scala.None$"):
        return reading.jvm.content(value)
    return value
