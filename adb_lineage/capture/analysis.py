"""One finished query: its plan, its relations, its columns."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from adb_lineage.capture.columns import ColumnLineage, TooManyEdges, Written
from adb_lineage.capture.datasets import Dataset, Field, fields_of
from adb_lineage.capture.describing import Describer, Description, Limits, Plans, subqueries
from adb_lineage.capture.jvm import Jvm, OutOfTime
from adb_lineage.capture.memory import Memory, Remembered, renumbered
from adb_lineage.capture.plan import Node, string_list
from adb_lineage.capture.rdd_graph import RddGraph
from adb_lineage.capture.readers import COMMANDS, RELATIONS, Reading, Write
from adb_lineage.capture.readers.base import THERE_ALREADY, Skip, unknown_relation
from adb_lineage.capture.row_level import beside_itself
from adb_lineage.capture.scopes import Columns, attributes_of
from adb_lineage.capture.surroundings import Surroundings
from adb_lineage.capture.transformations import IDENTITY, Lineage, Source, Ways, add

# Leaves that hold no dataset: values of the query itself, or references to other parts of the plan.
NO_DATASET = frozenset(("LocalRelation", "OneRowRelation", "Range", "CTERelationRef", "UnionLoopRef",
                        "UnresolvedRelation", "CommandResult"))
# Leaves over an RDD: it may hold the result of a plan that came before, or be read from files.
RDD_LEAVES = frozenset(("LogicalRDD", "ExternalRDD"))
# Commands that only read.
READING_COMMANDS = frozenset(("SetVariable",))
# Commands of which is known that they move no data; any other without a reader is told as unknown.
MOVES_NO_DATA = re.compile(
    r"(?:Show|Describe|Explain|StreamingExplain|List|Refresh|Cache|Uncache|Reset|SetCommand|SetCatalog|SetNamespace"
    r"|SetPath|SetViewProperties|UnsetViewProperties|AlterViewSchemaBinding|SetCatalogAndNamespace|UnsetNamespace"
    r"|CommentOnNamespace|Comment|Noop|Add(?:Jars|Files|Archives)|AlterDatabase|ClearCache|CompoundBody"
    r"|(?:Open|Close|Fetch|Declare)Cursor|CreateTempViewUsing"
    r"|(?:Create|Drop|Declare|Alter)(?:Persisted|Temporary|SQL|UserDefined|Temp)*"
    r"(?:Function|Namespace|Database|Index|Variable|Catalog|Schema)).*")
DELTA_LOG = "_delta_log"


@dataclass(frozen=True)
class Output:
    """A dataset that a query wrote or changed.

    Sources in `written` point into the leaves of the analysis. `previous` is the name that a renamed dataset had;
    `provisional` says that a nested execution of the same command knows the location better.
    """

    dataset: Dataset
    lifecycle: str = ""
    previous: Optional[Dataset] = None
    provisional: bool = False
    written: Written = Written()


@dataclass(frozen=True)
class Analysis:
    """What a query read and wrote.

    `skipped` says in words why there is no lineage, "" when there is; `whole` that this goes for all that ran inside.
    """

    root: str
    inputs: Tuple[Dataset, ...] = ()
    outputs: Tuple[Output, ...] = ()
    is_command: bool = False
    leaves: Mapping[int, Tuple[Dataset, ...]] = field(default_factory=dict)
    skipped: str = ""
    whole: bool = False
    notes: Tuple[str, ...] = ()
    plan_json: str = ""
    streams: Tuple[str, ...] = ()
    """Runs of the streaming queries whose batches were read, as `foreachBatch` does."""

    def relocated(self, nested: Analysis) -> Analysis:
        """This one with the location that a nested execution of the same command knew."""
        if len(self.outputs) != 1 or len(nested.outputs) != 1 or not self.outputs[0].provisional:
            return self
        if nested.outputs[0].provisional:
            return self
        place, output = nested.outputs[0].dataset, self.outputs[0]
        dataset = replace(output.dataset, namespace=place.namespace, name=place.name)
        return replace(self, outputs=(replace(output, dataset=dataset, provisional=False),))


@dataclass
class _Work:
    query: Any
    jvm: Jvm
    surroundings: Surroundings
    limits: Limits
    objects: Plans
    leaves: Dict[int, Tuple[Dataset, ...]] = field(default_factory=dict)
    numbers: Dict[Node, int] = field(default_factory=dict)
    datasets: Dict[Node, Tuple[Dataset, ...]] = field(default_factory=dict)
    targets: Set[Tuple[str, str]] = field(default_factory=set)
    discards: bool = False
    notes: List[str] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    rdds: Optional[RddGraph] = None
    stream: str = ""
    given: Dict[Node, Columns] = field(default_factory=dict)
    uses: Dict[Source, Ways] = field(default_factory=dict)
    streams: List[str] = field(default_factory=list)

    def reading(self, node: Node) -> Reading:
        return Reading(node, self.objects.get(node), self.jvm, self.surroundings, self.note, self.query)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def add(self, dataset: Dataset) -> int:
        """A dataset that is read without being a relation of the plan; its number is below zero."""
        number = -1 - sum(1 for one in self.leaves if one < 0)
        self.leaves[number] = (dataset,)
        return number

    def read(self, leaf: Node) -> Tuple[Dataset, ...]:
        """The datasets of a leaf relation, read once."""
        known = self.datasets.get(leaf)
        if known is None:
            known = self.datasets[leaf] = self._read(leaf)
        return known

    def _read(self, leaf: Node) -> Tuple[Dataset, ...]:
        java = self.objects.get(leaf)
        if java is None:
            return ()
        reader = RELATIONS.get(leaf.name)
        if reader is None:
            self.note(f"relation {leaf.class_name} is of an unknown kind")
            return (unknown_relation(leaf.class_name),)
        try:
            datasets = reader(self.reading(leaf))
        except Exception as error:  # noqa: BLE001  one broken relation costs that relation alone
            self.note(f"relation {leaf.class_name} could not be read: {_short(error)}")
            return (unknown_relation(leaf.class_name),)
        for dataset in datasets:
            if not dataset.known:
                self.note(f"relation {dataset.name} is of an unknown kind")
        return datasets

    def columns(self) -> ColumnLineage:
        """The evaluation of a plan's columns, with what is known of the leaves that stand for other plans."""
        return ColumnLineage(self.numbers, self.limits.column_edges, self.jvm.check, dict(self.uses), given=self.given)

    def describe(self, java: Any) -> Description:
        """The description of a JVM plan; the record says when it is not all there is."""
        description = self.objects.describe(java)
        if description.detail != "all":
            self.note(f"the plan is taken without columns: {description.reason}")
        return description


