"""Events of one run become one picture, whatever their order and their producer's version.

What the Spark agent does with its events, and so what a merge must bear, is in section 1 of the reference on it: facets
come on START, on RUNNING or on COMPLETE; inputs on START alone (before 1.28); outputs on COMPLETE alone; several
COMPLETEs; FAIL and then COMPLETE of a run that failed.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from adb_lineage.translate.json_values import as_list, as_mapping, as_text

Key = Tuple[str, str]
"""Namespace and name of a dataset, as the event spells them."""

# Events later in this order know more, so their facets win.
_RANK = {"START": 0, "OTHER": 1, "RUNNING": 1, "FAIL": 2, "ABORT": 2, "COMPLETE": 3}
# A run that failed once has failed: Spark's agent sends COMPLETE after FAIL when a query's first job fails.
_STATES = ("FAIL", "ABORT", "COMPLETE", "RUNNING", "START")

ENVIRONMENT = "environment-properties"
COLUMN_LINEAGE = "columnLineage"


@dataclass
class Dataset:
    """A dataset of a run with the facets of all its events; `statistics` are its input or output facets."""

    namespace: str
    name: str
    facets: Dict[str, Any] = field(default_factory=dict)
    statistics: Dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """One run, merged from its events. `inputs` and `outputs` keep a dataset as often as one event names it."""

    run_id: str = ""
    state: str = "OTHER"
    started: str = ""
    ended: str = ""
    """Times of the first and the last event, as the producer wrote them; "" where there is none."""
    job_namespace: str = ""
    job_name: str = ""
    facets: Dict[str, Any] = field(default_factory=dict)
    job_facets: Dict[str, Any] = field(default_factory=dict)
    environment: Dict[str, Any] = field(default_factory=dict)
    inputs: List[Dataset] = field(default_factory=list)
    outputs: List[Dataset] = field(default_factory=list)
    problems: List[Tuple[str, str]] = field(default_factory=list)
    """Malformed parts: what, and why it was left out."""


def _state_of(event: Mapping[str, Any]) -> str:
    state = as_text(event.get("eventType")).upper()
    return state if state in _RANK else "OTHER"


def _order(events: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """The events in one order, however they came: by what they know, by time, and at last by their text."""
    if len(events) < 2:
        return list(events)
    keys = [(_RANK[_state_of(event)], as_text(event.get("eventTime"))) for event in events]
    if len(set(keys)) == len(keys):
        return [event for _, event in sorted(zip(keys, events), key=lambda pair: pair[0])]
    texts = [_canonical(event) for event in events]
    return [event for _, _, event in sorted(zip(keys, texts, events), key=lambda item: item[:2])]


def _canonical(event: Mapping[str, Any]) -> str:
    try:
        return json.dumps(event, sort_keys=True, default=str)
    except (RecursionError, TypeError, ValueError):  # nested too deep, or not JSON at all
        return ""


def merge_events(events: Sequence[Any]) -> Run:
    """One picture of all events of a run. Never raises: what can't be read is in `problems`."""
    run = Run()
    usable: List[Mapping[str, Any]] = []
    for event in events:
        if not isinstance(event, dict):
            run.problems.append(("event", f"{type(event).__name__} is not a JSON object"))
        elif not isinstance(event.get("run"), dict):
            run.problems.append(("event", "no run: not a run event"))
        else:
            usable.append(event)
    inputs: Dict[Key, List[Dataset]] = {}
    outputs: Dict[Key, List[Dataset]] = {}
    states, times = set(), []
    for event in _order(usable):
        states.add(_state_of(event))
        time = as_text(event.get("eventTime"))
        if time:
            times.append(time)
        told = as_mapping(event["run"])
        run.run_id = run.run_id or as_text(told.get("runId"))
        _merge_run_facets(run, as_mapping(told.get("facets")))
        job = as_mapping(event.get("job"))
        run.job_namespace = as_text(job.get("namespace")) or run.job_namespace
        run.job_name = as_text(job.get("name")) or run.job_name
        _merge_facets(run.job_facets, as_mapping(job.get("facets")))
        _merge_datasets(inputs, event.get("inputs"), "inputFacets", run.problems)
        _merge_datasets(outputs, event.get("outputs"), "outputFacets", run.problems)
    run.state = next((state for state in _STATES if state in states), "OTHER")
    run.started, run.ended = (min(times), max(times)) if times else ("", "")
    run.inputs = [dataset for same in inputs.values() for dataset in same]
    run.outputs = [dataset for same in outputs.values() for dataset in same]
    run.problems = list(dict.fromkeys(run.problems))
    return run


def _merge_run_facets(run: Run, facets: Mapping[str, Any]) -> None:
    _merge_facets(run.facets, facets)
    environment = as_mapping(as_mapping(facets.get(ENVIRONMENT)).get(ENVIRONMENT))
    for key, value in environment.items():
        # Spark's agent writes null for what it does not know.
        if value not in (None, "", [], {}):
            run.environment[key] = value


def _merge_facets(into: Dict[str, Any], facets: Mapping[str, Any]) -> None:
    for name, facet in facets.items():
        if not isinstance(facet, dict):
            continue
        if facet.get("_deleted") is True:
            into.pop(name, None)
        elif name == COLUMN_LINEAGE and name in into:
            into[name] = _merged_columns(into[name], facet)
        else:
            into[name] = facet


def _merged_columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Any]:
    """A later facet wins column by column; a column that only an earlier one knows stays."""
    merged = {**before, **after, "fields": {**as_mapping(before.get("fields")), **as_mapping(after.get("fields"))}}
    if not as_list(after.get("dataset")):
        merged["dataset"] = as_list(before.get("dataset"))
    return merged


def _merge_datasets(
    into: Dict[Key, List[Dataset]], told: Any, statistics: str, problems: List[Tuple[str, str]]
) -> None:
    """Add one event's datasets. A self-join names an input twice, and the process's identity counts it twice, so a
    dataset is kept as often as the event that names it most."""
    counts: Dict[Key, int] = {}
    kind = statistics[:-6]
    for dataset in as_list(told):
        if not isinstance(dataset, dict):
            problems.append((kind, f"{type(dataset).__name__} is not a dataset"))
            continue
        namespace, name = dataset.get("namespace"), dataset.get("name")
        if not isinstance(namespace, str) or not isinstance(name, str) or not (namespace or name):
            problems.append((kind, f"dataset without namespace or name: {namespace!r}, {name!r}"))
            continue
        key = (namespace, name)
        position = counts.get(key, 0)
        counts[key] = position + 1
        same = into.setdefault(key, [])
        if len(same) <= position:
            same.append(Dataset(namespace, name))
        _merge_facets(same[position].facets, as_mapping(dataset.get("facets")))
        _merge_facets(same[position].statistics, as_mapping(dataset.get(statistics)))
