"""The SQL text of an expression, short and without secrets: it goes into the description of a column's transformation.

It is rebuilt from the plan, for reading, not for running. Values of strings, dates and binaries may be secrets or
people's data, so a `?` stands for each; numbers, booleans and NULL are shown. A text ends with `…` where it is cut.
"""
from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from adb_lineage.capture.expressions import ATTRIBUTES, OUTER, member_name
from adb_lineage.capture.plan import Node, data_type, is_plan

MAX_TEXT = 500
MAX_DEPTH = 40
MAX_PARTS = 150
CUT = "…"

_INFIX = {
    "Or": ("OR", 1), "And": ("AND", 2), "EqualTo": ("=", 4), "EqualNullSafe": ("<=>", 4), "LessThan": ("<", 4),
    "LessThanOrEqual": ("<=", 4), "GreaterThan": (">", 4), "GreaterThanOrEqual": (">=", 4), "Like": ("LIKE", 4),
    "RLike": ("RLIKE", 4), "BitwiseOr": ("|", 5), "BitwiseXor": ("^", 6), "BitwiseAnd": ("&", 7), "Add": ("+", 8),
    "Subtract": ("-", 8), "Multiply": ("*", 9), "Divide": ("/", 9), "IntegralDivide": ("div", 9),
    "Remainder": ("%", 9),
}
_UNBOUND = 99
_UDF_ENDINGS = ("UDF", "UDAF", "UDTF", "ScalaAggregator", "ApplyFunctionExpression")
_SHOWN_LITERALS = re.compile(r"boolean|byte|short|integer|long|float|double|decimal.*|void|null")


