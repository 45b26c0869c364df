"""Entities on their way out: their references, their order, their hash, and calls of the right size."""
from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.purview.client import encode
from adb_lineage.purview.marks import mark

Entity = Dict[str, Any]
FIELDS = ("attributes", "relationshipAttributes")
GROW_AFTER = 5
_CHANGEABLE = ("attributes", "customAttributes")


@dataclass
class Item:
    """An entity to be written. `kind` is that of `state.Written`."""

    name: AssetName
    entity: Entity
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    content: str = ""
    volatile: str = ""
    size: int = 0
    refers: Tuple[AssetName, ...] = ()
    """What the entity refers to."""


def item(
    entity: Mapping[str, Any], kind: str, facts: Mapping[str, Any], volatile: Collection[str], last_run: str
) -> Item:
    """Prepare an entity: our mark, hashes and size. The entity given is not changed.

    `last_run` is the day that the mark tells; empty for none.

    Raises `ValueError` or `TypeError` when it has no type or name, or can't be written as JSON.
    """
    name = name_of(entity)
    if not name.type_name or not name.qualified_name:
        raise ValueError("an entity needs typeName and attributes.qualifiedName")
    copy: Entity = {key: dict(value) if key in FIELDS else value for key, value in entity.items() if key != "guid"}
    steady, changing = _split(copy, volatile)
    last_run = last_run if kind in ("entity", "process") else ""
    mark(copy, last_run)
    changing["last run"] = last_run
    return Item(
        name, copy, kind, facts, _hash(steady), _hash(changing), len(encode(copy)), tuple(references(copy))
    )


def column(entity: Entity, table: AssetName) -> Item:
    """A column, or the schema above it, as `placeholders.make` gives it: plain, and there may be thousands.

    Raises `ValueError` when it can't be written as JSON.
    """
    written = encode(entity)
    refers = tuple(references(entity))
    return Item(name_of(entity), entity, "column", {"table": list(table)}, digest(written), "", len(written), refers)


def name_of(entity: Mapping[str, Any]) -> AssetName:
    """The identity of an entity."""
    attributes = entity.get("attributes") or {}
    return AssetName(str(entity.get("typeName") or ""), str(attributes.get("qualifiedName") or ""))


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Entity:
    """Two states of one entity: what the newer one says counts, as if they had been sent one after the other."""
    result = {**old, **new}
    for key in FIELDS:
        if key in old or key in new:
            result[key] = {**(old.get(key) or {}), **(new.get(key) or {})}
    return result


def references(entity: Mapping[str, Any]) -> Iterator[AssetName]:
    """What an entity refers to by type and qualified name."""
    for key in FIELDS:
        for value in (entity.get(key) or {}).values():
            yield from targets(value)


def targets(value: Any) -> Iterator[AssetName]:
    """What the value of an attribute, a reference or a list of them, refers to."""
    for one in value if isinstance(value, list) else [value]:
        name = _target(one)
        if name is not None:
            yield name


def replaced(entity: Mapping[str, Any], replace: Callable[[AssetName, Any], Optional[Any]]) -> Entity:
    """The entity with every reference put through `replace(name, reference)`; None drops the reference.

    A single reference that is dropped goes with its attribute; a list is kept, without duplicates.
    """
    result = dict(entity)
    for key in FIELDS:
        if key not in entity:
            continue
        values: Dict[str, Any] = {}
        for attribute, value in (entity[key] or {}).items():
            if isinstance(value, list):
                kept: List[Any] = []
                for one in value:
                    name = _target(one)
                    new = one if name is None else replace(name, one)
                    if new is not None and (name is None or new not in kept):
                        kept.append(new)
                values[attribute] = kept
            else:
                name = _target(value)
                new = value if name is None else replace(name, value)
                if name is None or new is not None:
                    values[attribute] = new
        result[key] = values
    return result


def _target(value: Any) -> Optional[AssetName]:
    if not isinstance(value, dict):
        return None
    unique = value.get("uniqueAttributes")
    if not isinstance(unique, dict) or not unique.get("qualifiedName") or not value.get("typeName"):
        return None
    return AssetName(str(value["typeName"]), str(unique["qualifiedName"]))


