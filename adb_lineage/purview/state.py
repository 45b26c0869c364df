"""What we remember of a catalog between restarts: lookups, what we wrote, and what was refused.

One SQLite file, shared by the delivery worker and the commands. Everything in it can be found again in the catalog: a
lost or damaged file costs requests, not lineage, so a file that can't be used is replaced by memory. Times are seconds
since the epoch. Rows are kept apart by `target`, the catalog's address.
"""
from __future__ import annotations

import json
import logging
import sqlite3
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.database import MEMORY, Database, private_path, storable

log = logging.getLogger("adb_lineage.purview")

VERSION = 1
BUSY_SECONDS = 10.0
LOOKUPS_KEPT = 30 * 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS lookup (
    target TEXT, type_name TEXT, qualified_name TEXT, found TEXT, checked_at REAL NOT NULL,
    PRIMARY KEY (target, type_name, qualified_name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS written (
    target TEXT, type_name TEXT, qualified_name TEXT, guid TEXT NOT NULL, kind TEXT NOT NULL, content TEXT NOT NULL,
    volatile TEXT NOT NULL, created INTEGER NOT NULL, sent_at REAL NOT NULL, checked_at REAL NOT NULL,
    seen_at REAL NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (target, type_name, qualified_name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    target TEXT, type_name TEXT, qualified_name TEXT, content TEXT NOT NULL, refused_at REAL NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (target, type_name, qualified_name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (
    target TEXT, name TEXT, value TEXT NOT NULL, noted_at REAL NOT NULL, PRIMARY KEY (target, name)) WITHOUT ROWID;
"""


class Found(NamedTuple):
    """An entity that the catalog has. `ours`: we wrote it, and nobody has enriched it since."""

    name: AssetName
    guid: str
    ours: bool = False


class Lookup(NamedTuple):
    """What a lookup gave (None: there is no such entity), and when."""

    found: Optional[Found]
    checked_at: float


class Written(NamedTuple):
    """An entity that we wrote; a row of our bookkeeping."""

    name: AssetName
    guid: str
    kind: str
    """`entity`, `process`, `placeholder`, `column` or `link`."""
    content: str
    """Hash of what was sent, without the volatile attributes; empty when it is to be sent again in any case."""
    volatile: str
    """Hash of the volatile attributes."""
    created: bool
    """The catalog did not have it before."""
    sent_at: float
    checked_at: float
    """When it was last known to exist in the catalog."""
    seen_at: float
    """When a run last asked for it."""
    facts: Mapping[str, Any]


class PastRefusal(NamedTuple):
    """An entity that the catalog refused."""

    content: str
    refused_at: float
    answer: Mapping[str, Any]


class State:
    """The file. Thread-safe, and safe against other processes; never raises for the disk's sake."""

    def __init__(self, path: Optional[str], target: str) -> None:
        self._target = target
        self._trouble = ""
        self._database = self._open(private_path(path) if path else MEMORY)
        self._run(lambda connection: None, write=False)

    @property
    def problem(self) -> str:
        """Why nothing, or not everything, is remembered; empty when all is well."""
        aside = self._database.set_aside
        return self._trouble or (f"a broken file was set aside as {aside}" if aside else "")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def lookups(self, names: Iterable[AssetName]) -> Dict[AssetName, Lookup]:
        """What was looked up of these names before."""
        result = {}
        for name, (found, checked_at) in self._rows("lookup", "found, checked_at", names):
            entity = None
            if found is not None:
                type_name, guid, ours = json.loads(found)
                entity = Found(AssetName(type_name, name.qualified_name), guid, bool(ours))
            result[name] = Lookup(entity, checked_at)
        return result

    def remember(self, results: Mapping[AssetName, Optional[Found]], now: float) -> None:
        """Keep the results of lookups."""
        rows = [
            (*self._key(name), None if e is None else json.dumps([e.name.type_name, e.guid, e.ours]), now)
            for name, e in results.items()
        ]
        self._many("INSERT OR REPLACE INTO lookup VALUES (?,?,?,?,?)", rows)

    def forget(self, names: Iterable[AssetName]) -> None:
        """Drop what lookups gave for these names."""
        self._many(f"DELETE FROM lookup WHERE {_KEY}", [self._key(name) for name in names])

    def written(self, names: Iterable[AssetName]) -> Dict[AssetName, Written]:
        """Our bookkeeping of these names."""
        return {name: Written(name, *_written(row)) for name, row in self._rows("written", _WRITTEN, names)}

    def all_written(self, kind: str = "") -> List[Written]:
        """All our bookkeeping of this catalog, or that of one kind."""
        query = f"SELECT type_name, qualified_name, {_WRITTEN} FROM written WHERE target = ?"
        rows = self._all(query + (" AND kind = ?" if kind else ""), (self._target, kind) if kind else (self._target,))
        return [Written(AssetName(row[0], row[1]), *_written(row[2:])) for row in rows]

    def record(self, rows: Iterable[Written]) -> None:
        """Write rows of our bookkeeping, replacing those of the same name."""
        values = [
            (*self._key(r.name), r.guid, r.kind, r.content, r.volatile, int(r.created), r.sent_at, r.checked_at,
             r.seen_at, json.dumps(r.facts, ensure_ascii=True, sort_keys=True))
            for r in rows
        ]
        self._many("INSERT OR REPLACE INTO written VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", values)

    def checked(self, names: Iterable[AssetName], now: float) -> None:
        """These entities exist in the catalog now."""
        self._many(f"UPDATE written SET checked_at = ? WHERE {_KEY}", [(now, *self._key(name)) for name in names])

    def seen(self, names: Iterable[AssetName], now: float) -> None:
        """A run asks for these entities now."""
        self._many(f"UPDATE written SET seen_at = ? WHERE {_KEY}", [(now, *self._key(name)) for name in names])

    def resend(self, names: Iterable[AssetName]) -> None:
        """Send these entities when a run asks for them next, changed or not."""
        self._many(f"UPDATE written SET content = '' WHERE {_KEY}", [self._key(name) for name in names])

    def unrecord(self, names: Iterable[AssetName]) -> None:
        """These entities are no longer in the catalog."""
        keys = [self._key(name) for name in names]
        self._many(f"DELETE FROM written WHERE {_KEY}", keys)
        self._many(f"DELETE FROM lookup WHERE {_KEY}", keys)

    def refusals(self, names: Iterable[AssetName]) -> Dict[AssetName, PastRefusal]:
        """What was refused of these names."""
        rows = self._rows("refused", "content, refused_at, answer", names)
        return {name: PastRefusal(row[0], row[1], json.loads(row[2])) for name, row in rows}

    def refuse(self, name: AssetName, content: str, answer: Mapping[str, Any], now: float) -> None:
        """Keep a refusal."""
        self._many(
            "INSERT OR REPLACE INTO refused VALUES (?,?,?,?,?,?)",
            [(*self._key(name), content, now, json.dumps(answer))],
        )

    def unrefuse(self, names: Iterable[AssetName]) -> None:
        """These entities were accepted."""
        self._many(f"DELETE FROM refused WHERE {_KEY}", [self._key(name) for name in names])

    def forget_refusals(self) -> None:
        """Try again what was refused: somebody has mended the cause."""
        self._many("DELETE FROM refused WHERE target = ?", [(self._target,)])

    def note(self, name: str) -> Optional[Tuple[str, float]]:
        """A note and when it was made."""
        rows = self._all("SELECT value, noted_at FROM note WHERE target = ? AND name = ?", (self._target, name))
        return (str(rows[0][0]), float(rows[0][1])) if rows else None

    def set_note(self, name: str, value: str, now: float) -> None:
        """Keep a note."""
        self._many("INSERT OR REPLACE INTO note VALUES (?,?,?,?)", [(self._target, name, storable(value), now)])

    def prune(self, now: float) -> None:
        """Drop what is too old to be of use."""
        old = (self._target, now - LOOKUPS_KEPT)
        self._many("DELETE FROM lookup WHERE target = ? AND checked_at < ?", [old])
        self._many("DELETE FROM refused WHERE target = ? AND refused_at < ?", [old])

    def _key(self, name: AssetName) -> Tuple[str, str, str]:
        # A lone surrogate can't be in a catalog either, and its escape keeps names apart.
        return self._target, name.type_name, storable(name.qualified_name)

    def _rows(self, table: str, columns: str, names: Iterable[AssetName]) -> List[Tuple[AssetName, Any]]:
        query = f"SELECT {columns} FROM {table} WHERE {_KEY}"
        wanted = [(name, self._key(name)) for name in dict.fromkeys(names)]

        def work(connection: sqlite3.Connection) -> List[Tuple[AssetName, Any]]:
            rows = ((name, connection.execute(query, key).fetchone()) for name, key in wanted)
            return [(name, row) for name, row in rows if row is not None]

        return (self._run(work, write=False) or []) if wanted else []

    def _all(self, query: str, values: Sequence[Any]) -> List[Any]:
        return self._run(lambda connection: connection.execute(query, values).fetchall(), write=False) or []

    def _many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self._run(lambda connection: connection.executemany(statement, rows) and None, write=True)

    def _run(self, work: Callable[[sqlite3.Connection], Any], write: bool) -> Any:
        for _ in range(2):
            try:
                return self._database.run(work, write=write)
            except (sqlite3.Error, OSError) as failure:
                if "locked" in str(failure):  # another process is busy: this once we do without
                    log.info("state is busy: %s", failure)
                    return None
                self._in_memory(f"{self._database.path}: {failure}")
        return None

    def _in_memory(self, why: str) -> None:
        self._trouble = f"nothing is remembered across restarts: {why}"
        log.info("%s", self._trouble)
        self._database.close()
        self._database = self._open(MEMORY)

    @staticmethod
    def _open(path: str) -> Database:
        # What the file holds can be had again: a commit need not reach the disk at once.
        return Database(path, _SCHEMA, VERSION, synchronous="NORMAL", busy_seconds=BUSY_SECONDS)


_KEY = "target = ? AND type_name = ? AND qualified_name = ?"
_WRITTEN = "guid, kind, content, volatile, created, sent_at, checked_at, seen_at, facts"


def _written(row: Sequence[Any]) -> Tuple[str, str, str, str, bool, float, float, float, Mapping[str, Any]]:
    return row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6], row[7], json.loads(row[8])
