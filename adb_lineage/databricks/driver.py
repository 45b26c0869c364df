"""What capture asks of a Databricks driver: who ran a query, and what is mounted where.

A REPL knows its own notebook and job; the reader of the relay meets queries of every REPL, and of cells that start no
Spark job and so carry no local properties. Each REPL therefore leaves what it knows of its session in a system
property of the driver JVM, where the reader finds it.
"""
from __future__ import annotations

import importlib
import json
import logging
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional

from adb_lineage.databricks import identity

if TYPE_CHECKING:  # it brings requests, and this module is on the way to the first cell
    from adb_lineage.databricks.jobs_api import JobsApi

_LOG = logging.getLogger(__name__)

MOUNTS_SECONDS = 600.0
"""How long the list of mounts is believed; a path under an unknown mount asks again sooner."""

MOUNTS_MISS_SECONDS = 30.0
_SESSIONS = 1000


def published_name(session: str) -> str:
    """The JVM system property in which a REPL leaves what it knows of its session (or of its `replId`)."""
    return f"adb_lineage.context.{session}"


class Driver:
    """The driver behind a SparkContext. Thread-safe; nothing here raises for what Databricks does not tell.

    `conf` is the SparkContext's where it has been read already, `jobs` fills in what only the Jobs API knows, `mounts`
    replaces the reader of the mounts.
    """

    def __init__(self, spark_context: Any, *, conf: Optional[Mapping[str, str]] = None,
                 jobs: Optional[JobsApi] = None, mounts: Optional[Mounts] = None) -> None:
        self._context = spark_context
        self._jvm = spark_context._jvm
        if conf is None:  # a cluster's conf has hundreds of entries, each of them costs two calls
            own = spark_context.getConf()
            conf = {name: value for name in (*identity.PROPERTIES, identity.CLUSTER_TAGS)
                    for value in [own.get(name)] if value}
        self.conf = conf
        self.jobs = jobs
        self.mounts = mounts or Mounts(lambda: read_mounts(self._jvm))
        self._published: Dict[str, str] = {}
        self._jobs_named: Dict[str, str] = {}
        self._seen: OrderedDict[str, Dict[str, Any]] = OrderedDict()

    def note_cell(self, session_uuid: str) -> Dict[str, Any]:
        """Take what the running cell's thread knows (local properties, notebook context); for the main thread.

        The answer is what `environment` will say of it. A few Py4J calls, one more when something changed since the
        last cell.
        """
        properties = {name: value for name in identity.LOCAL_PROPERTIES
                      for value in [self._context.getLocalProperty(name)] if value}
        raw = _raw_context(self._jvm)
        if self.jobs is not None:
            self.jobs.offer_token(getattr(raw, "apiToken", None))
        found = identity.environment(self.conf, properties, identity.read_context(raw))
        text = json.dumps(found, sort_keys=True)
        for name in filter(None, (session_uuid, properties.get("spark.databricks.replId"))):
            if self._published.get(name) != text:
                self._jvm.java.lang.System.setProperty(published_name(name), text)
                self._published[name] = text
        self._name_job(found.get("adb_lineage.job", {}))
        return found

    def forget(self) -> None:
        """Take back what `note_cell` left in the JVM, but for the names of jobs: other tasks of theirs may run."""
        for name in self._published:
            self._jvm.java.lang.System.clearProperty(published_name(name))
        self._published.clear()

    def environment(self, local_properties: Mapping[str, str], session_uuid: str = "", *,
                    mounts: bool = True) -> Dict[str, Any]:
        """The inner dict of the `environment-properties` facet for a query of that session; empty off Databricks.

        May ask Databricks for the mounts and, if `jobs` is given, for the job, both cached: not for a listener's or
        the user's thread.
        """
        left = self._left_by(session_uuid) or self._left_by(local_properties.get("spark.databricks.replId", ""))
        own = identity.environment(self.conf, local_properties, None)
        if "spark.databricks.notebook.path" in own or "spark.databricks.job.id" in own:
            self._remember(session_uuid, own)
        elif not left:
            left = self._seen.get(session_uuid, {})
        found = {**left, **own}
        if not found:
            return {}
        for part in ("adb_lineage.job", "adb_lineage.run"):
            if part in found:
                found[part] = {**left.get(part, {}), **own.get(part, {})}
        if "adb_lineage.job" in found:
            found["adb_lineage.job"] = self._named_job(found["adb_lineage.job"])
        if mounts:
            found["mountPoints"] = self.mounts.rows()
        if self.jobs is not None and "spark.databricks.job.id" in found:
            described = self.jobs.describe(found)
            found["adb_lineage.job"] = {**found.get("adb_lineage.job", {}), **described}
        return found

    def _name_job(self, job: Mapping[str, Any]) -> None:
        """Leave a job's name to the REPLs of its other tasks, which may have to tell of a query before they know it."""
        name, key = job.get("name"), published_name(f"job.{job.get('jobId')}")
        if name and self._jobs_named.get(key) != name:
            self._jvm.java.lang.System.setProperty(key, str(name))
            self._jobs_named[key] = name

    def _named_job(self, job: Dict[str, Any]) -> Dict[str, Any]:
        if job.get("name"):
            return job
        name = self._jvm.java.lang.System.getProperty(published_name(f"job.{job.get('jobId')}"))
        return {**job, "name": name} if name else job

    def _remember(self, session_uuid: str, own: Dict[str, Any]) -> None:
        """For a later command of the session that starts no Spark job, in a language whose shell leaves nothing."""
        self._seen[session_uuid] = own
        self._seen.move_to_end(session_uuid)
        if len(self._seen) > _SESSIONS:
            self._seen.popitem(last=False)

    def _left_by(self, name: str) -> Dict[str, Any]:
        if not name:
            return {}
        text = self._jvm.java.lang.System.getProperty(published_name(name))
        left: Dict[str, Any] = json.loads(text) if text else {}
        return left


