"""Plans as small frozen nodes, from the JSON that our describer or Spark itself gives.

`TreeNode.toJSON` gives a flat pre-order array: each element has `class`, `num-children` and one entry for each
constructor parameter. A parameter that is a child holds its index among the children; any other tree (an expression,
a plan that is no child) is an array of its own. Relations, maps and paths are null there. Our describer writes the
same, but each tree once: `{"ref": n}` (`{"tree": n}` outside a flat array) is the element that came n-th in the text,
so a plan is a graph whose nodes may have several parents. `{"type-ref": n}` is a data type out of a list.
Plans can be deeper than Python's stack, so nothing here recurses on operators or expressions.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple


class ExprId(NamedTuple):
    """Identity of an attribute within one driver: Spark's ExprId."""

    id: int
    jvm: str


@dataclass(frozen=True, eq=False)
class Node:
    """A plan operator or an expression: `name` is the simple class name, `fields` the other parameters."""

    class_name: str
    name: str
    fields: Mapping[str, Any]
    children: Tuple[Node, ...] = ()
    operator: bool = True

    def child(self, field: str) -> Optional[Node]:
        """The tree in a parameter, whether it is a child (an index) or an array of its own; None if it is neither."""
        value = self.fields.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self.children):
            return self.children[value]
        return value if isinstance(value, Node) else None

    def trees(self, field: str) -> Tuple[Node, ...]:
        """All trees in a parameter that is one, or a list of them (or a list of lists), in order."""
        child = self.child(field)
        return (child,) if child is not None else tuple(trees_in(self.fields.get(field), self.children))

    def all_trees(self) -> Iterator[Node]:
        """The expressions and inner plans that this node holds besides its children."""
        for value in self.fields.values():
            yield from trees_in(value)

    def expr_id(self) -> Optional[ExprId]:
        """The ExprId of a named expression."""
        return expr_id(self.fields.get("exprId"))

    def walk(self) -> Iterator[Node]:
        """This node and all below it, children only, pre-order; a node with several parents comes once."""
        stack = [self]
        met: Set[Node] = set()
        while stack:
            node = stack.pop()
            if node not in met:
                met.add(node)
                yield node
                stack.extend(reversed(node.children))

    def leaves(self) -> List[Node]:
        """The nodes without children, in the order of Spark's `collectLeaves`."""
        return [node for node in self.walk() if not node.children]


def expr_id(value: Any) -> Optional[ExprId]:
    """An ExprId from its JSON form, `{"id", "jvmId"}`, or the one that the parser has made of it."""
    if isinstance(value, ExprId):
        return value
    if isinstance(value, dict) and isinstance(value.get("id"), int):
        return ExprId(value["id"], str(value.get("jvmId", "")))
    return None


class Parsed(NamedTuple):
    """A plan, and all its nodes (those of inner plans and expressions too) in the order of the text."""

    root: Node
    nodes: Sequence[Node]


def parse_plan(flat: Any, types: Optional[Sequence[Any]] = None) -> Parsed:
    """The plan of a flat array of elements; with `types` it is our describer's, which marks operators.

    Raises ValueError when it is none.
    """
    if not _is_tree(flat):
        raise ValueError(f"not a plan: {json.dumps(flat)[:80]}")
    parser = _Parser(types)
    try:
        return Parsed(parser.tree(flat), parser.nodes)
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"not a plan: {type(error).__name__}: {error}") from error


def is_plan(node: Node) -> bool:
    """Whether a tree is a plan (an operator) rather than an expression."""
    return node.operator


def is_expression(node: Node) -> bool:
    """Whether a tree is an expression."""
    return not node.operator


@lru_cache(maxsize=4096)
def simple_name(class_name: str) -> str:
    """`a.b.Outer$Inner$` becomes `Inner`."""
    return class_name.rstrip("$").rsplit(".", 1)[-1].rsplit("$", 1)[-1]


