"""Takes OpenLineage events that somebody else made (the Spark JAR, 0.18 to today) to the same outbox as our own.

    Intake      lines in, events out to `append`; decides about runs that our own capture has as well
    Listener    an HTTP endpoint on this machine that stores what it gets as lines, for `Follower`

A run counts as captured twice when both routes saw the same execution end in the same millisecond and name a common
output (or both none): the JAR's run id is random and it tells no execution id, but both take the time from the same
Spark event. Our own run is kept, as it knows more; the JAR's is recorded as skipped.
"""
from __future__ import annotations

import datetime
import gzip
import http.server
import io
import json
import os
import re
import threading
import time
import zlib
from collections import OrderedDict
from typing import Any, BinaryIO, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Protocol, Set, Tuple

from adb_lineage.databricks.follow import Line, Position
from adb_lineage.errors import GiveUp

HOLD_SECONDS = 5.0
"""How long a finished run of the JAR waits for its twin, where our own capture is active on the same driver."""

UNFINISHED_SECONDS = 60.0
"""How long the events of an unfinished run are kept together before they go on."""

ROUTE = "openlineage"
_TERMINAL = frozenset(("COMPLETE", "FAIL", "ABORT"))
_DECIDED_RUNS = 10_000
_BODY_BYTES = 256 << 20
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)

Datasets = FrozenSet[Tuple[str, str]]


class OwnRun(NamedTuple):
    """A run of our own capture: when it ended (epoch milliseconds), and its outputs as (namespace, name)."""

    run_id: str
    ended: int
    outputs: Datasets


class Notes(Protocol):
    """The record of what became of every query."""

    def note(self, run_id: str, **facts: Any) -> None:
        """Merge facts into the row of a run."""


