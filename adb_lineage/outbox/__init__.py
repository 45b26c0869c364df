"""A durable queue of OpenLineage events, grouped by run; it knows of an event only what its envelope says.

    Outbox      append, take, delivered, wait, dead: one SQLite file a driver, memory where that file fails
    RunEvents   a run that is ready, with all its stored events
    Token       what a taker hands back to say what became of a run
    Verdict     that, for one run
    RunInfo     a run as the commands list it
    Clock       time, to be replaced in tests
"""
from adb_lineage.outbox.clock import Clock
from adb_lineage.outbox.model import STATES, RunEvents, RunInfo, Token, Verdict
from adb_lineage.outbox.outbox import Outbox

__all__ = ["STATES", "Clock", "Outbox", "RunEvents", "RunInfo", "Token", "Verdict"]
