"""Finds assets by type and exact qualified name.

A name is never searched for, only asked for: a neighbour (`/2023` for `/2024`) can't come back. Many names go into one
call, grouped by type, as long as the URL stays short enough. What was found and what was not is remembered, each for
its own time. An error is an error: it is raised and nothing is remembered.
"""
from __future__ import annotations

import logging
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote

from adb_lineage.assets import Asset, AssetName
from adb_lineage.purview.answers import AnswerError, Refused, Unavailable, may_be_content
from adb_lineage.purview.client import PooledAtlasClient
from adb_lineage.purview.clock import Clock
from adb_lineage.purview.marks import is_ours
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.state import Found, State
from adb_lineage.purview.types import PLACEHOLDER, TypeBook

log = logging.getLogger("adb_lineage.purview")


def candidates(asset: Asset) -> Tuple[AssetName, ...]:
    """The identities under which a scan may hold an asset, best first; none for a stand-in."""
    if asset.placeholder or asset.name.type_name == PLACEHOLDER:
        return ()
    names = asset.alternatives or (asset.name,)
    return tuple(dict.fromkeys(names if asset.name in names else (*names, asset.name)))


_KEY_CHARS = len("&attr_9999%3AqualifiedName=")


class Resolver:
    """Looks names up in one catalog."""

    def __init__(self, client: PooledAtlasClient, options: PurviewOptions, state: State, clock: Clock) -> None:
        self._client = client
        self._options = options
        self._state = state
        self._clock = clock

    def resolve(self, assets: Sequence[Asset], book: TypeBook) -> Dict[AssetName, Found]:
        """For each asset the best of its candidates that exists; an asset that exists nowhere is absent.

        An asset that a scan or a person brought goes before one that we wrote ourselves. Raises `RetryLater`,
        `FixNeeded`.
        """
        wanted = {asset.name: candidates(asset) for asset in assets}
        found = self.lookup([name for names in wanted.values() for name in names], book)
        chosen: Dict[AssetName, Found] = {}
        for own, names in wanted.items():
            there = [entity for entity in (found.get(name) for name in names) if entity is not None]
            best = next((entity for entity in there if not entity.ours), there[0] if there else None)
            if best is not None:
                chosen[own] = best
        return chosen

    def lookup(
        self, names: Iterable[AssetName], book: TypeBook, fresh: bool = False
    ) -> Dict[AssetName, Optional[Found]]:
        """Each name with the entity that has it, or None; `fresh` ignores what is remembered."""
        distinct = list(dict.fromkeys(names))
        results: Dict[AssetName, Optional[Found]] = {}
        if not fresh:
            now = self._clock.time()
            for name, known in self._state.lookups(distinct).items():
                limit = self._options.found_seconds if known.found else self._options.absent_seconds
                # An age below zero: the clock was set back, so the age means nothing.
                if 0 <= now - known.checked_at < limit:
                    results[name] = known.found
        by_type: Dict[str, List[str]] = {}
        for name in distinct:
            if name not in results:
                if name.type_name in book and _is_text(name.qualified_name):
                    by_type.setdefault(name.type_name, []).append(name.qualified_name)
                else:
                    results[name] = None  # no entity can have a type that the account does not know
        for type_name, qualified_names in by_type.items():
            for chunk in self._chunks(type_name, qualified_names):
                asked = self._ask(type_name, chunk)
                self._state.remember({AssetName(type_name, q): e for q, e in asked.items()}, self._clock.time())
                results.update((AssetName(type_name, q), asked.get(q)) for q in chunk)
        return results

    def entities(self, names: Iterable[AssetName], book: TypeBook) -> Dict[AssetName, Mapping[str, Any]]:
        """The entities with these names as they are now, with their relationships; missing ones are absent."""
        by_type: Dict[str, List[str]] = {}
        for name in dict.fromkeys(names):
            if name.type_name in book and _is_text(name.qualified_name):
                by_type.setdefault(name.type_name, []).append(name.qualified_name)
        found: Dict[AssetName, Mapping[str, Any]] = {}
        for type_name, qualified_names in by_type.items():
            for chunk in self._chunks(type_name, qualified_names):
                for entity in self._client.lookup(type_name, chunk, relationships=True):
                    if entity.get("status", "ACTIVE") == "ACTIVE":
                        found[AssetName(type_name, str(entity["attributes"]["qualifiedName"]))] = entity
        return found

    def _chunks(self, type_name: str, qualified_names: Sequence[str]) -> List[List[str]]:
        chunks: List[List[str]] = []
        base = len(self._client.lookup_url(type_name, []))
        length = 0
        for name in qualified_names:
            size = len(quote(name, safe="")) + _KEY_CHARS
            if not chunks or base + length + size > self._options.url_chars:
                chunks.append([])
                length = 0
            chunks[-1].append(name)
            length += size
        return chunks

    def _ask(self, type_name: str, qualified_names: Sequence[str]) -> Dict[str, Optional[Found]]:
        """Ask for names of one type; a name whose question Atlas itself refuses is missing from the result."""
        try:
            entities = self._client.lookup(type_name, qualified_names)
        except AnswerError as failure:
            if not isinstance(failure, Refused) and not (may_be_content(failure) and len(qualified_names) > 1):
                raise
            if len(qualified_names) > 1:
                half = len(qualified_names) // 2
                return {
                    **self._ask(type_name, qualified_names[:half]),
                    **self._ask(type_name, qualified_names[half:]),
                }
            if is_absence(failure):
                return {qualified_names[0]: None}
            if not failure.answer.code.startswith("ATLAS-"):  # whoever says so, a gateway say, knows no assets
                raise Unavailable(failure.answer) from failure
            # The question itself is malformed for the catalog; the name can't be one of its own.
            log.info("%s %s can't be looked up: %s", type_name, qualified_names[0], failure.answer)
            return {}
        wanted = set(qualified_names)
        books = self._state.written(AssetName(type_name, name) for name in qualified_names)
        found: Dict[str, Optional[Found]] = dict.fromkeys(qualified_names)
        for entity in entities:
            attributes: Mapping[str, object] = entity.get("attributes") or {}
            name = str(attributes.get("qualifiedName"))
            # Exact or not at all, whatever the server's comparison may be.
            if name in wanted and entity.get("status", "ACTIVE") == "ACTIVE" and entity.get("guid"):
                actual = AssetName(str(entity.get("typeName") or type_name), name)
                if found[name] is None or actual.type_name == type_name:
                    sent = books[actual].facts.get("attributes", ()) if actual in books else ()
                    found[name] = Found(actual, str(entity["guid"]), is_ours(entity, sent))
        return found


def is_absence(failure: AnswerError) -> bool:
    """Whether an answer says that an entity is not there, as opposed to any other 404."""
    return failure.answer.code in ("ATLAS-404-00-005", "ATLAS-404-00-009", "ATLAS-404-00-012")


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return bool(name)
