"""Which spool file holds which run, as the outbox remembers it. Functions on a connection, inside a transaction."""
from __future__ import annotations

import sqlite3
from typing import Dict, Iterable, List, Sequence, Tuple

from adb_lineage.outbox.model import SpoolFile


def add(connection: sqlite3.Connection, path: str, runs: Iterable[Tuple[str, int]]) -> None:
    """These runs, up to an event each, lie in this file; it may be all that is left of one that had to make room."""
    connection.execute("INSERT OR IGNORE INTO spool_file(file) VALUES(?)", (path,))
    connection.executemany(
        "INSERT OR REPLACE INTO spooled(file, run_id, seq) "
        "VALUES(?, ?, min(?, coalesce((SELECT last_seq FROM run WHERE run_id = ?), 0)))",
        [(path, run_id, seq, run_id) for run_id, seq in runs],
    )


def missing(
    connection: sqlite3.Connection, states: Sequence[str], limit: int, *, complete: bool, before: float, now: float
) -> List[Tuple[str, int]]:
    """Runs in these states whose newest event lies in no file, oldest first; with the number of that event.

    `complete`: only those with a terminal event. `before`: only those without an event since (an arrival that lies
    ahead of `now` was noted before the clock was set back).
    """
    marks = ", ".join("?" * len(states))
    return [
        (row[0], row[1])
        for row in connection.execute(
            f"SELECT run_id, last_seq FROM run WHERE state IN ({marks}) AND terminal >= ? "
            "AND (arrived <= ? OR arrived > ?) "
            "AND NOT EXISTS (SELECT 1 FROM spooled WHERE spooled.run_id = run.run_id AND spooled.seq >= run.last_seq) "
            "ORDER BY arrived, rowid LIMIT ?",
            (*states, complete, before, now + 60.0, limit),
        )
    ]


def files(connection: sqlite3.Connection) -> List[SpoolFile]:
    """All files that are known here."""
    found: Dict[str, List[int]] = {}
    for path, state, number in connection.execute(
        "SELECT file, CASE WHEN spooled.run_id IS NULL THEN 'none' ELSE coalesce(state, 'lost') END, count(*) "
        "FROM spool_file LEFT JOIN spooled USING (file) LEFT JOIN run ON run.run_id = spooled.run_id GROUP BY 1, 2"
    ):
        counts = found.setdefault(path, [0, 0, 0])
        if state not in ("none", "delivered"):
            counts[{"dead": 1, "lost": 2}.get(state, 0)] += number
    return [SpoolFile(path, *counts) for path, counts in sorted(found.items())]


def rename(connection: sqlite3.Connection, path: str, new_path: str) -> None:
    """The file has another name now."""
    for table in ("spool_file", "spooled"):
        connection.execute(f"UPDATE {table} SET file = ? WHERE file = ?", (new_path, path))


def forget(connection: sqlite3.Connection, path: str) -> None:
    """The file is gone."""
    for table in ("spool_file", "spooled"):
        connection.execute(f"DELETE FROM {table} WHERE file = ?", (path,))
