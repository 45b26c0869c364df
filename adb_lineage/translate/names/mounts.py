"""DBFS mount points: what a path under `/mnt` really is."""
from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

_LOCAL = re.compile(r"(?:dbfs|file)(?::/{0,3})?$", re.IGNORECASE)
_FUSE = "/dbfs/"


class Location(NamedTuple):
    """A dataset's OpenLineage namespace and name."""

    namespace: str
    name: str


def _segments(path: str) -> List[str]:
    return [segment for segment in path.split("/") if segment]


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

    def resolve(self, namespace: str, name: str) -> Optional[Location]:
        """Where a path under a mount really is, or None if the dataset is no path or lies under no mount.

        The namespace is the mount's source as it stands, with the folder that it may have.
        """
        if not self._sources or not _LOCAL.match(namespace):
            return None
        segments = _segments(name)
        for length in self._lengths:
            source = self._sources.get(tuple(segments[:length]))
            if source is not None:
                return Location(source, "/" + "/".join(segments[length:]))
        return None


def plain_location(namespace: str, name: str) -> Location:
    """One spelling for DBFS and local paths: `file` + `/dbfs/mnt/x` is `dbfs` + `/mnt/x`, `dbfs:/` is `dbfs`."""
    if not _LOCAL.match(namespace):
        return Location(namespace, name)
    scheme = namespace[:4].lower()
    for prefix in ("dbfs:/", "file:/"):
        if name.startswith(prefix):
            scheme, name = prefix[:4], "/" + name[len(prefix):].lstrip("/")
    if name.startswith(_FUSE):
        scheme, name = "dbfs", name[len(_FUSE) - 1:]
    return Location(scheme, name)
