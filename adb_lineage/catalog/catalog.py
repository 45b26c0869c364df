"""The catalog's engine: every operation of the API as a method, one transaction each, no HTTP.

Arguments and answers are the JSON documents of the Atlas v2 API as Python objects. Every method raises `CatalogError`
for a request that the API refuses, and then has changed nothing.
"""
from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from adb_lineage.catalog import rows, typedefs
from adb_lineage.catalog.entities import EntityWriter
from adb_lineage.catalog.errors import INVALID_PARAMETERS, CatalogError
from adb_lineage.catalog.lineage import BOTH, DEFAULT_DEPTH, Lineage
from adb_lineage.catalog.mutation import PARTIAL_UPDATE, Mutation
from adb_lineage.catalog.profile import PURVIEW, Profile
from adb_lineage.catalog.reading import Reader
from adb_lineage.catalog.relationships import Relationships
from adb_lineage.catalog.rows import DELETED, Entity
from adb_lineage.catalog.search import Search
from adb_lineage.catalog.session import Session
from adb_lineage.catalog.store import Store
from adb_lineage.catalog.typesystem import OBJECT_ID, PRIMITIVES, Definition, TypeSystem

Json = Dict[str, Any]


class Catalog:
    """A local Atlas v2 catalog in one SQLite file; thread-safe, and several processes may share the file.

    Without a path it lives in a temporary file until `close()`.
    """

    def __init__(
        self, path: Optional[Union[str, Path]] = None, *, profile: Profile = PURVIEW, user: str = "admin"
    ) -> None:
        self.profile = profile
        self._user = user
        self._store = Store(path)
        self._types_lock = threading.Lock()
        self._types_version = ""
        self._types = TypeSystem(())

    @property
    def path(self) -> Path:
        """The database file."""
        return self._store.path

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- type definitions

    def typedefs(self, category: Optional[str] = None) -> Json:
        """An `AtlasTypesDef` of all definitions, or of one category (`ENTITY`, any case)."""
        with self._reading() as session:
            return typedefs.document(session.types, self._selected(session.types, category))

    def typedef_headers(self, category: Optional[str] = None) -> List[Json]:
        """`[{"guid", "name", "category"}]` of all definitions, or of one category."""
        with self._reading() as session:
            return [
                {key: definition[key] for key in ("guid", "name", "category")}
                for definition in self._selected(session.types, category)
            ]

    def typedef(self, category: Optional[str], *, name: Optional[str] = None, guid: Optional[str] = None) -> Json:
        """One definition by name or guid, of a category or of any (None)."""
        with self._reading() as session:
            found = session.types.get(name, category) if name is not None else (
                session.types.get_by_guid(guid or "", category))
            return typedefs.render(session.types, found)

    def create_typedefs(self, document: Any) -> Json:
        """Add definitions; 409 -001 if one exists. Answers them in full."""
        with self._writing() as session:
            definitions = typedefs.read(document, self.profile, session.now, session.user)
            return self._change_types(session, typedefs.created(session.types, definitions), definitions)

    def update_typedefs(self, document: Any) -> Json:
        """Replace existing definitions within Atlas' rules. Answers them in full."""
        with self._writing() as session:
            definitions = typedefs.read(document, self.profile, session.now, session.user)
            return self._change_types(session, typedefs.updated(session.types, definitions), definitions)

    def delete_typedefs(self, names: Sequence[str]) -> None:
        """Remove definitions; 404 -001 unknown, 409 -002 while there are instances, 409 -005 relationshipDefs."""
        with self._writing() as session:
            remaining = typedefs.deleted(session.types, names)
            for name in names:
                self._check_unused(session, name)
            for name in names:
                # What is deleted already goes with its type: nothing could describe it any more.
                session.connection.execute("DELETE FROM relationship WHERE type = ?", (name,))
                session.connection.execute(
                    "DELETE FROM relationship WHERE end1 IN (SELECT id FROM entity WHERE type = ?)"
                    " OR end2 IN (SELECT id FROM entity WHERE type = ?)", (name, name))
                session.connection.execute("DELETE FROM entity WHERE type = ?", (name,))
            self._change_types(session, remaining, ())

    # ---- entities

    def create_or_update(
        self, entities: Any, referred: Optional[Any] = None, *, collection: Optional[str] = None
    ) -> Json:
        """Upsert entities by type and unique attributes. Answers guids and what was created or changed."""
        with self._writing() as session:
            mutation = Mutation(session)
            EntityWriter(session, mutation).write(entities, referred, collection)
            return mutation.finish()

    def entity(self, guid: str, *, min_ext_info: bool = False, ignore_relationships: bool = False) -> Json:
        """`{"entity", "referredEntities"}` of a guid; deleted ones are readable, with their status."""
        with self._reading() as session:
            return self._one(session, Reader(session).by_guid(guid), min_ext_info, ignore_relationships)

    def entity_header(self, guid: str) -> Json:
        """The short form of an entity."""
        with self._reading() as session:
            reader = Reader(session)
            return reader.header(reader.by_guid(guid))

    def entities(
        self, guids: Sequence[str], *, min_ext_info: bool = False, ignore_relationships: bool = False
    ) -> Json:
        """`{"entities", "referredEntities"}`; 404 -005 if one of the guids, or every guid, is missing."""
        with self._reading() as session:
            found = rows.entities_by_guid(session.connection, guids)
            for guid in guids or ("",):
                if guid not in found:
                    raise CatalogError("ATLAS-404-00-005", guid)
            return self._many(
                session, [found[guid] for guid in dict.fromkeys(guids)], min_ext_info, ignore_relationships)

    def entity_by_unique(
        self, type_name: str, values: Mapping[str, Any], *, min_ext_info: bool = False,
        ignore_relationships: bool = False,
    ) -> Json:
        """As `entity`, by type and unique attributes; 404 -009 if there is none."""
        with self._reading() as session:
            found = self._by_unique(session, type_name, values)
            return self._one(session, found, min_ext_info, ignore_relationships)

    def entities_by_unique(
        self, type_name: str, values: Sequence[Mapping[str, Any]], *, min_ext_info: bool = False,
        ignore_relationships: bool = False,
    ) -> Json:
        """As `entities`, by unique attributes; missing ones are left out. Without a hit there is no `entities`."""
        with self._reading() as session:
            reader = Reader(session)
            found = [reader.find_unique(type_name, one) for one in values]
            distinct = {one.guid: one for one in found if one is not None}
            return self._many(session, list(distinct.values()), min_ext_info, ignore_relationships) if distinct else {}

    def update_attribute(self, guid: str, name: str, value: Any) -> Json:
        """Set one primitive or reference attribute; 400 -023 unknown, 400 -027 of another kind."""
        with self._writing() as session:
            entity = Reader(session).by_guid(guid)
            if entity.status == DELETED:
                raise CatalogError("ATLAS-404-00-005", guid)
            entity_type = session.types.entity(entity.type)
            attribute = entity_type.attributes.get(name)
            ends = entity_type.ends.get(name)
            if attribute is None and not ends:
                raise CatalogError("ATLAS-400-00-023", name, entity.type)
            single_end = bool(ends) and all(end.cardinality == "SINGLE" for end in ends or ())
            plain = attribute is not None and not ends and (
                attribute.type_name in PRIMITIVES or attribute.type_name == OBJECT_ID
                or session.types.find_entity(attribute.type_name) is not None
                or session.types.literals(attribute.type_name) is not None)
            if not (single_end or plain):
                raise CatalogError("ATLAS-400-00-027", name, entity.type)
            return self._partial(session, entity, {name: value} if plain else {}, {} if plain else {name: value})

    def update_by_unique(self, type_name: str, values: Mapping[str, Any], raw: Any) -> Json:
        """Merge the attributes of `raw` into an entity; 404 -009 if there is none."""
        if not isinstance(raw, dict):
            raise CatalogError(INVALID_PARAMETERS, "no entity to update.")
        with self._writing() as session:
            entity = self._by_unique(session, type_name, values)
            return self._partial(
                session, entity, raw.get("attributes") or {}, raw.get("relationshipAttributes") or {}, raw)

    def delete(self, guids: Sequence[str]) -> Json:
        """Soft-delete entities and what they own; unknown guids are passed over. 400 -01A for no guid at all."""
        if not guids:
            raise CatalogError(INVALID_PARAMETERS, "no guids to delete.")
        with self._writing() as session:
            found = rows.entities_by_guid(session.connection, guids)
            return self._delete(session, [entity.id for entity in found.values()])

    def delete_by_unique(self, type_name: str, values: Mapping[str, Any]) -> Json:
        """Soft-delete one entity; 404 -009 if there is none."""
        with self._writing() as session:
            return self._delete(session, [self._by_unique(session, type_name, values).id])

    # ---- relationships

    def create_relationship(self, raw: Any) -> Json:
        """See `Relationships.create`."""
        with self._writing() as session:
            return Relationships(session).create(raw)

    def update_relationship(self, raw: Any) -> Json:
        """See `Relationships.update`."""
        with self._writing() as session:
            return Relationships(session).update(raw)

    def relationship(self, guid: str, *, extended: bool = False) -> Json:
        """See `Relationships.get`."""
        with self._reading() as session:
            return Relationships(session).get(guid, extended=extended)

    def delete_relationship(self, guid: str) -> None:
        """See `Relationships.delete`."""
        with self._writing() as session:
            Relationships(session).delete(guid)

    # ---- lineage and search

    def lineage(
        self, guid: str, *, direction: str = BOTH, depth: int = DEFAULT_DEPTH, width: Optional[int] = None,
        include_parent: bool = False,
    ) -> Json:
        """See `Lineage.graph`; 404 -005 for an unknown guid."""
        with self._reading() as session:
            base = Reader(session).by_guid(guid)
            return Lineage(session).graph(
                base, direction=direction, depth=depth, width=width, include_parent=include_parent)

    def lineage_by_unique(
        self, type_name: str, values: Mapping[str, Any], *, direction: str = BOTH, depth: int = DEFAULT_DEPTH,
        width: Optional[int] = None, include_parent: bool = False,
    ) -> Json:
        """As `lineage`, by type and unique attributes; 404 -009 if there is none."""
        with self._reading() as session:
            base = self._by_unique(session, type_name, values)
            return Lineage(session).graph(
                base, direction=direction, depth=depth, width=width, include_parent=include_parent)

    def lineage_next(self, guid: str, *, direction: str = BOTH, offset: int = 0, limit: int = -1) -> Json:
        """See `Lineage.next_page`."""
        with self._reading() as session:
            base = Reader(session).by_guid(guid)
            return Lineage(session).next_page(base, direction=direction, offset=offset, limit=limit)

    def search(self, raw: Any, *, offset_allowed: bool = True, hidden: bool = False) -> Json:
        """See `Search.query`."""
        with self._reading() as session:
            return Search(session).query(raw, offset_allowed=offset_allowed, hidden=hidden)

    def statistics(self) -> Json:
        """`{"entities": {type: active}, "relationships": active, "types": definitions}`."""
        with self._reading() as session:
            counted = session.connection.execute(
                "SELECT type, count(*) FROM entity WHERE status = 'ACTIVE' GROUP BY type ORDER BY type")
            edges = session.connection.execute("SELECT count(*) FROM relationship WHERE status = 'ACTIVE'")
            return {
                "entities": {row[0]: row[1] for row in counted},
                "relationships": edges.fetchone()[0],
                "types": len(session.types.definitions),
            }

    def overview(self) -> Json:
        """What the page needs to begin: `statistics`, and `kinds`: entity type to `process`, `dataset` or `asset`."""
        with self._reading() as session:
            types = session.types
            names = [definition["name"] for definition in types.of_category("ENTITY")]
            kinds = dict.fromkeys(names, "asset")
            kinds.update((name, "dataset") for name in names if types.is_a(name, "DataSet"))
            kinds.update((name, "process") for name in names if types.is_a(name, "Process"))
        return {**self.statistics(), "kinds": kinds}

    # ---- inside

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._store.read() as connection:
            yield self._session(connection)

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._store.write() as connection:
            yield self._session(connection)

    def _session(self, connection: sqlite3.Connection) -> Session:
        return Session(connection, self._current_types(connection), self.profile, int(time.time() * 1000), self._user)

    def _current_types(self, connection: sqlite3.Connection) -> TypeSystem:
        """The types of the transaction's moment: another process may have changed them since the last request."""
        version = connection.execute("SELECT value FROM meta WHERE key = 'types'").fetchone()[0]
        with self._types_lock:
            if version != self._types_version:
                definitions: Dict[str, Definition] = {one["name"]: one for one in typedefs.builtin()}
                for name, text in connection.execute("SELECT name, definition FROM typedef ORDER BY position"):
                    if text is None:
                        definitions.pop(name, None)
                    else:
                        definitions[name] = json.loads(text)
                self._types = TypeSystem(definitions.values())
                self._types_version = version
            return self._types

    def _change_types(self, session: Session, types: TypeSystem, definitions: Sequence[Definition]) -> Json:
        """Store the difference between the session's types and `types`, and answer `definitions`."""
        connection = session.connection
        position = connection.execute("SELECT coalesce(max(position), 0) FROM typedef").fetchone()[0]
        for definition in definitions:
            position += 1
            connection.execute(
                "INSERT INTO typedef (name, definition, position) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET definition = excluded.definition",
                (definition["name"], json.dumps(definition), position))
        for name in session.types.definitions:
            if name not in types.definitions:
                connection.execute(
                    "INSERT INTO typedef (name, definition, position) VALUES (?, NULL, ?)"
                    " ON CONFLICT (name) DO UPDATE SET definition = NULL", (name, position))
        connection.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'types'")
        return typedefs.document(types, definitions)

    def _check_unused(self, session: Session, name: str) -> None:
        for table in ("entity", "relationship"):
            used = session.connection.execute(
                f"SELECT 1 FROM {table} WHERE type = ? AND status = 'ACTIVE' LIMIT 1", (name,)).fetchone()
            if used is not None:
                raise CatalogError("ATLAS-409-00-002", name)

    def _selected(self, types: TypeSystem, category: Optional[str]) -> List[Definition]:
        wanted = category.upper() if category else None
        return [one for one in types.definitions.values() if wanted is None or one["category"] == wanted]

    def _by_unique(self, session: Session, type_name: str, values: Mapping[str, Any]) -> Entity:
        found = Reader(session).find_unique(type_name, values)
        if found is None:
            raise CatalogError("ATLAS-404-00-009", type_name, dict(values))
        return found

    def _one(self, session: Session, entity: Entity, min_ext_info: bool, ignore_relationships: bool) -> Json:
        rendered, referred = self._rendered(session, [entity], min_ext_info, ignore_relationships)
        return {"entity": rendered[0], "referredEntities": referred}

    def _many(self, session: Session, found: List[Entity], min_ext_info: bool, ignore_relationships: bool) -> Json:
        rendered, referred = self._rendered(session, found, min_ext_info, ignore_relationships)
        return {"entities": rendered, "referredEntities": referred}

    def _rendered(
        self, session: Session, found: List[Entity], min_ext_info: bool, ignore_relationships: bool
    ) -> Tuple[List[Json], Json]:
        return Reader(session).with_referred(
            found, min_ext_info=min_ext_info, ignore_relationships=ignore_relationships)

    def _partial(
        self, session: Session, entity: Entity, attributes: Any, relations: Any, raw: Optional[Json] = None
    ) -> Json:
        mutation = Mutation(session)
        body = {**(raw or {}), "guid": entity.guid, "typeName": entity.type, "attributes": attributes,
                "relationshipAttributes": relations}
        EntityWriter(session, mutation, partial=True, operation=PARTIAL_UPDATE).write([body])
        return mutation.finish()

    def _delete(self, session: Session, ids: Sequence[int]) -> Json:
        mutation = Mutation(session)
        mutation.remove(ids)
        return mutation.finish()
