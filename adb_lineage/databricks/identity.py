"""Who ran it: workspace, cluster, notebook, job, task, run and user, from what the driver knows without any REST call.

Three sources, each incomplete (reference/databricks.md 4): the local properties of the command that started a Spark
job, the Spark conf of the cluster, and the notebook context of a REPL. What they say goes into the inner dict of the
`environment-properties` run facet, under OpenLineage's keys. Only keys named here pass: local properties hold a live
API token.
"""
from __future__ import annotations

import json
import re
import uuid
from typing import Any, Dict, List, Mapping, Optional, Tuple

_TAGS = "spark.databricks.clusterUsageTags."

PROPERTIES = (
    "orgId", _TAGS + "clusterOwnerOrgId", _TAGS + "clusterName", _TAGS + "clusterId", _TAGS + "azureSubscriptionId",
    "spark.databricks.notebook.path", "spark.databricks.notebook.id", "spark.databricks.job.id",
    "spark.databricks.job.runId", "spark.databricks.job.parentRunId", "spark.databricks.job.type",
    "spark.databricks.job.taskKey", "spark.databricks.workspaceUrl", "user", "userId", "spark.databricks.replId",
)
"""Keys that pass under their own name, from local properties first and the Spark conf second."""

CLUSTER_TAGS = _TAGS + "clusterAllTags"
"""A list of `{"key", "value"}`, any tag of the customer's among them: only `_JOB_TAGS` are looked at."""

_JOB_TAGS = ("RunName", "JobId")

LOCAL_PROPERTIES = (*PROPERTIES, "spark.jobGroup.id", "spark.databricks.workload.id", "spark.databricks.user.name",
                    "spark.databricks.user.id")
"""The local properties that may leave the JVM, by their full names. `spark.databricks.api.token` is one of the rest."""

# Which of the context's run ids exist varies between runs of one job (4.3): in order of preference.
_JOB_RUN = ("multitaskParentRunId", "jobRunId", "rootRunId", "runId")
_TASK_RUN = ("taskRunId", "currentRunId", "runId")

_JOB_GROUP = re.compile(r"(?:^|_)job-(\d+)-run-(\d+)(?:-action|$)")
_CLUSTER_NAME = re.compile(r"^job-(\d+)-run-(\d+)(?:-|$)")
_WORKLOAD = re.compile(r"^(\d+)-(\d+)-(\d+)$")