@dataclass(frozen=True)
class Means:
    """What an analysis works with: the describer of plans, what was remembered, and what follows RDDs."""

    jvm: Jvm
    surroundings: Surroundings
    limits: Limits
    describer: Describer
    memory: Memory = field(default_factory=Memory)
    rdds: Optional[RddGraph] = None
    stream: str = ""
    """The run of the streaming query whose batch the query is part of."""

    def work(self, query: Any = None) -> _Work:
        """A fresh start with these means."""
        return _Work(query, self.jvm, self.surroundings, self.limits, Plans(self.describer, self.jvm, self.limits),
                     memory=self.memory, rdds=self.rdds, stream=self.stream)


def analyse(query: Any, means: Means, *, keep_plan: bool = False, remember: bool = False,
            before_rdd: int = 0, function: str = "", idle: bool = False) -> Analysis:
    """Analyse a JVM QueryExecution by its analysed plan. Never raises for what a plan contains.

    `function` is the name that Spark gave the execution: "command", or the method that caused it ("collect", "save").
    `remember`: its result lives on under another plan (a checkpoint), over an RDD with a number below `before_rdd`.
    `idle`: no Spark job ran in it.
    """
    work = means.work(query)
    description = work.describe(means.jvm.ask(query, "analyzed"))
    analysis = _read(work, description, function, idle)
    if remember:
        means.memory.remember(_remembered(work, description, before_rdd=before_rdd))
    return replace(analysis, notes=tuple(work.notes), streams=tuple(work.streams),
                   plan_json=description.redacted() if keep_plan else "")


