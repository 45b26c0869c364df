"""JDBC: `spark.read.jdbc`, `df.write.jdbc`, and tables over JDBC."""
from __future__ import annotations

from typing import Callable, Dict, Tuple

from adb_lineage.capture.datasets import Dataset
from adb_lineage.capture.jdbc import parse_jdbc_url
from adb_lineage.capture.plan import simple_name
from adb_lineage.capture.queries import tables_in_query
from adb_lineage.capture.readers.base import Reading, Write, command, lifecycle_of_mode, relation, schema_of


@relation("JDBCRelation")
def jdbc_relation(reading: Reading) -> Tuple[Dataset, ...]:
    """The table, or the tables of the query; an alias never becomes a table."""
    options = reading.jvm.ask(reading.java, "jdbcOptions")
    location = parse_jdbc_url(str(reading.jvm.ask(options, "url")))
    source = str(reading.jvm.ask(options, "tableOrQuery"))
    schema = schema_of(reading.node)
    tables = tables_in_query(source, location.dialect)
    if len(tables) == 1 and tables[0] == source:
        return (location.dataset(source).with_schema(schema),)
    return tuple(location.dataset(table) for table in tables)


def _jdbc_write(reading: Reading) -> Dataset:
    options = reading.jvm.ask(reading.java, "options")
    location = parse_jdbc_url(reading.jvm.option(options, "url"))
    return location.dataset(reading.jvm.option(options, "dbtable"))


# Providers of `df.write.format(…)`, by simple class name; each reads the command's options.
PROVIDERS: Dict[str, Callable[[Reading], Dataset]] = {"JdbcRelationProvider": _jdbc_write}


@command("SaveIntoDataSourceCommand")
def save_into_data_source(reading: Reading) -> Write:
    """`df.write.format(…)` of a V1 source: the provider's class says how to read the options."""
    provider = reading.jvm.class_name(reading.jvm.ask(reading.java, "dataSource"))
    mode = reading.jvm.text(reading.jvm.ask(reading.java, "mode"))
    reader = PROVIDERS.get(simple_name(provider))
    dataset = reader(reading) if reader else Dataset("unknown", provider, known=False)
    return Write(dataset, lifecycle_of_mode(mode, False))
