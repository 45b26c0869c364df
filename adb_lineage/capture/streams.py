"""Streaming queries: a living run for what each of them writes, instead of a run per micro-batch.

A query has one output, and one run from its first batch to its end. What `foreachBatch` writes belongs to the query
too, a run for each dataset: in one run for all of them, each input would seem to reach each output. A batch that adds
nothing new produces nothing.
"""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Callable, Dict, FrozenSet, List, Set, Tuple

from adb_lineage.capture.analysis import Analysis, Output
from adb_lineage.capture.columns import Written
from adb_lineage.capture.datasets import Dataset
from adb_lineage.capture.executions import Captured
from adb_lineage.capture.tap import Finished
from adb_lineage.capture.transformations import Lineage, Source, Ways

MAX_STREAMS = 1000
MAX_RUNS = 1000
"""Datasets that one query writes: of a query that writes a new one in each batch, the oldest are taken as complete."""
MAX_PENDING = 200
"""Executions within a batch that wait for its end."""

Key = Tuple[str, str]
NO_OUTPUT: Key = ("", "")


@dataclass
class StreamRun:
    """What a streaming query makes of its sources in one dataset (or in none): a run that lives as long as the query.

    `state` is the OpenLineage state it has reached, "" before its first event; `seconds` and `round_trips` what it took
    to capture the query's own plan and what its batches wrote here.
    """

    finished: Finished
    analysis: Analysis
    statement: str = ""
    state: str = ""
    known: Set[object] = field(default_factory=set)
    seconds: float = 0.0
    round_trips: int = 0

    @property
    def key(self) -> Key:
        """The dataset it writes."""
        return self.analysis.outputs[0].dataset.key if self.analysis.outputs else NO_OUTPUT


@dataclass
class _Stream:
    first: Finished
    runs: Dict[Key, StreamRun] = field(default_factory=dict)
    pending: List[Captured] = field(default_factory=list)


class Streams:
    """The streaming queries that are heard of. For one thread.

    `analyse` analyses a query's own plan at its first batch; `emit` takes a run with the state to tell of:
    START, RUNNING, COMPLETE, FAIL or ABORT; `forget` is called with the run id of a query that has ended.
    """

    def __init__(self, analyse: Callable[[Finished], Captured], emit: Callable[[StreamRun, str, Finished], None],
                 forget: Callable[[str], None]) -> None:
        self._analyse = analyse
        self._emit = emit
        self._forget = forget
        self._streams: OrderedDict[str, _Stream] = OrderedDict()

    def meet(self, finished: Finished) -> None:
        """Something of a stream is about to be analysed: the stream's own plan has to be known before."""
        run = finished.stream_run
        if not run or run in self._streams or finished.kind == "stream":
            return
        stream = self._streams[run] = _Stream(_slim(finished))
        captured = self._analyse(finished)
        if captured.analysis.outputs:
            self._add(stream, captured, finished)
        else:
            stream.runs[NO_OUTPUT] = StreamRun(_slim(finished), captured.analysis, seconds=captured.seconds,
                                               round_trips=captured.round_trips)
        while len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)

    def add(self, run: str, captured: Captured) -> bool:
        """An execution of a batch that wrote, or would have. False when this query is not known."""
        stream = self._streams.get(run)
        if stream is None:
            return False
        if captured.analysis.outputs and not captured.finished.failure:
            stream.pending.append(replace(captured, finished=_slim(captured.finished)))
            if len(stream.pending) > MAX_PENDING:
                self._settle(stream, captured.finished)
        return True

    def batch(self, finished: Finished) -> None:
        """A micro-batch has ended: what it wrote is complete."""
        stream = self._streams.get(finished.stream_run)
        if stream is None:
            return
        self._settle(stream, finished)
        alone = stream.runs.get(NO_OUTPUT)
        if alone is not None and not alone.state and len(stream.runs) == 1:
            self._tell(alone, "START", finished)

    def ended(self, finished: Finished) -> None:
        """The query has ended, or failed."""
        stream = self._streams.pop(finished.stream_run, None)
        self._forget(finished.stream_run)
        if stream is None:
            return
        self._settle(stream, finished)
        for run in stream.runs.values():
            if not run.state and finished.failure and len(stream.runs) == 1:
                self._tell(run, "START", finished)
            if run.state:
                self._tell(run, "FAIL" if finished.failure else "COMPLETE", finished)

    def abandoned(self) -> None:
        """The application has ended while queries ran: how they would have ended, nobody knows."""
        for stream in self._streams.values():
            for run in stream.runs.values():
                if run.state:
                    self._tell(run, "ABORT", run.finished)
        self._streams.clear()

    def _settle(self, stream: _Stream, finished: Finished) -> None:
        pending, stream.pending = sorted(stream.pending, key=lambda one: one.finished.execution_id), []
        for captured in pending:
            for other in pending:  # the insert within a CTAS knows the location
                within = other.finished.execution_id > captured.finished.execution_id
                if within and _keys(other.analysis.inputs) == _keys(captured.analysis.inputs):
                    captured.analysis = captured.analysis.relocated(other.analysis)
        for captured in pending:
            self._add(stream, captured, finished)

    def _add(self, stream: _Stream, captured: Captured, finished: Finished) -> None:
        for output in captured.analysis.outputs:
            analysis = replace(captured.analysis, outputs=(output,))
            run = stream.runs.get(output.dataset.key)
            facts = _facts(analysis, output)
            if run is not None:
                run.seconds += captured.seconds
                run.round_trips += captured.round_trips
            if run is None:
                run = StreamRun(stream.first, analysis, captured.statement, seconds=captured.seconds,
                                round_trips=captured.round_trips)
                stream.runs[output.dataset.key] = run
                if len(stream.runs) > MAX_RUNS:
                    oldest = stream.runs.pop(next(iter(stream.runs)))
                    self._tell(oldest, "COMPLETE", finished)
            elif facts <= run.known:
                continue
            else:
                run.analysis = merged(run.analysis, analysis)
            run.known |= facts
            self._tell(run, "RUNNING" if run.state else "START", finished)

    def _tell(self, run: StreamRun, state: str, finished: Finished) -> None:
        run.state = state
        self._emit(run, state, finished)


