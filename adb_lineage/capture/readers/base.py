"""What relations and commands say about themselves, by simple class name.

`RELATIONS` reads a leaf of a plan into datasets; `COMMANDS` reads a command at a plan's root. Both get the node (from
the JSON, possibly without fields when Spark could not give any) and the JVM object, and ask only the latter's own
members: no catalog, no file system, no connection.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

from adb_lineage.capture.columns import ColumnLineage
from adb_lineage.capture.datasets import Dataset, Field, TableName, fields_of_type, is_internal
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.plan import Node, data_type
from adb_lineage.capture.scopes import Columns
from adb_lineage.capture.surroundings import Surroundings

RowColumns = Callable[[ColumnLineage, Node, Mapping[str, Node]], Columns]


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
    query: Any = None
    """The JVM QueryExecution, for what only the session knows."""

    def at(self, node: Node, java: Any) -> Reading:
        """The same circumstances for another node."""
        return replace(self, node=node, java=java)


@dataclass(frozen=True)
class RowLevel:
    """How a command changes rows of its target.

    plans    parameters with the plans that give or decide about values, the target's own among them
    columns  the target's columns from these plans, and through `use` what decides about its rows; None where the
             command has a query with the rows as they will be
    merges   the target's rows are matched with others: the target is an input, too
    """

    plans: Tuple[str, ...] = ()
    columns: Optional[RowColumns] = None
    merges: bool = False


@dataclass(frozen=True)
class Write:
    """What a command writes or changes.

    dataset      what is written; None where `target` names the parameter that holds its relation
    lifecycle    OpenLineage's word for what becomes of it, or ""
    query        the parameter that holds the plan whose rows it takes, "" when there is none; `name?` for an Option
    provisional  the location is not known for sure: a nested execution of the same command knows better
    inputs       what is read besides the relations of the plans: a folder, another table
    previous     the name that a renamed dataset had
    copies       each column of the input is written as it is
    names        the columns' names where they are not those of the query, in its order
    rows         how single rows are changed, None where whole rows are written
    unless_there a target that is there already is left as it is, and nothing is read: IF NOT EXISTS, SaveMode.Ignore
    """

    dataset: Optional[Dataset] = None
    lifecycle: str = ""
    query: str = "query"
    provisional: bool = False
    target: str = ""
    inputs: Tuple[Dataset, ...] = ()
    copies: bool = False
    previous: Optional[Dataset] = None
    names: Tuple[str, ...] = ()
    rows: Optional[RowLevel] = None
    unless_there: bool = False


THERE_ALREADY = "the target was there already: nothing was written"


@dataclass(frozen=True)
class Skip:
    """A command that is left out on purpose, with all that runs inside it; `reason` says why in words."""

    reason: str


RelationReader = Callable[[Reading], Tuple[Dataset, ...]]
CommandReader = Callable[[Reading], Union[Write, Skip]]

RELATIONS: Dict[str, RelationReader] = {}
COMMANDS: Dict[str, CommandReader] = {}


def relation(*names: str) -> Callable[[RelationReader], RelationReader]:
    """Register a reader of leaf relations by their simple class names."""
    def register(reader: RelationReader) -> RelationReader:
        RELATIONS.update(dict.fromkeys(names, reader))
        return reader
    return register


def command(*names: str) -> Callable[[CommandReader], CommandReader]:
    """Register a reader of commands by their simple class names; Databricks' own have `Edge` behind some of them."""
    def register(reader: CommandReader) -> CommandReader:
        COMMANDS.update({name + ending: reader for name in names for ending in ("", "Edge")})
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
    return name_of_identifier(reading.jvm, reading.jvm.ask(java_table, "identifier"))


def identifier(reading: Reading, *fields: str) -> Optional[TableName]:
    """The TableIdentifier in the first of these parameters that is there: from the JSON, else from the object."""
    for one in fields:
        if one in reading.node.fields or not reading.node.fields:
            name = TableName.from_json(reading.node.fields.get(one))
            if name is not None:
                return name
            java = reading.jvm.attempt(reading.java, one)
            if reading.jvm.class_name(java).endswith(".TableIdentifier"):
                return name_of_identifier(reading.jvm, java)
    return None


def name_of_identifier(jvm: Jvm, java: Any) -> Optional[TableName]:
    """The parts of a JVM TableIdentifier; only newer Sparks have a catalog in it."""
    if java is None:
        return None
    return TableName(str(jvm.ask(java, "table")), str(jvm.ask(java, "database?") or ""),
                     str(jvm.attempt(java, "catalog?") or ""))


def location_of(reading: Reading, java_table: Any) -> Optional[str]:
    """The location URI that a CatalogTable itself carries (percent-encoded), None when it has none."""
    uri = reading.jvm.ask(java_table, "storage", "locationUri?")
    return None if uri is None else reading.jvm.text(uri)


def unknown_relation(class_name: str, name: Optional[TableName] = None) -> Dataset:
    """A relation of a kind nobody taught us, under what is known of it."""
    return Dataset("unknown", name.three_parts if name else class_name, known=False)


def keeps_existing(reading: Reading) -> bool:
    """Whether a statement says IF NOT EXISTS: of a new table, or of the partition that it overwrites."""
    return any(reading.node.fields.get(one) is True or
               (not reading.node.fields and bool(reading.jvm.attempt(reading.java, one)))
               for one in ("ignoreIfExists", "ifNotExists", "ifPartitionNotExists"))


def lifecycle_of_mode(mode: str, creates: bool) -> str:
    """OpenLineage's word for a SaveMode: appending changes no lifecycle."""
    if mode == "Overwrite":
        return "OVERWRITE"
    return "CREATE" if creates and mode in ("ErrorIfExists", "Ignore") else ""
