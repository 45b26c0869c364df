"""What a dataset is called in the catalog: the door between naming (`translate`) and finding (`purview`)."""
from __future__ import annotations

from types import MappingProxyType
from typing import Any, Mapping, NamedTuple, Tuple

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class AssetName(NamedTuple):
    """Identity of an entity in Atlas: its type and its (case-sensitive) qualified name."""

    type_name: str
    qualified_name: str


def part_of(process: str, number: int) -> str:
    """Qualified name of a further process (the second is number 2) that carries on what one can't hold."""
    return f"{process}#{number}"


class Column(NamedTuple):
    """A column of a dataset; nested fields are named with dots, `type` is Spark's type name."""

    name: str
    type: str = ""
    description: str = ""


class Asset(NamedTuple):
    """A dataset of a run, as the naming rules see it.

    `name` is the identity the rules gave. `alternatives` are other identities under which Purview's own scan may hold
    the same thing (resource set, folder with a trailing slash, dfs or blob host), best first, `name` included where
    it belongs in that order. `parents` is the container chain, outermost first, to be linked only if it exists.
    """

    name: AssetName
    display_name: str
    rule: str
    alternatives: Tuple[AssetName, ...] = ()
    columns: Tuple[Column, ...] = ()
    parents: Tuple[AssetName, ...] = ()
    attributes: Mapping[str, Any] = _NOTHING
    placeholder: bool = False
    """True when no rule knew the source: the name is a marked stand-in and is never looked for under other names."""
