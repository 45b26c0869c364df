"""The Jobs API over real HTTP: what it fills in, how seldom it is asked, and that its failures cost nothing else."""
from __future__ import annotations

import socket
from typing import Any, Dict, Iterator, List

import pytest

from adb_lineage.databricks import jobs_api
from adb_lineage.errors import FixNeeded
from adb_lineage.lineage import Lineage
from tests.databricks.workspace import Workspace


@pytest.fixture()
def workspace() -> Iterator[Workspace]:
    with Workspace() as one:
        yield one


def environment(workspace: Workspace, run: str = "222", **more: str) -> Dict[str, str]:
    return {"spark.databricks.workspaceUrl": workspace.host, "spark.databricks.job.id": "11",
            "spark.databricks.job.runId": run, **more}


def api(sleeps: List[float], **more: Any) -> jobs_api.JobsApi:
    return jobs_api.JobsApi([lambda: "t0ken"], sleep=sleeps.append, **more)


def task(run_id: int = 222, **detail: Any) -> Dict[str, Any]:
    return {"run_id": run_id, "task_key": "load", "cluster_instance": {"cluster_id": "c1"}, **detail}


TASKS = [
    ({"notebook_task": {"notebook_path": "/nb", "base_parameters": {"day": "1", "password": "p"}}},
     {"taskType": "notebook_task", "notebookPath": "/nb", "baseParameters": {"day": "1", "password": "***"}}),
    ({"spark_python_task": {"python_file": "dbfs:/x.py", "parameters": ["--day", "1", "--token", "dapi1", "--key=v"]}},
     {"taskType": "spark_python_task", "pythonFile": "dbfs:/x.py",
      "parameters": ["--day", "1", "--token", "***", "--key=v"]}),
    ({"python_wheel_task": {"package_name": "p", "entry_point": "main", "named_parameters": {"api_key": "k"}},
      "libraries": [{"whl": "dbfs:/p.whl"}]},
     {"taskType": "python_wheel_task", "packageName": "p", "entryPoint": "main", "libraries": [{"whl": "dbfs:/p.whl"}],
      "baseParameters": {"api_key": "***"}}),
    ({"spark_jar_task": {"main_class_name": "a.B", "parameters": ["https://x/y?sig=abc", "--secret=s"]},
      "libraries": []},
     {"taskType": "spark_jar_task", "mainClassName": "a.B", "parameters": ["https://x/y?sig=***", "--secret=***"]}),
    ({"spark_submit_task": {"parameters": ["--class", "X", "dapi0123456789abcdef"]}},
     {"taskType": "spark_submit_task", "parameters": ["--class", "X", "***"]}),
    ({"sql_task": {"warehouse_id": "w"}}, {"taskType": "sql_task"}),
    ({"for_each_task": {"inputs": "[1]", "concurrency": 2, "task": {
        "task_key": "load_each", "notebook_task": {"notebook_path": "/nb", "base_parameters": {"day": "{{input}}"}},
        "libraries": [{"jar": "dbfs:/x.jar"}]}}},
     {"taskType": "notebook_task", "notebookPath": "/nb", "baseParameters": {"day": "{{input}}"},
      "libraries": [{"jar": "dbfs:/x.jar"}]}),
    ({"for_each_task": {"inputs": "[1]"}}, {"taskType": "for_each_task"}),
    ({"spark_python_task": {"python_file": "https://a.blob.core.windows.net/c/x.py?sig=abc"},
      "libraries": [{"pypi": {"package": "p", "repo": "https://user:pw@index.example/simple"}}]},
     {"taskType": "spark_python_task", "pythonFile": "https://a.blob.core.windows.net/c/x.py?sig=***",
      "libraries": [{"pypi": {"package": "p", "repo": "https://user:***@index.example/simple"}}]}),
    ({"gen_ai_compute_task": {"x": 1}}, {"taskType": "gen_ai_compute_task"}),
    ({}, {}),
]


@pytest.mark.parametrize(("detail", "expected"), TASKS, ids=[next(iter(one[0]), "none") for one in TASKS])
def test_every_kind_of_task(workspace: Workspace, detail: Dict[str, Any], expected: Dict[str, Any]) -> None:
    workspace.answers = {"222": {"job_id": 11, "run_id": 222, "run_name": "load", "parent_run_id": 111,
                                 "tasks": [task(**detail)]},
                         "111": {"job_id": 11, "run_name": "nightly", "creator_user_name": "a@b.example"}}
    facts = api([]).describe(environment(workspace))
    assert facts == {"jobId": "11", "name": "nightly", "creatorUserName": "a@b.example", "taskKey": "load",
                     "clusterId": "c1", **expected}


