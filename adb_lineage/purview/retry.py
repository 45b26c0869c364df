"""How hard and how often the catalog is asked: a ladder for one request, a bucket for all, a breaker for bad days."""
from __future__ import annotations

import logging
import random
import threading
from enum import Enum
from typing import Any, Callable, Dict, Optional, TypeVar

import tenacity

from adb_lineage.errors import RetryLater
from adb_lineage.purview.answers import Refused, TooMuch, Unavailable, may_be_content
from adb_lineage.purview.clock import Clock
from adb_lineage.purview.options import PurviewOptions

T = TypeVar("T")
TRIES_IF_DIVISIBLE = 3
log = logging.getLogger("adb_lineage.purview")


class Patience(Enum):
    """How long a request is tried, and what it means when it fails for good."""

    USUAL = "usual"
    """Up the whole ladder; then the catalog is taken to be away."""
    DIVISIBLE = "divisible"
    """The caller can send less at once: what may be due to size or to a part of the content is raised soon, and is
    not held against the catalog."""
    LAST_WORD = "last word"
    """Up the whole ladder, for something that cannot be divided any more; what may be due to its content is still not
    held against the catalog."""


class Closed(RetryLater):
    """The catalog object was closed while a call was waiting."""


class TokenBucket:
    """At most `rate` requests a second, with a second's worth of burst; the rate halves when the catalog throttles.

    It comes back by a twentieth of the full rate with every accepted request, so a throttling catalog settles at the
    rate that it can bear.
    """

    def __init__(self, rate: float, clock: Clock, wake: threading.Event) -> None:
        self._full = rate
        self._rate = rate
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._tokens = max(rate, 1.0)
        self._at = clock.monotonic()

    @property
    def rate(self) -> float:
        """Requests a second that are allowed now."""
        return self._rate

    def take(self) -> None:
        """Wait for the right to send one request; raises `Closed` when woken."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._tokens + (now - self._at) * self._rate, max(self._rate, 1.0))
            self._at = now
            self._tokens -= 1.0  # a debt makes those who come later wait longer, in turn
            wait = -self._tokens / self._rate
        if wait > 0:
            self._clock.sleep(wait, self._wake)
        if self._wake.is_set():
            raise Closed("the catalog was closed")

    def throttled(self) -> None:
        """The catalog said 429 or 503."""
        with self._lock:
            self._rate = max(self._rate / 2, self._full / 32)
            self._tokens = min(self._tokens, 0.0)

    def accepted(self) -> None:
        """The catalog took a request."""
        with self._lock:
            self._rate = min(self._rate + self._full / 20, self._full)


class Breaker:
    """Keeps us from asking a catalog that is away; lets one request through now and then to see if it is back.

    States: `closed` (all is well), `open` (nothing is sent until a time), `testing` (one request is on its way).
    """

    def __init__(self, options: PurviewOptions, clock: Clock, dice: random.Random) -> None:
        self._options = options
        self._clock = clock
        self._dice = dice
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._testing = False
        self._why = ""

    def check(self) -> bool:
        """Whether the next request is a test; raises `RetryLater` with the time left if none may be sent yet."""
        with self._lock:
            if not self._failures:
                return False
            left = self._until - self._clock.monotonic()
            if left > 0 or self._testing:
                raise RetryLater(f"waiting for the catalog to come back: {self._why}", max(left, 1.0))
            self._testing = True
            return True

    def passed(self) -> None:
        """The catalog answered."""
        with self._lock:
            self._failures, self._testing, self._why = 0, False, ""

    def failed(self, why: str, retry_after: Optional[float]) -> float:
        """The ladder of a request is exhausted; the seconds to stay away for, the catalog's own wish first."""
        with self._lock:
            self._testing = False
            pause = min(self._options.breaker_first * 2.0 ** min(self._failures, 32), self._options.breaker_cap)
            # Half of the pause is chance, so that the drivers of a workspace do not come back together.
            pause = retry_after if retry_after is not None else pause * (0.5 + 0.5 * self._dice.random())
            self._failures += 1
            self._until = self._clock.monotonic() + pause
            self._why = why
            return pause

    def gave_way(self) -> None:
        """The request that was to test the catalog ended without an answer to the question."""
        with self._lock:
            self._testing = False

    def status(self) -> Dict[str, Any]:
        """`state`, and for an open breaker `seconds_left` and `why`."""
        with self._lock:
            if not self._failures:
                return {"state": "closed"}
            left = max(self._until - self._clock.monotonic(), 0.0)
            return {"state": "testing" if self._testing else "open", "seconds_left": round(left, 1), "why": self._why}


