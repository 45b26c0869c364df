"""`adb-lineage translate`: OpenLineage events in, what they mean for the catalog out, with no catalog at hand."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from adb_lineage.arguments import (
    add_naming_arguments,
    print_json,
    read_metastore,
    read_mounts,
    read_rules,
    read_workspace,
)
from adb_lineage.assets import Asset
from adb_lineage.errors import SettingsError
from adb_lineage.translate import RunTranslation, TranslateOptions, translate_run

NAME = "translate"
HELP = "translate OpenLineage events, one JSON a line, and print one JSON object a run"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="file of events, or - for standard input")
    add_naming_arguments(parser)
    parser.add_argument("--prefer", choices=("location", "table"), default="location",
                        help="which asset stands for a dataset that has a path and a table name (default: location)")
    parser.add_argument("--include-one-sided", action="store_true",
                        help="give a process to runs that only read or only wrote, too")
    parser.add_argument("--include-failed", action="store_true", help="give a process to runs that failed, too")


def run(arguments: argparse.Namespace) -> int:
    """Print a run's translation as soon as all events are read; malformed lines are reported, never fatal."""
    options = TranslateOptions(
        workspace=read_workspace(arguments.workspace),
        metastore=read_metastore(arguments.metastore),
        mounts=read_mounts(arguments.mounts),
        rules=read_rules(arguments.rules),
        prefer=arguments.prefer,
        include_one_sided=arguments.include_one_sided,
        include_failed=arguments.include_failed,
    )
    runs, problems = group_runs(_lines(arguments.file))
    for events in runs.values():
        print_json(as_json(translate_run(events, options)))
    if problems:
        print_json({"runId": None, "entities": [], "skipped": problems})
    return 0


def _lines(file: str) -> Iterator[str]:
    """Lines of a file or of standard input. Raises `SettingsError` for a file that can't be read."""
    if file == "-":
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", "replace")
        return
    try:
        with Path(file).open(encoding="utf-8-sig", errors="replace") as lines:
            yield from lines
    except OSError as error:
        raise SettingsError(f"{file}: can't read the events: {error.strerror}") from None


def group_runs(lines: Iterable[str]) -> Tuple[Dict[str, List[Any]], List[Dict[str, str]]]:
    """Events by run id, in the order in which runs first appear, and what could not be read.

    Text before the first `{` of a line is passed over, as the accelerator did: its logs have a time there.
    """
    runs: Dict[str, List[Any]] = {}
    problems: List[Dict[str, str]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        start = line.find("{")
        try:
            if start < 0:
                raise ValueError("no JSON object in it")
            event = json.loads(line[start:].strip())
            run_id = event["run"]["runId"]
            if not isinstance(run_id, str) or not run_id:
                raise ValueError("run.runId is not a text")
        except (ValueError, RecursionError) as error:
            problems.append({"subject": f"line {number}", "reason": f"not an event: {error}"})
        except (LookupError, TypeError):
            problems.append({"subject": f"line {number}", "reason": "not a run event: it has no run.runId"})
        else:
            runs.setdefault(run_id, []).append(event)
    return runs, problems


def as_json(translation: RunTranslation) -> Dict[str, Any]:
    """A translation for a reader: dataset entities first, then the Databricks entities, the process last."""
    return {
        "runId": translation.run_id,
        "state": translation.state,
        "entities": [_dataset(asset) for asset in translation.assets] + translation.entities(),
        "skipped": [{"subject": skip.subject, "reason": skip.reason} for skip in translation.skipped],
    }


def _dataset(asset: Asset) -> Dict[str, Any]:
    return {
        "typeName": asset.name.type_name,
        "attributes": {"qualifiedName": asset.name.qualified_name, "name": asset.display_name, **asset.attributes},
    }
