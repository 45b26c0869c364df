"""V1 data sources: their relations, and `df.write.format(…).save()`."""
from __future__ import annotations

from typing import Callable, Dict, Optional, Tuple

from adb_lineage.capture.connectors import connector, kafka, kusto_source, sql_source, unknown_table
from adb_lineage.capture.datasets import Dataset, Symlink
from adb_lineage.capture.jdbc import parse_jdbc_url
from adb_lineage.capture.options import Options
from adb_lineage.capture.plan import simple_name
from adb_lineage.capture.readers.base import Reading, Write, command, lifecycle_of_mode, schema_of

Datasets = Tuple[Dataset, ...]

# Readers of what lies in `LogicalRelation.relation`, by simple class name; `Reading.java` is that relation.
V1_RELATIONS: Dict[str, Callable[[Reading], Datasets]] = {}


def v1_relation(*names: str) -> Callable[[Callable[[Reading], Datasets]], Callable[[Reading], Datasets]]:
    """Register a reader of V1 relations by their simple class names."""
    def register(reader: Callable[[Reading], Datasets]) -> Callable[[Reading], Datasets]:
        V1_RELATIONS.update(dict.fromkeys(names, reader))
        return reader
    return register


def read_v1_relation(reading: Reading, class_name: str, link: Optional[Symlink]) -> Datasets:
    """The datasets of a V1 relation of a data source. Of a catalog table over it, `link` is the table's own name."""
    reader = V1_RELATIONS.get(simple_name(class_name))
    datasets = reader(reading) if reader is not None else _by_members(reading, class_name)
    if not datasets:
        name = link.name if link is not None else class_name
        datasets = (Dataset("unknown", name, known=False),)
    if len(datasets) == 1:
        dataset = datasets[0] if datasets[0].columns is not None else datasets[0].with_schema(schema_of(reading.node))
        datasets = (dataset if link is None else dataset.linked(link),)
    return datasets


@v1_relation("JDBCRelation")
def jdbc_relation(reading: Reading) -> Datasets:
    """The table, or the tables of the query; an alias never becomes a table."""
    jvm = reading.jvm
    options = jvm.ask(reading.java, "jdbcOptions")
    before = Options(reading.jvm, jvm.attempt(options, "parameters")).get("prepareQuery")
    location = parse_jdbc_url(str(jvm.ask(options, "url")))
    return sql_source(location, str(jvm.ask(options, "tableOrQuery")), before)


@v1_relation("SqlDWRelation")
def synapse_relation(reading: Reading) -> Datasets:
    """Databricks' Synapse connector."""
    jvm = reading.jvm
    parameters = jvm.attempt(reading.java, "params") or jvm.field(reading.java, "params")
    url = jvm.attempt(parameters, "jdbcUrl")
    source = jvm.field(reading.java, "tableNameOrSubquery")
    if not url or not source:
        return ()
    return sql_source(parse_jdbc_url(str(url)), str(source))


@v1_relation("KustoRelation")
def kusto_relation(reading: Reading) -> Datasets:
    """Azure Data Explorer."""
    jvm = reading.jvm
    place = jvm.attempt(reading.java, "kustoCoordinates")
    cluster = jvm.attempt(place, "clusterUrl") or jvm.attempt(place, "clusterAlias") or ""
    return kusto_source(str(cluster), str(jvm.attempt(place, "database") or ""),
                        str(jvm.attempt(reading.java, "query") or ""))


@v1_relation("KafkaRelation")
def kafka_relation(reading: Reading) -> Datasets:
    """Kafka read as a batch."""
    return kafka(Options(reading.jvm, reading.jvm.field(reading.java, "sourceOptions")))


@v1_relation("EventHubsRelation")
def event_hubs_relation(reading: Reading) -> Datasets:
    """Event Hubs read as a batch. Its configuration decrypts the connection string; only parts of it are asked for."""
    jvm = reading.jvm
    conf = jvm.field(reading.java, "ehConf")
    host = str(jvm.attempt(conf, "namespaceUri") or "").rpartition("://")[2].strip("/")
    hub = str(jvm.attempt(conf, "name") or "")
    if host and hub:
        return (Dataset(f"eventhubs://{host}", hub),)
    return unknown_table("eventhubs", hub) if hub else ()


@v1_relation("BigQueryRelation", "DirectBigQueryRelation")
def bigquery_relation(reading: Reading) -> Datasets:
    """BigQuery: the table's id has its parts."""
    jvm = reading.jvm
    table = jvm.attempt(reading.java, "tableId") or jvm.attempt(reading.java, "table", "getTableId")
    parts = [jvm.attempt(table, part) for part in ("getProject", "getDataset", "getTable")]
    name = ".".join(str(part) for part in parts if part)
    return (Dataset("bigquery", name),) if parts[2] else ()


@v1_relation("CassandraSourceRelation")
def cassandra_relation(reading: Reading) -> Datasets:
    """Cassandra: keyspace and table; the contact points are in the connector's own configuration."""
    jvm = reading.jvm
    table = jvm.attempt(reading.java, "tableRef")
    keyspace, name = jvm.attempt(table, "keyspace"), jvm.attempt(table, "table")
    if not keyspace or not name:
        return ()
    return unknown_table("cassandra", f"{keyspace}.{name}")


# Members in which connectors keep the options they were made with: a map, or an object that has one.
_OPTION_MEMBERS = (("parameters",), ("params", "parameters"), ("options",), ("params",))


def _by_members(reading: Reading, class_name: str) -> Datasets:
    """A relation known by its package: its options tell, wherever it keeps them."""
    read = connector(class_name)
    for path in _OPTION_MEMBERS:
        options = reading.jvm.attempt(reading.java, *path)
        if options is None and len(path) == 1:
            options = reading.jvm.field(reading.java, path[0])
        if options is None:
            continue
        try:
            datasets = read(Options(reading.jvm, options, reading.surroundings.root))
        except Exception:  # noqa: BLE001  a member of that name that is no map
            continue
        if datasets:
            return datasets
    return ()


@command("SaveIntoDataSourceCommand")
def save_into_data_source(reading: Reading) -> Write:
    """`df.write.format(…).save()` of a V1 source: the provider's class says how to read the options."""
    jvm = reading.jvm
    provider = jvm.class_name(jvm.ask(reading.java, "dataSource"))
    mode = jvm.text(jvm.ask(reading.java, "mode"))
    options = Options(reading.jvm, jvm.ask(reading.java, "options"), reading.surroundings.root)
    datasets = connector(provider)(options)
    dataset = datasets[0] if datasets else Dataset("unknown", provider, known=False)
    if not dataset.known:
        reading.note(f"the target of provider {provider} is not known exactly: {dataset.namespace} {dataset.name}")
    return Write(dataset, lifecycle_of_mode(mode, False), unless_there=mode == "Ignore")


