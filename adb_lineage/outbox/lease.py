"""The right to deliver: one process on the driver holds it, and loses it when it dies or falls silent."""
from __future__ import annotations

import os
import sqlite3
from typing import NamedTuple, Optional

SCHEMA = """
CREATE TABLE lease(
    only INTEGER PRIMARY KEY CHECK (only = 1),
    owner TEXT NOT NULL,
    pid INTEGER NOT NULL,
    machine TEXT NOT NULL,
    renewed REAL NOT NULL,
    seconds REAL NOT NULL,
    note TEXT NOT NULL,
    until REAL NOT NULL
);
CREATE TABLE member(owner TEXT PRIMARY KEY, pid INTEGER NOT NULL, machine TEXT NOT NULL)
"""


class Lease(NamedTuple):
    """Who delivers. `renewed` and `until` are monotonic seconds of `machine`; `note` says what the holder waits for."""

    owner: str
    pid: int
    machine: str
    renewed: float
    seconds: float
    note: str
    until: float

    def alive(self, now: float) -> bool:
        """Whether the holder still has the right: it renewed in time, on this boot of this machine, and lives."""
        # A `renewed` that lies ahead was measured before a restart of the machine.
        in_time = self.machine == machine() and 0 <= now - self.renewed <= self.seconds
        return in_time and _lives(self.pid)


def read(connection: sqlite3.Connection) -> Optional[Lease]:
    """The lease as it stands, whether alive or not."""
    row = connection.execute("SELECT owner, pid, machine, renewed, seconds, note, until FROM lease").fetchone()
    return Lease(*row) if row else None


def hold(
    connection: sqlite3.Connection, owner: str, seconds: float, now: float, note: str = "", until: float = 0.0
) -> bool:
    """Take or renew the lease inside a write transaction; False when another owner holds it.

    What the former holder had taken becomes new again.
    """
    held = read(connection)
    if held is None or held.owner != owner:
        if held is not None and held.alive(now):
            return False
        connection.execute("UPDATE run SET state = 'new', owner = NULL, due = 0 WHERE state = 'taken'")
    connection.execute(
        "INSERT OR REPLACE INTO lease(only, owner, pid, machine, renewed, seconds, note, until) "
        "VALUES(1, ?, ?, ?, ?, ?, ?, ?)",
        (owner, os.getpid(), machine(), now, seconds, note, until),
    )
    return True


def release(connection: sqlite3.Connection, owner: str) -> None:
    """Give the lease back, with whatever the owner had still taken."""
    held = read(connection)
    if held is not None and held.owner == owner:
        connection.execute("UPDATE run SET state = 'new', owner = NULL, due = 0 WHERE state = 'taken'")
        connection.execute("DELETE FROM lease")


def give_back(connection: sqlite3.Connection, owner: str) -> None:
    """What the owner had taken becomes new again."""
    connection.execute(
        "UPDATE run SET state = 'new', owner = NULL, due = 0 WHERE state = 'taken' AND owner = ?", (owner,)
    )


def join(connection: sqlite3.Connection, owner: str) -> None:
    """Note that this process may deliver, whether it has the lease or not."""
    connection.execute("INSERT OR REPLACE INTO member(owner, pid, machine) VALUES(?, ?, ?)",
                       (owner, os.getpid(), machine()))


def part(connection: sqlite3.Connection, owner: str) -> bool:
    """Take the note back; whether others are left who live."""
    connection.execute("DELETE FROM member WHERE owner = ?", (owner,))
    here = machine()
    rows = connection.execute("SELECT owner, pid, machine FROM member").fetchall()
    gone = [(other,) for other, pid, where in rows if where != here or not _lives(pid)]
    connection.executemany("DELETE FROM member WHERE owner = ?", gone)
    return len(rows) > len(gone)


def machine() -> str:
    """This boot of this machine, and the process numbers that are valid in it; empty where the system does not say."""
    parts = []
    for source in (_boot_id, _process_namespace):
        try:
            parts.append(source())
        except OSError:
            parts.append("")
    return "/".join(parts)


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _process_namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def _lives(pid: int) -> bool:
    if os.name != "posix":  # os.kill(pid, 0) would end the process on Windows; the age of the lease decides there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
