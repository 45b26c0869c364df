"""Sources and sinks of Structured Streaming."""
from __future__ import annotations

from typing import Any, Optional, Tuple

from adb_lineage.capture.connectors import connector, kafka, nothing
from adb_lineage.capture.datasets import Dataset, Symlink, TableName
from adb_lineage.capture.options import Options
from adb_lineage.capture.plan import simple_name
from adb_lineage.capture.readers.base import Reading, Write, location_of, relation, schema_of, unknown_relation
from adb_lineage.capture.readers.v2 import v2_table

# Sinks that keep nothing, or hand the batches to code of the user's: what that writes is seen by itself.
NO_SINK = frozenset(("ForeachBatchSink", "ForeachWriterTable", "ForeachSink", "ConsoleTable", "ConsoleSink",
                     "NoopTable", "NoopDataSource", "ForeachBatchUserFuncSink"))


@relation("StreamingRelation")
def v1_source(reading: Reading) -> Tuple[Dataset, ...]:
    """`readStream.format(…).load()` of a V1 source, and a table as a stream: files, Auto Loader, Event Hubs."""
    jvm = reading.jvm
    source = jvm.ask(reading.java, "dataSource")
    schema = schema_of(reading.node)
    table = jvm.attempt(source, "catalogTable?")
    if table is not None:
        identifier = jvm.ask(table, "identifier")
        name = TableName(str(jvm.ask(identifier, "table")), str(jvm.ask(identifier, "database?") or ""),
                         str(jvm.attempt(identifier, "catalog?") or ""))
        return (reading.surroundings.table(name, location_of(reading, table)).with_schema(schema),)
    format_name = str(jvm.ask(source, "className"))
    read = connector(format_name)
    found = read(Options(jvm, jvm.ask(source, "options"), reading.surroundings.root))
    if not found and read is not nothing:
        found = (Dataset("unknown", format_name, known=False),)
    return tuple(dataset.with_schema(schema) for dataset in found)


@relation("StreamingRelationV2")
def v2_source(reading: Reading) -> Tuple[Dataset, ...]:
    """A V2 source: Kafka, rate, socket, Delta and others, by catalog and identifier or by its options."""
    jvm, java = reading.jvm, reading.java
    return v2_table(reading, jvm.ask(java, "table"), jvm.attempt(java, "catalog?"), jvm.attempt(java, "identifier?"),
                    jvm.attempt(java, "extraOptions"), str(jvm.attempt(java, "sourceName") or ""))


def sink(reading: Reading, execution: Any) -> Optional[Write]:
    """What a streaming query writes; None for a sink that keeps nothing or hands its batches on.

    `reading` is of the plan of one micro-batch, whose root names table and options in newer Sparks; `execution` is
    the JVM's StreamExecution, which has the sink itself.
    """
    jvm = reading.jvm
    target = jvm.ask(execution, "sink")
    class_name = jvm.class_name(target)
    kind = simple_name(class_name)
    if kind in NO_SINK:
        return None
    lifecycle = "OVERWRITE" if jvm.text(jvm.attempt(execution, "outputMode") or "") == "Complete" else ""
    if kind == "MemorySink":
        name = jvm.attempt(execution, "name")
        if not name:
            return None
        reading.surroundings.places.remember(Dataset("memory", str(name), symlinks=(_memory_link(reading, target),)))
        return Write(Dataset("memory", str(name)), lifecycle)
    marked = simple_name(jvm.class_name(reading.java)).startswith("WriteToMicroBatchDataSource")
    table = jvm.attempt(reading.java, "catalogTable?") if marked else None
    if table is not None:
        identifier = jvm.ask(table, "identifier")
        name = TableName(str(jvm.ask(identifier, "table")), str(jvm.ask(identifier, "database?") or ""),
                         str(jvm.attempt(identifier, "catalog?") or ""))
        return Write(reading.surroundings.table(name, location_of(reading, table)), lifecycle)
    dataset = _sink_by_members(reading, target, class_name)
    if dataset is None:
        dataset = _sink_table(reading, execution, target, marked)
    if dataset is None or not dataset.known:
        reading.note(f"the sink {class_name} is not known exactly")
    return Write(dataset or Dataset("unknown", class_name, known=False), lifecycle)


@relation("MemoryPlan")
def memory_rows(reading: Reading) -> Tuple[Dataset, ...]:
    """The rows of a memory sink, which knows nothing of the query that fills it: told by the sink's identity."""
    found = reading.surroundings.places.find(_memory_link(reading, reading.jvm.ask(reading.java, "sink")))
    if found is None:
        return (unknown_relation(reading.node.class_name),)
    return (Dataset(*found.key).with_schema(schema_of(reading.node)),)


def _memory_link(reading: Reading, memory_sink: Any) -> Symlink:
    """A name for the sink's object: Java's identity, as the class has no hash code of its own."""
    return Symlink("memory sink", str(reading.jvm.ask(memory_sink, "hashCode")))


def _sink_by_members(reading: Reading, target: Any, class_name: str) -> Optional[Dataset]:
    """A V1 sink: by the path, topic or options that it was made with."""
    jvm = reading.jvm
    kind = simple_name(class_name)
    if kind in ("FileStreamSink", "DeltaSink"):
        path = jvm.field(target, "path")
        return None if path is None else reading.surroundings.path(jvm.text(path))
    if kind == "KafkaSink":
        topic = jvm.content(jvm.field(target, "topic"))
        brokers = Options(jvm, jvm.field(target, "executorKafkaParams")).get("bootstrap.servers")
        return kafka(Options(jvm, {"bootstrap.servers": brokers, "topic": str(topic or "")}))[0] if brokers else None
    read = connector(class_name)
    for member in ("parameters", "options"):
        options = jvm.field(target, member)
        try:
            found = read(Options(jvm, options, reading.surroundings.root)) if options is not None else ()
        except Exception:  # noqa: BLE001  a member of that name that is no map
            found = ()
        if found:
            return found[0]
    return None


def _sink_table(reading: Reading, execution: Any, target: Any, marked: bool) -> Optional[Dataset]:
    """A V2 sink: the table of a catalog, or one told by its options."""
    jvm = reading.jvm
    catalog = identifier = None
    options = jvm.attempt(reading.java, "writeOptions") if marked else jvm.field(execution, "extraOptions")
    if marked:
        table = jvm.attempt(reading.java, "relation")
        if simple_name(jvm.class_name(table)) in ("Some", "None"):
            table = jvm.content(table)
        if table is not None:
            catalog, identifier = jvm.attempt(table, "catalog?"), jvm.attempt(table, "identifier?")
    found = v2_table(reading, target, catalog, identifier, options)
    return found[0] if found else None
