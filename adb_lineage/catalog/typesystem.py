"""The type system: definitions resolved into what an instance of each type may hold.

A `TypeSystem` never changes; a change of definitions makes a new one. Inheritance, the relationship attributes that
both ends of a relationshipDef give to entity types, and sub-types are computed here and nowhere else.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, Optional, Set, Tuple

from adb_lineage.catalog.errors import CatalogError

Definition = Dict[str, Any]
"""A typedef in Atlas' JSON form, every key present (see `typedefs.normalise`)."""

CATEGORIES: Mapping[str, str] = {
    "enumDefs": "ENUM",
    "structDefs": "STRUCT",
    "classificationDefs": "CLASSIFICATION",
    "entityDefs": "ENTITY",
    "relationshipDefs": "RELATIONSHIP",
    "businessMetadataDefs": "BUSINESS_METADATA",
    "termTemplateDefs": "TERM_TEMPLATE",
}
"""Key in an `AtlasTypesDef` to category of the definitions under it."""

INTEGERS: Mapping[str, int] = {"byte": 8, "short": 16, "int": 32, "long": 64}
"""Integer types and their width in bits."""
PRIMITIVES: FrozenSet[str] = frozenset(INTEGERS) | {
    "boolean", "float", "double", "bigdecimal", "biginteger", "string", "date",
}
OBJECT_ID = "objectid"

_ARRAY = re.compile(r"array<(.+)>\Z")


def array_item(type_name: str) -> Optional[str]:
    """`array<T>` gives `T`, anything else None."""
    match = _ARRAY.match(type_name)
    return match.group(1).strip() if match else None


def map_parts(type_name: str) -> Optional[Tuple[str, str]]:
    """`map<K,V>` gives `(K, V)`, anything else None."""
    if not (type_name.startswith("map<") and type_name.endswith(">")):
        return None
    key, separator, value = type_name[4:-1].partition(",")
    return (key.strip(), value.strip()) if separator else None


@dataclass(frozen=True)
class Attribute:
    """An attribute that instances of a type hold; `owner` is the type that defines it."""

    name: str
    type_name: str
    optional: bool
    cardinality: str
    min_count: int
    max_count: int
    unique: bool
    indexable: bool
    default: Any
    owner: str


@dataclass(frozen=True)
class End:
    """A relationship seen from one of its ends, as the relationship attribute of an entity type."""

    name: str
    relationship: str
    number: int
    """1 or 2: which end of the relationshipDef the entity that has this attribute is."""
    end_type: str
    other_type: str
    cardinality: str
    other_cardinality: str
    category: str
    owner: bool
    """This end is the container of a COMPOSITION: it owns what is at the other end."""
    owned: bool
    """The other end is the container of a COMPOSITION."""
    legacy: bool
    other_legacy: bool


class EntityType:
    """An entity type with everything it inherits."""

    def __init__(self, definition: Definition, lineage: Tuple[str, ...]) -> None:
        self.name: str = definition["name"]
        self.definition = definition
        self.lineage = lineage
        """The type and all its ancestors, nearest first."""
        self.ancestors: FrozenSet[str] = frozenset(lineage)
        self.attributes: Dict[str, Attribute] = {}
        self.plain: Dict[str, Attribute] = {}
        """The attributes that are not relationship attributes as well."""
        self.unique: List[Attribute] = []
        self.ends: Dict[str, Tuple[End, ...]] = {}
        self.options: Dict[str, Any] = {}
        self.owning: Set[Tuple[str, int]] = set()
        """(relationship type, end number) of the compositions whose container this type is."""

    def is_a(self, name: str) -> bool:
        """Whether the type is `name` or descends from it."""
        return name in self.ancestors


