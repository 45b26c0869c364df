"""When undelivered events go to the spool, when those of other drivers come in, and when a file has done its work."""
from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from adb_lineage import spool
from adb_lineage.delivery.options import DeliveryOptions
from adb_lineage.errors import GiveUp
from adb_lineage.outbox import Clock, Outbox, Token

_FILE_RUNS = 2000
_IMPORT_EVENTS = 200
_CHECK_SECONDS = 5.0
_LOAD_SECONDS = 900.0
_OPEN = ("new", "taken", "waiting")


class Spooling:
    """The link between one outbox and one spool folder. Methods raise OSError and sqlite3.Error.

    A spooled run stays in the outbox: whoever delivers it first, here or on another driver, wins, and delivering it
    twice changes nothing. The outbox remembers which file holds which run, so that a file goes when its runs arrived.
    """

    def __init__(self, outbox: Outbox, options: DeliveryOptions, clock: Clock) -> None:
        self._outbox = outbox
        self._options = options
        self._clock = clock
        self._spool = spool.Spool(options.spool_dir, clock=clock.time)
        self._last_success = clock.monotonic()
        self._next_check = clock.monotonic()
        self._next_load = clock.monotonic()
        self._unnoted: List[Tuple[str, List[Token]]] = []
        """Files that we wrote and that the outbox does not know of yet, because it did not take a note of them."""
        self._unread: Optional[OSError] = None
        self.written = 0
        """Runs that this process spooled."""

    def arrived(self) -> None:
        """Something was delivered just now."""
        self._last_success = self._clock.monotonic()

    def tend(self, failing: bool) -> bool:
        """What there is to do from time to time, and whether it was time; `failing`: the catalog is away."""
        now = self._clock.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + _CHECK_SECONDS
        self._note_written()
        if now >= self._next_load:
            self._next_load = now + _LOAD_SECONDS
            self.load()
        self._write_if_due(failing)
        self.sweep()
        if self._unread is not None:  # to be told until it is tried again
            raise self._unread.with_traceback(None)
        return True

    def load(self) -> int:
        """Bring in what other drivers left; how many events. A file that can't be read does not hold up the others."""
        loaded = 0
        self._unread = None
        for path in self._spool.claim():
            try:
                loaded += self._load(path)
            except OSError as error:
                self._unread = error
                self._spool.unclaim(path)  # another driver's user may be allowed to
        return loaded

    def _load(self, path: str) -> int:
        loaded = 0
        run_ids: Dict[str, None] = {}
        events: List[Dict[str, Any]] = []
        faulty: List[str] = []
        for line in spool.read(path):
            if line.fault:
                faulty.append(line.text)
                continue
            events.append(line.event)
            if len(events) == _IMPORT_EVENTS:
                run_ids.update(dict.fromkeys(self._append(events, faulty)))
                loaded += len(events)
                events = []
        run_ids.update(dict.fromkeys(self._append(events, faulty)))
        loaded += len(events)
        if faulty:
            self._spool.keep_faulty(path, faulty)
        self._outbox.loaded(path, list(run_ids))
        return loaded

    def sweep(self) -> None:
        """Remove files whose runs have all arrived; keep hold of the claimed others.

        What lay in a file that is gone counts as not spooled: it may have been the only copy.
        """
        files = self._outbox.spool_files()
        gone = set(self._spool.missing(file.path for file in files)) if files else set()
        for file in files:
            if file.path in gone:
                self._outbox.forget_spool(file.path)
            elif file.open or file.lost or (file.dead and spool.is_dead_letter(file.path)):
                renewed = self._spool.renew(file.path)
                if renewed != file.path:
                    self._outbox.rename_spool(file.path, renewed)
            else:
                self._spool.remove(file.path)
                self._outbox.forget_spool(file.path)

    def leave(self) -> None:
        """At the end: spool all that has not arrived, the dead apart, and give claimed files back."""
        try:
            self.sweep()
        finally:  # a file that can't be removed must not keep the others from being written
            self._write(_OPEN)
            self._write(("dead",))
        for file in self._outbox.spool_files():
            self._spool.unclaim(file.path)

    def _write_if_due(self, failing: bool) -> None:
        """Complete runs only: of an incomplete one this driver may still see the end."""
        options = self._options
        quiet = self._clock.monotonic() - self._last_success >= options.spool_seconds
        if quiet and self._outbox.unspooled(_OPEN, limit=1, complete=True, seconds=options.spool_seconds):
            self._write(_OPEN, complete=True)
        elif failing:
            waiting = self._outbox.unspooled(_OPEN, limit=options.spool_runs, complete=True)
            if len(waiting) >= options.spool_runs:
                self._write(_OPEN, complete=True)

    def _write(self, states: Iterable[str], *, complete: bool = False) -> None:
        while True:
            written = {token for _, tokens in self._unnoted for token in tokens}
            found = self._outbox.unspooled(tuple(states), limit=_FILE_RUNS + len(written), complete=complete)
            tokens = [token for token in found if token not in written][:_FILE_RUNS]
            if not tokens:
                return
            path = self._spool.write(self._events(tokens), dead="dead" in states)
            self._unnoted.append((path, tokens))
            self.written += len(tokens)
            self._note_written()

    def _note_written(self) -> None:
        """Tell the outbox which files hold what; where its disk is full, the next time."""
        with suppress(sqlite3.Error, OSError):
            for note in list(self._unnoted):
                self._outbox.spooled(*note)
                with suppress(ValueError):  # a worker that hangs and the thread that takes leave may both be here
                    self._unnoted.remove(note)

    def _events(self, tokens: Iterable[Token]) -> Iterator[Dict[str, Any]]:
        for run_id in dict.fromkeys(token.run_id for token in tokens):
            yield from self._outbox.events(run_id)

    def _append(self, events: List[Dict[str, Any]], faulty: List[str]) -> List[str]:
        if not events:
            return []
        try:
            return self._outbox.extend(events)
        except GiveUp:
            run_ids: List[str] = []
            for event in events:
                try:
                    run_ids += self._outbox.extend([event])
                except GiveUp:
                    faulty.append(spool.line_of(event))
            return run_ids
