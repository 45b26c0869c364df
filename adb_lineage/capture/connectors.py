"""Data stores beside files: their datasets under OpenLineage's names, told from the options of a read or a write.

Sources of the names: OpenLineage's naming specification and its Spark agent; for stores that neither knows, the same
pattern (`scheme://host:port` and the path within). A connector gives no dataset where its options do not tell one.
"""
from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import replace
from typing import Callable, Dict, Iterable, Mapping, Tuple
from urllib.parse import unquote, urlsplit

from adb_lineage.capture.datasets import Dataset, from_path, in_file_system
from adb_lineage.capture.jdbc import JdbcLocation, parse_jdbc_url, snowflake_account
from adb_lineage.capture.options import Options
from adb_lineage.capture.queries import tables_in_query

Datasets = Tuple[Dataset, ...]
Connector = Callable[[Options], Datasets]

_CONNECTION_PART = re.compile(r"(?P<key>[A-Za-z]+)=(?P<value>[^;]*)")
_KUSTO_TABLE = re.compile(r"""\s*(?:\[\s*(?P<quote>['"])(?P<quoted>.+?)(?P=quote)\s*\]|(?P<plain>\w+))\s*;?\s*""")
_KUSTO_HEAD = re.compile(r"""\s*(?:\[\s*(?P<quote>['"])(?P<quoted>.+?)(?P=quote)\s*\]|(?P<plain>[A-Za-z_]\w*))\s*\|""")
_KUSTO_SEVERAL = re.compile(
    r"\b(?:join|union|lookup|let|find|search|datatable|externaldata|print|range|evaluate|macro-expand)\b",
    re.IGNORECASE)
_COSMOS_NAME = "com.azure.cosmos.spark.items."


def unknown_table(namespace: str, name: str) -> Datasets:
    """A place within a known store that could not be told exactly."""
    return (Dataset(namespace, name, known=False, columns={}),)


def jdbc(options: Options) -> Datasets:
    """`url` with `dbtable` or `query`."""
    url = options.get("url", "jdbcurl")
    if not url:
        return ()
    return sql_source(parse_jdbc_url(url), options.get("dbtable", "query"), options.get("prepareQuery"))


def sql_source(location: JdbcLocation, source: str, before: str = "") -> Datasets:
    """The tables of a `dbtable` or `query` in a database; `before` is what Spark puts in front of it."""
    if not source:
        return ()
    tables = tables_in_query(source, location.dialect, before)
    if not tables:
        return unknown_table(location.namespace, "query")
    if len(tables) == 1 and tables[0] == source.strip():
        return (location.dataset(tables[0]),)
    return tuple(_queried({location.dataset(table).key: location.dataset(table) for table in tables}.values()))


def _queried(datasets: Iterable[Dataset]) -> Iterable[Dataset]:
    """Datasets behind a query: its columns are not theirs."""
    return (replace(dataset, columns={}) for dataset in datasets)


def sql_server(options: Options) -> Datasets:
    """Databricks' and Microsoft's SQL Server connectors: a JDBC URL, or `host`, `port`, `database`."""
    return jdbc(options) or _by_host(options, "sqlserver")


def postgresql(options: Options) -> Datasets:
    """Databricks' `postgresql` format."""
    return jdbc(options) or _by_host(options, "postgresql")


def mysql(options: Options) -> Datasets:
    """Databricks' `mysql` format."""
    return jdbc(options) or _by_host(options, "mysql")


def redshift(options: Options) -> Datasets:
    """The Redshift connectors: `url` with `dbtable` or `query`, or `host`; never the staging folder `tempdir`."""
    return jdbc(options) or _by_host(options, "redshift")


def _by_host(options: Options, scheme: str) -> Datasets:
    host = options.get("host")
    if not host:
        return ()
    port = options.get("port")
    address = f"{host}:{port}" if port else host
    database = options.get("database")
    tail = f";databaseName={database}" if scheme == "sqlserver" else f"/{database}"
    return sql_source(parse_jdbc_url(f"jdbc:{scheme}://{address}{tail}"), options.get("dbtable", "query"))


def synapse(options: Options) -> Datasets:
    """Databricks' Synapse connector: `url` with `dbTable` or `query`; never the staging folder `tempDir`."""
    return jdbc(options)


