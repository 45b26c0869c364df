"""The catalog's database: one SQLite file in WAL mode, one writer at a time, readers beside it.

A request is one transaction: `Store.write()` begins it as IMMEDIATE, so that nothing read in it can change before it
commits, and rolls it back on any exception. `Store.read()` gives one consistent snapshot. Several processes may open
the same file.
"""
from __future__ import annotations

import queue
import sqlite3
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Union

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('types', '0');  -- counts changes of definitions: tells other processes to reload

-- Definitions that differ from the built-in ones; NULL hides a built-in one.
CREATE TABLE typedef (name TEXT PRIMARY KEY, definition TEXT, position INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE entity (
    id INTEGER PRIMARY KEY,
    guid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    status TEXT NOT NULL,           -- ACTIVE or DELETED
    name TEXT,                      -- copies of two attributes, for lists that need no more
    qualified_name TEXT,
    attributes TEXT NOT NULL,       -- JSON, without relationship attributes
    details TEXT NOT NULL,          -- JSON: labels, customAttributes, contacts, classifications, ...
    collection TEXT,
    created INTEGER NOT NULL,       -- milliseconds
    updated INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    revision INTEGER NOT NULL       -- lastModifiedTS
);
CREATE INDEX entity_type ON entity (type, status);
CREATE INDEX entity_updated ON entity (updated);

-- Unique and indexable attributes of active entities; values keep their own SQLite type.
CREATE TABLE attribute_index (
    attribute TEXT NOT NULL, value NOT NULL, entity INTEGER NOT NULL, type TEXT NOT NULL,
    PRIMARY KEY (attribute, value, entity)
) WITHOUT ROWID;
CREATE INDEX attribute_index_entity ON attribute_index (entity);
CREATE UNIQUE INDEX qualified_name_of_type ON attribute_index (value, type) WHERE attribute = 'qualifiedName';

CREATE TABLE relationship (
    id INTEGER PRIMARY KEY,
    guid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    end1 INTEGER NOT NULL,
    end2 INTEGER NOT NULL,
    status TEXT NOT NULL,
    attributes TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    revision INTEGER NOT NULL
);
CREATE UNIQUE INDEX relationship_pair ON relationship (type, end1, end2) WHERE status = 'ACTIVE';
CREATE INDEX relationship_end1 ON relationship (end1, type, status);
CREATE INDEX relationship_end2 ON relationship (end2, type, status);

CREATE VIRTUAL TABLE entity_text USING fts5 (name, qualified_name, description, tokenize = 'unicode61');
"""


class Store:
    """Connections to the catalog's database.

    Without a path it is a temporary file that goes with `close()`. Raises `sqlite3.Error` or `OSError` when the file
    cannot be opened or is no catalog of this version.
    """

    def __init__(self, path: Optional[Union[str, Path]] = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="catalog-") if path is None else None
        self.path = Path(self._folder.name) / "catalog.db" if self._folder else Path(str(path)).resolve()
        self._write_lock = threading.Lock()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._connections: List[sqlite3.Connection] = []
        self._closed = False
        self._writer = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that may write; commits at the end, rolls back on any exception."""
        with self._write_lock:
            self._check_open()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.rollback()
                raise
            self._writer.commit()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One snapshot of the database, for reading only."""
        self._check_open()
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = self._connect()
            connection.execute("PRAGMA query_only = 1")
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.rollback()
            self._readers.put(connection)

    def close(self) -> None:
        """Close all connections; the last one of the file folds the WAL back into it."""
        with self._write_lock:
            if self._closed:
                return
            self._closed = True
            for connection in self._connections:
                connection.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _check_open(self) -> None:
        if self._closed:
            raise sqlite3.ProgrammingError(f"the catalog {self.path} is closed")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(str(self.path), timeout=30, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        # A catalog on a laptop may lose its last second with the power, never its consistency.
        connection.execute("PRAGMA synchronous = NORMAL")
        self._connections.append(connection)
        return connection

    def _prepare(self) -> None:
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("BEGIN IMMEDIATE")  # two processes may start on one new file
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            if self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError(f"{self.path} is a database of something else")
            for statement in _statements(_SCHEMA):
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(
                f"{self.path} has schema version {version}, this catalog needs {SCHEMA_VERSION}: give another file"
            )
        self._writer.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction around them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
