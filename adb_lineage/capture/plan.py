"""Spark's plan JSON as small frozen nodes.

`TreeNode.toJSON` gives a flat pre-order array: each element has `class`, `num-children` and one entry for each
constructor parameter. A parameter that is a child holds its index among the children; any other tree (an expression,
a plan that is no child) is an array of its own. Relations, maps, paths and enums are null there.
Plans can be deeper than Python's stack, so nothing here recurses.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

MAX_SIMPLE_STRING = 1000


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

    def child(self, field: str) -> Optional[Node]:
        """The tree in a parameter, whether it is a child (an index) or an array of its own; None if it is neither."""
        value = self.fields.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self.children):
            return self.children[value]
        return value if isinstance(value, Node) else None

    def trees(self, field: str) -> Tuple[Node, ...]:
        """All trees in a parameter that is a list of them (or a list of lists), in order."""
        return tuple(_trees_in(self.fields.get(field), self.children))

    def all_trees(self) -> Iterator[Node]:
        """The expressions and inner plans that this node holds besides its children."""
        for value in self.fields.values():
            yield from _trees_in(value, ())

    def expr_id(self) -> Optional[ExprId]:
        """The ExprId of a named expression."""
        return expr_id(self.fields.get("exprId"))

    def walk(self) -> Iterator[Node]:
        """This node and all below it, children only, pre-order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def leaves(self) -> List[Node]:
        """The nodes without children, in the order of Spark's `collectLeaves`."""
        return [node for node in self.walk() if not node.children]


def expr_id(value: Any) -> Optional[ExprId]:
    """An ExprId from its JSON form, `{"id", "jvmId"}`."""
    if isinstance(value, dict) and isinstance(value.get("id"), int):
        return ExprId(value["id"], str(value.get("jvmId", "")))
    return None


def parse_plan(text: str) -> Node:
    """The plan of `plan.toJSON()`. Raises ValueError when the text is no plan."""
    flat = json.loads(text)
    node = _tree(flat) if _is_tree(flat) else None
    if node is None:
        raise ValueError(f"not a plan: {text[:80]!r}")
    return node


def is_plan(node: Node) -> bool:
    """Whether a tree is a plan (an operator) rather than an expression: Spark's own packages tell."""
    return not is_expression(node)


def is_expression(node: Node) -> bool:
    """Whether a tree is an expression; Databricks' own expressions live in `.expressions.` packages too."""
    return ".expressions." in node.class_name or ".python.PythonUDF" in node.class_name


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
            and "class" in value[0] and "num-children" in value[0])


def _trees_in(value: Any, children: Tuple[Node, ...]) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(children):
                yield children[one]
            else:
                yield from _trees_in(one, children)


def _tree(flat: List[Dict[str, Any]]) -> Optional[Node]:
    """Nodes of a pre-order array, built from its end: when a node is met, its children wait on the stack."""
    stack: List[Node] = []
    for element in reversed(flat):
        count = element.get("num-children", 0)
        if count > len(stack):
            return None
        children = tuple(stack.pop() for _ in range(count))
        class_name = str(element.get("class", ""))
        fields = {key: _value(value) for key, value in element.items() if key not in ("class", "num-children")}
        stack.append(Node(class_name, simple_name(class_name), fields, children))
    return stack[0] if len(stack) == 1 else None


def _value(value: Any) -> Any:
    """A parameter with the trees in it built; nesting here is that of lists and subqueries, not of operators."""
    if isinstance(value, list):
        if _is_tree(value):
            node = _tree(value)
            return value if node is None else node
        return [_value(one) for one in value]
    return value
