"""Column lineage: the facet's edges, and the `columnMapping` attribute they become.

The shape is section 6.2 of the reference on the accelerator, one group for each pair of source and sink:
`[{"DatasetMapping": {"Source", "Sink"}, "ColumnMapping": [{"Source", "Sink"}, …]}, …]`. A row that is more than a plain
copy may have `Expression`, and an indirect one has `Type`, such as `INDIRECT/FILTER`; Purview reads the first two keys
of a row. A column that every row of the sink depends on (a filter, a join key) has the sink `*`.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.translate.events import COLUMN_LINEAGE, Dataset, Key
from adb_lineage.translate.json_values import as_list, as_mapping, as_text, sound
from adb_lineage.translate.names.paths import clean_path
from adb_lineage.translate.redaction import mask_literals

EVERY_COLUMN = "*"
_NO_EXPRESSIONS = "expressions of columns left out"
_EXPRESSION_STEPS: Tuple[Optional[int], ...] = (None, 80, 0)
"""Lengths that expressions are cut to, one after the other, to make a mapping fit: as they are, short, none."""


class Edge(NamedTuple):
    """One column depends on another; `kind` is "" for a direct dependency, else such as `INDIRECT/FILTER`."""

    source: AssetName
    sink: AssetName
    source_column: str
    sink_column: str
    kind: str = ""
    expression: str = ""


def nested_name(column: str) -> str:
    """A column as Purview lists it: dots between levels, without Spark's names for elements of arrays."""
    if "_element" not in column:
        return column
    return ".".join(part for part in column.split(".") if part != "_element") or column


class SourceFinder:
    """Which input a column's source dataset is.

    Column lineage may speak of a file or partition where the inputs have the folder; both are compared with their
    namespaces, by whole path segments, and the longest input wins. A dataset that is no input is named by `name`.
    """

    def __init__(self, inputs: Mapping[Key, AssetName], name: Callable[[str, str], AssetName]) -> None:
        self.known = dict(inputs)
        """Assets of the datasets asked for so far, and of the inputs."""
        self._name = name
        self._paths: Dict[str, List[Tuple[str, AssetName]]] = {}
        for (namespace, path), asset in inputs.items():
            self._paths.setdefault(namespace, []).append(((clean_path(path) + "/").lstrip("/"), asset))
        for paths in self._paths.values():
            paths.sort(key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, namespace: str, name: str) -> AssetName:
        """The asset of a column's source dataset."""
        known = self.known.get((namespace, name))
        if known is None:
            path = clean_path(name) + "/"
            for prefix, asset in self._paths.get(namespace, ()):
                if path.startswith(prefix):
                    known = asset
                    break
            else:
                known = self._name(namespace, name)
            self.known[(namespace, name)] = known
        return known


def edges_of(output: Dataset, sink: AssetName, source_of: SourceFinder, indirect: bool, redact: bool) -> List[Edge]:
    """The edges of an output's `columnLineage` facet; malformed parts give none."""
    facet = as_mapping(output.facets.get(COLUMN_LINEAGE))
    edges: List[Edge] = []
    for column, told in as_mapping(facet.get("fields")).items():
        if isinstance(told, dict):
            described = as_text(told.get("transformationDescription"))
            _add_edges(edges, told.get("inputFields"), sink, nested_name(column), described, source_of)
    _add_edges(edges, facet.get("dataset"), sink, EVERY_COLUMN, "", source_of)
    if not indirect:
        edges = [edge for edge in edges if not edge.kind]
    if redact:
        edges = [edge._replace(expression=mask_literals(edge.expression)) if edge[5] else edge for edge in edges]
    return edges


def _add_edges(
    edges: List[Edge], fields: Any, sink: AssetName, column: str, described: str, source_of: SourceFinder
) -> None:
    of_dataset = column == EVERY_COLUMN
    for field in as_list(fields):
        try:
            source, source_column = source_of.known[(field["namespace"], field["name"])], field["field"]
        except (TypeError, KeyError):  # malformed, or not an input by that very name
            field = as_mapping(field)
            namespace, name, source_column = field.get("namespace"), field.get("name"), field.get("field")
            if not isinstance(namespace, str) or not isinstance(name, str):
                continue
            source = source_of(namespace, name)
        if source_column and isinstance(source_column, str):
            kind, expression = _kind(field.get("transformations"), of_dataset)
            if "_element" in source_column:
                source_column = nested_name(source_column)
            edges.append(Edge(source, sink, source_column, column, kind, expression or described))


