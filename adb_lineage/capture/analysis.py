"""One finished query: its plan, its relations, its columns."""
from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

from adb_lineage.capture.columns import ColumnLineage, TooManyEdges, Written
from adb_lineage.capture.datasets import Dataset, Field, fields_of
from adb_lineage.capture.describing import Describer, Description, Limits, Plans, subqueries
from adb_lineage.capture.jvm import Jvm, OutOfTime
from adb_lineage.capture.plan import Node, string_list
from adb_lineage.capture.readers import COMMANDS, RELATIONS, Reading, Write
from adb_lineage.capture.readers.base import unknown_relation
from adb_lineage.capture.surroundings import Surroundings

# Leaves that hold no dataset: values of the query itself, or references to other parts of the plan.
NO_DATASET = frozenset(("LocalRelation", "OneRowRelation", "Range", "CTERelationRef", "LogicalRDD", "ExternalRDD",
                        "UnresolvedRelation", "CommandResult"))


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
    """What a query read and wrote. `skipped` says in words why there is no lineage, "" when there is."""

    root: str
    inputs: Tuple[Dataset, ...] = ()
    outputs: Tuple[Output, ...] = ()
    is_command: bool = False
    leaves: Mapping[int, Tuple[Dataset, ...]] = field(default_factory=dict)
    skipped: str = ""
    notes: Tuple[str, ...] = ()
    plan_json: str = ""

    def relocated(self, nested: Analysis) -> Analysis:
        """This one with the location that a nested execution of the same command knew."""
        if len(self.outputs) != 1 or len(nested.outputs) != 1 or not self.outputs[0].provisional:
            return self
        place, output = nested.outputs[0].dataset, self.outputs[0]
        dataset = replace(output.dataset, namespace=place.namespace, name=place.name)
        return replace(self, outputs=(replace(output, dataset=dataset, provisional=False),))


@dataclass
class _Work:
    jvm: Jvm
    surroundings: Surroundings
    limits: Limits
    objects: Plans
    leaves: Dict[int, Tuple[Dataset, ...]] = field(default_factory=dict)
    numbers: Dict[Node, int] = field(default_factory=dict)
    notes: List[str] = field(default_factory=list)

    def reading(self, node: Node) -> Reading:
        return Reading(node, self.objects.get(node), self.jvm, self.surroundings, self.note)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def describe(self, java: Any) -> Description:
        """The description of a JVM plan; the record says when it is not all there is."""
        description = self.objects.describe(java)
        if description.detail != "all":
            self.note(f"the plan is taken without columns: {description.reason}")
        return description


def analyse(query: Any, jvm: Jvm, surroundings: Surroundings, limits: Limits, describer: Describer, *,
            keep_plan: bool = False) -> Analysis:
    """Analyse a JVM QueryExecution by its analysed plan. Never raises for what a plan contains."""
    work = _Work(jvm, surroundings, limits, Plans(describer, jvm, limits))
    description = work.describe(jvm.ask(query, "analyzed"))
    root = description.root
    try:
        analysis = _read(work, description)
    except OutOfTime as error:
        work.note(str(error))
        analysis = Analysis(root.name, inputs=_inputs(work), skipped=str(error))
    return replace(analysis, notes=tuple(work.notes), plan_json=description.redacted() if keep_plan else "")


def _read(work: _Work, description: Description) -> Analysis:
    root = description.root
    reader = COMMANDS.get(root.name)
    if reader is not None:
        return _read_write(work, description, reader(work.reading(root)))
    if _is_command(work, root):
        return Analysis(root.name, is_command=True, skipped=f"{root.name} moves no data")
    _number_leaves(work, root)
    inputs = _inputs(work)
    skipped = "" if inputs else "the query reads no dataset"
    return Analysis(root.name, inputs, leaves=dict(work.leaves), skipped=skipped)


def _read_write(work: _Work, description: Description, write: Write) -> Analysis:
    root = description.root
    query, schema = _written_plan(work, description, write)
    written = Written()
    if query is not None:
        _number_leaves(work, query)
        if description.detail == "all":
            written = _columns(work, query, string_list(root.fields.get("outputColumnNames")))
    if write.dataset is None:
        return Analysis(root.name, _inputs(work), is_command=True, leaves=dict(work.leaves),
                        skipped=f"the target of {root.name} is not known")
    dataset = write.dataset if write.dataset.schema else write.dataset.with_schema(schema)
    output = Output(dataset, write.lifecycle, None, write.provisional, written)
    return Analysis(root.name, _inputs(work), (output,), True, dict(work.leaves))


def _written_plan(work: _Work, description: Description, write: Write) -> Tuple[Optional[Node], Tuple[Field, ...]]:
    """The plan whose rows a command takes, and its columns as Spark types them."""
    if not write.query:
        return None, ()
    root = description.root
    java = work.jvm.ask(work.objects.get(root), write.query)
    schema = fields_of(json.loads(work.jvm.ask(java, "schema", "json")))
    if description.detail == "leaves":  # all of them hang at the root
        return root if root.children else work.describe(java).root, schema
    return root.child(write.query) or (root.children[0] if root.children else None), schema


def _number_leaves(work: _Work, plan: Node) -> None:
    """Read every leaf relation of a plan and of its subqueries; each gets a number."""
    for part in [plan, *subqueries(plan)]:
        for leaf in part.leaves():
            if leaf.name in NO_DATASET or leaf in work.numbers:
                continue
            number = len(work.numbers)
            work.numbers[leaf] = number
            work.leaves[number] = _read_leaf(work, leaf)


def _read_leaf(work: _Work, leaf: Node) -> Tuple[Dataset, ...]:
    java = work.objects.get(leaf)
    if java is None:
        return ()
    reader = RELATIONS.get(leaf.name)
    if reader is None:
        work.note(f"relation {leaf.class_name} is of an unknown kind")
        return (unknown_relation(leaf.class_name),)
    try:
        datasets = reader(work.reading(leaf))
    except OutOfTime:
        raise
    except Exception as error:  # noqa: BLE001  one broken relation costs that relation alone
        work.note(f"relation {leaf.class_name} could not be read: {_short(error)}")
        return (unknown_relation(leaf.class_name),)
    for dataset in datasets:
        if not dataset.known:
            work.note(f"relation {dataset.name} is of an unknown kind")
    return datasets


def _inputs(work: _Work) -> Tuple[Dataset, ...]:
    unique: Dict[Tuple[str, str], Dataset] = {}
    for datasets in work.leaves.values():
        for dataset in datasets:
            unique.setdefault(dataset.key, dataset)
    return tuple(unique.values())


def _columns(work: _Work, query: Node, names: Tuple[str, ...]) -> Written:
    """The columns of a query under the names they are written to; none, and a note, when they can't be followed."""
    lineage = ColumnLineage(work.numbers, work.limits.column_edges, work.jvm.check)
    try:
        columns = lineage.evaluate(query)
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


def _is_command(work: _Work, root: Node) -> bool:
    """Whether a root without a reader is a command: by its package, its name, or being V2 DDL."""
    return (".execution.command." in root.class_name or root.name.endswith(("Command", "CommandEdge"))
            or root.name in ("SetCatalogAndNamespace", "ShowTables", "DescribeRelation"))


def _short(error: BaseException) -> str:
    """One line of an error; a Java stack trace stays out."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"
