"""What was asked of the catalog: counts since the start and the last requests, for tests and benchmarks."""
from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Any, Deque, Dict, Tuple

KEPT = 10_000
"""Requests kept one by one; the counts go on."""


class RequestLog:
    """Counts requests by method, route and status; thread-safe, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Tuple[str, str, int]] = Counter()
        self._last: Deque[Dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, method: str, route: str, path: str, status: int, milliseconds: float) -> None:
        """Count one answered request."""
        with self._lock:
            self._counts[method, route, status] += 1
            self._last.append({
                "time": time.time(), "method": method, "path": path, "status": status,
                "milliseconds": round(milliseconds, 3),
            })

    def clear(self) -> None:
        """Begin again."""
        with self._lock:
            self._counts.clear()
            self._last.clear()

    def report(self, last: int) -> Dict[str, Any]:
        """`{"total", "counts": [{method, route, status, count}], "requests": newest last}`."""
        with self._lock:
            counts = [
                {"method": method, "route": route, "status": status, "count": count}
                for (method, route, status), count in self._counts.most_common()
            ]
            newest = list(self._last)[-last:] if last else []
            return {"total": sum(self._counts.values()), "counts": counts, "requests": newest}
