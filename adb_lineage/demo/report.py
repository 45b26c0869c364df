"""What the demo prints on stdout: a tree for people, one JSON document for programs."""
from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Mapping, Sequence, TextIO

from adb_lineage.demo.readback import ProcessLineage

_ASCII = str.maketrans({"├": "+", "└": "+", "│": "|", "─": "-", "←": "<", "…": "~"})
_NAME_LENGTH = 90


def tree(processes: Sequence[ProcessLineage]) -> str:
    """Processes, what each reads and writes, and which columns went where."""
    blocks = []
    for process in processes:
        branches = [f"reads   {one.qualified_name}  ({one.type_name})" for one in process.inputs]
        branches += [f"writes  {one.qualified_name}  ({one.type_name})" for one in process.outputs]
        columns = _columns(process.columns)
        lines = [_shortened(process.name)]
        for position, branch in enumerate(branches):
            last = position == len(branches) - 1 and not columns
            lines.append(f"{'└' if last else '├'}─ {branch}")
        if columns:
            lines.append("└─ columns")
            lines += [f"   {'└' if line is columns[-1] else '├'}─ {line}" for line in columns]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def document(processes: Iterable[ProcessLineage], **more: Any) -> Dict[str, Any]:
    """The JSON document: `{"processes": [{name, qualifiedName, inputs, outputs, columns}], ...}`.

    Datasets are qualified names, columns pairs of `qualifiedName#column`: with several inputs a plain column name
    would not say whose it is.
    """
    return {"processes": [one.as_json() for one in processes], **more}


def write(text: str, stream: TextIO) -> None:
    """Print, with plain characters where the stream knows no others."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.translate(_ASCII).encode(stream.encoding, "replace").decode(stream.encoding)
    print(text, file=stream, flush=True)


def write_json(body: Mapping[str, Any], stream: TextIO) -> None:
    """Print one JSON document, in ASCII."""
    print(json.dumps(body, indent=2), file=stream, flush=True)


def _columns(pairs: Iterable[Sequence[str]]) -> List[str]:
    """One line a column that was written: `sink ← source, source (dataset)`."""
    sinks: Dict[str, Dict[str, List[str]]] = {}
    for source, sink in pairs:
        dataset, _, column = source.rpartition("#")
        of_sink = sinks.setdefault(sink.rpartition("#")[2], {})
        of_sink.setdefault(_last_part(dataset), []).append(column)
    return [
        f"{sink} ← " + ", ".join(
            f"{dataset}.{column}" for dataset, columns in sources.items() for column in dict.fromkeys(columns))
        for sink, sources in sinks.items()
    ]


def _last_part(qualified_name: str) -> str:
    return qualified_name.rstrip("/").rpartition("/")[2]


def _shortened(text: str) -> str:
    return text if len(text) <= _NAME_LENGTH else text[:_NAME_LENGTH - 1] + "…"
