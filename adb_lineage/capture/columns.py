"""Column lineage of an analysed plan.

The plan is evaluated bottom-up. Each operator turns the columns of its children into its own; a column is an ExprId
with its origin. Scopes are exact: an ExprId means what it means below the operator that uses it. A subplan that is
used several times is evaluated once, so the cost is linear in the description of the plan; nothing recurses on
operators or expressions, only on nested subqueries and on members of structs.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from adb_lineage.capture.datasets import is_internal
from adb_lineage.capture.expressions import ATTRIBUTES, COMMON, OUTER, SUBQUERIES, Step, shared, steps
from adb_lineage.capture.operators import OPERATORS, WHOLE, by_shape
from adb_lineage.capture.origins import EMPTY, Origin, of_leaf, union
from adb_lineage.capture.plan import Node, is_plan, string_list
from adb_lineage.capture.scopes import NO_COLUMNS, Attribute, Columns, around, attributes_of
from adb_lineage.capture.sql_text import Text, text_of
from adb_lineage.capture.transformations import (
    IDENTITY,
    TRANSFORMATION,
    Lineage,
    Path,
    Source,
    Transformation,
    Ways,
    add,
    through,
)

# A text longer than this stays a name in the texts that use it.
MAX_INNER_TEXT = 200


class TooManyEdges(Exception):
    """The budget of column edges is used up; the datasets are still known."""


@dataclass(frozen=True)
class Written:
    """What the columns of an output are made of.

    columns     the lineage of each column that has one
    texts       the SQL text that computes a column, where it is more than a copy
    uses        the columns that the rows of the output depend on
    use_texts   the SQL text of the condition, for each use
    """

    columns: Mapping[str, Lineage] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    uses: Mapping[Source, Ways] = field(default_factory=dict)
    use_texts: Mapping[Tuple[Source, Transformation], str] = field(default_factory=dict)


@dataclass
class ColumnLineage:
    """Evaluates one plan.

    leaves      the number of each leaf relation
    max_edges   the budget; ten times as many are looked at
    check       called now and then; what it raises ends the evaluation
    uses        the columns that the rows of the whole plan depend on
    lost        names of columns that could not be followed
    given       the columns of leaves that stand for a plan which was evaluated before
    """

    leaves: Mapping[Node, int]
    max_edges: int
    check: Callable[[], None] = lambda: None
    uses: Dict[Source, Ways] = field(default_factory=dict)
    use_texts: Dict[Tuple[Source, Transformation], str] = field(default_factory=dict)
    lost: Set[str] = field(default_factory=set)
    given: Mapping[Node, Columns] = field(default_factory=dict)
    definitions: Dict[int, Columns] = field(default_factory=dict)
    _edges: int = 0

    def evaluate(self, plan: Node, outer: Optional[Columns] = None) -> Columns:
        """The output columns of a plan; `outer` is the scope around a correlated subquery.

        Raises TooManyEdges when the budget is used up, and what `check` raises.
        """
        parents: Dict[Node, int] = {plan: 1}
        for node in plan.walk():
            for child in node.children:
                parents[child] = parents.get(child, 0) + 1
        evaluated: Dict[Node, Columns] = {}
        todo: List[Tuple[Node, bool]] = [(plan, False)]
        while todo:
            node, ready = todo.pop()
            if node in evaluated:
                continue
            if not ready and node.name not in WHOLE:
                todo.append((node, True))
                todo.extend((child, False) for child in reversed(node.children))
                continue
            self.check()
            children = [] if node.name in WHOLE else [evaluated[child] for child in node.children]
            evaluated[node] = OPERATORS.get(node.name, by_shape)(self, node, children, outer)
            for child in node.children:  # wide plans: what nobody needs any more goes
                parents[child] -= 1
                if not parents[child]:
                    evaluated.pop(child, None)
        return evaluated[plan]

    def spend(self, edges: int) -> None:
        """Count work against the budget. Raises TooManyEdges."""
        self._edges += edges
        if self._edges > self.max_edges * 10:
            raise TooManyEdges(f"more than {self.max_edges} column edges")

    def lineage(self, expression: Node, scope: Columns, outer: Optional[Columns],
                way: Transformation = IDENTITY, path: Path = (), depth: int = 0) -> Lineage:
        """What an expression, or the member of it at a path, is made of."""
        total: Dict[Source, Ways] = {}
        todo = [(expression, way, path)]
        met: Set[Tuple[Node, Transformation, Path]] = set()
        commons: Dict[int, Node] = {}
        while todo:
            one = todo.pop()
            if one in met:
                continue
            met.add(one)
            node, way, path = one
            if node.name in COMMON:
                todo.extend(Step(common, way, path) for common in shared(node, commons))
                continue
            if node.name in ATTRIBUTES or node.name in OUTER:
                add(total, through(way, self.origin_of(node, scope, outer).member(path, depth)))
                continue
            for name in SUBQUERIES:
                inner = node.fields.get(name)
                if isinstance(inner, Node) and is_plan(inner):
                    for origin in self.evaluate(inner, around(scope, outer)).row():
                        add(total, through(way, origin.member(path, depth)))
            todo.extend(steps(node, way, path))
        self.spend(len(total))
        return total

    def origin(self, expression: Node, scope: Columns, outer: Optional[Columns]) -> Origin:
        """The origin of an expression's value."""
        plain = expression.children[0] if expression.name == "Alias" else expression
        if plain.name in ATTRIBUTES:  # the common case: shared, not copied
            return self.origin_of(plain, scope, outer)

        def member(path: Path, depth: int) -> Lineage:
            return self.lineage(plain, scope, outer, IDENTITY, path, depth)

        def text(depth: int) -> Text:
            return self.text(plain, scope, outer, depth)

        return Origin(self.lineage(plain, scope, outer), member, text)

    def origin_of(self, reference: Node, scope: Columns, outer: Optional[Columns]) -> Origin:
        """The origin of the column that a reference names."""
        attribute = _attribute_of(reference)
        if attribute is None:
            return EMPTY
        found = _found(reference, attribute, scope, outer)
        if found is None:
            self.lost.add(str(attribute.fields.get("name", "?")))
        return found or EMPTY

    def text(self, expression: Node, scope: Columns, outer: Optional[Columns], depth: int = 0) -> Text:
        """The SQL text of an expression in terms of source columns, as far as that stays short."""
        names = scope if outer is None else around(scope, outer)

        def name_of(reference: Node) -> Text:
            attribute = _attribute_of(reference)
            name = str(attribute.fields.get("name", "?")) if attribute is not None else "?"
            # what the user wrote may be out of date where Spark has replaced it: then its own names do
            origin = _found(reference, attribute, scope, outer) if attribute is not None else None
            inner = origin.text(depth) if origin is not None else None
            if attribute is not None and name.lower() in names.ambiguous:
                qualifier = string_list(attribute.fields.get("qualifier"))
                return Text(".".join((*qualifier[-1:], name)), inner.udfs if inner else ())
            if inner is None or not inner.sql:
                return Text(name)
            return inner if len(inner.sql) <= MAX_INNER_TEXT else Text(name, inner.udfs)

        return text_of(expression, name_of)

    def use(self, expressions: Iterable[Node], way: Transformation, scope: Columns, outer: Optional[Columns]) -> None:
        """Note that the rows of the whole plan depend on these expressions (join, filter, sort, group by)."""
        for expression in expressions:
            lineage = self.lineage(expression, scope, outer, way)
            if not lineage:
                continue
            add(self.uses, lineage)
            text = self.text(expression, scope, outer).description
            for source, ways in lineage.items():
                for one in ways:
                    self.use_texts.setdefault((source, one), text)

    def use_all(self, columns: Columns, way: Transformation) -> None:
        """Note that the rows of the whole plan depend on all columns of an operator (DISTINCT, EXCEPT)."""
        for origin in columns.row():
            add(self.uses, through(way, origin.lineage))

    def named(self, expressions: Sequence[Node], scope: Columns, outer: Optional[Columns],
              before: Columns = NO_COLUMNS) -> Columns:
        """The columns that a list of named expressions gives, behind those of `before`."""
        attributes = list(before.attributes)
        origins = dict(before.origins)
        for expression in expressions:
            identity = expression.expr_id()
            attributes.append(Attribute(identity, str(expression.fields.get("name", ""))))
            origins[identity] = self.origin(expression, scope, outer)
        return Columns(tuple(attributes), origins)

    def leaf(self, node: Node) -> Columns:
        """A leaf with a number is a source; any other (a range, a local relation, an RDD) starts from nothing."""
        known = self.given.get(node)
        if known is not None:
            return known
        number = self.leaves.get(node)
        attributes = attributes_of(node.trees("output") or node.trees("dataCols") + node.trees("partitionCols"))
        return Columns(attributes, {
            one.id: EMPTY if number is None or is_internal(one.name) else of_leaf(number, one.name)
            for one in attributes})

    def opaque(self, attributes: Tuple[Attribute, ...], below: Columns, text: Text) -> Columns:
        """Columns that code nobody can look into makes: those that are not passed on depend on all that came in."""
        used: Dict[Source, Ways] = {}
        for origin in below.row():
            add(used, through(TRANSFORMATION, origin.lineage))
        self.spend(len(used))
        made = Origin(used, None, lambda depth: text)
        return Columns(attributes, {one.id: below.origins.get(one.id, made) for one in attributes})

    def by_position(self, attributes: Tuple[Attribute, ...], rows: Sequence[Sequence[Origin]]) -> Columns:
        """Columns each of which is, by position, a value out of one of several rows of origins."""
        origins = {one.id: union([row[position] for row in rows if position < len(row)] or [EMPTY])
                   for position, one in enumerate(attributes)}
        if len(rows) > 1:
            self.spend(sum(len(one.lineage) for one in origins.values()))
        return Columns(attributes, origins)

    def written(self, columns: Columns, names: Sequence[str] = ()) -> Written:
        """What is written when these columns are, under these names (their own without), by position.

        Two columns of one name become one. Raises TooManyEdges when they are more than the budget allows.
        """
        lineages: Dict[str, Dict[Source, Ways]] = {}
        texts: Dict[str, str] = {}
        for position, origin in enumerate(columns.row()):
            name = names[position] if position < len(names) else columns.attributes[position].name
            if not origin.lineage or is_internal(name):
                continue
            add(lineages.setdefault(name, {}), origin.lineage)
            text = origin.text()
            if text is not None and text.sql:
                texts.setdefault(name, text.description)
        edges = sum(map(len, lineages.values())) + len(self.uses)
        if edges > self.max_edges:
            raise TooManyEdges(f"{edges} column edges are more than the limit {self.max_edges}")
        return Written(lineages, texts, self.uses, self.use_texts)


def _found(reference: Node, attribute: Node, scope: Columns, outer: Optional[Columns]) -> Optional[Origin]:
    """The origin of the column that a reference to an attribute names, None where no scope has it."""
    identity = attribute.expr_id()
    for one in (scope, outer) if reference.name in ATTRIBUTES else (outer, scope):
        found = one.origins.get(identity) if one is not None else None
        if found is not None:
            return found
    return None


def _attribute_of(reference: Node) -> Optional[Node]:
    """The attribute inside an outer reference, or the reference itself."""
    found: Optional[Node] = reference
    while found is not None and found.name not in ATTRIBUTES:
        found = found.child("e") or (found.children[0] if found.children else None)
    return found
