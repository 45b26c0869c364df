"""Where Py4J ends: what kind of compute this is, and in words what lineage can and cannot do on it.

Standard access mode, serverless, table access control and Spark Connect give Python no usable handle on the driver
JVM (reference/databricks.md 1.2, 3.4 and 10). Each is recognised by looking only; nothing is called that could fail
for the user. Client-side capture for them would be a second kind of tap in `capture`.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Mapping, Optional

_ELSEWHERE = ("Lineage of Unity Catalog tables is still to be had there: Purview's own Unity Catalog scan brings it, "
              "and the system tables system.access.table_lineage and column_lineage hold it.")
_DEDICATED = "Run the notebook or job on compute with dedicated (single user) access mode to have it captured."


@dataclass(frozen=True)
class Compute:
    """`kind` is one of `local`, `classic`, `standard`, `serverless`, `table_acl`, `pipeline`, `connect`."""

    kind: str
    possible: bool
    name: str
    why: str = ""
    instead: str = ""

    def words(self) -> str:
        """One paragraph for people; says what is not possible here and what is."""
        if self.possible:
            return f"Lineage is captured here ({self.name})."
        return f"No lineage is captured here: {self.name}. {self.why} {self.instead}"


KINDS = {one.kind: one for one in (
    Compute("local", True, "Spark outside Databricks"),
    Compute("classic", True, "Databricks compute with dedicated or no-isolation access mode"),
    Compute("standard", False, "Databricks compute with standard (shared) access mode",
                 "Python is a Spark Connect client there and has no handle on the driver.",
                 f"{_DEDICATED} {_ELSEWHERE}"),
    Compute("serverless", False, "Databricks serverless compute",
                 "Python is a Spark Connect client there, and cluster libraries and init scripts do not exist.",
                 f"{_DEDICATED} {_ELSEWHERE}"),
    Compute("table_acl", False, "Databricks compute with table access control or credential passthrough",
                 "Its Py4J gateway refuses the calls that a listener needs (py4j.security).", _DEDICATED),
    Compute("pipeline", False, "a Lakeflow (Delta Live Tables) pipeline",
                 "Its Python builds a graph that another process runs.", _ELSEWHERE),
    Compute("connect", False, "a Spark Connect client",
                 "The driver is on another machine, out of reach of Py4J.",
                 "Install adb_lineage where the driver runs."),
)}

_ACCESS_MODES = {  # data_security_mode of the clusters API, reference/databricks.md 1.2
    "USER_ISOLATION": "standard", "DATA_SECURITY_MODE_STANDARD": "standard",
    "LEGACY_TABLE_ACL": "table_acl", "LEGACY_PASSTHROUGH": "table_acl",
}


_CONNECT_VARIABLES = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
"""What pyspark itself goes by; a classic session of the same process is told by its class."""


def recognise(session: Any = None, *, environ: Optional[Mapping[str, str]] = None,
              conf: Optional[Mapping[str, str]] = None) -> Compute:
    """The kind of compute, from the environment, the type of the session and the Spark conf where they are known."""
    environ = os.environ if environ is None else environ
    conf = conf or {}
    runtime = environ.get("DATABRICKS_RUNTIME_VERSION", "")
    if environ.get("IS_SERVERLESS", "").lower() == "true" or runtime.startswith("client."):
        return KINDS["serverless"]
    if "PIPELINE_UDS_CONNECT_MODE" in environ or conf.get("pipelines.id") or conf.get("spark.databricks.pipelines.id"):
        return KINDS["pipeline"]
    mode = _ACCESS_MODES.get(environ.get("DATA_SECURITY_MODE", ""))
    if mode:
        return KINDS[mode]
    if _is_connect(session) or (session is None and any(environ.get(name) for name in _CONNECT_VARIABLES)):
        return KINDS["standard" if runtime else "connect"]
    if conf.get("spark.databricks.pyspark.enablePy4JSecurity", "").lower() == "true":
        return KINDS["table_acl"]
    return KINDS["classic" if runtime or conf.get("spark.databricks.workspaceUrl") else "local"]


def refused_by(error: BaseException) -> Optional[Compute]:
    """The kind of compute whose gateway answers a Py4J call with this error; None for any other error."""
    return KINDS["table_acl"] if "Py4JSecurityException" in f"{error!r} {error}" else None


def _is_connect(session: Any) -> bool:
    return any(base.__module__.startswith("pyspark.sql.connect.") for base in type(session).__mro__)
