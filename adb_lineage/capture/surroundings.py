"""What a session says about where its tables live; asked once a session, never from Spark's catalog."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

from adb_lineage.capture.datasets import UNITY_NAMESPACE, Dataset, Symlink, TableName, from_path, in_file_system
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.places import Places

LEGACY_CATALOGS = ("", "spark_catalog", "hive_metastore")
MAX_CATALOGS = 50
_CATALOG = re.compile(r"^spark\.sql\.catalog\.([^.\n]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Surroundings:
    """The warehouse folder, the Hive metastore (host:port, "" for none), whether Unity Catalog is on."""

    warehouse: str = ""
    metastore: str = ""
    unity: bool = False
    catalogs: Mapping[str, str] = field(default_factory=dict)
    """Where a V2 catalog that the session configures keeps its tables: its server's URI, or its warehouse folder."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """The warehouse folder of each V2 catalog whose tables lie below it by their names (Iceberg's type `hadoop`)."""
    places: Places = field(default_factory=Places)
    root: str = ""
    """The URI of the default file system without a slash at its end, "" where that is the local disk."""

    @classmethod
    def of(cls, jvm: Jvm, session: Any, places: Places) -> Surroundings:
        """Ask a JVM SparkSession's configuration; `places` is shared by the sessions of an application."""
        conf = jvm.ask(session, "sessionState", "conf")

        def read(key: str, default: str = "") -> str:
            return str(jvm.call(conf, "getConfString", key, default))

        metastore = ""
        if read("spark.sql.catalogImplementation", "in-memory") == "hive":
            uris = read("spark.hadoop.hive.metastore.uris") or read("hive.metastore.uris")
            metastore = uris.split(",")[0].strip().partition("://")[2]
        keys = str(jvm.call(jvm.ask(conf, "getAllConfs", "keys"), "mkString", "\n"))
        catalogs = {name: read(f"spark.sql.catalog.{name}.uri") or read(f"spark.sql.catalog.{name}.warehouse")
                    for name in sorted(set(_CATALOG.findall(keys)))[:MAX_CATALOGS]}
        folders = {name: catalogs[name].rstrip("/") for name in catalogs
                   if read(f"spark.sql.catalog.{name}.type") == "hadoop" and catalogs[name]}
        return cls(read("spark.sql.warehouse.dir").rstrip("/"), metastore,
                   read("spark.databricks.unityCatalog.enabled", "false") == "true", catalogs, folders, places,
                   default_root(jvm, jvm.ask(session, "sparkContext")))

    def symlink(self, name: TableName) -> Symlink:
        """The table's own name beside its location (OpenLineage section `symlinks`)."""
        if self.unity and name.catalog not in LEGACY_CATALOGS:
            return Symlink(UNITY_NAMESPACE, name.three_parts)
        if name.catalog not in LEGACY_CATALOGS:
            return Symlink(self.catalogs.get(name.catalog) or name.catalog, name.three_parts)
        if self.metastore:
            return Symlink(f"hive://{self.metastore}", name.two_parts)
        return Symlink(self.warehouse or "spark_catalog", name.two_parts)

    def path(self, path: str, *, escaped: bool = False) -> Dataset:
        """The dataset at a path or URI, see `from_path`; without a scheme it lies in the default file system."""
        return from_path(in_file_system(path, self.root), escaped=escaped)

    def table(self, name: TableName, location: Optional[str], *, escaped: bool = True) -> Dataset:
        """A table at its location; without one it is named by itself, under a namespace that can't pass for a path."""
        link = self.symlink(name)
        catalog = {"name": name.catalog} if name.catalog else {}
        if not location:
            named = link.namespace == UNITY_NAMESPACE or link.namespace.startswith("hive://")
            namespace = link.namespace if named else name.catalog or "spark_catalog"
            return Dataset(namespace, link.name, symlinks=(link,), catalog=catalog)
        place = self.path(location, escaped=escaped)
        return Dataset(place.namespace, place.name, symlinks=(link,), catalog=catalog)

    def existing(self, name: TableName) -> Dataset:
        """A table that a command names without its location: where it was last seen, else by its name alone."""
        known = self.places.find(self.symlink(name))
        if known is not None:
            return known
        return self.table(name, self.default_location(name) if name.catalog in self.folders else None)

    def default_location(self, name: TableName) -> Optional[str]:
        """Where Spark puts a new managed table of the default database; other databases may lie anywhere."""
        if name.catalog in self.folders:
            return "/".join((self.folders[name.catalog], *name.database.split("."), name.table))
        if self.warehouse and name.catalog in LEGACY_CATALOGS and name.database in ("", "default"):
            return f"{self.warehouse}/{name.table}"
        return None


def default_root(jvm: Jvm, spark_context: Any) -> str:
    """The default file system of a JVM SparkContext, as `Surroundings.root` has it."""
    configuration = jvm.attempt(spark_context, "hadoopConfiguration")
    uri = "" if configuration is None else str(jvm.call(configuration, "get", "fs.defaultFS") or "").rstrip("/")
    return "" if uri.lower().startswith("file:") else uri
