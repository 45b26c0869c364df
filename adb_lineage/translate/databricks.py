"""Where a run ran: workspace, notebook, job and task, as entities of Purview's built-in Databricks types.

Types, attributes, relationships and qualified names are those of sections 4.1 to 4.5 of the reference on the
accelerator. What its Jobs API calls told comes from the driver here (the run facet `environment-properties`); the
enrichment under `adb_lineage.job` adds what only the API knows and is never needed.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from adb_lineage.translate.events import Run
from adb_lineage.translate.json_values import as_list, as_mapping, as_text
from adb_lineage.translate.names import MAX_NAME_BYTES, shortened
from adb_lineage.translate.redaction import redacted_parameters

Entity = Dict[str, Any]

DEFAULT_WORKSPACE = "local"
"""Workspace of a run outside Databricks when neither the event nor an option names one."""

_SUFFIX = ".azuredatabricks.net"
_WORKSPACE_ID = re.compile(r"adb-\d+(?:\.\d+)?$")
_DOMAIN = re.compile(r"\.[a-z]{2,}$", re.IGNORECASE)
_GUID = r"(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})"
# ADF_<factory>_<pipeline>_<activity>_<pipeline run>. The run is a GUID, which a job of one's own hardly ends with.
_ADF = re.compile(rf"(?P<task>(?P<job>ADF_[^_]+_.+)_[^_]+)_(?i:{_GUID})$")
_JOB_CLUSTER = re.compile(r"job-(\d+)-run-\d+")

_TASK_TYPES = {
    "notebook": "databricks_notebook_task",
    "python": "databricks_python_task",
    "spark_python": "databricks_python_task",
    "python_wheel": "databricks_python_wheel_task",
    "wheel": "databricks_python_wheel_task",
    "jar": "databricks_spark_jar_task",
    "spark_jar": "databricks_spark_jar_task",
    "submit": "databricks_spark_submit_task",
    "spark_submit": "databricks_spark_submit_task",
}
_MAX_PARENT_BYTES = MAX_NAME_BYTES - 128
"""Room for the process under a parent: its hashes, and the number of a part."""

GENERIC_TASK = "databricks_job_task"


@dataclass(frozen=True)
class Place:
    """Where a run ran. `entities` come containers first; `parent` is the one that the process hangs under."""

    workspace: str
    """Host of the workspace, or its name outside Databricks."""
    entities: Tuple[Entity, ...]
    parent_type: str
    parent: str
    label: str
    """What a person would call it: the notebook's path, or the job and the task."""
    link: Optional[str]
    """URL of the run's page, where job and run are known."""
    user: str

    def fit(self, max_value_bytes: int) -> Iterator[Tuple[str, str]]:
        """Cut attributes that are larger than one value may be; yields what was cut, and why.

        A text keeps its beginning; of parameters only some would mislead, so they go as a whole.
        """
        for container in self.entities:
            for name, value in list(container["attributes"].items()):
                limit = max_value_bytes - len(name)
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                if 4 * len(text) <= limit:  # no character has more than four bytes
                    continue
                size = len(text.encode())
                if size <= limit:
                    continue
                if isinstance(value, str):
                    container["attributes"][name] = value.encode()[: limit - 3].decode("utf-8", "ignore") + "…"
                else:
                    del container["attributes"][name]
                yield f"{container['typeName']}.{name}", f"{size} bytes, more than the {limit} that one value may have"


def workspace_host(run: Run, default: Optional[str]) -> str:
    """The workspace's host: told by Spark, else by the job namespace as the accelerator had it, else `default`."""
    told = as_text(run.environment.get("spark.databricks.workspaceUrl")).strip().rstrip("/")
    if told:
        return told.split("//")[-1].lower()
    before, mark, _ = run.job_namespace.partition("#")
    before = before.strip().split("//")[-1].rstrip("/")
    if before and (mark or _WORKSPACE_ID.match(before) or before.endswith(_SUFFIX)):
        return with_suffix(before)
    if default:
        return full_host(default)
    return with_suffix(before) if before and before != "default" and _is_databricks(run) else DEFAULT_WORKSPACE


def full_host(workspace: str) -> str:
    """A workspace as people write it: `adb-123.4` gets Azure's suffix, of an address the host stays, any other name
    as it is."""
    workspace = workspace.strip().split("://")[-1].partition("/")[0] or workspace
    return with_suffix(workspace) if _WORKSPACE_ID.match(workspace) else workspace


def with_suffix(workspace: str) -> str:
    """`adb-123.4` with Azure's suffix; a name that ends in a domain already, of any cloud, stays as it is."""
    return workspace if _DOMAIN.search(workspace) else workspace + _SUFFIX


def _is_databricks(run: Run) -> bool:
    return "orgId" in run.environment or any(key.startswith("spark.databricks.") for key in run.environment)


def place_of(run: Run, workspace: str, redact: bool) -> Place:
    """The entities above the process of a run in a workspace."""
    return _Builder(run, workspace, redact).place()


