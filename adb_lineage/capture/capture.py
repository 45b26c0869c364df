"""The capture thread: polls a tap, turns each finished query into events, gives them to the OpenLineage client."""
from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Protocol, Tuple

from adb_lineage.capture.analysis import Analysis, Means, Output, analyse, analyse_stream
from adb_lineage.capture.capabilities import Capabilities
from adb_lineage.capture.context import Environment
from adb_lineage.capture.datasets import Dataset, from_path, in_file_system
from adb_lineage.capture.describing import Limits
from adb_lineage.capture.events import Application, RunEvents, build_events, build_stream_event, identity
from adb_lineage.capture.executions import Captured, Executions
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.memory import Memory
from adb_lineage.capture.places import Places
from adb_lineage.capture.plan import Node
from adb_lineage.capture.readers import Reading, Write
from adb_lineage.capture.readers.streams import sink
from adb_lineage.capture.secrets import without_secrets
from adb_lineage.capture.streams import StreamRun, Streams
from adb_lineage.capture.surroundings import Surroundings, default_root
from adb_lineage.capture.tap import Finished, Tap

POLL_SECONDS = 1.0
DRAIN_MILLISECONDS = 5000
STATEMENT_CHARACTERS = 500
STATEMENT_DEPTH = 4
CHECKPOINTS = frozenset(("checkpoint", "localCheckpoint"))
# Where PySpark's calls arrive in the JVM, which says nothing of the user's line.
CALL_SITE = re.compile(r" at (?:NativeMethodAccessorImpl\.java|<unknown>):\d+$")
OURS_FAILED = ("capture failed: ", "not emitted: ")
REMEMBERED_COMMANDS = 50
METRICS = {"rows": "numOutputRows", "bytes": "numOutputBytes", "files": "numFiles"}


class Emitter(Protocol):
    """What takes the events: the OpenLineage client."""

    def emit(self, event: Any) -> None:
        """Take one event; may raise."""


class Notes(Protocol):
    """The record of what became of every query."""

    def note(self, run_id: str, **facts: Any) -> None:
        """Merge facts into the row of a run."""


@dataclass(frozen=True)
class CaptureOptions:
    """What is emitted, and the budget of each query."""

    limits: Limits = Limits()
    logical_plan: bool = False