def analyse_stream(plan: Any, means: Means, write: Callable[[Callable[[str], None]], Optional[Write]]) -> Analysis:
    """Analyse the plan of a streaming query, and remember it for what its batches are handed to.

    `write` tells the sink, None for one that keeps nothing or hands its batches on; it is given a place for notes.
    """
    work = means.work()
    description = work.describe(plan)
    _number_leaves(work, description.root)
    kept = _remembered(work, description, stream=means.stream)
    means.memory.remember(kept)
    target = write(work.note)
    outputs: Tuple[Output, ...] = ()
    if target is not None and target.dataset is not None:
        schema = fields_of(json.loads(means.jvm.ask(plan, "schema", "json")))
        dataset = target.dataset if target.dataset.schema else target.dataset.with_schema(schema)
        columns = {one.name: lineage for one, lineage in zip(kept.attributes, kept.lineages) if lineage}
        outputs = (Output(dataset, target.lifecycle, written=Written(columns, uses=kept.uses)),)
    return Analysis("StreamingQuery", _inputs(work), outputs, leaves=dict(work.leaves), notes=tuple(work.notes))


def _remembered(work: _Work, description: Description, stream: str = "", before_rdd: int = 0) -> Remembered:
    """A plan's leaves and columns; without columns where the plan was too big for them."""
    if description.detail == "all":
        lineage = work.columns()
        try:
            columns = lineage.evaluate(description.root)
            lineages = tuple(origin.lineage for origin in columns.row())
            return Remembered(dict(work.leaves), columns.attributes, lineages, dict(lineage.uses), stream, before_rdd)
        except (TooManyEdges, OutOfTime) as error:
            work.note(f"no columns: {error}")
        except Exception as error:  # noqa: BLE001  an unforeseen operator costs the columns, not the datasets
            work.note(f"no columns: they could not be followed: {_short(error)}")
    output = attributes_of(description.root.trees("output"))
    return Remembered(dict(work.leaves), output, (), {}, stream, before_rdd)


def _read(work: _Work, description: Description, function: str, idle: bool) -> Analysis:
    root = description.root
    commands = _commands(root)
    if commands:
        return _read_commands(work, description, commands, idle)
    if root.name not in READING_COMMANDS and _is_command(root, function):
        known = MOVES_NO_DATA.fullmatch(root.name) is not None
        reason = f"{root.name} moves no data" if known else f"{root.name} is a command of an unknown kind"
        if not known:
            work.note(f"command {root.class_name} is of an unknown kind")
        return Analysis(root.name, is_command=True, skipped=reason)
    _number_leaves(work, root)
    inputs = _inputs(work)
    skipped = "" if inputs else "the query reads no dataset"
    if inputs and all(DELTA_LOG in dataset.name.split("/") for dataset in inputs):
        skipped = "Delta reads its own log"
    return Analysis(root.name, inputs, leaves=dict(work.leaves), skipped=skipped)


def _commands(root: Node) -> Sequence[Node]:
    """The commands that a plan consists of: its root, or those that a multi-insert puts under one union."""
    if root.name in COMMANDS:
        return (root,)
    if root.name == "Union" and root.children and all(child.name in COMMANDS for child in root.children):
        return root.children
    return ()


