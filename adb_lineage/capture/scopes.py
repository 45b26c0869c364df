"""The columns that an operator gives, and that expressions above it can name."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Dict, FrozenSet, Iterable, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from adb_lineage.capture.origins import EMPTY, Origin
from adb_lineage.capture.plan import ExprId, Node


class Attribute(NamedTuple):
    """An output column of an operator."""

    id: Optional[ExprId]
    name: str


@dataclass(frozen=True)
class Columns:
    """The output of an operator: its attributes in order, and the origin of each."""

    attributes: Tuple[Attribute, ...]
    origins: Mapping[Optional[ExprId], Origin]

    def at(self, position: int) -> Origin:
        """The origin of the column at a position."""
        return self.origins.get(self.attributes[position].id, EMPTY)

    @cached_property
    def ambiguous(self) -> FrozenSet[str]:
        """Names, in lower case, that several of the columns have: a query may spell them in any case."""
        seen: Set[str] = set()
        twice: Set[str] = set()
        for one in self.attributes:
            name = one.name.lower()
            (twice if name in seen else seen).add(name)
        return frozenset(twice)

    def row(self) -> Sequence[Origin]:
        """The origins of all columns in order."""
        return [self.origins.get(one.id, EMPTY) for one in self.attributes]


NO_COLUMNS = Columns((), {})


def attributes_of(expressions: Iterable[Node]) -> Tuple[Attribute, ...]:
    """The attributes that a list of references or named expressions stands for."""
    return tuple(Attribute(one.expr_id(), str(one.fields.get("name", ""))) for one in expressions)


def around(scope: Columns, outer: Optional[Columns]) -> Columns:
    """The scope of a subquery: that of the operator it is in, and that around it."""
    return scope if outer is None else together([outer, scope])


def together(children: Sequence[Columns]) -> Columns:
    """The columns of several operators side by side."""
    if len(children) == 1:
        return children[0]
    attributes: Tuple[Attribute, ...] = ()
    origins: Dict[Optional[ExprId], Origin] = {}
    for child in children:
        attributes += child.attributes
        origins.update(child.origins)
    return Columns(attributes, origins)
