"""`RunTranslation`: what one run means for the catalog."""
from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from adb_lineage.assets import Asset, AssetName
from adb_lineage.translate.process import ProcessDraft

Entity = Dict[str, Any]
AS_NAMED: Mapping[AssetName, AssetName] = MappingProxyType({})
"""Every asset keeps the name that the rules gave."""


class Skip(NamedTuple):
    """Something of a run that is not in the translation, or only shortened, and why."""

    subject: str
    reason: str


class Link(NamedTuple):
    """One dataset under two names; the options say which of the two stands for it in this translation."""

    location: Asset
    table: Asset


@dataclass(frozen=True)
class RunTranslation:
    """One run, translated. Two translations of the same events are equal, and their entities are, byte by byte.

    `assets` holds every dataset of the run once, inputs before outputs. `entities` gives the Databricks entities and
    the process; dataset entities are not in it, because which of them exist already is known to the catalog alone.
    `links` pairs the assets of datasets that have both a storage location and a table name; one of each pair is in
    `assets`.
    """

    run_id: str
    state: str
    """The run's state after all its events: "START", "RUNNING", "COMPLETE", "FAIL", "ABORT" or "OTHER"."""
    assets: Tuple[Asset, ...]
    skipped: Tuple[Skip, ...]
    links: Tuple[Link, ...] = ()
    draft: Optional[ProcessDraft] = field(default=None, repr=False)

    @property
    def has_lineage(self) -> bool:
        """Whether there is a process to write."""
        return self.draft is not None

    @property
    def process(self) -> Optional[str]:
        """Qualified name of the process, or None where the run has none to write."""
        return None if self.draft is None else self.draft.qualified_name

    def entities(self, chosen: Mapping[AssetName, AssetName] = AS_NAMED) -> List[Entity]:
        """Databricks entities and the process as Atlas v2 JSON, containers first, process last; [] without lineage.

        `chosen` maps the name of an asset to the identity that the catalog holds it under: the process's inputs,
        outputs and column mapping then speak of that one. The process keeps its own qualified name, which is computed
        from the names that the rules gave, so that it does not change when an asset gets scanned.
        """
        return [] if self.draft is None else self.draft.entities(chosen)
