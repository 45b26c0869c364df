"""Catalog tables: leaf relations of a table, CTAS and INSERT."""
from __future__ import annotations

from typing import Tuple

from adb_lineage.capture.datasets import Dataset
from adb_lineage.capture.plan import simple_name
from adb_lineage.capture.readers.base import (
    Reading,
    Write,
    command,
    lifecycle_of_mode,
    location_of,
    relation,
    schema_of,
    table_name,
)
from adb_lineage.capture.readers.connectors import read_v1_relation
from adb_lineage.capture.readers.files import file_datasets

# Relations that read what lies at the table's own location.
OWN_FILES = ("HadoopFsRelation", "DeltaCDFRelation")


@relation("LogicalRelation")
def logical_relation(reading: Reading) -> Tuple[Dataset, ...]:
    """Any V1 relation: files, a table at its location, or what the relation's own class says.

    A table over another store (JDBC, a foreign catalog) is that store's table, with the catalog's name beside it; the
    location that Spark gives such a table is an empty folder.
    """
    jvm = reading.jvm
    name, location = None, None
    if "catalogTable" in reading.node.fields or not reading.node.fields:
        table = jvm.ask(reading.java, "catalogTable?")
        if table is not None:
            name = table_name(reading, "catalogTable", table)
            location = location_of(reading, table)
    inner = jvm.ask(reading.java, "relation")
    class_name = jvm.class_name(inner)
    if simple_name(class_name) in OWN_FILES and name is not None and location:
        return (reading.surroundings.table(name, location).with_schema(schema_of(reading.node)),)
    if simple_name(class_name) == "HadoopFsRelation":
        found = file_datasets(reading, inner)
        link = None if name is None else reading.surroundings.symlink(name)
        return found if link is None or len(found) != 1 else (found[0].linked(link),)
    link = None if name is None else reading.surroundings.symlink(name)
    return read_v1_relation(reading.at(reading.node, inner), class_name, link)


@relation("HiveTableRelation")
def hive_table(reading: Reading) -> Tuple[Dataset, ...]:
    """A Hive SerDe table."""
    table = reading.jvm.ask(reading.java, "tableMeta")
    name = table_name(reading, "tableMeta", table)
    if name is None:
        return ()
    return (reading.surroundings.table(name, location_of(reading, table)).with_schema(schema_of(reading.node)),)


@command("CreateDataSourceTableAsSelectCommand")
def create_table_as_select(reading: Reading) -> Write:
    """`CREATE TABLE … AS SELECT` and `saveAsTable`; the nested write knows the location of a new managed table."""
    mode = reading.jvm.text(reading.jvm.ask(reading.java, "mode"))
    return _new_table(reading, "table", mode, lifecycle_of_mode(mode, True))


@command("SaveAsV1TableCommand")
def save_as_table(reading: Reading) -> Write:
    """What `saveAsTable` is from Spark 4.1 on; the CTAS or the INSERT that it runs is nested."""
    mode = reading.jvm.text(reading.jvm.ask(reading.java, "mode"))
    return _new_table(reading, "tableDesc", mode, lifecycle_of_mode(mode, True))


@command("CreateHiveTableAsSelectCommand", "OptimizedCreateHiveTableAsSelectCommand")
def create_hive_table_as_select(reading: Reading) -> Write:
    """CTAS into a Hive SerDe table, and `saveAsTable` with the format `hive`."""
    mode = reading.jvm.text(reading.jvm.ask(reading.java, "mode"))
    return _new_table(reading, "tableDesc", mode, lifecycle_of_mode(mode, True))


@command("InsertIntoHiveTable")
def insert_into_hive_table(reading: Reading) -> Write:
    """INSERT into a Hive SerDe table."""
    table = reading.jvm.ask(reading.java, "table")
    name = table_name(reading, "table", table)
    overwrite = bool(reading.jvm.ask(reading.java, "overwrite"))
    dataset = reading.surroundings.table(name, location_of(reading, table)) if name else None
    return Write(dataset, "OVERWRITE" if overwrite else "")


def _new_table(reading: Reading, member: str, mode: str, lifecycle: str) -> Write:
    table = reading.jvm.ask(reading.java, member)
    name = table_name(reading, member, table)
    if name is None:
        return Write(None, lifecycle)
    location = location_of(reading, table)
    if location:
        return Write(reading.surroundings.table(name, location), lifecycle, unless_there=mode == "Ignore")
    guess = reading.surroundings.default_location(name)
    return Write(reading.surroundings.table(name, guess), lifecycle, provisional=True, unless_there=mode == "Ignore")


@command("InsertIntoDataSourceCommand")
def insert_into_source(reading: Reading) -> Write:
    """INSERT into a table over a V1 source such as JDBC."""
    overwrite = bool(reading.jvm.ask(reading.java, "overwrite"))
    return Write(target="logicalRelation", lifecycle="OVERWRITE" if overwrite else "")
