"""Questions to the driver JVM: counted, and bounded in time.

Every call over Py4J is a round trip: about 40 microseconds on a quiet driver, more on a busy one.
"""
from __future__ import annotations

import time
from typing import Any, Callable, List


class OutOfTime(Exception):
    """The time budget of one query is used up; what is known until here is what there is."""


class Jvm:
    """Asks JVM objects on behalf of one query; `budget` is its wall time in seconds."""

    def __init__(self, budget: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.round_trips = 0
        self._clock = clock
        self._started = clock()
        self._deadline = self._started + budget

    @property
    def seconds(self) -> float:
        """Time since the query's capture began."""
        return self._clock() - self._started

    def check(self) -> None:
        """Raises OutOfTime at the deadline."""
        if self._clock() > self._deadline:
            raise OutOfTime(f"time budget used up after {self.round_trips} round trips")

    def call(self, target: Any, member: str, *arguments: Any) -> Any:
        """One round trip. Raises OutOfTime at the deadline, and what Py4J raises for a member that is not there."""
        self.check()
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
            except OutOfTime:
                raise
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
        except OutOfTime:
            raise
        except Exception:  # noqa: BLE001  Py4J has no type of its own for "no such method"
            return None
