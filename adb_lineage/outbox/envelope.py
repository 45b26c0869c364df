"""What the outbox reads of an OpenLineage event: its run, its type, its time; and how it keeps the rest."""
from __future__ import annotations

import datetime
import hashlib
import json
import re
import sys
import zlib
from typing import Any, Dict, Mapping, NamedTuple, Optional

from adb_lineage.database import storable
from adb_lineage.errors import GiveUp
from adb_lineage.outbox.shorten import PARTS, shorten, tried

TERMINAL = frozenset({"COMPLETE", "FAIL", "ABORT"})
"""Event types after which a run is over (https://openlineage.io/docs/spec/run-cycle); letter case is not trusted."""

_RUN_ID_CHARACTERS = 256
_PLAIN, _ZLIB = b"j", b"z"
_COMPRESS_FROM = 512
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?(?:\[[^\]]*\])?$", re.IGNORECASE
)


class Envelope(NamedTuple):
    """One event, ready to be stored. `size` is the length of its JSON in bytes, `time` its eventTime (epoch s)."""

    run_id: str
    kind: str
    terminal: bool
    time: Optional[float]
    digest: bytes
    size: int
    body: bytes
    shortened: int


def seal(event: Mapping[str, Any], limit: int = sys.maxsize) -> Envelope:
    """The event as it is stored, shortened where it has more than `limit` bytes there.

    Raises GiveUp for what is not a JSON object, and for what is longer than that without its dispensable parts.
    An event without a run (OpenLineage's job and dataset events) is a run of its own, over at once.
    """
    if not isinstance(event, Mapping):
        raise GiveUp(f"an OpenLineage event is a JSON object, this is a {type(event).__name__}")
    try:
        text = _encode(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise GiveUp(f"the event can't be written as JSON: {error}") from error
    digest = hashlib.blake2b(text, digest_size=16).digest()
    run = event.get("run")
    run_id = run.get("runId") if isinstance(run, Mapping) else None
    kind = str(event.get("eventType") or "").upper()
    if run_id in (None, ""):
        run_id, terminal = f"event-{digest.hex()}", True
    else:
        terminal = kind in TERMINAL
    body = pack(text)
    shortened = 0
    while len(body) > limit:
        if tried(shortened) == len(PARTS):
            raise GiveUp(f"an event of {len(text)} bytes is too long for this outbox, even without plan and columns")
        shorter = json.loads(text)
        shortened = shorten(shorter, shortened)
        text = _encode(shorter)
        body = pack(text)
    return Envelope(
        run_id=storable(str(run_id))[:_RUN_ID_CHARACTERS],
        kind=kind,
        terminal=terminal,
        time=event_time(event.get("eventTime")),
        digest=digest,
        size=len(text),
        body=body,
        shortened=shortened,
    )


def repack(event: Mapping[str, Any]) -> bytes:
    """The body of an event that has been shortened."""
    return pack(_encode(event))


def pack(text: bytes) -> bytes:
    """JSON text as it lies in the file."""
    return _ZLIB + zlib.compress(text, 1) if len(text) >= _COMPRESS_FROM else _PLAIN + text


def _encode(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode("ascii")


def unseal(body: bytes) -> Dict[str, Any]:
    """The event in a stored body. Raises ValueError when the body is damaged."""
    try:
        text = zlib.decompress(body[1:]) if body[:1] == _ZLIB else body[1:]
    except zlib.error as error:
        raise ValueError(f"a stored event is damaged: {error}") from error
    try:
        event = json.loads(text)
    except RecursionError as error:  # it was stored from a place with a shorter stack
        raise ValueError(f"a stored event is nested too deeply to be read: {error}") from error
    if not isinstance(event, dict):
        raise ValueError("a stored event is damaged: it is no JSON object")
    return event


def event_time(text: Any) -> Optional[float]:
    """Epoch seconds of an ISO 8601 time, with or without zone (then UTC) and with any number of decimals."""
    match = _TIME.match(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    fraction, zone = match.group(7) or "0", (match.group(8) or "Z").upper()
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
    offset = 0
    if zone != "Z":
        offset = (int(zone[1:3]) * 60 + int(zone[-2:])) * 60 * (-1 if zone[0] == "-" else 1)
    return moment.timestamp() - offset + float(f"0.{fraction}")
