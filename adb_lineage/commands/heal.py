"""`adb-lineage heal`: moves edges from stand-ins to assets that a scan has brought meanwhile."""
from __future__ import annotations

import argparse

NAME = "heal"
HELP = "move edges from placeholders to the assets that a scan has brought, and remove the orphans"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Plan, print the plan, and do it."""
    from adb_lineage.composition import catalog_from_settings
    from adb_lineage.purview.progress import Bar
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    bar = Bar("healing")
    with catalog_from_settings(Settings.load(file_config=file_config())) as catalog:
        plan = catalog.plan_heal()
        if not arguments.dry_run:
            try:
                catalog.heal(plan, bar)
            finally:
                bar.close()
    for line in plan.lines():
        print(line)
    print(f"{'would move' if arguments.dry_run else 'moved'} {len(plan.moves)}, "
          f"{'would remove' if arguments.dry_run else 'removed'} {len(plan.removals)}, kept {len(plan.kept)}")
    return 1 if plan.problems else 0
