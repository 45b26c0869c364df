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

JOB_SHARE = 0.05
"""Most of a job's time that its cells may wait for delivery."""


def begin(context_class: Any, heard: Callable[[Callable[[], None]], None]) -> None:
    """Turn lineage on for the SparkContext that stands.

    `heard` is called when its queries are, with what the first cell has to do on its own thread: tell who runs it.
    For the autostart's thread. Raises what `adb_lineage.enable` raises.
    """
    import adb_lineage

    session = _session(context_class)
    adb_lineage.enable(session)
    heard(lambda: _note_first_cell(session))


def _note_first_cell(session: Any) -> None:
    """The later cells are noted by `Cells`, which is not there yet: it waits for imports."""
    if session is not None and session.sparkContext.getConf().get("spark.databricks.workspaceUrl"):
        Driver(session.sparkContext).note_cell(str(session._jsparkSession.sessionUUID()))


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
    """How long the end of a cell may wait for delivery.

    In a notebook that somebody has open `seconds`, and 0 is right: its Python lives on and delivers while the user
    reads the result. A job's Python may end with any cell, and which one is the last nobody tells: there it is
    `job_seconds`, but over the whole job no more than that and `JOB_SHARE` of the time that the job has run. A wait
    that was in vain makes the next one a second, then half of it and so on; one that was not restores it. So a job
    of many cells is not held up by a Purview that is slow, and hardly by one that is down.
    """

    def __init__(self, seconds: float, job_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._full = {False: seconds, True: job_seconds}
        self._most = float("inf")
        self._clock = clock
        self._left = job_seconds
        self._counted = clock()

    def seconds(self, job: bool) -> float:
        """The next wait; 0 when it is not worth one."""
        next_one = min(self._full[job], self._most, self._share() if job else float("inf"))
        return next_one if next_one >= 0.05 else 0.0

    def waited(self, seconds: float, delivered: bool) -> None:
        """Tell how long the last wait took, and how it ended."""
        self._left = max(0.0, self._share() - seconds)
        if delivered:
            self._most = float("inf")
        elif seconds >= min(1.0, self._most):  # a shorter one says nothing about the catalog
            self._most = min(1.0, self._most / 2)

    def _share(self) -> float:
        now = self._clock()
        self._left = min(self._full[True], self._left + JOB_SHARE * (now - self._counted))
        self._counted = now
        return self._left


class Cells:
    """Our two callbacks on the cells of an IPython shell. `flush(seconds) -> bool` is `Lineage.flush`."""

    def __init__(self, flush: Callable[[float], bool], driver: Optional[Driver], session_uuid: str,
                 budget: CellBudget) -> None:
        self._flush = flush
        self._driver = driver
        self._session_uuid = session_uuid
        self._budget = budget
        self._job = False
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
            self._job = "spark.databricks.job.id" in self._driver.note_cell(self._session_uuid)
        except Exception as error:  # noqa: BLE001 - IPython would print it into the cell's output
            _LOG.debug("cell not noted: %r", error)

    def after(self, *_: Any) -> None:
        """`post_run_cell`, on the main thread."""
        if not self._job:
            self.before()  # of the cell during which we were attached nothing is known yet
        seconds = self._budget.seconds(self._job)
        if seconds <= 0:
            return
        started = time.monotonic()
        try:
            delivered = self._flush(seconds)
            self._budget.waited(time.monotonic() - started, delivered)
        except Exception as error:  # noqa: BLE001 - the same
            _LOG.debug("not flushed: %r", error)
