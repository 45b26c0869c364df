"""Reads lineage back from a catalog over HTTP, on the way that works with Purview too.

Purview's search does not return `databricks_process` entities, so they are reached from the workspace: its notebooks
and jobs, their tasks, their processes.
"""
from __future__ import annotations

import json
from collections import deque
from typing import Any, Deque, Dict, Iterable, List, Mapping, NamedTuple, Tuple

import requests

ATLAS = "/datamap/api/atlas/v2"
SERVICE = "/datamap/api"
TIMEOUT = 60.0
"""Seconds for a request."""
_BATCH = 50
"""Guids in one request: their URL stays under Purview's 8 KB."""
_BELOW = {
    "databricks_workspace": ("notebooks", "jobs"),
    "databricks_job": ("job_tasks",),
}
_BELOW_A_RUNNABLE = ("processes",)


class Dataset(NamedTuple):
    """A dataset of a process."""

    type_name: str
    qualified_name: str


class ProcessLineage(NamedTuple):
    """A process with its qualified names; a column is written `qualifiedName#column`."""

    name: str
    qualified_name: str
    inputs: Tuple[Dataset, ...]
    outputs: Tuple[Dataset, ...]
    columns: Tuple[Tuple[str, str], ...]

    def as_json(self) -> Dict[str, Any]:
        """`{"name", "qualifiedName", "inputs": [...], "outputs": [...], "columns": [[from, to], ...]}`."""
        return {
            "name": self.name,
            "qualifiedName": self.qualified_name,
            "inputs": [one.qualified_name for one in self.inputs],
            "outputs": [one.qualified_name for one in self.outputs],
            "columns": [list(pair) for pair in self.columns],
        }


class Catalog:
    """A catalog's API at a base URL. Raises `requests.RequestException` where it can't be reached or refuses."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business with 127.0.0.1

    def processes(self) -> List[ProcessLineage]:
        """All processes of all workspaces; one that reads what another wrote comes after it."""
        guids = [one["id"] for one in self._search("databricks_workspace")]
        found: List[str] = []
        seen = set(guids)
        pending: Deque[str] = deque(guids)
        while pending:
            for entity in self._entities([pending.popleft() for _ in range(min(len(pending), _BATCH))]):
                if entity["typeName"] == "databricks_process":
                    found.append(entity["guid"])
                    continue
                for name in _BELOW.get(entity["typeName"], _BELOW_A_RUNNABLE):
                    below = [one["guid"] for one in entity["relationshipAttributes"].get(name) or ()]
                    pending.extend(guid for guid in below if guid not in seen)
                    seen.update(below)
        return _ordered(self._read(found))

    def _search(self, type_name: str) -> List[Mapping[str, Any]]:
        body: Dict[str, Any] = {"keywords": None, "limit": 1000, "filter": {"entityType": type_name}}
        hits: List[Mapping[str, Any]] = []
        while True:
            answer = self._session.post(f"{self._url}{SERVICE}/search/query", json=body, timeout=TIMEOUT)
            answer.raise_for_status()
            page = answer.json()
            hits.extend(page["value"])
            if not page.get("continuationToken"):
                return hits
            body["continuationToken"] = page["continuationToken"]

    def _entities(self, guids: Iterable[str], **parameters: str) -> List[Dict[str, Any]]:
        wanted = list(dict.fromkeys(guids))
        entities: List[Dict[str, Any]] = []
        for start in range(0, len(wanted), _BATCH):
            query: List[Tuple[str, str]] = [("guid", guid) for guid in wanted[start:start + _BATCH]]
            query += [("minExtInfo", "true"), *parameters.items()]
            answer = self._session.get(f"{self._url}{ATLAS}/entity/bulk", params=query, timeout=TIMEOUT)
            answer.raise_for_status()
            entities.extend(answer.json()["entities"])
        return entities

    def _read(self, guids: Iterable[str]) -> List[ProcessLineage]:
        processes = self._entities(guids)
        ends = (one["guid"] for process in processes for side in ("inputs", "outputs")
                for one in process["attributes"][side])
        datasets = {
            one["guid"]: Dataset(one["typeName"], one["attributes"]["qualifiedName"])
            for one in self._entities(ends, ignoreRelationships="true")
        }
        return [
            ProcessLineage(
                process["attributes"]["name"],
                process["attributes"]["qualifiedName"],
                tuple(datasets[one["guid"]] for one in process["attributes"]["inputs"]),
                tuple(datasets[one["guid"]] for one in process["attributes"]["outputs"]),
                column_pairs(process["attributes"].get("columnMapping")),
            )
            for process in sorted(processes, key=lambda one: (one["createTime"], one["attributes"]["qualifiedName"]))
        ]


def column_pairs(column_mapping: Any) -> Tuple[Tuple[str, str], ...]:
    """The pairs of a process's `columnMapping` (JSON in a string), as `qualifiedName#column`."""
    pairs = []
    for mapping in json.loads(column_mapping or "[]"):
        source, sink = (mapping["DatasetMapping"][side] for side in ("Source", "Sink"))
        pairs += [(f"{source}#{pair['Source']}", f"{sink}#{pair['Sink']}") for pair in mapping["ColumnMapping"]]
    return tuple(pairs)


def _ordered(processes: List[ProcessLineage]) -> List[ProcessLineage]:
    """Writers before readers, otherwise as given; a circle is entered at its first process."""
    writers: Dict[Dataset, List[int]] = {}
    for index, process in enumerate(processes):
        for dataset in process.outputs:
            writers.setdefault(dataset, []).append(index)
    ordered: List[ProcessLineage] = []
    met, done = set(), set()
    for start in range(len(processes)):
        stack = [start]
        while stack:
            index = stack[-1]
            before = [] if index in met else [
                writer for dataset in processes[index].inputs for writer in writers.get(dataset, ())
                if writer not in met and writer != index
            ]
            met.add(index)
            if before:
                stack.extend(reversed(before))
                continue
            stack.pop()
            if index not in done:
                done.add(index)
                ordered.append(processes[index])
    return ordered
