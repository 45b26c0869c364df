"""How each kind of plan operator makes its columns out of those of its children."""
from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence, Tuple

from adb_lineage.capture.expressions import members_of
from adb_lineage.capture.origins import EMPTY, Origin, member_of, passed, union
from adb_lineage.capture.plan import Node, expr_id, trees_in
from adb_lineage.capture.scopes import NO_COLUMNS, Attribute, Columns, around, attributes_of, together
from adb_lineage.capture.sql_text import Text, udf_name
from adb_lineage.capture.transformations import CONDITIONAL, FILTER, GROUP_BY, JOIN, SORT, TRANSFORMATION

if TYPE_CHECKING:
    from adb_lineage.capture.columns import ColumnLineage

Operator = Callable[["ColumnLineage", Node, List[Columns], Optional[Columns]], Columns]

LEFT_ONLY = ("LeftSemi", "LeftAnti")
# Generators that give as many rows for any values.
OF_FIXED_LENGTH = frozenset(("Stack", "JsonTuple"))
# A recursive query's columns are found when another round adds none; each round adds at least one edge.
MAX_ROUNDS = 50


def _project(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    return work.named(node.trees("projectList"), children[0], outer)


def _aggregate(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("groupingExpressions"), GROUP_BY, children[0], outer)
    return work.named(node.trees("aggregateExpressions"), children[0], outer)


def _filter(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("condition"), FILTER, children[0], outer)
    return children[0]


def _join(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    both = together(children)
    work.use(node.trees("condition") + node.trees("asOfCondition") + node.trees("orderExpression"), JOIN, both, outer)
    return children[0] if any(one in _join_type(node) for one in LEFT_ONLY) else both


def _join_type(node: Node) -> str:
    kind = node.fields.get("joinType")
    return str(kind.get("object", kind.get("product-class", ""))) if isinstance(kind, dict) else ""


def _sort(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("order"), SORT, children[0], outer)
    return children[0]


def _window(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    return work.named(node.trees("windowExpressions"), children[0], outer, children[0])


def _distinct(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use_all(children[0], GROUP_BY)
    return children[0]


def _deduplicate(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("keys"), GROUP_BY, children[0], outer)
    return children[0]


def _union(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """By position; the result carries the attributes of the first child."""
    return _rows(work, children[0].attributes, children)


def _rows(work: ColumnLineage, attributes: Tuple[Attribute, ...], parts: Sequence[Columns]) -> Columns:
    return work.by_position(attributes, [part.row() for part in parts])


def _except(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """EXCEPT and INTERSECT: values come from the left, the right decides which rows stay."""
    for child in children:
        work.use_all(child, FILTER)
    return children[0]


def _generate(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    child = children[0]
    made = attributes_of(node.trees("generatorOutput"))
    origins = dict(child.origins)
    for generator in node.trees("generator"):
        work.use(_counted(generator), FILTER, child, outer)
        for attribute, origin in zip(made, _generated(work, generator, made, child, outer)):
            origins[attribute.id] = origin
    return Columns(child.attributes + made, origins)


def _counted(generator: Node) -> Tuple[Node, ...]:
    """The arguments of a generator on whose content it depends how many rows there are."""
    if generator.name in OF_FIXED_LENGTH:
        return ()
    return tuple(one for one in generator.children if one.name not in ("CreateArray", "CreateMap"))


def _generated(work: ColumnLineage, generator: Node, made: Tuple[Attribute, ...], scope: Columns,
               outer: Optional[Columns]) -> List[Origin]:
    """The origin of each column that a generator makes."""
    arguments = generator.children
    text = work.text(generator, scope, outer)

    def whole() -> Origin:
        return Origin(work.lineage(generator, scope, outer, TRANSFORMATION), None, lambda depth: text)

    def element(argument: Node) -> Origin:
        origin = passed(work.origin(argument, scope, outer), TRANSFORMATION)
        return Origin(origin.lineage, origin.member, lambda depth: text)

    if generator.name in ("Explode", "PosExplode") and len(arguments) == 1:
        if arguments[0].name == "CreateMap":
            pairs = arguments[0].children
            keys, values = ([element(one) for one in pairs[start::2]] for start in (0, 1))
            sides = [union(keys or [EMPTY]), union(values or [EMPTY])]
        else:
            sides = [element(arguments[0])] * (len(made) - (1 if generator.name == "PosExplode" else 0))
        return ([whole()] if generator.name == "PosExplode" else []) + sides
    if generator.name == "Inline" and len(arguments) == 1:
        array = passed(work.origin(arguments[0], scope, outer), TRANSFORMATION)
        names = members_of(arguments[0])  # the columns may have others
        return [member_of(array, name, text) for name in names] if len(names) == len(made) else [whole()] * len(made)
    if generator.name == "Stack" and made and arguments and isinstance(arguments[0].fields.get("value"), int):
        cells = [element(one) for one in arguments[1:]]
        return [union(cells[position::len(made)] or [EMPTY]) for position in range(len(made))]
    return [whole()] * len(made)


def _expand(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """Rollup, cube, grouping sets, unpivot: each projection gives a row."""
    attributes = attributes_of(node.trees("output"))
    projections = node.fields.get("projections")
    if isinstance(projections, list) and projections:
        return work.by_position(attributes, [
            [work.origin(one, children[0], outer) for one in trees_in(projection)] for projection in projections])
    if len(attributes) == len(children[0].attributes) + 1:
        # Spark's own JSON lacks the projections; of a rollup the positions match, and the grouping id comes last
        return work.by_position(attributes, [children[0].row()])
    return work.opaque(attributes, children[0], Text(""))


def _cte_definition(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.definitions[_number(node, "id")] = children[0]
    return children[0]


def _reference(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """A reference to a CTE, or to a recursive query from inside it; its attributes are its own."""
    definition = work.definitions.get(_number(node, "cteId" if "cteId" in node.fields else "loopId"), NO_COLUMNS)
    return _rows(work, attributes_of(node.trees("output")), [definition])


def _last(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    return children[-1]


def _loop(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """A recursive query: its recursive part is evaluated until another round adds nothing."""
    anchor = work.evaluate(node.children[0], outer)
    identities = [expr_id(one) for one in node.fields.get("outputAttrIds") or ()]
    attributes = tuple(
        Attribute(identities[place] if place < len(identities) else one.id, one.name)
        for place, one in enumerate(anchor.attributes))
    found = _rows(work, attributes, [anchor])
    number = _number(node, "id")
    for _ in range(MAX_ROUNDS):
        work.definitions[number] = found
        after = _rows(work, attributes, [anchor, work.evaluate(node.children[1], outer)])
        same = all(after.at(place).lineage == found.at(place).lineage for place in range(len(attributes)))
        found = after
        if same:
            break
    return found


def _lateral_join(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    left = children[0]
    right = NO_COLUMNS
    for expression in node.trees("right"):
        plan = expression.fields.get("plan")
        if isinstance(plan, Node):
            right = work.evaluate(plan, around(left, outer))
    both = together([left, right])
    work.use(node.trees("condition"), JOIN, both, outer)
    return both


def _typed_filter(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """A filter by a function of the program's, which sees all that the deserializer reads."""
    work.use(node.trees("deserializer"), FILTER, children[0], outer)
    return children[0]


def _appended(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """The keys that a function of the program's gives for each row (`groupByKey`), behind the row's columns."""
    child = children[0]
    made = work.opaque(attributes_of(node.trees("serializer")), child, _text_of_code(node))
    return Columns(child.attributes + made.attributes, {**child.origins, **made.origins})


def _evaluated_udfs(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """Python UDFs taken out of expressions: each makes one column behind those of the child."""
    child = children[0]
    made = attributes_of(node.trees("resultAttrs"))
    origins = dict(child.origins)
    for attribute, udf in zip(made, node.trees("udfs")):
        origins[attribute.id] = work.origin(udf, child, outer)
    return Columns(child.attributes + made, origins)


def _object(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """Rows become one object of the program's: it is made of all that the deserializer reads, or of all."""
    made = attributes_of(node.trees("outputObjAttr"))
    lineage = work.lineage(node.trees("deserializer")[0], children[0], outer, TRANSFORMATION) if node.trees(
        "deserializer") else {}
    if not lineage:
        return work.opaque(made, children[0], Text(""))
    return Columns(made, dict.fromkeys((one.id for one in made), Origin(lineage)))


def _merge_rows(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """MERGE of a V2 table: each instruction gives a row of expressions for the target's columns.

    Spark's instructions (from 3.5) hold their condition and output; Iceberg's own node (for 3.3 and 3.4) has lists of
    both side by side.
    """
    scope = children[0]
    rows: List[List[Origin]] = []
    for name, value in node.fields.items():
        if name.endswith("Instructions"):
            for instruction in node.trees(name):
                work.use(instruction.trees("condition"), CONDITIONAL, scope, outer)
                for output in ("output", "otherOutput"):
                    expressions = instruction.trees(output)
                    if expressions:
                        rows.append([work.origin(one, scope, outer) for one in expressions])
        elif name.endswith("Conditions"):
            work.use(node.trees(name), CONDITIONAL, scope, outer)
        elif name.endswith("Outputs") and isinstance(value, list):
            for one in _lists_of_nodes(value):
                rows.append([work.origin(expression, scope, outer) for expression in one])
    return work.by_position(attributes_of(node.trees("output")), rows)


def _view(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """Before Spark 3.1 a view lists columns of its own: by position those of its query."""
    below = together(children)
    made = attributes_of(node.trees("output"))
    if len(made) != len(below.attributes):
        return by_shape(work, node, children, outer)
    return work.by_position(made, [below.row()])


def _lists_of_nodes(value: object) -> List[List[Node]]:
    if not isinstance(value, list):
        return []
    if value and all(isinstance(one, Node) for one in value):
        return [value]
    return [found for one in value for found in _lists_of_nodes(one)]


def by_shape(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """An operator without a rule: it passes its child on, unless it makes columns whose way can't be seen.

    A Python, pandas, Arrow, Scala or script operator lists new attributes; each is taken to depend on all columns.
    """
    if not children:
        return work.leaf(node)
    below = together(children)
    made = attributes_of(node.trees("output") or node.trees("resultAttrs") or node.trees("serializer")
                         or node.trees("outputObjAttr"))
    if not made or all(one.id in below.origins for one in made):
        return below
    return work.opaque(made, below, _text_of_code(node))


def _text_of_code(node: Node) -> Text:
    """The user's function that an operator calls."""
    for tree in node.all_trees():
        name = udf_name(tree)
        if name:
            return Text(f"{name}(*)", (name,))
    return Text("*", (node.name,))


def _number(node: Node, name: str) -> int:
    value = node.fields.get(name)
    return value if isinstance(value, int) else -1


# Evaluates its children itself.
WHOLE = frozenset(("UnionLoop",))
OPERATORS: Dict[str, Operator] = {
    **dict.fromkeys(("Join", "AsOfJoin"), _join),
    **dict.fromkeys(("Except", "Intersect"), _except),
    **dict.fromkeys(("Deduplicate", "DeduplicateWithinWatermark"), _deduplicate),
    **dict.fromkeys(("BatchEvalPython", "ArrowEvalPython"), _evaluated_udfs),
    **dict.fromkeys(("CTERelationRef", "UnionLoopRef"), _reference),
    "Project": _project,
    "Aggregate": _aggregate,
    "Filter": _filter,
    "Sort": _sort,
    "Window": _window,
    "Distinct": _distinct,
    "Union": _union,
    "Generate": _generate,
    "Expand": _expand,
    "CTERelationDef": _cte_definition,
    "View": _view,
    "WithCTE": _last,
    "UnionLoop": _loop,
    "LateralJoin": _lateral_join,
    "DeserializeToObject": _object,
    "TypedFilter": _typed_filter,
    "AppendColumns": _appended,
    "MergeRows": _merge_rows,
}
