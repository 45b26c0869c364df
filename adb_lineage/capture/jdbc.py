"""JDBC URLs under OpenLineage's names.

Source: OpenLineage's JdbcDatasetUtils. Credentials and driver parameters never become part of a name.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Tuple

from adb_lineage.capture.datasets import Dataset

_DEFAULT_PORTS = {"postgres": "5432", "mysql": "3306", "mariadb": "3306", "oracle": "1521", "redshift": "5439"}
_SCHEMES = {"postgresql": "postgres", "jtds:sqlserver": "sqlserver"}
_HOST = re.compile(r"(?P<scheme>[a-z0-9+]+(?::[a-z0-9+]+)?):(?:@?//|@)?(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_CREDENTIALS = re.compile(r"(?i)(?:user|uid|username|password|pwd|accesskey|secret|token|sig)[^=;&?]*=[^;&?]*[;&?]?")


@dataclass(frozen=True)
class JdbcLocation:
    """A database server: OpenLineage namespace, and the database that the connection opens ("" if unsaid)."""

    namespace: str
    database: str
    dialect: str

    def dataset(self, table: str) -> Dataset:
        """A table of that database; `table` may already name the database.

        The parts are kept as the user wrote them, brackets and quotes included.
        """
        parts = split_identifier(table)
        if self.dialect in ("mysql", "mariadb") and len(parts) > 1:
            return Dataset(self.namespace, table)
        if self.dialect in ("sqlserver", "postgres", "redshift") and len(parts) > 2:
            return Dataset(self.namespace, table)
        return Dataset(self.namespace, f"{self.database}.{table}" if self.database else table)


def parse_jdbc_url(url: str) -> JdbcLocation:
    """The server and database of a JDBC URL.

    A URL of an unknown form becomes a namespace of its own, without `jdbc:`, parameters and credentials.
    """
    body = url[5:] if url.lower().startswith("jdbc:") else url
    match = _HOST.match(body)
    scheme = match["scheme"].lower() if match else ""
    if match and scheme.startswith("jtds:"):
        scheme = "sqlserver"
    scheme = _SCHEMES.get(scheme, scheme)
    if match and scheme == "sqlserver":
        return _sql_server(match["rest"])
    if match and scheme.partition(":")[0] == "derby":
        return _derby(body)
    if match and scheme.startswith("oracle"):
        return _oracle(match["rest"])
    if match and "//" in body:
        return _generic(scheme.partition(":")[0], match["rest"])
    return JdbcLocation(_CREDENTIALS.sub("", body).rstrip(";&?"), "", scheme)


def split_identifier(name: str) -> Tuple[str, ...]:
    """The parts of a dotted identifier; dots within brackets, double quotes or backticks do not split."""
    return tuple(re.findall(r"(?:\[(?:[^\]]|\]\])*\]|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|[^.\[\"`])+", name)) or (name,)


def _parameters(text: str, separator: str) -> Dict[str, str]:
    pairs = (one.partition("=") for one in text.split(separator))
    return {key.strip().lower(): value.strip().strip("{}") for key, _, value in pairs if key.strip()}


def _sql_server(rest: str) -> JdbcLocation:
    """`host[\\instance][:port][;key=value]*`; keys are case-insensitive."""
    address, _, tail = rest.partition(";")
    values = _parameters(tail, ";")
    address, _, path_database = address.partition("/")
    host, _, port = address.partition(":")
    host, _, instance = host.partition("\\")
    host = host or values.get("servername", values.get("server", ""))
    port = port or values.get("portnumber", values.get("port", ""))
    instance = instance or values.get("instancename", values.get("instance", ""))
    database = values.get("databasename", values.get("database", "")) or path_database
    namespace = f"sqlserver://{host.lower()}" + (f":{port}" if port else "") + (f"/{instance}" if instance else "")
    return JdbcLocation(namespace, database, "sqlserver")


def _derby(body: str) -> JdbcLocation:
    """Embedded (`derby:path`, `derby:memory:name`): the database is its own server, hence the namespace."""
    address = body.partition(";")[0]
    if "//" in address:
        return _generic("derby", address.partition("//")[2])
    return JdbcLocation(address, "", "derby")


def _oracle(rest: str) -> JdbcLocation:
    """`host:port/service` or `host:port:sid`; the service is part of OpenLineage's name, not of its namespace."""
    address = rest.rpartition("@")[2].lstrip("/").partition("?")[0]
    host, _, service = address.partition("/")
    pieces = host.split(":")
    if not service and len(pieces) > 2:
        service = pieces[2]
    port = pieces[1] if len(pieces) > 1 and pieces[1] else _DEFAULT_PORTS["oracle"]
    return JdbcLocation(f"oracle://{pieces[0].lower()}:{port}", service, "oracle")


def _generic(scheme: str, rest: str) -> JdbcLocation:
    """`[user@]host[:port][,host…]/database[?parameters]`."""
    address, _, tail = rest.partition("/")
    address = address.rpartition("@")[2]
    database = re.split(r"[?;&:]", tail)[0]
    port = _DEFAULT_PORTS.get(scheme)
    hosts = [host if ":" in host.rpartition("]")[2] or not port else f"{host}:{port}" for host in address.split(",")]
    return JdbcLocation(f"{scheme}://{','.join(hosts).lower()}", database, scheme)
