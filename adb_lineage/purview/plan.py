"""What a write would do, without doing it: for `adb-lineage plan` and preview."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.purview import payload
from adb_lineage.purview.inventory import ends
from adb_lineage.purview.payload import Item
from adb_lineage.purview.resolver import Resolver
from adb_lineage.purview.types import TypeBook

SHOWN = 200
"""Characters of a value in a line of the plan."""


class Change(NamedTuple):
    """An attribute of an entity that a write would change."""

    attribute: str
    before: Any
    after: Any


@dataclass
class WritePlan:
    """What would become of every entity of a write."""

    new: List[AssetName] = field(default_factory=list)
    placeholders: List[AssetName] = field(default_factory=list)
    """Stand-ins that would be created; `new` does not repeat them."""
    changed: Dict[AssetName, List[Change]] = field(default_factory=dict)
    unchanged: List[AssetName] = field(default_factory=list)
    links: List[Tuple[AssetName, AssetName]] = field(default_factory=list)
    """Locations that would be linked to the tables on them."""
    left_out: Dict[AssetName, str] = field(default_factory=dict)
    invalid: Dict[AssetName, str] = field(default_factory=dict)
    """Entities that can't be sent at all, and why."""

    def lines(self) -> List[str]:
        """The plan in words, a line for each entity and each change; unchanged ones are only counted."""
        lines = [f"new         {_show(name)}" for name in self.new]
        lines += [f"placeholder {_show(name)}" for name in self.placeholders]
        for name, changes in self.changed.items():
            lines.append(f"change      {_show(name)}")
            lines += [f"              {c.attribute}: {_cut(c.before)} -> {_cut(c.after)}" for c in changes]
        lines += [f"link        {_show(location)} -> {_show(table)}" for location, table in self.links]
        lines += [f"leave out   {_show(name)}: {why}" for name, why in self.left_out.items()]
        lines += [f"invalid     {_show(name)}: {why}" for name, why in self.invalid.items()]
        return [*lines, f"unchanged   {len(self.unchanged)}"]


def make(
    items: Sequence[Item], left_out: Mapping[AssetName, str], invalid: Mapping[AssetName, str],
    resolver: Resolver, book: TypeBook,
) -> WritePlan:
    """Compare items with what the catalog has. Raises `RetryLater`, `FixNeeded`."""
    plan = WritePlan(left_out=dict(left_out), invalid=dict(invalid))
    there = resolver.entities([one.name for one in items], book)
    known = {name: str(entity.get("guid")) for name, entity in there.items()}
    targets = {name for one in items for name in one.refers if name not in known}
    known.update((name, found.guid) for name, found in resolver.lookup(targets, book).items() if found)
    for one in items:
        entity = there.get(one.name)
        if entity is None:
            (plan.placeholders if one.kind == "placeholder" else plan.new).append(one.name)
            continue
        changes = list(_changes(one, entity, known, book))
        if changes:
            plan.changed[one.name] = changes
        else:
            plan.unchanged.append(one.name)
    return plan


def _changes(
    one: Item, entity: Mapping[str, Any], guids: Mapping[AssetName, str], book: TypeBook
) -> Iterable[Change]:
    attributes, relations = entity.get("attributes") or {}, entity.get("relationshipAttributes") or {}
    has = book.attributes(one.name.type_name)
    for key in payload.FIELDS:
        for name, value in (one.entity.get(key) or {}).items():
            wanted = list(payload.targets(value))
            if wanted or name in relations:
                before = {guid for guid, _ in ends(entity, name)}
                after: Set[Optional[str]] = {guids.get(target) for target in wanted}
                if before != after:
                    yield Change(name, f"{len(before)} edges", _names(wanted))
            elif name in has and name != "description" and attributes.get(name) != value:
                yield Change(name, attributes.get(name), value)


def _names(targets: Sequence[AssetName]) -> Tuple[str, ...]:
    return tuple(target.qualified_name for target in targets)


def _show(name: AssetName) -> str:
    return f"{name.type_name} {name.qualified_name}"


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
