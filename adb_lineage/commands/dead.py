"""`adb-lineage dead`: the runs that the catalog refused, or that could not be translated."""
from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, List, Optional

if TYPE_CHECKING:
    from adb_lineage.outbox import Outbox, RunInfo
    from adb_lineage.settings import Settings

NAME = "dead"
HELP = "list, show, retry or drop the runs that were refused"
_ALL = 1_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-commands and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="each dead run with the reason")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = actions.add_parser("show", help="the events of a run, one JSON a line")
    show.add_argument("run_id", metavar="RUN_ID")
    for name, text in (("retry", "deliver them again, now"), ("drop", "remove them for good")):
        action = actions.add_parser(name, help=text)
        action.add_argument("run_ids", metavar="RUN_ID", nargs="*")
        action.add_argument("--all", action="store_true", help="all dead runs")
        if name == "retry":
            action.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS",
                                help="how long to wait for the outcome (default: 120)")


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a run that was named is not dead, or one that was retried has not arrived."""
    from adb_lineage.composition import outbox_from_settings
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    settings = Settings.load(file_config=file_config())
    outbox = outbox_from_settings(settings)
    try:
        dead = outbox.runs(("dead",), limit=_ALL)
        _refuse_trouble(outbox)
        if arguments.action == "list":
            return _list(dead, arguments.json)
        if arguments.action == "show":
            return _show(outbox, arguments.run_id)
        chosen = _chosen(arguments, dead)
        if arguments.action == "drop":
            dropped = outbox.drop(chosen)
            _refuse_trouble(outbox)
            print(f"{dropped} runs dropped")
            return 0
        return _retry(settings, outbox, chosen, arguments.timeout)
    finally:
        outbox.close()


def _refuse_trouble(outbox: Outbox) -> None:
    from adb_lineage.errors import FixNeeded

    if outbox.trouble:
        raise FixNeeded(f"the outbox can't be used: {outbox.trouble}")


def _chosen(arguments: argparse.Namespace, dead: List[RunInfo]) -> List[str]:
    from adb_lineage.errors import SettingsError

    known = [info.run_id for info in dead]
    if arguments.all == bool(arguments.run_ids):
        raise SettingsError("name the runs, or say --all")
    unknown = [run_id for run_id in arguments.run_ids if run_id not in known]
    if unknown:
        raise SettingsError(f"not a dead run of this outbox: {', '.join(unknown)}; `adb-lineage dead list` shows them")
    return known if arguments.all else list(arguments.run_ids)


def _list(dead: List[RunInfo], as_json: bool) -> int:
    for info in dead:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(info.changed))
        if as_json:
            print(json.dumps({"runId": info.run_id, "since": since, "reason": info.why, "events": info.events,
                              "bytes": info.size}, ensure_ascii=False))
        else:
            print(f"{info.run_id}  {since}  {info.events} events  {info.why}")
    if not dead and not as_json:
        print("no dead runs")
    return 0


def _show(outbox: Outbox, run_id: str) -> int:
    from adb_lineage.errors import SettingsError

    events = outbox.events(run_id)
    if not events:
        raise SettingsError(f"the outbox holds no run {run_id}")
    for event in events:
        print(json.dumps(event, ensure_ascii=False))
    return 0


def _retry(settings: Settings, outbox: Outbox, run_ids: List[str], timeout: float) -> int:
    from adb_lineage.composition import catalog_from_settings, delivery_from_settings, record_from_settings

    record = record_from_settings(settings)
    catalog = catalog_from_settings(settings)
    catalog.forget_refusals()
    delivery = delivery_from_settings(settings, outbox, record, catalog)
    outbox.retry(run_ids)
    _refuse_trouble(outbox)
    delivery.start()
    delivery.flush(timeout)
    status = delivery.status()
    delivery.stop(1.0)
    states = {info.run_id: info for info in outbox.runs(limit=_ALL)}
    missed = 0
    for run_id in run_ids:
        info: Optional[RunInfo] = states.get(run_id)
        state = info.state if info is not None else "gone"
        missed += state != "delivered"
        reason = (info.why if info is not None else "") or (status["why"] if state != "delivered" else "")
        print(f"{run_id}  {state}{': ' + reason if reason else ''}")
    catalog.close()
    record.close()
    return 1 if missed else 0