class Capture:
    """One thread for one Spark application. Nothing it meets reaches the user's program."""

    def __init__(self, tap: Tap, application: Application, environment: Environment, emitter: Emitter, record: Notes,
                 options: CaptureOptions, *, clock: Callable[[], float] = time.monotonic,
                 work: Callable[[], float] = time.thread_time) -> None:
        self.tap = tap
        self.application = application
        self.counters: Dict[str, int] = {"captured": 0, "skipped": 0, "repeated": 0, "failed": 0, "not_emitted": 0}
        self.round_trips = 0
        self.last_error = ""
        self._environment = environment
        self._emitter = emitter
        self._record = record
        self._options = options
        self._clock = clock
        self._work = work
        self._capabilities = Capabilities()
        self._executions = Executions()
        self._surroundings: Dict[str, Surroundings] = {}
        self._commands: Deque[int] = deque(maxlen=REMEMBERED_COMMANDS)
        self._memory = Memory()
        self._streams = Streams(self._stream_analysis, self._emit_stream, self._memory.forget_stream)
        self._places = Places()
        self._lost = {"dropped": 0, "unheard": 0, "left": 0}
        self._stop = threading.Event()
        self._busy = True
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="adb_lineage-capture", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still polls."""
        return self._thread.is_alive()

    def flush(self, seconds: float) -> bool:
        """Wait until every query that had finished by now has been emitted; False when the time did not suffice."""
        deadline = self._clock() + seconds
        self.tap.drain(max(1, min(DRAIN_MILLISECONDS, int(seconds * 1000))))
        while self.alive and not self._caught_up():
            if self._clock() > deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self, seconds: float) -> None:
        """Emit what is there within the time, then leave Spark as it was."""
        if self._process != os.getpid():  # a fork has no capture thread of its own
            return
        self.flush(seconds)
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(max(seconds, 2 * POLL_SECONDS))
        try:
            counters = self.tap.counters()
            if counters.get("readers", 1) <= 1:  # what waits, no other process will take
                self._note_lost(counters.get("waiting", 0) + counters.get("leased", 0))
            self.tap.close()
        except Exception as error:  # noqa: BLE001  the gateway may be gone with its JVM
            self.last_error = f"{type(error).__name__}"

    def _caught_up(self) -> bool:
        try:
            counters = self.tap.counters()
        except Exception:  # noqa: BLE001  no JVM, nothing to wait for
            return True
        return counters.get("waiting", 0) == 0 and counters.get("leased", 0) == 0 and not self._busy

    def _run(self) -> None:
        self._prepare()
        while not self._stop.is_set():
            try:
                self._busy = False
                finished = self.tap.poll(POLL_SECONDS)
                self._busy = True
                if finished is not None:
                    self._capture(finished)
                elif self.tap.exhausted():
                    self._streams.abandoned()
                    break
                else:
                    self._note_lost()
            except Exception as error:  # noqa: BLE001  the JVM is gone, or a defect of ours: never the user's concern
                self.last_error = f"{type(error).__name__}: {str(error)[:200]}"
                if _connection_lost(error):
                    break
                self._stop.wait(POLL_SECONDS)
        for captured in self._executions.rest():
            self._emit(captured)
        self._busy = False

    def _prepare(self) -> None:
        """Have the describer compiled before the first query waits for it."""
        try:
            self.tap.describer  # noqa: B018  made when it is first asked for
        except Exception as error:  # noqa: BLE001  the JVM is gone: polling will tell
            self.last_error = f"{type(error).__name__}"

    def _capture(self, finished: Finished) -> None:
        jvm = Jvm(self._options.limits.seconds, self._clock, self._work)
        try:
            if self._of_stream(finished):
                self.tap.done(finished)
                return
            captured = self._job(finished, jvm) if finished.kind == "job" else self._captured(finished, jvm)
        except Exception as error:  # noqa: BLE001  see the module's promise; the record says what happened
            captured = Captured(finished, Analysis("", skipped=f"capture failed: {type(error).__name__}: "
                                                               f"{str(error)[:200]}"))
            self.counters["failed"] += 1
        self.round_trips += jvm.round_trips
        if captured is None:
            self.counters["repeated"] += 1
            self.tap.done(finished)
            return
        captured.seconds, captured.round_trips = jvm.seconds, jvm.round_trips
        stream = finished.stream_run or next(iter(captured.analysis.streams), "")
        if stream and self._streams.add(stream, captured):
            self.counters["repeated"] += 1
            self.tap.done(finished)
            return
        captured.finished = replace(finished, query=None)
        if finished.root_id != finished.execution_id:
            self.tap.done(finished)  # its root may run for hours: until then the JVM need not keep it
        for ready in self._executions.add(captured):
            self._emit(ready)

    def _captured(self, finished: Finished, jvm: Jvm) -> Optional[Captured]:
        """The analysed query; None for one that only shows the result of a command which came before."""
        query = finished.query
        if self._repeats(jvm, query):
            return None
        analysis = analyse(query, self._means(finished, jvm), keep_plan=self._options.logical_plan,
                           remember=finished.function in CHECKPOINTS and not finished.failure,
                           before_rdd=finished.before_rdd, function=finished.function,
                           idle=finished.idle and not finished.failure)
        if analysis.is_command and not finished.failure and self._ran_before(jvm, query):
            return None
        captured = Captured(finished, analysis, self._statement(jvm, query))
        if len(analysis.outputs) == 1 and not finished.failure:
            counted = self._statistics(jvm, query)
            captured.statistics = {analysis.outputs[0].dataset.key: counted} if counted else {}
        return captured

    def _means(self, finished: Finished, jvm: Jvm) -> Means:
        return Means(jvm, self._session(finished, jvm), self._options.limits, self.tap.describer, self._memory,
                     self.tap.rdds, finished.stream_run)

    def _job(self, finished: Finished, jvm: Jvm) -> Captured:
        """An RDD job that wrote, or handed its rows to a function: its sources are those of its RDD."""
        found = self.tap.rdds.sources(finished.query, jvm)
        root = default_root(jvm, jvm.attempt(finished.query, "context"))
        outputs: Tuple[Output, ...] = ()
        if finished.path:
            outputs = (Output(from_path(in_file_system(finished.path, root))),)
        elif not finished.function:
            outputs = (Output(Dataset("unknown", finished.format or "an output without a path", known=False)),)
        inputs = {one.key: one for one in found.datasets}
        notes = list(found.notes)
        for number in found.checkpoints:
            plan = self._memory.of_rdd(number)
            if plan is None:
                notes.append(f"what RDD {number} was made of is not known: it was checkpointed")
            else:
                inputs.update({one.key: one for datasets in plan.leaves.values() for one in datasets})
        name = self.tap.rdds.name(finished.query, jvm) or "RDD"
        skipped = "" if inputs or outputs else "the job reads no dataset"
        return Captured(finished, Analysis(name, tuple(inputs.values()), outputs, skipped=skipped, notes=tuple(notes)))

    def _of_stream(self, finished: Finished) -> bool:
        """Whether this was about a streaming query as such; what runs within its batches is analysed like any query."""
        if finished.kind == "stream":
            self._streams.ended(finished)
            return True
        self._streams.meet(finished)
        if finished.is_batch and finished.stream_run:
            self.counters["repeated"] += 1
            for captured in self._executions.release(finished.execution_id):
                self._streams.add(finished.stream_run, captured)
            self._streams.batch(finished)
            return True
        return False

    def _stream_analysis(self, finished: Finished) -> Captured:
        """A streaming query's own plan, before its sources are replaced by the data of a batch."""
        jvm = Jvm(self._options.limits.seconds, self._clock, self._work)
        execution = finished.stream
        try:
            means = self._means(finished, jvm)
            batch = jvm.attempt(execution, "lastExecution", "analyzed")

            def write(note: Callable[[str], None]) -> Optional[Write]:
                return sink(Reading(Node("", "", {}), batch, jvm, means.surroundings, note), execution)

            # A private field before Spark 3.2.
            plan = jvm.attempt(execution, "analyzedPlan") or jvm.field(execution, "analyzedPlan")
            analysis = analyse_stream(plan, means, write)
        except Exception as error:  # noqa: BLE001  see the module's promise; the record says what happened
            self.counters["failed"] += 1
            analysis = Analysis("StreamingQuery", skipped=f"capture failed: {type(error).__name__}: {str(error)[:200]}")
        self.round_trips += jvm.round_trips
        return Captured(finished, analysis, seconds=jvm.seconds, round_trips=jvm.round_trips)

    def _repeats(self, jvm: Jvm, query: Any) -> bool:
        """Whether a query only shows the result of commands that ran before: of one, or of a multi-insert's."""
        executed = self._capabilities.ask(jvm, "executed_command", query)
        if executed is not None and jvm.class_name(executed).endswith(".Union"):
            executed = jvm.ask(executed, "children", "head")
        return executed is not None and jvm.class_name(executed).endswith(".CommandResult")

    def _ran_before(self, jvm: Jvm, query: Any) -> bool:
        """Whether this very query was captured: its command ran once, whatever is asked of its result.

        Before Spark 3.2, `spark.sql("INSERT …").collect()` is two executions of one QueryExecution.
        """
        ran = int(jvm.ask(query, "hashCode"))  # Java's identity: the class has none of its own
        if ran in self._commands:
            return True
        self._commands.append(ran)
        return False

    def _session(self, finished: Finished, jvm: Jvm) -> Surroundings:
        known = self._surroundings.get(finished.session)
        if known is None:
            if len(self._surroundings) > 1000:
                self._surroundings.clear()
            known = Surroundings.of(jvm, jvm.ask(finished.stream or finished.query, "sparkSession"), self._places)
            self._surroundings[finished.session] = known
        return known

    def _statement(self, jvm: Jvm, query: Any) -> str:
        """The SQL text behind a query, if there is one: of the plan's root or of what it writes."""
        node = jvm.ask(query, "logical")
        for _ in range(STATEMENT_DEPTH):
            text = self._capabilities.ask(jvm, "sql_text", node)
            if text:
                return without_secrets(str(text))
            children = jvm.ask(node, "children")
            if "sql_text" in self._capabilities.missing or int(jvm.call(children, "size")) != 1:
                return ""
            node = jvm.call(children, "apply", 0)
        return ""

    def _statistics(self, jvm: Jvm, query: Any) -> Dict[str, int]:
        plan = jvm.ask(query, "executedPlan")
        if jvm.class_name(plan).endswith(".AdaptiveSparkPlanExec"):
            plan = jvm.ask(plan, "executedPlan")  # what it became at run time
        if jvm.class_name(plan).endswith(".ResultQueryStageExec"):
            plan = jvm.ask(plan, "plan")
        metrics = jvm.ask(plan, "metrics")
        found: Dict[str, int] = {}
        for name, key in METRICS.items():
            metric = jvm.content(jvm.call(metrics, "get", key))
            value = -1 if metric is None else int(jvm.ask(metric, "value"))
            if value >= 0:  # -1 is what a metric begins with that nobody has set
                found[name] = value
        if "executed_command" in self._capabilities.missing and not any(found.values()):
            return {}  # there, who asks for a command's result sets its metrics to zero
        return found

    def _who(self, finished: Finished) -> Dict[str, Any]:
        try:
            return self._environment(finished.properties, finished.session)
        except Exception as error:  # noqa: BLE001  asks Databricks; a query without a name is better than none
            self.last_error = f"{type(error).__name__}: {str(error)[:200]}"
            return {}

    def _emit(self, captured: Captured) -> None:
        """Events of a complete execution go out, its record is written, and the tap may forget it."""
        analysis, finished = captured.analysis, captured.finished
        environment = self._who(finished)
        built: Optional[RunEvents] = None
        reason = analysis.skipped
        try:
            built = build_events(self.application, captured, environment)
            if not reason:
                for event in built.events:
                    self._emitter.emit(event)
        except BaseException as error:  # noqa: BLE001  a transport may raise anything, AtlasException for one
            reason = f"not emitted: {type(error).__name__}: {str(error)[:200]}"
            self.counters["not_emitted"] += 1
        self.counters["skipped" if reason else "captured"] += 1
        run_id = built.run_id if built else identity(self.application, finished)
        self._record.note(run_id, **_facts(captured, reason, {"user": self.application.user, **environment}, built))
        self._remember(captured)
        self.tap.done(finished)

    def _note_lost(self, left: int = 0) -> None:
        """What the tap could not hand over, in the record: one row for the application. `left`: at the end."""
        counters = {**self.tap.counters(), "left": left}
        lost = {name: counters.get(name, 0) for name in self._lost}
        if lost == self._lost:
            return
        self._lost = lost
        words = (f"{lost['dropped']} because queue or memory were full" if lost["dropped"] else "",
                 f"{lost['unheard']} while nobody listened" if lost["unheard"] else "",
                 f"{left} because the program ended before they were captured" if left else "")
        self._record.note(
            self.application.run_id(self.application.started, "lost"), capture="dropped", queries=sum(lost.values()),
            when=_moment(time.time()), reason="; ".join(filter(None, words)))

    def _emit_stream(self, run: StreamRun, state: str, finished: Finished) -> None:
        """A streaming query's run reaches a state: its event goes out, and its record is written."""
        environment = self._who(run.finished)
        reason = run.analysis.skipped
        built = build_stream_event(self.application, run, state, finished, environment)
        try:
            if not reason:
                self._emitter.emit(built.events[0])
        except BaseException as error:  # noqa: BLE001  see _emit
            reason = f"not emitted: {type(error).__name__}: {str(error)[:200]}"
            self.counters["not_emitted"] += 1
        if state == "START":
            self.counters["skipped" if reason else "captured"] += 1
        statement = run.statement or f"streaming query {run.finished.stream_name or run.finished.stream_id}"
        told = replace(finished, execution_id=run.finished.execution_id)
        told_by = {"user": self.application.user, **environment}
        facts = _facts(Captured(told, run.analysis, statement, seconds=run.seconds, round_trips=run.round_trips),
                       reason, told_by, built)
        self._record.note(built.run_id, **facts)

    def _remember(self, captured: Captured) -> None:
        """Where the tables of a finished query lie, for statements that only name them."""
        for dataset in captured.analysis.inputs:
            self._places.remember(dataset)
        if not captured.finished.failure:
            for output in captured.analysis.outputs:
                if output.lifecycle == "DROP":
                    self._places.forget(output.dataset)
                else:
                    if output.previous is not None:
                        self._places.forget(output.previous)
                    self._places.remember(output.dataset)


