"""Spark lineage of Azure Databricks, straight into Microsoft Purview.

    enable(spark=None, *, settings=None, transport=None) -> Lineage
    disable() -> bool
    status() -> Status
    PurviewTransport      the OpenLineage client's transport

Importing the package imports none of its rooms: it is on the start path of every notebook.
"""
from __future__ import annotations

from adb_lineage._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs every Python of a driver ten milliseconds
    from typing import Any

    from adb_lineage.lineage import disable, enable, status
    from adb_lineage.transport import PurviewTransport

__all__ = ["PurviewTransport", "__version__", "disable", "enable", "status"]

_HOMES = {"enable": "adb_lineage.lineage", "disable": "adb_lineage.lineage", "status": "adb_lineage.lineage",
          "PurviewTransport": "adb_lineage.transport"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
