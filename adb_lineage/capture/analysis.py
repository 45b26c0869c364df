"""One finished query: its plan, its relations, its columns."""
from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Tuple

from adb_lineage.capture.columns import ColumnLineage, TooManyEdges
from adb_lineage.capture.datasets import Dataset, Field, fields_of
from adb_lineage.capture.jvm import Jvm, OutOfTime
from adb_lineage.capture.plan import Node, is_plan, parse_plan, simple_name
from adb_lineage.capture.readers import COMMANDS, RELATIONS, Reading, Write
from adb_lineage.capture.readers.base import unknown_relation
from adb_lineage.capture.surroundings import Surroundings
from adb_lineage.capture.transformations import Lineage, Source, Transformation

# Leaves that hold no dataset: values of the query itself, or references to other parts of the plan.
NO_DATASET = frozenset(("LocalRelation", "OneRowRelation", "Range", "CTERelationRef", "LogicalRDD", "ExternalRDD",
                        "UnresolvedRelation", "CommandResult"))
# Plans in a parameter that repeat another one.
REPEATED = frozenset(("analyzedQuery",))


@dataclass(frozen=True)
class Limits:
    """Budgets of one query: seconds, leaves above which columns are given up, and column edges."""

    seconds: float = 5.0
    plan_bytes: int = 64 << 20
    leaves: int = 20_000
    column_edges: int = 100_000


@dataclass(frozen=True)
class Output:
    """A dataset that a query wrote or changed.

    `columns` maps a column to what it is made of; `indirect` holds what decides about the rows. Sources in both point
    into the leaves of the analysis. `previous` is the name that a renamed dataset had; `provisional` says that a nested
    execution of the same command knows the location better.
    """

    dataset: Dataset
    lifecycle: str = ""
    previous: Optional[Dataset] = None
    provisional: bool = False
    columns: Mapping[str, Lineage] = field(default_factory=dict)
    indirect: Mapping[Source, FrozenSet[Transformation]] = field(default_factory=dict)


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
    objects: Dict[Node, Any] = field(default_factory=dict)
    leaves: Dict[int, Tuple[Dataset, ...]] = field(default_factory=dict)
    numbers: Dict[Node, int] = field(default_factory=dict)
    notes: List[str] = field(default_factory=list)

    def reading(self, node: Node) -> Reading:
        return Reading(node, self.objects[node], self.jvm, self.surroundings, self.note)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def analyse(query: Any, jvm: Jvm, surroundings: Surroundings, limits: Limits) -> Analysis:
    """Analyse a JVM QueryExecution by its analysed plan. Never raises for what a plan contains."""
    work = _Work(jvm, surroundings, limits)
    java = jvm.ask(query, "analyzed")
    root, text = _plan(work, java)
    try:
        _pair(work, root, java)
        analysis = _read(work, root)
    except OutOfTime as error:
        work.note(str(error))
        analysis = Analysis(simple_name(root.class_name), inputs=_inputs(work), skipped=str(error))
    return replace(analysis, notes=tuple(work.notes), plan_json=text)


def _plan(work: _Work, java: Any) -> Tuple[Node, str]:
    """The plan's tree and JSON; only its root and leaves when it is too big or Spark can't give the JSON."""
    try:
        if int(work.jvm.call(work.jvm.ask(java, "collectLeaves"), "size")) <= work.limits.leaves:
            text = str(work.jvm.ask(java, "toJSON"))
            if len(text) <= work.limits.plan_bytes:
                return parse_plan(text), text
            work.note(f"plan of {len(text)} bytes is over the limit {work.limits.plan_bytes}: no columns")
        else:
            work.note(f"plan has more than {work.limits.leaves} leaves: no columns")
    except OutOfTime:
        raise
    except Exception as error:  # noqa: BLE001  a proprietary node may break toJSON
        work.note(f"Spark gave no JSON for the plan ({type(error).__name__}): no columns")
    return _bare(work, java), ""


def _bare(work: _Work, java: Any) -> Node:
    """Root and leaves without fields, from the objects alone."""
    name = work.jvm.class_name(java)
    leaves = work.jvm.sequence(work.jvm.ask(java, "collectLeaves"))[:work.limits.leaves]
    nodes = []
    for leaf in leaves:
        leaf_name = work.jvm.class_name(leaf)
        nodes.append(Node(leaf_name, simple_name(leaf_name), {}))
        work.objects[nodes[-1]] = leaf
    if len(nodes) == 1 and nodes[0].class_name == name:
        return nodes[0]
    return Node(name, simple_name(name), {}, tuple(nodes))


def _pair(work: _Work, node: Node, java: Any) -> None:
    """Give each leaf of a plan, and of the plans inside it, its JVM object."""
    work.objects[node] = java
    leaves = node.leaves()
    if leaves != [node]:
        _zip(work, leaves, work.jvm.ask(java, "collectLeaves"))
    for leaf in leaves if leaves != [node] else []:
        _pair_inner(work, leaf)
    _pair_inner(work, node)
    subqueries = list(_subqueries(node))
    if subqueries:
        java_subqueries = work.jvm.ask(java, "subqueriesAll")
        if int(work.jvm.call(java_subqueries, "size")) != len(subqueries):
            work.note("subqueries of the plan and of its JSON differ: their tables are not captured")
            return
        for position, subquery in enumerate(subqueries):
            inner = work.jvm.call(java_subqueries, "apply", position)
            work.objects[subquery] = inner
            if subquery.children:
                _zip(work, subquery.leaves(), work.jvm.ask(inner, "collectLeaves"))


