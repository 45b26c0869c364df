"""When to try again, and how much at once."""
from __future__ import annotations

import random
from typing import Optional

from adb_lineage.outbox import Clock

NO_LIMIT = 1 << 30
LONGEST_SECONDS = 3600.0
_PATIENCE = 3
SMALL = 8
"""A failing write of more runs than this says nothing about any one of them."""


class Pace:
    """The worker's view of the way to the catalog. Times are monotonic seconds."""

    def __init__(self, clock: Clock, dice: Optional[random.Random] = None) -> None:
        self._clock = clock
        self._dice = dice or random.Random()
        self._failures = 0
        self._until = 0.0
        self._suspicious = False
        self.why = ""
        self.limit = NO_LIMIT
        """Most runs to take for the next write; 1 to test the way."""
        self.successes = 0

    @property
    def blocked_seconds(self) -> float:
        """How long nothing is to be sent."""
        return max(self._until - self._clock.monotonic(), 0.0) if self._failures else 0.0

    @property
    def blocked_until(self) -> float:
        """Monotonic time of the next test; 0 when the way is free."""
        return self._until if self._failures else 0.0

    def failed(self, why: str, runs: int, first: float, cap: float, wish: Optional[float]) -> float:
        """The way is closed for a write of so many runs; seconds until the next test: the other side's own `wish`, else
        a growing pause.

        Where few runs fail, too, it is the way. Where many fail and then one gets through, it may have been one of the
        many: then they go in small steps, doubling with each success, so that it ends up among few.
        """
        pause = min(first * 2.0 ** min(self._failures, 32), cap)
        # Half of it is chance, so that the drivers of a workspace do not come back together.
        pause *= 0.5 + 0.5 * self._dice.random()
        if wish is not None:  # "at once" is believed a few times, "in a year" never
            least = first if self._failures >= _PATIENCE else 0.0
            pause = min(max(wish, least), LONGEST_SECONDS)
        self._failures += 1
        self._until = self._clock.monotonic() + pause
        self.limit = 1
        self._suspicious = runs > SMALL
        self.why = why
        return pause

    def succeeded(self) -> None:
        """Something arrived."""
        self._failures = 0
        self.why = ""
        self.successes += 1
        self.limit = min(self.limit * 2, NO_LIMIT) if self._suspicious else NO_LIMIT
