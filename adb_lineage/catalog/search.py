"""`search/query`: keywords, Purview's filter grammar, facets, order and pages (atlas_purview.md 1.10).

A filter becomes one SQL condition. Types, guids, keywords and indexed attributes are looked up through indices; what
remains (labels, contacts, attributes that no typedef marks as indexable) is tested on the rows that those leave.
"""
from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.catalog import rows
from adb_lineage.catalog.errors import INVALID_PARAMETERS, CatalogError
from adb_lineage.catalog.rows import Entity, marks
from adb_lineage.catalog.session import Session
from adb_lineage.catalog.typesystem import EntityType

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_REACHABLE = 100_000

_NOT_SEARCHABLE = ("databricks_process",)
"""Purview's search does not return these (accelerator.md 4.6), nor column entities (atlas_purview.md 0.2)."""
_OBJECT_TYPES = (
    ("column", "Columns"), ("table", "Tables"), ("view", "Views"), ("path", "Files"), ("resource_set", "Files"),
    ("collection", "Tables"), ("process", "Data pipelines"), ("operation", "Data pipelines"),
    ("task", "Data pipelines"), ("notebook", "Notebooks"),
    ("db", "Databases"), ("database", "Databases"), ("schema", "Schemas"),
)
"""How the name of a type ends, to the category that search shows for it."""
_ORDER = {
    "name": "e.name", "qualifiedName": "e.qualified_name", "entityType": "e.type",
    "createTime": "e.created", "updateTime": "e.updated",
}
_TEXT_LEAVES = frozenset({
    "entityType", "typeName", "objectType", "assetType", "collectionId", "id", "classification", "label", "term",
    "contactId", "fileExtension", "attributeName",
})
_DAY = 86_400_000
_SPANS = {"LAST_24H": 1, "LAST_7D": 7, "LAST_30D": 30, "LAST_365D": 365}
_COMPARE = {"eq": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_FACETS_OF_LISTS = {"classification": ("$.classifications", "$.typeName"), "label": ("$.labels", "$")}


class Condition(NamedTuple):
    """A piece of SQL over `entity e`, and its values."""

    sql: str
    values: Tuple[Any, ...] = ()


ALWAYS = Condition("1")


class Search:
    """The search calls of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._leaves: Mapping[str, Callable[[Any, Mapping[str, Any]], Condition]] = {
            "and": lambda value, _: self._all(value, " AND "),
            "or": lambda value, _: self._all(value, " OR "),
            "not": lambda value, _: self._not(value),
            "entityType": lambda value, leaf: self._of_type(value, leaf.get("includeSubTypes", True)),
            "typeName": lambda value, leaf: self._of_type(value, leaf.get("includeSubTypes", True)),
            "objectType": lambda value, _: self._of_kind(lambda one: object_type(one.name) == value),
            "assetType": lambda value, _: self._of_kind(lambda one: value in asset_types(one)),
            "collectionId": lambda value, _: Condition("e.collection = ?", (value,)),
            "id": lambda value, _: Condition("e.guid = ?", (value,)),
            "classification": lambda value, _: _in_list("$.classifications", "$.typeName", value),
            "label": lambda value, _: _in_list("$.labels", "$", value),
            "term": lambda value, _: Condition("0"),  # there is no glossary
            "contactId": lambda value, _: Condition(
                "EXISTS (SELECT 1 FROM json_tree(e.details, '$.contacts') WHERE key = 'id' AND atom = ?)", (value,)
            ),
            "fileExtension": lambda value, _: Condition("e.name LIKE ? ESCAPE '\\'", (f"%.{_like(str(value))}",)),
            "attributeName": lambda value, leaf: self._attribute(
                value, leaf.get("operator"), leaf.get("attributeValue")
            ),
            "createTime": lambda value, _: self._time("e.created", value),
            "updateTime": lambda value, _: self._time("e.updated", value),
        }

    def query(self, raw: Any, *, offset_allowed: bool = True, hidden: bool = False) -> Dict[str, Any]:
        """`POST search/query`. With `hidden`, types that the profile keeps out of the index are found too.

        Raises 400 -01A for a filter, order or token that is not understood.
        """
        if not isinstance(raw, dict):
            raise CatalogError(INVALID_PARAMETERS, "the body must be a search request object")
        limit = _bounded(raw.get("limit"), "limit", DEFAULT_LIMIT, MAX_LIMIT)
        fingerprint = _fingerprint(raw)
        token = raw.get("continuationToken")
        if token:
            session_id, offset = _read_token(token, fingerprint)
        else:
            session_id = str(uuid.uuid4())
            offset = _bounded(raw.get("offset"), "offset", 0, MAX_REACHABLE) if offset_allowed else 0
        keywords = _keywords(raw.get("keywords"))
        source = "entity e" if keywords is None else "entity_text t CROSS JOIN entity e ON e.id = t.rowid"
        where = self._where(raw.get("filter"), keywords, hidden)
        connection = self._session.connection
        total = int(connection.execute(f"SELECT count(*) FROM {source} WHERE {where.sql}", where.values).fetchone()[0])
        score = "1.0" if keywords is None else "-bm25(entity_text, 10, 5, 1)"
        page = connection.execute(
            f"SELECT e.id, {score} AS score FROM {source} WHERE {where.sql} ORDER BY {_order(raw.get('orderby'))}"
            " LIMIT ? OFFSET ?",
            (*where.values, max(0, min(limit, MAX_REACHABLE - offset)), offset),
        ).fetchall()
        found = rows.entities_by_id(connection, (row["id"] for row in page))
        answer: Dict[str, Any] = {
            "@search.count": total,
            "@search.count.approximate": False,
            "@search.facets": self._facets(raw.get("facets"), source, where),
            "value": [self._hit(found[row["id"]], row["score"]) for row in page],
        }
        reached = offset + len(page)
        if page and reached < min(total, MAX_REACHABLE):
            answer["continuationToken"] = _token(session_id, reached, fingerprint)
        return answer

    # ---- conditions

    def _where(self, filter_: Any, keywords: Optional[str], hidden: bool) -> Condition:
        parts = [Condition("e.status = 'ACTIVE'")]
        if keywords is not None:
            parts.append(Condition("entity_text MATCH ?", (keywords,)))
        if filter_:
            parts.append(self._filter(filter_))
        if self._session.profile.hide_from_search and not hidden:
            parts.append(self._not_of_kind(_hidden))
        return _join(parts, " AND ")

    def _filter(self, raw: Any) -> Condition:
        if not isinstance(raw, dict):
            raise CatalogError(INVALID_PARAMETERS, f"a filter must be an object, not {raw!r}")
        known = [key for key in raw if key in self._leaves]
        if not known and raw:
            raise CatalogError(INVALID_PARAMETERS, f"filter {sorted(raw)}: none of {sorted(self._leaves)}")
        for key in known:
            if key in _TEXT_LEAVES and not isinstance(raw[key], str):
                raise CatalogError(INVALID_PARAMETERS, f"filter on {key}: {raw[key]!r} is no string")
        return _join([self._leaves[key](raw[key], raw) for key in known], " AND ")

    def _all(self, raw: Any, operator: str) -> Condition:
        if not isinstance(raw, list):
            raise CatalogError(INVALID_PARAMETERS, f"filter{operator.lower()}must be a list")
        return _join([self._filter(one) for one in raw], operator)

    def _not(self, raw: Any) -> Condition:
        inner = self._filter(raw)
        return Condition(f"NOT coalesce({inner.sql}, 0)", inner.values)

    def _of_type(self, value: Any, subtypes: Any) -> Condition:
        names = [str(value), *(self._session.types.subtypes(str(value)) if subtypes else ())]
        return Condition(f"e.type IN ({marks(names)})", tuple(names))

    def _of_kind(self, test: Callable[[EntityType], bool]) -> Condition:
        names = self._names(test)
        return Condition(f"e.type IN ({marks(names)})", tuple(names))

    def _not_of_kind(self, test: Callable[[EntityType], bool]) -> Condition:
        names = self._names(test)
        return Condition(f"e.type NOT IN ({marks(names)})", tuple(names))

    def _names(self, test: Callable[[EntityType], bool]) -> List[str]:
        types = self._session.types
        every = (types.entity(definition["name"]) for definition in types.of_category("ENTITY"))
        return [one.name for one in every if test(one)]

    def _attribute(self, name: Any, operator: Any, value: Any) -> Condition:
        operator = str(operator or "eq").lower()
        if not isinstance(name, str) or isinstance(value, (dict, list)):
            raise CatalogError(INVALID_PARAMETERS, f"filter on attribute {name!r}: the value must be a scalar")
        if operator == "ne":
            equal = self._attribute(name, "eq", value)
            return Condition(f"NOT coalesce({equal.sql}, 0)", equal.values)
        if operator == "timerange" and name in ("createTime", "updateTime"):
            return self._time(_ORDER[name], value)
        stored = rows.index_value(value)
        if operator in _COMPARE:
            test = Condition(f"{{0}} {_COMPARE[operator]} ?", (stored,))
        elif operator == "prefix":
            test = Condition("{0} >= ? AND {0} < ?", (str(value), str(value) + "\U0010ffff"))
        elif operator == "contains":
            test = Condition("{0} LIKE ? ESCAPE '\\'", (f"%{_like(str(value))}%",))
        else:
            raise CatalogError(INVALID_PARAMETERS, f"filter on attribute {name}: operator {operator} does not exist")
        if self._indexed(name):
            return Condition(
                f"e.id IN (SELECT entity FROM attribute_index WHERE attribute = ? AND {test.sql.format('value')})",
                (name, *test.values),
            )
        path = f"json_extract(e.attributes, '$.' || json_quote({_quote(name)}))"
        return Condition(f"({test.sql.format(path)})", test.values)

    def _indexed(self, name: str) -> bool:
        """Whether every type that has the attribute keeps it in the index."""
        having = [
            attribute
            for definition in self._session.types.of_category("ENTITY")
            for attribute in definition["attributeDefs"]
            if attribute["name"] == name
        ]
        return bool(having) and all(one["isUnique"] or one["isIndexable"] for one in having)

    def _time(self, column: str, raw: Any) -> Condition:
        now = self._session.now
        if isinstance(raw, dict):
            operator = str(raw.get("operator", "eq")).lower()
            if operator == "timerange" or operator not in _COMPARE:
                return self._time(column, raw.get("timeThreshold"))
            try:
                threshold = rows.index_value(int(raw["timeThreshold"]))
                return Condition(f"{column} {_COMPARE[operator]} ?", (threshold,))
            except (KeyError, TypeError, ValueError, OverflowError):
                raise CatalogError(INVALID_PARAMETERS, f"timeThreshold {raw.get('timeThreshold')!r}") from None
        if isinstance(raw, str) and raw in _SPANS:
            return Condition(f"{column} >= ?", (now - _SPANS[raw] * _DAY,))
        if raw == "MORE_THAN_365D":
            return Condition(f"{column} < ?", (now - 365 * _DAY,))
        raise CatalogError(INVALID_PARAMETERS, f"time {raw!r}: one of {[*_SPANS, 'MORE_THAN_365D']}")

    # ---- the answer

    def _hit(self, entity: Entity, score: float) -> Dict[str, Any]:
        entity_type = self._session.types.find_entity(entity.type)
        return {
            "@search.score": score,
            "@search.highlights": None,
            "id": entity.guid,
            "qualifiedName": entity.qualified_name,
            "name": entity.name,
            "displayText": entity.display_text,
            "description": entity.attributes.get("description"),
            "owner": entity.attributes.get("owner"),
            "entityType": entity.type,
            "objectType": object_type(entity.type),
            "assetType": asset_types(entity_type) if entity_type else [],
            "classification": [one.get("typeName") for one in entity.details.get("classifications", ())],
            "label": entity.details.get("labels", []),
            "term": [],
            "contact": [
                {"id": one.get("id"), "info": one.get("info"), "contactType": kind}
                for kind, people in entity.details.get("contacts", {}).items()
                for one in people
            ],
            "collectionId": entity.collection,
            "createTime": entity.created,
            "updateTime": entity.updated,
        }

    def _facets(self, raw: Any, source: str, where: Condition) -> Optional[Dict[str, List[Dict[str, Any]]]]:
        if not raw:
            return None
        answer: Dict[str, List[Dict[str, Any]]] = {}
        for one in raw if isinstance(raw, list) else [raw]:
            name = one.get("facet") if isinstance(one, dict) else one
            counts = self._count_by(str(name), source, where)
            ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
            wanted = one.get("count") if isinstance(one, dict) else None
            if isinstance(wanted, int) and wanted > 0:
                ranked = ranked[:wanted]
            answer[str(name)] = [{"count": count, "value": value} for value, count in ranked]
        return answer

    def _count_by(self, name: str, source: str, where: Condition) -> Dict[Any, int]:
        connection = self._session.connection
        if name in _FACETS_OF_LISTS:
            listed, path = _FACETS_OF_LISTS[name]
            value = "j.value" if path == "$" else f"json_extract(j.value, '{path}')"
            grouped = connection.execute(
                f"SELECT {value}, count(*) FROM {source}, json_each(e.details, '{listed}') j"
                f" WHERE {where.sql} GROUP BY 1", where.values,
            )
            return {row[0]: row[1] for row in grouped}
        column = "e.collection" if name == "collectionId" else "e.type"
        grouped = connection.execute(
            f"SELECT {column}, count(*) FROM {source} WHERE {where.sql} GROUP BY 1", where.values
        )
        counts = {row[0]: row[1] for row in grouped if row[0] is not None}
        if name in ("entityType", "collectionId"):
            return counts
        if name not in ("objectType", "assetType"):
            return {}
        merged: Dict[Any, int] = {}
        for type_name, count in counts.items():
            entity_type = self._session.types.find_entity(type_name)
            kinds: Sequence[Optional[str]] = [object_type(type_name)]
            if name == "assetType":
                kinds = asset_types(entity_type) if entity_type else []
            for kind in kinds:
                if kind is not None:
                    merged[kind] = merged.get(kind, 0) + count
        return merged


def object_type(type_name: str) -> Optional[str]:
    """The category that search shows for a type, by how its name ends; None if it is of no known kind."""
    return next((kind for ending, kind in _OBJECT_TYPES if type_name.endswith(ending)), None)


def asset_types(entity_type: EntityType) -> List[str]:
    """The service that a type belongs to."""
    service = entity_type.definition.get("serviceType")
    return [service] if service else []


def _hidden(entity_type: EntityType) -> bool:
    return "schemaAttributes" in entity_type.options or entity_type.name in _NOT_SEARCHABLE


def _join(parts: Sequence[Condition], operator: str) -> Condition:
    if not parts:
        return ALWAYS
    sql = operator.join(part.sql for part in parts)
    return Condition(f"({sql})", tuple(value for part in parts for value in part.values))


def _in_list(listed: str, path: str, value: Any) -> Condition:
    item = "value" if path == "$" else f"json_extract(value, '{path}')"
    return Condition(f"EXISTS (SELECT 1 FROM json_each(e.details, '{listed}') WHERE {item} = ?)", (value,))


def _keywords(raw: Any) -> Optional[str]:
    """An FTS5 query of all words, or None for everything. A word that ends in `*` is a prefix."""
    text = "" if raw is None else str(raw).strip()
    if text in ("", "*"):
        return None
    words = []
    for word in text.split():
        if any(character.isalnum() for character in word):
            quoted = '"' + word.strip("*").replace('"', '""') + '"'
            words.append(quoted + ("*" if word.endswith("*") else ""))
    return " ".join(words) if words else '"\u2205"'


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _order(raw: Any) -> str:
    terms = []
    if raw is not None and not (isinstance(raw, list) and all(isinstance(one, dict) for one in raw)):
        raise CatalogError(INVALID_PARAMETERS, "orderby must be a list of objects")
    for one in raw or ():
        for name, way in one.items():
            if name not in _ORDER:
                raise CatalogError(INVALID_PARAMETERS, f"orderby {name}: one of {sorted(_ORDER)}")
            terms.append(f"{_ORDER[name]} {'DESC' if str(way).lower() == 'desc' else 'ASC'}")
    return ", ".join([*(terms or ["score DESC"]), "e.id"])


def _bounded(raw: Any, name: str, default: int, highest: int) -> int:
    if raw is None:
        return default
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= highest:
        raise CatalogError(INVALID_PARAMETERS, f"{name} {raw!r}: a number from 0 to {highest}")
    return raw


def _fingerprint(raw: Mapping[str, Any]) -> str:
    body = {key: value for key, value in raw.items() if key != "continuationToken"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _token(session_id: str, offset: int, fingerprint: str) -> str:
    body = {"sessionId": session_id, "offset": offset, "requestHash": fingerprint}
    return base64.b64encode(json.dumps(body).encode()).decode()


def _read_token(token: Any, fingerprint: str) -> Tuple[str, int]:
    try:
        body = json.loads(base64.b64decode(token, validate=True))
        session_id, offset, made_for = str(body["sessionId"]), int(body["offset"]), body["requestHash"]
    except (TypeError, ValueError, KeyError):
        raise CatalogError(INVALID_PARAMETERS, "the continuationToken can not be read") from None
    if made_for != fingerprint or offset < 0:
        raise CatalogError(INVALID_PARAMETERS, "the continuationToken belongs to another request")
    return session_id, offset
