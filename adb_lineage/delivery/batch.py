"""Many processes at once: all their assets resolved together, one write, and what became of each run."""
from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.assets import Asset, AssetName
from adb_lineage.delivery.doors import Catalog, WriteReport
from adb_lineage.delivery.fold import Group
from adb_lineage.outbox import Outbox, RunEvents

_PROCESS_LAST = "databricks_process"


class Outcome(NamedTuple):
    """What became of a run: `state` is "delivered" or "dead" for the outbox, `facts` go to the record."""

    run: RunEvents
    state: str
    why: str
    facts: Mapping[str, Any]


class Batch:
    """Processes, each with a translation, to be written in one go."""

    def __init__(self, target: str, groups: Sequence[Group]) -> None:
        self._target = target
        self._groups = list(groups)

    @property
    def runs(self) -> List[RunEvents]:
        """Every run in the batch."""
        return [run for group in self._groups for run in group.runs]

    def halves(self) -> Tuple[Batch, Batch]:
        """The same in two parts, to find the process that a write fails on; one is empty when there is only one."""
        middle = (len(self._groups) + 1) // 2
        return Batch(self._target, self._groups[:middle]), Batch(self._target, self._groups[middle:])

    def preview(self, catalog: Catalog) -> List[Outcome]:
        """What `write` would do, as far as reading tells."""
        chosen = catalog.resolve(_assets(self._groups))
        return [
            Outcome(run, "delivered", "preview", {**_facts(group, chosen), "delivery": "preview"})
            for group in self._groups
            for run in group.runs
        ]

    def write(self, catalog: Catalog, outbox: Outbox, now: float) -> List[Outcome]:
        """Resolve and write; what became of each run. `now` (epoch seconds) goes to the record.

        Raises what the catalog raises; then nothing is known about any of the runs.
        """
        outcomes, groups = self._superseded(catalog, outbox)
        groups.sort(key=lambda group: group.newest.time)
        assets = _assets(groups)
        chosen = catalog.resolve(assets)
        entities: Dict[AssetName, Dict[str, Any]] = {}
        names: List[List[AssetName]] = []
        for group in groups:
            own = {_name(entity): entity for entity in group.translation.entities(chosen)}
            entities.update(own)
            names.append([*own, *(chosen.get(asset.name, asset.name) for asset in group.translation.assets)])
        ordered = sorted(entities.values(), key=lambda entity: entity.get("typeName") == _PROCESS_LAST)
        report = catalog.write(ordered, [asset for asset in assets if asset.name not in chosen])
        refused = {AssetName(*item[0]): _refusal(item) for item in report.refused}
        for group, own_names in zip(groups, names):
            answers = [refused[name] for name in dict.fromkeys(own_names) if name in refused]
            outcomes += _outcomes(group, _facts(group, chosen, report), "; ".join(answers), now)
        return outcomes

    def marks(self) -> Dict[str, float]:
        """For each process, the time of its newest run here."""
        return {self._key(group.process): group.newest.time for group in self._groups}

    def _superseded(self, catalog: Catalog, outbox: Outbox) -> Tuple[List[Outcome], List[Group]]:
        """Apart those processes of which a newer run has been written before and is still there.

        A run that had to wait, or came from a spool, must not take the place of a newer one.
        """
        marks = outbox.marks([self._key(group.process) for group in self._groups])
        late = {
            _name(group.translation.entities({})[-1]): group
            for group in self._groups
            if marks.get(self._key(group.process), group.newest.time) > group.newest.time
        }
        if not late:
            return [], list(self._groups)
        present = catalog.resolve([Asset(name=name, display_name="", rule="process") for name in late])
        outcomes: List[Outcome] = []
        current = {group.process: group for group in self._groups}
        for name, group in late.items():
            if name in present:
                facts = {"delivery": "delivered", "delivery_reason": "a newer run of it was written before",
                         "process": group.process}
                outcomes += [Outcome(run, "delivered", "superseded", facts) for run in group.runs]
                del current[group.process]
        return outcomes, list(current.values())

    def _key(self, process: str) -> str:
        return f"{self._target}|{process}"


def _assets(groups: Iterable[Group]) -> List[Asset]:
    """Every asset once; of several descriptions the newest that knows the columns."""
    assets: Dict[AssetName, Asset] = {}
    for group in groups:
        for asset in group.translation.assets:
            if asset.columns or asset.name not in assets:
                assets[asset.name] = asset
    return list(assets.values())


def _name(entity: Mapping[str, Any]) -> AssetName:
    return AssetName(str(entity["typeName"]), str(entity["attributes"]["qualifiedName"]))


def _refusal(item: Any) -> str:
    name, status, code, message, request_id = tuple(item)[:5]
    said = " ".join(str(part) for part in (status, code, message) if part not in (None, ""))
    return f"{name[0]} {name[1]}: {said}" + (f" (request {request_id})" if request_id else "")


def _outcomes(group: Group, facts: Dict[str, Any], refusal: str, now: float) -> List[Outcome]:
    state = "dead" if refusal else "delivered"
    facts.update(delivery=state, delivery_reason=refusal or None, delivered_at=None if refusal else now)
    outcomes = [Outcome(group.newest, state, refusal, facts)]
    with_it = {
        "delivery": state,
        "delivery_reason": refusal or f"written with the newer run {group.newest.run_id}",
        "process": facts["process"],
        "delivered_at": facts["delivered_at"],
    }
    return outcomes + [Outcome(run, state, refusal, with_it) for run in group.others]


def _facts(
    group: Group, chosen: Mapping[AssetName, AssetName], report: Optional[WriteReport] = None
) -> Dict[str, Any]:
    stand_ins = report.placeholders if report is not None else {}
    assets = []
    for asset in group.translation.assets:
        name = chosen.get(asset.name) or stand_ins.get(asset.name) or asset.name
        facts = {"name": asset.display_name, "typeName": name.type_name, "qualifiedName": name.qualified_name,
                 "rule": asset.rule, "found": asset.name in chosen}
        if report is not None and asset.name in report.left_out:
            facts["left_out"] = report.left_out[asset.name]
        assets.append(facts)
    left_out = [*group.newest.left_out, *(f"{skip[0]}: {skip[1]}" for skip in group.translation.skipped)]
    facts = {"process": group.translation.process, "assets": assets, "left_out": left_out or None}
    if report is not None:
        facts["requests"] = report.requests
    return facts
