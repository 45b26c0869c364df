"""Column lineage of an analysed plan.

The plan is evaluated bottom-up. Each operator turns the columns of its children into its own; a column is an ExprId
with what it is made of. Scopes are exact: an ExprId means what it means below the operator that uses it. The cost is
linear in the plan; nothing recurses on operators or expressions, only on nested subqueries.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Tuple

from adb_lineage.capture.plan import ExprId, Node, is_expression
from adb_lineage.capture.transformations import (
    AGGREGATION,
    CONDITIONAL,
    FILTER,
    GROUP_BY,
    IDENTITY,
    JOIN,
    NOTHING,
    SORT,
    TRANSFORMATION,
    WINDOW,
    Lineage,
    Source,
    Transformation,
    add,
    chain,
    through,
)

# Spark functions from whose result the value can't be read back (OpenLineage's list).
MASKING = frozenset(("Crc32", "HiveHash", "Md5", "Murmur3Hash", "Sha1", "Sha2", "XxHash64", "Mask"))
RANKING = frozenset(("RowNumber", "Rank", "DenseRank", "PercentRank", "CumeDist", "NTile"))
COUNTING = frozenset(("Count",))
LEFT_ONLY = ("LeftSemi", "LeftAnti")
SUBQUERIES = ("plan", "query")


class TooManyEdges(Exception):
    """The budget of column edges is used up; the datasets are still known."""


@dataclass(frozen=True)
class Attribute:
    """An output column of an operator."""

    id: Optional[ExprId]
    name: str


@dataclass(frozen=True)
class Columns:
    """The output of an operator: its attributes in order, and what each is made of."""

    attributes: Tuple[Attribute, ...]
    lineage: Mapping[Optional[ExprId], Lineage]

    def at(self, position: int) -> Lineage:
        """The lineage of the column at a position."""
        return self.lineage.get(self.attributes[position].id, NOTHING)


EMPTY = Columns((), {})


@dataclass
class ColumnLineage:
    """Evaluates one plan. `leaves` gives each leaf relation its number, `indirect` collects the plan-wide uses."""

    leaves: Mapping[Node, int]
    max_edges: int
    indirect: Dict[Source, FrozenSet[Transformation]] = field(default_factory=dict)
    unknown: List[str] = field(default_factory=list)
    _definitions: Dict[int, Columns] = field(default_factory=dict)
    _edges: int = 0

    def evaluate(self, plan: Node, outer: Optional[Columns] = None) -> Columns:
        """The output columns of a plan; `outer` is the scope around a correlated subquery.

        Raises TooManyEdges when the budget is used up.
        """
        results: List[Columns] = []
        todo: List[Tuple[Node, bool]] = [(plan, False)]
        while todo:
            node, ready = todo.pop()
            if not ready:
                todo.append((node, True))
                todo.extend((child, False) for child in reversed(node.children))
                continue
            count = len(node.children)
            children = results[len(results) - count:] if count else []
            del results[len(results) - count:]
            result = _OPERATORS.get(node.name, _by_shape)(self, node, children, outer)
            self._spend(sum(map(len, result.lineage.values())) if node.name in _COSTLY else len(result.attributes))
            results.append(result)
        return results[0]

    def _spend(self, edges: int) -> None:
        self._edges += edges
        if self._edges > self.max_edges * 10:
            raise TooManyEdges(f"more than {self.max_edges} column edges")

    def value(self, expression: Node, scope: Columns, outer: Optional[Columns],
              use: Transformation = IDENTITY) -> Lineage:
        """What an expression is made of."""
        if expression.name in ("AttributeReference", "Alias") and use == IDENTITY:  # the common case, shared
            plain = expression if expression.name == "AttributeReference" else expression.children[0]
            if plain.name == "AttributeReference":
                return _look_up(plain, scope, outer)
        total: Dict[Source, FrozenSet[Transformation]] = {}
        todo = [(expression, use)]
        while todo:
            node, way = todo.pop()
            if node.name in ("AttributeReference", "OuterReference"):
                inner = node if node.name == "AttributeReference" else _inner_attribute(node)
                add(total, through(way, _look_up(inner, scope, outer)))
                continue
            for name in SUBQUERIES:
                inner_plan = node.fields.get(name)
                if isinstance(inner_plan, Node) and not is_expression(inner_plan):
                    columns = self.evaluate(inner_plan, _around(scope, outer))
                    for attribute in columns.attributes:
                        add(total, through(way, columns.lineage.get(attribute.id, NOTHING)))
            todo.extend(_EXPRESSIONS.get(node.name, _plain)(node, way))
        return total

    def use(self, expressions: Iterable[Node], way: Transformation, scope: Columns, outer: Optional[Columns]) -> None:
        """Note that the rows of the whole plan depend on these expressions (join, filter, sort, group by)."""
        for expression in expressions:
            add(self.indirect, self.value(expression, scope, outer, way))

    def named(self, expressions: Sequence[Node], scope: Columns, outer: Optional[Columns],
              more: Optional[Columns] = None) -> Columns:
        """The columns that a list of named expressions gives, behind those of `more`."""
        attributes = list(more.attributes) if more else []
        lineage = dict(more.lineage) if more else {}
        for expression in expressions:
            identity = expression.expr_id()
            attributes.append(Attribute(identity, str(expression.fields.get("name", ""))))
            lineage[identity] = self.value(expression, scope, outer)
        return Columns(tuple(attributes), lineage)

    def rows(self, attributes: Tuple[Attribute, ...], projections: Sequence[Sequence[Any]], scope: Columns,
             outer: Optional[Columns]) -> Columns:
        """Columns that several lists of expressions fill, by position."""
        totals: List[Dict[Source, FrozenSet[Transformation]]] = [{} for _ in attributes]
        for projection in projections:
            for total, expression in zip(totals, projection):
                if isinstance(expression, Node):
                    add(total, self.value(expression, scope, outer))
        return Columns(attributes, {attribute.id: total for attribute, total in zip(attributes, totals)})


_Operator = Callable[[ColumnLineage, Node, List[Columns], Optional[Columns]], Columns]


def _project(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    return work.named(node.trees("projectList"), children[0], outer)


def _aggregate(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("groupingExpressions"), GROUP_BY, children[0], outer)
    return work.named(node.trees("aggregateExpressions"), children[0], outer)


def _filter(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("condition"), FILTER, children[0], outer)
    return children[0]


def _join(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    both = _together(children)
    work.use(node.trees("condition"), JOIN, both, outer)
    kind = node.fields.get("joinType")
    kind_name = str(kind.get("object", kind.get("product-class", ""))) if isinstance(kind, dict) else ""
    return children[0] if any(one in kind_name for one in LEFT_ONLY) else both


def _sort(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("order"), SORT, children[0], outer)
    return children[0]


def _window(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    return work.named(node.trees("windowExpressions"), children[0], outer, children[0])


def _distinct(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    for attribute in children[0].attributes:
        add(work.indirect, through(GROUP_BY, children[0].lineage.get(attribute.id, NOTHING)))
    return children[0]


def _deduplicate(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work.use(node.trees("keys"), GROUP_BY, children[0], outer)
    return children[0]


def _union(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """By position; the result carries the attributes of the first child."""
    first = children[0]
    lineage: Dict[Optional[ExprId], Lineage] = {}
    for position, attribute in enumerate(first.attributes):
        total: Dict[Source, FrozenSet[Transformation]] = {}
        for child in children:
            if position < len(child.attributes):
                add(total, child.at(position))
        lineage[attribute.id] = total
    return Columns(first.attributes, lineage)


def _except(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """EXCEPT and INTERSECT: values come from the left, the right decides which rows stay."""
    for child in children:
        for attribute in child.attributes:
            add(work.indirect, through(FILTER, child.lineage.get(attribute.id, NOTHING)))
    return children[0]


def _generate(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    made: Lineage = NOTHING
    for generator in node.trees("generator"):
        made = work.value(generator, children[0], outer, TRANSFORMATION)
    child = children[0]
    attributes = child.attributes + tuple(_attributes(node.trees("generatorOutput")))
    lineage = dict(child.lineage)
    lineage.update({attribute.id: made for attribute in attributes[len(child.attributes):]})
    return Columns(attributes, lineage)


def _expand(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """Rollup, cube, grouping sets, and V2's UPDATE: each row of the child once for each projection.

    Older Sparks leave the projections out of the JSON; then positions match, and what goes beyond them is new.
    """
    child = children[0]
    attributes = tuple(_attributes(node.trees("output")))
    projections = [one for one in node.fields.get("projections") or () if isinstance(one, (list, tuple))]
    if not projections:
        return Columns(attributes, {
            attribute.id: child.at(position) if position < len(child.attributes) else NOTHING
            for position, attribute in enumerate(attributes)})
    return work.rows(attributes, projections, child, outer)


def _merge_rows(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """MERGE after Spark's rewriting: each instruction that keeps a row gives values for all columns."""
    outputs: List[Sequence[Any]] = []
    for field_name in ("matchedInstructions", "notMatchedInstructions", "notMatchedBySourceInstructions"):
        for instruction in node.trees(field_name):
            work.use(instruction.trees("condition"), CONDITIONAL, children[0], outer)
            outputs.extend(output for output in (instruction.trees("output"), instruction.trees("otherOutput"))
                           if output)
    return work.rows(tuple(_attributes(node.trees("output"))), outputs, children[0], outer)


