"""`adb-lineage purge --written-by-us`: removes all that this product wrote into the catalog."""
from __future__ import annotations

import argparse

NAME = "purge"
HELP = "remove everything that this product wrote into the catalog"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--written-by-us", action="store_true", required=True, help="say that you mean it")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Plan, print the plan, and do it."""
    from adb_lineage.composition import catalog_from_settings
    from adb_lineage.purview.progress import Bar
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    bar = Bar("purging")
    with catalog_from_settings(Settings.load(file_config=file_config())) as catalog:
        try:
            plan = catalog.plan_purge(bar)
            if not arguments.dry_run:
                catalog.remove(plan, bar)
        finally:
            bar.close()
    for line in plan.lines():
        print(line)
    print(f"{'would remove' if arguments.dry_run else 'removed'} {len(plan.removals)}, kept {len(plan.kept)}")
    return 0
