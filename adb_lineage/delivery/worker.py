"""The worker thread."""
from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence

from adb_lineage.delivery.batch import Batch, Outcome
from adb_lineage.delivery.doors import Catalog, Translate, Translation
from adb_lineage.delivery.fold import Fold, Group
from adb_lineage.delivery.options import DeliveryOptions
from adb_lineage.delivery.pace import SMALL, Pace
from adb_lineage.delivery.spooling import Spooling
from adb_lineage.errors import FixNeeded, RetryLater
from adb_lineage.outbox import Clock, Outbox, RunEvents, Verdict
from adb_lineage.record import Record

_SUSPECTS_FROM = 2
_HOPELESS_FROM = 8
"""Failed attempts after which a run travels alone, and after which it is given up while others get through."""
_FLUSH_POLL = 0.05
_TIDY_SECONDS = 300.0
_SPOOL_SHARE = 0.3
_SPOOL_SECONDS = 5.0
"""Part of the time to stop in, and most of it, that is kept for spooling."""
_SHORT_SECONDS = 0.2


class Delivery:
    """Takes ready runs from the outbox and brings them to the catalog, in one daemon thread.

    translate  all events of a run in, a `Translation` out
    catalog    a `Catalog`
    record     is told what became of each run

    No exception of a collaborator ends the thread. Nothing is printed or logged: `status` and the record tell.
    A child of a fork never delivers.
    """

    def __init__(
        self,
        outbox: Outbox,
        translate: Translate,
        catalog: Catalog,
        record: Record,
        options: Optional[DeliveryOptions] = None,
        *,
        clock: Optional[Clock] = None,
    ) -> None:
        self._outbox = outbox
        self._translate = translate
        self._catalog = catalog
        self._record = record
        self._options = options or DeliveryOptions()
        self._clock = clock or Clock()
        self._pace = Pace(self._clock)
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._pid = os.getpid()
        self._thread: Optional[threading.Thread] = None
        self._keeper: Optional[threading.Thread] = None
        self._stopping = threading.Event()
        self._progress = threading.Event()
        self._flushing = 0
        self._owed: List[Callable[[], None]] = []
        self._failed_alone: Dict[str, int] = {}
        self._busy_since: Optional[float] = None
        self._tidied = self._clock.monotonic()
        self._last_success: Optional[float] = None
        self._done = dict.fromkeys(("delivered", "skipped", "dead", "preview"), 0)
        self._fault = ""
        # A preview delivers nothing, so what other drivers left is not its to take.
        spools = bool(self._options.spool_dir) and self._options.mode == "deliver"
        self._spooling = Spooling(outbox, self._options, self._clock) if spools else None
        self._spool_fault = ""

    def start(self) -> None:
        """Start the worker; a second call does nothing."""
        if self._thread is not None or self._forked:
            return
        self._thread = threading.Thread(target=self._loop, name="adb_lineage-delivery", daemon=True)
        self._keeper = threading.Thread(target=self._keep_lease, name="adb_lineage-lease", daemon=True)
        self._outbox.join(self._owner)
        self._thread.start()
        self._keeper.start()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was ready when called has been delivered or set aside; False when that takes too long.

        Returns early when the catalog is away for longer than `timeout` seconds. Runs that are not complete yet do
        not count. Whichever process of the driver delivers, this waits for it.
        """
        if self._forked:
            return False
        deadline = self._clock.monotonic() + timeout
        self._flushing += 1
        try:
            position = self._outbox.position()
            self._outbox.appended.set()
            while True:
                self._progress.clear()
                active, due = self._outbox.pending(position)
                if not active and due is None and not self._owed:
                    return True
                left = deadline - self._clock.monotonic()
                hopeless = due is not None and not active and due - self._clock.time() > left
                if left <= 0 or hopeless or self._stopping.is_set() or self._blocked_seconds() > left:
                    return False
                self._clock.wait(self._progress, min(_FLUSH_POLL, left))
        except (sqlite3.Error, OSError):
            return False
        finally:
            self._flushing -= 1

    def stop(self, timeout: float) -> bool:
        """Flush, end the worker and give the lease back, within about `timeout` seconds; a second call does nothing.

        What could not be delivered stays in the outbox; the last of the driver's processes to stop spools it, too.
        True when nothing ready was left.
        """
        if self._forked or self._stopping.is_set():
            return False
        deadline = self._clock.monotonic() + timeout
        reserve = min(timeout * _SPOOL_SHARE, _SPOOL_SECONDS) if self._spooling is not None else 0.0
        done = self.flush(timeout - reserve) if self._thread is not None else False
        self._stopping.set()
        self._outbox.appended.set()
        if self._thread is not None:
            self._thread.join(max(deadline - reserve - self._clock.monotonic(), _SHORT_SECONDS))
            if self._thread.is_alive():
                self._catalog.close()  # what waits in it ends with RetryLater
                self._thread.join(_SHORT_SECONDS)
        others = self._outbox.part(self._owner)
        if self._spooling is not None and not others:
            # A mounted folder can hang; whoever stops us must not.
            leaving = threading.Thread(target=self._leave_spool, name="adb_lineage-spool", daemon=True)
            leaving.start()
            leaving.join(max(deadline - self._clock.monotonic(), _SHORT_SECONDS))
        self._outbox.release(self._owner)
        return done

    def status(self) -> Dict[str, Any]:
        """`state` (idle, delivering, waiting, following, stopped), `why`, `seconds_left` of a wait, counts."""
        blocked = self._blocked_seconds()
        holder = self._outbox.holder()
        if self._forked or self._stopping.is_set() or self._thread is None:
            state = "stopped"
        elif holder is not None and holder.owner != self._owner:
            state = "following"
        elif blocked:
            state = "waiting"
        else:
            state = "idle" if self._busy_since is None else "delivering"
        try:
            counts: Dict[str, int] = self._outbox.counts()
        except (sqlite3.Error, OSError):
            counts = {}
        return {
            "state": state,
            "mode": self._options.mode,
            "why": self._pace.why or (holder.note if holder is not None and blocked else "") or self._fault,
            "seconds_left": round(blocked, 1),
            "outbox": counts,
            "outbox_path": self._outbox.path,
            "outbox_trouble": self._outbox.trouble,
            "last_success": self._last_success,
            "spooled": self._spooling.written if self._spooling is not None else 0,
            "spool_trouble": self._spool_fault,
            **self._done,
        }

    def run_once(self) -> float:
        """One pass of the worker; the seconds to wait before the next one. Raises sqlite3.Error and OSError."""
        blocked = self._pace.blocked_seconds
        lease_seconds = self._options.lease_seconds
        if not self._outbox.hold(self._owner, lease_seconds, self._pace.why, self._pace.blocked_until):
            return lease_seconds / 3
        self._tend_spool(failing=bool(self._pace.why))
        if blocked:
            return min(blocked, self._options.poll_seconds)
        unpaid = self._pay()
        self._busy_since = self._clock.monotonic()
        try:
            taken = self._collect_and_deliver()
        except BaseException:
            # Nobody else would: we live, and have the lease.
            self._acknowledge(partial(self._outbox.give_back, self._owner))
            raise
        finally:
            self._busy_since = None
            self._progress.set()
        if unpaid is not None:
            raise unpaid
        if taken:
            return 0.0
        if self._clock.monotonic() - self._tidied >= _TIDY_SECONDS:
            self._tidied = self._clock.monotonic()
            self._outbox.tidy()
        return self._options.poll_seconds

    def _tend_spool(self, failing: bool) -> None:
        if self._spooling is None:
            return
        try:
            if self._spooling.tend(failing):
                self._spool_fault = ""
        except (sqlite3.Error, OSError) as error:
            self._spool_fault = f"{self._options.spool_dir}: {_words(error)}"

    def _leave_spool(self) -> None:
        try:
            if self._spooling is not None:
                self._spooling.leave()
        except (sqlite3.Error, OSError) as error:
            self._spool_fault = f"{self._options.spool_dir}: {_words(error)}"

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._outbox.appended.clear()
            try:
                pause = self.run_once()
                self._fault = ""
            except BaseException as error:  # noqa: BLE001 - the thread outlives every fault, and the status tells it
                self._fault = _words(error)
                pause = self._options.poll_seconds
            if pause > 0 and not self._stopping.is_set():
                self._clock.wait(self._outbox.appended, pause)

    def _keep_lease(self) -> None:
        """Renew the lease while a batch is under way, but not for a worker that hangs for ever."""
        pause = self._options.lease_seconds / 3
        while not self._clock.wait(self._stopping, pause):
            busy = self._busy_since
            if busy is not None and self._clock.monotonic() - busy < self._options.busy_seconds:
                self._outbox.hold(self._owner, self._options.lease_seconds)

    def _collect_and_deliver(self) -> int:
        """Translate what is ready, up to the bounds, and write it; how many runs there were."""
        options = self._options
        fold = Fold(options.hold_bytes)
        taken = 0
        limit = min(self._pace.limit, options.batch_runs)
        started = self._clock.monotonic()
        while taken < limit and not self._stopping.is_set():
            runs = self._outbox.take(
                self._owner,
                runs=min(options.take_runs, limit - taken),
                lease_seconds=options.lease_seconds,
                max_bytes=options.take_bytes,
                suspects_from=_SUSPECTS_FROM,
                suspects=not taken,
            )
            settled: List[Outcome] = []
            for run in runs:
                translation = self._translation(run, settled)
                if translation is not None:
                    fold.add(run, str(translation.process), translation)
            self._settle(settled)
            taken += len(runs)
            alone = any(run.attempts >= _SUSPECTS_FROM for run in runs)
            patience = options.flush_collect_seconds if self._flushing else options.collect_seconds
            if not runs or alone or self._clock.monotonic() - started >= patience:
                break
        for part in fold.parts(options.write_processes, options.write_bytes):
            self._busy_since = self._clock.monotonic()
            if self._pace.blocked_seconds or self._stopping.is_set():
                runs = [run for group in part for run in group.runs]
                self._wait(runs, self._pace.blocked_seconds, self._pace.why or "stopped", blame=False)
            else:
                self._deliver(Batch(options.target, [group for group in part if self._complete(group)]))
        return taken

    def _translation(self, run: RunEvents, settled: List[Outcome]) -> Optional[Translation]:
        """None for a run that can't be translated, or has nothing to write; it is added to `settled`."""
        try:
            translation = self._translate(run.events)
            if translation.process is not None:
                return translation
            reasons = "; ".join(f"{skip[0]}: {skip[1]}" for skip in translation.skipped) or "it moved no data"
        except BaseException as error:  # noqa: BLE001 - whatever a translation raises concerns its run alone
            settled.append(_dead(run, f"translation failed: {_words(error)}"))
        else:
            facts = {"delivery": "skipped", "delivery_reason": reasons, "left_out": list(run.left_out) or None}
            settled.append(Outcome(run, "delivered", f"skipped: {reasons}", facts))
        return None

    def _complete(self, group: Group) -> bool:
        """Make the translation again where the fold did not keep it."""
        if group.held is None:
            settled: List[Outcome] = []
            group.held = self._translation(self._outbox.with_events(group.newest), settled)
            self._settle(settled)
        if group.held is None or group.held.process != group.process:
            # Its events have been cut by the size policy since: the next pass sees the run as it is now.
            self._wait(group.runs, 0.0, "its events changed meanwhile", blame=True)
            return False
        return True

    def _deliver(self, batch: Batch) -> None:
        options = self._options
        if not batch.runs:
            return
        try:
            if options.mode == "preview":
                outcomes = batch.plan(self._catalog)[1]
            else:
                outcomes = batch.write(self._catalog, self._outbox, self._clock.time())
        except FixNeeded as error:
            self._hold_back(batch, str(error), options.fix_first, options.fix_cap, None, blame=False)
        except RetryLater as error:
            self._retry_later(batch, str(error), error.retry_after)
        except (OSError, MemoryError, ImportError, sqlite3.Error) as error:
            self._retry_later(batch, _words(error), None)
        except BaseException as error:  # noqa: BLE001 - pyapacheatlas raises BaseException; one process is the cause
            self._split(batch, error)
        else:
            self._pace.succeeded()
            self._last_success = self._clock.time()
            if self._spooling is not None:
                self._spooling.arrived()
            self._settle(outcomes)

    def _split(self, batch: Batch, error: BaseException) -> None:
        first, second = batch.halves()
        if not second.runs:
            self._bury(first.runs, f"delivery failed: {_words(error)}")
            return
        for half in (first, second):
            if self._pace.blocked_seconds:
                self._wait(half.runs, self._pace.blocked_seconds, self._pace.why, blame=False)
            else:
                self._deliver(half)

    def _retry_later(self, batch: Batch, why: str, wish: Optional[float]) -> None:
        runs = batch.runs
        if len(runs) == 1 and self._is_hopeless(runs[0]):
            self._bury(runs, f"tried {runs[0].attempts + 1} times while others got through: {why}")
            return
        options = self._options
        self._hold_back(batch, why, options.retry_first, options.retry_cap, wish, blame=len(runs) <= SMALL)

    def _is_hopeless(self, run: RunEvents) -> bool:
        """Whether this run alone keeps failing, not the way: others arrived since it failed before."""
        before = self._failed_alone.get(run.run_id)
        self._failed_alone[run.run_id] = self._pace.successes
        return run.attempts + 1 >= _HOPELESS_FROM and before is not None and self._pace.successes > before

    def _hold_back(
        self, batch: Batch, why: str, first: float, cap: float, wish: Optional[float], *, blame: bool
    ) -> None:
        pause = self._pace.failed(why, len(batch.runs), first, cap, wish)
        self._outbox.hold(self._owner, self._options.lease_seconds, why, self._pace.blocked_until)
        self._wait(batch.runs, pause, why, blame=blame)

    def _wait(self, runs: Sequence[RunEvents], seconds: float, why: str, *, blame: bool) -> None:
        until = self._clock.time() + seconds
        self._record.note_all({run.run_id: {"delivery": "waiting", "delivery_reason": why} for run in runs})
        tokens = _tokens(runs)
        self._acknowledge(partial(self._outbox.wait, tokens, until, why, blame=blame))

    def _bury(self, runs: Sequence[RunEvents], why: str) -> None:
        self._settle([_dead(run, why) for run in runs])

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        # The record first: after a crash in between, the run is delivered and noted once more.
        self._record.note_all({outcome.run.run_id: outcome.facts for outcome in outcomes})
        for outcome in outcomes:
            self._failed_alone.pop(outcome.run.run_id, None)
            self._done[outcome.facts["delivery"]] += 1
        verdicts = [Verdict(token, one.state, one.why) for one in outcomes for token in one.run.tokens]
        marks = {outcome.mark: outcome.run.time for outcome in outcomes if outcome.mark}
        self._acknowledge(partial(self._outbox.settle, verdicts, marks))

    def _acknowledge(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (sqlite3.Error, OSError) as error:
            self._fault = _words(error)
            self._owed.append(action)

    def _pay(self) -> Optional[Exception]:
        """Make the acknowledgements that the outbox did not take; why it still does not. What memory keeps, on a disk
        that is full say, must not wait for that."""
        try:
            while self._owed:
                self._owed[0]()
                self._owed.pop(0)
        except (sqlite3.Error, OSError) as error:
            return error
        return None

    def _blocked_seconds(self) -> float:
        """How long the one who delivers, here or in another process, waits for the catalog."""
        holder = self._outbox.holder()
        if holder is None or holder.owner == self._owner:
            return self._pace.blocked_seconds
        return max(holder.until - self._clock.monotonic(), 0.0)

    @property
    def _forked(self) -> bool:
        return os.getpid() != self._pid


def _dead(run: RunEvents, why: str) -> Outcome:
    return Outcome(run, "dead", why, {"delivery": "dead", "delivery_reason": why})


def _tokens(runs: Sequence[RunEvents]) -> List[Any]:
    return [token for run in runs for token in run.tokens]


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
