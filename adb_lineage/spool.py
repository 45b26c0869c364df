"""A folder that outlives the driver (a Volume, DBFS, any mounted path) for events that could not be delivered.

Each file holds OpenLineage events, one JSON object a line. Cloud folders know neither appending nor locks: a file is
written once, front to back, under another name, and then renamed; a reader claims it by renaming it.

    <stamp>-<driver>-<number>.ndjson.part         is being written; an hour later, what a killed driver left
    <stamp>-<driver>-<number>.ndjson              waits for somebody to deliver it
    <stamp>-<driver>-<number>.ndjson.claimed-<s>  somebody is at it since epoch second s; free again after an hour
    <stamp>-<driver>-<number>.dead.ndjson         the catalog refused it: only `adb-lineage replay FILE` reads it
"""
from __future__ import annotations

import calendar
import contextlib
import json
import os
import re
import time
import uuid
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple

_CLAIM_SECONDS = 3600.0
_STAMP = "%Y%m%dT%H%M%S"
_WAITING = re.compile(r"(?P<base>.+(?<!\.dead)\.ndjson)(?:\.claimed-(?P<since>\d+))?$")
_DEAD = ".dead.ndjson"
_PART = ".part"
_BEGUN = re.compile(r"(?P<stamp>\d{8}T\d{6})-.+\.ndjson\.part$")


class Line(NamedTuple):
    """One line of a spool: its event, or why it has none."""

    number: int
    text: str
    event: Dict[str, Any]
    fault: str


class Spool:
    """The files of `folder`, which may be spelled `dbfs:/…`. All methods raise OSError when it can't be used."""

    def __init__(self, folder: str, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = local_path(folder)
        self._clock = clock
        self._driver = uuid.uuid4().hex[:12]
        self._written = 0

    def write(self, events: Iterable[Mapping[str, Any]], *, dead: bool = False) -> str:
        """Write the events into a new file, mode 0600; its path. The file is there as a whole or not at all."""
        os.makedirs(self.folder, exist_ok=True)
        self._written += 1
        stamp = time.strftime(_STAMP, time.gmtime(self._clock()))
        ending = _DEAD if dead else ".ndjson"
        path = os.path.join(self.folder, f"{stamp}-{self._driver}-{self._written}{ending}")
        self._write(path, map(line_of, events))
        return path

    def keep_faulty(self, path: str, lines: Iterable[str]) -> str:
        """Put lines of a claimed file that are no events into a file of their own, `….faulty`, for a person to read."""
        match = _WAITING.match(os.path.basename(path))
        base = match.group("base") if match else os.path.basename(path)
        target = os.path.join(self.folder, f"{base}.faulty")
        self._write(target, lines)
        return target

    def _write(self, path: str, lines: Iterable[str]) -> None:
        with contextlib.suppress(FileNotFoundError):  # what a driver that was killed left of the same work
            os.remove(path + _PART)
        try:
            descriptor = os.open(path + _PART, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                for line in lines:
                    file.write(line.rstrip("\n") + "\n")
                file.flush()
                with contextlib.suppress(OSError):  # some mounted folders know no fsync; closing uploads the file there
                    os.fsync(file.fileno())
            os.replace(path + _PART, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(path + _PART)
            raise

    def claim(self) -> Iterator[str]:
        """Take the waiting files of others, oldest first, each by renaming it; the new paths."""
        for name in self._names():
            whole = name[:-len(_PART)] if _is_left(name, self._clock()) else name
            match = _WAITING.match(whole)
            if f"-{self._driver}-" in name or match is None and whole == name:
                continue
            if match is None:  # dead letters, for a person
                with contextlib.suppress(FileNotFoundError):
                    self._rename(name, whole)
                continue
            if match.group("since") and abs(self._clock() - int(match.group("since"))) < _CLAIM_SECONDS:
                continue
            with contextlib.suppress(FileNotFoundError):  # another driver was faster
                yield self._rename(name, f"{match.group('base')}.claimed-{int(self._clock())}")

    def missing(self, paths: Iterable[str]) -> List[str]:
        """Those of these files that are no longer there: removed, or, of claimed ones, taken over by another driver.

        One that we wrote is there, too, while another driver has claimed it.
        """
        names = self._names()
        bases = {match.group("base") for match in map(_WAITING.match, names) if match}
        known = {*names, *bases}
        return [path for path in paths if os.path.basename(path) not in known]

    def renew(self, path: str) -> str:
        """Say that we are still at a claimed file, when half of its hour has gone; its path from now on."""
        match = _WAITING.match(os.path.basename(path))
        if match is None or not match.group("since"):
            return path
        if abs(self._clock() - int(match.group("since"))) < _CLAIM_SECONDS / 2:
            return path
        with contextlib.suppress(FileNotFoundError):  # `missing` tells it the next time
            return self._rename(os.path.basename(path), f"{match.group('base')}.claimed-{int(self._clock())}")
        return path

    def unclaim(self, path: str) -> None:
        """Leave a claimed file to others."""
        match = _WAITING.match(os.path.basename(path))
        if match is not None and match.group("since"):
            with contextlib.suppress(FileNotFoundError):
                self._rename(os.path.basename(path), match.group("base"))

    def remove(self, path: str) -> None:
        """Remove a file whose events have all arrived; no error if it is gone."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)

    def _names(self) -> List[str]:
        try:
            return sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []

    def _rename(self, name: str, new_name: str) -> str:
        target = os.path.join(self.folder, new_name)
        os.replace(os.path.join(self.folder, name), target)
        return target


def line_of(event: Mapping[str, Any]) -> str:
    """An event as a line of a spool."""
    return json.dumps(event, separators=(",", ":"))


def is_dead_letter(path: str) -> bool:
    """Whether a file holds what the catalog refused."""
    return path.endswith(_DEAD)


def local_path(folder: str) -> str:
    """How a driver's file system calls a Databricks path: volumes under /Volumes, all else of DBFS under /dbfs."""
    if not folder.startswith("dbfs:/"):
        return folder
    rest = "/" + folder[len("dbfs:/"):].lstrip("/")
    return rest if rest.startswith("/Volumes/") else f"/dbfs{rest}"


def _is_left(name: str, now: float) -> bool:
    """Whether a file that was being written never will be: its lines are whole, but for the last one."""
    match = _BEGUN.match(name)
    try:
        return match is not None and now - calendar.timegm(time.strptime(match["stamp"], _STAMP)) > _CLAIM_SECONDS
    except ValueError:  # no name of ours
        return False


def files(path: str) -> List[str]:
    """The spool files below a path that an operator names: itself, or all that wait in the folder, claimed or not.

    What a killed driver had begun to write is among them. Raises OSError for a path that is not there.
    """
    if not os.path.isdir(path):
        os.stat(path)
        return [path]
    return [os.path.join(path, name) for name in sorted(os.listdir(path))
            if _WAITING.match(name) or _is_left(name, time.time())]


def read(path: str) -> Iterator[Line]:
    """The lines of a file in turn, empty ones left out; a damaged line (a torn end) has a `fault` and no event."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                event = json.loads(text)
            except (ValueError, RecursionError) as error:  # RecursionError: a thousand brackets, say
                yield Line(number, text, {}, f"no JSON: {error}")
                continue
            if isinstance(event, dict):
                yield Line(number, text, event, "")
            else:
                yield Line(number, text, {}, f"a JSON {type(event).__name__}, not an object")
