"""DBFS mount points: what a path under `/mnt` really is."""
from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

_LOCAL = re.compile(r"(?:(?:dbfs|file)(?::/{0,3})?|dbfs://[^/]*/?)$", re.IGNORECASE)
"""OpenLineage's specification has the workspace in the namespace, its agent does not."""
_FUSE = "/dbfs/"


class Location(NamedTuple):
    """A dataset's OpenLineage namespace and name."""

    namespace: str
    name: str


def _segments(path: str) -> List[str]:
    return [segment for segment in path.split("/") if segment]


def mounts_of(points: Iterable[Any]) -> Mounts:
    """The mounts of an event; they come with every event, and a workspace may have hundreds."""
    pairs = tuple((point.get("mountPoint"), point.get("source")) for point in points if isinstance(point, dict))
    try:
        return _mounts_of(pairs)
    except TypeError:  # malformed: a value that can't be hashed
        return Mounts(points)


@lru_cache(maxsize=64)
def _mounts_of(pairs: Tuple[Tuple[Any, Any], ...]) -> Mounts:
    return Mounts({"mountPoint": mount, "source": source} for mount, source in pairs)


class Mounts:
    """Mount points of a workspace, from OpenLineage's `mountPoints`: `[{"mountPoint", "source"}, …]`.

    The longest mount point that is a prefix by whole segments wins; of two entries for one mount point the last does.
    Sources without a scheme (`DatabricksRoot`, `UnityCatalogVolumes`) are no mounts of storage and are left out.
    """

    def __init__(self, points: Iterable[Any] = ()) -> None:
        self._sources: Dict[Tuple[str, ...], str] = {}
        for point in points:
            if not isinstance(point, dict):
                continue
            mount, source = point.get("mountPoint"), point.get("source")
            if isinstance(mount, str) and isinstance(source, str) and "://" in source and _segments(mount):
                self._sources[tuple(_segments(mount))] = source.strip().rstrip("/")
        self._lengths = sorted(set(map(len, self._sources)), reverse=True)
        self._key = tuple(sorted(self._sources.items()))
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mounts) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    def __bool__(self) -> bool:
        return bool(self._sources)

    def resolve(self, path: str) -> Optional[Location]:
        """Where a path of DBFS (or of a local disk) really is if it lies under a mount, otherwise None.

        The namespace is the mount's source as it stands, with the folder that it may have.
        """
        if not self._sources:
            return None
        segments = _segments(path)
        for length in self._lengths:
            source = self._sources.get(tuple(segments[:length]))
            if source is not None:
                return Location(source, "/" + "/".join(segments[length:]))
        return None


@lru_cache(maxsize=1024)
def is_local(namespace: str) -> bool:
    """Whether a namespace is that of DBFS or of a local disk, in which mounts are."""
    return _LOCAL.match(namespace) is not None


def plain_location(namespace: str, name: str) -> Location:
    """One spelling for DBFS and local paths: `file` + `/dbfs/mnt/x` is `dbfs` + `/mnt/x`, `dbfs:/` is `dbfs`."""
    scheme = namespace[:4].lower()
    for prefix in ("dbfs:/", "file:/"):
        if name.startswith(prefix):
            scheme, name = prefix[:4], "/" + name[len(prefix):].lstrip("/")
    if name.startswith(_FUSE):
        scheme, name = "dbfs", name[len(_FUSE) - 1:]
    return Location(scheme, name)
