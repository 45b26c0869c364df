"""Small OpenLineage events, and a clock that a test sets."""
from __future__ import annotations

import threading
from typing import Any, Dict, Optional, Sequence

from adb_lineage.outbox import Clock


def event(run: str, kind: str = "COMPLETE", *, at: str = "2026-03-01T10:00:00Z", inputs: Sequence[str] = ("in",),
          outputs: Sequence[str] = ("out",), job: str = "job", **facets: Any) -> Dict[str, Any]:
    """An event of a run; inputs and outputs are dataset names."""
    return {
        "eventType": kind,
        "eventTime": at,
        "producer": "https://example.com/test",
        "run": {"runId": run, "facets": facets},
        "job": {"namespace": "adb-1", "name": job, "facets": {}},
        "inputs": [{"namespace": "abfss://c@a.dfs.core.windows.net", "name": name, "facets": {}} for name in inputs],
        "outputs": [{"namespace": "abfss://c@a.dfs.core.windows.net", "name": name, "facets": {}} for name in outputs],
    }


class ManualClock(Clock):
    """Both clocks stand still until the test moves them; waiting moves them too."""

    def __init__(self, now: float = 1_772_359_200.0) -> None:
        self.now = now
        self.ticks = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.ticks

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.pass_(seconds)
        return event.is_set()

    def pass_(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
        self.ticks += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; the monotonic one does not know."""
        self.now += seconds


def tokens(runs: Sequence[Any], only: Optional[str] = None) -> list:
    """What a taker hands back."""
    return [token for run in runs if only in (None, run.run_id) for token in run.tokens]
