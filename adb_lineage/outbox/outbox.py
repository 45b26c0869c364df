"""The durable queue between the transport and the delivery."""
from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

from adb_lineage.database import MEMORY, Database, private_path
from adb_lineage.errors import FixNeeded, GiveUp
from adb_lineage.outbox.clock import Clock
from adb_lineage.outbox.envelope import Envelope, seal
from adb_lineage.outbox.lease import Lease
from adb_lineage.outbox.model import (
    SCHEMA,
    STATES,
    VERSION,
    RunEvents,
    RunInfo,
    SpoolFile,
    StoreOptions,
    Token,
    Verdict,
)
from adb_lineage.outbox.room import Loss
from adb_lineage.outbox.store import Store
from adb_lineage.record import Record

Result = TypeVar("Result")

_FILE, _MEMORY = "file", "memory"
_BODY_SHARE = 8
"""An event may fill this part of the bound; a longer one is shortened first."""
_BROKEN = (sqlite3.Error, OSError)
_NEWEST = (1 << 63) - 1


class Outbox:
    """A queue of events in `path`, shared by all processes of the driver (mode 0600, WAL).

    `append` is durable when it returns. Where the file fails (no rights, read-only, disk full, locked too long), the
    event is kept in memory, at most `memory_bytes`, delivered from there or moved to the file when that works again;
    `trouble` then says what is wrong. A broken file is set aside, see `adb_lineage.database`. What the size bound
    drops is noted in `record`.

    Threads and processes may use one path at once; a forked child opens the file for itself.
    """

    def __init__(
        self,
        path: str,
        *,
        synchronous: str = "FULL",
        max_bytes: int = 512 << 20,
        memory_bytes: int = 32 << 20,
        incomplete_seconds: float = 3600.0,
        keep_seconds: float = 86_400.0,
        busy_seconds: float = 5.0,
        record: Optional[Record] = None,
        clock: Optional[Clock] = None,
    ) -> None:
        clock = clock or Clock()
        self.path = private_path(path)
        options = StoreOptions(incomplete_seconds=incomplete_seconds, keep_seconds=keep_seconds, max_bytes=max_bytes)

        def database(synchronous: str, **more: bool) -> Store:
            found = Database(self.path, SCHEMA, VERSION, synchronous=synchronous, busy_seconds=busy_seconds, **more)
            return Store(found, options, clock, _FILE)

        # One connection for the threads that append and one for the thread that delivers: neither waits for the other
        # while it reads. The lease needs no disk flush: when the machine dies, it is void anyway.
        self._inbox = database(synchronous)
        self._work = database(synchronous)
        self._lease = database("OFF", checkpoints=False)
        in_memory = replace(options, max_bytes=memory_bytes)
        self._memory = Store(Database(MEMORY, SCHEMA, VERSION, synchronous="OFF"), in_memory, clock, _MEMORY)
        self._in_memory = False
        self._record = record
        self.trouble = ""
        self.appended = threading.Event()
        """Set after each append of this process; the delivery clears it."""

    def append(self, event: Mapping[str, Any], *, again: bool = False) -> None:
        """Store one event; on disk, and synced as `synchronous` says, when this returns.

        An event that is stored already is not stored twice; with `again` it makes its run be delivered once more.
        Raises GiveUp when the event is not a JSON object or is too long, FixNeeded when neither file nor memory takes
        it. A caller inside a user's job records that and goes on.
        """
        self.extend([event], again=again)

    def extend(self, events: Iterable[Mapping[str, Any]], *, again: bool = False) -> List[str]:
        """`append` for several events in one commit, all of them or none; the run of each."""
        envelopes = [seal(event, self._body_limit) for event in events]
        try:
            self._note(self._inbox.append(envelopes, again=again))
            self.trouble = _set_aside([self._inbox, self._work, self._lease])
            if self._in_memory:  # this process may end before anybody takes what memory kept
                self._move_to_file()
        except (*_BROKEN, GiveUp) as error:  # GiveUp: all that is in the file is being delivered just now
            self.trouble = f"{self.path}: {error}; events are kept in memory"
            self._append_to_memory(envelopes, again, error)
        self.appended.set()
        return [envelope.run_id for envelope in envelopes]

    def _append_to_memory(self, envelopes: Sequence[Envelope], again: bool, reason: Exception) -> None:
        try:
            self._note(self._memory.append(envelopes, again=again))
        except _BROKEN as error:
            raise FixNeeded(f"outbox {self.path}: {reason}; memory: {error}") from error
        self._in_memory = True

    def take(
        self,
        owner: str,
        *,
        runs: int,
        lease_seconds: float,
        max_bytes: int = 4 << 20,
        suspects_from: int = 2,
        suspects: bool = True,
    ) -> List[RunEvents]:
        """Runs that are ready, marked as taken by `owner`; none while another living process has the lease.

        Ready is a run with a terminal event, or one whose first undelivered event is `incomplete_seconds` old.
        At most `runs` runs and about `max_bytes` of JSON. A run tried `suspects_from` times or more comes alone, after
        all others, and not at all without `suspects`.
        """
        if self._in_memory:
            self._move_to_file()
        limits: Dict[str, Any] = {
            "runs": runs, "max_bytes": max_bytes, "suspects_from": suspects_from, "suspects": suspects
        }
        found: List[RunEvents] = []
        try:
            if self._hold(owner, lease_seconds) and self._work.ready():
                found = self._work.take(owner, **limits)
        except _BROKEN as error:
            self.trouble = f"{self.path}: {error}"
        if not found and self._in_memory:
            found = self._memory.take(owner, **limits)
        return found

    def with_events(self, run: RunEvents) -> RunEvents:
        """A taken run with the events it was taken with, as they are now."""
        events: List[Dict[str, Any]] = []
        left_out = dict.fromkeys(run.left_out)
        for store, tokens in self._stores_of(run.tokens):
            for token in tokens:
                found, gone = store.events(run.run_id, token.seq)
                events += found
                left_out.update(dict.fromkeys(gone))
        return run._replace(events=events, left_out=tuple(left_out))

    def settle(self, verdicts: Iterable[Verdict], marks: Optional[Mapping[str, float]] = None) -> None:
        """What became of taken runs, in one commit. A run that got events in the meantime is open again.

        `marks`: see `marks`. Raises sqlite3.Error and OSError; to be repeated then.
        """
        by_place: Dict[str, List[Verdict]] = {}
        for verdict in verdicts:
            by_place.setdefault(verdict.token.place, []).append(verdict)
        for place, own in by_place.items():
            self._store(place).settle(own, marks or {})

    def delivered(self, tokens: Iterable[Token]) -> None:
        """These runs have arrived."""
        self.settle(Verdict(token, "delivered") for token in tokens)

    def dead(self, tokens: Iterable[Token], why: str) -> None:
        """Set these runs aside until somebody says `retry`, or a new event of the run comes."""
        self.settle(Verdict(token, "dead", why) for token in tokens)

    def wait(self, tokens: Iterable[Token], until: float, why: str, *, blame: bool = True) -> None:
        """Hand these runs out again at `until` (epoch seconds). `blame` counts an attempt against them."""
        for store, own in self._stores_of(tokens):
            store.wait(own, until, why, blame=blame)

    def marks(self, keys: Sequence[str]) -> Dict[str, float]:
        """High-water marks that `settle` left; unknown keys are absent."""
        if not self._in_memory:
            return self._work.marks(keys)
        # What memory kept must not wait for a file that can't be opened.
        found: Dict[str, float] = {}
        for marks in self._each(lambda store: store.marks(keys)).values():
            for key, value in marks.items():
                found[key] = max(value, found.get(key, value))
        return found

    def join(self, owner: str) -> None:
        """Be counted among those on this driver who may deliver."""
        try:
            self._lease.join(owner)
        except _BROKEN as error:
            self.trouble = f"{self.path}: {error}"

    def part(self, owner: str) -> bool:
        """No longer be counted; whether others are, who live. They look after what is in the file."""
        try:
            return self._lease.part(owner)
        except _BROKEN as error:
            self.trouble = f"{self.path}: {error}"
            return False

    def hold(self, owner: str, lease_seconds: float, note: str = "", until: float = 0.0) -> bool:
        """Take or renew the lease; False while another living process has it.

        `note` and `until` (monotonic seconds) tell the others what the holder waits for. What is in the memory of this
        process needs no lease: with something there the answer is True.
        """
        try:
            return self._hold(owner, lease_seconds, note, until) or self._in_memory
        except _BROKEN as error:
            self.trouble = f"{self.path}: {error}"
            return self._in_memory

    def _hold(self, owner: str, lease_seconds: float, note: str = "", until: float = 0.0) -> bool:
        held = self._lease.holder()  # only reads: the many that follow must not lock the file again and again
        if held is not None and held.owner != owner:
            return False
        return self._lease.hold(owner, lease_seconds, note, until)

    def holder(self) -> Optional[Lease]:
        """Who delivers now."""
        try:
            return self._lease.holder()
        except _BROKEN:
            return None

    def give_back(self, owner: str) -> None:
        """Everything that the owner had taken is new again. Raises sqlite3.Error and OSError; to be repeated then."""
        for store in self._stores:
            store.give_back(owner)

    def release(self, owner: str) -> None:
        """Give the lease and everything taken back."""
        self._each(lambda store: store.release(owner))

    def retry(self, run_ids: Optional[Sequence[str]] = None) -> int:
        """Make dead and waiting runs (these, or all) new; how many there were."""
        return sum(self._each(lambda store: store.retry(run_ids)).values())

    def drop(self, run_ids: Optional[Sequence[str]] = None) -> int:
        """Remove dead runs (these, or all) with their events; how many there were."""
        return sum(self._each(lambda store: store.drop(run_ids)).values())

    def runs(self, states: Sequence[str] = STATES, limit: int = 1000) -> List[RunInfo]:
        """Runs in these states, oldest change first."""
        found = self._each(lambda store: store.runs(states, limit))
        return [info for infos in found.values() for info in infos][:limit]

    def events(self, run_id: str) -> List[Dict[str, Any]]:
        """All stored events of a run, oldest arrival first; empty for an unknown run."""
        return [event for events, _ in self._each(lambda store: store.events(run_id)).values() for event in events]

    def peek(self) -> Iterator[RunEvents]:
        """Every run that has not arrived, dead ones apart, with its events; nothing is taken. Raises FixNeeded."""
        try:
            for store in self._stores:
                yield from store.peek()
        except _BROKEN as error:
            raise FixNeeded(f"outbox {self.path} can't be read: {error}") from error

    def counts(self) -> Dict[str, int]:
        """Runs in each of `STATES`."""
        counts = dict.fromkeys(STATES, 0)
        for found in self._each(lambda store: store.counts()).values():
            for state, number in found.items():
                counts[state] += number
        return counts

    def position(self) -> Mapping[str, int]:
        """A point in the stream of events, for `pending`."""
        return self._each(lambda store: store.position())

    def pending(self, position: Mapping[str, int]) -> Tuple[int, Optional[float]]:
        """Of the runs with undelivered events up to that position: how many are ready or being delivered, and when
        the first one that waits is due (epoch seconds, None when none waits)."""
        found = self._each(lambda store: store.pending(position.get(store.place, 0))).values()
        dues = [due for _, due in found if due is not None]
        return sum(active for active, _ in found), min(dues) if dues else None

    def spooled(self, path: str, tokens: Iterable[Token]) -> None:
        """These runs, up to the event of their token, lie in this spool file.

        Raises sqlite3.Error and OSError; to be repeated then.
        """
        for store, own in self._stores_of(tokens):
            store.spooled(path, [(token.run_id, token.seq) for token in own])

    def loaded(self, path: str, run_ids: Sequence[str]) -> None:
        """These runs, as they are now, came from this spool file."""
        self._each(lambda store: store.spooled(path, [(run_id, _NEWEST) for run_id in run_ids]))

    def unspooled(
        self, states: Sequence[str], *, limit: int, complete: bool = False, seconds: float = 0.0
    ) -> List[Token]:
        """Runs in these states whose newest event lies in no spool file; `complete` ones only, and only those that
        have had no event for so many `seconds`."""
        found = self._each(lambda store: store.unspooled(states, limit, complete, seconds))
        return [token for tokens in found.values() for token in tokens][:limit]

    def spool_files(self) -> List[SpoolFile]:
        """All spool files that are known here, with what is still to come of their runs."""
        found = self._each(lambda store: store.spool_files())
        return [file for files in found.values() for file in files]

    def rename_spool(self, path: str, new_path: str) -> None:
        """The spool file has another name now."""
        self._each(lambda store: store.rename_spool(path, new_path))

    def forget_spool(self, path: str) -> None:
        """The spool file is gone."""
        self._each(lambda store: store.forget_spool(path))

    def tidy(self) -> int:
        """Remove delivered runs that nobody waits for any more; how many went. Called by the delivery now and then."""
        try:
            return self._work.tidy()
        except _BROKEN as error:
            self.trouble = f"{self.path}: {error}"
            return 0

    def close(self) -> None:
        """Close the file. What only memory holds is lost if the file still fails: `Delivery.stop` spools it first."""
        if self._in_memory:
            self._move_to_file()
        for store in (self._lease, self._inbox, self._work):  # the last to close empties the log, with flushes
            store.database.close()

    @property
    def _body_limit(self) -> int:
        return self._inbox.max_bytes // _BODY_SHARE

    @property
    def _stores(self) -> Tuple[Store, ...]:
        return (self._work, self._memory) if self._in_memory else (self._work,)

    def _each(self, work: Callable[[Store], Result]) -> Dict[str, Result]:
        """What `work` gives for the file and, if it holds something, for memory; a file that fails is left out."""
        found: Dict[str, Result] = {}
        for store in self._stores:
            try:
                found[store.place] = work(store)
            except _BROKEN as error:
                self.trouble = f"{self.path}: {error}"
        return found

    def _stores_of(self, tokens: Iterable[Token]) -> List[Tuple[Store, List[Token]]]:
        by_place: Dict[str, List[Token]] = {}
        for token in tokens:
            by_place.setdefault(token.place, []).append(token)
        return [(self._store(place), own) for place, own in by_place.items()]

    def _store(self, place: str) -> Store:
        return self._work if place == _FILE else self._memory

    def _move_to_file(self) -> None:
        """The file works again: let it have what memory kept, delivered or not."""
        seen = self._memory.position()  # another thread may append to memory at any moment
        for info in self._memory.runs(STATES, 1000):
            envelopes = [seal(event) for event in self._memory.events(info.run_id)[0]]
            try:
                self._note(self._inbox.append(envelopes))
            except (*_BROKEN, GiveUp):
                return
            self._memory.forget(info.run_id, seen)
        self._in_memory = False  # before the count, for the same reason
        if any(self._memory.counts().values()):
            self._in_memory = True

    def _note(self, losses: Iterable[Loss]) -> None:
        if self._record is not None:
            self._record.note_all(
                {loss.run_id: {"delivery": "dead", "delivery_reason": loss.why} for loss in losses}
            )


def _set_aside(stores: Iterable[Store]) -> str:
    for store in stores:
        if store.database.set_aside:
            return f"a broken outbox was set aside: {store.database.set_aside}"
    return ""
