"""Reads a file that another process appends lines to: rotation, truncation, partial lines, restarts of the reader."""
from __future__ import annotations

import contextlib
import glob
import json
import os
import zlib
from typing import BinaryIO, List, NamedTuple, Optional, Tuple

LINE_BYTES = 256 << 20
"""A longer line cannot be an event: it is passed over, with its position."""

_CHUNK = 1 << 20


class Position(NamedTuple):
    """A place in a file that may have been renamed since: its inode, a byte in it, and the line that ends there.

    `length` (with the line's end) and `checksum` tell the file from another one that got the inode, from one that was
    emptied and has grown again, and the copy of an emptied one from others; 0 means that no line is known.
    """

    inode: int
    offset: int
    length: int = 0
    checksum: int = 0


class Line(NamedTuple):
    """A line without its end, and where the next one begins. `text` is empty for one that was too long."""

    text: bytes
    after: Position


class Follower:
    """The lines of `path`, from where `commit` left off in `state_path`, else from the beginning.

    A file that is renamed (`path.1`, `path-2026…`), or copied and emptied (logrotate's `copytruncate`), is read to its
    end before the new one, also when that happened while nobody followed, as long as the old file or the copy lies
    beside the new one, not compressed. A line counts once its end is there; what an old file ends with counts too.
    Raises OSError only for a `state_path` that cannot be written.
    """

    def __init__(self, path: str, state_path: str) -> None:
        self.path = path
        self._state_path = state_path
        self._file: Optional[BinaryIO] = None
        self._place = Position(0, 0)
        self._rest = b""
        self._skipping = False
        self._looked: Tuple[int, int] = (0, 0)
        self._resume = self._load()

    def lines(self) -> List[Line]:
        """What has come since the last call, about a megabyte at most; [] when there is nothing new."""
        if self._file is None and not self._open_next():
            return []
        assert self._file is not None
        if self._emptied():
            self._resume = self._place  # what came since lies in a copy, or nowhere
            self.close()
            return []
        found = self._read()
        if found:
            return found
        if not self._replaced():
            return []
        found = self._read()  # what came between the read and the rename
        if found:
            return found
        self._resume = self._place
        last = []
        if self._rest.strip():
            self._resume = self._after(self._rest, end=0)
            last = [Line(self._rest, self._resume)]
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
                return Position(*map(int, json.load(stream)))
        except (OSError, ValueError, TypeError):
            return None

    def _open_next(self) -> bool:
        """The file where the last one ended: its successor by age, or the current one."""
        found = self._candidates()
        if not found:
            return False
        name, place = found[0], None
        if self._resume is not None:
            at = self._resumed(found)
            if at is None:
                name = found[-1]  # the one we were in is gone: what is left is the current one
            elif os.path.getsize(found[at]) > self._resume.offset or at + 1 == len(found):
                name, place = found[at], self._resume
            else:
                name = found[at + 1]
        self._file = open(name, "rb")  # noqa: SIM115  kept open across calls, and across a rename
        inode = os.fstat(self._file.fileno()).st_ino
        self._place = place._replace(inode=inode) if place else Position(inode, 0)
        self._file.seek(self._place.offset)
        self._rest, self._skipping, self._looked = b"", False, (0, 0)
        return True

    def _resumed(self, found: List[str]) -> Optional[int]:
        """Which of the files is the one that was left off in: by its inode, else, as a copy, by the line there."""
        assert self._resume is not None
        copies = []
        for number, name in enumerate(found):
            with contextlib.suppress(OSError), open(name, "rb") as file:
                status = os.fstat(file.fileno())
                if not _holds(file, self._resume, status.st_size):
                    continue
                if status.st_ino == self._resume.inode:
                    return number
                if self._resume.length:
                    copies.append(number)
        return copies[0] if copies else None

    def _candidates(self) -> List[str]:
        """`path` and the files it was renamed to, oldest first; compressed ones can't be read on."""
        aged = []
        for name in glob.glob(glob.escape(self.path) + "*"):
            if name.endswith((".gz", ".zip", ".zst", ".bz2", ".xz", ".tmp")) or not os.path.isfile(name):
                continue
            if name[len(self.path):][:1] not in ("", ".", "-", "_"):
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
            self._place = self._after(part, end=1)
            if self._skipping:
                self._skipping = False
                lines.append(Line(b"", self._place))
            elif part.strip():
                lines.append(Line(part, self._place))
        if len(self._rest) > LINE_BYTES:
            self._place = Position(self._place.inode, self._place.offset + len(self._rest))
            self._rest, self._skipping = b"", True
        return lines

    def _after(self, line: bytes, end: int) -> Position:
        """The position after a line that has `end` bytes of line end."""
        return Position(self._place.inode, self._place.offset + len(line) + end, len(line) + end, zlib.crc32(line))

    def _emptied(self) -> bool:
        """The file does not have any more what was read of it; it may have grown again meanwhile."""
        assert self._file is not None
        status = os.fstat(self._file.fileno())
        if self._looked == (status.st_size, status.st_mtime_ns):
            return False
        self._looked = (status.st_size, status.st_mtime_ns)
        rest = os.pread(self._file.fileno(), len(self._rest), self._place.offset)
        return rest != self._rest or not _holds(self._file, self._place, status.st_size)

    def _replaced(self) -> bool:
        """A newer file has taken the place of the one that is open."""
        if any(os.stat(name).st_ino == self._place.inode for name in self._candidates()[-1:]):
            return False
        return os.path.exists(self.path)


def _holds(file: BinaryIO, place: Position, size: int) -> bool:
    """Whether a file of `size` bytes has the line that ends at `place`, as it was."""
    if size < place.offset:
        return False
    line = os.pread(file.fileno(), place.length, place.offset - place.length) if place.length else b""
    return len(line) == place.length and (not line or place.checksum in (zlib.crc32(line), zlib.crc32(line[:-1])))
