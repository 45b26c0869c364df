"""Workspace, notebook, job and task, named as the accelerator named them."""
import pytest

from adb_lineage.translate.redaction import mask_literals, mask_secrets, redacted_parameters
from tests.translate.world import HOST, WORKSPACE, dataset, event, translated

ROOT = f"databricks://{HOST}"
JOB = {"spark.databricks.job.id": "12", "spark.databricks.job.runId": "99", "spark.databricks.job.taskKey": "load"}
GUID = "7d6c9fd0-3a3e-4f3a-9f0c-2f1f5d6c7b8a"


def entities_of(environment=None, namespace=None, job_name=None, job_facets=None, facets=None, **options):
    run = event(inputs=[dataset("a")], outputs=[dataset("b")], environment=environment, **(facets or {}))
    if namespace is not None:
        run["job"]["namespace"] = namespace
    run["job"]["name"] = job_name or run["job"]["name"]
    run["job"]["facets"] = job_facets or {}
    return translated(run, **options).entities()


def named(entities):
    return [(entity["typeName"], entity["attributes"]["qualifiedName"]) for entity in entities[:-1]]


def related(entity):
    return {name: end["uniqueAttributes"]["qualifiedName"] for name, end in entity["relationshipAttributes"].items()}


def test_interactive_notebook():
    entities = entities_of({
        "spark.databricks.notebook.path": "/Shared/etl/nb", "user": "u@x", "orgId": "1",
        "spark.databricks.clusterUsageTags.clusterName": "shared",
    }, facets={"spark_version": {"spark-version": "3.3.0"}})
    assert named(entities) == [
        ("databricks_workspace", ROOT), ("databricks_notebook", f"{ROOT}/notebooks/Shared/etl/nb"),
    ]
    assert entities[1]["attributes"] == {
        "name": "nb", "qualifiedName": f"{ROOT}/notebooks/Shared/etl/nb", "clusterName": "shared", "user": "u@x",
        "sparkVersion": "3.3.0",
    }
    assert related(entities[1]) == {"workspace": ROOT}
    assert related(entities[-1]) == {"task": f"{ROOT}/notebooks/Shared/etl/nb"}
    assert entities[-1]["relationshipAttributes"]["task"]["typeName"] == "databricks_notebook"


def test_notebook_job():
    entities = entities_of({
        **JOB, "spark.databricks.notebook.path": "/Shared/nb", "spark.databricks.job.type": "notebook",
        "adb_lineage.job": {"name": "nightly", "creatorUserName": "c@x", "clusterId": "0101-x",
                            "baseParameters": {"date": "2024-01-01", "apiKey": "k", "n": 3}}},
        facets={"processing_engine": {"name": "spark", "version": "3.5.0"}})
    task = f"{ROOT}/jobs/12/tasks/load"
    assert named(entities) == [
        ("databricks_workspace", ROOT), ("databricks_notebook", f"{ROOT}/notebooks/Shared/nb"),
        ("databricks_job", f"{ROOT}/jobs/12"), ("databricks_notebook_task", task),
    ]
    assert entities[2]["attributes"] == {
        "name": "nightly", "qualifiedName": f"{ROOT}/jobs/12", "jobId": 12, "creatorUserName": "c@x",
    }
    assert entities[3]["attributes"] == {
        "name": "load", "qualifiedName": task, "jobId": 12, "clusterId": "0101-x", "sparkVersion": "3.5.0",
        "notebookPath": "/Shared/nb", "baseParameters": {"date": "2024-01-01", "apiKey": "***", "n": "3"},
    }
    assert related(entities[3]) == {"job": f"{ROOT}/jobs/12", "notebook": f"{ROOT}/notebooks/Shared/nb"}
    assert related(entities[-1]) == {"task": task}
    assert entities[-1]["attributes"]["qualifiedName"].startswith(f"{task}/processes/")


