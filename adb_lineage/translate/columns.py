"""Column lineage: the pairs of a facet, and the `columnMapping` attribute they become.

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
from adb_lineage.translate.json_values import as_mapping, as_text, sound
from adb_lineage.translate.names.paths import clean_path
from adb_lineage.translate.redaction import mask_literals

EVERY_COLUMN = "*"
_NO_EXPRESSIONS = "expressions of columns left out"
_EXPRESSION_STEPS = ((80, "expressions of columns shortened"), (0, _NO_EXPRESSIONS))
"""Lengths that expressions are cut to, one after the other, to make a mapping fit, and what to say of it."""


class Detail(NamedTuple):
    """What is known of a dependency between two columns beyond that it exists."""

    kind: str = ""
    """"" for a direct dependency, otherwise such as `INDIRECT/FILTER`."""
    expression: str = ""


Pairs = Dict[Tuple[str, str], Detail]
"""Source column and sink column, each pair once."""
Groups = Dict[Tuple[AssetName, AssetName], Pairs]
"""Pairs of columns by source and sink."""

PLAIN = Detail()
# What Spark's agent writes for most columns: compared as a whole, it need not be looked into.
_COPY = [{"type": "DIRECT", "subtype": "IDENTITY", "description": "", "masking": False}]


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
        self._inputs = inputs
        self._folders: Optional[Dict[Key, AssetName]] = None

    def __call__(self, namespace: str, name: str) -> AssetName:
        """The asset of a column's source dataset."""
        known = self.known.get((namespace, name))
        if known is None:
            if self._folders is None:
                self._folders = {(space, clean_path(path)): asset for (space, path), asset in self._inputs.items()}
            path = clean_path(name)
            known = self._folders.get((namespace, path))
            while known is None and path:
                path = path.rpartition("/")[0]
                known = self._folders.get((namespace, path))
            known = self.known[(namespace, name)] = known or self._name(namespace, name)
        return known


def add_pairs(groups: Groups, output: Dataset, sink: AssetName, source_of: SourceFinder, indirect: bool) -> None:
    """Add the pairs of an output's `columnLineage` facet; malformed parts give none, a direct pair wins."""
    facet = as_mapping(output.facets.get(COLUMN_LINEAGE))
    by_source: Dict[AssetName, Pairs] = {}
    for column, told in as_mapping(facet.get("fields")).items():
        if isinstance(told, dict):
            described = told.get("transformationDescription")
            name = nested_name(column) if "_element" in column else column
            _add_pairs(by_source, told.get("inputFields"), name, as_text(described) if described else "", source_of)
    if "dataset" in facet:
        _add_pairs(by_source, facet["dataset"], EVERY_COLUMN, "", source_of)
    for source, pairs in by_source.items():
        if not indirect:
            pairs = {pair: detail for pair, detail in pairs.items() if not detail.kind}
        into = groups.setdefault((source, sink), pairs)
        if into is not pairs:  # another output that is the same asset
            for pair, detail in pairs.items():
                _add(into, pair, detail)


def _add_pairs(
    by_source: Dict[AssetName, Pairs], fields: Any, column: str, described: str, source_of: SourceFinder
) -> None:
    known = source_of.known
    of_dataset = column == EVERY_COLUMN
    for field in fields if isinstance(fields, list) else ():
        try:
            source, source_column = known[(field["namespace"], field["name"])], field["field"]
        except (TypeError, KeyError):  # malformed, or not an input by that very name
            field = as_mapping(field)
            namespace, name, source_column = field.get("namespace"), field.get("name"), field.get("field")
            if not isinstance(namespace, str) or not isinstance(name, str):
                continue
            source = source_of(namespace, name)
        if not source_column or not isinstance(source_column, str):
            continue
        if "_element" in source_column:
            source_column = nested_name(source_column)
        told = field.get("transformations")
        is_more = described or of_dataset or (told and told != _COPY)
        detail = _detail(told, described, of_dataset) if is_more else PLAIN
        pairs = by_source.get(source)
        if pairs is None:
            by_source[source] = {(source_column, column): detail}
        else:
            _add(pairs, (source_column, column), detail)


def _add(pairs: Pairs, pair: Tuple[str, str], detail: Detail) -> None:
    known = pairs.setdefault(pair, detail)
    if known.kind and not detail.kind:
        pairs[pair] = detail


def _detail(transformations: Any, described: str, of_dataset: bool) -> Detail:
    """Whether all ways from source to column are indirect, and which; and the text of the first that has one.

    A dependency of the whole dataset is indirect whatever it says.
    """
    kinds: Dict[str, None] = {}
    direct = False
    expression = ""
    for item in transformations if isinstance(transformations, list) else ():
        if not isinstance(item, dict):
            continue
        if not expression and item.get("description"):
            expression = as_text(item["description"])
        if item.get("type") == "INDIRECT":
            subtype = as_text(item.get("subtype"))
            kinds["INDIRECT/" + subtype if subtype else "INDIRECT"] = None
        else:
            direct = True
    expression = expression or described
    if of_dataset or (kinds and not direct):
        return Detail(",".join(sorted(kinds)) or "INDIRECT", expression)
    return Detail("", expression) if expression else PLAIN


