"""How the parts of an expression reach its value: a rule for each kind of expression that is no plain function.

A rule gives steps: which child, through which transformation, and which member of the child is meant. `path` is the
member asked for of the expression itself, () for all of it: of `struct(a, b).a` only `a` matters.
Source of the subtypes and of masking: OpenLineage's Spark agent (ExpressionTraverser).
"""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from adb_lineage.capture.plan import Node
from adb_lineage.capture.transformations import (
    AGGREGATION,
    CONDITIONAL,
    TRANSFORMATION,
    WINDOW,
    Path,
    Transformation,
    chain,
)

# Spark functions from whose result the value can't be read back.
MASKING = frozenset(("Crc32", "HiveHash", "Md5", "Murmur3Hash", "Sha1", "Sha2", "XxHash64", "Mask"))
COUNTING = frozenset(("Count", "CountIf", "RegrCount"))
RANKING = frozenset(("RowNumber", "Rank", "DenseRank", "PercentRank", "CumeDist", "NTile"))
# Aggregates that give one of the values themselves, or a list of them: a member of the result is one of theirs.
PICKING = frozenset(("First", "Last", "Max", "Min", "AnyValue", "CollectList", "CollectSet", "Mode", "MaxBy", "MinBy"))
CHOSEN_BY_SECOND = frozenset(("MaxBy", "MinBy"))
# Those that look at the whole of each value, and those that do at the members before the one that differs.
CHOSEN_BY_ALL = frozenset(("CollectSet", "Mode"))
CHOSEN_BY_FIRST = frozenset(("Max", "Min"))
# Members of a struct beyond these decide about its order where all of these are equal: never, as good as.
MAX_DECIDING = 20
# org.apache.spark.api.python.PythonEvalType.SQL_GROUPED_AGG_PANDAS_UDF
GROUPED_AGGREGATE = 202
# Their type is that of their first child.
OF_ITS_TYPE = frozenset(("Alias", "ArrayFilter", "ArraySort", "SortArray", "ArrayDistinct", "ArrayCompact", "Slice",
                         "Coalesce"))
# Theirs is that of a part of their first child.
OF_A_PART = frozenset(("GetStructField", "GetArrayItem", "ElementAt", "GetMapValue"))
# References to a column of the scope, and to one of a scope around it.
ATTRIBUTES = frozenset(("AttributeReference",))
OUTER = frozenset(("OuterReference", "OuterScopeReference", "UnresolvedOuterReference"))
# An expression that names parts of it which occur several times, and such a name: `nullif` and `between` of Spark 4.
COMMON = frozenset(("With", "CommonExpressionRef"))
# Parameters of subquery expressions that hold their plan.
SUBQUERIES = ("plan", "query")


class Step(NamedTuple):
    """To a child, which reaches the value through `way`; of the child only the member at `path` counts."""

    node: Node
    way: Transformation
    path: Path


Steps = Iterator[Step]


def steps(node: Node, way: Transformation, path: Path) -> Steps:
    """The steps from an expression to its children; none from a reference to a column."""
    return _RULES.get(node.name, _function)(node, way, path)


def shared(node: Node, commons: Dict[int, Node]) -> Sequence[Node]:
    """What one of COMMON stands for, the same member of it in the same way; `commons` holds what has a name so far."""
    if node.name == "CommonExpressionRef":
        number = _common_id(node)
        return [commons[number]] if number in commons else []
    body, *definitions = node.children
    named = {_common_id(one): one.children[0] for one in definitions}
    commons.update(named)
    return [body] if len(named) == len(definitions) else node.children


def _common_id(node: Node) -> int:
    """-1 where the plan's own JSON has lost it."""
    number = node.fields.get("id")
    found = number.get("id") if isinstance(number, dict) else None
    return found if isinstance(found, int) else -1


def _function(node: Node, way: Transformation, path: Path) -> Steps:
    """Any function: its result is a transformation of each argument."""
    inner = chain(way, TRANSFORMATION._replace(masking=True) if node.name in MASKING else TRANSFORMATION)
    for child in node.children:
        yield Step(child, inner, ())


def _same(node: Node, way: Transformation, path: Path) -> Steps:
    for child in node.children:
        yield Step(child, way, path)


