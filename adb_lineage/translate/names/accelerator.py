"""The mapping file of Microsoft's accelerator (`OlToPurviewMappings`), read and run as it is.

Rules, tokens and operators follow section 3 of the reference on the accelerator. What it lists as defects (9.6) is not
repeated, and only that differs from what the accelerator named:

- a template that joins a mount's sub-folder but lost the container gets the container back, and the type of a folder;
- the root of a Blob container is an `azure_blob_container`; a serverless Synapse host is typed serverless;
- SQL names are parsed as identifiers: brackets, quotes, three and four parts;
- PostgreSQL and MySQL need no port, bear a query string and are known under OpenLineage's newer spelling too;
- Hive warehouse paths may have dots and partitions; brackets and `=` in storage paths are plain characters;
- `COMPLEX`, which stands for a query, keeps its name and is marked as a placeholder; credentials are no host;
- a token that a dataset does not have makes the one rule fail, not the whole event.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from adb_lineage.assets import Asset, AssetName
from adb_lineage.translate.names.identifiers import Levels, NotAnIdentifier, split_identifier, split_query
from adb_lineage.translate.names.rules import (
    COMPLEX,
    PLACEHOLDER_TYPE,
    Bound,
    Outcome,
    RuleError,
    Values,
    last_segment,
)

_TOKEN = re.compile(
    r"(?:(?P<list>nameSpcBodyParts|nameSpcConParts|nameSpaceBodyJoinedBySlashFrom)(?:\[(?P<index>\d+)\])?"
    r"|nameGroups(?:\[(?P<group>\d+)\](?P<parts>\.parts(?:\[(?P<part>\d+)\])?)?)?"
    r"|nameSpcNameVals\[\s*['\"]?(?P<key>[^'\"\]]+)['\"]?\s*\]"
    r"|(?P<prefix>prefix)|(?P<workspace>AdbWorkspaceUrl))$"
)
_FIELD = re.compile(r"\{([^{}]*)\}")
_LIST = re.compile(r'\s*(?:\{\s*"olToPurviewMappings"\s*:\s*)?\[', re.IGNORECASE)
T = TypeVar("T")
_OPERATORS = ("=", "!=", "contains", ">", "<")
_STORAGE = ("abfs", "abfss", "wasb", "wasbs", "adl", "s3", "s3a", "s3n", "gs", "hdfs", "dbfs", "file")
_LOST_CONTAINER = re.compile(r"/\{nameSpaceBodyJoinedBySlashFrom\[2\]\}")
_CONTAINER = "{nameSpcBodyParts[0]}"
_SQL_SERVER = Levels(("database", "schema", "table"), {"schema": "dbo"})
_SERVERS = {
    "postgres": ("postgresql", "5432", Levels(("database", "schema", "table"), {"schema": "public"})),
    "postgresql": ("postgresql", "5432", Levels(("database", "schema", "table"), {"schema": "public"})),
    "mysql": ("mysql", "3306", Levels(("database", "table"), {})),
}
_SERVER = re.compile(r"(?P<host>[^:/?;,]*)(?::(?P<port>\d+))?(?:,[^/?;]*)?(?:/(?P<database>[^?;]*))?")


class _NoValue(LookupError):
    """A dataset does not have what a token asks for."""


@dataclass(frozen=True)
class _Tokens:
    """What the accelerator's tokens stand for, for one namespace and name."""

    prefix: str
    body: Sequence[str]
    connection: Sequence[str]
    values: Mapping[str, str]
    groups: Sequence[Tuple[str, Sequence[str]]]
    workspace: Optional[str]

    def value(self, token: str) -> str:
        """Raises `_NoValue`."""
        found = _TOKEN.match(token)
        if found is None:
            raise _NoValue(f"unknown token {token}")
        if found["prefix"]:
            return self.prefix
        if found["workspace"]:
            if not self.workspace:
                raise _NoValue("the workspace is not known")
            return self.workspace
        if found["key"]:
            return self._named(found["key"].strip())
        if found["list"]:
            return self._listed(found["list"], found["index"])
        if found["group"] is None:
            return str(len(self.groups))
        text, parts = self._at(self.groups, found["group"], token)
        if found["parts"] is None:
            return text.strip("/")
        return str(len(parts)) if found["part"] is None else self._at(parts, found["part"], token).strip("/")

    def _named(self, key: str) -> str:
        if key in self.values:
            return self.values[key]
        for name, value in self.values.items():
            if name.lower() == key.lower():
                return value
        raise _NoValue(f"the namespace has no {key}")

    def _listed(self, name: str, index: Optional[str]) -> str:
        values = self.connection if name == "nameSpcConParts" else self.body
        if index is None:
            return str(len(values))
        if name == "nameSpaceBodyJoinedBySlashFrom":
            self._at(values, index, f"{name}[{index}]")
            return "/".join(values[int(index):]).strip("/")
        return self._at(values, index, f"{name}[{index}]").strip("/")

    @staticmethod
    def _at(values: Sequence[T], index: str, token: str) -> T:
        if int(index) >= len(values):
            raise _NoValue(f"the dataset has no {token}")
        return values[int(index)]


