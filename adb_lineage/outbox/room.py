"""Keeping the outbox within its bound: what goes first, and what is said about it.

1. Delivered runs, oldest first: only an event that comes very late would still want them.
2. Parts of payloads (`shorten.PARTS`, cheapest loss first): of the oldest events.
3. Whole dead runs, oldest first; then whole runs that could not be delivered yet, oldest first. Each is a `Loss`.
"""
from __future__ import annotations

import sqlite3
from typing import Callable, Iterable, List, NamedTuple

from adb_lineage.errors import GiveUp
from adb_lineage.outbox.envelope import repack, unseal
from adb_lineage.outbox.shorten import PARTS, shorten

_STEP_RUNS = 16
_STEP_EVENTS = 32
_OVERHEAD = 32 << 10
"""Pages that the rows and indexes of one event may need besides its body."""


class Loss(NamedTuple):
    """A run whose events had to go, and why."""

    run_id: str
    why: str


def make_room(
    connection: sqlite3.Connection, *, need: int, used: Callable[[], int], bound: int, keep: str
) -> List[Loss]:
    """Free space for `need` bytes, and a little more so that the next events need not; run `keep` stays.

    Raises GiveUp when there is nothing left that could go.
    """
    losses: List[Loss] = []
    need += _OVERHEAD
    if used() + need <= bound:
        return losses
    target = bound - need - min(bound // 64, 4 << 20)
    while used() > target:
        if _drop_delivered(connection, keep) or _shorten_oldest(connection):
            continue
        lost = _drop_oldest(connection, keep, bound)
        losses += lost
        if not lost:
            break
    if used() + need > bound:
        raise GiveUp(f"an event of {need} bytes finds no room in an outbox of {bound} bytes")
    return losses


def delete_runs(connection: sqlite3.Connection, run_ids: Iterable[str], *, keep_spooled: bool = False) -> None:
    """Remove runs with all that belongs to them; `keep_spooled` where a spool file may now be the only copy."""
    keys = [(run_id,) for run_id in run_ids]
    for table in ("event", "run") if keep_spooled else ("event", "run", "spooled"):
        connection.executemany(f"DELETE FROM {table} WHERE run_id = ?", keys)


def _drop_delivered(connection: sqlite3.Connection, keep: str) -> bool:
    found = connection.execute(
        "SELECT run_id FROM run WHERE state = 'delivered' AND run_id <> ? ORDER BY changed LIMIT ?", (keep, _STEP_RUNS)
    ).fetchall()
    delete_runs(connection, [row[0] for row in found])
    return bool(found)


def _shorten_oldest(connection: sqlite3.Connection) -> bool:
    for level in range(len(PARTS)):
        found = connection.execute(
            "SELECT seq FROM event WHERE shortened & 255 = ? ORDER BY seq LIMIT ?", (level, _STEP_EVENTS)
        ).fetchall()
        for (seq,) in found:
            body, shortened = connection.execute("SELECT body, shortened FROM event WHERE seq = ?", (seq,)).fetchone()
            try:
                event = unseal(body)
            except ValueError:
                shortened = len(PARTS)
            else:
                shortened = shorten(event, shortened)
                body = repack(event)
            connection.execute("UPDATE event SET body = ?, shortened = ? WHERE seq = ?", (body, shortened, seq))
        if found:
            return True
    return False


def _drop_oldest(connection: sqlite3.Connection, keep: str, bound: int) -> List[Loss]:
    found = connection.execute(
        "SELECT run_id, state, why FROM run WHERE run_id <> ? AND state <> 'taken' "
        "ORDER BY state <> 'dead', last_seq LIMIT 1",
        (keep,),
    ).fetchall()
    delete_runs(connection, [row[0] for row in found], keep_spooled=True)
    return [
        Loss(run_id, f"dropped: the outbox is over its bound of {bound} bytes ({state}: {why or 'not delivered yet'})")
        for run_id, state, why in found
    ]
