"""What a value is made of, asked for as a whole or for one of its members.

The whole is known at once; members of structs are followed only when somebody takes one.
"""
from __future__ import annotations

from typing import Callable, Dict, Iterable, Optional, Sequence

from adb_lineage.capture.sql_text import Text
from adb_lineage.capture.transformations import (
    IDENTITY,
    NOTHING,
    Lineage,
    Path,
    Source,
    Transformation,
    Ways,
    add,
    through,
)

# A value that is one of several shows the texts of so many.
MAX_ALTERNATIVES = 3
# Definitions in definitions in …: beyond it the name of a column stands for what it is made of.
MAX_DEPTH = 60


class Origin:
    """What a value is made of: `lineage`, that of its members, and the SQL text that computes it."""

    __slots__ = ("_member", "_members", "_text", "_written", "lineage")

    def __init__(self, lineage: Lineage, member: Optional[Callable[[Path, int], Lineage]] = None,
                 text: Optional[Callable[[int], Optional[Text]]] = None) -> None:
        self.lineage = lineage
        self._member = member
        self._members: Dict[Path, Lineage] = {}
        self._text = text
        self._written: Optional[Text] = None

    def member(self, path: Path, depth: int = 0) -> Lineage:
        """What the member at a path is made of; where nobody knows, what the whole is made of."""
        if not path or self._member is None or depth > MAX_DEPTH:
            return self.lineage
        known = self._members.get(path)
        if known is None:
            known = self._members[path] = self._member(path, depth + 1)
        return known

    def text(self, depth: int = 0) -> Optional[Text]:
        """The SQL that computes the value out of source columns, None where nobody knows."""
        if self._written is None and self._text is not None and depth < MAX_DEPTH:
            self._written = self._text(depth + 1)
        return self._written


EMPTY = Origin(NOTHING)


def of_leaf(number: int, column: str) -> Origin:
    """A column of a leaf relation."""
    ways = frozenset((IDENTITY,))

    def member(path: Path, depth: int) -> Lineage:
        return {Source(number, ".".join((column, *path))): ways}

    return Origin({Source(number, column): ways}, member, lambda depth: Text(column))


def union(origins: Sequence[Origin]) -> Origin:
    """A value that is one of several: in a union, or by the clauses of a MERGE."""
    if len(origins) == 1:
        return origins[0]

    def member(path: Path, depth: int) -> Lineage:
        return merged(one.member(path, depth) for one in origins)

    def text(depth: int) -> Optional[Text]:
        found = [text for one in origins if one.lineage for text in [one.text(depth)] if text is not None]
        sql = " | ".join(list(dict.fromkeys(one.sql for one in found))[:MAX_ALTERNATIVES])
        return Text(sql, tuple(dict.fromkeys(name for one in found for name in one.udfs))) if sql else None

    return Origin(merged(one.lineage for one in origins), member, text)


def passed(origin: Origin, way: Transformation) -> Origin:
    """A value after a transformation that keeps its structure: an element of an array, the last of a group."""
    def member(path: Path, depth: int) -> Lineage:
        return through(way, origin.member(path, depth))

    return Origin(through(way, origin.lineage), member, origin.text)


def member_of(origin: Origin, name: str, text: Text) -> Origin:
    """A member of a struct as a column of its own."""
    def member(path: Path, depth: int) -> Lineage:
        return origin.member((name, *path), depth)

    return Origin(origin.member((name,)), member, lambda depth: text)


def merged(lineages: Iterable[Lineage]) -> Lineage:
    """All of several lineages."""
    total: Dict[Source, Ways] = {}
    for lineage in lineages:
        add(total, lineage)
    return total
