"""What became of a write."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple

from adb_lineage.assets import AssetName
from adb_lineage.purview.answers import Answer


class Refusal(NamedTuple):
    """An entity that the catalog does not take; a repetition can't help."""

    name: AssetName
    status: int
    code: str
    message: str
    request_id: str


@dataclass
class WriteReport:
    """The outcome for every entity of a write. Values are guids; empty where the catalog did not tell one."""

    created: Dict[AssetName, str] = field(default_factory=dict)
    updated: Dict[AssetName, str] = field(default_factory=dict)
    unchanged: Dict[AssetName, str] = field(default_factory=dict)
    """Not sent, or sent and equal to what the catalog had."""
    refused: List[Refusal] = field(default_factory=list)
    placeholders: Dict[AssetName, AssetName] = field(default_factory=dict)
    """For each missing asset the stand-in that its edges go to."""
    left_out: Dict[AssetName, str] = field(default_factory=dict)
    """Datasets without an entity, and why; their edges are not written."""
    requests: int = 0
    """HTTP requests, retries and lookups of this write included."""
    last_request_id: str = ""

    @property
    def counts(self) -> Dict[str, int]:
        """How many entities had each outcome."""
        return {
            "created": len(self.created),
            "updated": len(self.updated),
            "unchanged": len(self.unchanged),
            "refused": len(self.refused),
            "left_out": len(self.left_out),
        }

    def refuse(self, name: AssetName, answer: Answer) -> None:
        """Note a refusal."""
        self.refused.append(Refusal(name, answer.status, answer.code, answer.message, answer.request_id))
