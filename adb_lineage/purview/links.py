"""Links between the two assets that one dataset has: its storage location, and the table that lies on it.

A link is Purview's relationship from dataset to dataset, the location being the source of the table. No entity of ours
holds it, so the bookkeeping does; a plain Atlas, which lacks the relationship, gets none.
"""
from __future__ import annotations

import logging
from typing import Dict, Iterable, List, NamedTuple, Sequence

from adb_lineage.assets import AssetName
from adb_lineage.purview.answers import Refused
from adb_lineage.purview.client import PooledAtlasClient
from adb_lineage.purview.clock import Clock
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.placeholders import reference
from adb_lineage.purview.state import State, Written
from adb_lineage.purview.types import TypeBook

log = logging.getLogger("adb_lineage.purview")

LINK = "direct_lineage_dataset_dataset"
_EXISTS = "ATLAS-409-00-004"


class DatasetLink(NamedTuple):
    """Two assets of one dataset, as the catalog calls them."""

    location: AssetName
    table: AssetName

    @property
    def name(self) -> AssetName:
        """Its name in our bookkeeping."""
        return AssetName(LINK, f"{' '.join(self.location)} -> {' '.join(self.table)}")


class Linker:
    """Writes links into one catalog."""

    def __init__(self, client: PooledAtlasClient, options: PurviewOptions, state: State, clock: Clock) -> None:
        self._client = client
        self._options = options
        self._state = state
        self._clock = clock

    def new(self, links: Iterable[DatasetLink], book: TypeBook) -> List[DatasetLink]:
        """Those that `write` would write."""
        distinct: Dict[AssetName, DatasetLink] = {link.name: link for link in links}
        if not distinct or book.definition("relationshipDefs", LINK) is None:
            return []
        now = self._clock.time()
        known, refused = self._state.written(distinct), self._state.refusals(distinct)

        def rests(name: AssetName) -> bool:
            if name in known:  # after that time somebody may have taken it away
                return 0 <= now - known[name].checked_at < self._options.found_seconds
            return name in refused and 0 <= now - refused[name].refused_at < self._options.refused_seconds

        return [link for name, link in distinct.items() if not rests(name)]

    def write(self, links: Iterable[DatasetLink], book: TypeBook) -> None:
        """Write those that are not there. One that the catalog refuses is left for a time: its process is written
        all the same. Raises `RetryLater`, `FixNeeded`."""
        links = list(links)
        now = self._clock.time()
        self._state.seen([link.name for link in links], now)
        for link in self.new(links, book):
            try:
                guid = self._client.relate(LINK, reference(link.location), reference(link.table))
            except Refused as failure:
                if failure.answer.code != _EXISTS:
                    log.info("%s is refused: %s", link.name.qualified_name, failure.answer)
                    self._state.refuse(link.name, "", failure.answer._asdict(), now)
                    continue
                if self._state.written([link.name]):
                    self._state.checked([link.name], now)
                    continue
                guid = ""  # a scan or somebody else has made it: it stays when ours go
            self._state.record([Written(link.name, guid, "link", "", "", bool(guid), now, now, now, {})])

    def written_before(self, moment: float) -> List[Written]:
        """Links of ours that no run has asked for since then (epoch seconds)."""
        return [row for row in self._state.all_written("link") if row.guid and row.seen_at <= moment]

    def remove(self, rows: Sequence[Written]) -> None:
        """Remove links of ours; one that is gone already is no error."""
        for row in rows:
            self._client.unrelate(row.guid)
            self._state.unrecord([row.name])
