"""Many processes at once: all their assets resolved together, one write, and what became of each run."""
from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

from adb_lineage.assets import Asset, AssetName
from adb_lineage.delivery.doors import Catalog, WritePlan
from adb_lineage.delivery.fold import Group
from adb_lineage.outbox import Outbox, RunEvents

_PROCESS = "databricks_process"


class Outcome(NamedTuple):
    """What became of a run: `state` is "delivered" or "dead" for the outbox, `facts` go to the record.

    `mark` is the key of the process that was written with this run.
    """

    run: RunEvents
    state: str
    why: str
    facts: Mapping[str, Any]
    mark: str = ""


class _Work:
    """What there is to write for some processes: entities once each in their newest state, and assets without any."""

    def __init__(self, groups: Iterable[Group], catalog: Catalog) -> None:
        self.groups = sorted(groups, key=lambda group: group.newest.time)
        assets = _assets(self.groups)
        self._links = [link for group in self.groups for link in group.translation.links]
        named = {asset.name for asset in assets}
        others = [asset for link in self._links for asset in (link.location, link.table) if asset.name not in named]
        self.chosen = catalog.resolve([*assets, *others])
        self.missing = [asset for asset in assets if asset.name not in self.chosen]
        entities: Dict[AssetName, Dict[str, Any]] = {}
        self.names: List[List[AssetName]] = []
        """Of each group: its entities, then its assets as they are called in the catalog."""
        for group in self.groups:
            own = {_name(entity): entity for entity in group.translation.entities(self.chosen)}
            entities.update(own)
            datasets = [self.chosen.get(asset.name, asset.name) for asset in group.translation.assets]
            self.names.append(list(dict.fromkeys([*own, *datasets])))
        self.ordered = sorted(entities.values(), key=lambda entity: entity.get("typeName") == _PROCESS)

    def links(self, stand_ins: Mapping[AssetName, AssetName]) -> List[Tuple[AssetName, AssetName]]:
        """Locations and the tables on them, where the catalog has both: nothing is created only to be linked."""
        there = {**stand_ins, **self.chosen}
        pairs = [(there.get(link.location.name), there.get(link.table.name)) for link in self._links]
        return list(dict.fromkeys((location, table) for location, table in pairs if location and table))


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

    def plan(self, catalog: Catalog) -> Tuple[WritePlan, List[Outcome]]:
        """What `write` would do, and what to record of it; nothing is written. Raises what the catalog raises."""
        work = _Work(self._groups, catalog)
        plan = catalog.plan_write(work.ordered, work.missing)
        plan.links.extend(catalog.plan_links(work.links({})))
        verdicts = {name: verdict for verdict in ("new", "changed", "unchanged", "invalid")
                    for name in getattr(plan, verdict)}
        verdicts.update(dict.fromkeys(plan.placeholders, "placeholder"))
        outcomes = []
        for group, names in zip(work.groups, work.names):
            would = [f"{verdicts[name]} {' '.join(name)}" for name in names if name in verdicts]
            facts = {**_facts(group, work.chosen, {}, plan.left_out), "delivery": "preview", "would_write": would}
            outcomes += [Outcome(run, "delivered", "preview", facts) for run in group.runs]
        return plan, outcomes

    def write(self, catalog: Catalog, outbox: Outbox, now: float) -> List[Outcome]:
        """Resolve and write; what became of each run. `now` (epoch seconds) goes to the record.

        Raises what the catalog raises; then nothing is known about any of the runs.
        """
        outcomes, groups = self._superseded(catalog, outbox)
        work = _Work(groups, catalog)
        report = catalog.write(work.ordered, work.missing)
        catalog.link(work.links(report.placeholders))
        refused = {AssetName(*item[0]): _refusal(item) for item in report.refused}
        for group, names in zip(work.groups, work.names):
            answers = "; ".join(refused[name] for name in names if name in refused)
            facts = _facts(group, work.chosen, report.placeholders, report.left_out)
            facts["requests"] = report.requests
            outcomes += _outcomes(group, facts, answers, now, self._key(group.process))
        return outcomes

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


def _outcomes(group: Group, facts: Dict[str, Any], refusal: str, now: float, key: str) -> List[Outcome]:
    state = "dead" if refusal else "delivered"
    facts.update(delivery=state, delivery_reason=refusal or None, delivered_at=None if refusal else now)
    outcomes = [Outcome(group.newest, state, refusal, facts, "" if refusal else key)]
    with_it = {
        "delivery": state,
        "delivery_reason": refusal or f"written with the newer run {group.newest.run_id}",
        "process": facts["process"],
        "delivered_at": facts["delivered_at"],
    }
    return outcomes + [Outcome(run, state, refusal, with_it) for run in group.others]


def _facts(
    group: Group,
    chosen: Mapping[AssetName, AssetName],
    stand_ins: Mapping[AssetName, AssetName],
    left_out: Mapping[AssetName, str],
) -> Dict[str, Any]:
    assets = []
    for asset in group.translation.assets:
        name = chosen.get(asset.name) or stand_ins.get(asset.name) or asset.name
        facts = {"name": asset.display_name, "typeName": name.type_name, "qualifiedName": name.qualified_name,
                 "rule": asset.rule, "found": asset.name in chosen}
        if asset.name in left_out:
            facts["left_out"] = left_out[asset.name]
        assets.append(facts)
    lost = [*group.newest.left_out, *(f"{skip[0]}: {skip[1]}" for skip in group.translation.skipped)]
    return {"process": group.translation.process, "assets": assets, "left_out": lost or None}
