"""Namespaces that are JDBC URLs, as older agents write them: brought to `scheme://host[:port][/database]`.

Drivers differ in where they hold host, database and credentials; what comes out has no credentials and no parameters.
OpenLineage's own extractors do the same since 1.1, except for what they can't read: then the whole URL is left.
"""
from __future__ import annotations

import re
from typing import Callable, Dict, List, Tuple

Parameters = Dict[str, str]

PATH_SCHEMES = ("abfs", "wasb", "adl:", "s3", "gs:", "hdfs:", "dbfs", "file", "http")
"""Beginnings of namespaces that are storage, which hold no parameters."""

_CONTAINER_SCHEMES = ("abfs", "wasb")
"""What stands before the `@` there is a container and not a user."""

# All are tried at the beginning alone: a namespace may be as long as it likes. A password may have a slash or an @, and
# what follows a port is none.
_CREDENTIALS = re.compile(
    r"(?P<scheme>[a-z0-9+.:-]*//)(?:[^/@?;:]*:(?!\d+(?:[/,;?]|$))[^;?]*|[^/@?;:,=]*)@", re.IGNORECASE
)
_ORACLE_LOGIN = re.compile(
    r"(?P<scheme>(?:jdbc:)?oracle:(?:thin|oci\d?):)(?:\"[^\"]*\"|[^@\"])*@", re.IGNORECASE
)
_ORACLE_DRIVER = re.compile(r"oracle:(?:thin|oci\d?):@?(?:(?:\w+:)?//)?", re.IGNORECASE)
_PARAMETERS = re.compile(r"[;?]|:(?=[A-Za-z]\w*=)")  # Db2 has `/database:key=value;`
_SEPARATORS = re.compile(r"[;&?]")
# Oracle's connect descriptor `(ADDRESS=(HOST=h)(PORT=1))…`, MySQL's `address=(host=h)(port=1)` and `(host=h,port=1)`
_DESCRIBED = re.compile(r"[(,]\s*(?P<key>host|port|service_name|sid)\s*=\s*(?P<value>[^\s(),]+)", re.IGNORECASE)
# `mysql:replication://`, `mysql+srv://`, `redshift:iam://`
_SUBPROTOCOL = re.compile(r"(?P<scheme>mysql|mariadb|redshift)(?::[\w-]+|\+srv)(?=://)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z0-9+.-]+", re.IGNORECASE)


def without_credentials(namespace: str) -> str:
    """A namespace without user and password in front of its host, however the driver writes them."""
    if "@" not in namespace or namespace.lower().startswith(_CONTAINER_SCHEMES):
        return namespace
    login = _ORACLE_LOGIN.match(namespace)
    if login is not None:
        return login["scheme"] + "@" + namespace[login.end():]
    login = _CREDENTIALS.match(namespace)
    return namespace if login is None else login["scheme"] + namespace[login.end():]


def plain_address(namespace: str) -> Tuple[str, Parameters]:
    """A namespace as `scheme://host[:port][/database]`, and its `key=value` parameters by lower-case key.

    `databaseName` comes back as `database`. Namespaces of storage keep what follows their host.
    """
    if namespace[:5].lower() == "jdbc:":
        namespace = namespace[5:]
    namespace = without_credentials(namespace)
    if namespace.lower().startswith(PATH_SCHEMES):
        return namespace, {}
    driver = _ORACLE_DRIVER.match(namespace)
    if driver is not None:
        namespace = "oracle://" + namespace[driver.end():]
    head, *rest = _PARAMETERS.split(namespace, maxsplit=1)
    parameters = _parameters(_SEPARATORS.split(rest[0])) if rest else {}
    subprotocol = _SUBPROTOCOL.match(head)
    if subprotocol is not None:
        head = subprotocol["scheme"] + head[subprotocol.end():]
    if "(" in head:
        head = _described(head)
    read = _DIALECTS.get(head.partition(":")[0].lower())
    return (head if read is None else read(head, parameters)), parameters


def _parameters(pieces: List[str]) -> Parameters:
    parameters: Parameters = {}
    for piece in pieces:
        key, equals, value = (part.strip() for part in piece.partition("="))
        if value[:1] == "{" and value[-1:] == "}":  # SQL Server's quotes
            value = value[1:-1]
        if equals and value:
            key = key.lower()
            parameters.setdefault("database" if key == "databasename" else key, value)
    return parameters


def _described(address: str) -> str:
    """An address that is told by `(key=value)`, by its first host."""
    values = {found["key"].lower(): found["value"] for found in reversed(list(_DESCRIBED.finditer(address)))}
    scheme = _SCHEME.match(address)
    if "host" not in values or scheme is None:
        return address
    service = values.get("service_name") or values.get("sid")
    port = ":" + values["port"] if "port" in values else ""
    return f"{scheme[0]}://{values['host']}{port}" + (f"/{service}" if service else address.rpartition(")")[2])


def _sql_server(head: str, parameters: Parameters) -> str:
    r"""`sqlserver://host\instance:port` and `;serverName=…;portNumber=…;instanceName=…`, as `host:port/instance`."""
    scheme, slashes, address = head.partition("://")
    address, _, instance = address.partition("/")
    host, backslash, named = address.partition("\\")
    if backslash:
        named, colon, port = named.partition(":")
        address, instance = host + colon + port, instance or named
    if not address:
        told = parameters.get("portnumber") or parameters.get("port")
        server = parameters.get("servername") or parameters.get("server") or ""
        address = server + (f":{told}" if told else "")
    instance = instance or parameters.get("instancename") or parameters.get("instance") or ""
    return scheme + slashes + address + (f"/{instance}" if instance else "")


def _jtds(head: str, parameters: Parameters) -> str:
    """`jtds:sqlserver://host[:port][/database]`: what follows the slash is no instance."""
    address, slash, database = head[len("jtds:"):].rpartition("/")
    if not slash or address.endswith("/"):
        return _sql_server(head[len("jtds:"):], parameters)
    if database:
        parameters.setdefault("database", database)
    return _sql_server(address, parameters)


def _teradata(head: str, parameters: Parameters) -> str:
    """`teradata://host/KEY=value,KEY=value`."""
    address, slash, told = head.rpartition("/")
    if slash and "=" in told:
        parameters.update(_parameters(told.split(",")))
        database = parameters.get("database")
        return address + (f"/{database}" if database else "")
    return head


_DIALECTS: Dict[str, Callable[[str, Parameters], str]] = {
    "sqlserver": _sql_server, "mssql": _sql_server, "jtds": _jtds, "teradata": _teradata,
}
