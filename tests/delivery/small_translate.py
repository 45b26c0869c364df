"""A translation of a page, with the real one's shape: what the tests of the delivery alone need."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any, List, Mapping, Sequence

from adb_lineage.assets import Asset, AssetName, Column


def translate(events: Sequence[Mapping[str, Any]]) -> Any:
    """Raises for a run whose job is named `impossible…`; the process carries its newest run."""
    newest = max(events, key=lambda event: event["eventTime"])
    job = newest["job"]["name"]
    if job.startswith("impossible"):
        raise {"impossible-exit": SystemExit, "impossible-base": BaseException}.get(job, KeyError)("of translate")
    sides = {side: sorted({one["name"] for event in events for one in event[side]}) for side in ("inputs", "outputs")}
    names = [*sides["inputs"], *sides["outputs"]]
    process = f"{job}/{','.join(sides['inputs'])}->{','.join(sides['outputs'])}" if names else None
    assets = tuple(Asset(AssetName("path", name), name, "test", columns=(Column("c"),)) for name in names)

    def entities(chosen: Mapping[AssetName, AssetName]) -> List[Any]:
        if job == "broken-entities":
            raise ValueError("of entities")
        own = {name: chosen.get(AssetName("path", name), AssetName("path", name)).qualified_name for name in names}
        return [
            {"typeName": "databricks_notebook", "attributes": {"qualifiedName": f"notebook {job}"}},
            {"typeName": "databricks_process", "attributes": {
                "qualifiedName": process, "inputs": [own[name] for name in sides["inputs"]],
                "outputs": [own[name] for name in sides["outputs"]], "run": newest["run"]["runId"],
                "bad": job.startswith("bad"), "unbearable": job.startswith("unbearable")}},
        ]

    return SimpleNamespace(assets=assets, links=(), skipped=() if names else (("run", "it names no dataset"),),
                           process=process, entities=entities)
