"""A progress bar on stderr for the commands that take long; silent when nobody watches."""
from __future__ import annotations

import sys
from typing import IO, Callable, Optional

Progress = Callable[[int, Optional[int]], None]
"""Called with how much is done, and of how much if that is known."""
WIDTH = 30


def no_progress(done: int, total: Optional[int] = None) -> None:
    """Nobody wants to know."""


class Bar:
    """`bar(done, total)` draws over itself; a `total` of None counts up."""

    def __init__(self, what: str, stream: Optional[IO[str]] = None) -> None:
        self._what = what
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()

    def __call__(self, done: int, total: Optional[int] = None) -> None:
        """Draw."""
        if not self._shown:
            return
        if total is None:
            text = f"{self._what} {done}"
        else:
            filled = WIDTH * done // total if total else WIDTH
            text = f"{self._what} [{'#' * filled}{'.' * (WIDTH - filled)}] {done}/{total}"
        self._stream.write(f"\r\x1b[K{text}")
        self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