def _read_commands(work: _Work, description: Description, commands: Sequence[Node], idle: bool) -> Analysis:
    root = description.root
    outputs: List[Output] = []
    for node in commands:
        write = COMMANDS[node.name](work.reading(node))
        if isinstance(write, Skip):
            return Analysis(root.name, is_command=True, skipped=write.reason, whole=True)
        if write.unless_there and (idle if write.query else _seen(work, write.dataset)):
            return Analysis(root.name, is_command=True, skipped=THERE_ALREADY, whole=True)
        output = _read_write(work, description, node, write)
        if output is not None:
            outputs.append(output)
    inputs = _inputs(work)
    skipped = ""
    if not outputs and work.discards:
        skipped = "" if inputs else "the query reads no dataset, and its sink keeps nothing"
    elif not outputs:
        skipped = f"the target of {root.name} is not known"
    return Analysis(root.name, inputs, tuple(outputs), True, dict(work.leaves), skipped)


def _seen(work: _Work, dataset: Optional[Dataset]) -> bool:
    """Whether a table of that name was read or written before; Spark's catalog is not asked."""
    links = () if dataset is None else dataset.symlinks
    return any(work.surroundings.places.find(link) is not None for link in links)


def _read_write(work: _Work, description: Description, node: Node, write: Write) -> Optional[Output]:
    """What a command wrote; None when its target is not known."""
    dataset = write.dataset
    if dataset is None and write.target:
        dataset = _target(work, description, node, write.target)
    query = _plan_in(work, description, node, write.query) if write.query else None
    if query is not None:
        _number_leaves(work, query)
    copied: Dict[str, Lineage] = {}
    for one in write.inputs:
        number = work.add(one)
        if write.copies:
            copied = {column.name: {Source(number, column.name): frozenset((IDENTITY,))} for column in one.schema}
    plans: Dict[str, Node] = {}
    if write.rows is not None:
        for name in write.rows.plans:
            plan = _plan_in(work, description, node, name)
            if plan is not None:
                plans[name] = plan
                _number_leaves(work, plan)
        if write.rows.columns is not None:
            _number_leaves(work, *subqueries(node))
    if dataset is None:
        return None
    if query is not None and not dataset.schema:
        dataset = dataset.with_schema(_schema(work, node, write))
    written = Written(copied)
    if description.detail == "all" and not copied:
        written = _columns(work, node, write, query, plans)
    if write.rows is not None:
        written, reads_target = beside_itself(
            dataset, written, lambda leaf: work.leaves.get(leaf, ()), merges=write.rows.merges)
        if not reads_target:
            work.targets.add(dataset.key)
    return Output(dataset, write.lifecycle, write.previous, write.provisional, written)


def _target(work: _Work, description: Description, node: Node, name: str) -> Optional[Dataset]:
    """The dataset of the relation that a command writes to, seen through aliases and projections."""
    plan = _plan_in(work, description, node, name)
    leaves = [leaf for leaf in plan.leaves() if leaf.name in RELATIONS] if plan is not None else []
    for leaf in leaves:
        for dataset in work.read(leaf):
            return dataset
    work.discards = bool(leaves)  # a relation that names no dataset: `noop`, the console
    return None


def _plan_in(work: _Work, description: Description, node: Node, name: str) -> Optional[Node]:
    """The plan in a parameter of a command; described by itself where the command's description lacks it."""
    parameter = name.rstrip("?")
    for plan in node.trees(parameter):  # Databricks has a list of one in places
        return plan
    if parameter in node.fields and description.detail == "all":
        return None
    if description.detail == "leaves" and name == "query" and node.children:  # all leaves hang at the root
        return node
    if not node.fields:
        work.note(f"{node.class_name} does not tell its members: it is taken without columns")
    java = work.jvm.attempt(work.objects.get(node), name)
    if java is None:
        return node.children[0] if len(node.children) == 1 and name == "query" else None
    return work.describe(java).root


