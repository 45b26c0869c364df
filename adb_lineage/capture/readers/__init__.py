"""Readers of relations and commands, a module each for a family; importing this package registers all of them."""
from adb_lineage.capture.readers import connectors, ddl, delta, files, streams, tables, v2, v2_writes, views
from adb_lineage.capture.readers.base import COMMANDS, RELATIONS, Reading, Write

__all__ = ["COMMANDS", "RELATIONS", "Reading", "Write", "connectors", "ddl", "delta", "files",
           "streams", "tables", "v2", "v2_writes", "views"]
