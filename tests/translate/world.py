"""Events for tests, built from few words."""
from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from adb_lineage.translate import RunTranslation, TranslateOptions, translate_run

WORKSPACE = "adb-4630430682081461.1"
HOST = WORKSPACE + ".azuredatabricks.net"
LAKE = "abfss://c@lake.dfs.core.windows.net"
URL = "https://lake.dfs.core.windows.net/c"


def dataset(name: str, namespace: str = LAKE, **facets: Any) -> Dict[str, Any]:
    """A dataset with its facets; the lake's unless a namespace is told."""
    return {"namespace": namespace, "name": name, "facets": facets}


def lineage(*edges: Sequence[str], whole: Sequence[Any] = (), namespace: str = LAKE) -> Dict[str, Any]:
    """A columnLineage facet of `(source dataset, source column, sink column)`."""
    fields: Dict[str, Any] = {}
    for name, source, sink in edges:
        told = fields.setdefault(sink, {"inputFields": []})
        told["inputFields"].append({"namespace": namespace, "name": name, "field": source})
    return {"fields": fields, "dataset": list(whole)}


def event(
    kind: str = "COMPLETE",
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    environment: Optional[Dict[str, Any]] = None,
    time: str = "2026-01-01T00:00:00Z",
    **facets: Any,
) -> Dict[str, Any]:
    """One event of one run in a workspace."""
    if environment is not None:
        facets["environment-properties"] = {"environment-properties": environment}
    return {
        "eventType": kind,
        "eventTime": time,
        "run": {"runId": "0190-run", "facets": facets},
        "job": {"namespace": f"{WORKSPACE}#cluster", "name": "databricks_shell.append"},
        "inputs": list(inputs),
        "outputs": list(outputs),
    }


NOTEBOOK = {"spark.databricks.notebook.path": "/Shared/nb", "user": "someone@example.com"}


def translated(*events: Any, **options: Any) -> RunTranslation:
    """The translation of the events of one run."""
    return translate_run(events, TranslateOptions(**options))


def process_of(translation: RunTranslation, chosen: Any = None) -> Dict[str, Any]:
    """Attributes of the process."""
    entities: List[Dict[str, Any]] = translation.entities(chosen or {})
    assert entities[-1]["typeName"] == "databricks_process"
    attributes: Dict[str, Any] = entities[-1]["attributes"]
    return attributes


def names(references: Sequence[Dict[str, Any]]) -> List[str]:
    """Qualified names of references."""
    return [reference["uniqueAttributes"]["qualifiedName"] for reference in references]
