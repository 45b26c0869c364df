"""Healing: a scan has brought the real asset, so the edges of our stand-in move to it, and the stand-in goes.

It happens by itself when a delivery touches the asset, and for all stand-ins with `adb-lineage heal`. Only processes
that we wrote are changed, and only stand-ins that we wrote and nobody has completed are deleted, after a time of grace:
another driver may be about to link to one that has no edges yet.
"""
from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.purview.answers import Refused, TooMuch
from adb_lineage.purview.client import PooledAtlasClient, encode
from adb_lineage.purview.clock import Clock
from adb_lineage.purview.inventory import DATASETS, USERS, Inventory, Owned, ends
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.payload import CallSize, Item
from adb_lineage.purview.progress import Progress, no_progress
from adb_lineage.purview.resolver import Resolver
from adb_lineage.purview.state import Found, State, Written
from adb_lineage.purview.types import PLACEHOLDER, TypeBook

log = logging.getLogger("adb_lineage.purview")


KinOf = Callable[[AssetName], Sequence[AssetName]]
"""From the name that the naming rules gave an asset to all under which a scan may hold it, best first."""


class Move(NamedTuple):
    """Edges that go from a stand-in to the real asset."""

    stand_in: Owned
    real: Found
    processes: Tuple[Owned, ...]


@dataclass
class HealPlan:
    """What healing would do, or did."""

    moves: List[Move] = field(default_factory=list)
    removals: List[Owned] = field(default_factory=list)
    kept: List[Tuple[Owned, str]] = field(default_factory=list)
    """Stand-ins that stay, and why."""
    problems: List[str] = field(default_factory=list)

    def lines(self) -> List[str]:
        """The plan in words, a line for each step."""
        lines = []
        for move in self.moves:
            lines.append(f"move   {_show(move.stand_in.name)} -> {_show(move.real.name)}")
            lines += [f"         edge of {_show(process.name)}" for process in move.processes]
        lines += [f"remove {_show(one.name)}" for one in self.removals]
        lines += [f"keep   {_show(one.name)}: {why}" for one, why in self.kept]
        return lines + [f"note   {problem}" for problem in self.problems]


def _show(name: AssetName) -> str:
    return f"{name.type_name} {name.qualified_name}"


class Healer:
    """Heals one catalog."""

    def __init__(
        self,
        client: PooledAtlasClient,
        resolver: Resolver,
        options: PurviewOptions,
        state: State,
        clock: Clock,
        kin_of: KinOf,
    ) -> None:
        self._client = client
        self._resolver = resolver
        self._options = options
        self._state = state
        self._clock = clock
        self._kin_of = kin_of

    def plan_all(self, book: TypeBook) -> HealPlan:
        """Look at every stand-in of ours."""
        inventory = Inventory(self._client, self._options, self._state, book)
        stand_ins = inventory.placeholders()
        wanted = {one.guid: self._real_names(one) for one in stand_ins}
        found = self._resolver.lookup([name for names in wanted.values() for name in names], book, fresh=True)
        pairs: List[Tuple[Owned, Optional[Found]]] = []
        for one in stand_ins:
            there = [found.get(name) for name in wanted[one.guid]]
            real = next((real for real in there if real and not real.ours and real.guid != one.guid), None)
            pairs.append((one, real))
        plan = self._plan(pairs, inventory)
        plan.problems += inventory.problems
        return plan

    def plan_for(self, found: Mapping[AssetName, Found], book: TypeBook) -> HealPlan:
        """Look at the stand-ins with these names; `found` gives the real asset of each."""
        inventory = Inventory(self._client, self._options, self._state, book)
        rows = self._resolver.lookup(found, book)
        guids = {entity.guid: found[name] for name, entity in rows.items() if entity is not None}
        pairs: List[Tuple[Owned, Optional[Found]]] = [
            (one, guids[one.guid]) for one in inventory.read(guids) if one.guid in guids and one.written
        ]
        return self._plan(pairs, inventory)

    def _real_names(self, one: Owned) -> List[AssetName]:
        """Names under which the asset of a stand-in may have come meanwhile, best first.

        Our bookkeeping knows them; for what another machine wrote, the naming rules are asked.
        """
        book = self._state.written([one.name]).get(one.name)
        names = [AssetName(*name) for name in (book.facts.get("candidates") or [])] if book else []
        own = one.name
        if own.type_name == PLACEHOLDER:
            attributes = one.entity["attributes"]
            kind, name = attributes.get("original_source"), attributes.get("purview_qualifiedName")
            if not kind or not name or kind == PLACEHOLDER:
                return names
            own = AssetName(str(kind), str(name))
        names += [] if names else self._kin_of(own)
        names.append(own)
        return [name for name in dict.fromkeys(names) if name != one.name]

    def _plan(self, pairs: Iterable[Tuple[Owned, Optional[Found]]], inventory: Inventory) -> HealPlan:
        plan = HealPlan()
        pairs = list(pairs)
        users = {guid for one, real in pairs if real for guid in one.ends(*USERS)}
        processes = {process.guid: process for process in inventory.read(users, heavy=("sparkPlan",))}
        for one, real in pairs:
            using = [processes[guid] for guid in one.ends(*USERS) if guid in processes]
            strangers = [process for process in using if not (process.is_process and process.written)]
            ours = tuple(process for process in using if process.is_process and process.written)
            if real and ours:
                plan.moves.append(Move(one, real, ours))
            if real and strangers:
                plan.kept.append((one, f"{_show(strangers[0].name)}, which we did not write, uses it"))
            elif real is None and one.ends(*USERS):
                plan.kept.append((one, "no scan has brought its asset"))
            elif not one.untouched and one.name.type_name != PLACEHOLDER:
                plan.kept.append((one, "somebody has completed it since"))
            elif self._clock.time() - one.created_at < self._options.grace_seconds:
                plan.kept.append((one, "it is younger than the time of grace"))
            else:
                plan.removals.append(one)
        return plan

    def apply(self, plan: HealPlan, book: TypeBook, progress: Progress = no_progress) -> None:
        """Do what the plan says. It can be repeated: what is done already is left out by the next plan.

        A process that the catalog refuses in its new form is added to `problems`. Raises `RetryLater`, `FixNeeded`.
        """
        total, done = len(plan.moves) + len(plan.removals), 0
        progress(done, total)
        size = CallSize(self._options.bulk_entities, self._options.bulk_entities_cap, self._options.bulk_bytes)
        waiting = self._changes(plan, book)
        while waiting:
            count = size.first(waiting)
            now, waiting = waiting[:count], waiting[count:]
            self._send(now, plan)
        done = len(plan.moves)
        progress(done, total)
        self._keep_in_mind([one for one, _ in plan.kept])
        inventory = Inventory(self._client, self._options, self._state, book)
        for one in plan.removals:
            # Look again: somebody may have linked to it since the plan was made.
            current = next(iter(inventory.read([one.guid])), None)
            if current is not None and not current.ends(*USERS):
                self._client.delete_guids([*inventory.parts(current), current.guid])
                log.info("removed the stand-in %s", one.name.qualified_name)
            if current is None or not current.ends(*USERS):
                self._forget(one)
            done += 1
            progress(done, total)

    def _send(self, items: Sequence[Item], plan: HealPlan) -> None:
        try:
            self._client.upsert([one.entity for one in items])
        except (Refused, TooMuch) as failure:
            if len(items) > 1:
                half = len(items) // 2
                self._send(items[:half], plan)
                self._send(items[half:], plan)
                return
            if isinstance(failure, TooMuch):
                raise
            plan.problems.append(f"{_show(items[0].name)} can't be changed: {failure.answer}")
            return
        # The next run of a process sends it again: what we remember of it is no longer what the catalog has.
        self._state.resend([one.name for one in items])

    def _keep_in_mind(self, stand_ins: Sequence[Owned]) -> None:
        """What stays for now may have lost its last edge, by which alone another machine's stand-ins are found."""
        known, now = self._state.written(one.name for one in stand_ins), self._clock.time()
        self._state.record(
            Written(one.name, one.guid, "placeholder", "", "", True, now, now, one.seen_at or now, {})
            for one in stand_ins
            if one.name not in known
        )

    def _forget(self, one: Owned) -> None:
        columns = [row.name for row in self._state.all_written("column") if row.facts.get("table") == list(one.name)]
        self._state.unrecord([one.name, *columns])
        self._state.remember({one.name: None}, self._clock.time())

    def _changes(self, plan: HealPlan, book: TypeBook) -> List[Item]:
        """The processes of a plan with all their edges moved."""
        guids = {move.stand_in.guid: move.real.guid for move in plan.moves}
        names = {move.stand_in.name.qualified_name: move.real.name.qualified_name for move in plan.moves}
        processes = {process.guid: process for move in plan.moves for process in move.processes}
        items = []
        for process in processes.values():
            entity = moved(process.entity, guids, names, book)
            items.append(Item(process.name, entity, "process", size=len(encode(entity))))
        return items


