"""A program under a capture of its own, with the limits and clocks that a test wants."""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

from adb_lineage.capture.capture import Capture, CaptureOptions
from adb_lineage.capture.context import script_environment
from adb_lineage.capture.describing import Limits
from adb_lineage.capture.events import Application
from adb_lineage.capture.tap import ListenerTap, Tap

BUDGET = 5.0
LIMITS = Limits(BUDGET)


class Kept:
    """What a capture gives away: its events, and the rows of its record."""

    def __init__(self) -> None:
        self.events: List[Any] = []
        self.rows: Dict[str, Dict[str, Any]] = {}

    def emit(self, event: Any) -> None:
        self.events.append(event)

    def note(self, run_id: str, **facts: Any) -> None:
        self.rows.setdefault(run_id, {}).update(facts)


def new_capture(tap: Tap, emitter: Any, record: Any, limits: Limits = LIMITS, **clocks: Any) -> Capture:
    """A capture that is not started."""
    return Capture(tap, Application("app", "app", 0, "3", "tests"), script_environment("tests"), emitter, record,
                   CaptureOptions(limits), **clocks)


def captured_by(spark: Any) -> Callable[..., Tuple[Dict[str, Any], List[Any]]]:
    """A function that runs a program of one query in a session of its own: its row in the record, and its events."""
    def run(program: Callable[[Any], None], limits: Limits = LIMITS, **clocks: Any) -> Tuple[Dict[str, Any], List[Any]]:
        session = spark.newSession()
        tap = ListenerTap(spark.sparkContext, session, capacity=10)
        kept = Kept()
        capture = new_capture(tap, kept, kept, limits, **clocks)
        program(session)
        tap.drain(30_000)
        while True:
            finished = tap.poll(0.5)
            if finished is None:
                break
            capture._capture(finished)
        tap.close()
        row, = kept.rows.values()
        return row, kept.events

    return run