class Text(NamedTuple):
    """SQL, and the user-defined functions that the value went through."""

    sql: str
    udfs: Tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The text with the mark of user-defined functions, whose inner ways nobody can see."""
        return f"through UDF {', '.join(self.udfs)}: {self.sql}" if self.udfs else self.sql


NameOf = Callable[[Node], Text]


def text_of(expression: Node, name_of: NameOf) -> Text:
    """The text of an expression; `name_of` gives that of a column reference."""
    writer = _Writer(name_of)
    sql = writer.write(expression, 0, 0)
    return Text(sql if len(sql) <= MAX_TEXT else sql[:MAX_TEXT - 1] + CUT, tuple(dict.fromkeys(writer.udfs)))


def udf_name(node: Node) -> str:
    """The name of a user-defined function; "" for any other expression."""
    if not node.name.endswith(_UDF_ENDINGS):
        return ""
    for key in ("name", "udfName", "sql-name"):
        name = node.fields.get(key)
        if isinstance(name, str) and name:
            return name
    return "UDF"


class _Writer:
    def __init__(self, name_of: NameOf) -> None:
        self.udfs: List[str] = []
        self._name_of = name_of
        self._parts = 0

    def write(self, node: Node, depth: int, around: int) -> str:
        """The text; `around` is how strongly the expression around it binds."""
        self._parts += 1
        if self._parts > MAX_PARTS or depth > MAX_DEPTH:
            return CUT
        if node.name in ATTRIBUTES or node.name in OUTER:
            text = self._name_of(node)
            self.udfs.extend(text.udfs)
            return f"({text.sql})" if around and not _closed(text.sql) else text.sql
        if node.name in _INFIX and len(node.children) == 2:
            operator, strength = _INFIX[node.name]
            sql = (f"{self.write(node.children[0], depth + 1, strength)} {operator} "
                   f"{self.write(node.children[1], depth + 1, strength + 1)}")
            return f"({sql})" if around > strength else sql
        rule = _FORMS.get(node.name)
        return rule(self, node, depth + 1) if rule is not None else self.function(node, depth + 1)

    def all(self, nodes: Any, depth: int) -> str:
        """Several expressions with commas between."""
        return ", ".join(self.write(node, depth, 0) for node in nodes)

    def function(self, node: Node, depth: int, before: str = "") -> str:
        """`name(arguments)`."""
        udf = udf_name(node)
        if udf:
            self.udfs.append(udf)
        name = udf or str(node.fields.get("sql-name") or "") or node.name.lower()
        return f"{name}({before}{self.all(_arguments(node), depth)})"


def _closed(sql: str) -> bool:
    """Whether a text needs no brackets: a name, or one call."""
    return re.fullmatch(r"[\w.`]+|\w+\([^()]*\)", sql) is not None


def _arguments(node: Node) -> Tuple[Node, ...]:
    """What the user wrote: an expression that Spark replaces by another keeps its own parameters."""
    replacement = node.child("replacement") or node.child("child")  # the latter before Spark 3.3
    if replacement is None or len(node.children) != 1:
        return node.children
    return tuple(one for one in node.all_trees() if one is not replacement and not is_plan(one)) or node.children


def _literal(writer: _Writer, node: Node, depth: int) -> str:
    value = node.fields.get("value")
    if value is None and node.fields.get("dataType") in ("void", "null", None):
        return "NULL"
    if value is None or not _SHOWN_LITERALS.fullmatch(data_type(node.fields.get("dataType"))):
        return "?"
    return str(value).upper() if isinstance(value, bool) else str(value)


def _first(writer: _Writer, node: Node, depth: int) -> str:
    return writer.write(node.children[0], depth, 0) if node.children else "?"


def _cast(writer: _Writer, node: Node, depth: int) -> str:
    if node.children[0].name == "Literal":  # Spark's own, nearly always
        return writer.write(node.children[0], depth, 0)
    return f"CAST({writer.write(node.children[0], depth, 0)} AS {data_type(node.fields.get('dataType'))})"


def _case(writer: _Writer, node: Node, depth: int) -> str:
    sql = "CASE"
    for position in range(0, len(node.children) - 1, 2):
        sql += (f" WHEN {writer.write(node.children[position], depth, 0)}"
                f" THEN {writer.write(node.children[position + 1], depth, 0)}")
    if len(node.children) % 2:
        sql += f" ELSE {writer.write(node.children[-1], depth, 0)}"
    return sql + " END"


def _aggregate(writer: _Writer, node: Node, depth: int) -> str:
    function = node.child("aggregateFunction") or node.children[0]
    sql = writer.function(function, depth, "DISTINCT " if node.fields.get("isDistinct") is True else "")
    rest = [child for child in node.children if child is not function]
    return f"{sql} FILTER (WHERE {writer.all(rest, depth)})" if rest else sql


def _window(writer: _Writer, node: Node, depth: int) -> str:
    specification = node.children[1] if len(node.children) > 1 else node
    partition, order = specification.trees("partitionSpec"), specification.trees("orderSpec")
    parts = [f"PARTITION BY {writer.all(partition, depth)}"] if partition else []
    if order:
        parts.append(f"ORDER BY {writer.all(order, depth)}")
    return f"{writer.write(node.children[0], depth, 0)} OVER ({' '.join(parts)})"


def _order(writer: _Writer, node: Node, depth: int) -> str:
    down = "Desc" in str(node.fields.get("direction"))
    return writer.write(node.children[0], depth, 0) + (" DESC" if down else "")


def _member(writer: _Writer, node: Node, depth: int) -> str:
    return f"{writer.write(node.children[0], depth, _UNBOUND)}.{member_name(node) or '?'}"


def _member_of_items(writer: _Writer, node: Node, depth: int) -> str:
    field = node.fields.get("field")
    name = field.get("name") if isinstance(field, dict) else None
    return f"{writer.write(node.children[0], depth, _UNBOUND)}.{name or '?'}"


def _item(writer: _Writer, node: Node, depth: int) -> str:
    return f"{writer.write(node.children[0], depth, _UNBOUND)}[{writer.write(node.children[1], depth, 0)}]"


def _in(writer: _Writer, node: Node, depth: int) -> str:
    return f"{writer.write(node.children[0], depth, 4)} IN ({writer.all(node.children[1:], depth)})"


def _in_subquery(writer: _Writer, node: Node, depth: int) -> str:
    values = [child for child in node.children if child.name != "ListQuery"]
    left = writer.write(values[0], depth, 4) if len(values) == 1 else f"({writer.all(values, depth)})"
    return f"{left} IN (subquery)"


def _lambda(writer: _Writer, node: Node, depth: int) -> str:
    body, names = node.children[0], node.children[1:]
    return f"({writer.all(names, depth)}) -> {writer.write(body, depth, 0)}"


def _variable(writer: _Writer, node: Node, depth: int) -> str:
    return str(node.fields.get("name", "?"))


def _struct(writer: _Writer, node: Node, depth: int) -> str:
    parts = []
    for position in range(0, len(node.children) - 1, 2):
        name = node.children[position].fields.get("value")
        parts.append(f"{writer.write(node.children[position + 1], depth, 0)} AS {name}")
    return f"struct({', '.join(parts)})"


def _subquery(writer: _Writer, node: Node, depth: int) -> str:
    return f"({'EXISTS ' if node.name == 'Exists' else ''}subquery)"


def _around(before: str, after: str, strength: int) -> Callable[[_Writer, Node, int], str]:
    def form(writer: _Writer, node: Node, depth: int) -> str:
        return before + writer.write(node.children[0], depth, strength) + after
    return form


_FORMS: Dict[str, Callable[[_Writer, Node, int], str]] = {
    **dict.fromkeys(("Alias", "KnownNotNull", "KnownNullable", "NormalizeNaNAndZero", "KnownFloatingPointNormalized",
                     "CheckOverflowInTableInsert", "AssertNotNull", "PromotePrecision", "ToPrettyString"), _first),
    **dict.fromkeys(("Cast", "UpCast", "AnsiCast", "TryCast"), _cast),
    **dict.fromkeys(("ScalarSubquery", "Exists", "ListQuery", "LateralSubquery"), _subquery),
    **dict.fromkeys(("GetArrayItem", "GetMapValue"), _item),
    "Literal": _literal,
    "CaseWhen": _case,
    "AggregateExpression": _aggregate,
    "WindowExpression": _window,
    "SortOrder": _order,
    "GetStructField": _member,
    "GetArrayStructFields": _member_of_items,
    "In": _in,
    "InSubquery": _in_subquery,
    "CreateNamedStruct": _struct,
    "LambdaFunction": _lambda,
    "NamedLambdaVariable": _variable,
    "Not": _around("NOT ", "", 3),
    "UnaryMinus": _around("-", "", 10),
    "IsNull": _around("", " IS NULL", 4),
    "IsNotNull": _around("", " IS NOT NULL", 4),
}
