"""The lineage of this driver as a picture: what a notebook shows of it, without network or scripts from elsewhere."""
from __future__ import annotations

import json
from html import escape
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Tuple

MOST_BOXES = 150
"""More boxes are not drawn; the picture says how many are left out."""

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 230, 44, 70, 16, 12
_CHARACTERS = 32


class Process(NamedTuple):
    """A process of the catalog: its qualified names, and the pairs of columns as "dataset column" texts."""

    name: str
    qualified_name: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    columns: Tuple[Tuple[str, str], ...]


class Graph:
    """Processes and the datasets between them. Shown as SVG by a notebook, as a tree by `print`."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self.processes = tuple({one.qualified_name: one for one in processes}.values())

    @classmethod
    def of_entities(cls, entities: Iterable[Mapping[str, Any]]) -> Graph:
        """The graph of Atlas entities as `RunTranslation.entities` gives them; other entities are passed over."""
        return cls(_process(one) for one in entities if one.get("typeName") == "databricks_process")

    def __str__(self) -> str:
        lines = []
        for one in self.processes:
            lines.append(one.name)
            lines += [f"  reads   {name}" for name in one.inputs] + [f"  writes  {name}" for name in one.outputs]
            lines += [f"    {source} -> {sink}" for source, sink in one.columns]
        return "\n".join(lines) or "no lineage yet"

    def _repr_html_(self) -> str:
        if not self.processes:
            return "<p>No lineage yet: run a query that reads one dataset and writes another.</p>"
        rows = "".join(f"<tr><td>{escape(source)}</td><td>&rarr;</td><td>{escape(sink)}</td></tr>"
                       for one in self.processes for source, sink in one.columns)
        table = f"<details><summary>Columns</summary><table>{rows}</table></details>" if rows else ""
        return f"<div style='overflow-x:auto'>{self._svg()}</div>{table}"

    def _svg(self) -> str:
        places, left_out = self._places()
        lines, boxes = [], []
        for one in self.processes:
            for start, end in [(name, one.qualified_name) for name in one.inputs] + \
                              [(one.qualified_name, name) for name in one.outputs]:
                if start in places and end in places:
                    lines.append(_line(places[start], places[end]))
        names = {one.qualified_name: one.name for one in self.processes}
        for name, (x, y) in places.items():
            boxes.append(_box(x, y, name, names.get(name, name), process=name in names))
        width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
        height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN + (20 if left_out else 0)
        more = (f"<text x='{_MARGIN}' y='{height - 6}' font-size='12'>and {left_out} more</text>" if left_out else "")
        return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' role='img' "
                f"font-family='sans-serif'><defs><marker id='adbl' viewBox='0 0 8 8' refX='8' refY='4' "
                f"markerWidth='7' markerHeight='7' orient='auto'><path d='M0 0L8 4L0 8z' fill='#777'/></marker></defs>"
                f"{''.join(lines)}{''.join(boxes)}{more}</svg>")

    def _places(self) -> Tuple[Dict[str, Tuple[int, int]], int]:
        """Upper left corners: a box stands right of all that it comes from, as far as there is no circle."""
        layers: Dict[str, int] = {}
        for one in self.processes:
            for name in (*one.inputs, one.qualified_name, *one.outputs):
                layers.setdefault(name, 0)
        for _ in range(min(len(self.processes), 60)):
            changed = False
            for one in self.processes:
                layer = max([layers[name] for name in one.inputs if name not in one.outputs], default=-1) + 1
                for name, least in [(one.qualified_name, layer)] + [(name, layer + 1) for name in one.outputs]:
                    if layers[name] < least <= 2 * len(self.processes):
                        layers[name], changed = least, True
            if not changed:
                break
        drawn = list(layers)[:MOST_BOXES]
        columns: Dict[int, int] = {}
        places = {}
        for name in drawn:
            row = columns[layers[name]] = columns.get(layers[name], -1) + 1
            places[name] = (_MARGIN + layers[name] * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
        return places, len(layers) - len(drawn)


def _process(entity: Mapping[str, Any]) -> Process:
    attributes = entity["attributes"]
    ends = [tuple(dict.fromkeys(str(one["uniqueAttributes"]["qualifiedName"]) for one in attributes.get(side) or []))
            for side in ("inputs", "outputs")]
    columns: List[Tuple[str, str]] = []
    for mapping in json.loads(attributes.get("columnMapping") or "[]"):
        source, sink = (_short(str(mapping["DatasetMapping"][side])) for side in ("Source", "Sink"))
        columns += [(f"{source} {pair['Source']}", f"{sink} {pair['Sink']}") for pair in mapping["ColumnMapping"]]
    return Process(_short(str(attributes["name"])), str(attributes["qualifiedName"]), ends[0], ends[1], tuple(columns))


def _short(name: str) -> str:
    """The end of a long name, which tells more than its beginning."""
    return name if len(name) <= _CHARACTERS else "…" + name[1 - _CHARACTERS:]


def _box(x: int, y: int, title: str, label: str, *, process: bool) -> str:
    fill, round_ = ("#fff4e0", 20) if process else ("#e8f1fb", 4)
    return (f"<g><title>{escape(title)}</title><rect x='{x}' y='{y}' width='{_WIDTH}' height='{_HEIGHT}' rx='{round_}' "
            f"fill='{fill}' stroke='#888'/><text x='{x + _WIDTH // 2}' y='{y + _HEIGHT // 2 + 4}' font-size='12' "
            f"text-anchor='middle' fill='#222'>{escape(_short(label))}</text></g>")


def _line(start: Tuple[int, int], end: Tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    bend = max((x2 - x1) // 2, 30)
    return (f"<path d='M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}' fill='none' stroke='#777' "
            f"marker-end='url(#adbl)'/>")
