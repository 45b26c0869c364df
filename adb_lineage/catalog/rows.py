"""Rows of the store and the queries that find them: entities and the relationships (edges) between them."""
from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

ACTIVE = "ACTIVE"
DELETED = "DELETED"

_CHUNK = 500
"""Values in one IN list: under SQLite's old bound of 999 variables."""


@dataclass
class Entity:
    """A stored entity; `attributes` are its own, without relationship attributes."""

    id: int
    guid: str
    type: str
    status: str
    name: Optional[str]
    qualified_name: Optional[str]
    attributes: Dict[str, Any]
    details: Dict[str, Any]
    collection: Optional[str]
    created: int
    updated: int
    created_by: str
    updated_by: str
    revision: int

    @property
    def display_text(self) -> Optional[str]:
        """What a list shows for the entity."""
        return self.name or self.qualified_name


@dataclass(frozen=True)
class Edge:
    """A stored relationship; `end1` and `end2` are row ids of entities."""

    id: int
    guid: str
    type: str
    end1: int
    end2: int
    status: str
    attributes: Dict[str, Any]
    created: int
    updated: int
    created_by: str
    updated_by: str
    revision: int


class Neighbour(NamedTuple):
    """An edge seen from one of its ends, with what a list needs of the entity at the other."""

    edge: Edge
    number: int
    """Which end (1 or 2) the entity is that was asked for."""
    near: int
    far: int
    guid: str
    type: str
    status: str
    display_text: Optional[str]
    qualified_name: Optional[str]


_ENTITY = (
    "SELECT id, guid, type, status, name, qualified_name, attributes, details, collection, created, updated,"
    " created_by, updated_by, revision FROM entity "
)
_EDGE = (
    "r.id, r.guid, r.type, r.end1, r.end2, r.status, r.attributes, r.created, r.updated, r.created_by,"
    " r.updated_by, r.revision"
)


def entity(row: sqlite3.Row) -> Entity:
    """An `Entity` of a row with all columns."""
    values = list(row)
    values[6], values[7] = json.loads(values[6]), json.loads(values[7])
    return Entity(*values)


def edge(row: Sequence[Any]) -> Edge:
    """An `Edge` of the first twelve columns of a row."""
    values = list(row[:12])
    values[6] = json.loads(values[6])
    return Edge(*values)


def chunks(values: Iterable[Any]) -> Iterator[List[Any]]:
    """Distinct values in lists short enough for one statement."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), _CHUNK):
        yield distinct[start:start + _CHUNK]


def marks(values: Sequence[Any]) -> str:
    """`?,?,?` for an IN list."""
    return ",".join("?" * len(values))


def entity_by_guid(connection: sqlite3.Connection, guid: str) -> Optional[Entity]:
    """The entity with a guid, whatever its status."""
    row = connection.execute(_ENTITY + "WHERE guid = ?", (guid,)).fetchone()
    return entity(row) if row else None


def entities_by_guid(connection: sqlite3.Connection, guids: Iterable[str]) -> Dict[str, Entity]:
    """Guid to entity for those that exist."""
    found: Dict[str, Entity] = {}
    for chunk in chunks(guids):
        for row in connection.execute(_ENTITY + f"WHERE guid IN ({marks(chunk)})", chunk):
            found[row["guid"]] = entity(row)
    return found


def entities_by_id(connection: sqlite3.Connection, ids: Iterable[int]) -> Dict[int, Entity]:
    """Row id to entity for those that exist."""
    found: Dict[int, Entity] = {}
    for chunk in chunks(ids):
        for row in connection.execute(_ENTITY + f"WHERE id IN ({marks(chunk)})", chunk):
            found[row["id"]] = entity(row)
    return found


def index_value(value: Any) -> Any:
    """A scalar as the attribute index holds it: SQLite has neither booleans nor integers over 64 bits."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return value


class Key(NamedTuple):
    """Where a unique attribute value leads."""

    id: int
    guid: str
    type: str


def keys(connection: sqlite3.Connection, attribute: str, value: Any) -> List[Key]:
    """The active entities, of any type, whose unique or indexable `attribute` has a value."""
    return [
        Key(*row)
        for row in connection.execute(
            "SELECT e.id, e.guid, e.type FROM attribute_index a JOIN entity e ON e.id = a.entity"
            " WHERE a.attribute = ? AND a.value = ? ORDER BY e.id",
            (attribute, index_value(value)),
        )
    ]


def edge_by_guid(connection: sqlite3.Connection, guid: str) -> Optional[Edge]:
    """The relationship with a guid, whatever its status."""
    row = connection.execute(f"SELECT {_EDGE} FROM relationship r WHERE r.guid = ?", (guid,)).fetchone()
    return edge(row) if row else None


def edge_between(connection: sqlite3.Connection, type_name: str, end1: int, end2: int) -> Optional[Edge]:
    """The active relationship of a type between two entities."""
    row = connection.execute(
        f"SELECT {_EDGE} FROM relationship r WHERE r.type = ? AND r.end1 = ? AND r.end2 = ? AND r.status = 'ACTIVE'",
        (type_name, end1, end2),
    ).fetchone()
    return edge(row) if row else None


def edges_at(
    connection: sqlite3.Connection, number: int, entity_id: int, type_name: str, *,
    limit: Optional[int] = None, deleted: bool = False,
) -> List[Edge]:
    """Relationships of a type that an entity is end `number` (1 or 2) of, oldest first."""
    return [
        edge(row)
        for row in connection.execute(
            f"SELECT {_EDGE} FROM relationship r WHERE r.end{number} = ? AND r.type = ?{_status(deleted)}"
            " ORDER BY r.id LIMIT ?",
            (entity_id, type_name, -1 if limit is None else limit),
        )
    ]


def count_edges(
    connection: sqlite3.Connection, number: int, entity_id: int, type_name: str, *, deleted: bool = False
) -> int:
    """How many `edges_at` would give without a limit."""
    return int(connection.execute(
        f"SELECT count(*) FROM relationship r WHERE r.end{number} = ? AND r.type = ?{_status(deleted)}",
        (entity_id, type_name),
    ).fetchone()[0])


def _status(deleted: bool) -> str:
    return " AND r.status IN ('ACTIVE', 'DELETED')" if deleted else " AND r.status = 'ACTIVE'"


def neighbours(
    connection: sqlite3.Connection, ids: Iterable[int], types: Optional[Sequence[str]] = None, *, deleted: bool = False
) -> Dict[int, List[Neighbour]]:
    """Row id to the relationships of the entity, oldest first; deleted ones only if asked for."""
    of_type = f" AND r.type IN ({marks(types)})" if types is not None else ""
    found: Dict[int, List[Neighbour]] = {}
    if types is not None and not types:
        return found
    for chunk in chunks(ids):
        for number, near, far in ((1, "end1", "end2"), (2, "end2", "end1")):
            rows = connection.execute(
                f"SELECT {_EDGE}, e.guid, e.type, e.status, coalesce(e.name, e.qualified_name), e.qualified_name"
                f" FROM relationship r JOIN entity e ON e.id = r.{far}"
                f" WHERE r.{near} IN ({marks(chunk)}){of_type}{_status(deleted)} ORDER BY r.id",
                (*chunk, *(types or ())),
            )
            for row in rows:
                one = edge(row)
                ends = (one.end1, one.end2) if number == 1 else (one.end2, one.end1)
                found.setdefault(ends[0], []).append(Neighbour(one, number, *ends, *tuple(row)[12:]))
    return found
