"""`adb-lineage settings`: each setting, its value, where it came from and what it means."""
from __future__ import annotations

import argparse
import json

from adb_lineage.settings import Settings
from adb_lineage.transport import file_config

NAME = "settings"
HELP = "show every setting with its value and source, secrets masked"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="one JSON object: name to value and source")


def run(arguments: argparse.Namespace) -> int:
    """Print the merged settings of this process."""
    rows = Settings.load(file_config=file_config()).rows()
    if arguments.json:
        print(json.dumps({row.name: {"value": row.shown, "source": row.source} for row in rows}, indent=2))
        return 0
    width = max(len(row.name) for row in rows)
    for row in rows:
        value = "-" if row.shown in ("", None) else row.shown
        print(f"{row.name:<{width}}  {value!s:<24}  {row.source:<17}  {row.text}")
    return 0
