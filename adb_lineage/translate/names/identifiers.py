"""SQL identifiers: split at the dots that are not inside quotes, and given to the levels of a database."""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

# Brackets (T-SQL), double quotes (standard SQL) and backticks (MySQL, Spark); a doubled closing quote stands for one.
_PART = re.compile(
    r"""\s*(?:
        \[(?P<bracket>(?:[^\]]|\]\])*)\]
      | "(?P<quote>(?:[^"]|"")*)"
      | `(?P<backtick>(?:[^`]|``)*)`
      | (?P<plain>[^.\["`]*)
    )\s*(?:\.|$)""",
    re.VERBOSE | re.DOTALL,
)
_QUERY_SIGN = re.compile(r"[\s(]")
# `(select …) q` or `select …`, perhaps after the database or schema that an agent put before whatever the user gave
_QUERY = re.compile(
    r"""(?P<prefix>(?:(?:[^.\s()\["`]+|\[[^\]]*\]|"[^"]*"|`[^`]*`)\.){0,2})
    \s*(?P<query>\(|(?:select|with|exec|call)(?:\s+\S|\s*[(*"'\[`]))""",
    re.IGNORECASE | re.VERBOSE,
)
_QUOTES = frozenset('["`')


class NotAnIdentifier(ValueError):
    """The text is not a dotted identifier, or does not fit the levels; the message says why."""


def split_query(name: str) -> Optional[Tuple[str, str]]:
    """What stands before a query in a dataset's name (`db.` or nothing), and the query; None for a table's name."""
    if _QUERY_SIGN.search(name) is None:
        return None
    found = _QUERY.match(name)
    return None if found is None else (found["prefix"], name[found.start("query"):])


def split_identifier(name: str) -> List[str]:
    """The parts of a dotted identifier without their quotes: `[dbo].[a.b]` gives `["dbo", "a.b"]`.

    An empty part stands for a level that was left out, as in `db..table`. Raises `NotAnIdentifier` for a quote that
    stands in the middle of a part or is never closed.
    """
    if not _QUOTES.intersection(name):
        return [part.strip() for part in name.split(".")]
    parts: List[str] = []
    position = 0
    while True:
        found = _PART.match(name, position)
        if found is None:
            raise NotAnIdentifier(f"quote out of place at character {position + 1} of {name!r}")
        if found["bracket"] is not None:
            parts.append(found["bracket"].replace("]]", "]"))
        elif found["quote"] is not None:
            parts.append(found["quote"].replace('""', '"'))
        elif found["backtick"] is not None:
            parts.append(found["backtick"].replace("``", "`"))
        else:
            parts.append(found["plain"].strip())
        position = found.end()
        if position == len(name) and not found[0].rstrip().endswith("."):
            return parts


@dataclass(frozen=True)
class Levels:
    """The levels of a database from the outside in, as `("database", "schema", "table")`, and how to fill them.

    `defaults` holds values for levels that a name may leave out, such as `{"schema": "dbo"}`; "" means no value.
    """

    names: Tuple[str, ...]
    defaults: Mapping[str, str]

    def agent_tells_database(self, given: Mapping[str, Optional[str]]) -> bool:
        """Whether an agent puts the database before a name without a schema: the namespace does not tell it."""
        return len(self.names) == 3 and bool(self.defaults.get(self.names[1])) and not given.get(self.names[0])

    def fill(self, name: str, given: Mapping[str, Optional[str]]) -> Dict[str, str]:
        """The value of every level for a dataset's name; `given` are values that the namespace already told.

        OpenLineage puts the database before the name that the user gave, so `db.T` in a namespace without a database
        is a table in the default schema, `db.db.dbo.T` and `db.other.dbo.T` drop the first part. Where the namespace
        has the database (the older spelling), `a.T` is schema and table. Raises `NotAnIdentifier`.
        """
        parts = split_identifier(name)
        known = {level: value for level, value in given.items() if value}
        count = len(self.names)
        if len(parts) == count + 1 and (self.names[0] not in known or parts[0].lower() == parts[1].lower()):
            parts = parts[1:]
        if len(parts) > count:
            raise NotAnIdentifier(f"{name!r} has {len(parts)} parts, at most {count} are known: {'.'.join(self.names)}")
        # Levels nobody else can tell come first, then optional ones, the innermost before the outer.
        optional = [level for level in self.names if level in known or level in self.defaults]
        spare = len(parts) - (count - len(optional))
        if spare < 0:
            missing = [level for level in self.names if level not in optional]
            raise NotAnIdentifier(f"{name!r} does not tell {' and '.join(missing)}")
        told = set(self.names).difference(optional).union(optional[len(optional) - spare:])
        values = dict(self.defaults)
        values.update(known)
        for level, part in zip([level for level in self.names if level in told], parts):
            if part:
                values[level] = part
        empty = [level for level in self.names if not values.get(level) and level not in self.defaults]
        if empty:
            raise NotAnIdentifier(f"{name!r} leaves {' and '.join(empty)} empty")
        return values
