"""`adb-lineage doctor`: checks the way to the catalog, and says what to do where it ends."""
from __future__ import annotations

import argparse
import json

NAME = "doctor"
HELP = "check settings, network, identity, rights and types; install the types that are lacking"
SIGNS = {"pass": "ok  ", "warn": "warn", "fail": "FAIL", "skip": "-   "}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object a check")


def run(arguments: argparse.Namespace) -> int:
    """Print each check as it is done; 1 when one failed."""
    from adb_lineage.composition import catalog_from_settings
    from adb_lineage.databricks.compute import recognise
    from adb_lineage.purview.doctor import FAIL, Check, Doctor
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    def say(check: Check) -> None:
        if arguments.json:
            print(json.dumps(check._asdict(), ensure_ascii=False), flush=True)
            return
        print(f"{SIGNS[check.outcome]} {check.name:<10} {check.found}", flush=True)
        if check.mend:
            print(f"{'':<15} -> {check.mend}", flush=True)

    compute = recognise()
    say(Check("compute", "pass" if compute.possible else "warn", compute.words(), ""))
    with catalog_from_settings(Settings.load(file_config=file_config())) as catalog:
        checks = Doctor(catalog).examine(say)
    return 1 if any(check.outcome == FAIL for check in checks) else 0
