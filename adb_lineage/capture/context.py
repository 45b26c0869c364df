"""Who ran a query: the inner part of OpenLineage's `environment-properties` facet."""
from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Mapping, Optional

# Local properties and configuration that may leave the driver. Anything else, tokens above all, stays where it is.
# `spark.databricks.api.token` is among the local properties of every Databricks command.
LOCAL_PROPERTIES = (
    "spark.databricks.notebook.", "spark.databricks.job.", "spark.databricks.replId", "spark.databricks.workload.",
    "spark.databricks.clusterUsageTags.clusterName", "spark.databricks.clusterUsageTags.clusterId",
    "spark.databricks.clusterUsageTags.clusterOwnerOrgId", "spark.databricks.clusterUsageTags.azureSubscriptionId",
    "spark.databricks.clusterUsageTags.clusterAllTags", "spark.databricks.workspaceUrl", "spark.databricks.user",
    "user", "userId", "orgId", "spark.jobGroup.id", "spark.job.description", "sql.streaming.queryId",
    "streaming.sql.batchId", "spark.sql.execution.id", "spark.sql.execution.root.id",
)
CONFIGURATION = (
    "spark.databricks.workspaceUrl", "spark.databricks.clusterUsageTags.clusterName",
    "spark.databricks.clusterUsageTags.clusterId", "spark.databricks.clusterUsageTags.clusterOwnerOrgId",
    "spark.databricks.clusterUsageTags.azureSubscriptionId", "spark.databricks.clusterUsageTags.clusterAllTags",
)
FACET = LOCAL_PROPERTIES[:2] + CONFIGURATION + ("user", "userId", "orgId", "spark.databricks.user",
                                                "spark.databricks.workload.")


class RunContext:
    """The cluster's part, read once, and each query's own part.

    A command without a Spark job has no local properties: it then gets those last seen of its session.
    """

    def __init__(self, configuration: Mapping[str, str], *, workspace: str = "", notebook: str = "",
                 mounts: Optional[List[Dict[str, str]]] = None) -> None:
        self._fixed = {key: configuration[key] for key in CONFIGURATION if configuration.get(key)}
        self.on_databricks = bool(self._fixed.get("spark.databricks.workspaceUrl"))
        self.workspace = self._fixed.get("spark.databricks.workspaceUrl") or workspace
        self._mounts = mounts or []
        self._script = notebook or ("" if self.on_databricks else _script())
        self._by_session: Dict[str, Dict[str, str]] = {}

    def environment(self, properties: Mapping[str, str], session: str) -> Dict[str, Any]:
        """The facet's content for a query with these local properties."""
        own = {key: value for key, value in properties.items() if key.startswith(FACET) and value}
        if any(key.startswith("spark.databricks.") for key in own):
            if len(self._by_session) > 1000:
                self._by_session.clear()
            self._by_session[session] = own
        else:
            own = {**self._by_session.get(session, {}), **own}
        content: Dict[str, Any] = {**self._fixed, **own}
        if self._script:
            content.setdefault("spark.databricks.notebook.path", self._script)
        if self._mounts:
            content["mountPoints"] = self._mounts
        return content


def _script() -> str:
    """Outside Databricks the notebook is the script: relative to the working folder where it lies in it."""
    main = getattr(sys.modules.get("__main__"), "__file__", None) or (sys.argv[0] if sys.argv else "")
    if not main or not os.path.exists(main):
        return "interactive"
    path = os.path.abspath(main)
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative.replace(os.sep, "/")