def kafka(options: Options) -> Datasets:
    """Topics under the first broker. A pattern of topics names no topic, so it stands as an unknown one."""
    broker = options.get("kafka.bootstrap.servers", "bootstrap.servers").split(",")[0].strip()
    if not broker:
        return ()
    namespace = f"kafka://{broker.rpartition('://')[2]}"
    named = tuple(topic.strip() for topic in options.get("subscribe", "topic").split(",") if topic.strip())
    topics = named or _assigned_topics(options.get("assign"))
    if topics:
        return tuple(Dataset(namespace, topic) for topic in dict.fromkeys(topics))
    return unknown_table(namespace, options.get("subscribePattern") or "topics of the rows")


def _assigned_topics(assignment: str) -> Tuple[str, ...]:
    """`{"topic": [partition, …], …}`."""
    try:
        found = json.loads(assignment) if assignment else {}
    except ValueError:
        return ()
    return tuple(found) if isinstance(found, dict) else ()


def event_hubs(options: Options) -> Datasets:
    """An event hub of `eventhubs.connectionString`; of that, only the endpoint and the hub's name are looked at.

    The connector wants the connection string encrypted with a key of its own: then nothing of it can be told.
    """
    parts = connection_parts(options.get("eventhubs.connectionString"))
    host = urlsplit(parts.get("endpoint", "")).hostname
    hub = parts.get("entitypath") or options.get("eventhubs.name")
    if not host:
        return unknown_table("eventhubs", hub or "encrypted connection string")
    return (Dataset(f"eventhubs://{host}", hub),) if hub else unknown_table(f"eventhubs://{host}", "unnamed hub")


def connection_parts(text: str) -> Mapping[str, str]:
    """Endpoint and EntityPath of an Azure connection string, by lower-case key; {} when it is not one in clear."""
    if "=" not in text or "endpoint" not in text.lower():
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, ValueError):
            return {}
    return {match["key"].lower(): match["value"] for match in _CONNECTION_PART.finditer(text)
            if match["key"].lower() in ("endpoint", "entitypath")}


def kusto(options: Options) -> Datasets:
    """Azure Data Explorer: cluster and database, and a table (writes) or a query (reads)."""
    return kusto_source(options.get("kustoCluster"), options.get("kustoDatabase"),
                        options.get("kustoTable", "kustoQuery"))


def kusto_source(cluster: str, database: str, query: str) -> Datasets:
    """`cluster` is an alias (`mycluster.westeurope`), a host or a URL; `query` a table or a KQL query."""
    host = urlsplit(cluster).hostname or cluster if "://" in cluster else cluster.partition("/")[0]
    if not host or not query:
        return ()
    known_domain = re.search(r"\.(?:kusto|kustomfa|kustodev|azuresynapse|fabric)\.", host.lower() + ".")
    namespace = f"azurekusto://{host if known_domain else host + '.kusto.windows.net'}/{database}"
    table = _KUSTO_TABLE.fullmatch(query)
    if table is not None:
        return (Dataset(namespace, table["quoted"] or table["plain"]),)
    head = None if _KUSTO_SEVERAL.search(query) else _KUSTO_HEAD.match(query)
    if head is not None:
        return (Dataset(namespace, head["quoted"] or head["plain"], columns={}),)
    return unknown_table(namespace, "COMPLEX")


def cosmos(options: Options) -> Datasets:
    """Cosmos DB for NoSQL: account endpoint, database, container."""
    host = urlsplit(options.get("spark.cosmos.accountEndpoint")).hostname
    database, container = options.get("spark.cosmos.database"), options.get("spark.cosmos.container")
    if not host or not database or not container:
        return ()
    return (Dataset(f"azurecosmos://{host}/dbs/{database}", f"/colls/{container}"),)


def cosmos_name(name: str) -> Datasets:
    """From the name that the connector's table gives itself: prefix, account, database, container."""
    if not name.startswith(_COSMOS_NAME):
        return ()
    account, _, rest = name[len(_COSMOS_NAME):].partition(".")
    database, _, container = rest.partition(".")
    if not container:
        return ()
    return (Dataset(f"azurecosmos://{account}.documents.azure.com/dbs/{database}", f"/colls/{container}"),)


def snowflake(options: Options) -> Datasets:
    """`sfURL`, `sfDatabase`, `sfSchema` with `dbtable` or `query`; in Databricks also `host`, `database`, `schema`."""
    url = options.get("sfurl", "host")
    if not url:
        return ()
    host = (urlsplit(url).hostname if "://" in url else url.partition("/")[0].partition(":")[0]) or ""
    location = JdbcLocation(f"snowflake://{snowflake_account(host)}", options.get("sfdatabase", "database"),
                            "snowflake", options.get("sfschema", "schema"))
    return sql_source(location, options.get("dbtable", "query"))


