"""Who ran it, from each source alone and together; tokens never pass."""
from __future__ import annotations

import json
import sys
import types

import pytest

from adb_lineage.databricks import identity
from adb_lineage.databricks.driver import Driver, Mounts, published_name

CONF = {
    "spark.databricks.workspaceUrl": "adb-1234567890123456.7.azuredatabricks.net",
    "spark.databricks.clusterUsageTags.clusterOwnerOrgId": "1234567890123456",
    "spark.databricks.clusterUsageTags.clusterName": "etl",
    "spark.databricks.clusterUsageTags.clusterId": "1122-334455-abcdefgh",
    "spark.databricks.clusterUsageTags.azureSubscriptionId": "0000-1111",
    "spark.databricks.clusterUsageTags.clusterAllTags": '[{"key":"secret","value":"s3cr3t"}]',
}
NOTEBOOK = {"spark.databricks.notebook.path": "/Users/a@b.example/nb", "spark.databricks.notebook.id": "42",
            "user": "a@b.example", "userId": "7", "orgId": "1234567890123456",
            "spark.databricks.api.token": "dapi0000", "spark.databricks.replId": "ReplId-1"}
JOB = {**NOTEBOOK, "spark.databricks.job.id": "11", "spark.databricks.job.runId": "222",
       "spark.databricks.job.parentRunId": "111", "spark.databricks.job.type": "notebook",
       "spark.databricks.job.taskKey": "load"}


def test_a_notebook_of_a_cluster() -> None:
    found = identity.environment(CONF, NOTEBOOK)
    assert found["spark.databricks.notebook.path"] == "/Users/a@b.example/nb"
    assert found["spark.databricks.workspaceUrl"] == "adb-1234567890123456.7.azuredatabricks.net"
    assert found["user"] == "a@b.example"
    assert "spark.databricks.job.id" not in found and "adb_lineage.job" not in found


def test_nothing_but_named_keys_passes() -> None:
    found = identity.environment(CONF, JOB, {"apiToken": "dapi1111", "commandRunId": "9"})
    text = json.dumps(found)
    assert "dapi" not in text and "s3cr3t" not in text
    assert found["adb_lineage.run"] == {"commandRunId": "9"}


def test_a_task_of_a_job() -> None:
    found = identity.environment(CONF, JOB, {"jobName": "nightly"})
    assert (found["spark.databricks.job.runId"], found["spark.databricks.job.parentRunId"]) == ("222", "111")
    assert found["adb_lineage.job"] == {"jobId": "11", "name": "nightly", "taskKey": "load",
                                        "taskType": "notebook_task", "clusterId": "1122-334455-abcdefgh"}


def test_outside_databricks_there_is_nothing() -> None:
    assert identity.environment({"spark.app.name": "x"}, {"spark.job.description": "y"}) == {}


@pytest.mark.parametrize(("tags", "job_run", "task_run"), [
    ({"multitaskParentRunId": "1", "jobRunId": "2", "runId": "3", "taskRunId": "4"}, "1", "4"),
    ({"jobRunId": "2", "runId": "3"}, "2", "3"),
    ({"runId": "3"}, "3", "3"),
])
def test_run_ids_of_the_context_in_the_order_of_trust(tags: dict, job_run: str, task_run: str) -> None:
    context = identity.read_context(json.dumps({"tags": {"jobId": "11", **tags}}))
    found = identity.environment(CONF, {}, context)
    assert found["spark.databricks.job.parentRunId"] == job_run
    assert found["spark.databricks.job.runId"] == task_run


def test_the_properties_are_believed_before_the_context() -> None:
    found = identity.environment(CONF, JOB, {"taskRunId": "999", "user": "somebody.else", "notebookPath": "/other"})
    assert found["spark.databricks.job.runId"] == "222"
    assert found["user"] == "a@b.example"
    assert found["spark.databricks.notebook.path"] == "/Users/a@b.example/nb"


def test_context_as_json_of_the_jvm() -> None:
    context = identity.read_context(json.dumps({
        "currentRunId": {"id": 5}, "rootRunId": None, "extraContext": {"notebook_path": "/nb", "api_url": "https://x"},
        "tags": {"orgId": "1", "user": "u", "jobId": "3", "opId": "q"}, "attributes": {"apiToken": "dapi2"}}))
    assert context == {"apiUrl": "https://x", "workspaceId": "1", "notebookPath": "/nb", "jobId": "3",
                       "currentRunId": "5", "user": "u"}


def test_context_as_dbruntime_object_with_scala_options() -> None:
    context = identity.read_context(types.SimpleNamespace(
        apiToken="dapi3", workspaceUrl="adb-1.2.azuredatabricks.net", jobId="Some(17)", jobName=None,
        commandRunId="None"))
    assert context == {"workspaceUrl": "adb-1.2.azuredatabricks.net", "jobId": "17"}


@pytest.mark.parametrize("raw", [None, "", "no json", "[]", "null", "3"])
def test_a_context_that_is_none(raw: object) -> None:
    assert identity.read_context(raw) == {}


def test_the_region_s_api_url_is_not_the_workspace() -> None:
    found = identity.environment({}, {"spark.databricks.notebook.path": "/nb"},
                                 {"apiUrl": "https://westeurope-c2.azuredatabricks.net"})
    assert "spark.databricks.workspaceUrl" not in found
    found = identity.environment({}, {}, {"browserHostName": "adb-1.2.azuredatabricks.net"})
    assert found["spark.databricks.workspaceUrl"] == "adb-1.2.azuredatabricks.net"


