"""`adb-lineage replay`: delivers events from spool folders, NDJSON files or old outboxes, now."""
from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Sequence, Tuple

if TYPE_CHECKING:
    from adb_lineage.delivery import Delivery
    from adb_lineage.outbox import Outbox

NAME = "replay"
HELP = "deliver events from a spool folder, a file of events (one JSON a line) or an old outbox"
_CHUNK = 200
_STEP_SECONDS = 0.5
_OPEN = ("new", "taken", "waiting")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="folder, file of events, or outbox database")
    parser.add_argument("--delete", action="store_true",
                        help="remove the files of which every line is an event that has arrived; databases are kept")
    parser.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS",
                        help="how long to wait for a catalog that is away (default: 3600)")


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a line is no event, or a run has not arrived. Replaying twice changes nothing.

    Runs without a terminal event are delivered with what they have.
    """
    from dataclasses import replace

    from adb_lineage.composition import (
        catalog_from_settings,
        delivery_from_settings,
        outbox_from_settings,
        record_from_settings,
    )
    from adb_lineage.errors import SettingsError
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    settings = replace(Settings.load(file_config=file_config()), run_seconds=0.0, spool_dir="")
    if settings.mode != "deliver":
        raise SettingsError(f"mode is {settings.mode}, so nothing would be delivered; set it to deliver, or see "
                            "`adb-lineage plan FILE` for what would be written")
    files = _files(arguments.paths)
    record = record_from_settings(settings)
    catalog = catalog_from_settings(settings)
    catalog.forget_refusals()
    outbox = outbox_from_settings(settings, record)
    delivery = delivery_from_settings(settings, outbox, record, catalog)
    try:
        runs: Dict[str, List[str]] = {}
        faults: Dict[str, int] = {}
        events = 0
        for path in files:
            count, faults[path], runs[path] = _load(path, outbox)
            events += count
        bad = sum(faults.values())
        delivery.start()
        _wait(delivery, outbox, arguments.timeout)
        states = {info.run_id: info for info in outbox.runs(limit=10**9)}
        found = list(dict.fromkeys(run_id for run_ids in runs.values() for run_id in run_ids))
        left: Dict[str, str] = {}
        for run_id in found:
            info = states.get(run_id)
            if info is None:
                lost = _lost(record.row(run_id))
                if lost:
                    left[run_id] = lost
            elif info.state != "delivered":
                left[run_id] = f"{info.state}: {info.why or delivery.status()['why'] or 'not delivered yet'}"
        for run_id, why in left.items():
            print(f"{run_id}  {why}", file=sys.stderr)
        print(f"{len(files)} files, {events} events{f' ({bad} lines are no events)' if bad else ''}, "
              f"{len(found)} runs: {len(found) - len(left)} arrived, {len(left)} not")
        if arguments.delete:
            _delete({path: run_ids for path, run_ids in runs.items() if not faults[path]}, set(left))
        return 1 if left or bad else 0
    finally:
        delivery.stop(1.0)
        outbox.close()
        catalog.close()
        record.close()


def _lost(row: Mapping[str, Any]) -> str:
    """Why a run that the outbox no longer has did not arrive, by its record; empty when it did.

    The outbox makes room by delivered runs first, but by others, too: with many files at once for one.
    """
    if row.get("delivery") in ("delivered", "skipped"):
        return ""
    return f"gone: {row.get('delivery_reason') or 'nothing tells that it arrived'}"


def _files(paths: List[str]) -> List[str]:
    from adb_lineage import spool
    from adb_lineage.errors import SettingsError

    found: List[str] = []
    for path in paths:
        try:
            found += spool.files(path)
        except OSError as error:
            raise SettingsError(f"{path} can't be read: {error.strerror}") from error
    return found


def _load(path: str, outbox: Outbox) -> Tuple[int, int, List[str]]:
    """Put the events of a file into the outbox; how many there were, how many lines were none, and their runs."""
    run_ids: Dict[str, None] = {}
    lines = faults = 0
    chunk: List[Tuple[str, Dict[str, Any]]] = []
    for where, event, fault in _events(path):
        lines += 1
        if fault:
            faults += 1
            print(f"{where}: {fault}", file=sys.stderr)
            continue
        chunk.append((where, event))
        if len(chunk) == _CHUNK:
            faults += _store(chunk, outbox, run_ids)
            chunk = []
    faults += _store(chunk, outbox, run_ids)
    return lines - faults, faults, list(run_ids)


def _store(chunk: Sequence[Tuple[str, Dict[str, Any]]], outbox: Outbox, run_ids: Dict[str, None]) -> int:
    """Put events into the outbox, in one commit if it takes them all; how many it does not take."""
    from adb_lineage.errors import GiveUp

    try:
        run_ids.update(dict.fromkeys(outbox.extend([event for _, event in chunk], again=True)))
    except GiveUp as error:
        if len(chunk) == 1:
            print(f"{chunk[0][0]}: {error}", file=sys.stderr)
            return 1
        return sum(_store([one], outbox, run_ids) for one in chunk)
    return 0


def _events(path: str) -> Iterator[Tuple[str, Dict[str, Any], str]]:
    """Where, event, and what is wrong with it, for each line or row."""
    import sqlite3

    from adb_lineage import spool
    from adb_lineage.errors import SettingsError
    from adb_lineage.outbox.salvage import is_database, salvage

    try:
        if is_database(path):
            for event in salvage(path):
                yield path, event, ""
        else:
            for line in spool.read(path):
                yield f"{path}:{line.number}", line.event, line.fault
    except sqlite3.Error as error:
        raise SettingsError(f"{path} is no outbox that can be read: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from error


def _wait(delivery: Delivery, outbox: Outbox, timeout: float) -> None:
    from adb_lineage.purview.progress import Bar

    bar = Bar("delivering")
    deadline = time.monotonic() + timeout
    total = sum(outbox.counts()[state] for state in _OPEN)
    said = ""
    while not delivery.flush(_STEP_SECONDS) and time.monotonic() < deadline:
        left = sum(outbox.counts()[state] for state in _OPEN)
        bar(max(total - left, 0), max(total, left))
        why = str(delivery.status()["why"])
        if why and why != said:
            bar.close()
            print(f"waiting: {why}", file=sys.stderr)
        said = why
        if why:
            time.sleep(_STEP_SECONDS)
    bar.close()


def _delete(runs: Dict[str, List[str]], left: Any) -> None:
    """Remove files whose runs have arrived, but no databases: a driver may be using one, or it may hold rows that only
    another tool can read."""
    import os

    from adb_lineage.outbox.salvage import is_database

    for path, run_ids in runs.items():
        if left & set(run_ids):
            continue
        try:
            if not is_database(path):
                os.remove(path)
        except OSError as error:
            print(f"{path} can't be removed: {error.strerror}", file=sys.stderr)
