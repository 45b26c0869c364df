"""`adb-lineage intake`: brings events of the OpenLineage Spark JAR to the catalog, from a file or over HTTP."""
from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any, List, Optional

NAME = "intake"
HELP = "take OpenLineage events of the Spark JAR from a file or an HTTP endpoint"
PORT = 5007
IDLE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--follow", metavar="FILE", help="read the lines that the JAR's file transport appends")
    source.add_argument("--listen", metavar="PORT", nargs="?", type=_port, const=PORT,
                        help=f"serve POST /api/v1/lineage on 127.0.0.1 (port {PORT})")
    parser.add_argument("--keep-alive", action="store_true", help="run as a child that is started again when it ends")
    parser.add_argument("--once", action="store_true", help="end when the file is read and all is delivered")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def run(arguments: argparse.Namespace) -> int:
    """Until SIGTERM; 3 when another intake has the same source, 2 for a folder, 1 for a port that is taken, and when
    `--once` could not deliver everything."""
    if arguments.keep_alive:
        return _keep_alive([word for word in sys.argv[1:] if word != "--keep-alive"])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return _serve(arguments, stop)


def _keep_alive(words: List[str]) -> int:
    """A child does the work: whatever ends it, the next one goes on where it was."""
    child: Optional[subprocess.Popen[bytes]] = None
    ending = threading.Event()

    def end(*_: Any) -> None:
        ending.set()
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGTERM, end)
    pause = 1.0
    while not ending.is_set():
        started = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "adb_lineage", *words])
        status = child.wait()
        if status in (0, 2, 3):  # done, settings that are wrong, another one has the source
            return status
        pause = 1.0 if time.monotonic() - started > LONGEST_PAUSE_SECONDS else min(pause * 2, LONGEST_PAUSE_SECONDS)
        print(f"adb-lineage intake: ended with {status}, again in {pause:.0f} s", file=sys.stderr, flush=True)
        ending.wait(pause)
    return 0


def _serve(arguments: argparse.Namespace, stop: threading.Event) -> int:
    from adb_lineage.composition import data_file
    from adb_lineage.databricks.follow import Follower
    from adb_lineage.databricks.intake import Intake, Listener, Twins
    from adb_lineage.errors import AdbLineageError
    from adb_lineage.settings import Settings
    from adb_lineage.transport import PurviewConfig, PurviewTransport, file_config

    settings = Settings.load(file_config=file_config())
    if arguments.follow and os.path.isdir(arguments.follow):
        print(f"adb-lineage intake: {arguments.follow} is a folder; name the file that the JAR's transport.location "
              "names", file=sys.stderr)
        return 2
    source = os.path.abspath(arguments.follow) if arguments.follow else f"port-{arguments.listen}"
    name = f"intake-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    with open(data_file(settings, f"{name}.lock"), "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"adb-lineage intake: another intake has {source}", file=sys.stderr)
            return 3
        path = source if arguments.follow else data_file(settings, f"{name}.jsonl")
        try:
            listener = None if arguments.follow else Listener(arguments.listen, path)
        except OSError as error:
            print(f"adb-lineage intake: port {arguments.listen} of 127.0.0.1: {error}; end what has it, or choose "
                  "another one, here and in spark.openlineage.transport.url", file=sys.stderr)
            return 1
        transport = PurviewTransport(PurviewConfig(settings))
        if listener:
            listener.start()
            print(f"adb-lineage intake: http://127.0.0.1:{listener.port}", file=sys.stderr, flush=True)
        pause = 1.0
        try:
            while not stop.is_set():
                follower = Follower(path, data_file(settings, f"{name}.json"))
                intake = Intake(transport.outbox.append, transport.record, Twins(transport.record.rows),
                                refused_path=data_file(settings, f"{name}.refused"))
                try:
                    _pump(follower, intake, stop, once=arguments.once)
                    break
                except (AdbLineageError, OSError) as error:  # a full disk, say: from the last commit on, once more
                    print(f"adb-lineage intake: {error}; again in {pause:.0f} s", file=sys.stderr, flush=True)
                    stop.wait(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                finally:
                    follower.close()
            return 0 if not arguments.once or transport.wait_for_completion() else 1
        finally:
            if listener:
                listener.close()
            transport.close()


def _pump(follower: Any, intake: Any, stop: threading.Event, *, once: bool) -> None:
    """Lines in, events out; a position is committed when nothing before it is held. The outbox takes repeats."""
    committed = None
    while not stop.is_set():
        lines = follower.lines()
        for line in lines:
            intake.take(line)
        position = intake.settle(everything=once and not lines)
        if position is not None and position != committed:
            follower.commit(position)
            committed = position
        if not lines:
            if once:
                return
            stop.wait(IDLE_SECONDS)
