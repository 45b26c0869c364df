"""Reads a file that another process appends lines to: rotation, truncation, partial lines, restarts of the reader."""
from __future__ import annotations

import contextlib
import glob
import json
import os
from typing import BinaryIO, List, NamedTuple, Optional

LINE_BYTES = 256 << 20
"""A longer line cannot be an event: it is passed over, with its position."""

_CHUNK = 1 << 20


class Position(NamedTuple):
    """A place in a file that may have been renamed since: its inode, and a byte in it."""

    inode: int
    offset: int


class Line(NamedTuple):
    """A line without its end, and where the next one begins. `text` is empty for one that was too long."""

    text: bytes
    after: Position


class Follower:
    """The lines of `path`, from where `commit` left off in `state_path`, else from the beginning.

    A file that is renamed (`path.1`, `path-2026…`) is read to its end before the new one, also when the rename happened
    while nobody followed, as long as the old file lies beside the new one. A line counts once its end is there; what
    an old file ends with counts too. Raises OSError only for a `state_path` that cannot be written.
    """

    def __init__(self, path: str, state_path: str) -> None:
        self.path = path
        self._state_path = state_path
        self._file: Optional[BinaryIO] = None
        self._inode = 0
        self._offset = 0
        self._rest = b""
        self._skipping = False
        self._resume = self._load()

    def lines(self) -> List[Line]:
        """What has come since the last call, about a megabyte at most; [] when there is nothing new."""
        if self._file is None and not self._open_next():
            return []
        found = self._read()
        if found:
            return found
        assert self._file is not None
        if self._truncated():
            self._file.seek(0)
            self._offset, self._rest, self._skipping = 0, b"", False
            return []
        if not self._replaced():
            return []
        found = self._read()  # what came between the read and the rename
        if found:
            return found
        self._resume = Position(self._inode, self._offset + len(self._rest))
        last = [Line(self._rest, self._resume)] if self._rest.strip() else []
        self.close()
        self._open_next()
        return last

    def commit(self, position: Position) -> None:
        """Everything before `position` is stored elsewhere; a later follower begins there."""
        temporary = f"{self._state_path}.new"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(position, stream)
        os.replace(temporary, self._state_path)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _load(self) -> Optional[Position]:
        try:
            with open(self._state_path, encoding="utf-8") as stream:
                inode, offset = json.load(stream)
            return Position(int(inode), int(offset))
        except (OSError, ValueError, TypeError):
            return None

    def _open_next(self) -> bool:
        """The file where the last one ended: its successor by age, or the current one."""
        found = self._candidates()
        if not found:
            return False
        name, offset = found[0], 0
        if self._resume is not None:
            inodes = [os.stat(one).st_ino for one in found]
            if self._resume.inode in inodes:
                place = inodes.index(self._resume.inode)
                if os.path.getsize(found[place]) > self._resume.offset or place + 1 == len(found):
                    name, offset = found[place], self._resume.offset
                else:
                    name = found[place + 1]
            else:
                name = found[-1]  # the one we were in is gone: what is left is the current one
        file = open(name, "rb")  # noqa: SIM115  kept open across calls, and across a rename
        self._file = file
        self._inode = os.fstat(file.fileno()).st_ino
        self._offset = offset if offset <= os.fstat(file.fileno()).st_size else 0
        file.seek(self._offset)
        self._rest, self._skipping = b"", False
        return True

    def _candidates(self) -> List[str]:
        """`path` and the files it was renamed to, oldest first; compressed ones can't be read on."""
        aged = []
        for name in glob.glob(glob.escape(self.path) + "*"):
            if name.endswith((".gz", ".zip", ".zst", ".bz2", ".xz", ".tmp")):
                continue
            with contextlib.suppress(OSError):
                status = os.stat(name)
                aged.append((name == self.path, status.st_mtime_ns, name))
        return [name for _, _, name in sorted(aged)]

    def _read(self) -> List[Line]:
        """The next lines, or [] at the end of the file."""
        assert self._file is not None
        while True:
            chunk = self._file.read(_CHUNK)
            found = self._split(chunk) if chunk else []
            if found or not chunk:
                return found

    def _split(self, chunk: bytes) -> List[Line]:
        lines = []
        parts = (self._rest + chunk).split(b"\n")
        self._rest = parts.pop()
        for part in parts:
            self._offset += len(part) + 1
            position = Position(self._inode, self._offset)
            if self._skipping:
                self._skipping = False
                lines.append(Line(b"", position))
            elif part.strip():
                lines.append(Line(part, position))
        if len(self._rest) > LINE_BYTES:
            self._offset += len(self._rest)
            self._rest, self._skipping = b"", True
        return lines

    def _truncated(self) -> bool:
        assert self._file is not None
        return os.fstat(self._file.fileno()).st_size < self._offset + len(self._rest)

    def _replaced(self) -> bool:
        """A newer file has taken the place of the one that is open."""
        if any(os.stat(name).st_ino == self._inode for name in self._candidates()[-1:]):
            return False
        return os.path.exists(self.path)
