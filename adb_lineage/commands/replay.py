"""`adb-lineage replay`: delivers events from spool folders, NDJSON files or old outboxes, now."""
from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Tuple

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
    parser.add_argument("--delete", action="store_true", help="remove spool files all of whose runs have arrived")
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
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    settings = replace(Settings.load(file_config=file_config()), run_seconds=0.0, spool_dir="")
    files = _files(arguments.paths)
    record = record_from_settings(settings)
    catalog = catalog_from_settings(settings)
    catalog.forget_refusals()
    outbox = outbox_from_settings(settings, record)
    delivery = delivery_from_settings(settings, outbox, record, catalog)
    try:
        runs: Dict[str, List[str]] = {}
        faults = events = 0
        for path in files:
            count, bad, runs[path] = _load(path, outbox)
            events += count
            faults += bad
        delivery.start()
        _wait(delivery, outbox, arguments.timeout)
        states = {info.run_id: info for info in outbox.runs(limit=10**9)}
        found = list(dict.fromkeys(run_id for run_ids in runs.values() for run_id in run_ids))
        left = [states[run_id] for run_id in found if run_id in states and states[run_id].state != "delivered"]
        for info in left:
            print(f"{info.run_id}  {info.state}: {info.why or delivery.status()['why'] or 'not delivered yet'}",
                  file=sys.stderr)
        print(f"{len(files)} files, {events} events{f' ({faults} lines are no events)' if faults else ''}, "
              f"{len(found)} runs: {len(found) - len(left)} arrived, {len(left)} not")
        if arguments.delete:
            _delete(runs, {info.run_id for info in left})
        return 1 if left or faults else 0
    finally:
        delivery.stop(1.0)
        outbox.close()
        catalog.close()
        record.close()


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
    from adb_lineage.errors import GiveUp

    run_ids: Dict[str, None] = {}
    events = faults = 0
    chunk: List[Dict[str, Any]] = []
    for where, event, fault in _events(path):
        if fault:
            faults += 1
            print(f"{where}: {fault}", file=sys.stderr)
            continue
        chunk.append(event)
        if len(chunk) == _CHUNK:
            run_ids.update(dict.fromkeys(outbox.extend(chunk, again=True)))
            events += len(chunk)
            chunk = []
    for event in chunk:
        try:
            run_ids.update(dict.fromkeys(outbox.extend([event], again=True)))
            events += 1
        except GiveUp as error:
            faults += 1
            print(f"{path}: {error}", file=sys.stderr)
    return events, faults, list(run_ids)


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
    import os
    from contextlib import suppress

    for path, run_ids in runs.items():
        if not left & set(run_ids):
            with suppress(OSError):
                os.remove(path)
