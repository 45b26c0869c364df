"""A delivery without writing, for `adb-lineage plan`."""
from __future__ import annotations

from typing import Dict, Iterable, NamedTuple

from adb_lineage.delivery.batch import Batch
from adb_lineage.delivery.doors import Catalog, Translate, WritePlan
from adb_lineage.delivery.fold import Fold
from adb_lineage.outbox import RunEvents

_HOLD_ALL = 1 << 62


class Rehearsal(NamedTuple):
    """What a delivery would do: its plan, and run ids with the reason for what is not in it."""

    plan: WritePlan
    skipped: Dict[str, str]
    failed: Dict[str, str]


def rehearse(runs: Iterable[RunEvents], translate: Translate, catalog: Catalog) -> Rehearsal:
    """Translate and fold the runs, and compare with the catalog. Raises what the catalog raises."""
    fold = Fold(_HOLD_ALL)
    skipped: Dict[str, str] = {}
    failed: Dict[str, str] = {}
    for run in runs:
        try:
            translation = translate(run.events)
        except Exception as error:  # noqa: BLE001 - it is the answer for this run
            failed[run.run_id] = f"translation failed: {type(error).__name__}: {error}"
            continue
        if translation.process is None:
            skipped[run.run_id] = "; ".join(f"{skip[0]}: {skip[1]}" for skip in translation.skipped)
        else:
            fold.add(run, translation.process, translation)
    groups = [group for part in fold.parts(_HOLD_ALL, _HOLD_ALL) for group in part]
    return Rehearsal(Batch("", groups).plan(catalog)[0], skipped, failed)
