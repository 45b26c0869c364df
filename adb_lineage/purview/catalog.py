"""The room's face: one catalog, be it Purview, a plain Atlas or the local one."""
from __future__ import annotations

import os
import random
import threading
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from adb_lineage.assets import Asset, AssetName
from adb_lineage.purview import types
from adb_lineage.purview.auth import TokenSource
from adb_lineage.purview.client import Http, PooledAtlasClient
from adb_lineage.purview.clock import Clock, SystemClock
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.report import WriteReport
from adb_lineage.purview.resolver import Resolver
from adb_lineage.purview.retry import Governor
from adb_lineage.purview.state import State
from adb_lineage.purview.types import TypeBook, TypesReport
from adb_lineage.purview.writer import Writer

TYPES_SECONDS = 6 * 3600.0


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
        self._book: Optional[TypeBook] = None
        self._book_at = 0.0
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
            self._book_at = self.clock.monotonic()

    @property
    def book(self) -> TypeBook:
        """The account's types, read again after some hours."""
        with self._lock:
            if self._book is None or self.clock.monotonic() - self._book_at > TYPES_SECONDS:
                self.ensure_types()
            assert self._book is not None
            return self._book

    def resolve(self, assets: Sequence[Asset]) -> Mapping[AssetName, AssetName]:
        """For each asset that somebody else brought into the catalog, the identity it has there.

        Absent are assets that exist nowhere and those that only have a stand-in of ours: `write` takes both as
        `missing`, and does nothing for a stand-in that is already right.
        """
        found = self.resolver.resolve(assets, self.book)
        return {own: entity.name for own, entity in found.items() if not entity.ours}

    def write(self, entities: Sequence[Mapping[str, Any]], missing: Sequence[Asset]) -> WriteReport:
        """Bring entities and stand-ins for `missing` assets into the catalog; unchanged ones are not sent."""
        with self._lock:
            return self._writer.write(entities, missing, self.book, self.types_report)

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