@pytest.mark.parametrize(
    ("told", "type_name", "attributes"),
    [
        ({"taskType": "spark_python_task", "pythonFile": "dbfs:/a.py", "parameters": ["--password", "x", "--token=y"]},
         "databricks_python_task", {"pythonFile": "dbfs:/a.py", "parameters": ["--password", "***", "--token=***"]}),
        ({"packageName": "p", "entryPoint": "e", "libraries": [{"pypi": {}}, {"whl": "dbfs:/p.whl"}]},
         "databricks_python_wheel_task", {"packageName": "p", "entryPoint": "e", "wheel": "dbfs:/p.whl"}),
        ({"taskType": "spark_jar_task", "mainClassName": "m", "jarUri": "j", "libraries": [{"jar": "dbfs:/p.jar"}]},
         "databricks_spark_jar_task", {"mainClassName": "m", "jarUri": "j", "jar": "dbfs:/p.jar"}),
        ({"taskType": "spark_jar_task", "libraries": []}, "databricks_spark_jar_task", {}),
        ({"taskType": "spark_submit_task", "parameters": ["x"]}, "databricks_spark_submit_task", {"parameters": ["x"]}),
        ({"taskType": "dbt_task"}, "databricks_job_task", {}),
    ],
)
def test_other_tasks(told, type_name, attributes):
    entities = entities_of({**JOB, "spark.databricks.job.type": "python", "adb_lineage.job": told})
    assert named(entities)[-1] == (type_name, f"{ROOT}/jobs/12/tasks/load")
    assert len(entities) == 4
    known = {name: value for name, value in entities[2]["attributes"].items()
             if name not in ("name", "qualifiedName", "jobId")}
    assert known == attributes
    assert related(entities[2]) == {"job": f"{ROOT}/jobs/12"}


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({"spark.databricks.notebook.path": "/Shared/nb"}, "nb"),
        ({"spark.databricks.job.type": "python"}, "python"),
        ({}, "task"),
    ],
)
def test_a_task_whose_key_nobody_tells(environment, key):
    entities = entities_of({"spark.databricks.job.id": "12", **environment})
    assert named(entities)[-1][1] == f"{ROOT}/jobs/12/tasks/{key}"


def test_a_job_cluster_tells_its_job():
    entities = entities_of({"spark.databricks.job.runId": "99",
                            "spark.databricks.clusterUsageTags.clusterName": "job-77-run-99-main"})
    assert ("databricks_job", f"{ROOT}/jobs/77") in named(entities)


@pytest.mark.parametrize(
    ("run_name", "task_key", "job", "task"),
    [
        (f"ADF_factory_pipeline_activity_{GUID}", f"ADF_factory_pipeline_activity_{GUID}",
         "ADF_factory_pipeline", "ADF_factory_pipeline/tasks/ADF_factory_pipeline_activity"),
        (f"ADF_factory_pipe_line_load_a_{GUID}", f"ADF_factory_pipe_line_load_a_{GUID}",
         "ADF_factory_pipe_line_load", "ADF_factory_pipe_line_load/tasks/ADF_factory_pipe_line_load_a"),
        (f"ADF_factory_pipeline_activity_{GUID}", "", "ADF_factory_pipeline",
         "ADF_factory_pipeline/tasks/ADF_factory_pipeline_activity"),
        (f"ADF_factory_pipeline_activity_{GUID}", "main", "ADF_factory_pipeline", "ADF_factory_pipeline/tasks/main"),
        # A job of one's own is not cut (B-54), nor one with too few pieces.
        ("ADF_a_b_c_d", "load", "12", "12/tasks/load"),
        (f"ADF_factory_{GUID}", "load", "12", "12/tasks/load"),
    ],
)
def test_data_factory(run_name, task_key, job, task):
    told = {"name": run_name, "taskKey": task_key}
    entities = entities_of({"spark.databricks.job.id": "12", "spark.databricks.notebook.path": "/nb",
                            "adb_lineage.job": told})
    by_type = dict(named(entities))
    assert by_type["databricks_job"] == f"{ROOT}/jobs/{job}"
    assert by_type["databricks_notebook_task"] == f"{ROOT}/jobs/{task}"
    assert entities[2]["attributes"]["jobId"] == 12
    assert related(entities[3])["job"] == by_type["databricks_job"]


def test_the_name_of_the_run_from_the_clusters_tags():
    tags = '[{"key": "RunName", "value": "nightly"}, {"key": "Vendor"}, 3]'
    entities = entities_of({**JOB, "spark.databricks.clusterUsageTags.clusterAllTags": tags})
    assert entities[1]["attributes"]["name"] == "nightly"
    entities = entities_of({**JOB, "spark.databricks.clusterUsageTags.clusterAllTags": "not json"})
    assert entities[1]["attributes"]["name"] == "job 12"


@pytest.mark.parametrize(
    ("namespace", "environment", "options", "workspace"),
    [
        (f"{WORKSPACE}#cluster", {"orgId": "1"}, {}, HOST),
        ("adbpurviewol1#default", {"orgId": "1"}, {}, "adbpurviewol1.azuredatabricks.net"),
        (WORKSPACE, {"orgId": "1"}, {"workspace": "other"}, HOST),
        (HOST, {}, {}, HOST),
        ("typo#x", {"spark.databricks.workspaceUrl": HOST}, {}, HOST),
        ("x#y", {"spark.databricks.workspaceUrl": f"https://{HOST}/"}, {}, HOST),
        ("adb-1.2.databricks.azure.cn#x", {}, {}, "adb-1.2.databricks.azure.cn"),
        ("default", {"orgId": "1"}, {"workspace": WORKSPACE}, HOST),
        ("default", {}, {"workspace": f"https://{HOST}/?o=1"}, HOST),
        ("default", {}, {"workspace": "demo-laptop"}, "demo-laptop"),
        ("default", {}, {}, "local"),
        ("", {}, {}, "local"),
        ("airflow-prod", {}, {}, "local"),
        ("my-workspace", {"orgId": "1"}, {}, "my-workspace.azuredatabricks.net"),
    ],
)
def test_workspace(namespace, environment, options, workspace):
    entities = entities_of(environment, namespace=namespace, **options)
    assert entities[0]["attributes"] == {"name": workspace, "qualifiedName": f"databricks://{workspace}"}