def _labels(pieces: Sequence[str]) -> List[str]:
    return [label for piece in pieces if "." in piece for label in piece.split(".")]


def _plain_group(name: str) -> List[Tuple[str, Sequence[str]]]:
    return [(name, [part for part in re.split(r"[./]", name) if part])]


@lru_cache(maxsize=2048)
def _tokens(namespace: str, name: str, workspace: Optional[str]) -> _Tokens:
    """Raises `_NoValue` for a SQL name that is no identifier."""
    slashes = namespace.find("//")
    prefix = namespace[: max(slashes - 1, 0)] if slashes >= 0 else namespace
    connection = namespace[slashes + 2:] if slashes >= 0 else ""
    if prefix in _STORAGE:
        authority, _, folder = connection.partition("/")
        pieces = [piece for piece in (*re.split("[@:]", authority), *folder.split("/")) if piece]
        return _Tokens(prefix, pieces, _labels(pieces), {}, _storage_groups(prefix, name), workspace)
    if prefix in _SERVERS:
        return _server_tokens(prefix, connection, name, workspace)
    body: List[str] = []
    values: Dict[str, str] = {}
    for piece in re.split("[@:/;,]", connection):
        key, equals, value = piece.partition("=")
        if equals and "=" not in value:
            values.setdefault("database" if key.strip().lower() == "databasename" else key.strip(), value)
        elif piece:
            body.append(piece)
    if prefix == "sqlserver":
        return _sql_server_tokens(body, values, name, workspace)
    brackets = re.findall(r"\[(.*?)\]", name)
    groups = [_plain_group(text)[0] for text in brackets] if brackets else _plain_group(name)
    return _Tokens(prefix, body, _labels(body), values, groups, workspace)


def _storage_groups(prefix: str, name: str) -> List[Tuple[str, Sequence[str]]]:
    """The whole name; a path in a Hive warehouse as `…/warehouse/db/db/table` or `…/warehouse/table`."""
    if prefix == "dbfs" and "hive/warehouse/" in name:
        before, _, rest = name.partition("hive/warehouse/")
        segments = [segment for segment in rest.split("/") if segment]
        head = [segment for segment in before.split("/") if segment] + ["hive", "warehouse"]
        if segments and segments[0].endswith(".db"):
            if len(segments) > 1:
                return [(name, [*head, segments[0][:-3], "db", segments[1]])]
        elif segments:
            return [(name, [*head, segments[0]])]
        return [(name, head)]
    return [(name, [part for part in re.split(r"[./]", name) if part])]


def _sql_server_tokens(
    body: Sequence[str], values: Mapping[str, str], name: str, workspace: Optional[str]
) -> _Tokens:
    database = next((value for key, value in values.items() if key.lower() == "database"), None)
    told, parts = _levels(_SQL_SERVER, name, {"database": database})
    if not database and told["database"].lower() == "dbo":
        raise _NoValue("neither namespace nor name tells the database")
    quoted = any(quote in name for quote in '["`')
    groups = [(part, parts) for part in parts] if quoted else [(".".join(parts), parts)]
    return _Tokens("sqlserver", body, _labels(body), {**values, "database": told["database"]}, groups, workspace)


def _server_tokens(prefix: str, connection: str, name: str, workspace: Optional[str]) -> _Tokens:
    prefix, port, levels = _SERVERS[prefix]
    found = _SERVER.match(connection)
    host = found["host"] if found else ""
    database = (found["database"] or "").strip("/") if found else ""
    told, parts = _levels(levels, name, {"database": database})
    if prefix == "mysql" and database and not any(quote in name for quote in '["`'):
        told, parts = {"database": database}, [name.strip("/")]  # in this spelling a dot was part of the name
    body = [host, (found["port"] if found else None) or port, told["database"]]
    return _Tokens(prefix, body, _labels(body), {}, [(".".join(parts), parts)], workspace)


