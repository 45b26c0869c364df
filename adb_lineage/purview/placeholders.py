"""Stand-ins for datasets that the catalog lacks, with their columns.

`typed`: an entity of the asset's real type and name, so that a later scan fills it instead of adding another; only
where the account knows the type, it is a dataset, and everything mandatory is at hand. `generic`: the custom type of
Microsoft's accelerator with the same qualified name; `heal` moves its edges once a scan has brought the asset.
"""
from __future__ import annotations

import json
import pkgutil
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from adb_lineage.assets import Asset, AssetName
from adb_lineage.purview.payload import digest
from adb_lineage.purview.resolver import candidates
from adb_lineage.purview.state import Found
from adb_lineage.purview.types import PLACEHOLDER, TypeBook

Entity = Dict[str, Any]
UNKNOWN = "unknown"


class ColumnRule(NamedTuple):
    """How the columns of a type are named in the catalog; a row of `columns.json`."""

    type_name: str
    """Of the column."""
    qualified_name: str
    """Template with `{qn}` (the table's qualified name) and `{column}`."""
    data_type: str
    """Attribute that holds the column's data type."""
    parent: str
    """Relationship attribute of the column that leads to its table, or to the schema in between."""
    schema: str = ""
    """Type of the entity between table and columns, empty when there is none."""
    schema_name: str = ""
    """Template of its qualified name."""
    link: str = ""
    """Relationship attribute of the table that leads to it."""


def _column_rules() -> Dict[str, ColumnRule]:
    data = pkgutil.get_data(f"{__package__}.typedefs", "columns.json")
    rows: List[Dict[str, Any]] = json.loads((data or b"[]").decode("utf-8"))
    return {name: ColumnRule(**{k: v for k, v in row.items() if k != "types"}) for row in rows for name in row["types"]}


COLUMN_RULES = _column_rules()


class Placeholder(NamedTuple):
    """The entities that stand in for one asset."""

    asset: Asset
    name: AssetName
    dataset: Entity
    parts: List[Entity]
    """The schema, where the type has one, and the columns."""

    def facts(self) -> Dict[str, Any]:
        """What our bookkeeping keeps of a stand-in, for healing."""
        return {
            "asset": list(self.asset.name),
            "candidates": [list(name) for name in candidates(self.asset)],
            "attributes": sorted(self.dataset["attributes"]),
        }


def name_of(asset: Asset, typed: bool) -> AssetName:
    """Identity of the stand-in."""
    return asset.name if typed else AssetName(PLACEHOLDER, asset.name.qualified_name)


def typed_lacks(asset: Asset, book: TypeBook) -> str:
    """Why the asset can't be created as what it is; empty when it can."""
    type_name = asset.name.type_name
    if asset.placeholder or type_name == PLACEHOLDER:
        return "no rule knew the source"
    if type_name not in book:
        return f"the account has no type {type_name}"
    if not book.is_a(type_name, "DataSet"):
        return f"{type_name} is not a DataSet"
    lacking = sorted(book.mandatory(type_name) - {"qualifiedName", "name", *asset.attributes})
    return f"{type_name} needs {', '.join(lacking)}" if lacking else ""


def make(
    asset: Asset, typed: bool, book: TypeBook, parents: Mapping[AssetName, Optional[Found]], limit: int
) -> Placeholder:
    """The stand-in for an asset. `parents` are the containers above it that exist; `limit` bounds the columns."""
    name = name_of(asset, typed)
    shown = asset.display_name or name.qualified_name
    attributes: Dict[str, Any] = {"qualifiedName": name.qualified_name, "name": shown}
    relations: Dict[str, Any] = {}
    dropped = max(len(asset.columns) - limit, 0)
    if typed:
        known = book.attributes(name.type_name)
        attributes.update((key, value) for key, value in asset.attributes.items() if key in known)
        relations = _parent(asset, book, parents)
        text = "Seen in a Spark run; a scan will complete it."
    else:
        attributes["purview_qualifiedName"] = asset.name.qualified_name
        attributes["original_source"] = asset.name.type_name
        text = "Placeholder for a dataset that no scan has brought."
    if dropped:
        text += f" {dropped} of {len(asset.columns)} columns are left out."
    attributes.setdefault("description", text)
    dataset: Entity = {"typeName": name.type_name, "attributes": attributes}
    if relations:
        dataset["relationshipAttributes"] = relations
    return Placeholder(asset, name, dataset, _columns(asset, dataset, book, limit))


def _parent(asset: Asset, book: TypeBook, parents: Mapping[AssetName, Optional[Found]]) -> Dict[str, Any]:
    """A link to the innermost container that exists, if the type has a single-ended relationship to it."""
    for parent in reversed(asset.parents):
        found = parents.get(parent)
        if found is None:
            continue
        for attribute in sorted(book.mandatory_relationships(asset.name.type_name)):
            end = book.end(asset.name.type_name, attribute)
            if end and book.is_a(found.name.type_name, end.type_name):
                return {attribute: reference(found.name)}
    return {}


def _columns(asset: Asset, dataset: Entity, book: TypeBook, limit: int) -> List[Entity]:
    """The columns (and the schema between) of a stand-in; links the stand-in to the schema."""
    table = AssetName(dataset["typeName"], dataset["attributes"]["qualifiedName"])
    rule = COLUMN_RULES.get(table.type_name)
    if rule is None or not asset.columns or not limit or rule.type_name not in book:
        return []
    if book.end(rule.type_name, rule.parent) is None or (rule.schema and book.end(table.type_name, rule.link) is None):
        return []  # the account has no way from a table to its columns
    if book.mandatory(rule.type_name) - {"qualifiedName", "name", rule.data_type}:
        return []
    owner, entities = table, []
    if rule.schema:
        owner = AssetName(rule.schema, rule.schema_name.replace("{qn}", table.qualified_name))
        entities.append(
            {"typeName": owner.type_name, "attributes": {"qualifiedName": owner.qualified_name, "name": "schema"}}
        )
        dataset.setdefault("relationshipAttributes", {})[rule.link] = reference(owner)
    head, tail = (part.replace("{qn}", table.qualified_name) for part in rule.qualified_name.split("{column}"))
    for column in asset.columns[:limit]:
        qualified_name = head + column.name + tail
        attributes = {"qualifiedName": qualified_name, "name": column.name, rule.data_type: column.type or UNKNOWN}
        if column.description:
            attributes["description"] = column.description
        entities.append(
            {
                "typeName": rule.type_name,
                "attributes": attributes,
                "relationshipAttributes": {rule.parent: reference(owner)},
            }
        )
    return entities


def fingerprint(asset: Asset, typed: bool, limit: int) -> str:
    """Changes when anything changes that a stand-in is made of."""
    made_of = (asset.name, asset.display_name, dict(asset.attributes), asset.columns, typed, limit)
    return digest(repr(made_of).encode("utf-8", "surrogatepass"))


def reference(name: AssetName) -> Dict[str, Any]:
    """A reference by type and unique attribute, which costs nothing and changes nothing."""
    return {"typeName": name.type_name, "uniqueAttributes": {"qualifiedName": name.qualified_name}}