def environment(sc_conf: Mapping[str, str], local_properties: Mapping[str, str],
                notebook_context: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """The inner dict of the `environment-properties` facet; values are texts, unknown keys are absent.

    `sc_conf`: the SparkContext's conf. `local_properties`: those of the command (of JobStart, or of the REPL where no
    Spark job ran). `notebook_context`: the answer of `read_context`, of the REPL that ran the command; it is only
    believed about what the properties do not say. Empty outside Databricks.
    """
    found: Dict[str, Any] = {}
    for key in PROPERTIES:
        value = local_properties.get(key) or sc_conf.get(key)
        if value:
            found[key] = str(value)
    for key, names in (("user", ("spark.databricks.user.name",)), ("userId", ("spark.databricks.user.id",))):
        for name in names:
            if key not in found and local_properties.get(name):
                found[key] = str(local_properties[name])
    _from_context(found, notebook_context or {})
    tags = _job_tags(sc_conf)
    _from_patterns(found, sc_conf, local_properties)
    if tags.get("JobId"):
        found.setdefault("spark.databricks.job.id", tags["JobId"])
    run = {**_run(local_properties, notebook_context or {}), **scheduler(sc_conf)}
    if found and run:
        found["adb_lineage.run"] = run
    if "spark.databricks.job.id" in found:
        found["adb_lineage.job"] = _job(found, notebook_context or {}, tags)
    if "spark.databricks.workspaceUrl" in found:
        found["spark.databricks.workspaceUrl"] = _host(found["spark.databricks.workspaceUrl"])
    return found


def read_context(context: Any) -> Dict[str, str]:
    """The allow-listed part of a notebook context: what `dbruntime`'s `get_context()` or the JVM's `toJson()` give.

    Takes the object, the JSON text or the parsed JSON; names that both forms spell differently come out the same.
    `apiToken` never passes. To be called on the REPL's main thread: the context belongs to the running cell.
    """
    if isinstance(context, str):
        try:
            context = json.loads(context)
        except ValueError:
            return {}
    if context is None:
        return {}
    if not isinstance(context, Mapping):
        values = {name: getattr(context, name, None) for name in _CONTEXT_NAMES}
    else:
        values = {**(context.get("attributes") or {}), **(context.get("tags") or {}),
                  **{key: value for key, value in context.items() if not isinstance(value, (dict, list))}}
        extra = context.get("extraContext") or {}
        for name, path in (("notebookPath", "notebook_path"), ("apiUrl", "api_url"), ("taskKey", "taskKey")):
            if extra.get(path):
                values[name] = extra[path]
        for name in ("currentRunId", "rootRunId"):
            if isinstance(context.get(name), Mapping):
                values[name] = context[name].get("id")
        values.setdefault("workspaceId", values.get("orgId"))
    return {name: _text(values[name]) for name in _CONTEXT_NAMES if _text(values.get(name))}


_CONTEXT_NAMES = ("apiUrl", "workspaceUrl", "workspaceId", "browserHostName", "clusterId", "notebookId", "notebookPath",
                  "jobId", "jobName", "jobTaskType", "jobType", "jobTriggerType", "idInJob", "taskKey", "taskRunId",
                  "jobRunId", "runId", "multitaskParentRunId", "currentRunId", "rootRunId", "commandRunId", "replId",
                  "user", "userId")

_CONTEXT_KEYS = (("orgId", "workspaceId"), (_TAGS + "clusterId", "clusterId"),
                 ("spark.databricks.notebook.path", "notebookPath"), ("spark.databricks.notebook.id", "notebookId"),
                 ("spark.databricks.job.id", "jobId"), ("spark.databricks.job.taskKey", "taskKey"),
                 ("spark.databricks.job.type", "jobTaskType"), ("user", "user"), ("userId", "userId"))


def scheduler(conf: Mapping[str, str]) -> Dict[str, Dict[str, str]]:
    """The run that started this application, where its scheduler said so (Airflow's provider does, in the Spark conf).

    Keys: `parent` and `root` (its outermost parent), each with `runId`, `namespace` and `name`; the parent where no
    root is told; empty when neither is whole. Source of the keys: openlineage_spark.md 1.9.
    """
    found = {part: told for part, prefix in (("parent", "parent"), ("root", "rootParent"))
             for told in [{key: conf.get(f"spark.openlineage.{prefix}{name}", "") for key, name in _RUN_KEYS}]
             if all(told.values()) and _is_uuid(told["runId"])}
    return {"root": found["parent"], **found} if "parent" in found else {}


_RUN_KEYS = (("runId", "RunId"), ("namespace", "JobNamespace"), ("name", "JobName"))


def _is_uuid(text: str) -> bool:
    """OpenLineage refuses events with other run ids."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _from_context(found: Dict[str, Any], context: Mapping[str, Any]) -> None:
    for key, name in _CONTEXT_KEYS:
        if key not in found and context.get(name):
            found[key] = str(context[name])
    if "spark.databricks.workspaceUrl" not in found:
        url = next((context[name] for name in ("workspaceUrl", "browserHostName", "apiUrl") if context.get(name)), "")
        # apiUrl may be the region's control plane, which is not the workspace
        if _host(url).startswith("adb-") or context.get("workspaceUrl"):
            found["spark.databricks.workspaceUrl"] = _host(url)
    if "spark.databricks.job.id" in found:
        for key, names in (("spark.databricks.job.parentRunId", _JOB_RUN), ("spark.databricks.job.runId", _TASK_RUN)):
            value = next((context[name] for name in names if context.get(name)), None)
            if key not in found and value:
                found[key] = str(value)


def _from_patterns(found: Dict[str, Any], conf: Mapping[str, str], properties: Mapping[str, str]) -> None:
    """Last resorts: ids inside the job group, the workload id and the job cluster's name (4.1)."""
    group = _JOB_GROUP.search(properties.get("spark.jobGroup.id") or "")
    workload = _WORKLOAD.match(properties.get("spark.databricks.workload.id") or "")
    cluster = _CLUSTER_NAME.match(found.get(_TAGS + "clusterName") or "")
    guesses: List[Tuple[str, Optional[str]]] = [
        ("spark.databricks.job.id", group and group.group(1)), ("spark.databricks.job.runId", group and group.group(2)),
        ("orgId", workload and workload.group(1)), ("spark.databricks.job.id", workload and workload.group(2)),
        ("spark.databricks.job.runId", workload and workload.group(3)),
        ("spark.databricks.job.id", cluster and cluster.group(1)),
        ("spark.databricks.job.parentRunId", cluster and cluster.group(2)),
    ]
    for key, value in guesses:
        if value and key not in found:
            found[key] = value


def _run(properties: Mapping[str, str], context: Mapping[str, Any]) -> Dict[str, str]:
    """What Databricks knows of the run beyond OpenLineage's keys: the cell, the attempt, what triggered it."""
    run = {name: str(context[source]) for name, source in
           (("commandRunId", "commandRunId"), ("idInJob", "idInJob"), ("trigger", "jobTriggerType"),
            ("kind", "jobType"), ("rootRunId", "rootRunId"))
           if context.get(source)}
    group = properties.get("spark.jobGroup.id")
    if group:
        run["jobGroup"] = group
    return run


def _job_tags(conf: Mapping[str, str]) -> Dict[str, str]:
    """The tags that Databricks gives the cluster of a job; ADF's runs are named there, too (4.2)."""
    try:
        tags = json.loads(conf.get(CLUSTER_TAGS) or "[]")
    except ValueError:
        return {}
    return {str(tag["key"]): str(tag["value"]) for tag in tags if isinstance(tag, dict)
            and tag.get("key") in _JOB_TAGS and tag.get("value")} if isinstance(tags, list) else {}


def _job(found: Mapping[str, Any], context: Mapping[str, Any], tags: Mapping[str, str]) -> Dict[str, Any]:
    """As much of `jobs_api.task_facts` as needs no REST call; the same keys."""
    job = {"jobId": found["spark.databricks.job.id"], "name": context.get("jobName") or tags.get("RunName"),
           "taskKey": found.get("spark.databricks.job.taskKey"), "clusterId": found.get(_TAGS + "clusterId"),
           "taskType": _TASK_TYPES.get(found.get("spark.databricks.job.type", ""))}
    return {key: value for key, value in job.items() if value}


# `python` stands for spark_python_task and python_wheel_task alike, so it says nothing
_TASK_TYPES = {"notebook": "notebook_task", "jar": "spark_jar_task", "sql": "sql_task", "dbt": "dbt_task"}


def _host(url: str) -> str:
    return re.sub(r"^[a-z]+://", "", url.strip()).split("/")[0]


def _text(value: Any) -> str:
    """A value of the context as text; Scala's Some(x) and None come through Py4J as such."""
    if value is None or isinstance(value, (dict, list)):
        return ""
    text = str(value)
    match = re.match(r"^Some\((.*)\)$", text, re.S)
    text = match.group(1) if match else text
    return "" if text == "None" else text