def test_a_script_outside_databricks_is_its_notebook():
    entities = entities_of({"spark.databricks.notebook.path": "/home/me/etl.py"}, namespace="default", workspace="ci")
    assert named(entities) == [
        ("databricks_workspace", "databricks://ci"), ("databricks_notebook", "databricks://ci/notebooks/home/me/etl.py"),
    ]


def test_runs_without_a_notebook_hang_under_one_named_after_their_job():
    spark = {"jobType": {"integration": "SPARK"}}
    parent = {"parent": {"job": {"namespace": "n", "name": "my_application"}}}
    assert named(entities_of({}, job_facets=spark, facets=parent))[-1][1] == f"{ROOT}/notebooks/my_application"
    # Other producers give every task its own name.
    airflow = {"jobType": {"integration": "AIRFLOW"}}
    entities = entities_of(None, namespace="airflow", job_name="dag.task", job_facets=airflow, facets=parent)
    assert named(entities)[-1] == ("databricks_notebook", "databricks://local/notebooks/dag.task")
    nothing = event(inputs=[dataset("a")], outputs=[dataset("b")])
    nothing["job"] = {}
    assert named(translated(nothing).entities())[-1][1] == "databricks://local/notebooks/unknown"


def test_attributes_without_a_value_are_left_out():
    entities = entities_of({"spark.databricks.notebook.path": "/nb", "user": None})
    assert set(entities[1]["attributes"]) == {"name", "qualifiedName"}


def test_attributes_that_are_too_large_are_cut_and_named():
    run = event(inputs=[dataset("a")], outputs=[dataset("b")], environment={
        **JOB, "spark.databricks.job.type": "python",
        "adb_lineage.job": {"pythonFile": "я" * 40_000, "parameters": ["x" * 10_000] * 5}})
    translation = translated(run)
    attributes = translation.entities()[2]["attributes"]
    assert len(attributes["pythonFile"].encode()) + len("pythonFile") <= 32 * 1024
    assert "parameters" not in attributes
    assert {skip.subject for skip in translation.skipped} == {
        "databricks_python_task.pythonFile", "databricks_python_task.parameters",
    }


def test_names_above_a_process_leave_room_for_it():
    entities = entities_of({"spark.databricks.notebook.path": "/" + "x" * 9000})
    for entity in entities:
        assert len(entity["attributes"]["qualifiedName"].encode()) <= 4096
        assert len(entity["attributes"]["name"].encode()) <= 4096


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("jdbc:sqlserver://h;password=a1!;user=u", "jdbc:sqlserver://h;password=***;user=u"),
        ("https://x/y?sv=1&sig=abc%2F&se=2", "https://x/y?sv=1&sig=***&se=2"),
        ("postgres://u:pw@h/d", "postgres://u:***@h/d"),
        ("fs.azure.account.key.acct.dfs.core.windows.net=abc==", "fs.azure.account.key.acct.dfs.core.windows.net=***"),
        ("AccountKey=abc==;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
        ("'clientSecret': 'abc'", "'clientSecret': '***'"),
        ("{'password': 'a b; c', 'x': 'y'}", "{'password': '***', 'x': 'y'}"),
        ('pwd="a b" x="y"', 'pwd="***" x="y"'),
        ('{"url": "h;password=", "user": "u"}', '{"url": "h;password=", "user": "u"}'),
        ("sqlserver://h;password={a;b c};user=u", "sqlserver://h;password=***;user=u"),
        ("s3a://AKIA:sec/ret@bucket/x", "s3a://AKIA:***@bucket/x"),
        ("https://h:443/a@b", "https://h:443/a@b"),
        ("select passenger from t", "select passenger from t"),
        ("author: Jane", "author: Jane"),
    ],
)
def test_secrets_are_masked(text, masked):
    assert mask_secrets(text) == masked


def test_literals_are_masked():
    assert mask_literals("a > 10 and b = 'x''y' and c1 = 3.5e and t2.x") == "a > ? and b = '?' and c1 = 3.5e and t2.x"
    assert redacted_parameters(["--api-key", "-v", "x", "plain"]) == ["--api-key", "-v", "x", "plain"]
    assert redacted_parameters(["--password=my pass phrase", "--x=a b"]) == ["--password=***", "--x=a b"]
    assert redacted_parameters("text") == "text"