def test_one_question_a_run(workspace: Workspace) -> None:
    workspace.answers = {"222": {"job_id": 11, "run_name": "x", "tasks": [task()]}}
    asked = api([])
    assert asked.describe(environment(workspace)) == asked.describe(environment(workspace))
    assert len(workspace.calls) == 1


def test_pages_are_put_together_and_the_run_s_own_task_is_found(workspace: Workspace) -> None:
    first = {"job_id": 11, "run_name": "big", "tasks": [task(number, sql_task={}) for number in range(100)]}
    workspace.answers = {"222": [first, {"tasks": [task(222, notebook_task={"notebook_path": "/nb"})]}]}
    assert api([]).describe(environment(workspace))["notebookPath"] == "/nb"
    assert [call[2] for call in workspace.calls] == ["", "1"]


def test_a_sibling_s_task_is_never_taken(workspace: Workspace) -> None:
    workspace.answers = {"111": {"job_id": 11, "run_name": "n", "tasks": [
        {"run_id": 1, "task_key": "a", "sql_task": {}}, {"run_id": 2, "task_key": "load", "notebook_task": {}},
        {"run_id": 3, "task_key": "load", "notebook_task": {}, "attempt_number": 1}]}}
    assert "taskKey" not in api([]).describe(environment(workspace, "111"))
    facts = api([]).describe(environment(workspace, "111", **{"spark.databricks.job.taskKey": "load"}))
    assert (facts["taskType"], facts["attempt"]) == ("notebook_task", "1")


def test_an_iteration_of_a_for_each_task(workspace: Workspace) -> None:
    """The iteration's own task, and not the one that lists the inputs or another iteration."""
    iterations = [task(number, task_key="each_iteration", notebook_task={"notebook_path": f"/nb{number}"})
                  for number in (301, 302)]
    each = {"run_id": 300, "task_key": "each", "for_each_task": {"inputs": "[1, 2]"}}
    workspace.answers = {"302": {"job_id": 11, "run_name": "n", "tasks": [each], "iterations": iterations}}
    facts = api([]).describe(environment(workspace, "302"))
    assert (facts["notebookPath"], facts["taskType"]) == ("/nb302", "notebook_task")


def test_pages_without_end_are_left(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_api, "MOST_PAGES", 5)
    workspace.script = [(200, {}, {"job_id": 11, "run_name": "x", "next_page_token": "again"})] * 50
    assert api([]).describe(environment(workspace))["name"] == "x"
    assert len(workspace.calls) == 5


def test_a_job_run_that_may_not_be_seen_is_told(workspace: Workspace) -> None:
    workspace.answers = {"222": {"job_id": 11, "run_name": "load", "parent_run_id": 111, "tasks": [task()]}}
    asked = api([])
    assert asked.describe(environment(workspace))["name"] == "load"
    assert "job run 111" in asked.problem


def test_a_workspace_that_serves_2_1_only() -> None:
    with Workspace(versions=("2.1",)) as workspace:
        workspace.answers = {"222": {"job_id": 11, "run_name": "x"}, "223": {"job_id": 11, "run_name": "y"}}
        asked = api([])
        assert asked.describe(environment(workspace))["name"] == "x"
        assert asked.describe(environment(workspace, "223"))["name"] == "y"
        assert [call[0] for call in workspace.calls] == ["2.2", "2.1", "2.1"]


def test_throttled_it_waits_as_long_as_it_is_told(workspace: Workspace) -> None:
    sleeps: List[float] = []
    workspace.answers = {"222": {"job_id": 11, "run_name": "x"}}
    workspace.script = [(429, {"Retry-After": "2"}, {}), (503, {}, "down")]
    assert api(sleeps).describe(environment(workspace))["name"] == "x"
    assert sleeps == [2.0, 1.0]


def test_it_does_not_wait_longer_than_a_question_may_take(workspace: Workspace) -> None:
    """The event of the query waits for the answer, and the end of a job's cell for the event."""
    sleeps: List[float] = []
    workspace.script = [(429, {"Retry-After": "30"}, {})]
    asked = api(sleeps)
    assert asked.describe(environment(workspace)) == {} and sleeps == []
    assert "429" in asked.problem


