"""Time as the outbox and the delivery see it, so that tests run hours in milliseconds."""
from __future__ import annotations

import threading
import time


class Clock:
    """The machine's clocks. A test's own clock overrides all three methods."""

    def time(self) -> float:
        """Epoch seconds; may jump, so only what must survive a restart is measured with it."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump; on Linux, macOS and Windows the same for all processes since the machine started."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, at most `seconds`; whether it is set."""
        return event.wait(seconds)
