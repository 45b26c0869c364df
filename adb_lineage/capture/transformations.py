"""How a column reaches another: OpenLineage's transformation types, and how two in a row make one.

Source of the rules: OpenLineage's column lineage facet 1-2-0 and its Spark agent's TransformationInfo.
"""
from __future__ import annotations

from functools import lru_cache
from typing import Dict, FrozenSet, Mapping, NamedTuple, Tuple


class Transformation(NamedTuple):
    """`type` is DIRECT or INDIRECT; `masking` says that the value cannot be read back from the result."""

    type: str
    subtype: str
    masking: bool = False


IDENTITY = Transformation("DIRECT", "IDENTITY")
TRANSFORMATION = Transformation("DIRECT", "TRANSFORMATION")
AGGREGATION = Transformation("DIRECT", "AGGREGATION")
JOIN = Transformation("INDIRECT", "JOIN")
FILTER = Transformation("INDIRECT", "FILTER")
GROUP_BY = Transformation("INDIRECT", "GROUP_BY")
SORT = Transformation("INDIRECT", "SORT")
WINDOW = Transformation("INDIRECT", "WINDOW")
CONDITIONAL = Transformation("INDIRECT", "CONDITIONAL")

_STRENGTH = {"AGGREGATION": 0, "TRANSFORMATION": 1, "IDENTITY": 2}


def chain(outer: Transformation, inner: Transformation) -> Transformation:
    """What `outer` makes of a column that already came through `inner`: indirect wins, then the stronger subtype."""
    masking = outer.masking or inner.masking
    if outer.type == "INDIRECT":
        return outer if outer.masking == masking else outer._replace(masking=masking)
    if inner.type == "INDIRECT":
        return inner if inner.masking == masking else inner._replace(masking=masking)
    stronger = outer if _STRENGTH[outer.subtype] <= _STRENGTH[inner.subtype] else inner
    return stronger if stronger.masking == masking else stronger._replace(masking=masking)


# Member names below a column, outermost first: `("address", "city")`.
Path = Tuple[str, ...]


class Source(NamedTuple):
    """A column of a leaf relation: the leaf's number in the plan, and the column's name there.

    A member of a struct is named with dots, `address.city`; arrays and maps on the way have no part in the name.
    """

    leaf: int
    column: str


Ways = FrozenSet[Transformation]
# What a value is made of. Shared between attributes, hence never changed once built.
Lineage = Mapping[Source, Ways]

NOTHING: Lineage = {}


def through(outer: Transformation, lineage: Lineage) -> Lineage:
    """The lineage of a value after `outer` was applied to it."""
    if outer == IDENTITY or not lineage:
        return lineage
    return {source: _chained(outer, inner) for source, inner in lineage.items()}


def add(total: Dict[Source, Ways], lineage: Lineage) -> None:
    """Merge a lineage into one that is being built."""
    for source, ways in lineage.items():
        known = total.get(source)
        total[source] = ways if known is None or known is ways else known | ways


@lru_cache(maxsize=4096)  # few distinct sets exist: subtypes times masking
def _chained(outer: Transformation, ways: Ways) -> Ways:
    return frozenset(chain(outer, inner) for inner in ways)