def _cast(node: Node, way: Transformation, path: Path) -> Steps:
    """A cast to the type the column has anyway (store assignment) changes nothing."""
    child = node.children[0]
    if _without_nulls(type_of(child)) == _without_nulls(node.fields.get("dataType")):
        yield Step(child, way, path)
    else:
        yield Step(child, chain(way, TRANSFORMATION), ())


def _case_when(node: Node, way: Transformation, path: Path) -> Steps:
    """Children are condition, value, condition, value, …, and the else value when their number is odd."""
    pairs = len(node.children) // 2 * 2
    for position, child in enumerate(node.children):
        if position % 2 == 0 and position < pairs:
            yield Step(child, chain(way, CONDITIONAL), ())
        else:
            yield Step(child, chain(way, TRANSFORMATION), path)


def _if(node: Node, way: Transformation, path: Path) -> Steps:
    """A choice on `true`, or between a column and itself, is none: V2's UPDATE writes both."""
    condition, *values = node.children
    if condition.name == "Literal" and str(condition.fields.get("value")).lower() == "true":
        yield Step(values[0], way, path)
        return
    if all(one.name in ATTRIBUTES for one in values) and len({one.expr_id() for one in values}) == 1:
        yield Step(values[0], way, path)
        return
    for position, child in enumerate(node.children):
        if position == 0:
            yield Step(child, chain(way, CONDITIONAL), ())
        else:
            yield Step(child, chain(way, TRANSFORMATION), path)


def _null_if(node: Node, way: Transformation, path: Path) -> Steps:
    """What `nullif` becomes in Spark 4.3: a value, unless the condition holds."""
    condition, value = node.children
    yield Step(condition, chain(way, CONDITIONAL), ())
    yield Step(value, chain(way, TRANSFORMATION), path)


def _coalesce(node: Node, way: Transformation, path: Path) -> Steps:
    for child in node.children:
        yield Step(child, chain(way, CONDITIONAL), ())
        yield Step(child, chain(way, TRANSFORMATION), path)


def _aggregate(node: Node, way: Transformation, path: Path) -> Steps:
    function = node.child("aggregateFunction") or node.children[0]
    inner = chain(way, AGGREGATION._replace(masking=True) if function.name in COUNTING else AGGREGATION)
    for position, child in enumerate(function.children):
        if position == 1 and function.name in CHOSEN_BY_SECOND or position == 0 and function.name == "PivotFirst":
            yield Step(child, chain(way, CONDITIONAL), ())
        else:
            yield Step(child, inner, path if position == 0 and function.name in PICKING else ())
            if position == 0 and path:
                yield from _deciding(function.name, child, chain(way, CONDITIONAL), path)
    for child in node.children:
        if child is not function:
            yield Step(child, chain(way, CONDITIONAL), ())


def _python_udf(node: Node, way: Transformation, path: Path) -> Steps:
    """Before Spark 3.5 a pandas UDF that aggregates has no AggregateExpression around it."""
    inner = chain(way, AGGREGATION if node.fields.get("evalType") == GROUPED_AGGREGATE else TRANSFORMATION)
    for child in node.children:
        yield Step(child, inner, ())


def _deciding(function: str, struct: Node, way: Transformation, path: Path) -> Steps:
    """What decides whose member an aggregate gives: of `max(struct(at, price)).price` it is `at`."""
    if function in CHOSEN_BY_ALL:
        yield Step(struct, way, ())
    if function not in CHOSEN_BY_FIRST:
        return
    kind = type_of(struct)
    for depth, member in enumerate(path):
        fields = _fields(kind)
        place = next((place for place, one in enumerate(fields) if same_name(one.get("name"), member)), None)
        if place is None:  # in an array, or nobody knows
            yield Step(struct, way, path[:depth])
            return
        for one in fields[:place][:MAX_DECIDING]:
            yield Step(struct, way, (*path[:depth], one["name"]))
        kind = fields[place].get("type")


def _window(node: Node, way: Transformation, path: Path) -> Steps:
    """The function's arguments are direct, but for ranking functions; partition, order and frame are indirect."""
    for position, child in enumerate(node.children):
        if position == 0 and child.name not in RANKING:
            yield Step(child, chain(way, TRANSFORMATION), path)
        else:
            yield Step(child, chain(way, WINDOW), ())


def _value_of_window(node: Node, way: Transformation, path: Path) -> Steps:
    """Functions that give a value of another row."""
    for position, child in enumerate(node.children):
        yield Step(child, chain(way, TRANSFORMATION), path if position == 0 else ())


