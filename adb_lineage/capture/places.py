"""Where tables lie, remembered from the relations that were seen: DDL names a table, not its location.

Asking Spark's catalog instead would cost a call to the metastore, and on Unity Catalog a credential.
"""
from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Optional, Tuple

from adb_lineage.capture.datasets import Dataset, TableName

MAX_TABLES = 10_000
SESSION_CATALOG = "spark_catalog"


class Places:
    """The location of each table of an application as it was last seen, the newest 10,000 tables."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: OrderedDict[Tuple[str, str, str], Dataset] = OrderedDict()

    def remember(self, name: TableName, dataset: Dataset) -> None:
        """A relation or a write told where the table lies."""
        with self._lock:
            self._tables[_key(name)] = dataset
            self._tables.move_to_end(_key(name))
            while len(self._tables) > MAX_TABLES:
                self._tables.popitem(last=False)

    def find(self, name: TableName) -> Optional[Dataset]:
        """Where the table was last seen; None for one that was not seen yet."""
        with self._lock:
            return self._tables.get(_key(name))

    def forget(self, name: TableName) -> None:
        """The table is gone, or lies elsewhere now."""
        with self._lock:
            self._tables.pop(_key(name), None)


def _key(name: TableName) -> Tuple[str, str, str]:
    """Spark's session catalog is case-insensitive, and has no name of its own in older versions."""
    catalog = name.catalog.lower()
    return (catalog or SESSION_CATALOG, (name.database or "default").lower(), name.table.lower())
