"""Query listeners of Python processes that are gone: each costs an error with its stack in the driver's log a query.

Python's end on Databricks is announced to nobody (databricks.md 3.7, 11), so the next one that starts takes them off.
"""
from __future__ import annotations

import logging
import threading
from typing import Any

_LOG = logging.getLogger(__name__)
_UNREACHABLE = ("Py4JNetworkException", "ConnectException", "communication channel")
"""What the JVM says of a proxy whose Python does not listen any more; one that merely raises is alive."""

_ENTRIES = "org$apache$spark$util$ListenerBus$$listenersPlusTimers"
"""The bus's own list of (listener, timer): its `removeListener` compares, and for that it would ask the dead."""

ANSWER_SECONDS = 5
"""A Python that takes longer is frozen or busy, and may come back."""


def sweep_in_background(context: Any) -> None:
    """`sweep` on a thread of its own."""
    threading.Thread(target=_sweep_quietly, args=(context,), name="adb_lineage-sweep", daemon=True).start()


def sweep(context: Any) -> int:
    """Take off the dead ones among the query listeners of all sessions; how many there were. Raises what Py4J raises.

    `context` is the SparkContext. A session's query listeners stand behind one listener of the bus.
    """
    utilities = context._jvm.java.util
    pool = utilities.concurrent.ForkJoinPool(1)  # its threads are daemons
    removed = 0
    try:
        for bus in list(context._jsc.sc().listenerBus().listeners()):
            if str(bus.getClass().getSimpleName()) != "ExecutionListenerBus":
                continue
            entries = getattr(bus, _ENTRIES)()
            dead = utilities.Collections.newSetFromMap(utilities.IdentityHashMap())
            for entry in list(entries):
                listener = entry._1()
                if "Proxy" in str(listener.getClass().getName()) and _is_dead(context._jvm, pool, listener):
                    dead.add(entry)
                    removed += 1
            entries.removeAll(dead)  # by identity, and at once: others may sweep, come and go meanwhile
    finally:
        pool.shutdownNow()
    return removed


def _sweep_quietly(context: Any) -> None:
    try:
        sweep(context)
    except Exception as error:  # noqa: BLE001 - a fork whose bus has other members keeps its dead proxies
        _LOG.debug("not swept: %r", error)


def _is_dead(jvm: Any, pool: Any, proxy: Any) -> bool:
    """Ask it for its name, on a thread that is the JVM's own.

    The thread that serves this Python (Py4J's ClientServer) sends callbacks over its own connection, whomever they are
    for: a question put there would reach an object of ours that has the same id.
    """
    invoke = jvm.java.lang.invoke
    name = invoke.MethodType.methodType(jvm.java.lang.Class.forName("java.lang.String"))
    method = invoke.MethodHandles.publicLookup().findVirtual(jvm.java.lang.Class.forName("java.lang.Object"),
                                                             "toString", name)
    ask = invoke.MethodHandleProxies.asInterfaceInstance(
        jvm.java.lang.Class.forName("java.util.concurrent.Callable"), method.bindTo(proxy))
    try:
        pool.submit(ask).get(ANSWER_SECONDS, jvm.java.util.concurrent.TimeUnit.SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever Py4J makes of it, the text tells
        return any(word in f"{error}" for word in _UNREACHABLE)
    return False
