"""Views: what a stored view is made of, and temporary views, which are seen through."""
from __future__ import annotations

from typing import Tuple, Union

from adb_lineage.capture.readers.base import Reading, Skip, Write, command, identifier
from adb_lineage.capture.readers.v2_writes import new_name

SEEN_THROUGH = "a temporary view is no dataset: queries on it are seen through to what it reads"


@command("CreateViewCommand")
def create_view(reading: Reading) -> Union[Write, Skip]:
    """CREATE VIEW: the view's columns come from those of its definition, by position where it names them."""
    jvm = reading.jvm
    if not jvm.class_name(jvm.ask(reading.java, "viewType")).endswith("PersistedView$"):
        return Skip(SEEN_THROUGH)
    name = identifier(reading, "name")
    if name is None:
        return Write(None, "CREATE", _definition(reading))
    columns = jvm.ask(reading.java, "userSpecifiedColumns")
    names = tuple(str(jvm.ask(one, "_1")) for one in jvm.sequence(columns))
    replaces = bool(jvm.ask(reading.java, "replace"))
    return Write(reading.surroundings.table(name, None), "OVERWRITE" if replaces else "CREATE",
                 _definition(reading), names=names)


@command("AlterViewAsCommand")
def alter_view(reading: Reading) -> Write:
    """ALTER VIEW … AS."""
    name = identifier(reading, "name")
    return Write(reading.surroundings.table(name, None) if name else None, "ALTER", "query")


@command("CreateView", "CreateIcebergView", "CreateV2View")
def create_v2_view(reading: Reading) -> Write:
    """CREATE VIEW in a V2 catalog."""
    name, _ = new_name(reading)
    return Write(reading.surroundings.table(name, None) if name else None, "CREATE", "query",
                 names=_aliases(reading))


def _definition(reading: Reading) -> str:
    """The parameter with the definition's plan: `plan` from Spark 3.2 on, where it is analysed; `child` before."""
    if "child" not in reading.node.fields:
        return "plan"
    reading.note("this Spark gives the view's definition before its analysis: what it reads is not known")
    return "child"


def _aliases(reading: Reading) -> Tuple[str, ...]:
    columns = reading.jvm.attempt(reading.java, "columnAliases")
    return tuple(reading.jvm.lines(columns)) if columns is not None else ()