@pytest.mark.parametrize(("properties", "conf", "job", "run"), [
    ({"spark.jobGroup.id": "1_2_job-33-run-44-action-5"}, {}, "33", ("spark.databricks.job.runId", "44")),
    ({"spark.databricks.workload.id": "1-33-44"}, {}, "33", ("spark.databricks.job.runId", "44")),
    ({}, {"spark.databricks.clusterUsageTags.clusterName": "job-33-run-44-load"}, "33",
     ("spark.databricks.job.parentRunId", "44")),
])
def test_last_resorts(properties: dict, conf: dict, job: str, run: tuple) -> None:
    found = identity.environment(conf, properties)
    assert found["spark.databricks.job.id"] == job
    assert found[run[0]] == run[1]


def tags(**more: str) -> dict:
    return {"spark.databricks.clusterUsageTags.clusterAllTags": json.dumps(
        [{"key": "secret", "value": "s3cr3t"}, *({"key": key, "value": value} for key, value in more.items())])}


def test_the_run_s_name_from_the_job_cluster_s_tags() -> None:
    """ADF submits each run as a job of its own, whose name is all that the runs have in common."""
    name = "ADF_factory_pipeline_activity_6f1e62a1-7d2b-4a0c-9d4d-0a3a5a0b6c77"
    found = identity.environment({**CONF, **tags(RunName=name)}, JOB)
    assert found["adb_lineage.job"]["name"] == name and "s3cr3t" not in json.dumps(found)
    found = identity.environment({**CONF, **tags(RunName=name)}, JOB, {"jobName": "nightly"})
    assert found["adb_lineage.job"]["name"] == "nightly"
    assert identity.environment({**CONF, **tags(JobId="77")}, {})["spark.databricks.job.id"] == "77"
    assert identity.environment({**CONF, **tags(JobId="77")}, JOB)["spark.databricks.job.id"] == "11"


@pytest.mark.parametrize("bad", ["", "no json", "{}", "[3, {}, {\"key\": \"RunName\"}]", "null"])
def test_tags_that_say_nothing(bad: str) -> None:
    found = identity.environment({**CONF, "spark.databricks.clusterUsageTags.clusterAllTags": bad}, JOB)
    assert "name" not in found["adb_lineage.job"]


TASK_RUN, DAG_RUN = "01912345-0000-7000-8000-000000000001", "01912345-0000-7000-8000-000000000002"
TASK = {"spark.openlineage.parentRunId": TASK_RUN, "spark.openlineage.parentJobNamespace": "airflow",
        "spark.openlineage.parentJobName": "dag.task"}
DAG = {"spark.openlineage.rootParentRunId": DAG_RUN, "spark.openlineage.rootParentJobNamespace": "airflow",
       "spark.openlineage.rootParentJobName": "dag"}


def test_a_scheduler_s_run() -> None:
    task = {"runId": TASK_RUN, "namespace": "airflow", "name": "dag.task"}
    assert identity.scheduler(TASK) == {"parent": task, "root": task}
    dag = {"runId": DAG_RUN, "namespace": "airflow", "name": "dag"}
    assert identity.scheduler({**TASK, **DAG}) == {"parent": task, "root": dag}
    assert identity.environment({**CONF, **TASK, **DAG}, JOB)["adb_lineage.run"]["parent"] == task


@pytest.mark.parametrize("conf", [DAG, {"spark.openlineage.parentRunId": TASK_RUN},
                                  {**TASK, "spark.openlineage.parentRunId": "manual__2026-11-01"}])
def test_half_of_a_scheduler_s_run_is_none(conf: dict) -> None:
    """OpenLineage refuses an event whose run id is no UUID: the lineage is worth more than its parent."""
    assert identity.scheduler(conf) == {}


def test_the_list_of_mounts_shows_no_keys():
    mounts = Mounts(lambda: [{"mountPoint": "/mnt/old", "source": "s3a://AKIAKEY:sec%2Fret@bucket/folder"},
                             {"mountPoint": "/mnt/raw", "source": "abfss://raw@acct.dfs.core.windows.net/in"}])
    assert [row["source"] for row in mounts.rows()] == ["s3a://bucket/folder", "abfss://raw@acct.dfs.core.windows.net/in"]


@pytest.mark.spark
def test_a_task_whose_context_comes_late_has_the_name_that_another_task_told_of_the_job(spark_session, monkeypatch):
    context = spark_session.sparkContext
    told = types.SimpleNamespace(jobId="11", jobName="nightly", jobTaskType="notebook")  # stands for Databricks' own
    module = types.ModuleType("dbruntime.databricks_repl_context")
    module.get_context = lambda: told
    monkeypatch.setitem(sys.modules, module.__name__, module)
    system = context._jvm.java.lang.System
    extract, report = (Driver(context, conf=CONF, mounts=Mounts(list)) for _ in range(2))
    try:
        assert "name" not in report.environment(JOB, "report")["adb_lineage.job"]
        extract.note_cell("extract")
        extract.forget()
        assert report.environment(JOB, "report")["adb_lineage.job"]["name"] == "nightly"
        assert "name" not in report.environment({**JOB, "spark.databricks.job.id": "12"}, "other")["adb_lineage.job"]
    finally:
        system.clearProperty(published_name("job.11"))
