"""Where finished queries come from: the relay in the driver JVM, or a Python listener where that can't be had.

A third kind of tap (client-side capture under Spark Connect) only has to have the same members.
"""
from __future__ import annotations

import os
import queue
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple
from urllib.parse import parse_qsl

from adb_lineage.capture.compiled import compiled_class, package_of
from adb_lineage.capture.describing import Describer, open_describer
from adb_lineage.capture.proxies import sweep_in_background
from adb_lineage.capture.rdd_graph import RddGraph
from adb_lineage.capture.secrets import without_secrets

RELAY_SOURCE = "relay.java"
LEASE_MILLIS = 8_000  # a dead reader's queries go to another within 10 s, polling included
SLEEP_MILLIS = 300_000


class TapUnavailable(Exception):
    """This kind of tap can't be used here; the text says why."""


@dataclass(frozen=True)
class Finished:
    """A finished execution. `query` is the JVM's QueryExecution, times are milliseconds since the epoch.

    `kind` "job" is an RDD job that wrote: `query` is its RDD, `execution_id` its job id, `path` and `format` its
    output. `kind` "stream" is the end of a streaming query. `stream` is the JVM's StreamExecution that this belongs to.
    """

    key: Any
    query: Any
    execution_id: int
    root_id: int
    started: int
    ended: int
    session: str = ""
    function: str = ""
    description: str = ""
    failure: str = ""
    failure_stack: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    kind: str = "query"
    path: str = ""
    format: str = ""
    stream: Any = None
    stream_id: str = ""
    stream_run: str = ""
    stream_name: str = ""
    stream_started: int = 0
    is_batch: bool = False
    """Whether this is a stream's own micro-batch rather than an execution within one."""
    idle: bool = False
    """Whether it is known that no Spark job ran in it, nor inside it; before Spark 3.4 that can't be known."""
    before_rdd: int = 0
    """Of a checkpoint: the RDDs that were there when it ended have smaller numbers."""


class Tap(Protocol):
    """A source of finished queries."""

    kind: str

    @property
    def describer(self) -> Describer:
        """How the plans of its queries are described; made when first asked for."""

    @property
    def rdds(self) -> RddGraph:
        """What follows RDDs to their sources."""

    def poll(self, seconds: float) -> Optional[Finished]:
        """The next finished query, or None after that time."""

    def done(self, finished: Finished) -> None:
        """The query's events are stored; nothing need keep it."""

    def exhausted(self) -> bool:
        """True once Spark has ended and nothing is left to poll."""

    def counters(self) -> Dict[str, int]:
        """What the tap saw and lost: `seen`, `dropped` (queue full), `unheard` (nobody polled); what is `waiting`.

        `rdd_reads`, where it can tell: RDD jobs that only read and were counted alone (repeats, the driver's own data).
        """

    def drain(self, milliseconds: int) -> None:
        """Wait, within the limit, until Spark has handed over what had finished before."""

    def close(self) -> None:
        """Leave Spark as it was."""