def _levels(
    levels: Levels, name: str, given: Mapping[str, Optional[str]]
) -> Tuple[Mapping[str, str], Sequence[str]]:
    """The values of the levels, and the parts that the name itself has below the database."""
    database = given.get("database")
    if split_query(name) is not None or (not database and name.endswith("." + COMPLEX)):
        raise _NoValue("the name is a query")
    name = name.strip("/")
    try:
        told = levels.fill(name, given)
        count = len(split_identifier(name))
    except NotAnIdentifier as error:
        raise _NoValue(str(error)) from None
    below = [told[level] for level in levels.names[1:]]
    inside = count if given.get("database") else count - 1
    return told, below[-inside:] if 0 < inside < len(below) else below


@dataclass(frozen=True)
class AcceleratorRule:
    """One rule of `OlToPurviewMappings`."""

    name: str
    conditions: Sequence[Tuple[str, str, str]]
    qualified_name: str
    type_name: str

    def bind(self, namespace: str, variables: Values) -> Union[Bound, str]:
        """The rule for one namespace; the accelerator's rules look at namespace and name together."""
        del namespace  # its parameters are cut off; the accelerator's tokens read them
        whole, workspace = variables["namespace"] or "", variables.get("workspace")

        def bound(name: str) -> Outcome:
            return self._name(whole, name, workspace)

        return bound

    def _name(self, namespace: str, name: str, workspace: Optional[str]) -> Outcome:
        try:
            tokens = _tokens(namespace, name, workspace)
            for token, operator, operand in self.conditions:
                value = tokens.value(token)
                if not _holds(value, operator, operand):
                    return f"{token} is {value!r}, not {operator} {operand!r}"
            qualified_name = _FIELD.sub(lambda found: tokens.value(found[1].strip()), self.qualified_name).rstrip("/")
        except _NoValue as error:
            return str(error.args[0])
        if not qualified_name:
            return "the template gives no text"
        query = name == COMPLEX
        return Asset(
            name=AssetName(PLACEHOLDER_TYPE if query else self._type(qualified_name), qualified_name),
            display_name=last_segment(qualified_name),
            rule=self.name,
            placeholder=query,
        )

    def _type(self, qualified_name: str) -> str:
        if self.type_name == "azure_blob_path" and qualified_name.count("/") == 3:
            return "azure_blob_container"
        if self.type_name == "azure_synapse_dedicated_sql_table" and "-ondemand." in qualified_name:
            return "azure_synapse_serverless_sql_table"
        return self.type_name


def _holds(value: str, operator: str, operand: str) -> bool:
    if operator == "=":
        return value == operand
    if operator == "!=":
        return value != operand
    if operator == "contains":
        return operand in value
    try:
        left, right = int(value), int(operand)
    except ValueError:
        return False
    return left > right if operator == ">" else left < right


def is_accelerator_mapping(text: str) -> bool:
    """Whether a text looks like the accelerator's mapping, whole or a piece of its gallery."""
    return '"parserConditions"' in text or '"olToPurviewMappings"' in text or '\\"olToPurviewMappings\\"' in text


def load_accelerator_rules(text: str, origin: str) -> List[AcceleratorRule]:
    """The rules of a mapping: `{"olToPurviewMappings": […]}`, that as a JSON string, a list, or rules side by side.

    Raises `RuleError` that names the rule, its line and the reason.
    """
    content = _json(text, origin)
    if isinstance(content, dict):
        lists = [value for key, value in content.items() if key.lower() == "oltopurviewmappings"]
        if not lists and not {"qualifiedName", "purviewDataType", "parserConditions"}.intersection(content):
            keys = ", ".join(map(repr, content))
            raise RuleError(f"{origin}, line 1: {keys} where 'olToPurviewMappings' is expected")
        content = lists[0] if lists else [content]
    if not isinstance(content, list):
        raise RuleError(f"{origin}, line 1: 'olToPurviewMappings' is not a list")
    places = _places(text)
    return [
        _Item(item, origin, number, text, *(places[number - 1] if number <= len(places) else (0, 0))).rule()
        for number, item in enumerate(content, 1)
    ]


