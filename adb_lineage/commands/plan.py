"""`adb-lineage plan`: what a delivery would write, compared with the catalog as it is. Writes nothing."""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any, Dict, Iterator, List

if TYPE_CHECKING:
    from adb_lineage.delivery import Rehearsal
    from adb_lineage.outbox import Outbox
    from adb_lineage.purview.plan import PlannedEntity

NAME = "plan"
HELP = "show what would be written: new, changed with the difference, unchanged, placeholders"
_SHOWN_CHARACTERS = 120


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", metavar="FILE", nargs="?", help="file of OpenLineage events, one JSON a line")
    source.add_argument("--outbox", action="store_true", help="what waits in the outbox of this driver")
    parser.add_argument("--all", action="store_true", help="list unchanged entities and columns, too")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; exit status 1 when an event or a run can't be read or translated."""
    from dataclasses import replace

    from adb_lineage.composition import catalog_from_settings, outbox_from_settings, translate_from_settings
    from adb_lineage.delivery import rehearse
    from adb_lineage.outbox import Outbox
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    settings = replace(Settings.load(file_config=file_config()), mode="preview")
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
        for line in _lines(rehearsal, arguments.all):
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


def _entities(rehearsal: Rehearsal) -> List[PlannedEntity]:
    """Each entity once, stand-ins first and processes last."""
    order = {"placeholder": 0, "column": 1, "entity": 2, "process": 3}
    found = {one.name: one for plan in rehearsal.plans for one in plan.entities}
    return sorted(found.values(), key=lambda one: (order[one.kind], one.name))


def _types(rehearsal: Rehearsal) -> List[str]:
    return sorted({name for plan in rehearsal.plans for name in plan.types})


def _left_out(rehearsal: Rehearsal) -> Dict[Any, str]:
    return {name: reason for plan in rehearsal.plans for name, reason in plan.left_out.items()}


def _as_json(rehearsal: Rehearsal, faults: List[str]) -> Dict[str, Any]:
    return {
        "entities": [
            {"outcome": one.outcome, "kind": one.kind, "typeName": one.name.type_name,
             "qualifiedName": one.name.qualified_name,
             "differences": [difference._asdict() for difference in one.differences]}
            for one in _entities(rehearsal)
        ],
        "types": _types(rehearsal),
        "leftOut": [{"typeName": name.type_name, "qualifiedName": name.qualified_name, "reason": reason}
                    for name, reason in _left_out(rehearsal).items()],
        "skipped": [{"runId": run_id, "reason": reason} for run_id, reason in rehearsal.skipped.items()],
        "failed": [{"runId": run_id, "reason": reason} for run_id, reason in rehearsal.failed.items()],
        "faults": faults,
    }


def _lines(rehearsal: Rehearsal, everything: bool) -> Iterator[str]:
    entities = _entities(rehearsal)
    for one in entities:
        if not everything and (one.outcome == "unchanged" or one.kind == "column"):
            continue
        what = "placeholder " if one.kind == "placeholder" else ""
        yield f"{one.outcome:<9}  {what}{one.name.type_name}  {one.name.qualified_name}"
        for difference in one.differences if one.outcome == "changed" else ():
            yield f"           {difference.attribute}: {_short(difference.before)} -> {_short(difference.after)}"
    for name, reason in _left_out(rehearsal).items():
        yield f"left out   {name.type_name}  {name.qualified_name}: {reason}"
    for run_id, reason in rehearsal.skipped.items():
        yield f"skipped    run {run_id}: {reason or 'it moved no data'}"
    for name in _types(rehearsal):
        yield f"install    type {name}"
    counts = Counter(one.outcome for one in entities)
    kinds = Counter(one.kind for one in entities if one.outcome == "new")
    yield (f"{counts['new']} new ({kinds['placeholder']} placeholders, {kinds['column']} columns), "
           f"{counts['changed']} changed, {counts['unchanged']} unchanged")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"
