"""Ladder, bucket, breaker: hours in milliseconds."""
from __future__ import annotations

import random
import threading
import time
from typing import Any, Callable, List, Optional

import pytest
from purview_world import FakeClock

from adb_lineage.errors import FixNeeded, RetryLater
from adb_lineage.purview.answers import Answer, NotAllowed, Refused, TooMuch, Unavailable
from adb_lineage.purview.clock import SystemClock
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.retry import Closed, Governor, Patience


def governor(clock: FakeClock, **changes: Any) -> Governor:
    options = PurviewOptions(**{"endpoint": "http://127.0.0.1:1", "rate": 1e9, **changes})
    return Governor(options, clock, random.Random(7))


def failing(times: int, failure: Optional[Callable[[], BaseException]] = None) -> Callable[[], str]:
    left = [times]

    def send() -> str:
        if left[0] > 0:
            left[0] -= 1
            raise failure() if failure else away()
        return "done"

    return send


def away(status: int = 503, retry_after: Optional[float] = None, code: str = "") -> Unavailable:
    return Unavailable(Answer(status, code, "away", retry_after=retry_after))


def test_a_failure_that_passes_is_not_seen_outside(clock: FakeClock) -> None:
    assert governor(clock).run(failing(4)) == "done"
    assert len(clock.sleeps) == 4


def test_the_ladder_is_exponential_with_full_jitter_and_a_cap() -> None:
    highest = [0.0] * 8
    for seed in range(400):
        clock = FakeClock()
        options = PurviewOptions("http://127.0.0.1:1", rate=1e9, tries=9, retry_cap=20.0, retry_budget=1e6)
        Governor(options, clock, random.Random(seed)).run(failing(8))
        highest = [max(old, new) for old, new in zip(highest, clock.sleeps)]
        assert all(0 <= s <= min(2.0 ** n, 20.0) for n, s in enumerate(clock.sleeps))
    for n, value in enumerate(highest):  # the whole range is used
        assert value > 0.9 * min(2.0 ** n, 20.0)


def test_retry_after_beats_the_ladder(clock: FakeClock) -> None:
    governor(clock, retry_budget=100).run(failing(2, lambda: away(429, 17.0)))
    assert all(17.0 <= s <= 17.2 for s in clock.sleeps)


def test_a_retry_after_beyond_the_budget_is_handed_on_at_once(clock: FakeClock) -> None:
    one = governor(clock, retry_budget=60)
    with pytest.raises(RetryLater) as raised:
        one.run(failing(1, lambda: away(429, 300.0)))
    assert raised.value.retry_after == 300.0 and clock.sleeps == []
    with pytest.raises(RetryLater, match="waiting for the catalog") as raised:
        one.run(failing(0))
    assert raised.value.retry_after == pytest.approx(300.0)
    clock.pass_by(300.1)
    assert one.run(failing(0)) == "done"


def test_the_budget_ends_the_ladder(clock: FakeClock) -> None:
    with pytest.raises(RetryLater):
        governor(clock, tries=1000, retry_budget=90).run(failing(1000))
    assert clock.monotonic() <= 90 + 30


@pytest.mark.parametrize(
    "failure", [NotAllowed(Answer(403, "", ""), ""), Refused(Answer(400, "", "")), KeyError("bug")]
)
def test_what_a_repetition_cannot_help_is_raised_at_once(clock: FakeClock, failure: Exception) -> None:
    one = governor(clock)
    with pytest.raises(type(failure)):
        one.run(failing(1, lambda: failure))
    assert clock.sleeps == [] and one.run(failing(0)) == "done"


class TestDivisible:
    def test_too_much_is_raised_at_once_and_is_not_held_against_the_catalog(self, clock: FakeClock) -> None:
        one = governor(clock)
        with pytest.raises(TooMuch):
            one.run(failing(1, lambda: TooMuch(Answer(413, "", ""))), patience=Patience.DIVISIBLE)
        assert clock.sleeps == [] and one.breaker.status() == {"state": "closed"}

    def test_a_server_error_that_may_be_one_entity_is_raised_soon(self, clock: FakeClock) -> None:
        one = governor(clock)
        with pytest.raises(Unavailable):
            one.run(failing(99, lambda: away(500, code="ATLAS-500-00-001")), patience=Patience.DIVISIBLE)
        assert len(clock.sleeps) == 2 and one.breaker.status() == {"state": "closed"}

    def test_what_cannot_be_divided_goes_up_the_whole_ladder(self, clock: FakeClock) -> None:
        one = governor(clock)
        with pytest.raises(RetryLater):
            one.run(failing(99, lambda: TooMuch(Answer(504, "", ""))))
        assert len(clock.sleeps) == 5 and one.breaker.status()["state"] == "open"