def _slim(finished: Finished) -> Finished:
    """Without the JVM's objects: they must not live as long as the query."""
    return replace(finished, query=None, stream=None)


def merged(one: Analysis, other: Analysis) -> Analysis:
    """Two analyses of the same output as one; both have at most this output."""
    first = len(one.leaves)
    numbers = {number: first + position for position, number in enumerate(other.leaves)}

    def moved(lineage: Lineage) -> Dict[Source, Ways]:
        return {Source(numbers[source.leaf], source.column): ways for source, ways in lineage.items()}

    inputs = {dataset.key: dataset for dataset in (*one.inputs, *other.inputs)}
    leaves = {**one.leaves, **{numbers[number]: datasets for number, datasets in other.leaves.items()}}
    outputs = one.outputs or other.outputs
    if one.outputs and other.outputs:
        left, right = one.outputs[0], other.outputs[0]
        columns: Dict[str, Lineage] = dict(left.written.columns)
        for name, lineage in right.written.columns.items():
            columns[name] = {**columns.get(name, {}), **moved(lineage)}
        use_texts = {(Source(numbers[source.leaf], source.column), way): text
                     for (source, way), text in right.written.use_texts.items()}
        written = Written(columns, {**left.written.texts, **right.written.texts},
                          {**left.written.uses, **moved(right.written.uses)}, {**left.written.use_texts, **use_texts})
        outputs = (replace(right, lifecycle=left.lifecycle or right.lifecycle, written=written),)
    notes = tuple(dict.fromkeys((*one.notes, *other.notes)))
    return replace(other, inputs=tuple(inputs.values()), outputs=outputs, leaves=leaves, notes=notes)


def _facts(analysis: Analysis, output: Output) -> Set[object]:
    """What an analysis says of an output, so that a second one can be seen to say nothing new."""
    facts: Set[object] = {("input", key) for key in _keys(analysis.inputs)}
    for name, lineage in output.written.columns.items():
        for source in lineage:
            for dataset in analysis.leaves.get(source.leaf, ()):
                facts.add((name, dataset.key, source.column))
    return facts


def _keys(datasets: Tuple[Dataset, ...]) -> FrozenSet[Key]:
    return frozenset(dataset.key for dataset in datasets)

