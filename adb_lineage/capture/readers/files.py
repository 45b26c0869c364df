"""Files read through `HadoopFsRelation`, and files written."""
from __future__ import annotations

from typing import Dict, Iterable, List, Sequence, Tuple

from adb_lineage.capture.connectors import delta_sharing_path, without_glob
from adb_lineage.capture.datasets import Dataset
from adb_lineage.capture.options import Options
from adb_lineage.capture.readers.base import (
    Reading,
    Write,
    command,
    keeps_existing,
    lifecycle_of_mode,
    schema_of,
    table_name,
)

MAX_ROOTS = 1000
"""Different folders of one read that are told apart; more are named by the folder that holds them all."""


def file_datasets(reading: Reading, relation: object) -> Tuple[Dataset, ...]:
    """One dataset for each root path. A single file stays a file; of several files it is their folders."""
    jvm = reading.jvm
    if reading.node.fields.get("isStreaming") is True:  # a micro-batch lists its new files; its folder is meant
        base = Options(jvm, jvm.attempt(relation, "options")).get("basePath")
        if base:
            return datasets_of_paths(reading, [without_glob(base)])
    location = jvm.ask(relation, "location")
    roots = jvm.ask(location, "rootPaths")
    paths = jvm.lines(roots)
    if len(paths) == 1 and "#" in paths[0] and ".sharing." in jvm.class_name(location):
        return tuple(dataset.with_schema(schema_of(reading.node))
                     for dataset in delta_sharing_path(paths[0], _sharing_server(reading, location)))
    files = len(paths) > 1 and _is_file(reading, location, jvm.call(roots, "apply", 0))
    return datasets_of_paths(reading, paths, files=files)


def datasets_of_paths(reading: Reading, paths: Sequence[str], *, files: bool = False) -> Tuple[Dataset, ...]:
    """The datasets at paths, each once; `files` says that they are files, which their folders stand for."""
    unique: Dict[Tuple[str, str], Dataset] = {}
    for path in paths:
        dataset = reading.surroundings.path(path)
        if files:
            dataset = reading.surroundings.path(parent_path(path))
        unique.setdefault(dataset.key, dataset)
    if len(unique) > MAX_ROOTS:
        reading.note(f"{len(unique)} folders are read at once: they are named by the folder that holds them all")
        unique = common_folders(unique.values())
    schema = schema_of(reading.node)
    return tuple(dataset.with_schema(schema) for dataset in unique.values())


def parent_path(path: str) -> str:
    """The folder of a file's path."""
    return path.rstrip("/").rpartition("/")[0] or "/"


def common_folders(datasets: Iterable[Dataset]) -> Dict[Tuple[str, str], Dataset]:
    """For each file system the deepest folder above all the datasets in it."""
    parts: Dict[str, List[str]] = {}
    for dataset in datasets:
        own = dataset.name.split("/")
        known = parts.get(dataset.namespace)
        if known is None:
            parts[dataset.namespace] = own
        else:
            length = next((at for at, (one, other) in enumerate(zip(known, own)) if one != other),
                          min(len(known), len(own)))
            parts[dataset.namespace] = known[:length]
    found = (Dataset(namespace, "/".join(own) or "/") for namespace, own in parts.items())
    return {dataset.key: dataset for dataset in found}


def _sharing_server(reading: Reading, location: object) -> str:
    """The endpoint in the profile that a Delta Sharing index holds; its bearer token is not asked for."""
    jvm = reading.jvm
    for path in (("params", "profileProvider", "getProfile", "endpoint"),
                 ("client", "getProfileProvider", "getProfile", "endpoint")):
        endpoint = jvm.attempt(location, *path)
        if endpoint:
            return str(endpoint)
    return ""


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
    kept = mode == "Ignore" or keeps_existing(reading)
    if "catalogTable" in reading.node.fields or not reading.node.fields:
        table = jvm.ask(reading.java, "catalogTable?")
        name = table_name(reading, "catalogTable", table) if table is not None else None
        if name is not None:
            return Write(reading.surroundings.table(name, path, escaped=False), lifecycle_of_mode(mode, False),
                         unless_there=kept)
    return Write(reading.surroundings.path(path), lifecycle_of_mode(mode, False), unless_there=kept)


@command("InsertIntoDataSourceDirCommand", "InsertIntoHiveDirCommand", "InsertIntoDir")
def insert_overwrite_directory(reading: Reading) -> Write:
    """`INSERT OVERWRITE DIRECTORY`."""
    uri = reading.jvm.ask(reading.java, "storage", "locationUri?")
    overwrite = bool(reading.jvm.ask(reading.java, "overwrite"))
    query = "child" if reading.node.name == "InsertIntoDir" else "query"
    dataset = None if uri is None else reading.surroundings.path(reading.jvm.text(uri), escaped=True)
    return Write(dataset, "OVERWRITE" if overwrite else "", query)
