"""Which parts of an event give way when room is short, cheapest loss first; datasets and their names never do.

A path names facets in the event; `*` stands for each entry of a list.
"""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Tuple


class Part(NamedTuple):
    """Something an event can do without: its name in the record, and where it stands."""

    name: str
    paths: Tuple[Tuple[str, ...], ...]


PARTS: Tuple[Part, ...] = (
    Part(
        "Spark plan",
        (
            ("run", "facets", "spark.logicalPlan"),
            ("run", "facets", "spark_unknown"),
            ("run", "facets", "debug"),
        ),
    ),
    Part(
        "column lineage",
        (("outputs", "*", "facets", "columnLineage"), ("inputs", "*", "facets", "columnLineage")),
    ),
    Part(
        "schemas",
        (("outputs", "*", "facets", "schema"), ("inputs", "*", "facets", "schema")),
    ),
)


def remove(event: Dict[str, Any], part: Part) -> bool:
    """Take the part out of the event; False when it had none."""
    return sum(_remove(event, path) for path in part.paths) > 0


def _remove(node: Any, path: Tuple[str, ...]) -> bool:
    key, rest = path[0], path[1:]
    if key == "*":
        found: List[Any] = node if isinstance(node, list) else []
        return sum(_remove(entry, rest) for entry in found) > 0
    if not isinstance(node, dict) or key not in node:
        return False
    if rest:
        return _remove(node[key], rest)
    del node[key]
    return True


def names(shortened: int) -> Tuple[str, ...]:
    """The parts that an event lost, from the number stored with it."""
    return tuple(part.name for index, part in enumerate(PARTS) if shortened >> (8 + index) & 1)


def tried(shortened: int) -> int:
    """How many of the parts have been looked for already."""
    return shortened & 0xFF


def shorten(event: Dict[str, Any], shortened: int) -> int:
    """Take the next part out of the event; the new number to store with it."""
    index = tried(shortened)
    removed = remove(event, PARTS[index])
    return (shortened & ~0xFF | index + 1) | (removed << (8 + index))
