"""The account's type definitions: what they allow, and how those that we need get there."""
from __future__ import annotations

import copy
import json
import logging
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from adb_lineage.errors import FixNeeded
from adb_lineage.purview import typedefs
from adb_lineage.purview.answers import NotAllowed, Refused
from adb_lineage.purview.client import PooledAtlasClient

log = logging.getLogger("adb_lineage.purview")

PLACEHOLDER = "purview_custom_connector_generic_entity_with_columns"
PLACEHOLDER_COLUMN = "purview_custom_connector_generic_column"
SOURCES = ("databricks", "placeholder")
KINDS = ("entityDefs", "relationshipDefs")
_KEPT = (
    "category", "guid", "name", "description", "typeVersion", "serviceType", "options", "superTypes", "attributeDefs",
)
_ROUNDS = 3


class End(NamedTuple):
    """The far side of a relationship as seen from a type: `table.columns` leads to `column.table`."""

    relationship: str
    type_name: str
    attribute: str


class TypeBook:
    """What the account's type definitions say. Made from the answer of `GET types/typedefs`."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._entities: Dict[str, Dict[str, Any]] = {d["name"]: d for d in definitions.get("entityDefs") or []}
        self._relationships: Dict[str, Dict[str, Any]] = {
            d["name"]: d for d in definitions.get("relationshipDefs") or []
        }
        self._ends: Dict[Tuple[str, str], End] = {}
        for name, definition in self._relationships.items():
            one, two = definition.get("endDef1") or {}, definition.get("endDef2") or {}
            for near, far in ((one, two), (two, one)):
                key = (str(near.get("type")), str(near.get("name")))
                self._ends.setdefault(key, End(name, str(far.get("type")), str(far.get("name"))))

    def with_ours(self) -> TypeBook:
        """The book as it will be when what we need is installed."""
        entities, relationships = dict(self._entities), dict(self._relationships)
        for name in SOURCES:
            definitions = typedefs.load(name)
            entities = {**{d["name"]: d for d in definitions["entityDefs"]}, **entities}
            relationships = {**{d["name"]: d for d in definitions["relationshipDefs"]}, **relationships}
        return TypeBook({"entityDefs": list(entities.values()), "relationshipDefs": list(relationships.values())})

    def __contains__(self, type_name: str) -> bool:
        return type_name in self._entities

    def definition(self, kind: str, name: str) -> Optional[Dict[str, Any]]:
        """One definition of `entityDefs` or `relationshipDefs`."""
        return (self._entities if kind == "entityDefs" else self._relationships).get(name)

    def lineage(self, type_name: str) -> List[str]:
        """The type and its supertypes, nearest first."""
        order: List[str] = []
        waiting = [type_name]
        while waiting:
            name = waiting.pop(0)
            if name not in order:
                order.append(name)
                waiting.extend(self._entities.get(name, {}).get("superTypes") or [])
        return order

    def is_a(self, type_name: str, ancestor: str) -> bool:
        """Whether a type is another one or descends from it."""
        return ancestor in self.lineage(type_name)

    def attributes(self, type_name: str) -> Dict[str, Dict[str, Any]]:
        """Attribute definitions by name, inherited ones included."""
        found: Dict[str, Dict[str, Any]] = {}
        for name in self.lineage(type_name):
            for attribute in self._entities.get(name, {}).get("attributeDefs") or []:
                found.setdefault(attribute["name"], attribute)
        return found

    def mandatory(self, type_name: str) -> Set[str]:
        """Attributes without which an entity of this type is refused."""
        return {name for name, a in self.attributes(type_name).items() if not a.get("isOptional", True)}

    def mandatory_relationships(self, type_name: str) -> Set[str]:
        """Relationship attributes that the type publishes as not optional. Purview does not always insist on them."""
        found: Set[str] = set()
        for name in self.lineage(type_name):
            for attribute in self._entities.get(name, {}).get("relationshipAttributeDefs") or []:
                if not attribute.get("isOptional", True):
                    found.add(attribute["name"])
        return found

    def end(self, type_name: str, attribute: str) -> Optional[End]:
        """Where a relationship attribute of a type leads to; None when no relationship gives it."""
        for name in self.lineage(type_name):
            if (name, attribute) in self._ends:
                return self._ends[name, attribute]
        return None


@dataclass(frozen=True)
class TypesReport:
    """What became of the types that we need, by name."""

    created: Tuple[str, ...] = ()
    updated: Tuple[str, ...] = ()
    lacking: Tuple[str, ...] = ()
    """Attributes (`type.attribute`) that a built-in type of the account does not have: what we write there is lost."""
    problem: str = ""
    """Why the placeholder types could not be installed; empty when they are there."""


def read(client: PooledAtlasClient) -> TypeBook:
    """The account's types; nothing is installed."""
    return TypeBook(client.typedefs())


