"""A Spark session in which very many very small queries run quickly."""
from __future__ import annotations

from typing import Any

CONFIGURATION = {
    "spark.sql.ansi.enabled": "false",  # a changed value must not fail the program
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.crossJoin.enabled": "true",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
}


def quick(spark: Any) -> Any:
    """A new session of the same application with these settings."""
    session = spark.newSession()
    for key, value in CONFIGURATION.items():
        session.conf.set(key, value)
    return session