class RelayTap:
    """Polls the relay that is compiled in the driver JVM; one relay serves all Python processes of a driver."""

    kind = "relay"

    def __init__(self, context: Any, *, capacity: int, allowed: Sequence[str], session: Optional[str] = None) -> None:
        self._context = context
        self._jvm = context._jvm
        self._bus = context._jsc.sc().listenerBus()
        self._session = session
        self._reader = f"{os.getpid()}:{uuid.uuid4().hex[:8]}"
        try:
            self._relay = self._find(context, capacity, allowed)
        except Exception as error:
            raise TapUnavailable(f"the relay can't be compiled or registered: {_first_line(error)}") from error

    def _find(self, context: Any, capacity: int, allowed: Sequence[str]) -> Any:
        """The relay of this application: another process of the same driver may have registered it already."""
        properties = self._jvm.java.lang.System.getProperties()
        self._key = f"{package_of(RELAY_SOURCE)}.{context.applicationId}"
        relay = properties.get(self._key)
        if relay is None:
            relay = new_relay(context, capacity, allowed)
            first = properties.putIfAbsent(self._key, relay)
            if first is not None:
                return first
            _add_to_queue(self._bus, relay)
        return relay

    @cached_property
    def describer(self) -> Describer:
        """See Tap."""
        return open_describer(self._context)

    @cached_property
    def rdds(self) -> RddGraph:
        """See Tap."""
        return RddGraph(self._context)

    def poll(self, seconds: float) -> Optional[Finished]:
        """See Tap."""
        item = self._relay.take(self._reader, self._session, int(seconds * 1000))
        return None if item is None else _finished(item)

    def done(self, finished: Finished) -> None:
        """See Tap."""
        self._relay.done(self._reader, finished.key)

    def exhausted(self) -> bool:
        """See Tap."""
        return bool(self._relay.exhausted())

    def counters(self) -> Dict[str, int]:
        """See Tap."""
        return {key: int(value) for key, value in parse_qsl(self._relay.counters())}

    def drain(self, milliseconds: int) -> None:
        """See Tap; the bus waits for strangers' queues too, hence the limit."""
        try:
            self._bus.waitUntilEmpty(milliseconds)
        except Exception:  # noqa: BLE001  a time-out, or a bus that has stopped: both are normal here
            return

    def close(self) -> None:
        """Leave; the last reader takes the relay off the bus."""
        self._relay.leave(self._reader)
        if self.counters().get("readers", 0) == 0:
            self._bus.removeListener(self._relay)
            self._jvm.java.lang.System.getProperties().remove(self._key)


class ListenerTap:
    """A Python `QueryExecutionListener` on one session, called back over Py4J: sees that session alone."""

    kind = "listener"

    def __init__(self, context: Any, session: Any, *, capacity: int) -> None:
        from pyspark.java_gateway import ensure_callback_server_started

        self._queue: queue.Queue[Tuple[str, Any, Any, int, float]] = queue.Queue(capacity)
        self._number = 0
        self._counters = {"seen": 0, "dropped": 0, "unheard": 0}
        self._context = context
        try:
            ensure_callback_server_started(context._gateway)
            self._manager = session._jsparkSession.listenerManager()
            holder = context._jvm.java.util.ArrayList()
            holder.add(_Listener(self))
            self._listener = holder.get(0)  # only this reference of the JVM's can be unregistered
            self._manager.register(self._listener)
        except Exception as error:
            raise TapUnavailable(f"no listener can be registered: {_first_line(error)}") from error
        sweep_in_background(context)

    def offer(self, function: str, query: Any, failure: Any, nanoseconds: int) -> None:
        """Called on a thread of Spark's listener bus: note the query and return.

        No call into the JVM from here: it would be served without Unity Catalog's credentials.
        """
        self._counters["seen"] += 1
        try:
            self._queue.put_nowait((function, query, failure, nanoseconds, time.time()))
        except queue.Full:
            self._counters["dropped"] += 1

    @cached_property
    def describer(self) -> Describer:
        """See Tap."""
        return open_describer(self._context)

    @cached_property
    def rdds(self) -> RddGraph:
        """See Tap."""
        return RddGraph(self._context)

    def poll(self, seconds: float) -> Optional[Finished]:
        """See Tap."""
        try:
            function, query, failure, nanoseconds, ended = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        self._number += 1
        end = int(ended * 1000)
        message = "" if failure is None else without_secrets(str(failure.getMessage()))
        return Finished(self._number, query, self._number, self._number, end - nanoseconds // 1_000_000, end,
                        function=function, failure=message)

    def done(self, finished: Finished) -> None:
        """See Tap."""

    def exhausted(self) -> bool:
        """See Tap."""
        return self._queue.empty() and bool(self._context._jsc is None or self._context._jsc.sc().isStopped())

    def counters(self) -> Dict[str, int]:
        """See Tap."""
        return {**self._counters, "waiting": self._queue.qsize()}

    def drain(self, milliseconds: int) -> None:
        """See Tap."""
        try:
            self._context._jsc.sc().listenerBus().waitUntilEmpty(milliseconds)
        except Exception:  # noqa: BLE001  see RelayTap.drain
            return

    def close(self) -> None:
        """Take the listener off the session."""
        self._manager.unregister(self._listener)


