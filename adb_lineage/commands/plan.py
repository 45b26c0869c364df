"""`adb-lineage plan`: what a delivery would write, compared with the catalog as it is. Writes nothing."""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Dict, Iterator, List

if TYPE_CHECKING:
    from adb_lineage.delivery import Rehearsal
    from adb_lineage.outbox import Outbox

NAME = "plan"
HELP = "show what would be written: new, changed with the difference, unchanged, placeholders"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", metavar="FILE", nargs="?", help="file of OpenLineage events, one JSON a line")
    source.add_argument("--outbox", action="store_true", help="what waits in the outbox of this driver")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; exit status 1 when an event or a run can't be read or translated."""
    from adb_lineage.composition import catalog_from_settings, outbox_from_settings, translate_from_settings
    from adb_lineage.delivery import rehearse
    from adb_lineage.outbox import Outbox
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    settings = Settings.load(file_config=file_config())
    translate = translate_from_settings(settings)
    faults: List[str] = []
    with catalog_from_settings(settings) as catalog, tempfile.TemporaryDirectory() as folder:
        if arguments.outbox:
            outbox = outbox_from_settings(settings)
        else:
            outbox = Outbox(f"{folder}/outbox.db", synchronous="OFF")
            faults = _load(arguments.file, outbox)
        try:
            rehearsal = rehearse(outbox.peek(), translate, catalog)
        finally:
            outbox.close()
    if arguments.json:
        print(json.dumps(_as_json(rehearsal, faults), ensure_ascii=False))
    else:
        for line in _lines(rehearsal):
            print(line)
    for problem in [*faults, *(f"{run_id}: {reason}" for run_id, reason in rehearsal.failed.items())]:
        print(problem, file=sys.stderr)
    return 1 if faults or rehearsal.failed else 0


def _load(path: str, outbox: Outbox) -> List[str]:
    """Put the events of a file into a passing outbox, which groups them by run; what is no event."""
    from adb_lineage import spool
    from adb_lineage.errors import GiveUp, SettingsError

    faults = []
    try:
        for line in spool.read(path):
            try:
                if line.fault:
                    raise GiveUp(line.fault)
                outbox.append(line.event)
            except GiveUp as error:
                faults.append(f"{path}:{line.number}: {error}")
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from error
    return faults


def _as_json(rehearsal: Rehearsal, faults: List[str]) -> Dict[str, Any]:
    plan = rehearsal.plan
    return {
        "new": [name._asdict() for name in plan.new],
        "placeholders": [name._asdict() for name in plan.placeholders],
        "changed": [
            {**name._asdict(), "changes": [
                {"attribute": attribute, "before": before, "after": after} for attribute, before, after in changes
            ]}
            for name, changes in plan.changed.items()
        ],
        "links": [{"location": location._asdict(), "table": table._asdict()} for location, table in plan.links],
        "unchanged": [name._asdict() for name in plan.unchanged],
        "left_out": [{**name._asdict(), "reason": reason} for name, reason in plan.left_out.items()],
        "invalid": [{**name._asdict(), "reason": reason} for name, reason in plan.invalid.items()],
        "skipped": [{"run_id": run_id, "reason": reason} for run_id, reason in rehearsal.skipped.items()],
        "failed": [{"run_id": run_id, "reason": reason} for run_id, reason in rehearsal.failed.items()],
        "faults": faults,
    }


def _lines(rehearsal: Rehearsal) -> Iterator[str]:
    yield from rehearsal.plan.lines()
    for run_id, reason in rehearsal.skipped.items():
        yield f"skip        run {run_id}: {reason or 'it moved no data'}"