class Twins:
    """Our own newest runs, from the record. `rows` is `Record.rows`, asked at most once a second."""

    def __init__(self, rows: Callable[[int], List[Dict[str, Any]]],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._rows = rows
        self._clock = clock
        self._asked: Optional[float] = None
        self._own: List[OwnRun] = []

    def active(self) -> bool:
        """Whether our own capture has anything on this driver."""
        return bool(self._newest())

    def of(self, ended: int, outputs: Datasets) -> Optional[OwnRun]:
        """The run of our own capture that is the same execution."""
        for own in self._newest():
            if own.ended == ended and (own.outputs & outputs or not (own.outputs or outputs)):
                return own
        return None

    def _newest(self) -> List[OwnRun]:
        if self._asked is None or self._clock() - self._asked >= 1:
            self._asked = self._clock()
            self._own = [
                OwnRun(str(row["run_id"]), ended, frozenset(_key(*one) for one in row.get("outputs") or []))
                for row in self._rows(500) if row.get("capture") == "captured" and row.get("route") != ROUTE
                for ended in [milliseconds(row.get("when"))] if ended is not None]
        return self._own


class _Run:
    """The events of one run that wait for a decision."""

    def __init__(self, now: float, before: Position) -> None:
        self.since = now
        self.before = before
        self.events: List[Mapping[str, Any]] = []
        self.ended: Optional[float] = None


class Intake:
    """Events of another producer on their way to the outbox.

    `append` stores one event durably (`Outbox.append`), `record` and `twins` are ours to look into and to write to.
    Counters: `events`, `runs`, `twins`, `refused`, `mended` (lines that began with the rest of a torn one).
    """

    def __init__(self, append: Callable[[Mapping[str, Any]], None], record: Notes, twins: Twins, *,
                 refused_path: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._append = append
        self._record = record
        self._twins = twins
        self._refused_path = refused_path
        self._clock = clock
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._decided: OrderedDict[str, bool] = OrderedDict()
        self._position: Optional[Position] = None
        self.counters = {"events": 0, "runs": 0, "twins": 0, "refused": 0, "mended": 0}

    def take(self, line: Line) -> None:
        """Take a line of JSON: an event, or a list of them. A line that is neither is set aside."""
        # of a line without an end, which ends its file, one byte too early: the end of the line before
        before = self._position or Position(line.after.inode, max(0, line.after.offset - len(line.text) - 1))
        self._position = line.after
        events = self._parse(line.text)
        if not events:
            return
        for event in events:
            self._take_event(event, before)

    def settle(self, everything: bool = False) -> Optional[Position]:
        """Send on what need not wait any longer; the answer is the position before which nothing is held here.

        None when nothing was taken yet. Raises what `append` raises except GiveUp; the run is then kept.
        """
        now = self._clock()
        for run_id, run in list(self._runs.items()):
            if everything or (run.ended is not None and now - run.ended >= HOLD_SECONDS) or \
                    now - run.since >= UNFINISHED_SECONDS:
                self._send(run_id, run)
                del self._runs[run_id]
        return next((run.before for run in self._runs.values()), self._position)

    def _take_event(self, event: Mapping[str, Any], before: Position) -> None:
        run_id = _run_id(event)
        decided = self._decided.get(run_id)
        if decided is None and run_id and self._twins.active():
            run = self._runs.setdefault(run_id, _Run(self._clock(), before))
            run.events.append(event)
            if str(event.get("eventType")).upper() in _TERMINAL:
                run.ended = self._clock()
            return
        if decided is not False:
            self._store(run_id, [event])

    def _send(self, run_id: str, run: _Run) -> None:
        ended = [time_ for time_ in (milliseconds(event.get("eventTime")) for event in run.events) if time_ is not None]
        twin = self._twins.of(max(ended), _outputs(run.events)) if ended and run.ended is not None else None
        if twin is None:
            self._store(run_id, run.events)
            return
        self._decide(run_id, False)
        self.counters["twins"] += 1
        self._record.note(run_id, route=ROUTE, capture="skipped", twin=twin.run_id,
                          reason="the same run was captured by adb_lineage itself")

    def _store(self, run_id: str, events: List[Mapping[str, Any]]) -> None:
        for event in events:
            try:
                self._append(event)
            except GiveUp as error:
                self._refuse(json.dumps(event).encode(), str(error))
                continue
            self.counters["events"] += 1
        if not run_id:
            return
        if self._decided.get(run_id) is None:
            self.counters["runs"] += 1
        self._decide(run_id, True)
        last = events[-1]
        if str(last.get("eventType")).upper() in _TERMINAL:
            self._record.note(run_id, route=ROUTE, capture="captured", when=str(last.get("eventTime") or ""),
                              job=str(_get(last, "job", "name") or ""), outputs=sorted(_outputs(events)))

    def _decide(self, run_id: str, keep: bool) -> None:
        self._decided[run_id] = keep
        self._decided.move_to_end(run_id)
        if len(self._decided) > _DECIDED_RUNS:
            self._decided.popitem(last=False)

    def _parse(self, text: bytes) -> List[Mapping[str, Any]]:
        try:
            found = json.loads(text.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            found = self._mend(text)
        events = found if isinstance(found, list) else [found]
        good: List[Mapping[str, Any]] = []
        for event in events:
            if isinstance(event, dict) and ("eventTime" in event or "run" in event) and _is_text(_run_id(event)):
                good.append(event)
            else:
                self._refuse(text, "not an OpenLineage event")
        return good

    def _mend(self, text: bytes) -> Any:
        """The event after a torn one: a writer that dies leaves half a line, and its successor goes on behind it."""
        tried = 0
        for match in re.finditer(rb'\{\s*"', text[1:]):
            tried += 1
            if tried > 200:
                return None
            try:
                found = json.loads(text[1 + match.start():].decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict) and "eventTime" in found and "run" in found:
                self.counters["mended"] += 1
                self._refuse(text[:1 + match.start()], "the rest of a torn line")
                return found
        return None

    def _refuse(self, text: bytes, why: str) -> None:
        self.counters["refused"] += 1
        if not self._refused_path:
            return
        try:
            if os.path.exists(self._refused_path) and os.path.getsize(self._refused_path) > (16 << 20):
                os.replace(self._refused_path, f"{self._refused_path}.1")
            with open(self._refused_path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"why": why, "text": text[: 1 << 20].decode("utf-8", "replace")}) + "\n")
        except OSError:
            self.counters["refused_lost"] = self.counters.get("refused_lost", 0) + 1


class Listener:
    """`POST /api/v1/lineage` (and below) on 127.0.0.1; an event is in `path` when the answer goes out.

    Takes one event or a list, plain or gzip. `path` is renamed to `path.1` when it has more than `bytes_`; the file
    before that is gone then, read or not: it held `bytes_` that nobody had read.
    """

    def __init__(self, port: int, path: str, *, bytes_: int = 256 << 20) -> None:
        self._path = path
        self._bytes = bytes_
        self._lock = threading.Lock()
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
                return

            def do_GET(self) -> None:  # noqa: N802
                self._answer(200, b'{"status": "up"}')

            def do_POST(self) -> None:  # noqa: N802
                status, text = listener._post(self.headers, self.rfile)
                if status >= 400:
                    self.close_connection = True  # the body may not have been read
                self._answer(status, json.dumps({"message": text}).encode())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="adb_lineage-listen", daemon=True)

    def start(self) -> None:
        """Serve, on a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _post(self, headers: Any, body: Any) -> Tuple[int, str]:
        try:
            data = _body(headers, body)
            if (headers.get("Content-Encoding") or "").lower() == "gzip":
                data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_BODY_BYTES + 1)
            if not 0 < len(data) <= _BODY_BYTES:
                raise _Refused(413, f"an event has 1 to {_BODY_BYTES} bytes")
            found = json.loads(data)
        except _Refused as refused:
            return refused.status, str(refused)
        except (ValueError, OSError, EOFError, zlib.error, RecursionError) as error:
            return 400, f"not JSON: {error}"
        events = found if isinstance(found, list) else [found]
        if not all(isinstance(event, dict) for event in events):
            return 400, "an OpenLineage event is a JSON object"
        try:
            self._write("".join(json.dumps(event) + "\n" for event in events).encode())
        except OSError as error:
            return 503, f"not stored: {error}"
        return 201, "stored"

    def _write(self, data: bytes) -> None:
        with self._lock:
            if os.path.exists(self._path) and os.path.getsize(self._path) > self._bytes:
                os.replace(self._path, f"{self._path}.1")
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                while data:
                    data = data[os.write(descriptor, data):]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away without waiting for its answer: the base class prints a traceback of it."""


