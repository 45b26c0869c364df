"""What a write would do: each entity compared with what the catalog has now. Only reads."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.purview import payload
from adb_lineage.purview.client import PooledAtlasClient
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.payload import Item
from adb_lineage.purview.report import WriteReport
from adb_lineage.purview.resolver import Resolver
from adb_lineage.purview.types import TypeBook

_EMPTY: Tuple[Any, ...] = (None, "", [], {})


class Difference(NamedTuple):
    """An attribute that would change. For references: the qualified names that would go, and that would come."""

    attribute: str
    before: Any
    after: Any


class PlannedEntity(NamedTuple):
    """An entity of a plan: `outcome` is "new", "changed" or "unchanged", `kind` is "entity", "process", "placeholder"
    or "column". An unchanged one may have differences in attributes that are no reason to write."""

    name: AssetName
    outcome: str
    kind: str
    differences: Tuple[Difference, ...]


@dataclass(frozen=True)
class WritePlan:
    """What `write` would do with the same arguments."""

    entities: List[PlannedEntity]
    placeholders: Mapping[AssetName, AssetName] = field(default_factory=dict)
    """For each missing asset the stand-in that its edges would go to."""
    left_out: Mapping[AssetName, str] = field(default_factory=dict)
    """Datasets that would get no entity, and why."""
    types: Tuple[str, ...] = ()
    """Type definitions that would be installed first."""

    @property
    def outcomes(self) -> Dict[AssetName, str]:
        """The outcome of each entity."""
        return {one.name: one.outcome for one in self.entities}


def compare(
    items: Sequence[Item],
    report: WriteReport,
    types: Tuple[str, ...],
    client: PooledAtlasClient,
    resolver: Resolver,
    options: PurviewOptions,
    book: TypeBook,
) -> WritePlan:
    """The plan for prepared items. Raises `RetryLater`, `FixNeeded`."""
    known = [one.name for one in items if one.name.type_name not in types]
    there = {payload.name_of(entity): entity for entity in _read(known, client, resolver, book)}
    referred = {name for one in items if one.name in there for name in payload.references(one.entity)}
    guids = {
        found.guid: name.qualified_name
        for name, found in resolver.lookup(sorted(referred - set(there)), book, fresh=True).items() if found
    }
    guids.update((str(entity.get("guid")), name.qualified_name) for name, entity in there.items())
    planned = []
    for one in items:
        current = there.get(one.name)
        if current is None:
            planned.append(PlannedEntity(one.name, "new", one.kind, ()))
            continue
        differences = tuple(_differences(one.entity, current, guids))
        matters = any(d.attribute not in options.volatile or options.volatile_seconds == 0 for d in differences)
        planned.append(PlannedEntity(one.name, "changed" if matters else "unchanged", one.kind, differences))
    return WritePlan(planned, dict(report.placeholders), dict(report.left_out), types)


def _read(
    names: Sequence[AssetName], client: PooledAtlasClient, resolver: Resolver, book: TypeBook
) -> Iterator[Mapping[str, Any]]:
    """The entities of these names, with their relationships."""
    found = [entity for entity in resolver.lookup(names, book, fresh=True).values() if entity is not None]
    yield from client.by_guid(entity.guid for entity in found)


def _differences(wanted: Mapping[str, Any], there: Mapping[str, Any], guids: Mapping[str, str]) -> Iterator[Difference]:
    relations = there.get("relationshipAttributes") or {}
    current = there.get("attributes") or {}
    for key in payload.FIELDS:
        for attribute, after in (wanted.get(key) or {}).items():
            names = {name.qualified_name for name in payload.targets(after)}
            before = relations.get(attribute, current.get(attribute)) if names or key != "attributes" else None
            if names or _is_reference(before):
                had = _names(before, guids)
                # Setting the single end from one side leaves the others of a list alone.
                gone = had - names if isinstance(after, list) or not isinstance(before, list) else set()
                if gone or names - had:
                    yield Difference(attribute, sorted(gone), sorted(names - had))
                continue
            before = current.get(attribute)
            if before != after and not (before in _EMPTY and after in _EMPTY):
                yield Difference(attribute, before, after)


def _is_reference(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and "guid" in first


def _names(value: Any, guids: Mapping[str, str]) -> Set[str]:
    """Qualified names of what an attribute refers to; a guid where the catalog tells no name."""
    names = set()
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict) or "DELETED" in (one.get("entityStatus"), one.get("relationshipStatus")):
            continue
        unique = one.get("uniqueAttributes") or {}
        guid = str(one.get("guid"))
        names.add(str(unique.get("qualifiedName") or guids.get(guid) or one.get("qualifiedName") or guid))
    return names