class Mounts:
    """The workspace's mounts, cached: `[{"mountPoint": "/mnt/raw", "source": "abfss://..."}]`.

    `read` gives them from Databricks; when it fails the last good list stays, as mounts outlive such a moment.
    """

    def __init__(self, read: Callable[[], List[Dict[str, str]]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: List[Dict[str, str]] = []
        self._asked: Optional[float] = None

    def rows(self, path: str = "") -> List[Dict[str, str]]:
        """The mounts; a `path` below `/mnt` that none of them covers makes the list be read again, not too often."""
        with self._lock:
            age = None if self._asked is None else self._clock() - self._asked
            missed = path.startswith("/mnt/") and not any(path.startswith(row["mountPoint"] + "/") or
                                                          path == row["mountPoint"] for row in self._rows)
            if age is None or age > MOUNTS_SECONDS or (missed and age > MOUNTS_MISS_SECONDS):
                self._asked = self._clock()
                try:
                    self._rows = [_without_credentials(row) for row in self._read()]
                except Exception as error:  # noqa: BLE001 - accounts without mounts, table ACL, a driver going down
                    _LOG.debug("no mounts: %r", error)
            return list(self._rows)


def _without_credentials(row: Mapping[str, str]) -> Dict[str, str]:
    """A mount whose source shows no key: old guides mount `s3a://KEY:SECRET@bucket`, and the list goes into events."""
    from adb_lineage.translate.names.addresses import without_credentials  # the rules come with it: not at start

    return {**row, "source": without_credentials(row["source"])}


def read_mounts(jvm: Any) -> List[Dict[str, str]]:
    """Ask the driver's `DbfsUtilsImpl`, else `dbutils`; raises what they raise. Remote and slow.

    The class takes no argument up to 10.4 and `allowMountOperations` from 11 on (reference/databricks.md 5).
    """
    package = jvm.com.databricks.dbutils_v1.impl
    try:
        utilities = package.DbfsUtilsImpl(True)
    except Exception:  # noqa: BLE001 - Py4J has a handful of errors for "no such class or constructor"
        try:
            utilities = package.DbfsUtilsImpl()
        except Exception:  # noqa: BLE001 - the same
            return [{"mountPoint": row.mountPoint, "source": row.source} for row in find_dbutils().fs.mounts()]
    mounts = utilities.mounts()
    return [{"mountPoint": row.mountPoint(), "source": row.source()}
            for row in (mounts.apply(position) for position in range(mounts.size()))]


def _raw_context(jvm: Any) -> Any:
    """The notebook context of the running cell, an object or JSON text; None where there is none."""
    try:
        return importlib.import_module("dbruntime.databricks_repl_context").get_context()
    except Exception as error:  # noqa: BLE001 - an old runtime has no such module; off the main thread it fails oddly
        _LOG.debug("no dbruntime context: %r", error)
    try:
        context = find_dbutils().notebook.entry_point.getDbutils().notebook().getContext()
    except Exception as error:  # noqa: BLE001 - not a notebook
        _LOG.debug("no dbutils context: %r", error)
        return None
    for method in ("safeToJson", "toJson"):
        try:
            return getattr(context, method)()
        except Exception as error:  # noqa: BLE001 - newer runtimes have both, older ones the second
            _LOG.debug("no %s: %r", method, error)
    return None


def find_dbutils() -> Any:
    """The `dbutils` that the shell gave the notebook; raises LookupError where there is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    space = shell.user_ns if shell is not None else vars(sys.modules["__main__"])
    if "dbutils" not in space:
        raise LookupError("there is no dbutils in this Python")
    return space["dbutils"]
