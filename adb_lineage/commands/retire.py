"""`adb-lineage retire`: removes edges that have not run for a while."""
from __future__ import annotations

import argparse
import re

from adb_lineage.errors import SettingsError

NAME = "retire"
HELP = "remove lineage that no run has asked for since"
UNITS = {"h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--unseen", required=True, metavar="TIME", help="a number with h, d or w: 90d")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")


def seconds(text: str) -> float:
    """`90d` in seconds. Raises SettingsError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", text.strip())
    if not match or float(match.group(1)) <= 0:
        raise SettingsError(f"--unseen: {text!r} is not a time; allowed: a number above 0 with h, d or w, like 90d")
    return float(match.group(1)) * UNITS[match.group(2)]


def run(arguments: argparse.Namespace) -> int:
    """Plan, print the plan, and do it."""
    from adb_lineage.composition import catalog_from_settings
    from adb_lineage.purview.progress import Bar
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    unseen = seconds(arguments.unseen)
    bar = Bar("retiring")
    with catalog_from_settings(Settings.load(file_config=file_config())) as catalog:
        try:
            plan = catalog.plan_retire(unseen, bar)
            if not arguments.dry_run:
                catalog.remove(plan, bar)
        finally:
            bar.close()
    for line in plan.lines():
        print(line)
    print(f"{'would remove' if arguments.dry_run else 'removed'} {len(plan.removals)}, kept {len(plan.kept)}")
    return 0
