"""What becomes of a streaming query's batches, without Spark: the tracker and the memory of plans."""
from __future__ import annotations

from dataclasses import replace

import pytest

from adb_lineage.capture.analysis import Analysis, Output
from adb_lineage.capture.columns import Attribute, Written
from adb_lineage.capture.datasets import Dataset
from adb_lineage.capture.executions import Captured
from adb_lineage.capture.memory import MAX_PLANS, Memory, Remembered
from adb_lineage.capture.plan import ExprId
from adb_lineage.capture.rdd_graph import parse_sources
from adb_lineage.capture.streams import MAX_PENDING, MAX_RUNS, Streams
from adb_lineage.capture.tap import Finished
from adb_lineage.capture.transformations import IDENTITY, Source

BATCH = Finished(1, None, 10, 10, 1000, 2000, stream=object(), stream_run="r", stream_id="q", is_batch=True)
END = replace(BATCH, kind="stream", is_batch=False, ended=3000)
A, B, T, U = (Dataset("file", f"/{name}") for name in "abtu")


def writing(target, *inputs, column="c"):
    leaves = {number: (dataset,) for number, dataset in enumerate(inputs)}
    columns = {column: {Source(number, "x"): frozenset((IDENTITY,)) for number in leaves}}
    return Analysis("Insert", tuple(inputs), (Output(target, written=Written(columns)),), True, leaves)


COST = Captured(BATCH, Analysis(""), seconds=0.5, round_trips=7)


def nested(analysis, execution=11, failure=""):
    return Captured(Finished(execution, object(), execution, 10, 1000, 1500, stream_run="r", failure=failure), analysis)


class Told:
    """The events that a tracker tells of, in words."""

    def __init__(self, own):
        self.events = []
        self.forgotten = []
        self.runs = []
        own = replace(COST, analysis=own)
        self.streams = Streams(lambda finished: own, self._emit, self.forgotten.append)
        self.streams.meet(BATCH)

    def _emit(self, run, state, finished):
        self.runs.append(run)
        inputs = "+".join(sorted(one.name for one in run.analysis.inputs))
        self.events.append(f"{state} {inputs}>{run.key[1]}")


def test_a_query_with_a_sink_is_one_run():
    told = Told(writing(T, A))
    for _ in range(3):
        told.streams.meet(BATCH)
        told.streams.batch(BATCH)
    told.streams.ended(END)
    assert told.events == ["START /a>/t", "COMPLETE /a>/t"]
    assert told.forgotten == ["r"]


@pytest.mark.parametrize("own", [writing(T, A), Analysis("StreamingQuery", (A,))], ids=["sink", "foreachBatch"])
def test_what_a_query_s_capture_took_is_told_with_its_run(own):
    told = Told(own)
    for execution in (11, 12):
        told.streams.add("r", replace(nested(writing(U, A), execution), seconds=0.25, round_trips=3))
        told.streams.batch(BATCH)
    told.streams.ended(END)
    costs = {run.key[1]: (run.seconds, run.round_trips) for run in told.runs}
    assert costs == {"/u": (0.5, 6), **({"/t": (0.5, 7)} if own.outputs else {})}


def test_a_query_without_an_output_of_its_own_tells_what_its_plan_took():
    told = Told(Analysis("StreamingQuery", (A,)))
    told.streams.batch(BATCH)
    run, = told.runs
    assert (run.seconds, run.round_trips) == (0.5, 7)


def test_what_batches_write_is_a_run_for_each_dataset_and_tells_only_news():
    told = Told(Analysis("StreamingQuery", (A,)))
    for analysis in (writing(T, A), writing(T, A), writing(T, A, B), writing(T, A, B)):
        told.streams.add("r", nested(analysis))
        told.streams.add("r", nested(writing(U, B), 12))
        told.streams.batch(BATCH)
    told.streams.ended(END)
    assert told.events == ["START /a>/t", "START /b>/u", "RUNNING /a+/b>/t", "COMPLETE /a+/b>/t", "COMPLETE /b>/u"]
    columns = told.runs[-2].analysis.outputs[0].written.columns["c"]
    datasets = told.runs[-2].analysis.leaves
    assert {datasets[source.leaf][0].name for source in columns} == {"/a", "/b"}


def test_a_query_that_writes_nothing_is_recorded_once():
    told = Told(Analysis("StreamingQuery", (A,)))
    told.streams.batch(BATCH)
    told.streams.batch(BATCH)
    told.streams.ended(END)
    assert told.events == ["START /a>", "COMPLETE /a>"]


