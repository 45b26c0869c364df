"""What lies in the outbox: the layout of its database, and the values that go in and out."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Tuple

from adb_lineage.outbox import lease

STATES = ("new", "taken", "waiting", "delivered", "dead")

VERSION = 1
SCHEMA = (
    """
CREATE TABLE event(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    terminal INTEGER NOT NULL,
    size INTEGER NOT NULL,
    shortened INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL,
    UNIQUE (run_id, digest)
);
CREATE INDEX event_to_shorten ON event(shortened & 255, seq);
CREATE TABLE run(
    run_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    due REAL NOT NULL,
    terminal INTEGER NOT NULL,
    open_seq INTEGER,
    last_seq INTEGER NOT NULL,
    events INTEGER NOT NULL,
    size INTEGER NOT NULL,
    left_out INTEGER NOT NULL DEFAULT 0,
    time REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    why TEXT NOT NULL DEFAULT '',
    arrived REAL NOT NULL,
    changed REAL NOT NULL
);
CREATE INDEX run_ready ON run(attempts, due) WHERE state IN ('new', 'waiting');
CREATE INDEX run_open ON run(open_seq) WHERE open_seq IS NOT NULL;
CREATE INDEX run_by_age ON run(state <> 'dead', last_seq);
CREATE INDEX run_settled ON run(state, changed) WHERE state IN ('delivered', 'dead');
CREATE TABLE mark(key TEXT PRIMARY KEY, value REAL NOT NULL);
CREATE TABLE spool_file(file TEXT PRIMARY KEY);
CREATE TABLE spooled(file TEXT NOT NULL, run_id TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (file, run_id));
CREATE INDEX spooled_run ON spooled(run_id);
"""
    + lease.SCHEMA
)

class Token(NamedTuple):
    """What a taker hands back: the run, the last event it saw, itself, and where the run is kept."""

    run_id: str
    seq: int
    owner: str
    place: str


class Verdict(NamedTuple):
    """What became of a taken run: `state` is "delivered" or "dead", `why` a reason for people."""

    token: Token
    state: str
    why: str = ""


class RunEvents(NamedTuple):
    """A run that is ready, with all its stored events, oldest arrival first.

    `time` is the newest eventTime (epoch seconds), `attempts` how often its delivery failed, `size` the bytes of JSON,
    `left_out` names what the size policy took from it, `complete` says whether a terminal event is among the events.
    """

    run_id: str
    events: List[Dict[str, Any]]
    tokens: Tuple[Token, ...]
    time: float
    attempts: int
    size: int
    complete: bool
    left_out: Tuple[str, ...]


class RunInfo(NamedTuple):
    """A run as the commands list it; `changed` and `due` are epoch seconds."""

    run_id: str
    state: str
    why: str
    attempts: int
    events: int
    size: int
    changed: float
    due: float


class SpoolFile(NamedTuple):
    """A spool file and how many of its runs are open, dead, or no longer in the outbox without having arrived."""

    path: str
    open: int
    dead: int
    lost: int


@dataclass(frozen=True)
class StoreOptions:
    """Bounds of one database; seconds and bytes.

    incomplete_seconds  a run without a terminal event is handed out this long after its first unseen event
    keep_seconds        delivered runs stay this long for events that come late; eight times as long without a terminal
    max_bytes           of the file
    run_events          of one run: of a stream's thousands of RUNNING events the oldest go
    run_bytes           of one run's JSON
    retry_seconds       the longest that anybody may ask to wait: a date beyond it shows that the clock was set back
    """

    incomplete_seconds: float = 3600.0
    keep_seconds: float = 86_400.0
    max_bytes: int = 512 << 20
    run_events: int = 256
    run_bytes: int = 64 << 20
    retry_seconds: float = 3600.0
