"""`adb-lineage catalog serve`: the local Atlas v2 catalog and its page."""
from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from adb_lineage.errors import FixNeeded, SettingsError

NAME = "catalog"
HELP = "serve the local catalog, which speaks Purview's Atlas API, and its lineage page"
DEFAULT_DB = "adb-lineage-catalog.db"
DEFAULT_PORT = 21000
"""Apache Atlas' own port: its clients find it there by default."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    serve = actions.add_parser("serve", help="serve until Ctrl-C", description=HELP)
    serve.add_argument("--db", metavar="FILE", type=Path, default=Path(DEFAULT_DB),
                       help="SQLite file, made if missing (default: ./%(default)s)")
    serve.add_argument("--port", type=int, default=DEFAULT_PORT,
                       help="port on 127.0.0.1, 0 for any free one (default: %(default)s)")
    serve.add_argument("--profile", choices=("purview", "atlas"), default="purview",
                       help="behave like this server where the two differ (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print the URL on stdout and serve until a signal comes."""
    if not 0 <= arguments.port <= 65535:
        raise SettingsError(f"--port {arguments.port}: a port is a number from 0 to 65535")
    try:
        from adb_lineage.catalog import ATLAS, PURVIEW
        from adb_lineage.catalog.server import CatalogServer
    except ImportError as error:
        raise FixNeeded(
            f"the catalog needs {error.name}, which is not installed: python -m pip install 'adb_lineage[catalog]'"
        ) from None
    profile = {"purview": PURVIEW, "atlas": ATLAS}[arguments.profile]
    try:
        server = CatalogServer(arguments.db, arguments.port, profile=profile)
    except sqlite3.Error as error:
        raise FixNeeded(f"--db {arguments.db}: {error}; give a file in a folder that can be written to") from None
    except OSError as error:
        raise FixNeeded(f"--port {arguments.port}: {error.strerror}; give another port, or 0 for any") from None
    print(server.url, flush=True)
    print(f"page and API at {server.url}, database {server.catalog.path}; Ctrl-C ends it", file=sys.stderr)
    server.run()
    return 0
