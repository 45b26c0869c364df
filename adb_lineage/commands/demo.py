"""`adb-lineage demo`: a small lakehouse on local Spark, its lineage in a local catalog."""
from __future__ import annotations

import argparse
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from adb_lineage.errors import FixNeeded, SettingsError

NAME = "demo"
HELP = "run a small lakehouse on local Spark and show its lineage"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--serve", action="store_true", help="keep the catalog and its page open until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else there")
    parser.add_argument("--port", type=int, default=0, help="port of the catalog on 127.0.0.1 (default: any free one)")
    parser.add_argument("--dir", metavar="DIR", type=Path,
                        help="work folder: database, lake, logs (default: a new temporary one, which stays)")


def run(arguments: argparse.Namespace) -> int:
    """Progress on stderr, the lineage on stdout."""
    if not 0 <= arguments.port <= 65535:
        raise SettingsError(f"--port {arguments.port}: a port is a number from 0 to 65535")
    from adb_lineage.demo import demo

    demo.check_extras()
    from adb_lineage.catalog.server import serve_in_thread
    from adb_lineage.demo import report
    from adb_lineage.demo.workspace import Workspace

    workspace = Workspace(arguments.dir)
    progress = Progress(sys.stderr)
    try:
        server = serve_in_thread(workspace.database, arguments.port)
    except sqlite3.Error as error:
        raise FixNeeded(f"{workspace.database}: {error}; give another --dir") from None
    except OSError as error:
        raise FixNeeded(f"--port {arguments.port}: {error.strerror}; give another port, or 0 for any") from None
    with server, progress:
        progress(f"The local catalog answers on {server.url}.")
        result = demo.run(workspace, server.url, progress)
        progress("Done.")
        progress.end()
        if arguments.json:
            report.write_json(report.document(
                result.processes, database=str(workspace.database), log=str(workspace.log),
                seconds=round(result.seconds, 1), requests=result.requests), sys.stdout)
        else:
            report.write(report.tree(result.processes), sys.stdout)
            report.write(_closing(workspace.database, len(result.processes), result.seconds), sys.stdout)
        if arguments.serve:
            report.write(f"The lineage page: {server.url} (Ctrl-C ends it)", sys.stderr)
            server.wait()
        elif not arguments.json:
            report.write(f"To see it as a page: adb-lineage catalog serve --db {workspace.database}", sys.stdout)
    return 0


def _closing(database: Path, processes: int, seconds: float) -> str:
    return f"\n{processes} processes in {seconds:.0f} s. The catalog's database: {database}"


class Progress:
    """Lines with the seconds since the start; during long silence, that the last one is still being worked on."""

    SILENCE = 10.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._last = ""
        self._said = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._reassure, name="progress", daemon=True)

    def __call__(self, line: str) -> None:
        self._last = line
        self._said.set()
        self._print(line)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Say nothing any more."""
        self._over = True
        self._said.set()

    def _reassure(self) -> None:
        while not self._over:
            self._said.clear()
            if not self._said.wait(self.SILENCE):
                self._print(f"  still at: {self._last}")

    def _print(self, line: str) -> None:
        print(f"[{time.monotonic() - self._started:5.1f} s] {line}", file=self._stream, flush=True)
