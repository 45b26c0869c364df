"""A delivery without writing, for `adb-lineage plan`."""
from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple

from adb_lineage.delivery.batch import Batch
from adb_lineage.delivery.doors import Catalog, Translate, WritePlan
from adb_lineage.delivery.fold import Fold
from adb_lineage.delivery.options import DeliveryOptions
from adb_lineage.outbox import RunEvents

_HOLD_ALL = 1 << 62


class Rehearsal(NamedTuple):
    """What a delivery would do: plans of its parts, and run ids with the reason for what is not in them."""

    plans: List[WritePlan]
    skipped: Dict[str, str]
    failed: Dict[str, str]


def rehearse(runs: Iterable[RunEvents], translate: Translate, catalog: Catalog) -> Rehearsal:
    """Translate and fold the runs, and compare with the catalog. Raises what the catalog raises."""
    options = DeliveryOptions()
    fold = Fold(_HOLD_ALL)
    result = Rehearsal([], {}, {})
    for run in runs:
        try:
            translation = translate(run.events)
        except Exception as error:  # noqa: BLE001 - it is the answer for this run
            result.failed[run.run_id] = f"translation failed: {type(error).__name__}: {error}"
            continue
        if translation.process is None:
            result.skipped[run.run_id] = "; ".join(f"{skip[0]}: {skip[1]}" for skip in translation.skipped)
        else:
            fold.add(run, translation.process, translation)
    for part in fold.parts(options.write_processes, options.write_bytes):
        result.plans.append(Batch("", part).plan(catalog)[0])
    return result