def _member(node: Node, way: Transformation, path: Path) -> Steps:
    """`s.a`: the member itself; where its name is not known, something of the whole."""
    child = node.children[0]
    name = member_name(node)
    if name is None:
        yield Step(child, chain(way, TRANSFORMATION), ())
    else:
        yield Step(child, way, (name, *path))


def _member_of_items(node: Node, way: Transformation, path: Path) -> Steps:
    """`items.price` of an array of structs: an array of that member."""
    field = node.fields.get("field")
    child = node.children[0]
    if isinstance(field, dict) and field.get("name"):
        yield Step(child, way, (str(field["name"]), *path))
    else:
        yield Step(child, chain(way, TRANSFORMATION), ())


def _item(node: Node, way: Transformation, path: Path) -> Steps:
    """`items[0]`, `m['k']`: one of the values in a container."""
    for position, child in enumerate(node.children):
        yield Step(child, chain(way, TRANSFORMATION), path if position == 0 else ())


def _chosen_items(node: Node, way: Transformation, path: Path) -> Steps:
    """`filter` and `array_sort`: the whole elements decide which one stays, or comes where."""
    if path:
        yield Step(node.children[0], chain(way, CONDITIONAL), ())
    yield from _item(node, way, path)


def _named_struct(node: Node, way: Transformation, path: Path) -> Steps:
    """Children are name, value, name, value, …"""
    for position in range(1, len(node.children), 2):
        if not path:
            yield Step(node.children[position], chain(way, TRANSFORMATION), ())
        elif same_name(node.children[position - 1].fields.get("value"), path[0]):
            yield Step(node.children[position], way, path[1:])


def _container(node: Node, way: Transformation, path: Path) -> Steps:
    for child in node.children:
        yield Step(child, chain(way, TRANSFORMATION), path)


def _zipped(node: Node, way: Transformation, path: Path) -> Steps:
    """`arrays_zip`: a member comes of the array of its name; the others decide how long the result is."""
    named = [path and same_name(one.fields.get("value"), path[0]) for one in node.trees("names")]
    for position, child in enumerate(node.children):
        if not any(named):
            yield Step(child, chain(way, TRANSFORMATION), ())
        elif named[position]:
            yield Step(child, chain(way, TRANSFORMATION), path[1:])
        else:
            yield Step(child, chain(way, CONDITIONAL), ())


def _map(node: Node, way: Transformation, path: Path) -> Steps:
    """Children are key, value, key, value, …; a member can only be one of the values'."""
    for position, child in enumerate(node.children):
        yield Step(child, chain(way, TRANSFORMATION), path if position % 2 else ())


def _updated_struct(node: Node, way: Transformation, path: Path) -> Steps:
    """`withField` and `dropFields`: the last one that sets a member decides."""
    struct, changes = node.children[0], node.children[1:]
    if not path:
        yield Step(struct, chain(way, TRANSFORMATION), ())
        for change in changes:
            for value in change.children:
                yield Step(value, chain(way, TRANSFORMATION), ())
        return
    setting = [one for one in changes if same_name(one.fields.get("name"), path[0])]
    if not setting:
        yield Step(struct, way, path)
    for value in setting[-1].children if setting else ():
        yield Step(value, way, path[1:])


def _nothing(node: Node, way: Transformation, path: Path) -> Steps:
    """A subquery lists the outer columns it uses as its children; they count where its plan uses them."""
    yield from ()


def _in_subquery(node: Node, way: Transformation, path: Path) -> Steps:
    for child in node.children:
        yield Step(child, chain(way, TRANSFORMATION), ())