def _kind(transformations: Any, of_dataset: bool) -> Tuple[str, str]:
    """Whether all ways from source to column are indirect, and which; and the text of the first that has one.

    A dependency of the whole dataset is indirect whatever it says.
    """
    if not transformations and not of_dataset:
        return "", ""
    kinds: Dict[str, None] = {}
    direct = False
    expression = ""
    for item in transformations if isinstance(transformations, list) else ():
        if not isinstance(item, dict):
            continue
        expression = expression or as_text(item.get("description"))
        if item.get("type") == "INDIRECT":
            subtype = as_text(item.get("subtype"))
            kinds["INDIRECT/" + subtype if subtype else "INDIRECT"] = None
        else:
            direct = True
    if not of_dataset and (direct or not kinds):
        return "", expression
    return ",".join(sorted(kinds)) or "INDIRECT", expression


@dataclass(frozen=True)
class Mapped:
    """Column mappings that fit: the JSON of each part, and what had to go."""

    parts: Tuple[str, ...]
    lost: Tuple[str, ...]


def _groups(edges: Sequence[Edge]) -> Dict[Tuple[AssetName, AssetName], Dict[Tuple[str, str], Edge]]:
    """Edges by source and sink, each pair of columns once; a direct edge wins over an indirect one."""
    groups: Dict[Tuple[AssetName, AssetName], Dict[Tuple[str, str], Edge]] = {}
    for edge in edges:
        group = groups.setdefault((edge[0], edge[1]), {})
        pair = (edge[2], edge[3])
        known = group.get(pair)
        if known is None or (known.kind and not edge.kind):
            group[pair] = edge
    return groups


_encode = json.JSONEncoder(ensure_ascii=False).encode


@lru_cache(maxsize=65_536)
def _text(name: str) -> str:
    """A name as JSON text; names come back with every run."""
    return _encode(sound(name))


def _row(edge: Edge, longest: Optional[int]) -> str:
    """An edge as JSON text, its expression no longer than `longest` characters (None: as it is, 0: left out)."""
    row = '{"Source":' + _text(edge[2]) + ',"Sink":' + _text(edge[3])
    if edge[4]:
        row += ',"Type":' + _text(edge[4])
    expression = edge[5]
    if expression and longest != 0:
        if longest is not None and len(expression) > longest:
            expression = expression[: longest - 1] + "…"
        row += ',"Expression":' + _encode(expression)
    return row + "}"


def _head(source: str, sink: str) -> str:
    return '{"DatasetMapping":{"Source":' + _text(source) + ',"Sink":' + _text(sink) + '},"ColumnMapping":['


_Group = Tuple[str, Sequence[Edge]]
"""The beginning of a group's JSON text, and its edges."""


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _whole(groups: Sequence[_Group], longest: Optional[int]) -> str:
    texts = [head + ",".join([_row(edge, longest) for edge in edges]) + "]}" for head, edges in groups]
    return "[" + ",".join(texts) + "]"


def map_columns(edges: Sequence[Edge], chosen: Mapping[AssetName, AssetName], max_bytes: int) -> Mapped:
    """The `columnMapping` of edges, on the names of the assets really chosen.

    One JSON text if it and the attribute's name fit into `max_bytes` of UTF-8. Otherwise expressions are shortened,
    then left out, then indirect edges go; direct edges never do: what is still too long is cut into several texts.
    """
    groups: List[_Group] = [
        (_head(chosen.get(source, source)[1], chosen.get(sink, sink)[1]), list(group.values()))
        for (source, sink), group in _groups(edges).items()
    ]
    max_bytes -= len("columnMapping")
    for longest in _EXPRESSION_STEPS:
        text = _whole(groups, longest)
        if _size(text) <= max_bytes:
            lost = {None: (), 0: (_NO_EXPRESSIONS,)}.get(longest, ("expressions of columns shortened",))
            return Mapped((text,), lost)
    reasons = [_NO_EXPRESSIONS] if any(edge.expression for edge in edges) else []
    gone = sum(1 for _, group in groups for edge in group if edge.kind)
    if gone:
        reasons.append(f"{gone} indirect column edges left out")
    parts = tuple(_cut(groups, max_bytes, reasons))
    if len(parts) > 1:
        reasons.append(f"column mapping split over {len(parts)} processes")
    return Mapped(parts, tuple(reasons))


def _cut(groups: Sequence[_Group], max_bytes: int, reasons: List[str]) -> Iterator[str]:
    """Texts of at most `max_bytes` that together hold every direct edge."""
    part: List[str] = []
    size = 2
    for head, edges in groups:
        rows: List[str] = []
        beginning = _size(head) + 3
        for edge in edges:
            if edge.kind:
                continue
            row = _row(edge, 0)
            length = _size(row) + 1
            if 2 + beginning + length > max_bytes:
                reasons.append(f"column pair of {length} bytes left out: {edge.source_column[:80]!r}…")
                continue
            if size + length + (0 if rows else beginning) > max_bytes:
                if rows:
                    part.append(head + ",".join(rows) + "]}")
                yield "[" + ",".join(part) + "]"
                part, rows, size = [], [], 2
            size += length + (0 if rows else beginning)
            rows.append(row)
        if rows:
            part.append(head + ",".join(rows) + "]}")
    yield "[" + ",".join(part) + "]"
