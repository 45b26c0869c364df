"""JDBC URLs under OpenLineage's names.

Source: OpenLineage's JdbcDatasetUtils. Credentials and driver parameters never become part of a name.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Dict, Tuple
from urllib.parse import unquote

from adb_lineage.capture.datasets import Dataset

# Where OpenLineage completes a URL that leaves the port out.
_DEFAULT_PORTS = {"postgres": "5432", "mysql": "3306", "mariadb": "3306", "oracle": "1521", "redshift": "5439",
                  "db2": "50000", "crate": "5432"}
_SCHEMES = {"postgresql": "postgres", "pgsql": "postgres", "ch": "clickhouse", "hive2": "hive", "mysql+srv": "mysql",
            "presto": "trino", "cratedb": "crate", "aws-wrapper": "postgres", "spark": "databricks"}
# Levels of a table's full name; a name that has them all already tells its database.
_LEVELS = {"mysql": 2, "mariadb": 2, "singlestore": 2, "clickhouse": 2, "hive": 2, "teradata": 2, "oceanbase": 2}
_LEVELS_OF_OTHERS = 3
_HOST = re.compile(r"(?P<scheme>[a-z0-9+\-]+(?::[a-z0-9+\-]+)*?):(?:@?//|@)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_WRAPPERS = re.compile(r"(?i)^(?:aws-wrapper|p6spy|otel|datadog|tc|log4jdbc|secretsmanager|jdbc-secretsmanager):")
_TNS = re.compile(r"(?i)\(\s*(?P<key>host|port|service_name|sid)\s*=\s*(?P<value>[^()\s]+)\s*\)")
_MYSQL_ADDRESS = re.compile(
    r"(?i)(?:address\s*=\s*)?\(\s*host\s*=\s*(?P<host>[^(),]+)[),]\s*\(?(?:port\s*=\s*(?P<port>\d+))?.*")
_USER_INFO = re.compile(r"//[^@/]*@")


@dataclass(frozen=True)
class JdbcLocation:
    """A database server: OpenLineage namespace, and the database and schema that a connection opens ("" if unsaid)."""

    namespace: str
    database: str
    dialect: str
    schema: str = ""

    def dataset(self, table: str) -> Dataset:
        """A table of that database; `table` may already name schema and database.

        The parts are kept as the user wrote them, brackets and quotes included.
        """
        if self.dialect == "sqlserver" and ".." in table:  # the default schema, which OpenLineage leaves out
            return Dataset(self.namespace, table.replace("..", "."))
        parts = split_identifier(table)
        missing = _LEVELS.get(self.dialect, _LEVELS_OF_OTHERS) - len(parts)
        name = table
        if missing == 2 and self.schema:
            name = f"{self.schema}.{name}"
        if missing > 0 and self.database:
            name = f"{self.database}.{name}"
        return Dataset(self.namespace, name)


def parse_jdbc_url(url: str) -> JdbcLocation:
    """The server and database of a JDBC URL.

    A URL of an unknown form becomes a namespace of its own, without `jdbc:`, parameters and credentials.
    """
    body = url.strip()
    body = body[5:] if body.lower().startswith("jdbc:") else body
    body = _WRAPPERS.sub("", body)
    scheme = re.split(r"[:/]", body, maxsplit=1)[0].lower()
    dialect = _SCHEMES.get(scheme, scheme)
    if body.lower().startswith("jtds:sqlserver:"):
        dialect = "sqlserver"
    reader = _READERS.get(dialect)
    if reader is not None:
        return reader(body)
    match = _HOST.match(body)
    if match is not None:
        return _generic(dialect, match["rest"])
    return JdbcLocation(_USER_INFO.sub("//", re.split(r"[;?]", body, maxsplit=1)[0]).rstrip(":/"), "", dialect)


def split_identifier(name: str) -> Tuple[str, ...]:
    """The parts of a dotted identifier; dots within brackets, double quotes or backticks do not split."""
    return tuple(re.findall(r"(?:\[(?:[^\]]|\]\])*\]|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|[^.\[\"`])+", name)) or (name,)


def _after_slashes(body: str) -> str:
    """What follows `//`, without user and password."""
    rest = body.partition("//")[2]
    address = re.split(r"[/?;]", rest, maxsplit=1)[0]
    return rest[address.rfind("@") + 1:] if "@" in address else rest


def _parameters(text: str, separator: str) -> Dict[str, str]:
    """`key=value` pairs; keys in lower case, as the drivers take them in any case."""
    pairs = (one.partition("=") for one in re.split(separator, text))
    return {key.strip().lower(): unquote(value.strip()).strip("{}") for key, _, value in pairs if key.strip()}


def _sql_server(body: str) -> JdbcLocation:
    """`sqlserver://host[\\instance][:port][;key=value]*`, and jTDS's `host[:port][/database]`."""
    address, _, tail = _after_slashes(body).partition(";")
    values = _parameters(tail, ";")
    address, _, path_database = address.partition("/")
    host, port = _host_and_port(address)
    host, _, instance = host.partition("\\")
    host = host or values.get("servername", values.get("server", ""))
    port = port or values.get("portnumber", values.get("port", ""))
    instance = instance or values.get("instancename", values.get("instance", ""))
    database = values.get("databasename", values.get("database", "")) or path_database
    namespace = f"sqlserver://{host.lower()}" + (f":{port}" if port else "") + (f"/{instance}" if instance else "")
    return JdbcLocation(namespace, database, "sqlserver")