_RULES: Dict[str, Callable[[Node, Transformation, Path], Steps]] = {
    **dict.fromkeys(("Alias", "CheckOverflowInTableInsert", "KnownNotNull", "KnownNullable", "NormalizeNaNAndZero",
                     "KnownFloatingPointNormalized", "SortOrder", "AssertNotNull", "NamedArgumentExpression"), _same),
    **dict.fromkeys(("Cast", "UpCast", "AnsiCast", "TryCast"), _cast),
    **dict.fromkeys(("Lag", "Lead", "NthValue"), _value_of_window),
    **dict.fromkeys(("GetArrayItem", "GetMapValue", "ElementAt", "TryElementAt", "Slice", "ArrayCompact", "Get"),
                    _item),
    **dict.fromkeys(("ArrayFilter", "ArraySort", "SortArray", "ArrayDistinct"), _chosen_items),
    **dict.fromkeys(("CreateArray", "ArrayUnion"), _container),
    **dict.fromkeys(("ScalarSubquery", "Exists", "ListQuery", "LateralSubquery"), _nothing),
    "CaseWhen": _case_when,
    "If": _if,
    "NullIfResult": _null_if,
    "Coalesce": _coalesce,
    "AggregateExpression": _aggregate,
    "PythonUDF": _python_udf,
    "WindowExpression": _window,
    "GetStructField": _member,
    "GetArrayStructFields": _member_of_items,
    "CreateNamedStruct": _named_struct,
    "ArraysZip": _zipped,
    "CreateMap": _map,
    "UpdateFields": _updated_struct,
    "InSubquery": _in_subquery,
}


def same_name(one: Any, other: str) -> bool:
    """Spark's names are case-insensitive by default; two that differ in case alone are taken for one."""
    return isinstance(one, str) and one.lower() == other.lower()


def member_name(node: Node) -> Optional[str]:
    """The name of the member that a GetStructField takes, as the struct spells it; None where it is not known."""
    ordinal = node.fields.get("ordinal")
    child = node.children[0]
    if child.name == "CreateNamedStruct" and isinstance(ordinal, int) and 2 * ordinal < len(child.children):
        value = child.children[2 * ordinal].fields.get("value")
        return value if isinstance(value, str) else None
    fields = _fields(type_of(child))
    if isinstance(ordinal, int) and 0 <= ordinal < len(fields):
        return str(fields[ordinal]["name"])
    name = node.fields.get("name")
    return name if isinstance(name, str) else None


def members_of(node: Node) -> List[str]:
    """The names of a struct's members, or of those of the structs in an array; empty where they are not known."""
    kind = type_of(node)
    found = [one.get("name") for one in _fields(kind.get("elementType", kind) if isinstance(kind, dict) else None)]
    return [str(one) for one in found] if all(isinstance(one, str) for one in found) else []


def type_of(node: Node) -> Any:
    """The data type of an expression in its JSON form, None for one that does not show it."""
    members = []
    while (node.name in OF_ITS_TYPE or node.name in OF_A_PART) and node.children:
        members.append(node)
        node = node.children[0]
    found = node.fields.get("dataType") or _made_type(node)
    for member in reversed(members):
        found = _type_of_member(member, found)
    return found


def _made_type(node: Node) -> Any:
    """The data type of a struct or an array that the query puts together."""
    if node.name == "CreateArray" and node.children:
        return {"type": "array", "elementType": type_of(node.children[0])}
    if node.name == "CreateNamedStruct":
        return _struct(node.children[::2], [type_of(one) for one in node.children[1::2]])
    if node.name == "ArraysZip":
        kinds = [type_of(one) for one in node.children]
        return {"type": "array", "elementType": _struct(
            node.trees("names"), [one.get("elementType") if isinstance(one, dict) else None for one in kinds])}
    return None


def _struct(names: Sequence[Node], kinds: Sequence[Any]) -> Any:
    fields = [{"name": name.fields.get("value"), "type": kind} for name, kind in zip(names, kinds)]
    return {"type": "struct", "fields": fields}


def _fields(kind: Any) -> List[Dict[str, Any]]:
    found = kind.get("fields") if isinstance(kind, dict) else None
    return found if isinstance(found, list) else []


def _without_nulls(kind: Any) -> Any:
    """A data type without what it says of NULL and of comments."""
    if isinstance(kind, dict):
        return {key: _without_nulls(value) for key, value in kind.items()
                if key not in ("nullable", "containsNull", "valueContainsNull", "metadata")}
    return [_without_nulls(one) for one in kind] if isinstance(kind, list) else kind


def _type_of_member(node: Node, outer: Any) -> Any:
    if node.name in OF_ITS_TYPE:
        return outer
    if not isinstance(outer, dict):
        return None
    if node.name == "GetStructField":
        ordinal, fields = node.fields.get("ordinal"), outer.get("fields", ())
        return fields[ordinal].get("type") if isinstance(ordinal, int) and 0 <= ordinal < len(fields) else None
    return outer.get("elementType", outer.get("valueType"))
