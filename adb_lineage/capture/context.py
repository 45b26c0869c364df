"""Who ran a query, outside Databricks: the script.

On Databricks `adb_lineage.databricks.driver` answers instead; capture only knows the shape of the question.
"""
from __future__ import annotations

import os
import sys
from typing import Any, Callable, Dict, Mapping

# The inner content of the `environment-properties` facet for a query with these local properties, of this session.
Environment = Callable[[Mapping[str, str], str], Dict[str, Any]]

# Spark's own local properties that the relay hands over beside those of Databricks.
SPARK_PROPERTIES = ("spark.jobGroup.id", "spark.job.description", "sql.streaming.queryId", "streaming.sql.batchId",
                    "spark.sql.execution.id", "spark.sql.execution.root.id")


def script_environment(notebook: str = "") -> Environment:
    """The notebook is the script, or what the setting calls it; a scheduler's local properties go above that."""
    content = {"spark.databricks.notebook.path": notebook or _script()}

    def environment(properties: Mapping[str, str], session: str) -> Dict[str, Any]:
        told = {key: value for key, value in properties.items()
                if value and (key.startswith("spark.databricks.") or key in ("user", "userId", "orgId"))}
        return {**content, **told}

    return environment


def with_metastore(environment: Environment, metastore: str) -> Environment:
    """The same, with the id of Unity Catalog's metastore (`adb_lineage.metastore`) where the setting names it.

    The event has to tell it: another driver, with another metastore, may be the one that delivers it.
    """
    if not metastore:
        return environment
    return lambda properties, session: {**environment(properties, session), "adb_lineage.metastore": metastore}


def _script() -> str:
    """The running script's path: relative to the working folder where it lies in it."""
    main = getattr(sys.modules.get("__main__"), "__file__", None) or (sys.argv[0] if sys.argv else "")
    if not main or not os.path.exists(main):
        return "interactive"
    path = os.path.abspath(main)
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative.replace(os.sep, "/")
