"""How plans come out of the driver JVM: in one call, within a limit of size and time, each shared part once.

`toJSON` and `collectLeaves` visit a subplan as often as it is used, which for a union doubled twenty times is a million
times, in the driver's heap. Our describer (describer.java, compiled there like the relay) visits it once. Where nothing
can be compiled, Spark's own methods serve after a look at the plan's size.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Protocol, Sequence, Set, Tuple

from adb_lineage.capture.compiled import compiled_class
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.plan import Node, Parsed, is_plan, parse_plan, simple_name

# Of a query's time; the rest is for the columns.
SHARE_OF_TIME = 0.4
# Operators that the walk without a describer looks at: four round trips each.
MAX_WALK = 2000
# Plans in a parameter that repeat another one.
REPEATED = frozenset(("analyzedQuery",))


@dataclass(frozen=True)
class Limits:
    """Budgets of one query: seconds of work for its columns, characters of its description, leaf relations, edges."""

    seconds: float = 5.0
    plan_bytes: int = 32 << 20
    leaves: int = 20_000
    column_edges: int = 100_000


@dataclass(frozen=True)
class Description:
    """A plan, as far as the limits allow, and why it is not more.

    detail      "all"; "operators": no expressions but the columns of leaves; "leaves": the root and its leaves alone
    reason      why there is less than all
    text        a JSON object with the plan in `plan`, "" unless there is all of it
    """

    root: Node
    detail: str
    reason: str = ""
    text: str = ""
    objects: Dict[Node, Any] = field(default_factory=dict)
    places: Dict[Node, int] = field(default_factory=dict)
    source: Any = None

    def redacted(self) -> str:
        """The plan's JSON array without the values of its literals, as they may be secret; "" for less than all."""
        if not self.text:
            return ""
        return json.dumps(json.loads(self.text, object_hook=_without_literal)["plan"])

    def object(self, node: Node, jvm: Jvm) -> Any:
        """The JVM object of an operator, None for one that is not known."""
        known = self.objects.get(node)
        place = self.places.get(node)
        if known is None and place is not None:
            known = self.objects[node] = jvm.call(self.source, "operator", place)
        return known


class Describer(Protocol):
    """Describes plans of the driver JVM."""

    def describe(self, plan: Any, jvm: Jvm, limits: Limits) -> Description:
        """Never more than the limits. Raises what Py4J raises when the JVM is gone."""


class Plans:
    """The plans of one query: described when asked for, with the JVM object of each operator."""

    def __init__(self, describer: Describer, jvm: Jvm, limits: Limits) -> None:
        self._describer = describer
        self._jvm = jvm
        self._limits = limits
        self._known: List[Description] = []

    def describe(self, plan: Any) -> Description:
        """A JVM plan's description."""
        description = self._describer.describe(plan, self._jvm, self._limits)
        description.objects[description.root] = plan
        self._known.append(description)
        return description

    def get(self, node: Node) -> Any:
        """The JVM object of an operator in one of the plans, None for one that is not known."""
        for description in self._known:
            java = description.object(node, self._jvm)
            if java is not None:
                return java
        return None


class CompiledDescriber:
    """Ours, compiled in the driver JVM."""

    def __init__(self, context: Any) -> None:
        """Raises what Py4J raises where nothing can be compiled."""
        self._java = compiled_class(context, "describer.java", "Describer").getConstructors()[0].newInstance(
            context._gateway.new_array(context._jvm.java.lang.Object, 0))

    def describe(self, plan: Any, jvm: Jvm, limits: Limits) -> Description:
        """See Describer."""
        millis = max(1, int(limits.seconds * SHARE_OF_TIME * 1000))
        found = jvm.call(self._java, "describe", plan, limits.plan_bytes, limits.leaves, millis)
        text = str(jvm.call(found, "text"))
        envelope = json.loads(text)
        parsed = parse_plan(envelope["plan"], envelope["types"])
        detail = str(envelope["detail"])
        reason = str(envelope["reason"])
        if not envelope.get("complete", True):
            reason += "; not all of its leaves were reached"
        return Description(parsed.root, detail, reason, text if detail == "all" else "",
                           places=_operators(parsed), source=found)


