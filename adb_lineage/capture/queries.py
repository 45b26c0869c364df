"""The tables of a SQL query that Spark sends to another database."""
from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Tuple

MAX_QUERY = 200_000
"""Characters of a query that is still parsed: about two seconds of work."""

_DIALECTS = {"sqlserver": "tsql", "postgres": "postgres", "mysql": "mysql", "mariadb": "mysql", "oracle": "oracle",
             "snowflake": "snowflake", "redshift": "redshift", "bigquery": "bigquery", "databricks": "databricks",
             "teradata": "teradata", "clickhouse": "clickhouse", "trino": "trino", "hive": "hive", "athena": "athena",
             "sqlite": "sqlite", "duckdb": "duckdb", "singlestore": "singlestore"}
_PART = r"(?:\[(?:[^\]]|\]\])+\]|\"(?:[^\"]|\"\")+\"|`(?:[^`]|``)+`|[^\s.,;()\[\]\"'`]+)"
_TABLE = re.compile(rf"\s*{_PART}(?:\s*\.\s*{_PART}?)*\s*")
_QUERY = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:select|with|values|table|from)\b", re.IGNORECASE | re.DOTALL)
_PROCEDURE = re.compile(r"[\s({]*(?:exec|execute|call)\s", re.IGNORECASE)


def tables_in_query(source: str, dialect: str, before: str = "") -> Tuple[str, ...]:
    """The real tables of a `dbtable` or `query` option, as written, in order; () when they can't be told.

    A plain table name gives itself. Aliases, CTEs and table functions are no tables. `before` is what goes in front
    of the query: the CTEs of Spark's `prepareQuery`.
    """
    if _TABLE.fullmatch(source) and not before.strip():
        return (source.strip(),)
    if len(source) + len(before) > MAX_QUERY or _PROCEDURE.match(source):
        return ()
    statement = source if _QUERY.match(source) else f"select * from {source}"
    from sqlglot import exp, parse_one  # half a second of import, on the capture thread and only where a query is read
    from sqlglot.errors import SqlglotError

    name = _DIALECTS.get(dialect)
    try:
        tree = parse_one(f"{before} {statement}", read=name)
        tables = list(_tables(tree))
    except (SqlglotError, RecursionError, ValueError):
        return ()
    found: Dict[str, None] = {}
    for table in tables:
        if isinstance(table.this, exp.Identifier):
            found[".".join(part.sql(dialect=name) for part in table.parts)] = None
    return tuple(found)


def _tables(tree: Any) -> Iterable[Any]:
    """The table nodes of a statement that stand for tables."""
    from sqlglot import exp
    from sqlglot.errors import OptimizeError
    from sqlglot.optimizer.scope import traverse_scope

    try:
        scopes = list(traverse_scope(tree) or [])
    except OptimizeError:  # the same alias twice: what is no CTE is a table
        defined = {one.alias_or_name.lower() for one in tree.find_all(exp.CTE)}
        return [table for table in tree.find_all(exp.Table) if table.db or table.name.lower() not in defined]
    return [source for scope in scopes for source in scope.sources.values() if isinstance(source, exp.Table)]
