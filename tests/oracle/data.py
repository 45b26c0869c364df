"""The tables that random programs read, and the same tables with one column changed."""
from __future__ import annotations

from typing import AbstractSet, Any, Dict, List, Tuple

# A source column or a struct member of a table: `("t", "s.x")`.
Source = Tuple[str, str]

# Few values, so that joins, groups and set operations meet; NULLs in every column. The members of `i` are those of the
# structs in an array.
TABLES: Dict[str, Dict[str, Tuple[str, List[str]]]] = {
    "t": {
        "a": ("int", ["0", "1", "2", "3", "1", "NULL"]),
        "b": ("int", ["4", "2", "2", "NULL", "0", "1"]),
        "n": ("string", ["'a'", "'b'", "NULL", "'a'", "'dd'", "'b'"]),
        "d": ("double", ["1.5", "0.5", "2.0", "4.0", "NULL", "1.5"]),
        "s.x": ("int", ["1", "2", "0", "3", "NULL", "2"]),
        "s.y": ("string", ["'a'", "NULL", "'c'", "'a'", "'b'", "'c'"]),
        "l": ("array<int>", ["array(1, 2)", "array(0)", "NULL", "array(3, 1, 2)", "array(2)", "array(4, 4)"]),
        "i.p": ("int", ["2", "1", "4", "NULL", "0", "3"]),
        "i.q": ("string", ["'c'", "'b'", "'c'", "'a'", "NULL", "'dd'"]),
    },
    "u": {
        "k": ("int", ["0", "1", "2", "2", "NULL"]),
        "v": ("int", ["3", "1", "NULL", "2", "0"]),
        "w": ("string", ["'b'", "'a'", "'c'", "NULL", "'b'"]),
        "m": ("map<string,int>", ["map('a', 1)", "map('b', 2)", "NULL", "map('a', 3, 'b', 0)", "map('c', 1)"]),
    },
    "r": {
        "k": ("int", ["1", "2", "3", "NULL"]),
        "e": ("int", ["2", "0", "1", "4"]),
        "f": ("boolean", ["true", "NULL", "false", "true"]),
    },
}

# Every value becomes another one of the same kind.
_CHANGED = {
    "int": {"0": "1", "1": "3", "2": "0", "3": "2", "4": "NULL", "NULL": "2"},
    "double": {"1.5": "0.5", "0.5": "2.0", "2.0": "NULL", "4.0": "1.5", "NULL": "4.0"},
    "string": {"'a'": "'b'", "'b'": "'zz'", "'c'": "NULL", "'dd'": "'a'", "NULL": "'c'"},
    "boolean": {"true": "false", "false": "NULL", "NULL": "true"},
}


def sources() -> List[Source]:
    """Every source column and struct member."""
    return [(table, column) for table, columns in TABLES.items() for column in columns]


def query(table: str, changed: AbstractSet[Source] = frozenset()) -> str:
    """A query that gives the table's rows, with other values in these columns."""
    columns = TABLES[table]
    names = list(dict.fromkeys(name.partition(".")[0] for name in columns))
    rows = []
    for row in range(len(next(iter(columns.values()))[1])):
        values = {column: _value(kind, texts[row], (table, column) in changed)
                  for column, (kind, texts) in columns.items()}
        rows.append("(" + ", ".join(_cell(name, values) for name in names) + ")")
    return f"select * from values {', '.join(rows)} as {table}({', '.join(names)})"


def _value(kind: str, text: str, changed: bool) -> str:
    if changed and kind in _CHANGED:
        text = _CHANGED[kind][text]
    elif changed and kind.startswith("array"):
        text = "array(2, 0)" if text == "NULL" else f"concat({text}, array(1))"
    elif changed:
        text = "map('a', 7)" if text == "NULL" else f"map('a', 4, 'zz', size({text}))"
    return f"cast({text} as {kind})"


def _cell(name: str, values: Dict[str, str]) -> str:
    if name in values:
        return values[name]
    members = ", ".join(f"'{column.partition('.')[2]}', {text}" for column, text in values.items()
                        if column.startswith(name + "."))
    struct = f"named_struct({members})"
    return f"array({struct})" if name == "i" else struct


def files(spark: Any, folder: str) -> Dict[str, Any]:
    """The tables as files, hence as relations in the plan."""
    for table in TABLES:
        spark.sql(query(table)).coalesce(1).write.mode("overwrite").parquet(f"{folder}/{table}")
    return {table: spark.read.parquet(f"{folder}/{table}") for table in TABLES}


def values(spark: Any, changed: AbstractSet[Source] = frozenset()) -> Dict[str, Any]:
    """The tables as values in the plan, which run quicker, with other values in these columns."""
    return {table: spark.sql(query(table, changed)) for table in TABLES}
