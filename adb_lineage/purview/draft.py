"""What a write is about: the newest state of every entity, and a stand-in for every missing asset."""
from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from adb_lineage.assets import Asset, AssetName
from adb_lineage.errors import FixNeeded
from adb_lineage.purview import payload, placeholders
from adb_lineage.purview.answers import Answer
from adb_lineage.purview.inventory import PROCESS
from adb_lineage.purview.marks import day
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.payload import Item
from adb_lineage.purview.report import WriteReport
from adb_lineage.purview.resolver import Resolver
from adb_lineage.purview.state import Found, State, Written
from adb_lineage.purview.types import PLACEHOLDER, TypeBook, TypesReport

TYPED_REFUSED_SECONDS = 86_400.0
"""How long a type that the account did not let us create is not tried again."""
WHOLE = "whole"
"""Fact in the bookkeeping of a stand-in: fingerprint of all of it, columns included, once all of it was accepted."""


class Draft:
    """Items by name. `report` gets what can be said before anything is sent."""

    def __init__(
        self, options: PurviewOptions, resolver: Resolver, state: State, book: TypeBook, types: TypesReport, now: float
    ) -> None:
        self._options = options
        self._resolver = resolver
        self._state = state
        self._book = book
        self._types = types
        self._now = now
        self.report = WriteReport()
        self.items: Dict[AssetName, Item] = {}
        self.dropped: Set[AssetName] = set()
        """Entities that will not be there: references to them are left out."""
        self._assets: Dict[AssetName, Tuple[Asset, bool]] = {}  # by the stand-in's name: the asset, and whether typed
        self._renamed: Dict[AssetName, AssetName] = {}
        self._folded: Set[AssetName] = set()
        self._fingerprints: Dict[AssetName, str] = {}
        self._refused_types: Dict[str, bool] = {}
        # A date that is never brought up to date would make a busy edge look dead.
        self._today = day(now) if options.volatile_seconds is not None else ""

    def add_assets(self, missing: Sequence[Asset]) -> None:
        """Stand-ins for missing assets, by the option `create_missing`."""
        assets = list({asset.name: asset for asset in reversed(missing)}.values())[::-1]
        if self._options.create_missing == "skip":
            for asset in assets:
                self.report.left_out[asset.name] = "it is not in the catalog, and create_missing is skip"
                self.dropped.add(asset.name)
            return
        kinds = [(asset, self._is_typed(asset)) for asset in assets]
        books = self._state.written(placeholders.name_of(asset, typed) for asset, typed in kinds)
        for asset, typed in kinds:
            self._stand_in(asset, typed, books.get(placeholders.name_of(asset, typed)))

    def add_entities(self, entities: Iterable[Mapping[str, Any]]) -> None:
        """Entities, of which the last state of each counts; references to missing assets lead to their stand-ins."""
        newest: Dict[AssetName, Mapping[str, Any]] = {}
        for entity in entities:
            name = payload.name_of(entity)
            newest[name] = payload.merged(newest[name], entity) if name in newest else entity
        for name, entity in newest.items():
            self._add(entity, "process" if name.type_name == PROCESS else "entity", {})

    def unfold(self, names: Iterable[AssetName]) -> List[AssetName]:
        """The names and all that they need, from the items; stand-ins that were left folded are built for it."""
        for name in payload.needed_by(self.items.values(), names):
            if name in self._folded:
                asset, typed = self._assets[name]
                self._stand_in(asset, typed, None)
        return payload.needed_by(self.items.values(), names)

    def can_be_generic(self, one: Item) -> bool:
        """Whether an item is a stand-in of its asset's real type."""
        return one.name in self._assets and self._assets[one.name][1]

    def note_untyped(self, type_name: str, answer: Answer) -> None:
        """For a while no other stand-in of this type is tried."""
        self._state.set_note(_note(type_name), str(answer), self._now)

    def make_generic(self, one: Item) -> List[Item]:
        """The account does not let us create this type after all: a stand-in of the custom type takes its place. The
        items to be sent for it."""
        asset, _ = self._assets.pop(one.name)
        for name in [one.name, *(n for n, i in self.items.items() if i.facts.get("table") == list(one.name))]:
            del self.items[name]
        before = set(self.items)
        self._stand_in(asset, False, None)
        for other in list(self.items.values()):
            if asset.name in other.refers:
                changed = self._add(other.entity, other.kind, other.facts)
                if changed is not None:  # whoever holds the item is to send the new content
                    other.entity, other.refers = changed.entity, changed.refers
                    other.content, other.size = changed.content, changed.size
                    self.items[other.name] = other
        return [item for name, item in self.items.items() if name not in before]

    def refuse(self, one: Item, answer: Answer) -> None:
        """An item will not be in the catalog."""
        self.report.refuse(one.name, answer)
        self.dropped.add(one.name)
        if one.name in self._assets:
            asset, _ = self._assets[one.name]
            self.report.left_out[asset.name] = f"the catalog refuses a stand-in for it: {answer}"

    def completed(self) -> List[Written]:
        """Bookkeeping of the stand-ins of which now every part is in the catalog: next time they can stay folded."""
        refused = [self.items[name] for name in self.dropped if name in self.items]
        parts_refused = {tuple(one.facts.get("table") or ()) for one in refused}
        built = [
            name for name in self._assets
            if name not in self._folded and name not in self.dropped and name not in parts_refused
        ]
        rows = self._state.written(built)
        return [
            row._replace(facts={**row.facts, WHOLE: self._fingerprints[name]})
            for name, row in rows.items()
            if row.facts.get(WHOLE) != self._fingerprints[name]
        ]

    def _is_typed(self, asset: Asset) -> bool:
        if self._options.create_missing != "typed" or placeholders.typed_lacks(asset, self._book):
            return False
        type_name = asset.name.type_name
        if type_name not in self._refused_types:
            note = self._state.note(_note(type_name))
            self._refused_types[type_name] = note is not None and 0 <= self._now - note[1] < TYPED_REFUSED_SECONDS
        return not self._refused_types[type_name]

    def _stand_in(self, asset: Asset, typed: bool, known: Optional[Written]) -> None:
        if not typed and PLACEHOLDER not in self._book:
            name = asset.name.qualified_name
            raise FixNeeded(f"{name} needs a placeholder, but the account lacks its type: {self._types.problem}")
        own = placeholders.name_of(asset, typed)
        self._assets[own] = (asset, typed)
        self.report.placeholders[asset.name] = own
        if own != asset.name:
            self._renamed[asset.name] = own
        self._fingerprints[own] = placeholders.fingerprint(asset, typed, self._options.placeholder_columns)
        if known is not None and known.content and known.facts.get(WHOLE) == self._fingerprints[own]:
            self._folded.add(own)
            self.items[own] = Item(own, {}, "placeholder", known.facts, known.content, known.volatile)
            return
        self._folded.discard(own)
        parents: Dict[AssetName, Optional[Found]] = {}
        if typed and asset.parents and self._book.mandatory_relationships(asset.name.type_name):
            parents = self._resolver.lookup(asset.parents, self._book)
        made = placeholders.make(asset, typed, self._book, parents, self._options.placeholder_columns)
        if self._add(made.dataset, "placeholder", made.facts()) is None:
            self.report.left_out[asset.name] = "its stand-in can't be written as JSON"
            return
        for part in made.parts:
            try:
                one = payload.column(part, own)
            except (TypeError, ValueError) as failure:
                self._invalid(payload.name_of(part), failure)
            else:
                self.items[one.name] = one

    def _add(self, entity: Mapping[str, Any], kind: str, facts: Mapping[str, Any]) -> Optional[Item]:
        renamed = payload.replaced(entity, self._rename) if self._renamed else entity
        try:
            one = payload.item(renamed, kind, facts, self._options.volatile, self._today)
        except (TypeError, ValueError) as failure:  # UnicodeEncodeError is a ValueError
            self._invalid(payload.name_of(entity), failure)
            return None
        self.items[one.name] = one
        return one

    def _invalid(self, name: AssetName, failure: Exception) -> None:
        self.report.refuse(name, Answer(0, "not-json", f"can't be written as JSON: {failure}"))
        self.dropped.add(name)

    def _rename(self, name: AssetName, reference: Any) -> Any:
        return placeholders.reference(self._renamed[name]) if name in self._renamed else reference


def _note(type_name: str) -> str:
    return f"typed refused: {type_name}"
