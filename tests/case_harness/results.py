"""Expected runs and observed events in one form, so that a failing case shows a readable difference."""
from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

_EDGE = re.compile(r"(?:(?P<dataset>\S+)#)?(?P<column>.+?)(?: (?P<subtype>[A-Z][A-Z_]+))?(?P<masked> MASKED)?")


class Names:
    """Writes datasets without what differs from machine to machine: `lake/orders`, `warehouse/t`, `local/x`."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = sorted(((prefix, name) for name, prefix in places.items()), key=lambda one: -len(one[0]))

    def text(self, namespace: str, name: str) -> str:
        """`namespace/name` for a URI, `namespace:name` for anything else, known folders by their names."""
        whole = f"{namespace}/{name.lstrip('/')}" if "://" in namespace else f"{namespace}:{name}"
        for prefix, short in self._places:
            if whole.startswith(prefix):
                return short + whole[len(prefix):]
        return whole


def observed_runs(events: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]],
                  names: Names) -> List[Dict[str, Any]]:
    """Runs in the order they were recorded: those that ended with an event, and those that were skipped."""
    ended = {event["run"]["runId"]: event for event in events if event["eventType"] not in ("START", "RUNNING")}
    runs = []
    for row in rows:
        event = ended.pop(row["run_id"], None)
        run: Dict[str, Any] = {"operation": row.get("operation", ""), "notes": row.get("notes", [])}
        if event is None:
            run["skipped"] = row.get("reason", "")
        else:
            run.update(_event(event, names))
        runs.append(run)
    runs.extend({"operation": "?", "notes": [], **_event(event, names)} for event in ended.values())
    return runs


def compare(expected: Sequence[Mapping[str, Any]], observed: Sequence[Mapping[str, Any]]) -> List[str]:
    """The differences, a line each; skipped runs count only where the case expects one."""
    everything = observed
    if not any("skipped" in run for run in expected):
        observed = [run for run in observed if "skipped" not in run]
    if len(expected) != len(observed):
        return [f"expected {len(expected)} runs, observed {len(observed)}:", *(f"  {run}" for run in everything)]
    lines = []
    for number, (wanted, found) in enumerate(zip(expected, observed)):
        where = f"run {number + 1}: " if len(expected) > 1 else ""
        differences = _differences(wanted, found)
        if differences and found["notes"]:
            differences.append(f"notes: {found['notes']}")
        lines.extend(where + line for line in differences)
    return lines


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> List[str]:
    lines: List[str] = []
    if ("skipped" in wanted) != ("skipped" in found):
        return [f"expected {'skipped' if 'skipped' in wanted else 'captured'}, observed {found}"]
    for key in ("notes",):
        for pattern in wanted.get(key, ()):
            if not any(re.search(pattern, note) for note in found[key]):
                lines.append(f"no note like {pattern!r} in {found[key]}")
    if "operation" in wanted and wanted["operation"] != found["operation"]:
        lines.append(f"operation: expected {wanted['operation']!r}, observed {found['operation']!r}")
    if "skipped" in wanted:
        if not re.search(wanted["skipped"], found["skipped"]):
            lines.append(f"reason: expected like {wanted['skipped']!r}, observed {found['skipped']!r}")
        return lines
    inputs = wanted.get("inputs", [])
    lines.extend(_unequal("inputs", sorted(inputs), sorted(found["inputs"])))
    lines.extend(_unequal("state", wanted.get("state", "COMPLETE"), found["state"]))
    for key in ("error", "processing"):
        if key in wanted and not re.search(wanted[key], found[key] or ""):
            lines.append(f"{key}: expected like {wanted[key]!r}, observed {found[key]!r}")
    outputs = _expected_outputs(wanted)
    lines.extend(_unequal("outputs", [one["dataset"] for one in outputs], [one["dataset"] for one in found["outputs"]]))
    for one, other in zip(outputs, found["outputs"]):
        lines.extend(_output_differences(one, other, inputs))
    return lines


def _expected_outputs(wanted: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    if "output" in wanted:
        return [{"dataset": wanted["output"], **{key: value for key, value in wanted.items() if key != "output"}}]
    return [one if isinstance(one, Mapping) else {"dataset": one} for one in wanted.get("outputs", [])]


def _output_differences(wanted: Mapping[str, Any], found: Mapping[str, Any], inputs: Sequence[str]) -> List[str]:
    where = f"{wanted['dataset']}: "
    lines = _unequal(where + "lifecycle", wanted.get("lifecycle", ""), found["lifecycle"])
    for key in ("table", "schema", "previous", "rows_written"):
        if key in wanted:
            lines.extend(_unequal(where + key, wanted[key], found[key]))
    for column, text in (wanted.get("expressions") or {}).items():
        lines.extend(_unequal(f"{where}expression of {column}", text, found["expressions"].get(column)))
    columns = {str(column): _edges(edges, inputs) for column, edges in (wanted.get("columns") or {}).items()}
    for column in [*columns, *(one for one in found["columns"] if one not in columns)]:
        lines.extend(_unequal(f"{where}column {column}", columns.get(column), found["columns"].get(column)))
    lines.extend(_unequal(where + "indirect", _edges(wanted.get("indirect") or [], inputs), found["indirect"]))
    return lines


def _edges(value: Any, inputs: Sequence[str]) -> List[str]:
    """`dataset#column SUBTYPE`; the dataset may be left out where there is one input, the subtype means IDENTITY."""
    edges = []
    for one in value if isinstance(value, list) else [value]:
        match = _EDGE.fullmatch(str(one))
        assert match, one
        dataset = match["dataset"] or (inputs[0] if len(inputs) == 1 else "?")
        edges.append(f"{dataset}#{match['column']} {match['subtype'] or 'IDENTITY'}{match['masked'] or ''}")
    return sorted(edges)


def _unequal(what: str, wanted: Any, found: Any) -> List[str]:
    return [] if wanted == found else [f"{what}: expected {wanted}, observed {found}"]


def _event(event: Mapping[str, Any], names: Names) -> Dict[str, Any]:
    facets = event["run"].get("facets", {})
    return {
        "state": event["eventType"],
        "error": facets.get("errorMessage", {}).get("message", ""),
        "processing": event["job"].get("facets", {}).get("jobType", {}).get("processingType", ""),
        "inputs": [names.text(one["namespace"], one["name"]) for one in event.get("inputs") or []],
        "outputs": [_output(one, names) for one in event.get("outputs") or []],
    }


def _output(output: Mapping[str, Any], names: Names) -> Dict[str, Any]:
    facets = output.get("facets", {})
    change = facets.get("lifecycleStateChange", {})
    previous = change.get("previousIdentifier")
    columns = facets.get("columnLineage", {})
    links = facets.get("symlinks", {}).get("identifiers", [])
    return {
        "dataset": names.text(output["namespace"], output["name"]),
        "table": links[0]["name"] if links else "",
        "lifecycle": change.get("lifecycleStateChange", ""),
        "previous": names.text(previous["namespace"], previous["name"]) if previous else "",
        "schema": [f"{one['name']} {one.get('type', '')}".strip()
                   for one in facets.get("schema", {}).get("fields", [])],
        "columns": {name: _sources(found["inputFields"], names) for name, found in columns.get("fields", {}).items()},
        "expressions": {name: _text(found["inputFields"]) for name, found in columns.get("fields", {}).items()},
        "indirect": _sources(columns.get("dataset") or [], names),
        "rows_written": output.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount"),
    }


def _text(fields: Sequence[Mapping[str, Any]]) -> str:
    """The text of a column's expression; each transformation that is no mere copy has it."""
    texts = {way.get("description", "") for one in fields for way in one.get("transformations", ())}
    return " | ".join(sorted(texts))


def _sources(fields: Sequence[Mapping[str, Any]], names: Names) -> List[str]:
    found: List[Tuple[str, str]] = []
    for one in fields:
        for way in one.get("transformations") or [{}]:
            masked = " MASKED" if way.get("masking") else ""
            found.append((f"{names.text(one['namespace'], one['name'])}#{one['field']}",
                          f"{way.get('subtype', '')}{masked}"))
    return sorted(f"{source} {way}" for source, way in found)
