"""The tables of a SQL query that Spark sends to another database."""
from __future__ import annotations

from typing import Dict, Tuple

# Spark's name of a subquery it wraps: `(select …) SPARK_GEN_SUBQ_0`.
_DIALECTS = {"sqlserver": "tsql", "postgres": "postgres", "mysql": "mysql", "mariadb": "mysql", "oracle": "oracle",
             "snowflake": "snowflake", "redshift": "redshift", "bigquery": "bigquery", "databricks": "databricks",
             "teradata": "teradata", "clickhouse": "clickhouse", "trino": "trino", "hive": "hive"}


def tables_in_query(source: str, dialect: str) -> Tuple[str, ...]:
    """The real tables of a `dbtable` or `query` option, as written, in order; () when it can't be parsed.

    A plain table name gives itself. Aliases and CTEs are no tables.
    """
    text = source.strip()
    if not any(mark in text for mark in "( \n\t") or text[:1] in "[\"`" and "(" not in text:
        return (source,)
    import sqlglot  # takes a while, and few queries need it
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.scope import traverse_scope

    statement = text if text[:1] != "(" else f"select * from {text}"
    if not text.lower().startswith(("select", "with", "(")):
        statement = f"select * from {text}"
    try:
        tree = sqlglot.parse_one(statement, read=_DIALECTS.get(dialect))
    except (SqlglotError, RecursionError, ValueError):
        return ()
    found: Dict[str, None] = {}
    for scope in traverse_scope(tree) or []:
        for table in scope.sources.values():
            if isinstance(table, exp.Table) and table.name:
                found[".".join(part.sql(dialect=_DIALECTS.get(dialect)) for part in table.parts)] = None
    return tuple(found)
