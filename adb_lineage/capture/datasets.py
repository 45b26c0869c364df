"""Datasets under OpenLineage's names, from paths, JDBC URLs and table identifiers.

Source of the rules: OpenLineage's naming specification and its Spark agent (newest spelling).
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.parse import unquote

from adb_lineage.capture.plan import data_type

UNITY_NAMESPACE = "unity-catalog"
_STORE_SCHEMES = {"s3a": "s3", "s3n": "s3", "abfs": "abfss", "wasb": "wasbs"}
_STORES = frozenset(("s3", "gs", "abfss", "wasbs"))
_INTERNAL_COLUMNS = frozenset(("_metadata", "_change_type", "_commit_version", "_commit_timestamp", "__row_operation"))
_INTERNAL_PREFIXES = ("_databricks_internal", "__delta_", "_row-id-col-", "_row-commit-version-col-")
_PARTITION = re.compile(r"[^/=]+=[^/=]*")
_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):(?://(?P<authority>[^/]*))?(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True)
class Field:
    """A column as the schema facet shows it; `fields` are the members of a struct, map or array."""

    name: str
    type: str
    fields: Tuple[Field, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Symlink:
    """Another name of the same data: the table that a location belongs to."""

    namespace: str
    name: str
    type: str = "TABLE"


@dataclass(frozen=True)
class Dataset:
    """A dataset of a query. `known` is False for a relation of a kind nobody taught us."""

    namespace: str
    name: str
    schema: Tuple[Field, ...] = ()
    symlinks: Tuple[Symlink, ...] = ()
    storage: str = ""
    catalog: Mapping[str, str] = field(default_factory=dict)
    known: bool = True
    columns: Optional[Mapping[str, Tuple[str, ...]]] = None
    """For a leaf that is a query on this dataset: its columns by the leaf's columns. None where both are the same."""

    @property
    def key(self) -> Tuple[str, str]:
        """Identity: namespace and name."""
        return self.namespace, self.name

    def own_columns(self, column: str) -> Tuple[str, ...]:
        """This dataset's columns that a column of the leaf stands for."""
        return (column,) if self.columns is None else tuple(self.columns.get(column, ()))

    def linked(self, link: Symlink) -> Dataset:
        """The same dataset, which has this name too."""
        return self if link in self.symlinks else replace(self, symlinks=(*self.symlinks, link))

    def with_schema(self, schema: Tuple[Field, ...]) -> Dataset:
        """The same dataset with these columns."""
        return replace(self, schema=schema)


@dataclass(frozen=True)
class TableName:
    """A table's identifier; the parts Spark did not give are empty."""

    table: str
    database: str = ""
    catalog: str = ""

    @classmethod
    def from_json(cls, identifier: Any) -> Optional[TableName]:
        """From a TableIdentifier in a plan's JSON."""
        if not isinstance(identifier, dict) or not identifier.get("table"):
            return None
        return cls(str(identifier["table"]), str(identifier.get("database") or ""),
                   str(identifier.get("catalog") or ""))

    @property
    def two_parts(self) -> str:
        """`db.table`."""
        return f"{self.database or 'default'}.{self.table}"

    @property
    def three_parts(self) -> str:
        """`catalog.db.table`."""
        return f"{self.catalog}.{self.two_parts}" if self.catalog else self.two_parts


def from_path(path: str, *, escaped: bool = False) -> Dataset:
    """The dataset at a path or URI; `escaped` for a java.net.URI, whose text is percent-encoded.

    Trailing partition folders (`k=v`) are cut off: a partition is its table.
    """
    text = unquote(path) if escaped else path
    match = _URI.fullmatch(text)
    scheme, authority, name = (match["scheme"].lower(), match["authority"] or "", match["path"]) if match else (
        "file", "", text)
    scheme = _STORE_SCHEMES.get(scheme, scheme)
    name = _without_partitions("/" + name.strip("/"))
    if scheme == "file" and (name == "/dbfs" or name.startswith("/dbfs/")):  # the FUSE view of the same files
        scheme, name = "dbfs", name[len("/dbfs"):] or "/"
    if scheme in _STORES:
        return Dataset(f"{scheme}://{authority}", name.strip("/") or "/")
    return Dataset(f"{scheme}://{authority}" if authority else scheme, name)


def in_file_system(path: str, root: str) -> str:
    """A path as Spark resolves it: one without a scheme lies in the default file system.

    `root` is that file system's URI without a slash at its end, "" for the local disk. On Databricks
    it is `dbfs:`; commands keep a path as the user wrote it, while what is read shows the whole URI.
    """
    return root + path if root and path.startswith("/") else path


def is_internal(column: str) -> bool:
    """Whether a column is the engine's own: of row tracking, change data, file metadata, row-level commands."""
    return column in _INTERNAL_COLUMNS or column.startswith(_INTERNAL_PREFIXES)


def fields_of(schema: Any) -> Tuple[Field, ...]:
    """The columns of a StructType in its JSON form."""
    if not isinstance(schema, dict):
        return ()
    return tuple(_field(one) for one in schema.get("fields", ())
                 if isinstance(one, dict) and not is_internal(str(one.get("name"))))


def fields_of_type(value: Any) -> Tuple[Field, ...]:
    """The members below a data type in its JSON form: of a struct, a map (`key`, `value`) or an array (`_element`)."""
    if not isinstance(value, dict):
        return ()
    kind = value.get("type")
    if kind == "struct":
        return fields_of(value)
    if kind == "map":
        return tuple(Field(name, data_type(value.get(key)), fields_of_type(value.get(key)))
                     for name, key in (("key", "keyType"), ("value", "valueType")))
    if kind == "array":
        element = value.get("elementType")
        return (Field("_element", data_type(element), fields_of_type(element)),)
    return ()


def _field(one: Dict[str, Any]) -> Field:
    metadata = one.get("metadata")
    comment = metadata.get("comment", "") if isinstance(metadata, dict) else ""
    return Field(str(one.get("name", "")), data_type(one.get("type")), fields_of_type(one.get("type")), str(comment))


def _without_partitions(name: str) -> str:
    parts = name.split("/")
    while len(parts) > 2 and _PARTITION.fullmatch(parts[-1]):
        parts.pop()
    return "/".join(parts)