class TestBucket:
    def test_the_rate_holds_over_a_quarter_of_an_hour(self, clock: FakeClock) -> None:
        one = governor(clock, rate=20)
        for _ in range(18_000):
            one.run(failing(0))
        assert 898 <= clock.monotonic() <= 900

    def test_the_burst_is_a_second_worth(self, clock: FakeClock) -> None:
        one = governor(clock, rate=20)
        clock.pass_by(1_000)
        for _ in range(20):
            one.run(failing(0))
        assert clock.sleeps == []
        one.run(failing(0))
        assert clock.sleeps == [pytest.approx(0.05)]

    def test_a_rate_below_one(self, clock: FakeClock) -> None:
        one = governor(clock, rate=0.1)
        for _ in range(11):
            one.run(failing(0))
        assert clock.monotonic() == pytest.approx(100)

    def test_throttling_halves_the_rate_and_success_brings_it_back(self, clock: FakeClock) -> None:
        one = governor(clock, rate=20, retry_budget=1e6)
        one.run(failing(3, lambda: away(429)))
        assert 2.5 <= one.bucket.rate <= 3.6
        for _ in range(30):
            one.run(failing(0))
        assert one.bucket.rate == 20

    def test_it_never_stops_altogether(self, clock: FakeClock) -> None:
        one = governor(clock, rate=20)
        for _ in range(100):
            one.bucket.throttled()
        assert one.bucket.rate == 20 / 32

    def test_a_wall_clock_that_jumps_changes_nothing(self, clock: FakeClock) -> None:
        one = governor(clock, rate=20)
        for jump in (1e9, -2e9, 5.0):
            clock.jump(jump)
            one.run(failing(0))
        assert clock.sleeps == []


class TestBreaker:
    def test_it_asks_less_and_less_often_and_recovers_at_once(self, clock: FakeClock) -> None:
        one = governor(clock, breaker_first=15, breaker_cap=600)
        asked: List[float] = []

        def send() -> str:
            asked.append(clock.monotonic())
            raise away()

        end = clock.monotonic() + 6 * 3600
        while clock.monotonic() < end:
            with pytest.raises(RetryLater) as raised:
                one.run(send)
            assert raised.value.retry_after is not None
            clock.pass_by(min(raised.value.retry_after, 700.0))
        after = [b - a for a, b in zip(asked[6:], asked[7:])]
        assert len(asked) < 90  # six hours away; a ladder at first, then one request every five to ten minutes
        assert max(after) <= 605 and min(after[6:]) >= 295
        assert one.breaker.status()["state"] == "open"
        clock.pass_by(600)
        assert one.run(failing(0)) == "done"
        assert one.breaker.status() == {"state": "closed"}

    def test_only_one_request_tests_the_way(self, clock: FakeClock) -> None:
        one = governor(clock)
        with pytest.raises(RetryLater):
            one.run(failing(99))
        clock.pass_by(1_000)
        inside, out = threading.Event(), threading.Event()

        def slow() -> str:
            inside.set()
            out.wait(10)
            return "done"

        thread = threading.Thread(target=one.run, args=(slow,))
        thread.start()
        assert inside.wait(10)
        with pytest.raises(RetryLater, match="waiting for the catalog"):
            one.run(failing(0))
        out.set()
        thread.join(10)
        assert one.run(failing(0)) == "done"

    def test_a_test_that_ends_otherwise_leaves_the_way_open_for_another(self, clock: FakeClock) -> None:
        one = governor(clock)
        with pytest.raises(RetryLater):
            one.run(failing(99))
        clock.pass_by(1_000)
        with pytest.raises(FixNeeded):
            one.run(failing(1, lambda: NotAllowed(Answer(401, "", ""), "")))
        assert one.run(failing(0)) == "done"

    def test_a_refusal_proves_that_the_catalog_is_there(self, clock: FakeClock) -> None:
        one = governor(clock)
        with pytest.raises(RetryLater):
            one.run(failing(99))
        clock.pass_by(1_000)
        with pytest.raises(Refused):
            one.run(failing(1, lambda: Refused(Answer(400, "", ""))))
        assert one.breaker.status() == {"state": "closed"}

    def test_drivers_do_not_come_back_together(self) -> None:
        waits = set()
        for seed in range(20):
            options = PurviewOptions("http://127.0.0.1:1", rate=1e9)
            one = Governor(options, FakeClock(), random.Random(seed))
            with pytest.raises(RetryLater) as raised:
                one.run(failing(99))
            waits.add(raised.value.retry_after)
        assert len(waits) == 20


def test_closing_wakes_what_waits() -> None:
    options = PurviewOptions("http://127.0.0.1:1", retry_first=60, retry_cap=60)
    one = Governor(options, SystemClock(), random.Random(1))
    raised: List[BaseException] = []

    def call() -> None:
        try:
            one.run(failing(99))
        except RetryLater as failure:
            raised.append(failure)

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.1)
    one.close()
    thread.join(5)
    assert not thread.is_alive() and isinstance(raised[0], Closed)


def test_no_more_than_so_many_at_once() -> None:
    one = Governor(PurviewOptions("http://127.0.0.1:1", rate=1e9, concurrency=3), SystemClock())
    lock, now, most = threading.Lock(), [0], [0]

    def send() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1

    threads = [threading.Thread(target=one.run, args=(send,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most[0] == 3