def bigquery(options: Options) -> Datasets:
    """`table` or `path` as `[project[.:]][dataset.]table`, or `query`."""
    project = options.get("project", "parentProject")
    source = options.get("query") or options.get("table", "path")
    if not source:
        return ()
    if re.search(r"\s", source.strip()):
        tables = tables_in_query(source, "bigquery")
        if not tables:
            return unknown_table("bigquery", "query")
    else:
        return (Dataset("bigquery", _bigquery_name(source, project, options.get("dataset"))),)
    names = dict.fromkeys(_bigquery_name(table, project, options.get("dataset")) for table in tables)
    return tuple(_queried(Dataset("bigquery", name) for name in names))


def _bigquery_name(table: str, project: str, dataset: str) -> str:
    parts = table.replace("`", "").replace(":", ".").split(".")
    if len(parts) == 1 and dataset:
        parts.insert(0, dataset)
    if len(parts) == 2 and project:
        parts.insert(0, project)
    return ".".join(parts)


def mongodb(options: Options) -> Datasets:
    """A connection URI with database and collection; user and password of the URI are left out."""
    uri = options.get("connection.uri", "spark.mongodb.connection.uri", "spark.mongodb.read.connection.uri",
                      "spark.mongodb.write.connection.uri", "spark.mongodb.input.uri", "spark.mongodb.output.uri",
                      "uri")
    match = re.match(r"(?P<scheme>mongodb(?:\+srv)?)://(?:[^@/]*@)?(?P<hosts>[^/?]+)(?:/(?P<path>[^?]*))?", uri)
    path_database, _, path_collection = unquote(match["path"] or "").partition(".") if match else ("", "", "")
    database = options.get("database", "spark.mongodb.database", "spark.mongodb.read.database",
                           "spark.mongodb.write.database") or path_database
    collection = options.get("collection", "spark.mongodb.collection", "spark.mongodb.read.collection",
                             "spark.mongodb.write.collection") or path_collection
    if not database or not collection:
        return ()
    hosts = match["hosts"] if match else options.get("host")
    scheme = match["scheme"] if match else "mongodb"
    if not hosts:
        return unknown_table("mongodb", f"{database}.{collection}")
    return (Dataset(f"{scheme}://{hosts}", f"{database}.{collection}"),)


def elasticsearch(options: Options) -> Datasets:
    """An index under the first node: `es.nodes`, `es.port`, and `es.resource` or the path."""
    resource = options.get("es.resource.read", "es.resource.write", "es.resource", "resource", "path").strip("/")
    if not resource:
        return ()
    node = options.get("es.nodes", "nodes").split(",")[0].strip() or "localhost"
    host, _, port = node.rpartition("://")[2].partition("/")[0].partition(":")
    namespace = f"elasticsearch://{host}:{port or options.get('es.port', 'port') or '9200'}"
    return tuple(Dataset(namespace, index) for index in resource.partition("/")[0].split(",") if index)


def cassandra(options: Options) -> Datasets:
    """`keyspace` and `table` under the first contact point, where an option names it."""
    keyspace, table = options.get("keyspace"), options.get("table")
    if not keyspace or not table:
        return ()
    host = options.get("spark.cassandra.connection.host").split(",")[0].strip()
    port = options.get("spark.cassandra.connection.port") or "9042"
    if not host:
        return unknown_table("cassandra", f"{keyspace}.{table}")
    return (Dataset(f"cassandra://{host}" if ":" in host else f"cassandra://{host}:{port}", f"{keyspace}.{table}"),)


def delta_sharing(options: Options) -> Datasets:
    """`<profile file>#<share>.<schema>.<table>`; the server's address is in the profile, which is not read here."""
    return delta_sharing_path(options.get("path"), "")


def delta_sharing_path(path: str, endpoint: str) -> Datasets:
    """The shared table of a path, under the sharing server's host where `endpoint` (a URL) tells it."""
    profile, _, table = path.rpartition("#")
    if not table or not profile:
        return ()
    host = urlsplit(endpoint).hostname
    return (Dataset(f"delta-sharing://{host}", table),) if host else unknown_table("delta-sharing", table)


def files(options: Options) -> Datasets:
    """A format that lives in the file system: what lies at `path`; of a glob, the folder that holds all of it."""
    path = options.get("path")
    return (from_path(in_file_system(without_glob(path), options.root)),) if path else ()