@dataclass(frozen=True)
class Mapped:
    """Column mappings that fit: the JSON of each part, and what had to go."""

    parts: Tuple[str, ...]
    lost: Tuple[str, ...]


_encode = json.JSONEncoder(ensure_ascii=False).encode


@lru_cache(maxsize=65_536)
def _text(name: str) -> str:
    """A name as JSON text; names come back with every run."""
    return _encode(sound(name))


@lru_cache(maxsize=65_536)
def _row(source: str, sink: str) -> str:
    """The beginning of a row, which is all of most; pairs come back with every run, too."""
    return '{"Source":' + _text(source) + ',"Sink":' + _text(sink)


def _rows(pairs: Pairs, longest: Optional[int], redact: bool) -> List[str]:
    """Pairs as JSON texts, expressions no longer than `longest` characters (None: as they are, 0: left out)."""
    rows = []
    for (source, sink), detail in pairs.items():
        row = _row(source, sink)
        if detail is PLAIN:
            rows.append(row + "}")
            continue
        kind, expression = detail
        if kind:
            row += ',"Type":' + _text(kind)
        if expression and longest != 0:
            expression = mask_literals(expression) if redact else sound(expression)
            if longest is not None and len(expression) > longest:
                expression = expression[: longest - 1] + "…"
            row += ',"Expression":' + _encode(expression)
        rows.append(row + "}")
    return rows


def _head(source: str, sink: str) -> str:
    return '{"DatasetMapping":{"Source":' + _text(source) + ',"Sink":' + _text(sink) + '},"ColumnMapping":['


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def map_columns(groups: Groups, chosen: Mapping[AssetName, AssetName], max_bytes: int, redact: bool = False) -> Mapped:
    """The `columnMapping` of groups, on the names of the assets really chosen.

    One JSON text if it and the attribute's name fit into `max_bytes` of UTF-8. Otherwise expressions are shortened,
    then left out, then indirect pairs go; direct pairs never do: what is still too long is cut into several texts.
    With `redact`, literals and secrets in expressions are masked.
    """
    named = [(_head(source, sink), pairs) for (source, sink), pairs in _renamed(groups, chosen).items() if pairs]
    max_bytes -= len("columnMapping")
    text = _whole(named, None, redact)
    if _size(text) <= max_bytes:
        return Mapped((text,), ())
    expressions = any(detail.expression for _, pairs in named for detail in pairs.values())
    for longest, lost in _EXPRESSION_STEPS if expressions else ():
        text = _whole(named, longest, redact)
        if _size(text) <= max_bytes:
            return Mapped((text,), (lost,))
    reasons = [_NO_EXPRESSIONS] if expressions else []
    direct = [(head, {pair: PLAIN for pair, detail in pairs.items() if not detail.kind}) for head, pairs in named]
    gone = sum(len(pairs) for _, pairs in named) - sum(len(pairs) for _, pairs in direct)
    if gone:
        reasons.append(f"{gone} indirect column pairs left out")
    parts = tuple(_cut([(head, _rows(pairs, 0, redact)) for head, pairs in direct], max_bytes, reasons))
    if len(parts) > 1:
        reasons.append(f"column mapping split over {len(parts)} processes")
    return Mapped(parts, tuple(reasons))


def _renamed(groups: Groups, chosen: Mapping[AssetName, AssetName]) -> Dict[Tuple[str, str], Pairs]:
    """Pairs by the qualified names of the assets chosen: two files may be one resource set, whose pairs are joined."""
    renamed: Dict[Tuple[str, str], Pairs] = {}
    for (source, sink), pairs in groups.items():
        key = (chosen.get(source, source).qualified_name, chosen.get(sink, sink).qualified_name)
        if key not in renamed:
            renamed[key] = pairs
            continue
        joined = renamed[key] = dict(renamed[key])
        for pair, detail in pairs.items():
            _add(joined, pair, detail)
    return renamed


def _whole(named: Sequence[Tuple[str, Pairs]], longest: Optional[int], redact: bool) -> str:
    """All groups, each told by its beginning and its pairs, as one text."""
    return "[" + ",".join([head + ",".join(_rows(pairs, longest, redact)) + "]}" for head, pairs in named]) + "]"


def _cut(groups: Sequence[Tuple[str, Sequence[str]]], max_bytes: int, reasons: List[str]) -> Iterator[str]:
    """Texts of at most `max_bytes` that together hold every row; `groups` are the beginning of each and its rows."""
    part: List[str] = []
    size = 2
    for head, rows in groups:
        taken: List[str] = []
        beginning = _size(head) + 3
        for row in rows:
            length = _size(row) + 1
            if 2 + beginning + length > max_bytes:
                reasons.append(f"column pair of {length} bytes left out: {row[:80]}…")
                continue
            if size + length + (0 if taken else beginning) > max_bytes:
                if taken:
                    part.append(head + ",".join(taken) + "]}")
                yield "[" + ",".join(part) + "]"
                part, taken, size = [], [], 2
            size += length + (0 if taken else beginning)
            taken.append(row)
        if taken:
            part.append(head + ",".join(taken) + "]}")
    yield "[" + ",".join(part) + "]"