def _facts(captured: Captured, reason: str, environment: Mapping[str, Any],
           built: Optional[RunEvents]) -> Dict[str, Any]:
    """A query's row in the record: when, who, where, which statement, what was found, what it cost."""
    analysis, finished = captured.analysis, captured.finished
    state = "failed" if reason.startswith(OURS_FAILED) else "skipped" if reason else "captured"
    return {
        "when": _moment(finished.ended / 1000),
        "execution": finished.execution_id,
        "function": finished.function,
        "user": environment.get("user", ""),
        "notebook": environment.get("spark.databricks.notebook.path", ""),
        "databricks_job": environment.get("spark.databricks.job.id", ""),
        "databricks_run": environment.get("spark.databricks.job.runId", ""),
        "cell": (environment.get("adb_lineage.run") or {}).get("commandRunId", ""),
        "job": built.job_name if built else "",
        "statement": (captured.statement or CALL_SITE.sub("", finished.description)
                      or finished.function)[:STATEMENT_CHARACTERS],
        "operation": analysis.root,
        "capture": state,
        "reason": reason,
        "failed": finished.failure.partition("\n")[0][:STATEMENT_CHARACTERS],
        "inputs": [_named(one) for one in analysis.inputs],
        "outputs": [_named(one.dataset) for one in analysis.outputs],
        "columns": sum(len(one.written.columns) for one in analysis.outputs),
        "notes": list(analysis.notes),
        "seconds": round(captured.seconds, 4),
        "round_trips": captured.round_trips,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def _named(dataset: Dataset) -> Tuple[str, str]:
    return dataset.key


def _connection_lost(error: BaseException) -> bool:
    """Whether the JVM is gone for good."""
    return isinstance(error, (ConnectionError, EOFError)) or type(error).__name__ == "Py4JNetworkError"