def _embedded(body: str) -> JdbcLocation:
    """Derby, H2, HSQLDB, SQLite, DuckDB in the driver: the database is its own server, so it is the namespace."""
    address = body.partition(";")[0].partition("?")[0]
    scheme = address.partition(":")[0].lower()
    if "//" in address:
        return _generic(scheme, _after_slashes(body))
    return JdbcLocation(address, "", scheme)


def _oracle(body: str) -> JdbcLocation:
    """`oracle:thin:[user/password]@[//]host[:port][/service|:sid]`, or a TNS description.

    The service is part of OpenLineage's name, not of its namespace.
    """
    address = body.rpartition("@")[2]
    described = {match["key"].lower(): match["value"] for match in reversed(list(_TNS.finditer(address)))}
    if "host" in described:
        host, port = described["host"], described.get("port", "")
        service = described.get("service_name") or described.get("sid", "")
    else:
        address = re.sub(r"^(?:\w+:)?//", "", address).partition("?")[0]
        host, _, service = address.partition("/")
        pieces = host.split(":")
        host, port = pieces[0], pieces[1] if len(pieces) > 1 else ""
        service = service.partition(":")[0] or (pieces[2] if len(pieces) > 2 else "")
    return JdbcLocation(f"oracle://{host.lower()}:{port or _DEFAULT_PORTS['oracle']}", service, "oracle")


def _mysql(body: str) -> JdbcLocation:
    """`mysql[:replication|:loadbalance|:aws…]://host[:port][,…]/database`, also `address=(host=…)(port=…)`."""
    scheme = "mariadb" if body.lower().startswith("mariadb") else "mysql"
    rest = _after_slashes(body)
    match = _MYSQL_ADDRESS.match(rest.partition("/")[0])
    if match:
        rest = f"{match['host']}:{match['port'] or _DEFAULT_PORTS[scheme]}/{rest.partition('/')[2]}"
    return _generic(scheme, rest)


def _db2(body: str) -> JdbcLocation:
    """`db2://host:port/database[:key=value;]*`."""
    database, _, tail = _after_slashes(body).partition("/")[2].partition(":")
    location = _generic("db2", _after_slashes(body).partition("/")[0] + "/" + database)
    return JdbcLocation(location.namespace, database.partition(";")[0], "db2",
                        _parameters(tail, ";").get("currentschema", ""))


def _teradata(body: str) -> JdbcLocation:
    """`teradata://host/DATABASE=db,DBS_PORT=1025,…`."""
    host, _, tail = _after_slashes(body).partition("/")
    values = _parameters(tail, ",")
    port = values.get("dbs_port", "1025")
    return JdbcLocation(f"teradata://{host.lower()}:{port}", values.get("database", ""), "teradata")


def _snowflake(body: str) -> JdbcLocation:
    """`snowflake://account.snowflakecomputing.com/?db=…&schema=…`."""
    address, _, tail = _after_slashes(body).partition("/")
    values = _parameters(tail.lstrip("?"), "&")
    account = snowflake_account(address.partition(":")[0])
    return JdbcLocation(f"snowflake://{account}", values.get("db", values.get("database", "")), "snowflake",
                        values.get("schema", ""))