def _cte_definition(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    work._definitions[int(node.fields.get("id", -1))] = children[0]
    return children[0]


def _cte_reference(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    definition = work._definitions.get(int(node.fields.get("cteId", -1)), EMPTY)
    attributes = tuple(_attributes(node.trees("output")))
    return Columns(attributes, {attribute.id: definition.at(position) if position < len(definition.attributes)
                                else NOTHING for position, attribute in enumerate(attributes)})


def _with_cte(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    return children[-1]


def _lateral_join(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    left = children[0]
    right = EMPTY
    for expression in node.trees("right"):
        plan = expression.fields.get("plan")
        if isinstance(plan, Node):
            right = work.evaluate(plan, _around(left, outer))
    both = _together([left, right])
    work.use(node.trees("condition"), JOIN, both, outer)
    return both


def _leaf(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """A leaf with a number is a source; any other (a range, a local relation, an RDD) starts from nothing."""
    number = work.leaves.get(node)
    expressions = node.trees("output") or node.trees("dataCols") + node.trees("partitionCols")
    attributes = tuple(_attributes(expressions))
    if number is None:
        return Columns(attributes, {attribute.id: NOTHING for attribute in attributes})
    identity = frozenset((IDENTITY,))
    return Columns(attributes, {attribute.id: {Source(number, attribute.name): identity} for attribute in attributes})


def _by_shape(work: ColumnLineage, node: Node, children: List[Columns], outer: Optional[Columns]) -> Columns:
    """An operator without a rule: it passes its child on, unless it makes columns whose way can't be seen.

    A Python, pandas, Arrow, Scala or script operator lists new attributes; each is taken to depend on all columns.
    """
    if not children:
        return _leaf(work, node, children, outer)
    below = _together(children)
    made = tuple(_attributes(node.trees("output") or node.trees("resultAttrs") or node.trees("serializer")))
    if not made or all(attribute.id in below.lineage for attribute in made):
        return below
    used: Dict[Source, FrozenSet[Transformation]] = {}
    for attribute in below.attributes:
        add(used, through(TRANSFORMATION, below.lineage.get(attribute.id, NOTHING)))
    work._spend(len(used) * len(made))
    lineage: Dict[Optional[ExprId], Lineage] = {
        attribute.id: below.lineage.get(attribute.id, used) for attribute in made}
    return Columns(made, lineage)


_OPERATORS: Dict[str, _Operator] = {
    "Project": _project,
    "Aggregate": _aggregate,
    "Filter": _filter,
    "Join": _join,
    "Sort": _sort,
    "Window": _window,
    "Distinct": _distinct,
    "Deduplicate": _deduplicate,
    "Union": _union,
    "Except": _except,
    "Intersect": _except,
    "Generate": _generate,
    "Expand": _expand,
    "MergeRows": _merge_rows,
    "CTERelationDef": _cte_definition,
    "CTERelationRef": _cte_reference,
    "WithCTE": _with_cte,
    "LateralJoin": _lateral_join,
}
_COSTLY = frozenset(("Project", "Aggregate", "Union", "Expand", "MergeRows"))

_Uses = Iterable[Tuple[Node, Transformation]]


def _plain(node: Node, way: Transformation) -> _Uses:
    """Any function: its result is a transformation of each argument."""
    inner = TRANSFORMATION._replace(masking=node.name in MASKING)
    return [(child, chain(way, inner)) for child in node.children]


def _same(node: Node, way: Transformation) -> _Uses:
    return [(child, way) for child in node.children]


def _cast(node: Node, way: Transformation) -> _Uses:
    """A cast to the type the column has anyway (store assignment) changes nothing."""
    child = node.children[0] if node.children else None
    if child is not None and child.fields.get("dataType") == node.fields.get("dataType"):
        return [(child, way)]
    return _plain(node, way)


def _case_when(node: Node, way: Transformation) -> _Uses:
    """Children are condition, value, condition, value, …, and the else value when their number is odd."""
    pairs = len(node.children) // 2 * 2
    return [(child, chain(way, CONDITIONAL if position % 2 == 0 and position < pairs else TRANSFORMATION))
            for position, child in enumerate(node.children)]


def _if(node: Node, way: Transformation) -> _Uses:
    """A choice between a column and itself, or on `true`, is none: V2's UPDATE writes both."""
    if node.children[0].name == "Literal" and node.children[0].fields.get("value") == "true":
        return [(node.children[1], way)]
    branches = {child.expr_id() for child in node.children[1:] if child.name == "AttributeReference"}
    if len(node.children) == 3 and len(branches) == 1 and node.children[1].name == node.children[2].name:
        return [(node.children[1], way)]
    return [(child, chain(way, CONDITIONAL if position == 0 else TRANSFORMATION))
            for position, child in enumerate(node.children)]


def _coalesce(node: Node, way: Transformation) -> _Uses:
    return [(child, chain(way, one)) for child in node.children for one in (CONDITIONAL, TRANSFORMATION)]


def _aggregate_expression(node: Node, way: Transformation) -> _Uses:
    function = node.child("aggregateFunction")
    for child in node.children:
        if child is function:
            counting = AGGREGATION._replace(masking=child.name in COUNTING)
            yield from ((one, chain(way, counting)) for one in child.children)
        else:
            yield child, chain(way, CONDITIONAL)


def _window_expression(node: Node, way: Transformation) -> _Uses:
    """The function's arguments are direct, but for ranking functions; partition, order and frame are indirect."""
    for position, child in enumerate(node.children):
        if position == 0 and child.name not in RANKING:
            yield child, chain(way, TRANSFORMATION)
        else:
            yield child, chain(way, WINDOW)


_EXPRESSIONS: Dict[str, Callable[[Node, Transformation], _Uses]] = {
    "Alias": _same,
    "Cast": _cast,
    "UpCast": _cast,
    "AnsiCast": _cast,
    "CheckOverflowInTableInsert": _same,
    "CaseWhen": _case_when,
    "If": _if,
    "Coalesce": _coalesce,
    "AggregateExpression": _aggregate_expression,
    "WindowExpression": _window_expression,
    "KnownNotNull": _same,
    "KnownNullable": _same,
    "KnownFloatingPointNormalized": _same,
    "NormalizeNaNAndZero": _same,
    "SortOrder": _same,
}


def _attributes(expressions: Iterable[Node]) -> List[Attribute]:
    return [Attribute(one.expr_id(), str(one.fields.get("name", ""))) for one in expressions]


def _look_up(attribute: Optional[Node], scope: Columns, outer: Optional[Columns]) -> Lineage:
    if attribute is None:
        return NOTHING
    identity = attribute.expr_id()
    found = scope.lineage.get(identity)
    if found is None and outer is not None:
        found = outer.lineage.get(identity)
    return NOTHING if found is None else found


def _inner_attribute(reference: Node) -> Optional[Node]:
    inner = reference.child("e") or (reference.children[0] if reference.children else None)
    while inner is not None and inner.name != "AttributeReference":
        inner = inner.children[0] if inner.children else None
    return inner


def _around(scope: Columns, outer: Optional[Columns]) -> Columns:
    return scope if outer is None else _together([outer, scope])


def _together(children: Sequence[Columns]) -> Columns:
    if len(children) == 1:
        return children[0]
    attributes: Tuple[Attribute, ...] = ()
    lineage: Dict[Optional[ExprId], Lineage] = {}
    for child in children:
        attributes += child.attributes
        lineage.update(child.lineage)
    return Columns(attributes, lineage)
