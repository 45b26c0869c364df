"""Files read through `HadoopFsRelation`, and files written."""
from __future__ import annotations

from typing import Dict, Tuple

from adb_lineage.capture.datasets import Dataset, from_path, parent
from adb_lineage.capture.readers.base import (
    Reading,
    Write,
    command,
    lifecycle_of_mode,
    schema_of,
    table_name,
)


def file_datasets(reading: Reading, relation: object) -> Tuple[Dataset, ...]:
    """One dataset for each root path. A single file stays a file; of several files it is their folders."""
    jvm = reading.jvm
    location = jvm.ask(relation, "location")
    roots = jvm.ask(location, "rootPaths")
    paths = jvm.lines(roots)
    datasets = [from_path(path) for path in paths]
    if len(paths) > 1 and _is_file(reading, location, jvm.call(roots, "apply", 0)):
        datasets = [parent(dataset) for dataset in datasets]
    unique: Dict[Tuple[str, str], Dataset] = {dataset.key: dataset for dataset in datasets}
    schema = schema_of(reading.node)
    return tuple(dataset.with_schema(schema) for dataset in unique.values())


def _is_file(reading: Reading, location: object, root: object) -> bool:
    """Whether a root path is a file: the index listed its files when the DataFrame was made; nothing is listed now."""
    try:
        return bool(reading.jvm.call(reading.jvm.ask(location, "leafFiles"), "contains", root))
    except Exception:  # noqa: BLE001  an index without that list has folders for roots
        return False


@command("InsertIntoHadoopFsRelationCommand")
def insert_into_files(reading: Reading) -> Write:
    """`df.write.parquet(path)`, and what INSERT INTO a file-based table becomes."""
    jvm = reading.jvm
    mode = jvm.text(jvm.ask(reading.java, "mode"))
    path = jvm.text(jvm.ask(reading.java, "outputPath"))
    if "catalogTable" in reading.node.fields or not reading.node.fields:
        table = jvm.ask(reading.java, "catalogTable?")
        name = table_name(reading, "catalogTable", table) if table is not None else None
        if name is not None:
            return Write(reading.surroundings.table(name, path, escaped=False), lifecycle_of_mode(mode, False))
    return Write(from_path(path), lifecycle_of_mode(mode, False))


@command("InsertIntoDataSourceDirCommand", "InsertIntoHiveDirCommand", "InsertIntoDir")
def insert_overwrite_directory(reading: Reading) -> Write:
    """`INSERT OVERWRITE DIRECTORY`."""
    uri = reading.jvm.ask(reading.java, "storage", "locationUri?")
    overwrite = bool(reading.jvm.ask(reading.java, "overwrite"))
    query = "child" if reading.node.name == "InsertIntoDir" else "query"
    dataset = None if uri is None else from_path(reading.jvm.text(uri), escaped=True)
    return Write(dataset, "OVERWRITE" if overwrite else "", query)
