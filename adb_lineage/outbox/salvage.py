"""Events out of an outbox that is not in use: one that was set aside as broken, or copied from a driver."""
from __future__ import annotations

import os
import sqlite3
from typing import Any, Dict, Iterator
from urllib.parse import quote

from adb_lineage.outbox.envelope import unseal

_MAGIC = b"SQLite format 3\x00"
_CHUNK = 100


def is_database(path: str) -> bool:
    """Whether a file is an SQLite database, by its first bytes. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def salvage(path: str) -> Iterator[Dict[str, Any]]:
    """Every event that can still be read, oldest first; damaged rows and pages are passed over.

    Raises sqlite3.DatabaseError when nothing of it is readable, or it is no outbox.
    """
    connection = sqlite3.connect(f"file:{quote(os.path.abspath(path))}?mode=ro", uri=True)
    try:
        last = connection.execute("SELECT max(seq) FROM event").fetchone()[0] or 0
        position = 0
        while position < last:
            try:
                rows = connection.execute(
                    "SELECT seq, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (position, _CHUNK)
                ).fetchall()
                following = rows[-1][0] if rows else last
            except sqlite3.DatabaseError:
                # A damaged page within the next hundred: go row by row over them.
                rows, following = [], min(position + _CHUNK, last)
                for seq in range(position + 1, following + 1):
                    rows += _one(connection, seq)
            position = following
            for _, body in rows:
                try:
                    yield unseal(body)
                except ValueError:
                    continue
    finally:
        connection.close()


def _one(connection: sqlite3.Connection, seq: int) -> Any:
    try:
        return connection.execute("SELECT seq, body FROM event WHERE seq = ?", (seq,)).fetchall()
    except sqlite3.DatabaseError:
        return []