def _json(text: str, origin: str) -> Any:
    try:
        content = json.loads(text)
        return json.loads(content) if isinstance(content, str) else content
    except ValueError as error:
        try:  # a file of the gallery: rules without the list around them
            return json.loads("[" + text.strip().rstrip(",") + "]")
        except ValueError:
            line = getattr(error, "lineno", 1)
            raise RuleError(f"{origin}, line {line}: not JSON: {error}") from None


def _places(text: str) -> List[Tuple[int, int]]:
    """Where each rule begins and ends in the text; nothing where the text is one JSON string."""
    places: List[Tuple[int, int]] = []
    decoder = json.JSONDecoder()
    opening = _LIST.match(text)
    position = opening.end() if opening is not None else 0
    while True:
        position = len(text) - len(text[position:].lstrip(" \t\r\n,"))
        try:
            _, end = decoder.raw_decode(text, position)
        except ValueError:
            return places
        places.append((position, end))
        position = end


@dataclass(frozen=True)
class _Item:
    """One element of the mapping's list, and where it stands in the text."""

    content: Any
    origin: str
    number: int
    text: str
    begin: int
    end: int

    def error(self, reason: str, key: str = "") -> RuleError:
        """`reason` is about the value of `key`, at whose line it points where the rule has it."""
        name = f"rule {self.number}"
        if isinstance(self.content, dict):
            name = str(self.content.get("name") or name)
        found = self.text.find(f'"{key}"', self.begin, self.end) if key else -1
        line = self.text.count("\n", 0, found if found >= 0 else self.begin) + 1
        return RuleError(f"{self.origin}, line {line}: rule {name!r}: " + (f"{key}: {reason}" if key else reason))

    def rule(self) -> AcceleratorRule:
        """Raises `RuleError`."""
        if not isinstance(self.content, dict):
            raise self.error(f"{self.content!r} is not a mapping")
        template, type_name = self._told("qualifiedName"), self._told("purviewDataType")
        for token in _FIELD.findall(template):
            if _TOKEN.match(token.strip()) is None:
                raise self.error(f"unknown token {{{token}}}", "qualifiedName")
        lone = re.search(r"[{}]", _FIELD.sub("", template))
        if lone is not None:
            raise self.error(f"lone {lone[0]!r} in {template!r}", "qualifiedName")
        told = self.content.get("parserConditions") or []
        if not isinstance(told, list):
            raise self.error(f"{told!r} is not a list", "parserConditions")
        conditions = [self._condition(condition) for condition in told]
        template, type_name = _corrected(template, type_name, conditions)
        name = str(self.content.get("name") or f"rule {self.number}")
        return AcceleratorRule(name, tuple(conditions), template, type_name)

    def _told(self, key: str) -> str:
        value = self.content.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(f"{key!r} is missing" if value is None else f"{key!r} is {value!r}, not a text")
        return value

    def _condition(self, condition: Any) -> Tuple[str, str, str]:
        if not isinstance(condition, dict):
            raise self.error(f"{condition!r} is not a mapping", "parserConditions")
        token, operator, operand = (str(condition.get(key, "")) for key in ("op1", "compare", "op2"))
        token = token.strip().strip("{}").strip()
        if _TOKEN.match(token) is None:
            raise self.error(f"unknown token {token!r}", "parserConditions")
        if operator not in _OPERATORS:
            raise self.error(f"unknown operator {operator!r}; known: {', '.join(_OPERATORS)}", "parserConditions")
        if operator in (">", "<") and not re.fullmatch(r"\s*-?\d+\s*", operand):
            raise self.error(f"{token} {operator} {operand!r}: not a number", "parserConditions")
        return token, operator, operand


def _corrected(template: str, type_name: str, conditions: Sequence[Tuple[str, str, str]]) -> Tuple[str, str]:
    """A template of mounted storage with its container, and the type that a folder has."""
    prefixes = {operand for token, operator, operand in conditions if (token, operator) == ("prefix", "=")}
    if prefixes.intersection(_STORAGE) and _LOST_CONTAINER.search(template):
        if _CONTAINER not in template:
            template = _LOST_CONTAINER.sub(rf"/{_CONTAINER}\g<0>", template, count=1)
        if type_name == "azure_datalake_gen2_filesystem":
            type_name = "azure_datalake_gen2_path"
    return template, type_name
