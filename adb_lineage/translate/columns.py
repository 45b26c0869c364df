"""Column lineage: the facet's edges, and the `columnMapping` attribute they become.

The shape is section 6.2 of the reference on the accelerator, one group for each pair of source and sink:
`[{"DatasetMapping": {"Source", "Sink"}, "ColumnMapping": [{"Source", "Sink"}, …]}, …]`. A row that is more than a plain
copy may have `Expression`, and an indirect one has `Type`, such as `INDIRECT/FILTER`; Purview reads the first two keys
of a row. A column that every row of the sink depends on (a filter, a join key) has the sink `*`.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.translate.events import COLUMN_LINEAGE, Dataset, Key
from adb_lineage.translate.json_values import as_list, as_mapping, as_text
from adb_lineage.translate.names.paths import clean_path
from adb_lineage.translate.redaction import mask_literals

EVERY_COLUMN = "*"
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
        self._inputs = dict(inputs)
        self._name = name
        self._paths: Dict[str, List[Tuple[str, AssetName]]] = {}
        for (namespace, path), asset in inputs.items():
            self._paths.setdefault(namespace, []).append((clean_path(path) + "/", asset))
        for paths in self._paths.values():
            paths.sort(key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, namespace: str, name: str) -> AssetName:
        """The asset of a column's source dataset."""
        known = self._inputs.get((namespace, name))
        if known is None:
            path = clean_path(name) + "/"
            for prefix, asset in self._paths.get(namespace, ()):
                if path.startswith(prefix):
                    known = asset
                    break
            else:
                known = self._name(namespace, name)
            self._inputs[(namespace, name)] = known
        return known


def edges_of(output: Dataset, sink: AssetName, source_of: SourceFinder, indirect: bool, redact: bool) -> Iterator[Edge]:
    """The edges of an output's `columnLineage` facet; malformed parts give none."""
    facet = as_mapping(output.facets.get(COLUMN_LINEAGE))
    for column, told in as_mapping(facet.get("fields")).items():
        told = as_mapping(told)
        described = as_text(told.get("transformationDescription"))
        for field in as_list(told.get("inputFields")):
            yield from _edges(field, sink, nested_name(column), source_of, indirect, redact, described)
    if indirect:
        for field in as_list(facet.get("dataset")):
            yield from _edges(field, sink, EVERY_COLUMN, source_of, indirect, redact, "")


def _edges(
    field: Any, sink: AssetName, column: str, source_of: SourceFinder, indirect: bool, redact: bool, described: str
) -> Iterator[Edge]:
    field = as_mapping(field)
    namespace, name, source_column = field.get("namespace"), field.get("name"), field.get("field")
    if not (isinstance(namespace, str) and isinstance(name, str) and isinstance(source_column, str) and source_column):
        return
    kind, expression = _kind(field, column)
    if kind and not indirect:
        return
    expression = expression or described
    if expression:
        expression = mask_literals(expression) if redact else expression
    yield Edge(source_of(namespace, name), sink, nested_name(source_column), column, kind, expression)


def _kind(field: Mapping[str, Any], column: str) -> Tuple[str, str]:
    """Whether all ways from source to column are indirect, and which; and the text of the first that has one."""
    transformations = [as_mapping(item) for item in as_list(field.get("transformations"))]
    texts = [text for text in (as_text(item.get("description")) for item in transformations) if text]
    kinds = []
    for item in transformations:
        if as_text(item.get("type")).upper() != "INDIRECT":
            return "", texts[0] if texts else ""
        subtype = as_text(item.get("subtype")).upper()
        kinds.append("INDIRECT/" + subtype if subtype else "INDIRECT")
    if not kinds and column == EVERY_COLUMN:
        kinds = ["INDIRECT"]
    return ",".join(sorted(set(kinds))), texts[0] if texts else ""


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


def _row(edge: Edge, longest: Optional[int]) -> Dict[str, str]:
    row = {"Source": edge[2], "Sink": edge[3]}
    if edge.kind:
        row["Type"] = edge.kind
    if edge.expression and longest != 0:
        cut = longest is not None and len(edge.expression) > longest
        row["Expression"] = edge.expression[: longest - 1] + "…" if cut and longest else edge.expression
    return row


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def map_columns(edges: Sequence[Edge], chosen: Mapping[AssetName, AssetName], max_bytes: int) -> Mapped:
    """The `columnMapping` of edges, on the names of the assets really chosen.

    One JSON text if it and the attribute's name fit into `max_bytes` of UTF-8. Otherwise expressions are shortened,
    then left out, then indirect edges go; direct edges never do: what is still too long is cut into several texts.
    """
    renamed = [
        (chosen.get(source, source).qualified_name, chosen.get(sink, sink).qualified_name, group)
        for (source, sink), group in _groups(edges).items()
    ]
    lost: List[str] = []
    max_bytes -= len("columnMapping")
    for longest in _EXPRESSION_STEPS:
        text = _encoded([_group(source, sink, group.values(), longest) for source, sink, group in renamed])
        if _size(text) <= max_bytes:
            if longest is not None:
                lost.append("expressions of columns shortened" if longest else "expressions of columns left out")
            return Mapped((text,), tuple(lost))
    lost.append("expressions of columns left out")
    direct = [(source, sink, [edge for edge in group.values() if not edge.kind]) for source, sink, group in renamed]
    gone = sum(len(group) for _, _, group in renamed) - sum(len(rows) for _, _, rows in direct)
    if gone:
        lost.append(f"{gone} indirect column edges left out")
    parts = tuple(_cut(direct, max_bytes))
    if len(parts) > 1:
        lost.append(f"column mapping split over {len(parts)} processes")
    return Mapped(parts, tuple(lost))


def _group(source: str, sink: str, edges: Any, longest: Optional[int]) -> Dict[str, Any]:
    rows = [_row(edge, longest) for edge in edges]
    return {"DatasetMapping": {"Source": source, "Sink": sink}, "ColumnMapping": rows}


def _cut(groups: Sequence[Tuple[str, str, Sequence[Edge]]], max_bytes: int) -> Iterator[str]:
    """Texts of at most `max_bytes` that together hold every row; a single row that is longer stands alone."""
    part: List[Dict[str, Any]] = []
    size = 2
    for source, sink, edges in groups:
        head = _size(_encoded(_group(source, sink, (), 0))) + 1
        rows: List[Dict[str, str]] = []
        for edge in edges:
            row = _row(edge, 0)
            length = _size(_encoded(row)) + 1
            if size + length + (0 if rows else head) > max_bytes and (part or rows):
                if rows:
                    part.append({"DatasetMapping": {"Source": source, "Sink": sink}, "ColumnMapping": rows})
                yield _encoded(part)
                part, rows, size = [], [], 2
            size += length + (0 if rows else head)
            rows.append(row)
        if rows:
            part.append({"DatasetMapping": {"Source": source, "Sink": sink}, "ColumnMapping": rows})
    yield _encoded(part)