def reference(type_name: str, qualified_name: str) -> Dict[str, Any]:
    """An entity told by type and qualified name."""
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": qualified_name}}


def entity(type_name: str, attributes: Mapping[str, Any], relationships: Mapping[str, Any]) -> Entity:
    """An entity; attributes without a value are left out, so that they don't erase what the catalog has."""
    known = {name: value for name, value in attributes.items() if value not in (None, "", [], {})}
    known["name"] = shortened(known.get("name") or known["qualifiedName"])
    return {"typeName": type_name, "attributes": known, "relationshipAttributes": dict(relationships)}


class _Builder:
    def __init__(self, run: Run, workspace: str, redact: bool) -> None:
        self.run = run
        self.environment = run.environment
        self.job_told = as_mapping(run.environment.get("adb_lineage.job"))
        self.workspace = workspace
        self.root = f"databricks://{workspace}"
        self.redact = redact
        self.spark_version = self._spark_version()
        self.user = self._env("user")

    def _env(self, key: str) -> str:
        return as_text(self.environment.get(key)).strip()

    def _spark_version(self) -> str:
        old = as_text(as_mapping(self.run.facets.get("spark_version")).get("spark-version"))
        engine = as_mapping(self.run.facets.get("processing_engine"))
        return old or (as_text(engine.get("version")) if as_text(engine.get("name")).lower() in ("spark", "") else "")

    def place(self) -> Place:
        path = self._env("spark.databricks.notebook.path")
        job_id = as_text(self.job_told.get("jobId")) or self._env("spark.databricks.job.id")
        if not job_id and self._env("spark.databricks.job.runId"):  # a job cluster is named after its job
            cluster = _JOB_CLUSTER.match(self._env("spark.databricks.clusterUsageTags.clusterName"))
            job_id = cluster[1] if cluster else ""
        return self._job_place(job_id, path) if job_id else self._notebook_place(path)

    def _notebook_place(self, path: str) -> Place:
        """An interactive notebook; a run that tells none hangs under a notebook named after its job.

        Such runs come from a SQL cell's own session, spark-shell, or another producer (dbt, Airflow). Spark's agent
        gives each output its own job name, so the application's name, which is in the parent facet, is preferred.
        """
        if not path.strip("/"):
            parent = as_mapping(as_mapping(self.run.facets.get("parent")).get("job"))
            integration = as_text(as_mapping(self.run.job_facets.get("jobType")).get("integration")).upper()
            told = (as_text(parent.get("name")) if integration == "SPARK" else "") or self.run.job_name
            path = told.strip("/") and told or as_text(parent.get("name")) or "unknown"
        entities = [self._workspace(), self._notebook(path)]
        return Place(
            workspace=self.workspace,
            entities=tuple(entities),
            parent_type="databricks_notebook",
            parent=entities[-1]["attributes"]["qualifiedName"],
            label=path,
            link=self._notebook_link(),
            user=self.user,
        )

    def _workspace(self) -> Entity:
        return entity("databricks_workspace", {"name": self.workspace, "qualifiedName": self.root}, {})

    def _notebook(self, path: str) -> Entity:
        path = path.strip("/")
        return entity(
            "databricks_notebook",
            {
                "name": path.rsplit("/", 1)[-1],
                "qualifiedName": shortened(f"{self.root}/notebooks/{path}", _MAX_PARENT_BYTES),
                "clusterName": self._env("spark.databricks.clusterUsageTags.clusterName"),
                "user": self.user,
                "sparkVersion": self.spark_version,
            },
            {"workspace": reference("databricks_workspace", self.root)},
        )

    def _job_place(self, job_id: str, path: str) -> Place:
        run_name = as_text(self.job_told.get("name")) or self._run_name()
        key = as_text(self.job_told.get("taskKey")) or self._env("spark.databricks.job.taskKey")
        task_type = self._task_type(path)
        if not key:  # of a single task it is not always told; Data Factory repeats the run's name, else what it runs
            adf = _ADF.match(run_name) is not None
            key = run_name if adf else path.strip("/").rsplit("/", 1)[-1] or self._env("spark.databricks.job.type")
        job_name, job_part, task_part, key = _adf_names(run_name, job_id, key or "task")
        job = entity(
            "databricks_job",
            {
                "name": job_name or f"job {job_id}",
                "qualifiedName": shortened(f"{self.root}/jobs/{job_part}", _MAX_PARENT_BYTES),
                "jobId": int(job_id) if job_id.isdigit() else None,
                "creatorUserName": as_text(self.job_told.get("creatorUserName")),
            },
            {"workspace": reference("databricks_workspace", self.root)},
        )
        entities = [self._workspace()]
        relationships = {"job": reference("databricks_job", job["attributes"]["qualifiedName"])}
        if task_type == "databricks_notebook_task" and path.strip("/"):
            notebook = self._notebook(path)
            entities.append(notebook)
            relationships["notebook"] = reference("databricks_notebook", notebook["attributes"]["qualifiedName"])
        attributes: Dict[str, Any] = {
            "name": key,
            "qualifiedName": shortened(f"{self.root}/jobs/{task_part}/tasks/{key}", _MAX_PARENT_BYTES),
            "jobId": int(job_id) if job_id.isdigit() else None,
            "clusterId": as_text(self.job_told.get("clusterId"))
            or self._env("spark.databricks.clusterUsageTags.clusterId"),
            "sparkVersion": self.spark_version,
        }
        attributes.update(self._task_attributes(task_type, path))
        entities += [job, entity(task_type, attributes, relationships)]
        return Place(
            workspace=self.workspace,
            entities=tuple(entities),
            parent_type=task_type,
            parent=str(attributes["qualifiedName"]),
            label=path or f"{job_name or job_id}/{key}",
            link=self._job_link(job_id),
            user=self.user,
        )

    def _run_name(self) -> str:
        """The run's name from the tags of a job cluster, which has it for runs that ADF submits, too."""
        tags = self.environment.get("spark.databricks.clusterUsageTags.clusterAllTags")
        if isinstance(tags, str):
            try:
                tags = json.loads(tags)
            except ValueError:
                return ""
        for tag in map(as_mapping, as_list(tags)):
            if tag.get("key") == "RunName":
                return as_text(tag.get("value"))
        return ""

    def _task_type(self, path: str) -> str:
        told = (as_text(self.job_told.get("taskType")) or self._env("spark.databricks.job.type")).lower()
        told = told[:-5] if told.endswith("_task") else told
        if self.job_told.get("packageName"):  # Spark calls a wheel's task python, like a script's
            told = "python_wheel"
        return _TASK_TYPES.get(told) or (_TASK_TYPES["notebook"] if path and not told else GENERIC_TASK)

    def _task_attributes(self, task_type: str, path: str) -> Mapping[str, Any]:
        told = self.job_told
        parameters = [as_text(item) for item in as_list(told.get("parameters"))]
        base = {str(key): as_text(value) for key, value in as_mapping(told.get("baseParameters")).items()}
        if self.redact:
            parameters, base = redacted_parameters(parameters), redacted_parameters(base)
        if task_type == "databricks_notebook_task":
            return {"notebookPath": path, "baseParameters": base}
        if task_type == "databricks_python_task":
            return {"pythonFile": as_text(told.get("pythonFile")), "parameters": parameters}
        if task_type == "databricks_python_wheel_task":
            return {
                "packageName": as_text(told.get("packageName")),
                "entryPoint": as_text(told.get("entryPoint")),
                "parameters": parameters,
                "wheel": _first_library(told.get("libraries"), "whl"),
            }
        if task_type == "databricks_spark_jar_task":
            return {
                "mainClassName": as_text(told.get("mainClassName")),
                "jarUri": as_text(told.get("jarUri")),
                "parameters": parameters,
                "jar": _first_library(told.get("libraries"), "jar"),
            }
        return {"parameters": parameters} if task_type == "databricks_spark_submit_task" else {}

    def _job_link(self, job_id: str) -> Optional[str]:
        run_id = self._env("spark.databricks.job.parentRunId") or self._env("spark.databricks.job.runId")
        if not job_id or not run_id or "." not in self.workspace:
            return None
        return f"https://{self.workspace}/jobs/{job_id}/runs/{run_id}" + self._organisation("?o=")

    def _notebook_link(self) -> Optional[str]:
        notebook = self._env("spark.databricks.notebook.id")
        if not notebook or "." not in self.workspace:
            return None
        return f"https://{self.workspace}/{self._organisation('?o=')}#notebook/{notebook}"

    def _organisation(self, prefix: str) -> str:
        told = self._env("orgId") or self._env("spark.databricks.clusterUsageTags.clusterOwnerOrgId")
        return prefix + told if told else ""


def _first_library(libraries: Any, kind: str) -> str:
    """The first library of a kind, `whl` or `jar`; other kinds (pypi, maven) are passed over."""
    for library in map(as_mapping, as_list(libraries)):
        if as_text(library.get(kind)):
            return as_text(library.get(kind))
    return ""


def _adf_names(run_name: str, job_id: str, key: str) -> Tuple[str, str, str, str]:
    """Name of the job, its part of the qualified name, the same of its task's qualified name, and the task's key.

    Data Factory submits every run as a new job `ADF_<factory>_<pipeline>_<activity>_<run>`. Parsed from the right, and
    cut where the accelerator cut it (two pieces for the job, one for the task), so that identities stay the same; an
    activity with a `_` in its name moves a piece of it into the job's name, the same piece each time.
    """
    job, task = _ADF.match(run_name), _ADF.match(key)
    job_name, job_part = (job["job"], job["job"]) if job else (run_name, job_id)
    if task:
        return job_name or task["job"], job_part if job else task["job"], task["job"], task["task"]
    return job_name, job_part, job_part, key

