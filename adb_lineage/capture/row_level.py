"""Column lineage of MERGE and UPDATE where the command is not rewritten into a query: Delta, and V2 before rewriting.

A clause is an expression with an optional condition and assignments; Delta's and Spark's own differ in names only.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from adb_lineage.capture.columns import ColumnLineage, Written
from adb_lineage.capture.datasets import Dataset
from adb_lineage.capture.origins import Origin, union
from adb_lineage.capture.plan import ExprId, Node, string_list
from adb_lineage.capture.scopes import NO_COLUMNS, Attribute, Columns, together
from adb_lineage.capture.transformations import CONDITIONAL, FILTER, IDENTITY, JOIN, Lineage, Source, Ways

MERGE_CLAUSES = ("matchedClauses", "notMatchedClauses", "notMatchedBySourceClauses",
                 "matchedActions", "notMatchedActions", "notMatchedBySourceActions")


def merged(lineage: ColumnLineage, command: Node, plans: Mapping[str, Node]) -> Columns:
    """The target's columns after a MERGE: of all clauses together."""
    scope = together([lineage.evaluate(plan) for plan in plans.values()])
    lineage.use((*command.trees("condition"), *command.trees("mergeCondition")), JOIN, scope, None)
    assigned: List[Tuple[str, Node]] = []
    for field in MERGE_CLAUSES:
        for clause in command.trees(field):
            lineage.use(clause.trees("condition"), CONDITIONAL, scope, None)
            assigned.extend(_assignments(clause))
    return _assigned(lineage, assigned, scope)


def updated(lineage: ColumnLineage, command: Node, plans: Mapping[str, Node]) -> Columns:
    """The target's columns after an UPDATE: Delta lists a value for each column, Spark the assignments."""
    scope = lineage.evaluate(next(iter(plans.values())))
    lineage.use(command.trees("condition"), FILTER, scope, None)
    assigned = list(_assignments(command))
    values = command.trees("updateExpressions")
    if len(values) == len(scope.attributes):
        assigned.extend((attribute.name, value) for attribute, value in zip(scope.attributes, values))
    return _assigned(lineage, assigned, scope)


def deleted(lineage: ColumnLineage, command: Node, plans: Mapping[str, Node]) -> Columns:
    """A DELETE makes no values; its condition decides about the rows."""
    lineage.use(command.trees("condition"), FILTER, lineage.evaluate(next(iter(plans.values()))), None)
    return NO_COLUMNS


def _assigned(lineage: ColumnLineage, assigned: Sequence[Tuple[str, Node]], scope: Columns) -> Columns:
    """The columns that assignments make; one that is assigned by several is one of their values."""
    origins: Dict[str, List[Origin]] = {}
    for column, value in assigned:
        origins.setdefault(column, []).append(lineage.origin(value, scope, None))
    attributes = tuple(Attribute(ExprId(position, "assigned"), column) for position, column in enumerate(origins))
    return Columns(attributes, {one.id: union(origins[one.name]) for one in attributes})


def beside_itself(target: Dataset, written: Written, leaf: Callable[[int], Tuple[Dataset, ...]], *,
                  merges: bool) -> Tuple[Written, bool]:
    """What a row-level command makes of its target, and whether the target is an input.

    A value that stays what it was is no lineage, and a row-level rewrite takes all of them along: so does the target's
    own row identity (`_file`, `__row_operation`). The target counts as an input where one of its columns gives another
    column a value, or where its rows are matched with others.
    """
    names = {one.name.lower() for one in target.schema}
    kept: Dict[str, Lineage] = {}
    reads_target = merges
    for column, lineage in written.columns.items():
        if names and column.partition(".")[0].lower() not in names:
            continue
        sources: Dict[Source, Ways] = {}
        for source, ways in lineage.items():
            own = any(dataset.key == target.key for dataset in leaf(source.leaf))
            if own and source.column.lower() == column.lower():
                ways = frozenset(way for way in ways if way != IDENTITY)
            if ways:
                sources[source] = ways
                reads_target = reads_target or (own and any(way.type == "DIRECT" for way in ways))
        if sources:
            kept[column] = sources
    uses = written.uses
    if not reads_target:
        kept = {column: left for column, left in (
            (column, _without(target, lineage, leaf)) for column, lineage in kept.items()) if left}
        uses = _without(target, uses, leaf)
    return replace(written, columns=kept, uses=uses), reads_target


def _without(target: Dataset, lineage: Lineage, leaf: Callable[[int], Tuple[Dataset, ...]]) -> Lineage:
    return {source: ways for source, ways in lineage.items()
            if all(dataset.key != target.key for dataset in leaf(source.leaf))}


def _assignments(clause: Node) -> Iterator[Tuple[str, Node]]:
    """Target column and value of each assignment of a clause."""
    for action in (*clause.trees("actions"), *clause.trees("assignments")):
        value = action.child("expr") or action.child("value")
        column = ".".join(string_list(action.fields.get("targetColNameParts"))) or _column(action.child("key"))
        if value is not None and column:
            yield column, value


def _column(key: Optional[Node]) -> str:
    """The column that an assignment's left side names; of a nested field, the column it lies in."""
    while key is not None and key.name != "AttributeReference":
        key = key.children[0] if key.children else None
    return "" if key is None else str(key.fields.get("name", ""))
