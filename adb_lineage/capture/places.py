"""Where tables lie, remembered from what was read and written: DDL names a table, not its location.

Asking Spark's catalog instead would cost a call to the metastore, and on Unity Catalog a credential.
"""
from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Optional, Tuple

from adb_lineage.capture.datasets import Dataset, Symlink

MAX_TABLES = 10_000


class Places:
    """The location of each table of an application as it was last seen, the newest 10,000 tables."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: OrderedDict[Tuple[str, str], Tuple[str, str]] = OrderedDict()

    def remember(self, dataset: Dataset) -> None:
        """A dataset with a table's name beside its location; one that has the name alone tells nothing."""
        for link in dataset.symlinks:
            if dataset.name != link.name:
                with self._lock:
                    self._tables[_key(link)] = dataset.key
                    self._tables.move_to_end(_key(link))
                    while len(self._tables) > MAX_TABLES:
                        self._tables.popitem(last=False)

    def find(self, link: Symlink) -> Optional[Dataset]:
        """The table where it was last seen; None for one that was not seen yet."""
        with self._lock:
            found = self._tables.get(_key(link))
        return None if found is None else replace(Dataset(*found), symlinks=(link,))

    def forget(self, dataset: Dataset) -> None:
        """The table is gone, or lies elsewhere now."""
        with self._lock:
            for link in dataset.symlinks:
                self._tables.pop(_key(link), None)


def _key(link: Symlink) -> Tuple[str, str]:
    """Spark's session catalog and Unity Catalog are case-insensitive."""
    return link.namespace, link.name.lower()