class TypeSystem:
    """All types of the catalog, resolved.

    Raises `CatalogError` (400 -029) for a definition that refers to a type which does not exist, and the
    relationshipDef errors for ends that are not entity types.
    """

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self.definitions: Dict[str, Definition] = {definition["name"]: definition for definition in definitions}
        self._entities: Dict[str, EntityType] = {}
        self._structs: Dict[str, Dict[str, Attribute]] = {}
        self._subtypes: Dict[str, List[str]] = {}
        self._literals: Dict[str, Dict[str, str]] = {}
        for definition in self.definitions.values():
            self._resolve_plain(definition)
        for definition in self.of_category("ENTITY"):
            self._entity_type(definition["name"], ())
        for definition in self.of_category("RELATIONSHIP"):
            self._check_ends(definition)
        for entity_type in self._entities.values():
            self._add_ends(entity_type)
            entity_type.plain = {
                name: attribute for name, attribute in entity_type.attributes.items() if name not in entity_type.ends
            }
            entity_type.unique = [attribute for attribute in entity_type.plain.values() if attribute.unique]
            for ancestor in entity_type.lineage[1:]:
                self._subtypes.setdefault(ancestor, []).append(entity_type.name)
        self._by_guid = {definition["guid"]: definition for definition in self.definitions.values()}

    # ---- look-up

    def of_category(self, category: str) -> Iterator[Definition]:
        """The definitions of a category, in order of creation."""
        return (definition for definition in self.definitions.values() if definition["category"] == category)

    def get(self, name: str, category: Optional[str] = None) -> Definition:
        """A definition by name; 404 -001 where it does not exist or is of another category."""
        definition = self.definitions.get(name)
        if definition is None or (category and definition["category"] != category):
            raise CatalogError("ATLAS-404-00-001", name)
        return definition

    def get_by_guid(self, guid: str, category: Optional[str] = None) -> Definition:
        """A definition by guid; 404 -002 where it does not exist or is of another category."""
        definition = self._by_guid.get(guid)
        if definition is None or (category and definition["category"] != category):
            raise CatalogError("ATLAS-404-00-002", guid)
        return definition

    def find_entity(self, name: Any) -> Optional[EntityType]:
        """An entity type by name, or None."""
        return self._entities.get(name) if isinstance(name, str) else None

    def entity(self, name: Any) -> EntityType:
        """An entity type by name; 400 -014 where it does not exist."""
        found = self.find_entity(name)
        if found is None:
            raise CatalogError("ATLAS-400-00-014", "ENTITY", name)
        return found

    def relationship(self, name: Any) -> Definition:
        """A relationshipDef by name; 400 -028 where it does not exist."""
        definition = self.definitions.get(name) if isinstance(name, str) else None
        if definition is None or definition["category"] != "RELATIONSHIP":
            raise CatalogError("ATLAS-400-00-028", f"unknown relationship type '{name}'")
        return definition

    def subtypes(self, name: str) -> List[str]:
        """All descendants of an entity type, itself not included."""
        return self._subtypes.get(name, [])

    def is_a(self, type_name: str, ancestor: str) -> bool:
        """Whether entity type `type_name` is `ancestor` or descends from it; False for an unknown type."""
        found = self._entities.get(type_name)
        return found is not None and found.is_a(ancestor)

    def struct(self, name: str) -> Optional[Dict[str, Attribute]]:
        """The attributes of a struct, classification or relationship type, or None if it is not one."""
        return self._structs.get(name)

    def literals(self, name: str) -> Optional[Dict[str, str]]:
        """Lower-cased literal to literal for an enum type, or None if it is not one."""
        return self._literals.get(name)

    def relationship_attribute_defs(self, entity_type: EntityType) -> List[Definition]:
        """`relationshipAttributeDefs` of an entity type as Atlas answers it: inherited ones included."""
        found = []
        for ends in entity_type.ends.values():
            for end in ends:
                many = end.cardinality == "SET"
                item: Definition = {
                    "name": end.name,
                    "typeName": f"array<{end.other_type}>" if many else end.other_type,
                    "isOptional": not end.owned,
                    "cardinality": end.cardinality,
                    "valuesMinCount": -1,
                    "valuesMaxCount": -1,
                    "isUnique": False,
                    "isIndexable": False,
                    "includeInNotification": False,
                    "relationshipTypeName": end.relationship,
                    "isLegacyAttribute": end.legacy,
                }
                if end.owner:
                    item["constraints"] = [{"type": "ownedRef"}]
                found.append(item)
        return found

    # ---- resolution

    def _resolve_plain(self, definition: Definition) -> None:
        category = definition["category"]
        if category == "ENUM":
            self._literals[definition["name"]] = {
                element["value"].lower(): element["value"] for element in definition["elementDefs"]
            }
            return
        attributes = {}
        for raw in definition.get("attributeDefs", ()):
            self._check_type_name(raw["typeName"])
            attributes[raw["name"]] = _attribute(raw, definition["name"])
        if category not in ("ENTITY", "BUSINESS_METADATA", "TERM_TEMPLATE"):
            self._structs[definition["name"]] = attributes

    def _check_type_name(self, type_name: str) -> None:
        item = array_item(type_name)
        if item is not None:
            self._check_type_name(item)
            return
        parts = map_parts(type_name)
        if parts is not None:
            self._check_type_name(parts[0])
            self._check_type_name(parts[1])
            return
        if type_name in PRIMITIVES or type_name == OBJECT_ID:
            return
        known = self.definitions.get(type_name)
        if known is None or known["category"] not in ("ENUM", "STRUCT", "ENTITY"):
            raise CatalogError("ATLAS-400-00-029", type_name)

    def _entity_type(self, name: str, below: Tuple[str, ...]) -> EntityType:
        resolved = self._entities.get(name)
        if resolved is not None:
            return resolved
        definition = self.definitions.get(name)
        if definition is None or definition["category"] != "ENTITY" or name in below:
            raise CatalogError("ATLAS-400-00-029", name)
        parents = [self._entity_type(parent, below + (name,)) for parent in definition["superTypes"]]
        lineage = [name]
        for parent in parents:
            lineage.extend(ancestor for ancestor in parent.lineage if ancestor not in lineage)
        entity_type = EntityType(definition, tuple(lineage))
        for parent in parents:
            entity_type.options.update(parent.options)
            for attribute in parent.attributes.values():
                known = entity_type.attributes.setdefault(attribute.name, attribute)
                if known.owner != attribute.owner:
                    raise CatalogError("ATLAS-400-00-09E", name, attribute.name, [known.owner, attribute.owner])
        entity_type.options.update(definition["options"])
        for raw in definition["attributeDefs"]:
            entity_type.attributes[raw["name"]] = _attribute(raw, name)
        self._entities[name] = entity_type
        return entity_type

    def _check_ends(self, definition: Definition) -> None:
        for key in ("endDef1", "endDef2"):
            if definition[key]["type"] not in self._entities:
                raise CatalogError("ATLAS-400-00-035", definition["name"], definition[key]["type"])

    def _add_ends(self, entity_type: EntityType) -> None:
        for definition in self.of_category("RELATIONSHIP"):
            for number, (mine, other) in enumerate((("endDef1", "endDef2"), ("endDef2", "endDef1")), start=1):
                end, other_end = definition[mine], definition[other]
                if end["type"] not in entity_type.ancestors:
                    continue
                composition = definition["relationshipCategory"] == "COMPOSITION"
                if composition and end["isContainer"]:
                    entity_type.owning.add((definition["name"], number))
                entity_type.ends[end["name"]] = entity_type.ends.get(end["name"], ()) + (End(
                    name=end["name"],
                    relationship=definition["name"],
                    number=number,
                    end_type=end["type"],
                    other_type=other_end["type"],
                    cardinality=end["cardinality"],
                    other_cardinality=other_end["cardinality"],
                    category=definition["relationshipCategory"],
                    owner=composition and end["isContainer"],
                    owned=composition and other_end["isContainer"],
                    legacy=end["isLegacyAttribute"],
                    other_legacy=other_end["isLegacyAttribute"],
                ),)


def _attribute(raw: Definition, owner: str) -> Attribute:
    return Attribute(
        name=raw["name"],
        type_name=raw["typeName"],
        optional=raw["isOptional"],
        cardinality=raw["cardinality"],
        min_count=raw["valuesMinCount"],
        max_count=raw["valuesMaxCount"],
        unique=raw["isUnique"],
        indexable=raw["isIndexable"],
        default=raw.get("defaultValue"),
        owner=owner,
    )