def _zip(work: _Work, leaves: List[Node], java_leaves: Any) -> None:
    if int(work.jvm.call(java_leaves, "size")) != len(leaves):
        work.note("leaves of the plan and of its JSON differ: its tables are not captured")
        return
    for position, leaf in enumerate(leaves):
        if leaf.name not in NO_DATASET:
            work.objects[leaf] = work.jvm.call(java_leaves, "apply", position)


def _pair_inner(work: _Work, node: Node) -> None:
    """Plans in parameters that are no children: the query of a CTAS, the target of a MERGE."""
    java = work.objects.get(node)
    for name, inner in _inner_plans(node):
        if java is not None and inner not in work.objects:
            _pair(work, inner, work.jvm.ask(java, name))


def _inner_plans(node: Node) -> Iterator[Tuple[str, Node]]:
    for name, value in node.fields.items():
        if isinstance(value, Node) and is_plan(value) and name not in REPEATED:
            yield name, value


def _subqueries(plan: Node) -> Iterator[Node]:
    """Plans inside expressions, in the order of Spark's `subqueriesAll`: a level after the other, each pre-order."""
    found: List[Node] = []
    for node in plan.walk():
        for tree in node.all_trees():
            if not is_plan(tree):
                for expression in tree.walk():
                    found.extend(inner for _, inner in _inner_plans(expression))
    yield from found
    for inner in found:
        yield from _subqueries(inner)


def _read(work: _Work, root: Node) -> Analysis:
    reader = COMMANDS.get(root.name)
    if reader is not None:
        return _read_write(work, root, reader(work.reading(root)))
    if _is_command(work, root):
        return Analysis(root.name, is_command=True, skipped=f"{root.name} moves no data")
    _number_leaves(work, root)
    inputs = _inputs(work)
    skipped = "" if inputs else "the query reads no dataset"
    return Analysis(root.name, inputs, leaves=dict(work.leaves), skipped=skipped)


def _read_write(work: _Work, root: Node, write: Write) -> Analysis:
    query, schema = _written_plan(work, root, write)
    columns: Dict[str, Lineage] = {}
    indirect: Mapping[Source, FrozenSet[Transformation]] = {}
    if query is not None:
        _number_leaves(work, query)
        if root.fields:
            columns, indirect = _columns(work, query)
    if write.dataset is None:
        return Analysis(root.name, _inputs(work), is_command=True, leaves=dict(work.leaves),
                        skipped=f"the target of {root.name} is not known")
    dataset = write.dataset if write.dataset.schema else write.dataset.with_schema(schema)
    output = Output(dataset, write.lifecycle, None, write.provisional, columns, indirect)
    return Analysis(root.name, _inputs(work), (output,), True, dict(work.leaves))


def _written_plan(work: _Work, root: Node, write: Write) -> Tuple[Optional[Node], Tuple[Field, ...]]:
    """The plan whose rows a command takes, and its columns as Spark types them."""
    if not write.query:
        return None, ()
    java = work.jvm.ask(work.objects[root], write.query)
    schema = fields_of(json.loads(work.jvm.ask(java, "schema", "json")))
    query = root.child(write.query) or (root.children[0] if root.children else None)
    if query is None:  # no JSON: the plan is asked for by itself
        query = _bare(work, java)
        work.objects[query] = java
    return query, schema


def _number_leaves(work: _Work, plan: Node) -> None:
    """Read every leaf relation of a plan and of its subqueries; each gets a number."""
    for part in [plan, *_subqueries(plan)]:
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


def _columns(work: _Work, query: Node) -> Tuple[Dict[str, Lineage], Mapping[Source, FrozenSet[Transformation]]]:
    lineage = ColumnLineage(work.numbers, work.limits.column_edges)
    try:
        result = lineage.evaluate(query)
    except TooManyEdges as error:
        work.note(str(error))
        return {}, {}
    except Exception as error:  # noqa: BLE001  an unforeseen operator costs the columns, not the datasets
        work.note(f"columns could not be followed: {_short(error)}")
        return {}, {}
    columns = {attribute.name: result.lineage[attribute.id] for attribute in result.attributes
               if result.lineage.get(attribute.id)}
    edges = sum(map(len, columns.values()))
    if edges > work.limits.column_edges:
        work.note(f"{edges} column edges are over the limit {work.limits.column_edges}: no columns")
        return {}, {}
    return columns, lineage.indirect


def _is_command(work: _Work, root: Node) -> bool:
    """Whether a root without a reader is a command: by its package, its name, or being V2 DDL."""
    return (".execution.command." in root.class_name or root.name.endswith(("Command", "CommandEdge"))
            or root.name in ("SetCatalogAndNamespace", "ShowTables", "DescribeRelation"))


def _short(error: BaseException) -> str:
    """One line of an error; a Java stack trace stays out."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"
