"""The record: what became of every query, for `status()` and `adb-lineage explain`.

One row a run, newest kept. Capture notes what it saw, delivery what it did, each from a thread of its own; another
process may read at any time. A note costs no disk flush: SQLite in WAL mode with `synchronous=NORMAL` loses at most
the last rows, and those only when the machine itself dies.
"""
from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter, OrderedDict
from typing import Any, Callable, Dict, List, Mapping

from adb_lineage.database import Database, private_path, storable

_SCHEMA = """
CREATE TABLE note(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    noted REAL NOT NULL,
    changed REAL NOT NULL,
    facts TEXT NOT NULL
)
"""
_VERSION = 1
_PENDING_ROWS = 2000
_PRUNE_EVERY = 200
_ROW_CHARACTERS = 64 << 10
_SHORT_CHARACTERS = 64


class Record:
    """What became of every query: `path` is a file of its own beside the outbox, `rows` the number of runs kept.

    Facts with a meaning of their own in `coverage`: `capture` ("captured", "skipped", "failed", "dropped"), `reason`
    (in words, for what was skipped), `queries` (how many the row stands for, 1 when it is not there), `failed` (what
    Spark said of a statement that failed) and `delivery` ("delivered", "waiting", "dead", "skipped", "preview").
    """

    def __init__(
        self,
        path: str,
        *,
        rows: int = 20_000,
        busy_seconds: float = 1.0,
        retry_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(
            private_path(path), _SCHEMA, _VERSION, synchronous="NORMAL", busy_seconds=busy_seconds
        )
        self._retry_seconds = retry_seconds
        self._rows = rows
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: OrderedDict[str, Dict[str, Any]] = OrderedDict()
        self._lost = 0
        self._noted = 0
        self._blocked_until = 0.0

    @property
    def path(self) -> str:
        """The file in use (`:memory:` for none)."""
        return self._database.path

    def note(self, run_id: str, **facts: Any) -> None:
        """Merge JSON-able facts into the row of that run; a fact that is None is taken away. Never raises."""
        self.note_all({run_id: facts})

    def note_all(self, facts: Mapping[str, Mapping[str, Any]]) -> None:
        """`note` for many runs in one transaction. Never raises.

        Notes that the file does not take now (locked, disk full) wait in memory, the newest 2,000 runs of them.
        """
        with self._lock:
            for run_id, new in facts.items():
                self._pending.setdefault(storable(run_id), {}).update(new)
            if self._blocked_until <= time.monotonic():
                self._write_pending()
            while len(self._pending) > _PENDING_ROWS:
                self._pending.popitem(last=False)
                self._lost += 1

    def _write_pending(self) -> None:
        try:
            self._database.run(self._merge)
        except (sqlite3.Error, OSError):
            self._blocked_until = time.monotonic() + self._retry_seconds
        else:
            self._pending.clear()

    def rows(self, last: int = 20) -> List[Dict[str, Any]]:
        """The newest `last` rows, newest first: `{"run_id", "noted", "changed", ...facts}`, times as epoch seconds."""
        found = self._read(
            lambda connection: connection.execute(
                "SELECT run_id, noted, changed, facts FROM note ORDER BY seq DESC LIMIT ?", (last,)
            ).fetchall()
        )
        return [
            {"run_id": run_id, "noted": noted, "changed": changed, **json.loads(facts)}
            for run_id, noted, changed, facts in found
        ]

    def row(self, run_id: str) -> Dict[str, Any]:
        """The facts of one run; empty for a run that is not known (any more)."""
        found = self._read(
            lambda connection: connection.execute("SELECT facts FROM note WHERE run_id = ?", (run_id,)).fetchall()
        )
        return dict(json.loads(found[0][0])) if found else {}

    def coverage(self) -> Dict[str, Any]:
        """Counts over the rows kept: `{"seen", "since", "capture": {...}, "delivery": {...}, "skipped": {reason: n},
        "failed_in_spark", "notes_lost"}`; `since` is the epoch second of the oldest row, None without rows."""
        capture: Counter[str] = Counter()
        delivery: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        seen = 0
        failed = 0
        since = None
        for noted, text in self._read(
            lambda connection: connection.execute("SELECT noted, facts FROM note ORDER BY seq").fetchall()
        ):
            facts = json.loads(text)
            since = noted if since is None else min(since, noted)
            queries = int(facts.get("queries", 1))
            seen += queries
            failed += bool(facts.get("failed"))
            for counter, key in ((capture, "capture"), (delivery, "delivery")):
                if facts.get(key):
                    counter[str(facts[key])] += queries
            if facts.get("capture") == "skipped":
                skipped[str(facts.get("reason", "no reason given"))] += 1
        return {
            "seen": seen,
            "since": since,
            "capture": dict(capture),
            "delivery": dict(delivery),
            "skipped": dict(skipped),
            "failed_in_spark": failed,
            "notes_lost": self._lost,
        }

    def close(self) -> None:
        """Close the file; a later note opens it again. Never raises."""
        try:
            self._database.close()
        except sqlite3.Error:
            self._lost += len(self._pending)

    def _read(self, work: Callable[[sqlite3.Connection], List[Any]]) -> List[Any]:
        try:
            return self._database.run(work, write=False)
        except (sqlite3.Error, OSError):
            return []

    def _merge(self, connection: sqlite3.Connection) -> None:
        now = self._clock()
        for run_id, new in self._pending.items():
            found = connection.execute("SELECT facts FROM note WHERE run_id = ?", (run_id,)).fetchone()
            merged: Dict[str, Any] = json.loads(found[0]) if found else {}
            merged.update(new)
            text = _encode(merged)
            if found:
                connection.execute("UPDATE note SET facts = ?, changed = ? WHERE run_id = ?", (text, now, run_id))
            else:
                connection.execute(
                    "INSERT INTO note(run_id, noted, changed, facts) VALUES(?, ?, ?, ?)", (run_id, now, now, text)
                )
                self._noted += 1
        if self._noted >= _PRUNE_EVERY:
            self._noted = 0
            connection.execute("DELETE FROM note WHERE seq <= (SELECT max(seq) FROM note) - ?", (self._rows,))


def _encode(facts: Mapping[str, Any]) -> str:
    """JSON of the facts that are not None; the longest ones give way where a row would get too long."""
    texts = {json.dumps(str(key)): _text(value) for key, value in facts.items() if value is not None}
    excess = sum(len(key) + len(text) for key, text in texts.items()) - _ROW_CHARACTERS
    for key in sorted(texts, key=lambda key: -len(texts[key])):
        if excess <= 0:
            break
        length = len(texts.pop(key))
        excess -= length + len(key)
        if length > _SHORT_CHARACTERS:
            texts[key] = json.dumps(f"({length} characters left out)")
            excess += len(texts[key]) + len(key)
    return "{" + ", ".join(f"{key}: {text}" for key, text in texts.items()) + "}"


def _text(value: Any) -> str:
    try:
        return json.dumps(value, default=str)
    except (TypeError, ValueError):  # keys that JSON has not, a list that holds itself
        return json.dumps(repr(value))
