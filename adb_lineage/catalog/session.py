"""What one request works with: a transaction, the type system of that moment, and who asks."""
from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from adb_lineage.catalog.profile import Profile
from adb_lineage.catalog.typesystem import TypeSystem


@dataclass(frozen=True)
class Session:
    """Everything that an operation needs to know besides its own arguments."""

    connection: sqlite3.Connection
    types: TypeSystem
    profile: Profile
    now: int
    """Milliseconds since the epoch: the one time of the request."""
    user: str
