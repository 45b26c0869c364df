"""Create-or-update of entities (atlas_purview.md 2.1 to 2.6): read the payload, find who is meant, check, write.

The steps run over the whole request one after another, so that entities may refer to each other in any order and a
refusal leaves nothing behind (the caller's transaction rolls back).
"""
from __future__ import annotations

import itertools
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from adb_lineage.catalog import rows
from adb_lineage.catalog.errors import INVALID_PARAMETERS, INVALID_VALUES, REFERENCE_NOT_FOUND, CatalogError
from adb_lineage.catalog.links import Links
from adb_lineage.catalog.mutation import UPDATE, Mutation
from adb_lineage.catalog.reading import best_key
from adb_lineage.catalog.rows import DELETED
from adb_lineage.catalog.session import Session
from adb_lineage.catalog.typesystem import EntityType
from adb_lineage.catalog.values import ValueReader

_DETAILS: Mapping[str, type] = {
    "labels": list, "classifications": list, "customAttributes": dict, "businessAttributes": dict, "contacts": dict,
    "sourceDetails": dict, "source": str, "homeId": str, "provenanceType": int, "proxy": bool,
}
"""What an entity has besides attributes, and the Python type of its JSON."""
_LABEL_LENGTH = 50
_CUSTOM_KEY_LENGTH = 50
_CUSTOM_VALUE_LENGTH = 500


class Target(NamedTuple):
    """An entity that is referred to: row id 0 while it is not stored yet."""

    id: int
    guid: str
    type: str


@dataclass
class _Payload:
    """One entity of a request."""

    key: str
    """Its guid in the request, or one made up (`-...`)."""
    type: EntityType
    attributes: Dict[str, Any]
    relations: Dict[str, Any]
    details: Dict[str, Any]
    collection: Optional[str]
    guid: str = ""
    """The real guid, once the entity is found or given one."""
    stored: Optional[rows.Entity] = None
    values: Dict[str, Any] = field(default_factory=dict)


_placeholders = itertools.count(time.time_ns())