def without_glob(path: str) -> str:
    """The deepest folder of a path above its first part with a wildcard."""
    parts = path.split("/")
    for position, part in enumerate(parts):
        if re.search(r"(?<!\\)[*?\[{]", part):
            return "/".join(parts[:position]) or "/"
    return path


def socket(options: Options) -> Datasets:
    """A TCP socket that a stream reads lines from."""
    host, port = options.get("host"), options.get("port")
    return (Dataset(f"socket://{host}:{port}", "/"),) if host and port else ()


def nothing(options: Options) -> Datasets:
    """A source that makes its rows itself, or a sink that keeps none."""
    return ()


# The short names of formats, and beginnings of the class names of their providers, relations and tables.
CONNECTORS: Dict[str, Connector] = {}
for _connector, _names in (
        (jdbc, "jdbc org.apache.spark.sql.execution.datasources.jdbc. oracle teradata"),
        (sql_server, "sqlserver com.microsoft.sqlserver.jdbc.spark com.databricks.spark.sqlserver"),
        (postgresql, "postgresql com.databricks.spark.postgresql"),
        (mysql, "mysql com.databricks.spark.mysql"),
        (synapse, "sqldw com.databricks.spark.sqldw"),
        (redshift, "redshift com.databricks.spark.redshift io.github.spark_redshift_community com.snowflake.redshift"),
        (snowflake, "snowflake net.snowflake.spark.snowflake com.databricks.spark.snowflake"),
        (kafka, "kafka org.apache.spark.sql.kafka010"),
        (event_hubs, "eventhubs org.apache.spark.sql.eventhubs"),
        (kusto, "kusto com.microsoft.kusto.spark"),
        (cosmos, "cosmos.oltp cosmos.olap cosmos.oltp.changefeed com.azure.cosmos.spark"),
        (bigquery, "bigquery com.google.cloud.spark.bigquery"),
        (mongodb, "mongodb mongo com.mongodb.spark"),
        (elasticsearch, "es org.elasticsearch.spark.sql opensearch org.opensearch.spark.sql"),
        (cassandra, "org.apache.spark.sql.cassandra com.datastax.spark.connector"),
        (delta_sharing, "deltasharing io.delta.sharing"),
        (socket, "socket org.apache.spark.sql.execution.streaming.sources.TextSocket"
                 " org.apache.spark.sql.execution.streaming.TextSocket"),
        (files, "delta parquet orc csv json text avro xml binaryfile hudi cloudfiles excel"
                " org.apache.spark.sql.execution.datasources.parquet. org.apache.spark.sql.execution.datasources.orc."
                " org.apache.spark.sql.execution.datasources.csv. org.apache.spark.sql.execution.datasources.json."
                " org.apache.spark.sql.execution.datasources.text. org.apache.spark.sql.execution.datasources.xml."
                " org.apache.spark.sql.avro. org.apache.spark.sql.delta. com.databricks.sql.transaction.tahoe."
                " org.apache.hudi com.crealytics.spark.excel dev.mauch.spark.excel com.databricks.spark.xml"
                " com.databricks.spark.avro com.databricks.sql.fileNotification com.databricks.sql.cloudfiles"),
        (nothing, "rate rate-micro-batch ratepermicrobatch console noop"
                  " org.apache.spark.sql.execution.datasources.noop."
                  " org.apache.spark.sql.execution.streaming.sources.RateStream"
                  " org.apache.spark.sql.execution.streaming.sources.RatePerMicroBatch"
                  " org.apache.spark.sql.execution.streaming.ConsoleSinkProvider"
                  " org.apache.spark.sql.execution.streaming.sources.ConsoleSinkProvider"
                  " org.apache.spark.sql.execution.streaming.ConsoleTable"),
):
    CONNECTORS.update(dict.fromkeys(_names.split(), _connector))


def connector(*names: str) -> Connector:
    """The connector for a format's short name or a class name; `unknown` when there is none."""
    for name in names:
        if name.lower() in CONNECTORS:
            return CONNECTORS[name.lower()]
        if "." in name:
            for prefix in sorted((one for one in CONNECTORS if "." in one and name.startswith(one)), key=len):
                return CONNECTORS[prefix]
    return unknown


def unknown(options: Options) -> Datasets:
    """A source of a kind nobody taught us: the path or table it is told to use, where it has such an option."""
    name = options.get("path")
    if "/" in name:
        return files(options)
    name = name or options.get("dbtable", "table")
    return unknown_table("unknown", name) if name else ()