def _schema(work: _Work, node: Node, write: Write) -> Tuple[Field, ...]:
    """The written columns as Spark types them."""
    java = work.jvm.ask(work.objects.get(node), write.query)
    fields = fields_of(json.loads(work.jvm.ask(java, "schema", "json")))
    if len(write.names) == len(fields):
        fields = tuple(replace(one, name=name) for one, name in zip(fields, write.names))
    return fields


def _number_leaves(work: _Work, *plans: Node) -> None:
    """Read every leaf relation of plans and of their subqueries; each gets a number."""
    for part in [part for plan in plans for part in (plan, *subqueries(plan))]:
        for leaf in part.leaves():
            if leaf.name in NO_DATASET or leaf in work.numbers:
                continue
            if leaf.name in RDD_LEAVES:
                _read_rdd_leaf(work, leaf)
                continue
            number = len(work.leaves)
            if number >= work.limits.leaves:
                work.note(f"more than {number} relations: the others are not known")
                return
            work.numbers[leaf] = number
            work.leaves[number] = work.read(leaf)


def _read_rdd_leaf(work: _Work, leaf: Node) -> None:
    """A leaf over an RDD: the plan that made it, where it is remembered; otherwise the files the RDD was read from."""
    java = work.objects.get(leaf)
    if leaf in work.given or java is None:
        return
    attributes = attributes_of(leaf.trees("output"))
    work.given[leaf] = Columns(attributes, {})
    rdd = work.jvm.ask(java, "rdd")
    plan = work.memory.recall(tuple(one.id for one in attributes), int(work.jvm.ask(rdd, "id")))
    if plan is None and work.stream:
        plan = work.memory.of_stream(work.stream, [one.name for one in attributes])
    if plan is not None:
        leaves, moved = renumbered(plan, len(work.leaves))
        work.leaves.update(leaves)
        add(work.uses, moved.uses)
        work.given[leaf] = moved.under(attributes)
        if plan.stream and plan.stream not in work.streams:
            work.streams.append(plan.stream)
        return
    if work.rdds is None:
        return
    found = work.rdds.sources(rdd, work.jvm)
    for note in found.notes:
        work.note(note)
    work.leaves[len(work.leaves)] = found.datasets


def _inputs(work: _Work) -> Tuple[Dataset, ...]:
    unique: Dict[Tuple[str, str], Dataset] = {}
    for datasets in work.leaves.values():
        for dataset in datasets:
            if dataset.key not in work.targets:
                unique.setdefault(dataset.key, dataset)
    return tuple(unique.values())


def _columns(work: _Work, node: Node, write: Write, query: Optional[Node], plans: Mapping[str, Node]) -> Written:
    """The columns that a command writes and what decides about its rows; nothing where they can't be followed."""
    lineage = work.columns()
    names: Sequence[str] = ()
    try:
        if write.rows is not None and write.rows.columns is not None:
            columns = write.rows.columns(lineage, node, plans)
        elif query is not None:
            columns = lineage.evaluate(query)
            names = write.names or string_list(node.fields.get("outputColumnNames"))
        else:
            return Written()
        written = lineage.written(columns, names if len(names) == len(columns.attributes) else ())
    except (TooManyEdges, OutOfTime) as error:
        work.note(f"no columns: {error}")
        return Written()
    except Exception as error:  # noqa: BLE001  an unforeseen operator costs the columns, not the datasets
        work.note(f"no columns: they could not be followed: {_short(error)}")
        return Written()
    if lineage.lost:
        work.note(f"columns could not be followed: {', '.join(sorted(lineage.lost)[:10])}")
    return written


def _is_command(root: Node, function: str) -> bool:
    """Whether a root without a reader is a command: by the execution's name, the package, or the class's name.

    Before Spark 3.2 a command that is asked for its result is an execution named by that method.
    """
    return (function == "command" or ".execution.command." in root.class_name or MOVES_NO_DATA.fullmatch(root.name)
            is not None or root.name.endswith(("Command", "CommandEdge")))


def _short(error: BaseException) -> str:
    """One line of an error; a Java stack trace stays out."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"