def test_a_query_that_fails_at_once_still_has_a_beginning():
    told = Told(Analysis("StreamingQuery", (A,)))
    told.streams.add("r", nested(writing(T, A), failure="boom"))
    told.streams.ended(replace(END, failure="boom"))
    assert told.events == ["START /a>", "FAIL /a>"]


def test_an_application_that_ends_leaves_its_queries_aborted():
    told = Told(writing(T, A))
    told.streams.abandoned()
    assert told.events == ["START /a>/t", "ABORT /a>/t"]


def test_the_insert_within_a_ctas_tells_its_location():
    guess = Dataset("file", "/guess")
    ctas = writing(guess, A)
    ctas = replace(ctas, outputs=(replace(ctas.outputs[0], provisional=True),))
    told = Told(Analysis("StreamingQuery", (A,)))
    told.streams.add("r", nested(writing(T, A), 12))
    told.streams.add("r", nested(ctas, 11))
    told.streams.batch(BATCH)
    assert told.events == ["START /a>/t"]


def test_memory_is_bounded_when_each_batch_writes_somewhere_else():
    told = Told(Analysis("StreamingQuery", (A,)))
    for number in range(MAX_RUNS + MAX_PENDING + 10):
        told.streams.add("r", nested(writing(Dataset("file", f"/{number}"), A), number))
    told.streams.batch(BATCH)
    assert sum(event.startswith("START") for event in told.events) == MAX_RUNS + MAX_PENDING + 10
    stream = told.streams._streams["r"]
    assert len(stream.runs) <= MAX_RUNS
    assert not stream.pending


def plan(number, *, rdd=0, stream="", dataset=A):
    ids = (Attribute(ExprId(number, "j"), "c"),)
    return Remembered({0: (dataset,)}, ids, ({Source(0, "x"): frozenset((IDENTITY,))},), {}, stream, rdd)


def ids(number):
    return (ExprId(number, "j"),)


def test_plans_over_the_same_columns_are_told_apart_by_their_rdds():
    memory = Memory()
    memory.remember(plan(1, rdd=20, dataset=A))
    memory.remember(plan(1, rdd=40, dataset=B))
    assert memory.recall(ids(1), 18).leaves[0] == (A,)
    assert memory.recall(ids(1), 33).leaves[0] == (B,)
    assert memory.recall(ids(7), 33).leaves[0] == (B,)  # a self-join's leaf has new ids, but the same RDD
    assert memory.recall(ids(7), 34) is None


def test_a_stream_is_remembered_once_and_forgotten_at_its_end():
    memory = Memory()
    for _ in range(5):
        memory.remember(plan(1, stream="r"))
    memory.recall(ids(1), 5)
    assert memory.of_stream("r", ["c"]) is not None
    memory.forget_stream("r")
    assert memory.recall(ids(1), 5) is None
    assert memory._count == 0
    assert memory._edges == 0


def test_the_oldest_plans_give_way():
    memory = Memory()
    for number in range(MAX_PLANS * 2):
        memory.remember(plan(number, rdd=number))
        memory.recall(ids(number), number)
        memory.recall(ids(0), 0)
    assert memory._count == MAX_PLANS
    assert len(memory._by_rdd) <= MAX_PLANS
    assert memory.recall(ids(0), 0) is not None
    assert memory.recall(ids(1), 1) is None


@pytest.mark.parametrize(("text", "names", "note"), [
    ("path\tfile%3A%2Fa%2Fpart-*\nfolder\tabfss%3A%2F%2Fc%40h%2Ft%2Fk%3D1\n", ["/a", "t"], ""),
    ("jdbc\tjdbc%3Apostgresql%3A%2F%2Fh%2Fdb\t%28select+*+from+s.t%29+q\n", ["db.s.t"], ""),
    ("table\tfile%3A%2Fice%2Ft\tice.db.t\n", ["/ice/t"], ""),
    ("unknown\torg.example.OddRDD\n", ["org.example.OddRDD"], "OddRDD is of an unknown kind"),
    ("cut\tmore+than+2000+RDDs\n", [], "not all RDDs were followed: more than 2000 RDDs"),
])
def test_the_walkers_lines(text, names, note):
    found = parse_sources(text)
    assert [one.name for one in found.datasets] == names
    assert note in " ".join(found.notes)