class _Listener:
    """What the JVM calls; unknown members answer nothing, as forks have more of them."""

    def __init__(self, tap: ListenerTap) -> None:
        self._tap = tap

    def onSuccess(self, function: str, query: Any, nanoseconds: int) -> None:  # noqa: N802  Spark's name
        self._tap.offer(function, query, None, nanoseconds)

    def onFailure(self, function: str, query: Any, failure: Any) -> None:  # noqa: N802  Spark's name
        self._tap.offer(function, query, failure, 0)

    def toString(self) -> str:  # noqa: N802  Java's name
        return f"adb_lineage:{os.getpid()}:{threading.get_ident()}"

    def hashCode(self) -> int:  # noqa: N802  Java's name
        return id(self) & 0x7FFFFFFF

    def equals(self, other: Any) -> bool:
        return other is self

    class Java:
        """Py4J: the interfaces this object stands for."""

        implements = ["org.apache.spark.sql.util.QueryExecutionListener"]


def new_relay(context: Any, capacity: int, allowed: Sequence[str], *, lease: int = LEASE_MILLIS,
              sleep: int = SLEEP_MILLIS) -> Any:
    """A relay that is on no bus yet.

    It hands out what a reader had taken once that one was silent for `lease` milliseconds, and lets everything go when
    nobody polled for `sleep`.
    """
    lang = context._jvm.java.lang
    relay_class = compiled_class(context, RELAY_SOURCE, "Relay")
    prefixes = context._gateway.new_array(lang.String, len(allowed))
    for position, prefix in enumerate(allowed):
        prefixes[position] = prefix
    arguments = context._gateway.new_array(lang.Object, 5)
    arguments[0] = context._jsc.sc()
    arguments[1] = capacity
    arguments[2] = lang.Long.valueOf(str(lease))
    arguments[3] = lang.Long.valueOf(str(sleep))
    arguments[4] = prefixes
    return relay_class.getConstructors()[0].newInstance(arguments)


def open_tap(context: Any, session_of: Callable[[Any], Any], *, capacity: int, allowed: Sequence[str],
             session_only: bool) -> Tap:
    """The best tap that works here; `session_of` gives the SparkSession of a SparkContext, where it is needed.

    Raises TapUnavailable with the reason of each that does not work.
    """
    reasons: List[str] = []
    own = str(session_of(context)._jsparkSession.sessionUUID()) if session_only else None
    try:
        return RelayTap(context, capacity=capacity, allowed=allowed, session=own)
    except TapUnavailable as error:
        reasons.append(str(error))
    try:
        return ListenerTap(context, session_of(context), capacity=capacity)
    except TapUnavailable as error:
        reasons.append(str(error))
    raise TapUnavailable("; ".join(reasons))


def _add_to_queue(bus: Any, relay: Any) -> None:
    """A queue of its own, so that a slow reader delays nobody; Databricks' bus wants a filter as third argument."""
    try:
        bus.addToQueue(relay, "adb_lineage")
    except Exception as error:  # noqa: BLE001  Py4J has no type of its own for "no such method"
        if "does not exist" not in str(error):
            raise
        bus.addToQueue(relay, "adb_lineage", getattr(bus, "addToQueue$default$3")())


def _finished(item: Any) -> Finished:
    values = dict(parse_qsl(item.header(), keep_blank_values=True))
    properties = {name[2:]: value for name, value in values.items() if name.startswith("p:")}
    execution = int(values["executionId"])
    root = values.get("rootExecutionId") or properties.get("spark.sql.execution.root.id")
    ended = int(values["endTime"])
    kind = values.get("kind", "query")
    stream_run = values.get("streamRun", "")
    return Finished(
        item.id(), item.query(), execution, int(root) if root and kind == "query" else execution,
        int(values.get("startTime", ended)), ended,
        session=values.get("session", ""), function=values.get("executionName", ""),
        description=without_secrets(values.get("description", "")),
        failure=without_secrets(values.get("failureMessage", "")),
        failure_stack=without_secrets(values.get("failureStack", "")), properties=properties,
        kind=kind, path=values.get("path", ""), format=values.get("format", ""),
        stream=item.stream() if stream_run else None, stream_id=values.get("streamId", ""), stream_run=stream_run,
        stream_name=values.get("streamName", ""), stream_started=int(values.get("streamStart", ended)),
        is_batch=values.get("batch") == "true",
        idle=values.get("idle") == "true", before_rdd=_number(values.get("beforeRdd", "")))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