class _Refused(Exception):
    """What an HTTP client is told about a request that cannot be read."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _body(headers: Any, stream: BinaryIO) -> bytes:
    """The body of a request as it came; in chunks is how the JAR sends what it compresses. Raises _Refused."""
    if "chunked" not in (headers.get("Transfer-Encoding") or "").lower():
        length = headers.get("Content-Length") or ""
        if not length.isdigit():
            raise _Refused(411, "Content-Length is needed, or a Transfer-Encoding of chunked")
        if int(length) > _BODY_BYTES:
            raise _Refused(413, f"an event has 1 to {_BODY_BYTES} bytes, this one {length}")
        return stream.read(int(length))
    parts: List[bytes] = []
    whole = 0
    while True:
        size = stream.readline(100).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
            raise _Refused(400, "not a chunk")
        whole += int(size, 16)
        if whole > _BODY_BYTES:
            raise _Refused(413, f"an event has 1 to {_BODY_BYTES} bytes")
        if int(size, 16) == 0:
            while stream.readline(65537).strip():  # trailers
                pass
            return b"".join(parts)
        parts.append(stream.read(int(size, 16)))
        stream.readline(3)


def milliseconds(text: Any) -> Optional[int]:
    """Epoch milliseconds of an ISO time with any number of fractional digits; without an offset it is UTC."""
    match = _TIME.match(text) if isinstance(text, str) else None
    if not match:
        return None
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        seconds = datetime.datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except ValueError:
        return None
    return int(round(seconds)) * 1000 + int(((fraction or "") + "000")[:3])


def _outputs(events: List[Mapping[str, Any]]) -> Datasets:
    found: Set[Tuple[str, str]] = set()
    for event in events:
        outputs = event.get("outputs")
        for one in outputs if isinstance(outputs, list) else []:
            if isinstance(one, dict):
                found.add(_key(one.get("namespace"), one.get("name")))
    return frozenset(found)


def _key(namespace: Any, name: Any) -> Tuple[str, str]:
    return str(namespace or "").rstrip("/"), str(name or "").strip("/")


def _run_id(event: Mapping[str, Any]) -> str:
    return str(_get(event, "run", "runId") or "")


def _is_text(text: str) -> bool:
    """JSON may escape half a character, which no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _get(event: Mapping[str, Any], *path: str) -> Any:
    value: Any = event
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
