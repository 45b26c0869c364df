"""What only the Jobs API knows of a task: its type and parameters, and names where the driver has none. Optional.

One call a task run, and one more for its job run (name, creator), cached; failures are cached too, for a while. It
needs CAN VIEW on the job. Whatever goes wrong costs only this detail: `describe` answers with an empty dict and
`problem` says why. Source: reference/databricks.md 7, accelerator.md 2.3.
"""
from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import requests
import tenacity

from adb_lineage.errors import FixNeeded, GiveUp, RetryLater
from adb_lineage.translate.redaction import redacted_parameters, redacted_plan

VERSIONS = ("2.2", "2.1")
"""Tried in this order; a workspace that does not know the first answers 404 with ENDPOINT_NOT_FOUND."""

AZURE_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
"""The audience of Azure Databricks in Entra."""

FAILURE_SECONDS = 300.0
CACHED_RUNS = 1000
MOST_PAGES = 100
"""A page has 100 tasks or iterations; an API that goes on and on is left."""

Token = Callable[[], Optional[str]]
"""Gives a bearer token, or None where it does not apply; raises FixNeeded when it should have worked."""


class JobsApi:
    """Asks a workspace about runs. `tokens` are tried in order; `http` is a session, for connection reuse.

    `seconds` bounds one request with its repetitions, of which there are `attempts` at most: the run's event waits for
    the answer. `sleep` and `clock` are there for tests. Thread-safe; one question at a time.
    """

    def __init__(self, tokens: Optional[List[Token]] = None, *, http: Optional[requests.Session] = None,
                 seconds: float = 5.0, attempts: int = 3, sleep: Callable[[float], None] = time.sleep,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._offered: Optional[str] = None
        self._tokens: List[Token] = [lambda: self._offered] if tokens is None else tokens
        self._http = http or requests.Session()
        self._seconds = seconds
        self._attempts = attempts
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Dict[Tuple[str, str], Tuple[float, Dict[str, Any]]] = {}
        self._version: Dict[str, str] = {}
        self.problem = ""

    def offer_token(self, token: Optional[str]) -> None:
        """The notebook context's short-lived token: kept in memory, the newest one counts."""
        self._offered = token or self._offered

    def add_token(self, token: Token) -> None:
        """One more strategy, asked where those before it have none."""
        self._tokens.append(token)

    def describe(self, environment: Mapping[str, Any]) -> Dict[str, Any]:
        """Facts of the task run that `environment` (see `identity.environment`) names; `{}` when they cannot be had.

        Keys, each only where known: `jobId`, `name`, `creatorUserName`, `taskKey`, `taskType`, `attempt`, `clusterId`,
        `pythonFile`, `packageName`, `entryPoint`, `mainClassName`, `jarUri`, `notebookPath`, `parameters` (list),
        `baseParameters` (dict), `libraries`. Values that look like secrets are redacted. Never raises.
        """
        host = environment.get("spark.databricks.workspaceUrl")
        run = environment.get("spark.databricks.job.runId") or environment.get("spark.databricks.job.parentRunId")
        if not host or not run:
            return {}
        with self._lock:
            known = self._known.get((host, run))
            if known and (known[1] or self._clock() - known[0] < FAILURE_SECONDS):
                return dict(known[1])
            facts: Dict[str, Any] = {}
            self.problem = ""
            try:
                facts = self._ask(host, run, environment.get("spark.databricks.job.taskKey"))
            except Exception as error:  # noqa: BLE001 - an odd answer of the API must not cost the event
                self.problem = f"Jobs API of {host}, run {run}: {error}"
            while len(self._known) >= CACHED_RUNS:
                del self._known[next(iter(self._known))]
            self._known[(host, run)] = (self._clock(), facts)
            return dict(facts)

    def _ask(self, host: str, run_id: str, task_key: Optional[str]) -> Dict[str, Any]:
        run = self.run(host, run_id)
        parent_id = run.get("parent_run_id") or run.get("job_run_id")
        parent: Dict[str, Any] = {}
        if parent_id and str(parent_id) != run_id:
            try:
                parent = self.run(host, str(parent_id))
            except (RetryLater, FixNeeded, GiveUp) as error:
                self.problem = f"Jobs API of {host}, job run {parent_id}: {error}"
        return task_facts(run, parent, run_id, task_key)

    def run(self, host: str, run_id: str) -> Dict[str, Any]:
        """`runs/get` with all its pages put together.

        Raises RetryLater (throttled, unreachable), FixNeeded (no right, no token), GiveUp (no such run).
        """
        whole: Dict[str, Any] = {}
        page: Optional[str] = None
        for _ in range(MOST_PAGES):
            parameters = {"run_id": run_id, **({"page_token": page} if page else {})}
            answer = self._get(host, "jobs/runs/get", parameters)
            for key, value in answer.items():
                if key in ("tasks", "iterations", "job_clusters") and isinstance(value, list):
                    whole[key] = whole.get(key, []) + value
                else:
                    whole.setdefault(key, value)
            page = answer.get("next_page_token")
            if not page:
                break
        return whole

    def _get(self, host: str, path: str, parameters: Mapping[str, str]) -> Dict[str, Any]:
        versions = [self._version[host]] if host in self._version else list(VERSIONS)
        for version in versions:
            try:
                answer = self._retried(f"{_base(host)}/api/{version}/{path}", parameters)
            except _NoSuchEndpoint:
                continue
            self._version[host] = version
            return answer
        raise GiveUp(f"{host} serves none of the Jobs API's versions {', '.join(VERSIONS)}")

    def _retried(self, url: str, parameters: Mapping[str, str]) -> Dict[str, Any]:
        """A Retry-After beats the ladder 0.5, 1, 2 seconds; a wait that would go beyond `seconds` is not begun."""
        until = self._clock() + self._seconds

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            told = error.retry_after if isinstance(error, RetryLater) else None
            return told if told is not None else 0.5 * 2.0 ** (state.attempt_number - 1)

        def stop(state: tenacity.RetryCallState) -> bool:
            return state.attempt_number >= self._attempts or self._clock() + wait(state) >= until

        retrying = tenacity.Retrying(retry=tenacity.retry_if_exception_type(RetryLater), wait=wait, reraise=True,
                                     stop=stop, sleep=self._sleep)
        answer: Dict[str, Any] = retrying(self._once, url, parameters)
        return answer

    def _once(self, url: str, parameters: Mapping[str, str]) -> Dict[str, Any]:
        token = next((token for token in (give() for give in self._tokens) if token), None)
        if not token:
            raise FixNeeded("no token: not in a notebook, and no service principal is set up for the workspace")
        try:
            reply = self._http.get(url, params=dict(parameters), headers={"Authorization": f"Bearer {token}"},
                                   timeout=self._seconds)
        except requests.RequestException as error:
            raise RetryLater(f"{type(error).__name__} at {url}") from None  # the error's text may hold the query
        if reply.status_code == 200:
            body = reply.json()
            if not isinstance(body, dict):
                raise GiveUp(f"{url} answered {type(body).__name__} instead of an object")
            return body
        code, message = _error(reply)
        said = f"{url} answered {reply.status_code} {code} {message}".strip()
        if reply.status_code == 429 or reply.status_code >= 500:
            raise RetryLater(said, _seconds(reply.headers.get("Retry-After")))
        if reply.status_code in (401, 403):
            raise FixNeeded(f"{said}: grant CAN VIEW on the job to the identity that asks")
        if reply.status_code == 404 and code in ("ENDPOINT_NOT_FOUND", ""):
            raise _NoSuchEndpoint(said)
        raise GiveUp(said)


class _NoSuchEndpoint(GiveUp):
    """This version of the API is not served here."""


def task_facts(run: Mapping[str, Any], parent: Mapping[str, Any], run_id: str,
               task_key: Optional[str] = None) -> Dict[str, Any]:
    """What `describe` answers, from the documents of a task run and of its job run (which may be empty)."""
    task = _task(run, run_id, task_key)
    kind = _kind(task)
    work = task
    if kind == "for_each_task" and isinstance(task[kind].get("task"), dict):
        work = task[kind]["task"]  # what each iteration runs; it is what the driver knows of, too
        kind = _kind(work)
    detail = work.get(kind) or {}
    cluster = (task.get("cluster_instance") or run.get("cluster_instance") or {}).get("cluster_id")
    facts: Dict[str, Any] = {
        "jobId": run.get("job_id"), "name": parent.get("run_name") or run.get("run_name"),
        "creatorUserName": parent.get("creator_user_name") or run.get("creator_user_name"),
        "taskKey": task.get("task_key"), "taskType": kind, "attempt": task.get("attempt_number"),
        "clusterId": cluster or task.get("existing_cluster_id"), "notebookPath": detail.get("notebook_path"),
        "pythonFile": detail.get("python_file"), "packageName": detail.get("package_name"),
        "entryPoint": detail.get("entry_point"), "mainClassName": detail.get("main_class_name"),
        "jarUri": detail.get("jar_uri"), "parameters": redacted_parameters(detail.get("parameters") or []),
        "baseParameters": redacted_parameters(detail.get("base_parameters") or detail.get("named_parameters") or {}),
        "libraries": [library for library in work.get("libraries") or [] if isinstance(library, dict)],
    }
    facts = redacted_plan(facts)  # an index's URL may hold a password, a file's URL a signature
    facts["jobId"] = str(facts["jobId"]) if facts["jobId"] else None
    facts["attempt"] = str(facts["attempt"]) if facts["attempt"] else None  # 0, the first one, is no news
    return {key: value for key, value in facts.items() if value}


def _kind(task: Mapping[str, Any]) -> str:
    return next((key for key in task if key.endswith("_task") and isinstance(task[key], dict)), "")


def _task(run: Mapping[str, Any], run_id: str, task_key: Optional[str]) -> Mapping[str, Any]:
    """The task that the run id names; with a job run's id, the one of that key; never an arbitrary sibling.

    The run of a for-each task has its iterations beside it, each a task with a run id of its own.
    """
    tasks, iterations = ([task for task in run.get(name) or [] if isinstance(task, dict)]
                         for name in ("tasks", "iterations"))
    for task in iterations:
        if str(task.get("run_id")) == run_id:
            return task
    for task in tasks:
        if str(task.get("run_id")) == run_id:
            return task
    keyed = [task for task in tasks if task_key and task.get("task_key") == task_key]
    if keyed:
        return keyed[-1]  # a repair comes after the attempt that it repairs
    return tasks[0] if len(tasks) == 1 else {}


class OAuthToken:
    """Databricks' own machine-to-machine OAuth: `POST /oidc/v1/token` of the workspace, cached until it runs out."""

    def __init__(self, host: str, client_id: str, secret: str, http: requests.Session,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{_base(host)}/oidc/v1/token"
        self._identity = (client_id, secret)
        self._http = http
        self._clock = clock
        self._token = ""
        self._until = 0.0

    def __call__(self) -> str:
        if self._clock() >= self._until:
            try:
                reply = self._http.post(self._url, auth=self._identity, timeout=10,
                                        data={"grant_type": "client_credentials", "scope": "all-apis"})
            except requests.RequestException as error:
                raise RetryLater(f"{type(error).__name__} at {self._url}") from None
            if reply.status_code != 200:
                raise FixNeeded(f"{self._url} answered {reply.status_code}: check the principal's id and secret")
            body = reply.json()
            self._token = str(body["access_token"])
            self._until = self._clock() + float(body.get("expires_in", 3600)) - 60
        return self._token


def entra_token(authorization: Callable[[], Optional[str]]) -> Token:
    """A token strategy from what gives an `Authorization` header with the scope of Azure Databricks."""
    def token() -> Optional[str]:
        kind, _, value = (authorization() or "").partition(" ")
        return value if kind == "Bearer" else None

    return token


def _base(host: str) -> str:
    """`http://` is for a stand-in on this machine; a workspace is always https."""
    url = host if "://" in host else f"https://{host}"
    return url.rstrip("/")


def _error(reply: requests.Response) -> Tuple[str, str]:
    try:
        body = reply.json()
    except ValueError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    return str(body.get("error_code", "")), str(body.get("message", ""))[:300]


def _seconds(header: Optional[str]) -> Optional[float]:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def from_environment(environ: Optional[Mapping[str, str]] = None,
                     authorization: Optional[Callable[[], Optional[str]]] = None) -> JobsApi:
    """The usual instance. Its tokens, in this order: the notebook's, `DATABRICKS_TOKEN`, OAuth of the service principal
    in `DATABRICKS_CLIENT_ID`, and the Entra identity that `authorization` speaks for (see `entra_token`)."""
    environ = os.environ if environ is None else environ
    http = requests.Session()
    api = JobsApi(http=http)
    api.add_token(lambda: environ.get("DATABRICKS_TOKEN"))
    host, client, secret = (environ.get(f"DATABRICKS_{name}", "") for name in ("HOST", "CLIENT_ID", "CLIENT_SECRET"))
    if host and client and secret:
        api.add_token(OAuthToken(host, client, secret, http))
    if authorization is not None:
        api.add_token(entra_token(authorization))
    return api
