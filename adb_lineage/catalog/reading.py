"""Entities as the API answers them: full entities, headers, object ids and what they refer to."""
from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from adb_lineage.catalog import rows
from adb_lineage.catalog.errors import CatalogError
from adb_lineage.catalog.rows import DELETED, Entity, Neighbour
from adb_lineage.catalog.session import Session
from adb_lineage.catalog.typesystem import EntityType
from adb_lineage.catalog.values import ValueReader, no_reference

_HEADER_ATTRIBUTES = ("qualifiedName", "name", "description", "owner", "columnMapping", "createTime")
_LIST_DETAILS = ("classifications", "labels", "meanings")


class Reader:
    """Renders entities of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # ---- finding

    def by_guid(self, guid: str) -> Entity:
        """The entity with a guid, deleted or not; 404 -005 if there is none."""
        found = rows.entity_by_guid(self._session.connection, guid)
        if found is None:
            raise CatalogError("ATLAS-404-00-005", guid)
        return found

    def find_unique(self, type_name: str, values: Mapping[str, Any]) -> Optional[Entity]:
        """The active entity of a type, else of one of its sub-types, with all the given unique attribute values.

        Raises 400 -014 for an unknown type and 400 -013 for no attribute, or one that is not unique.
        """
        key = self.find_key(self._session.types.entity(type_name), values)
        return self.by_guid(key.guid) if key else None

    def find_key(self, entity_type: EntityType, values: Mapping[str, Any]) -> Optional[rows.Key]:
        """As `find_unique`, without reading the entity."""
        for name in values:
            attribute = entity_type.attributes.get(name)
            if attribute is None or not attribute.unique:
                raise CatalogError("ATLAS-400-00-013", entity_type.name, name)
        if not values:
            raise CatalogError("ATLAS-400-00-013", entity_type.name, "(none given)")
        candidates: Optional[List[rows.Key]] = None
        for name, value in ValueReader(self._session.types, no_reference).unique(entity_type, values).items():
            matching = rows.keys(self._session.connection, name, value)
            candidates = matching if candidates is None else [one for one in candidates if one in matching]
        return best_key(self._session, entity_type.name, candidates or [])

    # ---- rendering

    def with_referred(
        self, found: List[Entity], *, min_ext_info: bool = False, ignore_relationships: bool = False
    ) -> Tuple[List[Dict[str, Any]], Dict[str, Any]]:
        """Entities in full, and guid to the entities they own (one level: the columns of a table)."""
        entities, near = self._render(found, ignore_relationships)
        owned = [
            neighbour
            for one in found
            for neighbour in near.get(one.id, ())
            if self._owns(one.type, neighbour) and (neighbour.status != DELETED or one.status == DELETED)
        ]
        children = list(rows.entities_by_id(self._session.connection, (one.far for one in owned)).values())
        if min_ext_info:
            return entities, {child.guid: self.header(child) for child in children}
        rendered, _ = self._render(children, ignore_relationships)
        return entities, {child["guid"]: child for child in rendered}

    def header(self, entity: Entity) -> Dict[str, Any]:
        """The short form that lists, lineage and search use."""
        return {
            "typeName": entity.type,
            "attributes": {
                name: entity.attributes[name] for name in _HEADER_ATTRIBUTES if entity.attributes.get(name) is not None
            },
            "guid": entity.guid,
            "status": entity.status,
            "displayText": entity.display_text,
            "classificationNames": [one.get("typeName") for one in entity.details.get("classifications", ())],
            "meaningNames": [],
            "meanings": [],
            "isIncomplete": False,
            "labels": entity.details.get("labels", []),
            "lastModifiedTS": str(entity.revision),
            "collectionId": entity.collection,
        }

    def _render(
        self, found: List[Entity], ignore_relationships: bool
    ) -> Tuple[List[Dict[str, Any]], Dict[int, List[Neighbour]]]:
        deleted = [one.id for one in found if one.status == DELETED]
        active = [one.id for one in found if one.status != DELETED]
        connection, show = self._session.connection, self._session.profile.show_deleted_edges
        # Without relationships only what the entities own matters, which most own nothing of.
        types = self._owning(found) if ignore_relationships else None
        near = rows.neighbours(connection, active, types, deleted=show)
        near.update(rows.neighbours(connection, deleted, types, deleted=True))
        return [self._entity(one, near.get(one.id, ()), ignore_relationships) for one in found], near

    def _entity(self, entity: Entity, near: Iterable[Neighbour], ignore_relationships: bool) -> Dict[str, Any]:
        entity_type = self._session.types.find_entity(entity.type)
        attributes: Dict[str, Any] = {}
        related: Dict[str, Any] = {}
        if entity_type is not None:
            attributes = {name: None for name in entity_type.attributes if name not in entity_type.ends}
            related = self._related(entity_type, near, attributes)
        attributes.update(entity.attributes)
        details = entity.details
        answer: Dict[str, Any] = {
            "typeName": entity.type,
            "attributes": attributes,
            "guid": entity.guid,
            "status": entity.status,
            "isIncomplete": False,
            "createdBy": entity.created_by,
            "updatedBy": entity.updated_by,
            "createTime": entity.created,
            "updateTime": entity.updated,
            "version": 0,
            "lastModifiedTS": str(entity.revision),
            "collectionId": entity.collection,
            "displayText": entity.display_text,
            "contacts": details.get("contacts", {}),
            "customAttributes": details.get("customAttributes", {}),
            "businessAttributes": details.get("businessAttributes", {}),
        }
        for name in _LIST_DETAILS:
            answer[name] = details.get(name, [])
        for name in ("source", "sourceDetails", "provenanceType", "proxy", "homeId"):
            if name in details:
                answer[name] = details[name]
        if not ignore_relationships:
            answer["relationshipAttributes"] = related
        return answer

    def _related(
        self, entity_type: EntityType, near: Iterable[Neighbour], attributes: Dict[str, Any]
    ) -> Dict[str, Any]:
        """Relationship attributes of an entity; legacy ones are mirrored into `attributes` as object ids."""
        related: Dict[str, Any] = {
            name: [] if any(end.cardinality == "SET" for end in ends) else None
            for name, ends in entity_type.ends.items()
        }
        by_relationship = {
            (end.relationship, end.number): end for ends in entity_type.ends.values() for end in ends
        }
        for name, ends in entity_type.ends.items():
            if any(end.legacy for end in ends):
                attributes[name] = [] if isinstance(related[name], list) else None
        for neighbour in near:
            end = by_relationship.get((neighbour.edge.type, neighbour.number))
            if end is None:  # the relationshipDef is gone
                continue
            _put(related, end.name, self.related_id(neighbour))
            if end.legacy:
                _put(attributes, end.name, self._object_id(neighbour))
        return related

    def related_id(self, neighbour: Neighbour) -> Dict[str, Any]:
        """The entity at the other end of an edge, as `relationshipAttributes` holds it."""
        edge = neighbour.edge
        return {
            "guid": neighbour.guid,
            "typeName": neighbour.type,
            "entityStatus": neighbour.status,
            "displayText": neighbour.display_text,
            "relationshipType": edge.type,
            "relationshipGuid": edge.guid,
            "relationshipStatus": edge.status,
            "relationshipAttributes": {
                "typeName": edge.type, **({"attributes": edge.attributes} if edge.attributes else {}),
            },
        }

    def _object_id(self, neighbour: Neighbour) -> Dict[str, Any]:
        answer: Dict[str, Any] = {"guid": neighbour.guid, "typeName": neighbour.type}
        if self._session.profile.legacy_mirror_unique_attributes:
            answer["uniqueAttributes"] = {"qualifiedName": neighbour.qualified_name}
        return answer

    def _owning(self, found: Iterable[Entity]) -> List[str]:
        entity_types = [self._session.types.find_entity(name) for name in {one.type for one in found}]
        return sorted({name for one in entity_types if one is not None for name, _ in one.owning})

    def _owns(self, type_name: str, neighbour: Neighbour) -> bool:
        entity_type = self._session.types.find_entity(type_name)
        return entity_type is not None and (neighbour.edge.type, neighbour.number) in entity_type.owning


def best_key(session: Session, type_name: str, candidates: Iterable[rows.Key]) -> Optional[rows.Key]:
    """Of entities that share a unique value: the one of exactly this type, else the first of a sub-type."""
    inherited = None
    for candidate in candidates:
        if candidate.type == type_name:
            return candidate
        if inherited is None and session.types.is_a(candidate.type, type_name):
            inherited = candidate
    return inherited


def _put(target: Dict[str, Any], name: str, value: Dict[str, Any]) -> None:
    if isinstance(target.get(name), list):
        target[name].append(value)
    elif target.get(name) is None or value.get("relationshipStatus") != DELETED:
        target[name] = value
