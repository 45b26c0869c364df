"""Taking away what we wrote: edges that no longer run (`retire`), or everything (`purge`).

Nothing goes that somebody else made, completed, or still uses: it stays in the plan as kept, with the reason.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Callable, List, Mapping, Optional, Sequence, Set, Tuple

from adb_lineage.purview.client import GUIDS_A_CALL, PooledAtlasClient
from adb_lineage.purview.clock import Clock
from adb_lineage.purview.inventory import CHILDREN, CONTAINERS, USERS, Inventory, Owned
from adb_lineage.purview.links import Linker
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.progress import Progress, no_progress
from adb_lineage.purview.state import State, Written
from adb_lineage.purview.types import PLACEHOLDER, TypeBook


@dataclass
class RemovalPlan:
    """What goes, in this order, and what stays."""

    removals: List[Owned] = field(default_factory=list)
    links: List[Written] = field(default_factory=list)
    """Links between datasets, which go first."""
    kept: List[Tuple[Owned, str]] = field(default_factory=list)
    problems: List[str] = field(default_factory=list)

    def lines(self) -> List[str]:
        """The plan in words, a line for each step."""
        lines = [f"unlink {row.name.qualified_name}" for row in self.links]
        lines += [f"remove {one.name.type_name} {one.name.qualified_name}" for one in self.removals]
        lines += [f"keep   {one.name.type_name} {one.name.qualified_name}: {why}" for one, why in self.kept]
        return lines + [f"note   {problem}" for problem in self.problems]


class Remover:
    """Plans and does removals in one catalog."""

    def __init__(
        self, client: PooledAtlasClient, options: PurviewOptions, state: State, clock: Clock, linker: Linker
    ) -> None:
        self._linker = linker
        self._client = client
        self._options = options
        self._state = state
        self._clock = clock

    def plan_retire(self, book: TypeBook, unseen_seconds: float, progress: Progress = no_progress) -> RemovalPlan:
        """Remove processes that no run has asked for since, and what stood there only for them."""
        limit = self._clock.time() - unseen_seconds

        def is_old(one: Owned) -> str:
            if one.seen_at is None:
                return "nobody knows when it last ran"
            return "" if one.seen_at < limit else "it has run since"

        plan = self._plan(book, is_old, self._options.grace_seconds, progress)
        plan.links = self._linker.written_before(limit)
        return plan

    def plan_purge(self, book: TypeBook, progress: Progress = no_progress) -> RemovalPlan:
        """Remove all that we wrote."""
        plan = self._plan(book, lambda one: "", 0.0, progress)
        plan.links = self._linker.written_before(math.inf)
        return plan

    def _plan(self, book: TypeBook, keeps: Callable[[Owned], str], grace: float, progress: Progress) -> RemovalPlan:
        """`keeps` gives the reason for which a process or container of ours stays; none: it goes."""
        plan = RemovalPlan()
        inventory = Inventory(self._client, self._options, self._state, book)
        every = {one.guid: one for one in inventory.everything(progress)}
        going: Set[str] = set()

        def decide(one: Owned, why: str) -> None:
            if why:
                plan.kept.append((one, why))
            else:
                plan.removals.append(one)
                going.add(one.guid)

        ours = [one for one in every.values() if one.written]
        for one in ours:
            if one.is_process:
                decide(one, keeps(one))
        for one in ours:
            if not one.is_process and not one.is_container:
                decide(one, self._dataset_stays(one, every, going, grace))
        for type_name in reversed(CONTAINERS):
            for one in ours:
                if one.name.type_name == type_name:
                    left = [guid for guid in one.ends(*CHILDREN) if guid not in going]
                    why = f"there is something under it that stays: {_names(left, every)}" if left else keeps(one)
                    decide(one, why)
        plan.problems = inventory.problems
        return plan

    def _dataset_stays(self, one: Owned, every: Mapping[str, Owned], going: Set[str], grace: float) -> str:
        left = [guid for guid in one.ends(*USERS) if guid not in going]
        if left:
            return f"it is used by {_names(left, every)}"
        if not one.untouched and one.name.type_name != PLACEHOLDER:
            return "somebody has completed it since"
        if not one.ends(*USERS) and self._clock.time() - one.created_at < grace:
            return "it is younger than the time of grace"
        return ""

    def apply(self, plan: RemovalPlan, book: TypeBook, progress: Progress = no_progress) -> None:
        """Remove what the plan says. It can be repeated; raises `RetryLater`, `FixNeeded`."""
        inventory = Inventory(self._client, self._options, self._state, book)
        self._linker.remove(plan.links)
        done = 0
        for start in range(0, len(plan.removals), GUIDS_A_CALL):
            chunk = plan.removals[start:start + GUIDS_A_CALL]
            parts = [guid for one in chunk if not one.is_process for guid in inventory.parts(one)]
            self._client.delete_guids([*parts, *(one.guid for one in chunk)])
            self._forget(chunk)
            done += len(chunk)
            progress(done, len(plan.removals))

    def _forget(self, chunk: Sequence[Owned]) -> None:
        tables = {one.name for one in chunk if not one.is_process and not one.is_container}
        columns = [
            row.name
            for row in (self._state.all_written("column") if tables else [])
            if tuple(row.facts.get("table") or ()) in tables
        ]
        self._state.unrecord([*(one.name for one in chunk), *columns])


def _names(guids: Sequence[str], every: Mapping[str, Owned]) -> str:
    first: Optional[Owned] = every.get(guids[0])
    name = first.name.qualified_name if first else guids[0]
    return name if len(guids) == 1 else f"{name} and {len(guids) - 1} more"
