"""The room's face: one catalog, be it Purview, a plain Atlas or the local one."""
from __future__ import annotations

import logging
import os
import random
import threading
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from adb_lineage.assets import Asset, AssetName, part_of
from adb_lineage.errors import AdbLineageError
from adb_lineage.purview import types
from adb_lineage.purview.answers import Refused
from adb_lineage.purview.auth import TokenSource
from adb_lineage.purview.client import Http, PooledAtlasClient
from adb_lineage.purview.clock import Clock, SystemClock
from adb_lineage.purview.heal import Healer, HealPlan, KinOf
from adb_lineage.purview.inventory import PROCESS
from adb_lineage.purview.links import DatasetLink, Linker
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.payload import name_of
from adb_lineage.purview.plan import WritePlan
from adb_lineage.purview.progress import Progress, no_progress
from adb_lineage.purview.report import WriteReport
from adb_lineage.purview.resolver import Resolver
from adb_lineage.purview.retire import RemovalPlan, Remover
from adb_lineage.purview.retry import Governor
from adb_lineage.purview.state import Found, State
from adb_lineage.purview.types import PLACEHOLDER, TypeBook, TypesReport
from adb_lineage.purview.writer import TypeUnknown, Writer

log = logging.getLogger("adb_lineage.purview")

TYPES_SECONDS = 6 * 3600.0
TYPE_PAUSES = (0.0, 2.0, 5.0, 10.0)
"""Purview needs a moment between a new type and its first entity."""


