"""What relations and commands say about themselves, by simple class name.

`RELATIONS` reads a leaf of a plan into datasets; `COMMANDS` reads a command at a plan's root. Both get the node (from
the JSON, possibly without fields when Spark could not give any) and the JVM object, and ask only the latter's own
members: no catalog, no file system, no connection.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Optional, Tuple

from adb_lineage.capture.datasets import Dataset, Field, TableName, fields_of_type, is_internal
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.plan import Node, data_type
from adb_lineage.capture.surroundings import Surroundings


def _unheard(text: str) -> None:
    """Where nobody wants the notes."""


@dataclass(frozen=True)
class Reading:
    """All a reader may use: the node, its JVM object, the way to ask it, the session's surroundings, and where to
    note what could not be told.
    """

    node: Node
    java: Any
    jvm: Jvm
    surroundings: Surroundings
    note: Callable[[str], None] = _unheard

    def at(self, node: Node, java: Any) -> Reading:
        """The same circumstances for another node."""
        return replace(self, node=node, java=java)


@dataclass(frozen=True)
class Write:
    """What a command writes: the dataset, what becomes of it, and the plan whose rows it takes.

    `query` names the parameter that holds the plan, "" when there is none; `lifecycle` is OpenLineage's word or "".
    """

    dataset: Optional[Dataset]
    lifecycle: str = ""
    query: str = "query"
    provisional: bool = False
    """True when the location is not known for sure: a nested execution of the same command knows better."""


RelationReader = Callable[[Reading], Tuple[Dataset, ...]]
CommandReader = Callable[[Reading], Write]

RELATIONS: Dict[str, RelationReader] = {}
COMMANDS: Dict[str, CommandReader] = {}


def relation(*names: str) -> Callable[[RelationReader], RelationReader]:
    """Register a reader of leaf relations by their simple class names."""
    def register(reader: RelationReader) -> RelationReader:
        RELATIONS.update(dict.fromkeys(names, reader))
        return reader
    return register


def command(*names: str) -> Callable[[CommandReader], CommandReader]:
    """Register a reader of commands by their simple class names."""
    def register(reader: CommandReader) -> CommandReader:
        COMMANDS.update(dict.fromkeys(names, reader))
        return reader
    return register


def schema_of(node: Node) -> Tuple[Field, ...]:
    """The columns that a leaf relation gives."""
    attributes = node.trees("output") or node.trees("dataCols") + node.trees("partitionCols")
    return tuple(Field(str(one.fields.get("name", "")), data_type(one.fields.get("dataType")),
                       fields_of_type(one.fields.get("dataType")))
                 for one in attributes if not is_internal(str(one.fields.get("name", ""))))


def table_name(reading: Reading, field: str, java_table: Any) -> Optional[TableName]:
    """The identifier of a CatalogTable: from the JSON, otherwise from the object itself."""
    table = reading.node.fields.get(field)
    if isinstance(table, dict):
        return TableName.from_json(table.get("identifier"))
    identifier = reading.jvm.ask(java_table, "identifier")
    if identifier is None:
        return None
    return TableName(str(reading.jvm.ask(identifier, "table")),
                     str(reading.jvm.ask(identifier, "database?") or ""))


def location_of(reading: Reading, java_table: Any) -> Optional[str]:
    """The location URI that a CatalogTable itself carries (percent-encoded), None when it has none."""
    uri = reading.jvm.ask(java_table, "storage", "locationUri?")
    return None if uri is None else reading.jvm.text(uri)


def unknown_relation(class_name: str, name: Optional[TableName] = None) -> Dataset:
    """A relation of a kind nobody taught us, under what is known of it."""
    return Dataset("unknown", name.three_parts if name else class_name, known=False)


def lifecycle_of_mode(mode: str, creates: bool) -> str:
    """OpenLineage's word for a SaveMode: appending changes no lifecycle."""
    if mode == "Overwrite":
        return "OVERWRITE"
    return "CREATE" if creates and mode in ("ErrorIfExists", "Ignore") else ""
