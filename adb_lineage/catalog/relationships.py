"""Relationships created, changed, read and deleted on their own (atlas_purview.md 1.8 and 2.12)."""
from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from adb_lineage.catalog import rows
from adb_lineage.catalog.entities import EntityWriter, Target
from adb_lineage.catalog.errors import INVALID_PARAMETERS, REFERENCE_NOT_FOUND, CatalogError
from adb_lineage.catalog.links import edge_attributes
from adb_lineage.catalog.mutation import Mutation
from adb_lineage.catalog.reading import Reader
from adb_lineage.catalog.rows import DELETED, Edge
from adb_lineage.catalog.session import Session
from adb_lineage.catalog.values import ValueReader, no_reference


class Relationships:
    """The relationship calls of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, raw: Any) -> Dict[str, Any]:
        """`POST relationship`: 400 -028 unknown type, -07D no end, -036 ends that do not fit, 409 -004 repeated."""
        body = _object(raw)
        definition = self._session.types.relationship(body.get("typeName"))
        name = definition["name"]
        ends = [self._end(name, body.get(key)) for key in ("end1", "end2")]
        expected = (definition["endDef1"]["type"], definition["endDef2"]["type"])
        types = self._session.types
        if not (types.is_a(ends[0].type, expected[0]) and types.is_a(ends[1].type, expected[1])):
            if not (types.is_a(ends[1].type, expected[0]) and types.is_a(ends[0].type, expected[1])):
                raise CatalogError("ATLAS-400-00-036", name, ends[0].type, ends[1].type)
            ends.reverse()
        if rows.edge_between(self._session.connection, name, ends[0].id, ends[1].id) is not None:
            raise CatalogError("ATLAS-409-00-004", name, ends[0].guid, ends[1].guid)
        mutation = Mutation(self._session)
        for number, end in enumerate(ends, start=1):
            if definition[f"endDef{number}"]["cardinality"] == "SINGLE":
                for former in rows.edges_at(self._session.connection, number, end.id, name):
                    mutation.unrelate(former)
        given = body.get("guid")
        taken = isinstance(given, str) and rows.edge_by_guid(self._session.connection, given) is not None
        honoured = isinstance(given, str) and given != "" and not given.startswith("-") and not taken
        guid = mutation.relate(
            name, ends[0].id, ends[1].id, self._attributes(name, body), str(given) if honoured else None
        )
        mutation.finish()
        return self._render(self._edge(guid))

    def update(self, raw: Any) -> Dict[str, Any]:
        """`PUT relationship`: only attributes may change; 404 -00C unknown guid, 404 -069 and -06A otherwise."""
        body = _object(raw)
        edge = self._edge(str(body.get("guid")))
        if body.get("typeName") and body["typeName"] != edge.type:
            raise CatalogError("ATLAS-400-00-069", edge.guid, edge.type, body["typeName"])
        for key, current in (("end1", edge.end1), ("end2", edge.end2)):
            if body.get(key) is not None and self._end(edge.type, body[key]).id != current:
                raise CatalogError("ATLAS-400-00-06A", edge.guid)
        mutation = Mutation(self._session)
        mutation.change_edge(edge, self._attributes(edge.type, body))
        mutation.finish()
        return self._render(self._edge(edge.guid))

    def get(self, guid: str, *, extended: bool = False) -> Dict[str, Any]:
        """`GET relationship/guid/{guid}`: `{"relationship", "referredEntities"}`; 404 -00C if there is none."""
        edge = self._edge(guid)
        reader = Reader(self._session)
        referred = {one.guid: reader.header(one) for one in self._ends(edge).values()} if extended else {}
        return {"relationship": self._render(edge), "referredEntities": referred}

    def delete(self, guid: str) -> None:
        """`DELETE relationship/guid/{guid}`: 404 -00C unknown, 404 -00F the second time."""
        edge = self._edge(guid)
        if edge.status == DELETED:
            raise CatalogError("ATLAS-404-00-00F", guid)
        mutation = Mutation(self._session)
        mutation.unrelate(edge)
        mutation.finish()

    def _ends(self, edge: Edge) -> Dict[int, rows.Entity]:
        return rows.entities_by_id(self._session.connection, (edge.end1, edge.end2))

    def _render(self, edge: Edge) -> Dict[str, Any]:
        ends = self._ends(edge)
        definition = self._session.types.definitions.get(edge.type)
        return {
            "typeName": edge.type,
            "guid": edge.guid,
            "end1": _end_id(ends[edge.end1]),
            "end2": _end_id(ends[edge.end2]),
            "label": (definition or {}).get("relationshipLabel") or f"r:{edge.type}",
            "propagateTags": (definition or {}).get("propagateTags", "NONE"),
            "status": edge.status,
            "attributes": edge.attributes,
            "createdBy": edge.created_by,
            "updatedBy": edge.updated_by,
            "createTime": edge.created,
            "updateTime": edge.updated,
            "version": 0,
            "lastModifiedTS": str(edge.revision),
            "provenanceType": 0,
            "propagatedClassifications": [],
            "blockedPropagatedClassifications": [],
        }
    def _edge(self, guid: str) -> Edge:
        edge = rows.edge_by_guid(self._session.connection, guid)
        if edge is None:
            raise CatalogError("ATLAS-404-00-00C", guid)
        return edge

    def _end(self, name: str, raw: Optional[Any]) -> Target:
        if raw is None:
            raise CatalogError("ATLAS-400-00-07D", name)
        target = EntityWriter(self._session, Mutation(self._session)).target(raw)
        if not target.id:
            raise CatalogError(REFERENCE_NOT_FOUND, target.guid)
        return target

    def _attributes(self, name: str, body: Mapping[str, Any]) -> Dict[str, Any]:
        raw = body.get("attributes") or {}
        if not isinstance(raw, dict):
            raise CatalogError(INVALID_PARAMETERS, "attributes must be an object")
        return edge_attributes(self._session, ValueReader(self._session.types, no_reference), name, raw)


def _object(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise CatalogError(INVALID_PARAMETERS, "the body must be a relationship object")
    return raw


def _end_id(entity: rows.Entity) -> Dict[str, Any]:
    return {
        "guid": entity.guid, "typeName": entity.type, "uniqueAttributes": {"qualifiedName": entity.qualified_name},
    }
