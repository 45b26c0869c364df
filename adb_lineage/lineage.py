"""`enable`, `disable`, `status`: lineage of this Python process's Spark."""
from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Union

from adb_lineage._version import __version__
from adb_lineage.errors import AdbLineageError
from adb_lineage.settings import Settings, leave_conf

if TYPE_CHECKING:
    from adb_lineage.capture.capture import Capture
    from adb_lineage.databricks.compute import Compute
    from adb_lineage.graph import Graph

# Two copies of the package (cluster library, notebook) share the interpreter, hence not a module's global.
SLOT = "_adb_lineage_active"
WATCH_SECONDS = 0.05
REGISTRATION_SECONDS = 30.0


class Status(Dict[str, Any]):
    """What `status()` answers: a dictionary that a notebook shows as a table."""

    def __str__(self) -> str:
        return "\n".join(f"{key}: {value}" for key, value in self.items())

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(f"<tr><th style='text-align:left'>{escape(str(key))}</th><td>{escape(str(value))}</td></tr>"
                       for key, value in self.items())
        return f"<table>{rows}</table>"


class Lineage:
    """Captures the Spark applications of this process, one after the other, until it is closed."""

    def __init__(self, settings: Union[Settings, Mapping[str, Any], None], transport: Any) -> None:
        self._given = settings
        self._transport = transport
        self.settings = settings if isinstance(settings, Settings) else _load(settings)
        self._client: Any = None
        self._record: Any = None
        self._capture: Optional[Capture] = None
        self._cells: Any = None
        self._jobs: Any = None
        self._state = "waiting for a Spark session"
        self._problem = ""
        self._lock = threading.Lock()
        self._attached = threading.Event()
        self._attaching = False
        self._closed = threading.Event()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._watch, name="adb_lineage-watch", daemon=True)

    def start(self, spark: Any = None) -> None:
        """Begin to watch for Spark; when it runs already, return only when it is tapped, or can't be."""
        from adb_lineage.databricks.compute import recognise

        compute = recognise(spark)
        if not compute.possible:
            self._state, self._problem = "off: see problem", str(self._refusal(compute))
            return
        self._thread.start()
        if spark is not None or _active_context() is not None:
            self._attached.wait(REGISTRATION_SECONDS)

    def _refusal(self, compute: Compute) -> AdbLineageError:
        """What is said where nothing can be captured; the record says it, too, once for this data folder."""
        record = _record(self.settings)
        record.note("compute", capture="skipped", reason=compute.words())
        record.close()
        return AdbLineageError(compute.words())

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all queries that have finished are captured and delivered; False when the time did not suffice."""
        deadline = time.monotonic() + timeout
        self._until_attached(deadline)
        capture = self._capture
        done = capture.flush(max(deadline - time.monotonic(), 0.1)) if capture is not None else not self._attaching
        wait = getattr(getattr(self._client, "transport", None), "wait_for_completion", None)
        if done and wait is not None:
            done = bool(wait(max(deadline - time.monotonic(), 0.0)))
        return done

    def close(self, timeout: Optional[float] = None) -> bool:
        """Stop, within `timeout` seconds (the setting `exit_seconds`); True when all was delivered."""
        if self._process != os.getpid() or self._closed.is_set():
            return False
        deadline = time.monotonic() + (self.settings.exit_seconds if timeout is None else timeout)
        self._until_attached(deadline)
        self._closed.set()
        with self._lock:
            capture, client, cells = self._capture, self._client, self._cells
        if cells is not None:
            cells.detach()
        if capture is not None:
            capture.stop(max(deadline - time.monotonic(), 0.1))
        close = getattr(getattr(client, "transport", None), "close", None)
        done = True if close is None else bool(close(max(deadline - time.monotonic(), 0.1)))
        self._state = "off"
        return done

    def status(self) -> Status:
        """State, tap, counters, delivery, and the newest queries."""
        capture = self._capture
        status = Status(version=__version__, state=self._state)
        if self._problem:
            status["problem"] = self._problem
        status["settings"] = {row.name: row.shown for row in self.settings.rows() if row.source != "default"}
        if self._client is not None:
            status["transport"] = str(self._client.transport.kind or type(self._client.transport).__name__)
        if capture is not None:
            status["tap"] = capture.tap.kind
            status["queries"] = {**_safe_counters(capture), **capture.counters}
            status["round_trips"] = capture.round_trips
            if capture.last_error:
                status["last_error"] = capture.last_error
        if self._jobs is not None and self._jobs.problem:
            status["jobs_api"] = self._jobs.problem
        delivery = getattr(getattr(self._client, "transport", None), "delivery", None)
        if delivery is not None:
            status["delivery"] = delivery.status()
        if self._record is not None:
            status["coverage"] = self._record.coverage()
            status["newest"] = self._record.rows(5)
        return status

    def graph(self, runs: int = 200) -> Graph:
        """The lineage of the newest runs of this driver, from its outbox: a picture in a notebook, a tree in print."""
        from adb_lineage.composition import translate_from_settings
        from adb_lineage.graph import Graph

        outbox = getattr(getattr(self._client, "transport", None), "outbox", None)
        if outbox is None:
            return Graph([])
        translate = translate_from_settings(self.settings)
        return Graph.of_entities(entity for run in outbox.runs(limit=runs)
                                 for entity in translate(outbox.events(run.run_id)).entities())

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def _watch(self) -> None:
        while not self._closed.is_set():
            context = _active_context()
            if context is None:
                self._closed.wait(WATCH_SECONDS)
                continue
            self._attaching = True
            try:
                self._attach(context)
            except AdbLineageError as error:
                self._problem = str(error)
                self._state = "off: see problem"
            except Exception as error:  # noqa: BLE001  never the user's concern
                self._problem = f"{type(error).__name__}: {str(error)[:300]}"
                self._state = "off: see problem"
            self._attaching = False
            self._attached.set()
            while not self._closed.is_set() and _active_context() is context:
                self._closed.wait(WATCH_SECONDS * 4)
            self._detach()

    def _until_attached(self, deadline: float) -> None:
        """Queries wait in the tap from the moment it is there: what takes them may still be in the making."""
        while self._attaching and time.monotonic() < deadline:
            time.sleep(WATCH_SECONDS)

    def _attach(self, context: Any) -> None:
        """Tap a SparkContext: the tap first, as queries may already run, then all that takes longer."""
        from adb_lineage.capture.context import SPARK_PROPERTIES
        from adb_lineage.capture.tap import TapUnavailable, open_tap
        from adb_lineage.databricks.compute import recognise, refused_by
        from adb_lineage.databricks.identity import LOCAL_PROPERTIES

        try:
            tap = open_tap(context, _session, capacity=self.settings.queue_capacity,
                           allowed=LOCAL_PROPERTIES + SPARK_PROPERTIES, session_only=self.settings.session_only)
        except TapUnavailable as error:
            refused = refused_by(error)
            raise (self._refusal(refused) if refused else
                   AdbLineageError(f"Spark can't be listened to here: {error}")) from None
        self._attached.set()
        try:
            configuration = dict(context.getConf().getAll())
            compute = recognise(conf=configuration)
            if not compute.possible:  # what only the conf tells, as of a pipeline
                raise self._refusal(compute)
            leave_conf(configuration, os.environ)
            if not isinstance(self._given, Settings):
                self.settings = _load(self._given, configuration)
            capture = self._build(context, tap, configuration)
        except BaseException:
            tap.close()
            raise
        with self._lock:
            if self._closed.is_set():
                tap.close()
                return
            self._capture = capture
            self._state = "capturing"
            capture.start()

    def _build(self, context: Any, tap: Any, configuration: Mapping[str, str]) -> Capture:
        from adb_lineage.capture.capture import Capture, CaptureOptions
        from adb_lineage.capture.context import script_environment, with_metastore
        from adb_lineage.capture.describing import Limits
        from adb_lineage.capture.events import Application
        from adb_lineage.databricks.driver import Driver
        from adb_lineage.databricks.identity import scheduler

        settings = self.settings
        if self._client is None:
            self._client = _client(settings, self._transport)
            self._record = getattr(self._client.transport, "record", None) or _record(settings)
        host = configuration.get("spark.databricks.workspaceUrl", "")
        environment = script_environment(settings.notebook)
        if host:
            self._jobs = _jobs_api(settings) if settings.jobs_api else None
            driver = Driver(context, conf=configuration, jobs=self._jobs)
            environment = driver.environment
            self._follow_cells(context, driver)
        environment = with_metastore(environment, settings.metastore)
        application = Application(
            str(context.applicationId), str(context.appName), int(context.startTime or 0), str(context.version),
            settings.namespace or host or settings.workspace or "default", host, settings.logical_plan,
            "" if host else str(context.sparkUser()), scheduler(configuration).get("root", {}))
        limits = Limits(settings.capture_seconds, settings.plan_bytes, column_edges=settings.column_edges)
        return Capture(tap, application, environment, self._client, self._record,
                       CaptureOptions(limits, settings.logical_plan))

    def _follow_cells(self, context: Any, driver: Any) -> None:
        """In a notebook: note who runs each cell, and give delivery its moment at the end of it."""
        from adb_lineage.databricks.repl import CellBudget, Cells

        session = str(_session(context)._jsparkSession.sessionUUID())
        cells = Cells(self.flush, driver, session,
                      CellBudget(self.settings.cell_seconds, self.settings.exit_seconds))
        if cells.attach():
            self._cells = cells

    def _detach(self) -> None:
        """The SparkContext has ended: emit what its relay still holds, then wait for the next one."""
        capture = self._capture
        if capture is not None and not self._closed.is_set():
            if self._cells is not None:
                self._cells.detach()
                self._cells = None
            capture.stop(self.settings.exit_seconds)
            self._capture = None
            self._state = "waiting for a Spark session"


def enable(spark: Any = None, *, settings: Union[Settings, Mapping[str, Any], None] = None,
           transport: Any = None) -> Lineage:
    """Capture the lineage of Spark in this process and deliver it; a second call gives the same object.

    spark      a SparkSession; without one the running session is used, or the first that comes
    settings   a `Settings`, or a mapping of names to values that go above all other sources
    transport  any OpenLineage transport; without it the OpenLineage client's own configuration decides, and without
               that, Purview

    Raises SettingsError for an unknown key or a bad value. Nothing else that goes wrong is raised: `status` tells.
    """
    active: Optional[Lineage] = getattr(sys, SLOT, None)
    if active is not None:
        return active
    lineage = Lineage(settings, transport)
    setattr(sys, SLOT, lineage)
    atexit.register(_at_exit, lineage)
    lineage.start(spark)
    return lineage


def disable(timeout: Optional[float] = None) -> bool:
    """Stop capturing, deliver what is there within `timeout` seconds; True when all was delivered."""
    active: Optional[Lineage] = getattr(sys, SLOT, None)
    if active is None:
        return True
    delattr(sys, SLOT)
    atexit.unregister(_at_exit)
    return active.close(timeout)


def status() -> Status:
    """What is captured and what became of it; works when nothing is enabled, too."""
    active: Optional[Lineage] = getattr(sys, SLOT, None)
    if active is not None:
        return active.status()
    from adb_lineage.databricks.compute import recognise

    compute = recognise()
    return Status(version=__version__, state="off", **({} if compute.possible else {"problem": compute.words()}))


def _at_exit(lineage: Lineage) -> None:
    try:
        lineage.close()
    except BaseException:  # noqa: BLE001  the program ends; what is left lies in the outbox
        return


def _load(keywords: Optional[Mapping[str, Any]], configuration: Optional[Mapping[str, str]] = None) -> Settings:
    from adb_lineage.transport import file_config

    return Settings.load(keywords, spark_conf=configuration, file_config=file_config())


def _client(settings: Settings, transport: Any) -> Any:
    """The OpenLineage client: with the given transport, with the one its own configuration names, or with ours."""
    from adb_lineage.openlineage_client import OpenLineageClient
    from adb_lineage.transport import KINDS, PurviewConfig, PurviewTransport, configured_kind

    if transport is not None:
        return OpenLineageClient(transport=transport)
    kind = configured_kind()
    if kind and kind not in KINDS:
        return OpenLineageClient()
    return OpenLineageClient(transport=PurviewTransport(PurviewConfig(settings)))


def _record(settings: Settings) -> Any:
    from adb_lineage.composition import record_from_settings

    return record_from_settings(settings)


def _active_context() -> Any:
    """The running SparkContext of this process, or None; never imports pyspark."""
    module = sys.modules.get("pyspark.core.context") or sys.modules.get("pyspark.context")
    context = getattr(getattr(module, "SparkContext", None), "_active_spark_context", None)
    return context if context is not None and getattr(context, "_jsc", None) is not None else None


def _session(context: Any) -> Any:
    """The session of this Python, which its shell or script has made; made here only when nobody did."""
    from pyspark.sql import SparkSession

    known = getattr(SparkSession, "_instantiatedSession", None)
    return known or SparkSession.getActiveSession() or SparkSession(context)


def _jobs_api(settings: Settings) -> Any:
    """With the identity that also writes to the catalog, in case the notebook's own token is not to be had."""
    from adb_lineage.composition import identity_from_settings
    from adb_lineage.databricks.jobs_api import AZURE_DATABRICKS, from_environment

    identity = lru_cache(maxsize=1)(partial(identity_from_settings, settings, AZURE_DATABRICKS))
    return from_environment(authorization=lambda: identity().authorization())


def _safe_counters(capture: Capture) -> Dict[str, int]:
    try:
        return capture.tap.counters()
    except Exception:  # noqa: BLE001  the JVM is gone
        return {}