def moved(
    entity: Mapping[str, Any], guids: Mapping[str, str], names: Mapping[str, str], book: TypeBook
) -> Dict[str, Any]:
    """The upsert that moves edges of a process as read: what is mandatory, and what changes."""
    type_name, attributes = str(entity["typeName"]), entity["attributes"]
    kept = {name: attributes[name] for name in book.mandatory(type_name) if attributes.get(name) is not None}
    for side in DATASETS:
        targets = dict.fromkeys(guids.get(guid, guid) for guid, _ in ends(entity, side))
        kept[side] = [{"guid": guid} for guid in targets]
    mapping = attributes.get("columnMapping")
    if mapping:
        kept["columnMapping"] = renamed_mapping(str(mapping), names)
    result: Dict[str, Any] = {"typeName": type_name, "guid": entity["guid"], "attributes": kept}
    task = ends(entity, "task")
    if task:  # a plain Atlas takes no update of a child without its parent
        result["relationshipAttributes"] = {"task": {"guid": task[0][0], "typeName": task[0][1]}}
    return result


def renamed_mapping(mapping: str, names: Mapping[str, str]) -> str:
    """`columnMapping` with its datasets renamed; pairs of datasets that become one are joined.

    A pair of columns stands once then; one with a `Type`, which is indirect, gives way to a direct one.
    """
    joined: Dict[Tuple[str, str], Tuple[Dict[str, Any], Dict[Tuple[str, str], Any]]] = {}
    try:
        for group in json.loads(mapping):
            pair = group["DatasetMapping"]
            source, sink = names.get(pair["Source"], pair["Source"]), names.get(pair["Sink"], pair["Sink"])
            _, rows = joined.setdefault((source, sink), ({**pair, "Source": source, "Sink": sink}, {}))
            for row in group["ColumnMapping"]:
                known = rows.setdefault((row["Source"], row["Sink"]), row)
                if "Type" in known and "Type" not in row:
                    rows[row["Source"], row["Sink"]] = row
    except (ValueError, KeyError, TypeError):
        return mapping  # not in the form that we write: leave it alone
    groups = [{"DatasetMapping": pair, "ColumnMapping": list(rows.values())} for pair, rows in joined.values()]
    return json.dumps(groups, ensure_ascii=False, separators=(",", ":"))
