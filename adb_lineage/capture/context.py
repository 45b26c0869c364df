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
    """The notebook is the script, or what the setting calls it."""
    content = {"spark.databricks.notebook.path": notebook or _script()}
    return lambda properties, session: dict(content)


def _script() -> str:
    """The running script's path: relative to the working folder where it lies in it."""
    main = getattr(sys.modules.get("__main__"), "__file__", None) or (sys.argv[0] if sys.argv else "")
    if not main or not os.path.exists(main):
        return "interactive"
    path = os.path.abspath(main)
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative.replace(os.sep, "/")