class PlainDescriber:
    """Spark's own `toJSON`, paired with the objects of `collectLeaves`; for drivers where nothing can be compiled."""

    def __init__(self, system: Any) -> None:
        self._system = system

    def describe(self, plan: Any, jvm: Jvm, limits: Limits) -> Description:
        """See Describer."""
        leaves, reason = self._leaves(plan, jvm, limits)
        if not reason:
            try:
                text = str(jvm.ask(plan, "toJSON"))
                if len(text) <= limits.plan_bytes:
                    text = f'{{"plan":{text}}}'
                    description = Description(parse_plan(json.loads(text)["plan"]).root, "all", text=text)
                    _pair(description, description.root, plan, jvm)
                    return description
                reason = f"its description is longer than {limits.plan_bytes} characters"
            except Exception as error:  # noqa: BLE001  a proprietary node may break toJSON
                reason = f"Spark gave no JSON for it ({type(error).__name__})"
        return _bare(plan, leaves, jvm, reason)

    def _leaves(self, plan: Any, jvm: Jvm, limits: Limits) -> Tuple[List[Any], str]:
        """The distinct leaves, and why the plan is too big for `toJSON`, which would repeat what is shared."""
        leaves: List[Any] = []
        paths: Dict[int, int] = {}
        visited = 0
        todo = [(plan, False)]
        below: List[int] = []
        while todo:
            node, ready = todo.pop()
            if ready:
                total = 1 + sum(below.pop() for _ in range(int(jvm.call(jvm.ask(node, "children"), "size"))))
                paths[self._identity(node, jvm)] = total
                below.append(total)
                continue
            identity = self._identity(node, jvm)
            if identity in paths:
                below.append(paths[identity])
                continue
            visited += 1
            if visited > MAX_WALK:
                return leaves, f"it has more than {MAX_WALK} operators"
            children = jvm.sequence(jvm.ask(node, "children"))
            if not children:
                leaves.append(node)
            todo.append((node, True))
            todo.extend((child, False) for child in reversed(children))
        size = below[0]
        return leaves, f"it has {size} operators" if size > limits.leaves else ""

    def _identity(self, java: Any, jvm: Jvm) -> int:
        return int(jvm.call(self._system, "identityHashCode", java))


def open_describer(context: Any) -> Describer:
    """The best describer that works for this SparkContext."""
    try:
        return CompiledDescriber(context)
    except Exception:  # noqa: BLE001  no Janino, or one that can't compile this: Spark's own way remains
        return PlainDescriber(context._jvm.java.lang.System)


def _without_literal(element: Dict[str, Any]) -> Dict[str, Any]:
    if "value" in element and str(element.get("class", "")).endswith(".Literal"):
        element["value"] = None
    return element


def _operators(parsed: Parsed) -> Dict[Node, int]:
    return {node: place for place, node in enumerate(parsed.nodes) if is_plan(node)}


def _bare(plan: Any, leaves: Sequence[Any], jvm: Jvm, reason: str) -> Description:
    """Root and leaves without fields, from the objects alone."""
    objects: Dict[Node, Any] = {}
    for leaf in leaves:
        name = jvm.class_name(leaf)
        objects[Node(name, simple_name(name), {})] = leaf
    name = jvm.class_name(plan)
    alone = len(objects) == 1 and next(iter(objects)).class_name == name
    root = next(iter(objects)) if alone else Node(name, simple_name(name), {}, tuple(objects))
    return Description(root, "leaves", reason, objects=objects)


def _pair(description: Description, node: Node, java: Any, jvm: Jvm) -> None:
    """Give each leaf of a plan, and of the plans inside it, its JVM object: both list leaves in the same order."""
    description.objects[node] = java
    leaves = node.leaves()
    if leaves != [node]:
        _zip(description, leaves, jvm.ask(java, "collectLeaves"), jvm)
    for one in [node] if leaves == [node] else [node, *leaves]:
        found = description.objects.get(one)
        for name, inner in inner_plans(one):
            if found is not None and inner not in description.objects:
                _pair(description, inner, jvm.ask(found, name), jvm)
    expected = list(subqueries(node))
    if expected:
        found = jvm.ask(java, "subqueriesAll")
        if int(jvm.call(found, "size")) == len(expected):
            for place, subquery in enumerate(expected):
                inner_java = description.objects[subquery] = jvm.call(found, "apply", place)
                if subquery.children:
                    _zip(description, subquery.leaves(), jvm.ask(inner_java, "collectLeaves"), jvm)


def _zip(description: Description, leaves: Sequence[Node], java: Any, jvm: Jvm) -> None:
    if int(jvm.call(java, "size")) == len(leaves):
        for place, leaf in enumerate(leaves):
            description.objects[leaf] = jvm.call(java, "apply", place)


def inner_plans(node: Node) -> List[Tuple[str, Node]]:
    """Plans in parameters that are no children, with the parameter's name: the query of a CTAS, a MERGE's target."""
    return [(name, value) for name, value in node.fields.items()
            if isinstance(value, Node) and is_plan(value) and name not in REPEATED]


def subqueries(plan: Node, met: Optional[Set[Node]] = None) -> List[Node]:
    """Plans inside expressions, in the order of Spark's `subqueriesAll`: a level after the other, each pre-order."""
    met = set() if met is None else met
    found: List[Node] = []
    for node in plan.walk():
        found.extend(node.trees("subqueries"))  # of a node whose expressions were left out
        todo = [tree for tree in node.all_trees() if not is_plan(tree)]
        todo.reverse()
        while todo:
            expression = todo.pop()
            if expression in met:
                continue
            met.add(expression)
            for _, inner in inner_plans(expression):
                if inner not in met:
                    met.add(inner)
                    found.append(inner)
            todo.extend(reversed(expression.children))
    for inner in list(found):
        found.extend(subqueries(inner, met))
    return found
