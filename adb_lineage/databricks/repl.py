"""The cells of a notebook: what a REPL's main thread alone knows is read before a cell, delivery gets its moment after.

Databricks runs no `atexit` functions, and a job's task runs as one cell or a few: the end of a cell is the last
reliable moment of ours (reference/databricks.md 11).
"""
from __future__ import annotations

import logging
import sys
import time
from typing import Any, Callable, Optional

from adb_lineage.databricks.driver import Driver

_LOG = logging.getLogger(__name__)

SESSION_SECONDS = 30.0
"""How long `begin` looks for the session that a shell builds right after its SparkContext."""


def begin(context_class: Any, heard: Callable[[], None]) -> None:
    """Turn lineage on for the SparkContext that stands; `heard` is called when its queries are.

    For the autostart's thread. Raises what `adb_lineage.enable` raises.
    """
    import adb_lineage

    adb_lineage.enable(_session(context_class))
    heard()


def _session(context_class: Any) -> Any:
    """The first session, once somebody has made it; None when nobody does in time."""
    session_class = sys.modules["pyspark.sql"].SparkSession if "pyspark.sql" in sys.modules else None
    until = time.monotonic() + SESSION_SECONDS
    while time.monotonic() < until:
        session_class = session_class or getattr(sys.modules.get("pyspark.sql"), "SparkSession", None)
        session = getattr(session_class, "_instantiatedSession", None)
        if session is not None:
            return session
        if context_class._active_spark_context is None:
            return None
        time.sleep(0.02)
    return None


class CellBudget:
    """How long the end of a cell may wait for delivery, in seconds.

    A wait that was in vain halves the next one, one that was not restores it: with Purview down a notebook of any
    number of cells loses at most twice `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._full = seconds
        self._next = seconds

    def seconds(self) -> float:
        """The next wait; 0 when it is not worth one."""
        return self._next if self._next >= 0.05 else 0.0

    def waited(self, delivered: bool) -> None:
        """Tell how the last wait ended."""
        self._next = self._full if delivered else self._next / 2


class Cells:
    """Our two callbacks on the cells of an IPython shell. `flush(seconds) -> bool` is `Lineage.flush`."""

    def __init__(self, flush: Callable[[float], bool], driver: Optional[Driver], session_uuid: str,
                 budget: CellBudget) -> None:
        self._flush = flush
        self._driver = driver
        self._session_uuid = session_uuid
        self._budget = budget
        self._shell: Any = None

    def attach(self) -> bool:
        """Follow the process's shell; False where there is none."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython is not None else None
        if shell is None:
            return False
        self._shell = shell
        shell.events.register("pre_run_cell", self.before)
        shell.events.register("post_run_cell", self.after)
        return True

    def detach(self) -> None:
        """Leave the shell as it was; what was left in the JVM goes too."""
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.events.unregister("pre_run_cell", self.before)
            shell.events.unregister("post_run_cell", self.after)
        if self._driver is not None:
            try:
                self._driver.forget()
            except Exception as error:  # noqa: BLE001 - the JVM may be gone
                _LOG.debug("the driver forgot already: %r", error)

    def before(self, *_: Any) -> None:
        """`pre_run_cell`, on the main thread."""
        if self._driver is None:
            return
        try:
            self._driver.note_cell(self._session_uuid)
        except Exception as error:  # noqa: BLE001 - IPython would print it into the cell's output
            _LOG.debug("cell not noted: %r", error)

    def after(self, *_: Any) -> None:
        """`post_run_cell`, on the main thread."""
        seconds = self._budget.seconds()
        if seconds <= 0:
            return
        try:
            self._budget.waited(self._flush(seconds))
        except Exception as error:  # noqa: BLE001 - the same
            _LOG.debug("not flushed: %r", error)