def data_type(value: Any) -> str:
    """Spark's type name as OpenLineage writes it (`DataType.typeName`): `decimal(10,2)`, `struct`, `array`, `long`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        kind = value.get("type")
        return data_type(value.get("sqlType")) if kind == "udt" else str(kind)
    return "unknown"


def string_list(value: Any) -> Tuple[str, ...]:
    """A `Seq[String]` parameter, which the JSON holds as `"[a, b]"`, cut by Spark when long; () when it was cut."""
    if isinstance(value, list):
        return tuple(str(one) for one in value)
    if not isinstance(value, str) or not value.startswith("[") or not value.endswith("]") or "more fields" in value:
        return ()
    return tuple(value[1:-1].split(", ")) if len(value) > 2 else ()


def _is_tree(value: Any) -> bool:
    return (isinstance(value, list) and bool(value) and isinstance(value[0], dict)
            and ("num-children" in value[0] or "ref" in value[0]))


def trees_in(value: Any, children: Tuple[Node, ...] = ()) -> Iterator[Node]:
    """The trees in a parameter's value, which may be a list of lists; `children` are what its numbers mean."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(children):
                yield children[one]
            else:
                yield from trees_in(one, children)


_EXPRESSION_ENDINGS = ("UDF", "UDAF", "UDTF", "Action", "Clause", "Assignment", "Keep", "Discard", "Split",
                       "AggregateExpression", "Subquery")


@lru_cache(maxsize=4096)
def _looks_like_operator(class_name: str) -> bool:
    """For Spark's own JSON, which does not tell: expressions live in packages of theirs, but for these."""
    return not (".expressions." in class_name or class_name.endswith(_EXPRESSION_ENDINGS)
                or ".analysis.Unresolved" in class_name and "Relation" not in class_name)


class _Parser:
    """Builds nodes in the order of the text, so that a reference finds what it means."""

    def __init__(self, types: Optional[Sequence[Any]]) -> None:
        self.nodes: List[Any] = []
        self._types = types or ()
        self._marked = types is not None

    def tree(self, flat: List[Dict[str, Any]]) -> Node:
        """The tree of one flat array; an operator waits on the stack until its children are complete."""
        nodes = self.nodes
        stack: List[Tuple[int, str, Dict[str, Any], bool, int, List[Node]]] = []
        node: Optional[Node] = None
        for element in flat:
            place = element.get("ref")
            if place is not None:
                node = nodes[place]
                if node is None:
                    raise ValueError("a plan that contains itself")
            else:
                place = len(nodes)
                nodes.append(None)
                class_name = element.pop("class")
                count = element.pop("num-children")
                operator = element.pop("operator", None) is True if self._marked else _looks_like_operator(class_name)
                for key, value in element.items():
                    if type(value) is list or type(value) is dict:
                        element[key] = self._value(value)
                if count:
                    stack.append((place, class_name, element, operator, count, []))
                    continue
                node = nodes[place] = Node(class_name, simple_name(class_name), element, (), operator)
            while stack:
                place, class_name, fields, operator, count, children = stack[-1]
                children.append(node)
                if len(children) < count:
                    break
                stack.pop()
                node = nodes[place] = Node(class_name, simple_name(class_name), fields, tuple(children), operator)
        if stack or node is None:
            raise ValueError("a plan that ends too early")
        return node

    def _value(self, value: Any) -> Any:
        """A parameter with the trees in it built; nesting here is that of lists and subqueries, not of operators."""
        if isinstance(value, list):
            if _is_tree(value):
                return self.tree(value)
            return [self._value(one) if type(one) is list or type(one) is dict else one for one in value]
        if "type-ref" in value:
            return self._types[value["type-ref"]]
        if "tree" in value:
            return self.nodes[value["tree"]]
        if "jvmId" in value:
            return expr_id(value) or value
        if "product-class" in value:  # may hold trees, which count as all others do
            return {key: self._value(one) if type(one) is list or type(one) is dict else one
                    for key, one in value.items()}
        return value
