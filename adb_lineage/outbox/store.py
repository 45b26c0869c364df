"""One SQLite database of runs and their events: the statements behind `Outbox`, each in one transaction."""
from __future__ import annotations

import sqlite3
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from adb_lineage.database import Database, storable
from adb_lineage.outbox import lease, room, shorten, spooled
from adb_lineage.outbox.clock import Clock
from adb_lineage.outbox.envelope import Envelope, unseal
from adb_lineage.outbox.model import STATES, RunEvents, RunInfo, SpoolFile, StoreOptions, Token, Verdict

_READY = "state IN ('new', 'waiting') AND (due <= :now OR due > :horizon)"
_MINE = "run_id = :run_id AND owner = :owner AND state = 'taken'"
_LOADED = "run_id, last_seq, time, attempts, size, terminal, left_out"
_AHEAD_SECONDS = 86_400.0
_MARKS_KEPT = 100_000


class Store:
    """Runs and events in one `Database`. Raises sqlite3.Error and OSError; `Outbox` decides what follows from them."""

    def __init__(self, database: Database, options: StoreOptions, clock: Clock, place: str) -> None:
        self.database = database
        self._options = options
        self._clock = clock
        self.place = place

    @property
    def max_bytes(self) -> int:
        """Bound of the database."""
        return self._options.max_bytes

    def append(self, envelopes: Sequence[Envelope], *, again: bool = False) -> List[room.Loss]:
        """Store events in one commit; what had to go for them. An event already stored only counts with `again`."""
        return self.database.run(lambda connection: self._append(connection, envelopes, again))

    def _append(self, connection: sqlite3.Connection, envelopes: Sequence[Envelope], again: bool) -> List[room.Loss]:
        losses: List[room.Loss] = []
        for envelope in envelopes:
            known = connection.execute(
                "SELECT seq FROM event WHERE run_id = ? AND digest = ?", (envelope.run_id, envelope.digest)
            ).fetchone()
            if known:
                if again:
                    self._reopen(connection, envelope.run_id)
                continue
            losses += room.make_room(
                connection,
                need=len(envelope.body),
                used=lambda: self.database.used_bytes(connection),
                bound=self._options.max_bytes,
                keep=envelope.run_id,
            )
            seq = connection.execute(
                "INSERT INTO event(run_id, digest, terminal, size, shortened, body) VALUES(?, ?, ?, ?, ?, ?)",
                (
                    envelope.run_id,
                    envelope.digest,
                    envelope.terminal,
                    envelope.size,
                    envelope.shortened,
                    envelope.body,
                ),
            ).lastrowid
            self._enter(connection, envelope, int(seq or 0))
        return losses

    def _enter(self, connection: sqlite3.Connection, envelope: Envelope, seq: int) -> None:
        """Bring the row of the run up to the event that has just been stored."""
        now = self._clock.time()
        # A clock far ahead somewhere must not make its runs the newest for ever.
        time = now if envelope.time is None else min(envelope.time, now + _AHEAD_SECONDS)
        run = connection.execute(
            "SELECT state, due, terminal, open_seq, events, size FROM run WHERE run_id = ?", (envelope.run_id,)
        ).fetchone()
        if run is None:
            connection.execute(
                "INSERT INTO run(run_id, state, due, terminal, open_seq, last_seq, events, size, time, arrived, "
                "changed) VALUES(?, 'new', ?, ?, ?, ?, 1, ?, ?, ?, ?)",
                (
                    envelope.run_id,
                    now if envelope.terminal else now + self._options.incomplete_seconds,
                    envelope.terminal,
                    seq,
                    seq,
                    envelope.size,
                    time,
                    now,
                    now,
                ),
            )
            return
        state, due, terminal, open_seq, events, size = run
        terminal = bool(terminal or envelope.terminal)
        ready = now if terminal else now + self._options.incomplete_seconds
        if state in ("delivered", "dead"):
            state, due, open_seq = "new", ready, seq
        elif state == "new":
            due = min(due, ready)
        elif state == "taken" and (due == 0 or ready < due):
            due = ready
        dropped_events, dropped_size = self._bound_run(connection, envelope, events + 1, size + envelope.size)
        connection.execute(
            "UPDATE run SET state = ?, due = ?, terminal = ?, open_seq = ?, last_seq = ?, events = ?, size = ?, "
            "left_out = left_out + ?, time = max(time, ?), arrived = ?, changed = ? WHERE run_id = ?",
            (
                state,
                due,
                terminal,
                open_seq,
                seq,
                events + 1 - dropped_events,
                size + envelope.size - dropped_size,
                dropped_events,
                time,
                now,
                now,
                envelope.run_id,
            ),
        )

    def _bound_run(self, connection: sqlite3.Connection, envelope: Envelope, events: int, size: int) -> Tuple[int, int]:
        """Keep a run's first event and its newest ones; how many events and bytes of JSON went."""
        gone_events = gone_size = 0
        while events - gone_events > 2 and (
            events - gone_events > self._options.run_events or size - gone_size > self._options.run_bytes
        ):
            seq, length = connection.execute(
                "SELECT seq, size FROM event WHERE run_id = ? ORDER BY terminal, seq LIMIT 1 OFFSET 1",
                (envelope.run_id,),
            ).fetchone()
            connection.execute("DELETE FROM event WHERE seq = ?", (seq,))
            gone_events += 1
            gone_size += length
        return gone_events, gone_size

    def _reopen(self, connection: sqlite3.Connection, run_id: str) -> None:
        connection.execute(
            "UPDATE run SET state = 'new', due = 0, attempts = 0, why = '', changed = ?, "
            "open_seq = (SELECT min(seq) FROM event WHERE event.run_id = run.run_id) "
            "WHERE run_id = ? AND state IN ('delivered', 'dead', 'waiting')",
            (self._clock.time(), run_id),
        )

    def join(self, owner: str) -> None:
        """Be counted among those who may deliver."""
        self.database.run(lambda connection: lease.join(connection, owner))

    def part(self, owner: str) -> bool:
        """No longer be counted; whether others are, who live."""
        return self.database.run(lambda connection: lease.part(connection, owner))

    def hold(self, owner: str, seconds: float, note: str = "", until: float = 0.0) -> bool:
        """Take or renew the lease; False when a living process has it."""
        now = self._clock.monotonic()
        return self.database.run(lambda connection: lease.hold(connection, owner, seconds, now, storable(note), until))

    def give_back(self, owner: str) -> None:
        """What the owner had taken is new again; it keeps the lease."""
        self.database.run(lambda connection: lease.give_back(connection, owner))

    def holder(self) -> Optional[lease.Lease]:
        """The lease, if somebody alive has it."""
        held = self.database.run(lease.read, write=False)
        return held if held is not None and held.alive(self._clock.monotonic()) else None

    def release(self, owner: str) -> None:
        """Give the lease and everything taken back."""
        self.database.run(lambda connection: lease.release(connection, owner))

    def ready(self) -> bool:
        """Whether `take` would find a run, lease apart."""
        return self.database.run(
            lambda connection: connection.execute(f"SELECT 1 FROM run WHERE {_READY} LIMIT 1", self._now()).fetchone()
            is not None,
            write=False,
        )

    def take(self, owner: str, *, runs: int, max_bytes: int, suspects_from: int, suspects: bool) -> List[RunEvents]:
        """Ready runs, the often tried last; see `Outbox.take`."""

        def work(connection: sqlite3.Connection) -> List[Tuple[Any, ...]]:
            chosen: List[Tuple[Any, ...]] = []
            room_left = max_bytes
            for row in connection.execute(
                f"SELECT {_LOADED} FROM run WHERE {_READY} ORDER BY attempts, due LIMIT :runs",
                dict(self._now(), runs=runs),
            ):
                suspect = row[3] >= suspects_from
                room_left -= row[4]
                if (chosen or not suspects) and suspect or chosen and room_left < 0:
                    break
                chosen.append(row)
                if suspect:
                    break
            connection.executemany(
                "UPDATE run SET state = 'taken', owner = ?, due = 0 WHERE run_id = ?",
                [(owner, row[0]) for row in chosen],
            )
            return chosen

        return [self._load(row, owner) for row in self.database.run(work)]

    def peek(self) -> Iterator[RunEvents]:
        """Every open run with its events, in order of arrival; nothing is changed."""
        for row in self.database.run(
            lambda connection: connection.execute(
                f"SELECT {_LOADED} FROM run WHERE open_seq IS NOT NULL ORDER BY open_seq"
            ).fetchall(),
            write=False,
        ):
            yield self._load(row, "")

    def _load(self, row: Tuple[Any, ...], owner: str) -> RunEvents:
        run_id, last_seq, time, attempts, size, terminal, gone = row
        events, left_out = self.events(run_id, last_seq)
        if gone:
            left_out = (*left_out, f"{gone} events")
        token = Token(run_id, last_seq, owner, self.place)
        return RunEvents(run_id, events, (token,), time, attempts, size, bool(terminal), left_out)

    def events(self, run_id: str, up_to: Optional[int] = None) -> Tuple[List[Dict[str, Any]], Tuple[str, ...]]:
        """The events of a run and what the size policy or damage took from them."""
        events: List[Dict[str, Any]] = []
        left_out: Dict[str, None] = {}
        for body, shortened in self.database.run(
            lambda connection: connection.execute(
                "SELECT body, shortened FROM event WHERE run_id = ? AND seq <= ? ORDER BY seq",
                (run_id, (1 << 62) if up_to is None else up_to),
            ).fetchall(),
            write=False,
        ):
            try:
                events.append(unseal(body))
            except ValueError as error:
                left_out[str(error)] = None
            left_out.update(dict.fromkeys(shorten.names(shortened)))
        return events, tuple(left_out)

    def settle(self, verdicts: Sequence[Verdict], marks: Mapping[str, float]) -> None:
        """The runs are delivered or dead, unless events came in between; `marks` keeps the largest value of a key."""

        def work(connection: sqlite3.Connection) -> None:
            # A run that got events since it was taken is open again; only the present taker may settle.
            connection.executemany(
                "UPDATE run SET owner = NULL, why = :why, changed = :now, "
                "state = CASE WHEN last_seq > :seq THEN 'new' ELSE :state END, "
                "due = CASE WHEN last_seq > :seq THEN due ELSE 0 END, "
                "attempts = CASE :state WHEN 'dead' THEN attempts + 1 ELSE 0 END, "
                "open_seq = CASE WHEN last_seq > :seq THEN :seq + 1 END "
                f"WHERE {_MINE}",
                [
                    {**self._taken(verdict.token), "state": verdict.state, "why": storable(verdict.why)}
                    for verdict in verdicts
                ],
            )
            connection.executemany(
                "INSERT INTO mark(key, value) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value "
                "WHERE excluded.value > value",
                [(storable(key), value) for key, value in marks.items()],
            )

        self.database.run(work)

    def wait(self, tokens: Iterable[Token], until: float, why: str, *, blame: bool) -> None:
        """Try the runs again at `until` (epoch seconds); `blame` counts an attempt against them."""
        rows = [{**self._taken(token), "due": until, "why": storable(why), "blame": blame} for token in tokens]
        self.database.run(
            lambda connection: connection.executemany(
                "UPDATE run SET owner = NULL, why = :why, changed = :now, state = 'waiting', due = :due, "
                f"attempts = attempts + :blame WHERE {_MINE}",
                rows,
            )
        )

    def _taken(self, token: Token) -> Dict[str, Any]:
        return {"run_id": token.run_id, "owner": token.owner, "seq": token.seq, "now": self._clock.time()}

    def marks(self, keys: Sequence[str]) -> Dict[str, float]:
        """The marks that are known of these keys."""

        def work(connection: sqlite3.Connection) -> Dict[str, float]:
            query = "SELECT key, value FROM mark WHERE key = ?"
            found = (connection.execute(query, (storable(key),)).fetchone() for key in keys)
            return {row[0]: row[1] for row in found if row}

        return self.database.run(work, write=False)

    def retry(self, run_ids: Optional[Sequence[str]] = None) -> int:
        """Make dead and waiting runs (these, or all) new; how many there were."""
        return self._change(
            "UPDATE run SET state = 'new', due = 0, attempts = 0, why = '', open_seq = coalesce(open_seq, 0) "
            "WHERE state IN ('dead', 'waiting')",
            run_ids,
        )

    def drop(self, run_ids: Optional[Sequence[str]] = None) -> int:
        """Remove dead runs (these, or all) with their events; how many there were."""

        def work(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT run_id FROM run WHERE state = 'dead'").fetchall()
            chosen = [row[0] for row in found if run_ids is None or row[0] in set(run_ids)]
            room.delete_runs(connection, chosen)
            return len(chosen)

        return self.database.run(work)

    def forget(self, run_id: str, up_to: int) -> None:
        """Remove a run, whatever its state, unless it has an event beyond this number."""

        def work(connection: sqlite3.Connection) -> None:
            found = connection.execute("SELECT last_seq FROM run WHERE run_id = ?", (run_id,)).fetchone()
            if found and found[0] <= up_to:
                room.delete_runs(connection, [run_id])

        self.database.run(work)

    def _change(self, statement: str, run_ids: Optional[Sequence[str]]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            if run_ids is None:
                return int(connection.execute(statement).rowcount)
            return sum(int(connection.execute(f"{statement} AND run_id = ?", (key,)).rowcount) for key in run_ids)

        return self.database.run(work)

    def runs(self, states: Sequence[str], limit: int) -> List[RunInfo]:
        """Runs in these states, oldest change first."""
        marks = ", ".join("?" * len(states))
        return [
            RunInfo(*row)
            for row in self.database.run(
                lambda connection: connection.execute(
                    f"SELECT run_id, state, why, attempts, events, size, changed, due FROM run "
                    f"WHERE state IN ({marks}) ORDER BY changed, run_id LIMIT ?",
                    (*states, limit),
                ).fetchall(),
                write=False,
            )
        ]

    def counts(self) -> Dict[str, int]:
        """Runs in each state."""
        counts = dict.fromkeys(STATES, 0)
        counts.update(
            self.database.run(
                lambda connection: connection.execute("SELECT state, count(*) FROM run GROUP BY state").fetchall(),
                write=False,
            )
        )
        return counts

    def position(self) -> int:
        """The number of the newest event."""
        return self.database.run(
            lambda connection: int(
                (connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone() or (0,))[0]
            ),
            write=False,
        )

    def pending(self, up_to: int) -> Tuple[int, Optional[float]]:
        """Of the events up to this number: how many runs are ready or being delivered, and when the first waiting
        run is due (epoch seconds; None when none waits)."""

        def work(connection: sqlite3.Connection) -> Tuple[int, Optional[float]]:
            values = dict(self._now(), seq=up_to)
            active = connection.execute(
                f"SELECT count(*) FROM run WHERE open_seq <= :seq AND (state = 'taken' OR {_READY})", values
            ).fetchone()[0]
            due = connection.execute(
                "SELECT min(due) FROM run WHERE open_seq <= :seq AND state = 'waiting' AND due > :now", values
            ).fetchone()[0]
            return int(active), due

        return self.database.run(work, write=False)

    def spooled(self, path: str, runs: Iterable[Tuple[str, int]]) -> None:
        """These runs, up to an event each, lie in this spool file."""
        self.database.run(lambda connection: spooled.add(connection, path, runs))

    def unspooled(self, states: Sequence[str], limit: int, complete: bool, seconds: float) -> List[Token]:
        """Runs whose newest event lies in no spool file, unchanged for so many seconds."""
        now = self._clock.time()
        found = self.database.run(
            lambda connection: spooled.missing(
                connection, states, limit, complete=complete, before=now - seconds, now=now
            ),
            write=False,
        )
        return [Token(run_id, seq, "", self.place) for run_id, seq in found]

    def spool_files(self) -> List[SpoolFile]:
        """All spool files that are known here."""
        return self.database.run(spooled.files, write=False)

    def rename_spool(self, path: str, new_path: str) -> None:
        """The spool file has another name now."""
        self.database.run(lambda connection: spooled.rename(connection, path, new_path))

    def forget_spool(self, path: str) -> None:
        """The spool file is gone."""
        self.database.run(lambda connection: spooled.forget(connection, path))

    def tidy(self, limit: int = 500) -> int:
        """Remove delivered runs whose time is over, at most `limit`, and give free pages back; how many went."""
        now = self._clock.time()

        def work(connection: sqlite3.Connection) -> int:
            keep = self._options.keep_seconds
            old = [
                row[0]
                for row in connection.execute(
                    "SELECT run_id FROM run WHERE state = 'delivered' AND changed < ? AND (terminal OR changed < ?) "
                    "LIMIT ?",
                    (now - keep, now - 8 * keep, limit),
                )
            ]
            room.delete_runs(connection, old)
            connection.execute(
                "DELETE FROM mark WHERE rowid <= (SELECT max(rowid) FROM mark) - ?", (_MARKS_KEPT,)
            )
            return len(old)

        removed = self.database.run(work)
        self.database.shrink()
        return removed

    def _now(self) -> Dict[str, float]:
        now = self._clock.time()
        return {
            "now": now,
            "horizon": now + max(self._options.incomplete_seconds, self._options.retry_seconds) + 60.0,
        }