class EntityWriter:
    """Applies one create-or-update request to a mutation."""

    def __init__(self, session: Session, mutation: Mutation, *, partial: bool = False, operation: str = UPDATE) -> None:
        self._session = session
        self._mutation = mutation
        self._partial = partial
        self._operation = operation
        self._values = ValueReader(session.types, self._object_id)
        self._payloads: List[_Payload] = []
        self._by_key: Dict[str, _Payload] = {}
        self._by_guid: Dict[str, int] = {}
        self._pending: Dict[Tuple[str, str], List[_Payload]] = {}
        """(unique attribute, value) to the new entities of this request."""
        self._targets: Dict[Tuple[str, str], Target] = {}
        """(type, unique attributes) or (empty, guid) to what was found in the store."""

    def write(self, entities: Any, referred: Any = None, collection: Optional[str] = None) -> None:
        """Write top-level entities and those of `referred` (guid to entity) that they refer to.

        Raises `CatalogError`: see atlas_purview.md 2.4 and 2.14 for which code when.
        """
        self._read(entities, referred, collection)
        for payload in self._payloads:
            self._identify(payload)
        for payload in self._payloads:
            payload.values = self._values.attributes(
                payload.type.name, payload.type.plain, payload.attributes, partial=self._partial
            )
            self._check_parent(payload)
        for payload in self._payloads:
            self._store(payload)
        links = Links(self._session, self._mutation, self._values)
        for payload in self._payloads:
            for name, value in payload.relations.items():
                links.want(self._by_guid[payload.guid], payload.type, name, value, self.target)
        links.apply()

    # ---- the payload

    def _read(self, entities: Any, referred: Any, collection: Optional[str]) -> None:
        if not isinstance(entities, list) or not entities:
            raise CatalogError(INVALID_PARAMETERS, "no entities to create/update.")
        if referred is not None and not isinstance(referred, dict):
            raise CatalogError(INVALID_PARAMETERS, "referredEntities must be an object")
        waiting: Dict[str, Any] = {}
        for key, raw in (referred or {}).items():
            if isinstance(raw, dict):
                waiting[_guid(raw.get("guid")) or str(key)] = {**raw, "guid": _guid(raw.get("guid")) or str(key)}
        for raw in entities:
            self._add(self._parse(raw, collection))
        # Entities that nobody refers to are ignored: take in what is reached from the top, breadth first.
        for payload in self._payloads if waiting else ():
            for key in _references([payload.attributes, payload.relations]):
                if key in waiting and key not in self._by_key:
                    self._add(self._parse(waiting.pop(key), collection))

    def _add(self, payload: _Payload) -> None:
        self._payloads.append(payload)
        self._by_key.setdefault(payload.key, payload)

    def _parse(self, raw: Any, collection: Optional[str]) -> _Payload:
        if not isinstance(raw, dict):
            raise CatalogError(INVALID_PARAMETERS, "an entity must be an object")
        entity_type = self._session.types.entity(raw.get("typeName"))
        attributes, relations = raw.get("attributes") or {}, raw.get("relationshipAttributes") or {}
        if not isinstance(attributes, dict) or not isinstance(relations, dict):
            raise CatalogError(INVALID_PARAMETERS, f"{entity_type.name}: attributes must be objects")
        related = {
            name: value for name, value in attributes.items() if name in entity_type.ends and value is not None
        }
        related.update((name, value) for name, value in relations.items() if name in entity_type.ends)
        return _Payload(
            key=_guid(raw.get("guid")) or f"-{next(_placeholders)}",
            type=entity_type,
            attributes={**attributes, **self._values.unique(entity_type, attributes)},
            relations=related,
            details=self._details(raw),
            collection=collection or _text(raw.get("collectionId")),
        )

    def _details(self, raw: Mapping[str, Any]) -> Dict[str, Any]:
        details = {name: raw[name] for name in _DETAILS if raw.get(name) is not None}
        for name in details:
            if not isinstance(details[name], _DETAILS[name]):
                raise CatalogError(INVALID_PARAMETERS, f"{name} must be a JSON {_DETAILS[name].__name__}")
        for label in details.get("labels", ()):
            if not isinstance(label, str) or len(label) > _LABEL_LENGTH:
                raise CatalogError(INVALID_PARAMETERS, f"label {label!r}: at most {_LABEL_LENGTH} characters")
        for key, value in (details.get("customAttributes") or {}).items():
            if len(key) > _CUSTOM_KEY_LENGTH or len(str(value)) > _CUSTOM_VALUE_LENGTH:
                raise CatalogError(
                    INVALID_PARAMETERS,
                    f"custom attribute {key[:_CUSTOM_KEY_LENGTH]!r}: at most {_CUSTOM_KEY_LENGTH} characters,"
                    f" and {_CUSTOM_VALUE_LENGTH} for its value",
                )
        for people in details.get("contacts", {}).values():
            if not isinstance(people, list) or not all(isinstance(one, dict) for one in people):
                raise CatalogError(INVALID_PARAMETERS, "contacts must hold lists of objects")
        for classification in details.get("classifications", ()):
            given = classification.get("typeName") if isinstance(classification, dict) else None
            known = self._session.types.definitions.get(str(given))
            if known is None or known["category"] != "CLASSIFICATION":
                raise CatalogError("ATLAS-400-00-046", given)
        return details

    # ---- who is meant

    def _identify(self, payload: _Payload) -> None:
        """Find the stored entity by guid, else by its unique attributes, else give it a new guid."""
        if not payload.key.startswith("-"):
            stored = rows.entity_by_guid(self._session.connection, payload.key)
            types = self._session.types
            if stored is not None and stored.status != DELETED and types.is_a(stored.type, payload.type.name):
                payload.stored = stored
                payload.guid = stored.guid
                payload.type = types.entity(stored.type)
        if not payload.guid:
            unique = {one.name: payload.attributes.get(one.name) for one in payload.type.unique}
            found = self._find(payload.type, {name: value for name, value in unique.items() if value is not None})
            if found is not None:
                payload.guid = found.guid
                payload.stored = rows.entity_by_guid(self._session.connection, found.guid)
                # Named by a supertype: it stays what it is, and its own type says what it may hold.
                payload.type = self._session.types.entity(found.type)
        if not payload.guid:
            payload.guid = str(uuid.uuid4())
            for name, value in unique.items():
                if value is not None:
                    self._pending.setdefault((name, repr(value)), []).append(payload)
        if payload.guid != payload.key:
            self._mutation.assignments[payload.key] = payload.guid

    def _find(self, entity_type: EntityType, values: Mapping[str, Any]) -> Optional[Target]:
        """The one entity of the type's branch that has all the values, stored or in this request."""
        found: Optional[List[Target]] = None
        for name, value in values.items():
            matching = [
                Target(0, payload.guid, payload.type.name) for payload in self._pending.get((name, repr(value)), ())
            ]
            matching += [Target(*key) for key in rows.keys(self._session.connection, name, value)]
            found = matching if found is None else [one for one in found if one in matching]
        key = best_key(self._session, entity_type.name, [rows.Key(*one) for one in found or ()])
        return Target(*key) if key else None

    def target(self, raw: Any) -> Target:
        """The entity that an object id means: by guid, or by type (a supertype will do) and unique attributes.

        Raises 400 -021 for something that is no object id, 404 -00A for one that leads nowhere.
        """
        if isinstance(raw, str):
            raw = {"guid": raw}
        if not isinstance(raw, dict):
            raise CatalogError("ATLAS-400-00-021", raw)
        guid = _guid(raw.get("guid"))
        if guid:
            payload = self._by_key.get(guid)
            if payload is not None:
                return Target(self._by_guid.get(payload.guid, 0), payload.guid, payload.type.name)
            if not guid.startswith("-"):
                stored = self._stored(guid)
                if stored is not None:
                    return stored
        unique = raw.get("uniqueAttributes")
        if unique is None and isinstance(raw.get("attributes"), dict):  # an entity given in place of its id
            unique = {key: value for key, value in raw["attributes"].items() if key == "qualifiedName"}
        if raw.get("typeName") and isinstance(unique, dict) and unique:
            return self._by_unique(raw["typeName"], unique)
        if guid:
            raise CatalogError(REFERENCE_NOT_FOUND, guid)
        raise CatalogError("ATLAS-400-00-021", raw)

    def _stored(self, guid: str) -> Optional[Target]:
        cached = self._targets.get(("", guid))
        if cached is None:
            row = self._session.connection.execute(
                "SELECT id, guid, type FROM entity WHERE guid = ? AND status = 'ACTIVE'", (guid,)
            ).fetchone()
            if row is None:
                return None
            cached = self._targets[("", guid)] = Target(*row)
        return cached

    def _by_unique(self, type_name: Any, unique: Mapping[str, Any]) -> Target:
        entity_type = self._session.types.entity(type_name)
        cache_key = (entity_type.name, repr(unique))
        found = self._targets.get(cache_key)
        if found is None:
            known = self._values.unique(entity_type, unique)
            found = self._find(entity_type, known) if known else None
            if found is None:
                raise CatalogError(REFERENCE_NOT_FOUND, f"{entity_type.name} {dict(unique)}")
            self._targets[cache_key] = found
        return found if found.id else found._replace(id=self._by_guid.get(found.guid, 0))

    def _object_id(self, raw: Any, type_name: str) -> Dict[str, Any]:
        target = self.target(raw)
        if not self._session.types.is_a(target.type, type_name):
            raise CatalogError(INVALID_VALUES, f"{target.type} {target.guid}: invalid value for type {type_name}")
        return {"guid": target.guid, "typeName": target.type}

    # ---- checking and writing

    def _check_parent(self, payload: _Payload) -> None:
        if not self._session.profile.enforce_composition_parent or self._partial:
            return
        for name, ends in payload.type.ends.items():
            owned = [end for end in ends if end.owned]
            if owned and payload.relations.get(name) is None:
                raise CatalogError(
                    INVALID_VALUES,
                    f"{payload.type.name}.{name}: mandatory attribute value missing in type {owned[0].end_type}",
                )

    def _store(self, payload: _Payload) -> None:
        known = self._by_guid.get(payload.guid)
        if payload.stored is None and known is None:
            values = {
                name: attribute.default
                for name, attribute in payload.type.plain.items()
                if attribute.default is not None
            }
            values.update((name, value) for name, value in payload.values.items() if value is not None)
            self._by_guid[payload.guid] = self._mutation.create(
                payload.guid, payload.type, values, payload.details, payload.collection
            )
            return
        # Twice in one request, or stored before: read what it is by now.
        stored = payload.stored if known is None else rows.entity_by_guid(self._session.connection, payload.guid)
        if stored is None:
            raise CatalogError("ATLAS-404-00-005", payload.guid)
        self._by_guid[payload.guid] = stored.id
        self._check_unique(stored, payload)
        self._mutation.change(
            stored, payload.type, payload.values, payload.details, payload.collection, self._operation
        )

    def _check_unique(self, stored: rows.Entity, payload: _Payload) -> None:
        for attribute in payload.type.unique:
            value = payload.values.get(attribute.name)
            if value is None or value == stored.attributes.get(attribute.name):
                continue
            for key in rows.keys(self._session.connection, attribute.name, value):
                if key.type == stored.type and key.id != stored.id:
                    raise CatalogError(
                        INVALID_PARAMETERS, f"another {stored.type} ({key.guid}) has {attribute.name} {value}"
                    )


def _guid(value: Any) -> str:
    """A guid as text: clients send placeholders as numbers too."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) and value else None


def _references(value: Any) -> List[str]:
    """All guids that a payload's values mention, in order."""
    found: List[str] = []
    pending = deque([value])
    while pending:
        one = pending.popleft()
        if isinstance(one, dict):
            if one.get("guid") is not None:
                found.append(_guid(one["guid"]))
            else:
                pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)
    return found
