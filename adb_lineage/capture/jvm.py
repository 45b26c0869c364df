"""Questions to the driver JVM, counted, and the time that one query's details may cost.

Every call over Py4J is a round trip: about 40 microseconds on a quiet driver, more on a busy one. Their number is
bounded by the number of leaf relations, so datasets are asked for whatever the time; columns, whose cost grows with
the plan, look at the budget as they go.
"""
from __future__ import annotations

import time
from typing import Any, Callable, List

# Waiting (for a processor, for the JVM) may take so many times the budget.
PATIENCE = 12


class OutOfTime(Exception):
    """The time for a query's columns is used up."""


class Jvm:
    """Asks JVM objects on behalf of one query.

    `budget` is in seconds of work: the processor time of this thread, or else the same query would have other columns
    on a busy machine. `clock` is elapsed time, of which there may be PATIENCE times as much.
    """

    def __init__(self, budget: float, clock: Callable[[], float] = time.monotonic,
                 work: Callable[[], float] = time.thread_time) -> None:
        self.round_trips = 0
        self._budget = budget
        self._clock = clock
        self._work = work
        self._started = clock()
        self._work_before = work()

    @property
    def seconds(self) -> float:
        """Time elapsed since the query's capture began."""
        return self._clock() - self._started

    def check(self) -> None:
        """Raises OutOfTime when the budget is used up."""
        if self._work() - self._work_before > self._budget:
            raise OutOfTime(f"the budget of {self._budget:g} s is used up")
        if self.seconds > self._budget * PATIENCE:
            raise OutOfTime(f"the driver is too busy: more than {self._budget * PATIENCE:g} s have passed")

    def call(self, target: Any, member: str, *arguments: Any) -> Any:
        """One round trip. Raises what Py4J raises for a member that is not there."""
        self.round_trips += 1
        return getattr(target, member)(*arguments)

    def ask(self, target: Any, *path: str) -> Any:
        """`target.a().b()` for the path `a`, `b`. A member written `a?` gives a Scala Option; None for an empty one."""
        for member in path:
            if target is None:
                return None
            value = self.call(target, member.rstrip("?"))
            target = self.content(value) if member.endswith("?") else value
        return target

    def content(self, option: Any) -> Any:
        """What a Scala Option holds, or None."""
        if option is None or self.call(option, "isEmpty"):
            return None
        return self.call(option, "get")

    def sequence(self, value: Any) -> List[Any]:
        """The elements of a Scala Seq."""
        return [self.call(value, "apply", position) for position in range(self.call(value, "size"))]

    def lines(self, value: Any) -> List[str]:
        """The elements of a Scala Seq as text, in one round trip."""
        text = str(self.call(value, "mkString", "\n"))
        return text.split("\n") if text else []

    def text(self, value: Any) -> str:
        """`toString` of a JVM object (a path, an enum, a URI); never to be used on plans."""
        return value if isinstance(value, str) else str(self.call(value, "toString"))

    def class_name(self, value: Any) -> str:
        """The full class name of a JVM object, "" for none."""
        return "" if value is None else str(self.ask(value, "getClass", "getName"))

    def field(self, target: Any, name: str) -> Any:
        """A private field, searched in the class and its parents by reflection; None if there is none."""
        kind = self.ask(target, "getClass")
        while kind is not None:
            try:
                field = self.call(kind, "getDeclaredField", name)
            except Exception:  # noqa: BLE001  Py4J has no type of its own for "no such field"
                kind = self.ask(kind, "getSuperclass")
                continue
            self.call(field, "setAccessible", True)
            return self.call(field, "get", target)
        return None

    def attempt(self, target: Any, *path: str) -> Any:
        """As `ask`, but None where a member is missing or fails: forks and versions differ in them."""
        try:
            return self.ask(target, *path)
        except Exception:  # noqa: BLE001  Py4J has no type of its own for "no such method"
            return None