def ordered(items: Sequence[Item]) -> List[Item]:
    """What is referred to first, otherwise as given; members of a circle keep the order they came in."""
    by_name = {one.name: one for one in items}
    state: Dict[AssetName, bool] = {}  # False: on the way, True: placed
    result: List[Item] = []
    for start in items:
        stack: List[Tuple[Item, Iterator[AssetName]]] = []
        if start.name not in state:
            state[start.name] = False
            stack.append((start, iter(start.refers)))
        while stack:
            current, rest = stack[-1]
            target = next((n for n in rest if n in by_name and n not in state), None)
            if target is None:
                state[current.name] = True
                result.append(current)
                stack.pop()
            else:
                state[target] = False
                stack.append((by_name[target], iter(by_name[target].refers)))
    return result


def call(items: Sequence[Item], dropped: Collection[AssetName]) -> Tuple[List[Entity], Dict[str, AssetName]]:
    """The entities of one call, and whom each placeholder guid in it stands for.

    References within the call are by placeholder guid, all others by unique attribute; those in `dropped` go.
    """
    guids = {one.name: f"-{number}" for number, one in enumerate(items, 1)}

    def replace(name: AssetName, reference: Any) -> Optional[Any]:
        if name in guids:
            return {"typeName": name.type_name, "guid": guids[name]}
        return None if name in dropped else reference

    entities = [{**replaced(one.entity, replace), "guid": guids[one.name]} for one in items]
    return entities, {guid: name for name, guid in guids.items()}


class CallSize:
    """How many entities go into a call: fewer when the catalog has trouble, slowly more when it has none."""

    def __init__(self, start: int, cap: int, max_bytes: int) -> None:
        self._cap = max(cap, 1)
        self.entities = min(max(start, 1), self._cap)
        self._bytes = max_bytes
        self._good = 0

    def accepted(self) -> None:
        """A call went through."""
        self._good += 1
        if self._good >= GROW_AFTER:
            self._good = 0
            self.entities = min(self.entities + max(self.entities // 10, 1), self._cap)

    def refused(self) -> None:
        """A call was too much."""
        self._good = 0
        self.entities = max(self.entities // 2, 1)

    def first(self, items: Sequence[Item]) -> int:
        """How many of the items go into the next call: at least one."""
        count = size = 0
        for one in items[: self.entities]:
            size += one.size + 1
            if count and size > self._bytes:
                break
            count += 1
        return count


def _split(entity: Mapping[str, Any], volatile: Collection[str]) -> Tuple[Entity, Entity]:
    """What counts as content, and what changes with every run."""
    steady: Entity = {key: value for key, value in entity.items() if key not in _CHANGEABLE}
    changing: Entity = {}
    for key in _CHANGEABLE:
        values = entity.get(key) or {}
        steady[key] = {k: v for k, v in values.items() if k not in volatile}
        changing[key] = {k: v for k, v in values.items() if k in volatile}
    return steady, changing


def _hash(value: Entity) -> str:
    settled = {
        key: {name: _settled(one) for name, one in part.items()} if isinstance(part, dict) else part
        for key, part in value.items()
    }
    return digest(json.dumps(settled, sort_keys=True, allow_nan=False).encode("ascii"))


def digest(content: bytes) -> str:
    """A short hash, for telling whether something changed."""
    return hashlib.sha256(content).hexdigest()[:32]


def _settled(value: Any) -> Any:
    """References in a fixed order: a list of them is a set for the catalog."""
    if isinstance(value, list) and len(value) > 1:
        names = [_target(one) for one in value]
        if None not in names:
            return sorted(names, key=str)
    return value


def needed_by(items: Iterable[Item], start: Iterable[AssetName]) -> List[AssetName]:
    """`start` and everything among the items that it leads to, and the columns that point to any of it."""
    by_name = {one.name: one for one in items}
    reached: Dict[AssetName, None] = {}
    waiting = [name for name in start if name in by_name]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = None
            waiting.extend(target for target in by_name[name].refers if target in by_name)
    for one in by_name.values():
        if one.kind == "column" and any(target in reached for target in one.refers):
            reached.setdefault(one.name)
    return list(reached)