class Governor:
    """Sends requests by the rules above. One for each catalog, shared by all its threads."""

    def __init__(self, options: PurviewOptions, clock: Clock, dice: Optional[random.Random] = None) -> None:
        self._options = options
        self._clock = clock
        self._dice = dice or random.Random()
        self._closing = threading.Event()
        self._slots = threading.BoundedSemaphore(options.concurrency)
        self.bucket = TokenBucket(options.rate, clock, self._closing)
        self.breaker = Breaker(options, clock, self._dice)
        self.retries = 0

    def close(self) -> None:
        """Wake everything that waits; it raises `Closed`, a `RetryLater`."""
        self._closing.set()

    def pause(self, seconds: float) -> None:
        """Wait; ends early when the catalog is closed."""
        self._clock.sleep(seconds, self._closing)

    def run(self, send: Callable[[], T], patience: Patience = Patience.USUAL) -> T:
        """Call `send` until it succeeds.

        Raises `RetryLater` when tries or time are used up or the breaker is open, and what else `send` raises.
        """
        tries = 1 if self.breaker.check() else self._options.tries
        started = self._clock.monotonic()

        def exhausted(state: tenacity.RetryCallState) -> bool:
            failure = state.outcome.exception() if state.outcome else None
            if patience is Patience.DIVISIBLE and _is_soon(failure, state.attempt_number):
                return True
            wait = failure.retry_after if isinstance(failure, Unavailable) and failure.retry_after else 0.0
            spent = self._clock.monotonic() - started
            # A retry would come too late, or has to come later than this call may last.
            return state.attempt_number >= tries or spent + wait >= self._options.retry_budget

        def pause(state: tenacity.RetryCallState) -> float:
            failure = state.outcome.exception() if state.outcome else None
            if isinstance(failure, Unavailable) and failure.retry_after is not None:
                # Everybody was told the same time: spread out a little behind it.
                return failure.retry_after + self._dice.uniform(0.0, 0.1 * self._options.retry_first)
            step = min(self._options.retry_first * 2.0 ** (state.attempt_number - 1), self._options.retry_cap)
            return self._dice.uniform(0.0, step)

        def say(state: tenacity.RetryCallState) -> None:
            self.retries += 1
            failure = state.outcome.exception() if state.outcome else None
            log.info("try %d failed, next in %.1f s: %s", state.attempt_number, state.upcoming_sleep, failure)

        ladder = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=pause,
            stop=exhausted,
            sleep=lambda seconds: self._clock.sleep(seconds, self._closing),
            before_sleep=say,
            reraise=True,
        )
        try:
            result: T = ladder(self._once, send)
        except Unavailable as failure:
            if patience is not Patience.USUAL and may_be_content(failure):
                self.breaker.gave_way()
                raise
            raise self.away(failure) from failure
        except Refused:
            self.breaker.passed()  # it is there, and it thinks
            raise
        except BaseException:
            self.breaker.gave_way()
            raise
        self.breaker.passed()
        return result

    def away(self, failure: Unavailable) -> Unavailable:
        """Open the breaker for this failure; the error to raise, with the time to wait in it."""
        wait = self.breaker.failed(str(failure.answer), failure.retry_after)
        return Unavailable(failure.answer._replace(retry_after=wait))

    def _once(self, send: Callable[[], T]) -> T:
        with self._slots:
            self.bucket.take()
            try:
                result = send()
            except Unavailable as failure:
                if failure.answer.status in (429, 503):
                    self.bucket.throttled()
                raise
        self.bucket.accepted()
        return result


def _is_soon(failure: Optional[BaseException], attempt: int) -> bool:
    if isinstance(failure, TooMuch):
        return True
    return isinstance(failure, Unavailable) and may_be_content(failure) and attempt >= TRIES_IF_DIVISIBLE