def snowflake_account(host: str) -> str:
    """`org-account`, or `locator.region.cloud`: OpenLineage completes a bare locator with the default region."""
    account = re.sub(r"(?:\.privatelink)?\.snowflakecomputing\.(?:com|cn)$", "", host.lower())
    parts = account.split(".")
    if len(parts) == 1:
        return account if "-" in account else f"{account}.us-west-1.aws"
    return f"{account}.aws" if len(parts) == 2 else account


def _hana(body: str) -> JdbcLocation:
    """`sap://host:port/?databaseName=…&currentschema=…`."""
    address, _, tail = _after_slashes(body).partition("/")
    values = _parameters(tail.lstrip("?"), "&")
    return JdbcLocation(f"sap://{address.lower()}", values.get("databasename", ""), "sap",
                        values.get("currentschema", ""))


def _trino(body: str) -> JdbcLocation:
    """`trino://host:port/catalog/schema?…`."""
    address, _, tail = _after_slashes(body).partition("/")
    catalog, _, schema = re.split(r"[?;]", tail)[0].partition("/")
    return JdbcLocation(f"trino://{address.lower()}", catalog, "trino", schema)


def _databricks(body: str) -> JdbcLocation:
    """`databricks://host:443[/schema];ConnCatalog=…;ConnSchema=…`: the workspace's Unity Catalog."""
    address, _, tail = _after_slashes(body).partition(";")
    values = _parameters(tail, ";")
    address, _, schema = address.partition("/")
    host = address.partition(":")[0]
    return JdbcLocation(f"databricks://{host.lower()}", values.get("conncatalog", ""), "databricks",
                        values.get("connschema", "") or schema)


def _bigquery(body: str) -> JdbcLocation:
    """`bigquery://https://www.googleapis.com/…;ProjectId=…;DefaultDataset=…`."""
    values = _parameters(body.partition(";")[2], ";")
    return JdbcLocation("bigquery", values.get("projectid", ""), "bigquery", values.get("defaultdataset", ""))


def _athena(body: str) -> JdbcLocation:
    """`awsathena://AwsRegion=…;Catalog=…;Schema=…`, or a host that has the region."""
    rest = _after_slashes(body)
    values = _parameters(rest, ";")
    host = re.match(r"athena\.(?P<region>[\w-]+)\.amazonaws", rest)
    region = values.get("awsregion") or values.get("region") or (host["region"] if host else "")
    return JdbcLocation(f"awsathena://athena.{region}.amazonaws.com", values.get("catalog", "AwsDataCatalog"), "athena",
                        values.get("schema", values.get("database", "")))


_READERS: Dict[str, Callable[[str], JdbcLocation]] = {
    "sqlserver": _sql_server, "derby": _embedded, "h2": _embedded, "hsqldb": _embedded, "sqlite": _embedded,
    "duckdb": _embedded, "oracle": _oracle, "mysql": _mysql, "mariadb": _mysql, "db2": _db2, "teradata": _teradata,
    "snowflake": _snowflake, "sap": _hana, "trino": _trino, "databricks": _databricks, "bigquery": _bigquery,
    "awsathena": _athena, "athena": _athena,
}


def _host_and_port(address: str) -> Tuple[str, str]:
    """Split at the last colon that is not within an IPv6 address's brackets."""
    head, bracket, tail = address.rpartition("]")
    host, _, port = tail.partition(":")
    return head + bracket + host, port


def _generic(scheme: str, rest: str) -> JdbcLocation:
    """`[user@]host[:port][,host…]/database[?parameters]`; a `currentSchema` parameter tells the schema."""
    address, _, tail = rest.partition("/")
    address = re.split(r"[?;]", address.rpartition("@")[2])[0]
    database, _, parameters = re.sub(r"[?;&:]", "?", tail, count=1).partition("?")
    port = _DEFAULT_PORTS.get(scheme)
    hosts = [host if _host_and_port(host)[1] or not port else f"{host}:{port}" for host in address.split(",")]
    schema = _parameters(parameters, "[&;]").get("currentschema", "").partition(",")[0]
    return JdbcLocation(f"{scheme}://{','.join(hosts).lower()}", unquote(database), scheme, schema)
