"""Changes of one request to entities and relationships, and the answer that reports them.

A `Mutation` is the only writer of the entity, relationship, index and text tables. It remembers what it did to which
entity, so that the answer has every entity once: CREATE beats UPDATE, DELETE beats both.
"""
from __future__ import annotations

import json
import uuid
from typing import Any, Dict, Iterable, List, Mapping, Optional

from adb_lineage.catalog import rows
from adb_lineage.catalog.rows import ACTIVE, DELETED, Edge, Entity
from adb_lineage.catalog.session import Session
from adb_lineage.catalog.typesystem import EntityType

CREATE = "CREATE"
UPDATE = "UPDATE"
PARTIAL_UPDATE = "PARTIAL_UPDATE"
DELETE = "DELETE"

_INDEXED_LENGTH = 2048
"""Longer strings are not indexed, unless unique: they are prose or plans, nobody filters by them."""


class Mutation:
    """The writes of one request, inside its transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = session.connection
        self._operations: Dict[int, str] = {}
        self.assignments: Dict[str, str] = {}
        """Placeholder guid of the request to real guid: `guidAssignments` of the answer."""

    # ---- entities

    def create(
        self,
        guid: str,
        entity_type: EntityType,
        attributes: Dict[str, Any],
        details: Dict[str, Any],
        collection: Optional[str],
    ) -> int:
        """Store a new entity and return its row id."""
        name, qualified_name = _copies(attributes)
        session = self._session
        cursor = self._connection.execute(
            "INSERT INTO entity (guid, type, status, name, qualified_name, attributes, details, collection, created,"
            " updated, created_by, updated_by, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (guid, entity_type.name, ACTIVE, name, qualified_name, json.dumps(attributes), json.dumps(_filled(details)),
             collection, session.now, session.now, session.user, session.user),
        )
        entity_id = int(cursor.lastrowid or 0)
        self._index(entity_id, entity_type, attributes)
        self._write_text(entity_id, attributes)
        self._operations[entity_id] = CREATE
        return entity_id

    def change(
        self,
        entity: Entity,
        entity_type: EntityType,
        attributes: Mapping[str, Any],
        details: Mapping[str, Any],
        collection: Optional[str],
        operation: str = UPDATE,
    ) -> bool:
        """Merge attributes, details and collection into a stored entity; False, and nothing written, if all is as
        it was. A None attribute clears it."""
        merged = {**entity.attributes, **attributes}
        merged_details = _filled({**entity.details, **details})
        collection = collection or entity.collection
        changed = {name for name, value in attributes.items() if entity.attributes.get(name) != value}
        if not changed and merged_details == entity.details and collection == entity.collection:
            return False
        name, qualified_name = _copies(merged)
        self._connection.execute(
            "UPDATE entity SET name = ?, qualified_name = ?, attributes = ?, details = ?, collection = ? WHERE id = ?",
            (name, qualified_name, json.dumps(merged), json.dumps(merged_details), collection, entity.id),
        )
        if any(_indexed(entity_type, attribute) for attribute in changed):
            self._connection.execute("DELETE FROM attribute_index WHERE entity = ?", (entity.id,))
            self._index(entity.id, entity_type, merged)
        if changed & {"name", "qualifiedName", "description"}:
            self._connection.execute("DELETE FROM entity_text WHERE rowid = ?", (entity.id,))
            self._write_text(entity.id, merged)
        self._note(entity.id, operation)
        return True

    def remove(self, ids: Iterable[int]) -> None:
        """Soft-delete entities with their relationships, and everything they own, however deep."""
        pending = list(ids)
        while pending:
            entity_id = pending.pop()
            if self._operations.get(entity_id) == DELETE:
                continue
            row = self._connection.execute("SELECT type, status FROM entity WHERE id = ?", (entity_id,)).fetchone()
            if row is None or row["status"] == DELETED:
                continue
            entity_type = self._session.types.find_entity(row["type"])
            owning = entity_type.owning if entity_type is not None else set()
            for neighbour in rows.neighbours(self._connection, [entity_id]).get(entity_id, ()):
                if (neighbour.edge.type, neighbour.number) in owning:
                    pending.append(neighbour.far)
                self._drop(neighbour.edge)
                self._note(neighbour.far, UPDATE)
            self._connection.execute("UPDATE entity SET status = ? WHERE id = ?", (DELETED, entity_id))
            self._connection.execute("DELETE FROM attribute_index WHERE entity = ?", (entity_id,))
            self._connection.execute("DELETE FROM entity_text WHERE rowid = ?", (entity_id,))
            self._operations.pop(entity_id, None)
            self._operations[entity_id] = DELETE

    def is_new(self, entity_id: int) -> bool:
        """Whether this request created the entity."""
        return self._operations.get(entity_id) == CREATE

    # ---- relationships

    def relate(
        self, type_name: str, end1: int, end2: int, attributes: Mapping[str, Any], guid: Optional[str] = None
    ) -> str:
        """Store a new relationship and return its guid; both ends count as updated."""
        guid = guid or str(uuid.uuid4())
        session = self._session
        self._connection.execute(
            "INSERT INTO relationship (guid, type, end1, end2, status, attributes, created, updated, created_by,"
            " updated_by, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (guid, type_name, end1, end2, ACTIVE, json.dumps(dict(attributes)), session.now, session.now,
             session.user, session.user),
        )
        self._note(end1, UPDATE)
        self._note(end2, UPDATE)
        return guid

    def unrelate(self, edge: Edge) -> None:
        """Soft-delete a relationship; both ends count as updated."""
        self._drop(edge)
        self._note(edge.end1, UPDATE)
        self._note(edge.end2, UPDATE)

    def change_edge(self, edge: Edge, attributes: Mapping[str, Any]) -> bool:
        """Merge attributes into a relationship; False, and nothing written, if all is as it was."""
        merged = {**edge.attributes, **attributes}
        if merged == edge.attributes:
            return False
        self._connection.execute(
            "UPDATE relationship SET attributes = ?, updated = ?, updated_by = ?, revision = revision + 1 WHERE id = ?",
            (json.dumps(merged), self._session.now, self._session.user, edge.id),
        )
        self._note(edge.end1, UPDATE)
        self._note(edge.end2, UPDATE)
        return True

    # ---- the end of the request

    def finish(self) -> Dict[str, Any]:
        """Stamp what was changed and give the API's mutation answer; operations without entities are left out."""
        stamped = [entity_id for entity_id, operation in self._operations.items() if operation != CREATE]
        for chunk in rows.chunks(stamped):
            self._connection.execute(
                "UPDATE entity SET updated = ?, updated_by = ?, revision = revision + 1"
                f" WHERE id IN ({rows.marks(chunk)})",
                (self._session.now, self._session.user, *chunk),
            )
        mutated: Dict[str, List[Dict[str, Any]]] = {}
        headers: Dict[int, Dict[str, Any]] = {}
        for chunk in rows.chunks(self._operations):
            for row in self._connection.execute(
                "SELECT id, guid, type, status, name, qualified_name, revision FROM entity"
                f" WHERE id IN ({rows.marks(chunk)})", chunk,
            ):
                headers[row["id"]] = {
                    "typeName": row["type"],
                    "attributes": {"qualifiedName": row["qualified_name"], "name": row["name"]},
                    "guid": row["guid"],
                    "status": row["status"],
                    "displayText": row["name"] or row["qualified_name"],
                    "lastModifiedTS": str(row["revision"]),
                }
        for entity_id, operation in self._operations.items():
            mutated.setdefault(operation, []).append(headers[entity_id])
        answer: Dict[str, Any] = {}
        if mutated:
            answer["mutatedEntities"] = mutated
        if PARTIAL_UPDATE in mutated:
            answer["partialUpdatedEntities"] = mutated[PARTIAL_UPDATE]
        answer["guidAssignments"] = self.assignments
        return answer

    # ---- inside

    def _note(self, entity_id: int, operation: str) -> None:
        known = self._operations.get(entity_id)
        if known is None or (known == UPDATE and operation == PARTIAL_UPDATE):
            self._operations[entity_id] = operation

    def _drop(self, edge: Edge) -> None:
        self._connection.execute(
            "UPDATE relationship SET status = ?, updated = ?, updated_by = ?, revision = revision + 1 WHERE id = ?",
            (DELETED, self._session.now, self._session.user, edge.id),
        )

    def _index(self, entity_id: int, entity_type: EntityType, attributes: Mapping[str, Any]) -> None:
        values = [
            (name, value, entity_id, entity_type.name)
            for name, value in attributes.items()
            if isinstance(value, (str, int, float)) and _indexed(entity_type, name)
            and (entity_type.attributes[name].unique or not isinstance(value, str) or len(value) <= _INDEXED_LENGTH)
        ]
        self._connection.executemany("INSERT INTO attribute_index VALUES (?, ?, ?, ?)", [
            (attribute, rows.index_value(value), owner, type_name) for attribute, value, owner, type_name in values
        ])

    def _write_text(self, entity_id: int, attributes: Mapping[str, Any]) -> None:
        self._connection.execute(
            "INSERT INTO entity_text (rowid, name, qualified_name, description) VALUES (?, ?, ?, ?)",
            (entity_id, attributes.get("name"), attributes.get("qualifiedName"), attributes.get("description")),
        )


def _filled(details: Mapping[str, Any]) -> Dict[str, Any]:
    """Without what is empty: an empty list of labels is no labels."""
    return {name: value for name, value in details.items() if value not in ({}, [])}


def _copies(attributes: Mapping[str, Any]) -> List[Optional[str]]:
    return [value if isinstance(value, str) else None
            for value in (attributes.get("name"), attributes.get("qualifiedName"))]


def _indexed(entity_type: EntityType, name: str) -> bool:
    attribute = entity_type.attributes.get(name)
    return attribute is not None and (attribute.unique or attribute.indexable)
