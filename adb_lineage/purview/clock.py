"""Time as the room uses it, so that tests can run hours of back-off in milliseconds."""
from __future__ import annotations

import threading
import time
from typing import Optional, Protocol


class Clock(Protocol):
    """Wall time for dates and ages, monotonic time for everything that waits."""

    def time(self) -> float:
        """Seconds since the epoch; may jump either way."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""

    def sleep(self, seconds: float, wake: Optional[threading.Event] = None) -> None:
        """Wait `seconds`, or less when `wake` is set."""


class SystemClock:
    """The clock of the machine."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, wake: Optional[threading.Event] = None) -> None:
        if seconds > 0:
            (wake or threading.Event()).wait(seconds)
