"""`adb-lineage`: finds the commands in `adb_lineage.commands` and runs one."""
from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from typing import Optional, Sequence

from adb_lineage import commands
from adb_lineage._version import __version__
from adb_lineage.errors import AdbLineageError


def build_parser() -> argparse.ArgumentParser:
    """A parser with one sub-parser a command module."""
    parser = argparse.ArgumentParser(prog="adb-lineage", description="Spark lineage for Microsoft Purview")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for info in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{info.name}")
        subparser = subparsers.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.configure(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command; an `AdbLineageError` becomes one line on stderr and exit status 2."""
    arguments = build_parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except AdbLineageError as error:
        print(f"adb-lineage {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `adb-lineage … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