@pytest.mark.parametrize(("answer", "said"), [
    ((403, {}, {"error_code": "PERMISSION_DENIED", "message": "no"}), "grant CAN VIEW"),
    ((400, {}, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Run does not exist"}), "Run does not exist"),
    ((200, {}, "no json"), "Jobs API"),
    ((200, {}, []), "list"),
])
def test_a_failure_costs_only_the_detail(workspace: Workspace, answer: Any, said: str) -> None:
    workspace.script = [answer]
    asked = api([])
    assert asked.describe(environment(workspace)) == {}
    assert said in asked.problem and "t0ken" not in asked.problem
    assert asked.describe(environment(workspace)) == {} and len(workspace.calls) == 1, "a failure is remembered"


def test_a_failure_is_not_remembered_for_ever(workspace: Workspace) -> None:
    now = [0.0]
    asked = api([], clock=lambda: now[0])
    assert asked.describe(environment(workspace)) == {}
    workspace.answers = {"222": {"run_name": "late"}}
    now[0] = jobs_api.FAILURE_SECONDS
    assert asked.describe(environment(workspace)) == {"name": "late"}


def test_a_workspace_that_is_not_there() -> None:
    asked = api([], attempts=2)
    nowhere = {"spark.databricks.workspaceUrl": "http://127.0.0.1:9", "spark.databricks.job.runId": "1"}
    assert asked.describe(nowhere) == {}
    assert "ConnectionError" in asked.problem


def test_no_run_no_question(workspace: Workspace) -> None:
    assert api([]).describe({"spark.databricks.workspaceUrl": workspace.host}) == {}
    assert workspace.calls == []


def test_without_a_token_it_says_so(workspace: Workspace) -> None:
    asked = jobs_api.JobsApi(http=None)
    assert asked.describe(environment(workspace)) == {}
    assert "no token" in asked.problem and workspace.calls == []


def test_the_notebook_s_token_is_used_and_a_newer_one_replaces_it(workspace: Workspace) -> None:
    workspace.answers = {"222": {"run_name": "x"}, "223": {"run_name": "y"}}
    asked = jobs_api.JobsApi()
    asked.offer_token("first")
    asked.describe(environment(workspace))
    asked.offer_token("second")
    asked.offer_token(None)
    asked.describe(environment(workspace, "223"))
    assert [call[3] for call in workspace.calls] == ["first", "second"]


def test_oauth_of_a_service_principal_is_cached(workspace: Workspace) -> None:
    workspace.answers = {"222": {"run_name": "x"}, "223": {"run_name": "y"}}
    asked = jobs_api.from_environment({"DATABRICKS_HOST": workspace.host, "DATABRICKS_CLIENT_ID": "id",
                                       "DATABRICKS_CLIENT_SECRET": "s"})
    asked.describe(environment(workspace))
    asked.describe(environment(workspace, "223"))
    assert [call[3] for call in workspace.calls] == ["oauth-1", "oauth-1"]


def test_the_catalog_s_identity_is_asked_last(workspace: Workspace) -> None:
    workspace.answers = {"222": {"run_name": "x"}, "223": {"run_name": "y"}}
    for header, bearers in (("Bearer entra", ["entra"]), ("Basic YTpi", []), (None, [])):
        workspace.calls.clear()
        asked = jobs_api.from_environment({}, authorization=lambda header=header: header)
        asked.describe(environment(workspace))
        assert [call[3] for call in workspace.calls] == bearers
        asked.offer_token("notebook")
        asked.describe(environment(workspace, "223"))
        assert workspace.calls[-1][3] == "notebook"


def test_an_identity_that_cannot_be_had_costs_only_the_detail(workspace: Workspace) -> None:
    def broken() -> str:
        raise FixNeeded("no identity for Purview")

    asked = jobs_api.from_environment({}, authorization=broken)
    assert asked.describe(environment(workspace)) == {}
    assert "no identity" in asked.problem


def test_status_shows_what_is_wrong_with_it() -> None:
    lineage = Lineage({"endpoint": "http://127.0.0.1:9", "auth": "none"}, None)
    assert "jobs_api" not in lineage.status()
    lineage._jobs = jobs_api.JobsApi()
    assert "jobs_api" not in lineage.status()
    lineage._jobs.describe({"spark.databricks.workspaceUrl": "http://127.0.0.1:9", "spark.databricks.job.runId": "1"})
    assert "no token" in lineage.status()["jobs_api"]


def test_a_workspace_that_never_answers_is_left_alone() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        asked = jobs_api.JobsApi([lambda: "t"], seconds=0.2, attempts=1)
        assert asked.describe({"spark.databricks.workspaceUrl": f"http://127.0.0.1:{listener.getsockname()[1]}",
                               "spark.databricks.job.runId": "1"}) == {}
        assert "Timeout" in asked.problem
