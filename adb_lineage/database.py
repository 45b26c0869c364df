"""A private SQLite file of this product: mode 0600, WAL, several processes, harmless when it is broken.

Used by the outbox and by the record. Facts: https://www.sqlite.org/wal.html, https://www.sqlite.org/howtocorrupt.html
(section 2.6: a connection must not be carried across a fork).
"""
from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import sqlite3
import threading
import time
from typing import Callable, List, Optional, Tuple, TypeVar

Result = TypeVar("Result")

MEMORY = ":memory:"
SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
_COMPANIONS = ("", "-wal", "-shm")
_ASIDE_KEPT = 3


class Database:
    """One SQLite file, opened at the first use.

    `run` is the only way in: it hands a connection to a function, inside a transaction. A file that SQLite calls
    malformed, or that has another layout version, is renamed to `<path>.corrupt-<UTC time>` and a new one is begun;
    `set_aside` then tells where the old one went. A file that somebody removed or replaced is opened anew.

    All methods are safe to call from several threads, and in a forked child (which opens the file for itself).
    """

    def __init__(
        self,
        path: str,
        schema: str,
        version: int,
        *,
        synchronous: str = "FULL",
        busy_seconds: float = 5.0,
        checkpoints: bool = True,
    ) -> None:
        """Without `checkpoints` that is left to the other connections of the file: one with synchronous=OFF would
        empty the log without a flush, and with it what others had flushed (https://www.sqlite.org/wal.html, 2.2)."""
        if synchronous not in SYNCHRONOUS:
            raise ValueError(f"synchronous is {synchronous!r}; allowed are {', '.join(SYNCHRONOUS)}")
        self.path = path
        self.set_aside: Optional[str] = None
        self._schema = schema
        self._version = version
        self._synchronous = synchronous
        self._busy_seconds = busy_seconds
        self._checkpoints = checkpoints
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._connection: Optional[sqlite3.Connection] = None
        self._inode = 0

    def run(self, work: Callable[[sqlite3.Connection], Result], *, write: bool = True) -> Result:
        """What `work(connection)` returns, done in one transaction; it is rolled back when `work` raises.

        `work` may be called a second time, on a new file, when the first one turns out to be broken.
        Raises sqlite3.OperationalError (locked for longer than `busy_seconds`, disk full, read-only) and OSError.
        """
        self._after_fork()
        with self._lock:
            try:
                return self._attempt(work, write)
            except sqlite3.DatabaseError as error:
                if not _is_corruption(error) or self.path == MEMORY:
                    raise
                self._put_aside(str(error))
                return self._attempt(work, write)

    def used_bytes(self, connection: sqlite3.Connection) -> int:
        """Bytes of the file that hold something; free pages are filled again before the file grows."""
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def shrink(self, pages: int = 4096) -> None:
        """Give at most so many free pages back to the file system."""
        self._after_fork()
        with self._lock:
            # A row without columns for each page: only `executescript` steps through them all.
            self._open().executescript(f"PRAGMA incremental_vacuum({int(pages)})")

    def close(self) -> None:
        """Close the connection; a later `run` opens it again."""
        self._after_fork()
        with self._lock:
            self._leave()

    def _after_fork(self) -> None:
        if self._pid == os.getpid():
            return
        if self._connection is not None:
            _abandon(self._connection)
        self._connection = None
        self._lock = threading.RLock()  # a thread of the parent may have held the old one
        self._pid = os.getpid()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.path == MEMORY or _inode(self.path) == self._inode:
            connection.close()
        else:
            _abandon(connection)  # the last close unlinks "<path>-wal" by name: by now that of another file

    def _attempt(self, work: Callable[[sqlite3.Connection], Result], write: bool) -> Result:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            if self.path == MEMORY or _inode(self.path) == self._inode:
                return self._connection
            self._leave()
        if self.path != MEMORY:
            _create_private(self.path)
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._inode = 0 if self.path == MEMORY else _inode(self.path)
        self._connection = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect only before the first table
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute(f"PRAGMA journal_size_limit={8 << 20}")
        if not self._checkpoints:
            connection.execute("PRAGMA wal_autocheckpoint=0")
        if version == self._version:
            return
        connection.execute("BEGIN IMMEDIATE")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])  # another process may have been faster
        if version == 0:
            for statement in self._schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={self._version}")
        connection.execute("COMMIT")
        if version not in (0, self._version):
            raise sqlite3.DatabaseError(f"layout version {version}, this product writes {self._version}")

    def _put_aside(self, reason: str) -> None:
        """Rename the broken file, unless another process has done so already."""
        broken = self._inode or _inode(self.path)
        self._leave()
        if _inode(self.path) == broken:
            target = f"{self.path}.corrupt-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
            for suffix in _COMPANIONS:
                if os.path.exists(self.path + suffix):
                    os.replace(self.path + suffix, target + suffix)
            self.set_aside = f"{target} ({reason})"
            _prune_aside(self.path)
        self._inode = 0


def storable(text: str) -> str:
    """The text as SQLite takes it: a lone surrogate, which JSON may bring and UTF-8 has not, becomes its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def private_path(path: str) -> str:
    """`path`, or its sibling `<name>-<uid><extension>` where another user of this driver owns `path`.

    Databricks can run each notebook's Python under a user of its own (reference databricks.md, section 2.4).
    """
    getuid = getattr(os, "getuid", None)
    if path == MEMORY or getuid is None or not os.path.exists(path):
        return path
    if os.access(path, os.R_OK | os.W_OK):
        return path
    root, extension = os.path.splitext(path)
    return f"{root}-{getuid()}{extension}"


def _create_private(path: str) -> None:
    parent = os.path.dirname(path)
    if parent:
        os.makedirs(parent, mode=0o700, exist_ok=True)
    # SQLite gives -wal and -shm the mode of the main file; a symbolic link planted in a shared folder is refused.
    if os.path.islink(path):
        raise OSError(f"{path} is a symbolic link; name the file itself")
    # O_EXCL: closing a second descriptor of a file in use would drop the POSIX locks that SQLite holds on it.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _abandon(connection: sqlite3.Connection) -> None:
    """Never close this connection, not even at exit: it belongs to the parent process, or to a file that is gone."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return -1


def _is_corruption(error: sqlite3.DatabaseError) -> bool:
    # SQLITE_CORRUPT and SQLITE_NOTADB arrive as the plain class; locked, full, read-only, I/O as OperationalError,
    # and so does the file of a program that happens to count its layouts as we do.
    return type(error) is sqlite3.DatabaseError or str(error).startswith("no such table")


def _prune_aside(path: str) -> None:
    found: List[Tuple[str, str]] = sorted(
        (name[: -len(suffix)] if suffix else name, name)
        for name in glob.glob(glob.escape(path) + ".corrupt-*")
        for suffix in [next((ending for ending in _COMPANIONS[1:] if name.endswith(ending)), "")]
    )
    kept = sorted({base for base, _ in found})[-_ASIDE_KEPT:]
    for base, name in found:
        if base not in kept:
            os.remove(name)