def ensure(client: PooledAtlasClient, flavour: str) -> Tuple[TypeBook, TypesReport]:
    """Install what the account lacks, update what is ours and older; the account's types as they are afterwards.

    Purview's own `databricks_*` types are never changed: what they lack is reported. On a plain Atlas they are ours.

    Raises `FixNeeded` when types that lineage can't do without are lacking and may not be installed, `RetryLater`.
    """
    needed = {name: typedefs.load(name) for name in SOURCES}
    created: List[str] = []
    updated: List[str] = []
    problem = ""
    for _ in range(_ROUNDS):
        book = read(client)
        new: Dict[str, List[Dict[str, Any]]] = {kind: [] for kind in KINDS}
        changed: Dict[str, List[Dict[str, Any]]] = {kind: [] for kind in KINDS}
        lacking: List[str] = []
        for source, definitions in needed.items():
            for wanted in definitions["entityDefs"]:
                there = book.definition("entityDefs", wanted["name"])
                if there is None:
                    new["entityDefs"].append(wanted)
                elif source == "placeholder" or flavour == "atlas":
                    update = _updated(there, wanted, book)
                    if update is not None:
                        changed["entityDefs"].append(update)
                else:
                    has = book.attributes(wanted["name"])
                    names = [a["name"] for a in wanted["attributeDefs"]]
                    lacking += [f"{wanted['name']}.{name}" for name in names if name not in has]
            for wanted in definitions["relationshipDefs"]:
                one = wanted["endDef1"]
                there = book.definition("relationshipDefs", wanted["name"])
                if there is None and not book.end(one["type"], one["name"]):  # by another name it would do as well
                    new["relationshipDefs"].append(wanted)
        if problem or not any(new.values()) and not any(changed.values()):
            return book, TypesReport(tuple(created), tuple(updated), tuple(lacking), problem)
        try:
            if any(new.values()):
                client._post_http(f"{client.endpoint_url}/types/typedefs", json=new)
                created += [d["name"] for kind in KINDS for d in new[kind]]
            if any(changed.values()):
                client._put_http(f"{client.endpoint_url}/types/typedefs", json=changed)
                updated += [d["name"] for kind in KINDS for d in changed[kind]]
        except Refused as failure:
            if failure.answer.status != 409:  # somebody else was faster: look again
                raise FixNeeded(f"the catalog refuses our type definitions: {failure.answer}") from failure
        except NotAllowed as failure:
            names = [d["name"] for kind in KINDS for d in new[kind] + changed[kind]]
            if any(name.startswith("databricks_") for name in names):
                raise FixNeeded(
                    f"the types {', '.join(names)} are lacking and may not be installed: {failure.answer}; let "
                    "somebody with the role Data Curator on the root collection run `adb-lineage doctor` once"
                ) from failure
            problem = f"may not install {', '.join(names)}: {failure.answer}"
    raise FixNeeded("the type definitions change under our hands: another program installs others of the same name")


def _updated(there: Mapping[str, Any], wanted: Mapping[str, Any], book: TypeBook) -> Optional[Dict[str, Any]]:
    """The definition to PUT, or None when nothing needs to change.

    Atlas takes new optional attributes and options; it takes no removals and no changed data types.
    """
    has = book.attributes(wanted["name"])
    added = [{**a, "isOptional": True, "valuesMinCount": 0} for a in wanted["attributeDefs"] if a["name"] not in has]
    options = dict(there.get("options") or {})
    for key, value in (wanted.get("options") or {}).items():
        if not _same_option(options.get(key), value):
            options[key] = value
    if not added and options == (there.get("options") or {}):
        return None
    update = {key: copy.deepcopy(there[key]) for key in _KEPT if key in there}
    update["options"] = options
    update["attributeDefs"] = list(update.get("attributeDefs") or []) + added
    return update


def _same_option(there: Any, wanted: str) -> bool:
    """Options are strings; a list in one may be written with other blanks."""
    if there == wanted:
        return True
    try:
        return bool(json.loads(there) == json.loads(wanted))
    except (TypeError, ValueError):
        return False
