"""What the delivery expects of its collaborators, so that it imports neither translation nor catalog client."""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from adb_lineage.assets import Asset, AssetName


class Link(Protocol):
    """The two assets of a dataset that has a storage location and a table name (`translate.Link`)."""

    @property
    def location(self) -> Asset:
        """The storage location."""

    @property
    def table(self) -> Asset:
        """The table on it."""


class Translation(Protocol):
    """One run, translated (`translate.RunTranslation`)."""

    @property
    def assets(self) -> Sequence[Asset]:
        """Every dataset of the run."""

    @property
    def links(self) -> Sequence[Link]:
        """The datasets among them that have two assets."""

    @property
    def skipped(self) -> Sequence[Sequence[str]]:
        """(subject, reason) of what is not in the translation."""

    @property
    def process(self) -> Optional[str]:
        """Qualified name of the process; None where there is no lineage to write."""

    def entities(self, chosen: Mapping[AssetName, AssetName]) -> List[Dict[str, Any]]:
        """Atlas entities, containers first and the process last; datasets are not among them."""


class WriteReport(Protocol):
    """What a write did (`purview.WriteReport`)."""

    @property
    def refused(self) -> Sequence[Any]:
        """(AssetName, HTTP status, Atlas code, message, request id) of each entity that the catalog does not take."""

    @property
    def placeholders(self) -> Mapping[AssetName, AssetName]:
        """The stand-in of each missing asset."""

    @property
    def left_out(self) -> Mapping[AssetName, str]:
        """Missing assets without a stand-in, and why; their edges are not written."""

    @property
    def requests(self) -> int:
        """HTTP requests of this write."""


class WritePlan(Protocol):
    """What a write would do (`purview.plan.WritePlan`)."""

    @property
    def new(self) -> Sequence[AssetName]:
        """Entities that would be created."""

    @property
    def placeholders(self) -> Sequence[AssetName]:
        """Stand-ins that would be created; `new` does not repeat them."""

    @property
    def changed(self) -> Mapping[AssetName, Sequence[Any]]:
        """Entities that would change: (attribute, before, after) of each change."""

    @property
    def unchanged(self) -> Sequence[AssetName]:
        """Entities that would stay as they are."""

    @property
    def left_out(self) -> Mapping[AssetName, str]:
        """Datasets that would get no entity, and why; their edges would not be written."""

    @property
    def invalid(self) -> Mapping[AssetName, str]:
        """Entities that can't be sent at all, and why."""

    @property
    def links(self) -> List[Tuple[AssetName, AssetName]]:
        """Locations that would be linked to tables; the delivery fills it in."""

    def lines(self) -> Sequence[str]:
        """The plan in words."""


class Catalog(Protocol):
    """Where lineage goes (`purview.PurviewCatalog`). All calls may raise RetryLater or FixNeeded."""

    def resolve(self, assets: Sequence[Asset]) -> Mapping[AssetName, AssetName]:
        """The identity under which the catalog holds each asset, or process; unknown ones are absent."""

    def write(self, entities: Sequence[Dict[str, Any]], missing: Sequence[Asset]) -> WriteReport:
        """Upsert the entities, and stand-ins for assets that nobody knows."""

    def plan_write(self, entities: Sequence[Dict[str, Any]], missing: Sequence[Asset]) -> WritePlan:
        """What `write` would do, without doing it."""

    def link(self, links: Sequence[Tuple[AssetName, AssetName]]) -> None:
        """Link locations to the tables on them, by the catalog's own names; a repetition changes nothing."""

    def plan_links(self, links: Sequence[Tuple[AssetName, AssetName]]) -> List[Tuple[AssetName, AssetName]]:
        """Which of them `link` would write."""

    def close(self) -> None:
        """End calls that wait (they raise RetryLater) and let go of connections."""


Translate = Callable[[Sequence[Mapping[str, Any]]], Translation]
"""All events of one run in, its translation out."""
