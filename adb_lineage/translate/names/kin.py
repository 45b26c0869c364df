"""The way back: from a name in the catalog to the other names under which a scan may hold the same asset."""
from __future__ import annotations

from typing import Iterator, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.translate.names.engine import Naming

_STORAGE = ("abfss", "wasbs")
_SPARK_SCHEMES = {"mssql": "sqlserver"}
"""Schemes that Spark calls otherwise than Purview."""


def kin_of(name: AssetName, naming: Naming) -> Tuple[AssetName, ...]:
    """The names of an asset, best first, of which only the one that the rules gave is known; () where that is not
    enough to tell the dataset. A dataset counts if the rules give it that very name again."""
    for namespace, dataset in _datasets(name.qualified_name):
        asset = naming(namespace, dataset)
        if asset.name == name and not asset.placeholder:
            return asset.alternatives
    return ()


def _datasets(qualified_name: str) -> Iterator[Tuple[str, str]]:
    """Datasets as OpenLineage may have called them, those that tell most first."""
    scheme, mark, rest = qualified_name.partition("://")
    host, slash, path = rest.partition("/")
    if not mark or not host or not slash:
        return
    container, _, inner = path.partition("/")
    for storage in _STORAGE if scheme == "https" else ():
        yield f"{storage}://{container}@{host}", inner
    namespace = f"{_SPARK_SCHEMES.get(scheme, scheme)}://{host}"
    yield namespace, path
    yield namespace, path.replace("/", ".")
