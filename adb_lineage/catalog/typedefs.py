"""Type definitions as they come and go: reading, checking and changing them.

`normalise` gives every definition the full Atlas form; `created`, `updated` and `deleted` apply a request to a
`TypeSystem` and return the new one, or raise `CatalogError` and change nothing. Whether instances stand in the way of
a deletion is the caller's question, as it needs the store.
"""
from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from adb_lineage.catalog.errors import INVALID_PARAMETERS, CatalogError
from adb_lineage.catalog.profile import Profile
from adb_lineage.catalog.typesystem import (
    CATEGORIES,
    PRIMITIVES,
    Definition,
    TypeSystem,
    array_item,
)

BUILTIN_FILES = Path(__file__).parent / "types"
_BUILTIN_GUIDS = uuid.UUID("6f0d1c8e-2d4e-5b8e-9a51-6c6f63616c00")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_ .]*\Z")  # Purview's classifications have dots
_RESERVED = frozenset({"description", "version", "options", "name", "servicetype"})
_CARDINALITIES = ("SINGLE", "LIST", "SET")


def builtin() -> List[Definition]:
    """The definitions that ship with the catalog, full form, with guids that never change."""
    found: List[Definition] = []
    for path in sorted(BUILTIN_FILES.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for definition in _all(document):
            definition["guid"] = str(uuid.uuid5(_BUILTIN_GUIDS, definition["name"]))
            found.append(definition)
    return found


def read(document: Any, profile: Profile, now: int, user: str) -> List[Definition]:
    """The definitions of an `AtlasTypesDef` request, normalised and checked one by one.

    Raises `CatalogError`: 400 for a malformed request, a bad name or a definition that contradicts itself.
    """
    if not isinstance(document, dict):
        raise CatalogError(INVALID_PARAMETERS, "the body must be an AtlasTypesDef object")
    definitions = _all(document)
    names = set()
    for definition in definitions:
        if definition["name"] in names:
            raise CatalogError("ATLAS-409-00-001", definition["name"])
        names.add(definition["name"])
        definition.update(createdBy=user, updatedBy=user, createTime=now, updateTime=now)
        _check(definition, profile)
    return definitions


def created(types: TypeSystem, definitions: Iterable[Definition]) -> TypeSystem:
    """Types with new definitions added; 409 -001 for a name that exists."""
    combined = dict(types.definitions)
    for definition in definitions:
        if definition["name"] in combined:
            raise CatalogError("ATLAS-409-00-001", definition["name"])
        definition["guid"] = str(uuid.uuid4())
        combined[definition["name"]] = definition
    return TypeSystem(combined.values())


def updated(types: TypeSystem, definitions: Iterable[Definition]) -> TypeSystem:
    """Types with existing definitions replaced, as far as Atlas allows it (atlas_purview.md 2.11)."""
    combined = dict(types.definitions)
    for definition in definitions:
        old = combined.get(definition["name"])
        if old is None or old["category"] != definition["category"]:
            raise CatalogError("ATLAS-400-00-029", definition["name"])
        _check_update(old, definition)
        definition.update(
            guid=old["guid"],
            createdBy=old["createdBy"],
            createTime=old["createTime"],
            version=old["version"] + 1,
            lastModifiedTS=str(int(old["lastModifiedTS"]) + 1),
        )
        combined[definition["name"]] = definition
    return TypeSystem(combined.values())


def deleted(types: TypeSystem, names: Iterable[str]) -> TypeSystem:
    """Types without `names`; 404 -001 for an unknown one, 409 while another type needs it."""
    gone = list(names)
    for name in gone:
        types.get(name)
    remaining = [definition for definition in types.definitions.values() if definition["name"] not in gone]
    for definition in remaining:
        used = _used_by(definition)
        for name in gone:
            if name in used:
                code = "ATLAS-409-00-005" if definition["category"] == "RELATIONSHIP" else "ATLAS-409-00-002"
                raise CatalogError(code, name, definition["name"])
    return TypeSystem(remaining)


def render(types: TypeSystem, definition: Definition) -> Definition:
    """A definition as the API answers it, with what the server computes."""
    if definition["category"] != "ENTITY":
        return definition
    entity_type = types.entity(definition["name"])
    direct = [name for name in types.subtypes(entity_type.name)
              if entity_type.name in types.entity(name).definition["superTypes"]]
    return {
        **definition,
        "subTypes": direct,
        "relationshipAttributeDefs": types.relationship_attribute_defs(entity_type),
        "businessAttributeDefs": {},
    }


def document(types: TypeSystem, definitions: Iterable[Definition]) -> Dict[str, List[Definition]]:
    """An `AtlasTypesDef` of some definitions: every key is there, used or not."""
    keys = {category: key for key, category in CATEGORIES.items()}
    answer: Dict[str, List[Definition]] = {key: [] for key in CATEGORIES}
    for definition in definitions:
        answer[keys[definition["category"]]].append(render(types, definition))
    return answer


# ---- reading


def _all(raw: Mapping[str, Any]) -> List[Definition]:
    found: List[Definition] = []
    for key, category in CATEGORIES.items():
        items = raw.get(key) or []
        if not isinstance(items, list):
            raise CatalogError(INVALID_PARAMETERS, f"{key} must be a list")
        found.extend(normalise(item, category) for item in items)
    return found


def normalise(raw: Any, category: str) -> Definition:
    """One definition in full form. What a request leaves out gets Atlas' default (an attribute is mandatory then)."""
    if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
        raise CatalogError(INVALID_PARAMETERS, f"a definition of category {category} needs a name")
    name = raw["name"]
    definition: Definition = {
        "category": category,
        "guid": None,
        "createdBy": "admin",
        "updatedBy": "admin",
        "createTime": 0,
        "updateTime": 0,
        "version": 1,
        "name": name,
        "description": raw.get("description") or name,
        "typeVersion": str(raw.get("typeVersion") or "1.0"),
        "lastModifiedTS": "1",
        "options": _options(raw, name),
    }
    if raw.get("serviceType"):
        definition["serviceType"] = str(raw["serviceType"])
    if category == "ENUM":
        definition["elementDefs"] = [_element(item, name) for item in _list(raw, "elementDefs", name)]
        if raw.get("defaultValue") is not None:
            definition["defaultValue"] = raw["defaultValue"]
        return definition
    definition["attributeDefs"] = [_attribute_def(item, name) for item in _list(raw, "attributeDefs", name)]
    if category in ("ENTITY", "CLASSIFICATION"):
        definition["superTypes"] = [str(item) for item in _list(raw, "superTypes", name)]
        definition["subTypes"] = []
    if category == "CLASSIFICATION":
        definition["entityTypes"] = [str(item) for item in _list(raw, "entityTypes", name)]
    if category == "RELATIONSHIP":
        for key in ("endDef1", "endDef2"):
            definition[key] = _end_def(raw.get(key), name)
        definition["relationshipCategory"] = raw.get("relationshipCategory") or "ASSOCIATION"
        definition["propagateTags"] = raw.get("propagateTags") or "NONE"
        if raw.get("relationshipLabel"):
            definition["relationshipLabel"] = raw["relationshipLabel"]
    return definition


def _list(raw: Mapping[str, Any], key: str, name: str) -> List[Any]:
    value = raw.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise CatalogError(INVALID_PARAMETERS, f"{name}.{key} must be a list")
    return value


def _options(raw: Mapping[str, Any], name: str) -> Dict[str, Any]:
    options = raw.get("options")
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise CatalogError(INVALID_PARAMETERS, f"{name}.options must be an object")
    return dict(options)


def _element(raw: Any, name: str) -> Definition:
    if not isinstance(raw, dict) or not isinstance(raw.get("value"), str):
        raise CatalogError(INVALID_PARAMETERS, f"an element of enum {name} needs a value")
    element: Definition = {"value": raw["value"], "ordinal": raw.get("ordinal")}
    if raw.get("description"):
        element["description"] = raw["description"]
    return element


def _attribute_def(raw: Any, name: str) -> Definition:
    if not (isinstance(raw, dict) and isinstance(raw.get("name"), str) and isinstance(raw.get("typeName"), str)):
        raise CatalogError(INVALID_PARAMETERS, f"an attribute of {name} needs a name and a typeName")
    optional = bool(raw.get("isOptional", False))
    cardinality = raw.get("cardinality") or "SINGLE"
    if cardinality not in _CARDINALITIES:
        raise CatalogError(INVALID_PARAMETERS, f"{name}.{raw['name']}: cardinality must be one of {_CARDINALITIES}")
    single = cardinality == "SINGLE"
    attribute: Definition = {
        "name": raw["name"],
        "typeName": raw["typeName"],
        "isOptional": optional,
        "cardinality": cardinality,
        "valuesMinCount": _count(raw, "valuesMinCount", 0 if optional else 1, name),
        "valuesMaxCount": _count(raw, "valuesMaxCount", 1 if single else 2147483647, name),
        "isUnique": bool(raw.get("isUnique", False)),
        "isIndexable": bool(raw.get("isIndexable", False)),
        "includeInNotification": bool(raw.get("includeInNotification", False)),
    }
    for key in ("description", "defaultValue", "displayName", "options", "constraints"):
        if raw.get(key) is not None:
            attribute[key] = raw[key]
    return attribute


def _count(raw: Mapping[str, Any], key: str, default: int, name: str) -> int:
    value = raw.get(key)
    if value is None or value == -1:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise CatalogError(INVALID_PARAMETERS, f"{name}.{raw['name']}: {key} must be a number")
    return value


def _end_def(raw: Any, name: str) -> Definition:
    if not (isinstance(raw, dict) and isinstance(raw.get("type"), str) and isinstance(raw.get("name"), str)):
        raise CatalogError("ATLAS-400-00-02C", name)
    return {
        "type": raw["type"],
        "name": raw["name"],
        "isContainer": bool(raw.get("isContainer", False)),
        "cardinality": raw.get("cardinality") or "SINGLE",
        "isLegacyAttribute": bool(raw.get("isLegacyAttribute", False)),
    }


# ---- checking


def _check(definition: Definition, profile: Profile) -> None:
    name = definition["name"]
    if not _NAME.match(name):
        raise CatalogError("ATLAS-400-00-019", name, definition["category"])
    if name.lower() in _RESERVED:
        raise CatalogError("ATLAS-400-00-102", name)
    for attribute in definition.get("attributeDefs", ()):
        if attribute["cardinality"] != "SINGLE" and array_item(attribute["typeName"]) is None:
            raise CatalogError("ATLAS-400-00-012", name, attribute["name"])
    if definition["category"] == "RELATIONSHIP":
        _check_relationship(definition)
    if profile.check_schema_attributes and "schemaAttributes" in definition["options"]:
        _check_schema_attributes(name, definition["options"]["schemaAttributes"])


def _check_schema_attributes(name: str, value: Any) -> None:
    """Purview's own rule: a JSON list of strings, in a string (atlas_purview.md 1.5, accelerator issue 239)."""
    try:
        decoded = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        decoded = None
    if not isinstance(decoded, list) or not all(isinstance(item, str) for item in decoded):
        raise CatalogError(
            INVALID_PARAMETERS,
            f"invalid payload, expect schemaAttributes in {name} should be list of string, but found: {value}",
        )


def _check_relationship(definition: Definition) -> None:
    name, category = definition["name"], definition["relationshipCategory"]
    ends = (definition["endDef1"], definition["endDef2"])
    containers = [end for end in ends if end["isContainer"]]
    if len(containers) == 2:
        raise CatalogError("ATLAS-400-00-02D", name)
    if category == "ASSOCIATION" and containers:
        raise CatalogError("ATLAS-400-00-030", name)
    if category == "COMPOSITION" and not containers:
        raise CatalogError("ATLAS-400-00-031", name)
    if category == "AGGREGATION" and not containers:
        raise CatalogError("ATLAS-400-00-032", name)
    if category not in ("ASSOCIATION", "COMPOSITION", "AGGREGATION"):
        raise CatalogError(INVALID_PARAMETERS, f"{name}: relationshipCategory {category} does not exist")
    for end in ends:
        if end["cardinality"] not in ("SINGLE", "SET"):
            raise CatalogError("ATLAS-400-00-034", name)
        if category == "COMPOSITION" and not end["isContainer"] and end["cardinality"] != "SINGLE":
            raise CatalogError("ATLAS-400-00-033", name)
    for attribute in definition["attributeDefs"]:
        if attribute["typeName"] not in PRIMITIVES:
            raise CatalogError("ATLAS-400-00-02F", name, attribute["name"], attribute["typeName"])


def _check_update(old: Definition, new: Definition) -> None:
    name = new["name"]
    before, after = _attributes_by_name(old), _attributes_by_name(new)
    for attribute_name, attribute in after.items():
        known = before.get(attribute_name)
        if known is None and not attribute["isOptional"]:
            raise CatalogError("ATLAS-400-00-00C", name, attribute_name)
        if known is not None and known["typeName"] != attribute["typeName"]:
            raise CatalogError("ATLAS-400-00-029", f"{name}.{attribute_name}: {attribute['typeName']}")
    for attribute_name in before:
        if attribute_name not in after:
            raise CatalogError("ATLAS-400-00-00D", name, attribute_name)
    lost = [parent for parent in old.get("superTypes", ()) if parent not in new["superTypes"]]
    if lost:
        raise CatalogError("ATLAS-400-00-00E", name, lost)
    if new["category"] == "RELATIONSHIP":
        if old["relationshipCategory"] != new["relationshipCategory"]:
            raise CatalogError("ATLAS-400-00-038", name, old["relationshipCategory"], new["relationshipCategory"])
        if (old["endDef1"], old["endDef2"]) != (new["endDef1"], new["endDef2"]):
            raise CatalogError("ATLAS-400-00-037", name)


def _attributes_by_name(definition: Definition) -> Dict[str, Definition]:
    return {attribute["name"]: attribute for attribute in definition.get("attributeDefs", ())}


def _used_by(definition: Definition) -> Tuple[str, ...]:
    """The names of the types that a definition cannot do without."""
    if definition["category"] == "RELATIONSHIP":
        return (definition["endDef1"]["type"], definition["endDef2"]["type"])
    used: List[str] = list(definition.get("superTypes", ()))
    for attribute in definition.get("attributeDefs", ()):
        used.extend(re.findall(r"[^<>,]+", attribute["typeName"]))
    return tuple(used)