class PurviewCatalog:
    """Finds assets and writes lineage. Its calls may come from several threads; one writes at a time.

    Every call raises `RetryLater` when the catalog is away or busy (after retries of its own) and `FixNeeded` when
    identity, rights, network or types have to be changed by somebody. What the catalog refuses is in the report.
    """

    def __init__(
        self,
        options: PurviewOptions,
        token_source: TokenSource,
        *,
        state_path: Union[str, os.PathLike[str], None] = None,
        clock: Optional[Clock] = None,
        dice: Optional[random.Random] = None,
        kin_of: KinOf = lambda name: (),
    ) -> None:
        self.options = options
        self.clock: Clock = clock or SystemClock()
        self.tokens = token_source
        self.state = State(None if state_path is None else os.fspath(state_path), options.atlas_url)
        self.governor = Governor(options, self.clock, dice)
        self.client = PooledAtlasClient(options, Http(options, token_source, self.governor, self.clock))
        self.resolver = Resolver(self.client, options, self.state, self.clock)
        self._writer = Writer(self.client, self.resolver, options, self.state, self.clock)
        self._lock = threading.RLock()
        self.healer = Healer(self.client, self.resolver, options, self.state, self.clock, kin_of)
        self._linker = Linker(self.client, options, self.state, self.clock)
        self._remover = Remover(self.client, options, self.state, self.clock, self._linker)
        self._to_heal: Dict[AssetName, Tuple[Found, float]] = {}
        self._book: Optional[TypeBook] = None
        self._book_at = 0.0
        self._ensured = False
        self.types_report = TypesReport()
        self.state.prune(self.clock.time())

    def __enter__(self) -> PurviewCatalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End waiting calls (they raise `RetryLater`), close connections and file."""
        self.client.http.close()
        self.state.close()

    def ensure_types(self) -> None:
        """Install the type definitions that the account lacks and update ours; nothing happens when all is there."""
        with self._lock:
            self._book, self.types_report = types.ensure(self.client, self.options.flavour)
            self._book_at, self._ensured = self.clock.monotonic(), True

    @property
    def book(self) -> TypeBook:
        """The account's types, read again after some hours; reading installs nothing."""
        with self._lock:
            if self._book is None or self.clock.monotonic() - self._book_at > TYPES_SECONDS:
                self._book, self._book_at, self._ensured = types.read(self.client), self.clock.monotonic(), False
            return self._book

    def resolve(self, assets: Sequence[Asset]) -> Mapping[AssetName, AssetName]:
        """For each asset that somebody else brought into the catalog, the identity it has there.

        Absent are assets that exist nowhere and those that only have a stand-in of ours: `write` takes both as
        `missing`, and does nothing for a stand-in that is already right. What is not a dataset, a process for
        example, is looked for each time anew.
        """
        book = self.book
        datasets, others = [], []
        for asset in assets:
            if asset.alternatives or book.is_a(asset.name.type_name, "DataSet"):
                datasets.append(asset)
            else:
                others.append(asset.name)
        found = self.resolver.resolve(datasets, book)
        real = {own: entity for own, entity in found.items() if not entity.ours}
        self._note_stand_ins(real)
        real.update((name, entity) for name, entity in self.resolver.lookup(others, book, fresh=True).items() if entity)
        return {own: entity.name for own, entity in real.items()}

    def _note_stand_ins(self, real: Mapping[AssetName, Found]) -> None:
        """Remember for the next write which stand-ins these assets may have had."""
        now = self.clock.time()
        for own, entity in real.items():
            names = [AssetName(PLACEHOLDER, own.qualified_name)] + ([own] if own != entity.name else [])
            known = self.state.lookups(names)
            for name in names:
                old = known.get(name)
                # With the asset there nobody makes a new stand-in: one look a day is enough.
                if old is None or old.found or not 0 <= now - old.checked_at < self.options.found_seconds:
                    self._to_heal.setdefault(name, (entity, now))

    def _heal_touched(self, report: WriteReport) -> None:
        """Move the edges of the stand-ins noted, and remove those; what fails here is tried again, not reported."""
        now = self.clock.time()
        due = {name: entity for name, (entity, not_before) in list(self._to_heal.items()) if not_before <= now}
        if not due:
            return
        before = self.client.http.requests
        try:
            plan = self.healer.plan_for(due, self.book)
            self.healer.apply(plan, self.book)
            for name in due:
                self._to_heal.pop(name, None)
            for one, _ in plan.kept:
                self._to_heal[one.name] = (due[one.name], now + self.options.grace_seconds)
        except AdbLineageError as failure:
            log.info("healing waits: %s", failure)
        report.requests += self.client.http.requests - before

    def write(self, entities: Sequence[Mapping[str, Any]], missing: Sequence[Asset]) -> WriteReport:
        """Bring entities and stand-ins for `missing` assets into the catalog; unchanged ones are not sent."""
        with self._lock:
            entities = list(entities)
            if self._book is None or not self._ensured or self.clock.monotonic() - self._book_at > TYPES_SECONDS:
                self.ensure_types()
            for pause in TYPE_PAUSES:
                try:
                    report = self._writer.write(entities, missing, self.book, self.types_report, True)
                    break
                except TypeUnknown as failure:
                    log.info("%s", failure)
                    self.governor.pause(pause)
                    self.ensure_types()
            else:
                report = self._writer.write(entities, missing, self.book, self.types_report, False)
            self._drop_old_parts(entities, report)
            self._heal_touched(report)
            return report

    def _drop_old_parts(self, entities: Sequence[Mapping[str, Any]], report: WriteReport) -> None:
        """Delete further parts that we wrote of a process which now needs fewer."""
        names = {name_of(entity) for entity in entities}
        ahead = [(name.qualified_name, 2) for name in names if name.type_name == PROCESS]
        old: Dict[AssetName, str] = {}
        while ahead:
            parts = {AssetName(PROCESS, part_of(*one)): one for one in ahead}
            there = self.state.written(parts)
            old.update((name, row.guid) for name, row in there.items() if name not in names)
            ahead = [(process, number + 1) for name, (process, number) in parts.items() if name in there]
        if old:
            report.requests += 1
            try:
                self.client.delete_guids(list(old.values()))
            except Refused as failure:  # what was written is there all the same; the next write tries again
                log.info("old parts stay: %s", failure)
                return
            self.state.unrecord(old)

    def link(self, links: Sequence[Tuple[AssetName, AssetName]]) -> None:
        """Link locations to the tables on them, by the names that the catalog has; links that are there cost nothing.

        One that the catalog refuses is left out.
        """
        with self._lock:
            self._linker.write([DatasetLink(*link) for link in links], self.book)

    def plan_links(self, links: Sequence[Tuple[AssetName, AssetName]]) -> List[Tuple[AssetName, AssetName]]:
        """Which of the links `link` would write."""
        with self._lock:
            new = self._linker.new([DatasetLink(*link) for link in links], self.book)
            return [(link.location, link.table) for link in new]

    def forget_refusals(self) -> None:
        """Send again what was refused before, with whatever content: somebody says that the cause is mended."""
        self.state.forget_refusals()

    def plan_write(self, entities: Sequence[Mapping[str, Any]], missing: Sequence[Asset]) -> WritePlan:
        """What `write` would do, compared with what the catalog has now; nothing is written."""
        with self._lock:
            return self._writer.plan(entities, missing, self.book, self.types_report)

    def plan_heal(self) -> HealPlan:
        """What `heal` would do for all stand-ins of ours; nothing is changed."""
        with self._lock:
            return self.healer.plan_all(self.book)

    def heal(self, plan: HealPlan, progress: Progress = no_progress) -> None:
        """Move edges and remove orphans as planned; what fails is added to the plan's `problems`."""
        with self._lock:
            self.healer.apply(plan, self.book, progress)

    def plan_retire(self, unseen_seconds: float, progress: Progress = no_progress) -> RemovalPlan:
        """What would go if all went that no run has asked for in so many seconds; nothing is changed."""
        with self._lock:
            return self._remover.plan_retire(self.book, unseen_seconds, progress)

    def plan_purge(self, progress: Progress = no_progress) -> RemovalPlan:
        """What would go if all went that we wrote; nothing is changed."""
        with self._lock:
            return self._remover.plan_purge(self.book, progress)

    def remove(self, plan: RemovalPlan, progress: Progress = no_progress) -> None:
        """Remove what a plan says; it may be repeated."""
        with self._lock:
            self._remover.apply(plan, self.book, progress)

    def status(self) -> Dict[str, Any]:
        """For `adb-lineage status`: endpoint, identity, breaker, rate, requests. Without secrets."""
        considered: List[str] = [f"{name}: {why}" for name, why in self.tokens.considered]
        return {
            "endpoint": self.options.endpoint,
            "identity": self.tokens.strategy,
            "identities_not_used": considered,
            "breaker": self.governor.breaker.status(),
            "requests": self.client.http.requests,
            "retries": self.governor.retries,
            "rate": self.governor.bucket.rate,
            "state": self.state.problem or "kept",
        }
