"""The cluster: its folders and environments, its driver, its REPLs, and what a notebook or a job run does on it."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from typing import Any, Callable, Dict, List, Optional, Sequence

from tests.databricks.standin import notebook

HERE = pathlib.Path(__file__).parent
WORKSPACE = "adb-1234567890123456.7.azuredatabricks.net"
TOKEN = "dapi0123456789abcdef"  # must never be found in anything that leaves the REPL
PYTHON = os.environ.get("STANDIN_PYTHON", sys.executable)
"""What makes a cluster's Python; another one has pyspark, IPython and our dependencies, and wants its JAVA_HOME."""


class Cluster:
    """A cluster in `folder`; use as a context manager. Paths below `root` are Databricks' own.

    `env` is what the user sets in the cluster's environment variables, `conf` its Spark conf. Switches for what the
    reference does not know or what differs between runtimes: `after_init_hook` and `dbruntime` (from 11.3), `shell`
    (`ipython` from 11.0, `plain` before), `library_pth`: whether `.pth` files of cluster libraries are processed (Q1).
    """

    def __init__(self, folder: pathlib.Path, *, env: Optional[Dict[str, str]] = None,
                 conf: Optional[Dict[str, str]] = None, after_init_hook: bool = True, dbruntime: bool = True,
                 shell: str = "ipython", library_pth: bool = True, runtime: str = "15.4",
                 mounts: Sequence[Dict[str, str]] = (), python: str = PYTHON) -> None:
        self.root = folder / "root"
        self.env = env or {}
        self.runtime = runtime
        self.standin = {"after_init_hook": after_init_hook, "dbruntime": dbruntime, "shell": shell,
                        "mounts": list(mounts), "secrets": {"lineage": {"client-secret": "s"}}}
        self.conf = {**self._conf(), **(conf or {})}
        self._python = python
        self._library_pth = library_pth
        self.prepare_notebook: Callable[[str], None] = lambda python: None
        """What the users' `%pip install` cells do: called with the Python of each new notebook environment."""
        self.repls: List[Repl] = []
        self.finished: List[Repl] = []
        self._driver: Optional[subprocess.Popen[str]] = None
        self._runs = 1000
        self._lock = threading.Lock()
        self._make_tree()

    def __enter__(self) -> Cluster:
        path = self.root / "databricks" / "driver" / "conf.json"
        path.write_text(json.dumps(self.conf))
        with open(self.root / "driver.log", "w") as log:
            self._driver = subprocess.Popen([self._python, str(HERE / "driver.py"), str(path)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment(),
                                            cwd=str(self.root / "databricks" / "driver"), start_new_session=True)
        self.application = self._answer()["applicationId"]
        return self

    def __exit__(self, *_: Any) -> None:
        for repl in list(self.repls):
            repl.kill()
        driver, self._driver = self._driver, None
        if driver is not None:
            os.killpg(driver.pid, signal.SIGKILL)  # as Databricks ends a cluster: no notice
            driver.wait()
            for stream in (driver.stdin, driver.stdout):
                if stream:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    def ask(self, **request: Any) -> Dict[str, Any]:
        """A request to the driver, see driver.py; from any thread."""
        assert self._driver and self._driver.stdin
        with self._lock:
            self._driver.stdin.write(json.dumps(request) + "\n")
            self._driver.stdin.flush()
            return self._answer()

    def _answer(self) -> Dict[str, Any]:
        assert self._driver and self._driver.stdout
        line = self._driver.stdout.readline()
        assert line, (self.root / "driver.log").read_text()[-3000:]
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def install_library(self, wheel: pathlib.Path) -> None:
        """As the Libraries tab does: into the cluster's own library folder. Its dependencies are there already."""
        pip_install(self.library_python, wheel)

    def attach(self, path: str = "/Users/a@b.example/notebook", **more: Any) -> Repl:
        """A notebook attaches: a REPL starts."""
        repl = Repl(self, path, **more)
        self.repls.append(repl)
        return repl

    def run_job(self, tasks: Dict[str, pathlib.Path], *, job_id: str = "11", job_name: str = "nightly",
                folder: str = "/Shared/etl") -> Dict[str, List[Dict[str, Any]]]:
        """Notebook tasks of one job run, one after the other, each in its own REPL; the cells' answers by task."""
        self._runs += 1
        parent, answers = str(self._runs), {}
        for key, path in tasks.items():
            self._runs += 1
            repl = self.attach(f"{folder}/{path.stem}", job={
                "spark.databricks.job.id": job_id, "spark.databricks.job.runId": str(self._runs),
                "spark.databricks.job.parentRunId": parent, "spark.databricks.job.type": "notebook",
                "spark.databricks.job.taskKey": key}, job_name=job_name)
            answers[key] = repl.run_notebook(path)
            repl.kill()  # the context is torn down once the result is in
        return answers

    @property
    def library_python(self) -> str:
        return str(self._environments["libraries"] / "bin" / "python")

    @property
    def runtime_python(self) -> str:
        """`/databricks/python3`: what init scripts install into."""
        return str(self._environments["runtime"] / "bin" / "python")

    def notebook_environment(self) -> pathlib.Path:
        """A new environment for a notebook, chained before the libraries and the runtime (reference 2.6)."""
        folder = self.root / "local_disk0/.ephemeral_nfs/envs" / f"pythonEnv-{uuid.uuid4()}"
        site = make_environment(self._python, folder)
        libraries, runtime = (site_packages(self._environments[name]) for name in ("libraries", "runtime"))
        first = f"import site; site.addsitedir({str(libraries)!r})" if self._library_pth else str(libraries)
        (site / "sites.pth").write_text(f"{first}\nimport site; site.addsitedir({str(runtime)!r})\n")
        self.prepare_notebook(str(folder / "bin" / "python"))
        return folder

    def _make_tree(self) -> None:
        for folder in ("databricks/driver", "databricks/python_shell/scripts", "local_disk0/tmp", "root", "Volumes"):
            (self.root / folder).mkdir(parents=True)
        name = "PythonShell.py" if self.standin["shell"] == "plain" else "db_ipykernel_launcher.py"
        self.launcher = self.root / "databricks/python_shell/scripts" / name
        shutil.copy(HERE / "launcher.py", self.launcher)
        self._environments = {"runtime": self.root / "databricks/python3",
                              "libraries": self.root / "local_disk0/.ephemeral_nfs/cluster_libraries/python"}
        for folder in self._environments.values():
            make_environment(self._python, folder)
        # a plain path line: `site` reads no .pth files of that folder, so the checkout under test does not show through
        base = subprocess.run([self._python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                              check=True, capture_output=True, text=True).stdout.strip()
        folders = [base, *(line for path in pathlib.Path(base).glob("*.pth") for line in
                           path.read_text().splitlines() if os.path.isdir(line) and line.endswith("site-packages"))]
        for folder in self._environments.values():
            (site_packages(folder) / "base.pth").write_text("\n".join(folders) + "\n")

    def _conf(self) -> Dict[str, str]:
        tags = "spark.databricks.clusterUsageTags."
        return {"spark.master": "local[2]", "spark.app.name": "Databricks Shell", "spark.ui.enabled": "false",
                "spark.sql.shuffle.partitions": "2", "spark.driver.host": "127.0.0.1",
                "spark.sql.warehouse.dir": str(self.root / "user/hive/warehouse"),
                "spark.databricks.workspaceUrl": WORKSPACE, tags + "clusterId": "1122-334455-abcdefgh",
                tags + "clusterName": "etl", tags + "clusterOwnerOrgId": "1234567890123456",
                tags + "orgId": "1234567890123456", tags + "sparkVersion": f"{self.runtime}.x-scala2.12",
                tags + "azureSubscriptionId": "00000000-1111-2222-3333-444444444444",
                tags + "clusterAllTags": '[{"key":"Vendor","value":"Databricks"}]'}

    def _environment(self) -> Dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "JAVA_HOME") if name in os.environ}
        return {**kept, "HOME": str(self.root / "root"), "DATABRICKS_RUNTIME_VERSION": self.runtime,
                "TMPDIR": str(self.root / "local_disk0/tmp"), **self.env}


class Repl:
    """A notebook's Python process; its stdout and stderr are files, as the bytes of them are what a user would see."""

    def __init__(self, cluster: Cluster, path: str, *, job: Optional[Dict[str, str]] = None, job_name: str = "",
                 environment: Optional[pathlib.Path] = None) -> None:
        self.cluster = cluster
        self.path = path
        self.id = f"ReplId-{uuid.uuid4().hex[:12]}"
        self.environment = environment or cluster.notebook_environment()
        self.output = cluster.root / f"{self.id}.out"
        self.errors = cluster.root / f"{self.id}.err"
        self._job = job or {}
        self._job_name = job_name
        self._command = 0
        self._start()

    def _start(self) -> None:
        gateway = self.cluster.ask(do="gateway")
        down, up = os.pipe(), os.pipe()
        python = str(self.environment / "bin" / "python")
        env = {**self.cluster._environment(), "PATH": f"{self.environment}/bin:{os.environ['PATH']}",
               "PYSPARK_GATEWAY_PORT": str(gateway["port"]), "PYSPARK_GATEWAY_SECRET": gateway["secret"],
               "PINNED_THREAD_MODE": "true", "PYSPARK_PYTHON": python,
               "DRIVER_REPL_ID": self.id, "DATA_SECURITY_MODE": "SINGLE_USER", "SPARK_HOME": "/databricks/spark",
               "VIRTUAL_ENV": str(self.environment), "DATABRICKS_ROOT_VIRTUALENV_ENV": "/databricks/python3",
               "STANDIN": json.dumps({**self.cluster.standin, "pipe": [down[0], up[1]]})}
        del env["SPARK_HOME"]  # the JVM's jars are pyspark's own here
        with open(self.output, "ab") as out, open(self.errors, "ab") as err:
            self.process = subprocess.Popen([python, str(self.cluster.launcher)], env=env, stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL, pass_fds=(down[0], up[1]),
                                            cwd=str(self.cluster.root / "databricks/driver"), start_new_session=True)
        os.close(down[0])
        os.close(up[1])
        self._down, self._up = os.fdopen(down[1], "w"), os.fdopen(up[0], "r")
        self.session = self._read()["session"]

    def cell(self, source: str, language: str = "python", arguments: Optional[Dict[str, str]] = None) -> Dict[str, Any]:
        """Run a cell; the answer has `error` (empty if it went well), `exit` (of `dbutils.notebook.exit`)."""
        self._command += 1
        self._down.write(json.dumps({"source": source, "language": language, "arguments": arguments or {},
                                     "properties": self._properties(), "context": self._context()}) + "\n")
        self._down.flush()
        answer = self._read()
        while "ask" in answer:  # dbutils.notebook.run
            self._down.write(json.dumps(self._run_child(answer)) + "\n")
            self._down.flush()
            answer = self._read()
        if answer.pop("restart", False):
            self.restart()
        return answer

    def run_notebook(self, path: pathlib.Path, arguments: Optional[Dict[str, str]] = None,
                     wheel: Optional[pathlib.Path] = None) -> List[Dict[str, Any]]:
        """All cells of a notebook until one fails or exits. `wheel` is what `%pip install` finds in the index."""
        answers: List[Dict[str, Any]] = []
        self._folder = path.parent
        for cell in notebook.load(path):
            if cell.language == "md":
                continue
            if cell.language == "pip":
                pip_install(str(self.environment / "bin" / "python"), wheel or pathlib.Path(cell.source.split()[-1]))
                answer = {"error": "", "exit": None}
            elif cell.language == "sh":
                answer = self.cell(f"import subprocess; print(subprocess.run({cell.source!r}, shell=True, "
                                   "capture_output=True, text=True).stdout, end='')")
            else:
                answer = self.cell(cell.source, cell.language, arguments)
            answers.append(answer)
            if answer["error"] or answer.get("exit") is not None:
                break
        return answers

    def restart(self) -> None:
        """`dbutils.library.restartPython()`: the process goes, its environment stays."""
        self.kill(forget=False)
        self._start()

    def kill(self, forget: bool = True) -> None:
        """As Databricks ends a REPL as far as Python can tell: SIGKILL."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self._down, self._up):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        if forget and self in self.cluster.repls:
            self.cluster.repls.remove(self)
            self.cluster.finished.append(self)

    def _run_child(self, request: Dict[str, Any]) -> Dict[str, Any]:
        child = self.cluster.attach(str(pathlib.PurePosixPath(self.path).parent / request["path"].lstrip("./")),
                                    job={"spark.databricks.job.id": f"9{self._command}",
                                         "spark.databricks.job.runId": f"99{self._command}",
                                         "spark.databricks.job.type": "notebook"})
        answers = child.run_notebook((self._folder / request["path"]).with_suffix(".py"), request["arguments"])
        child.kill()
        return answers[-1]

    def _properties(self) -> Dict[str, str]:
        group = (f"1_2_job-{self._job['spark.databricks.job.id']}-run-{self._job['spark.databricks.job.runId']}"
                 f"-action-{self._command}" if self._job else f"1_2_{self.id}")
        return {"spark.databricks.notebook.path": self.path, "spark.databricks.notebook.id": "4242",
                "spark.databricks.replId": self.id, "spark.jobGroup.id": group, "user": "a@b.example", "userId": "7",
                "orgId": "1234567890123456", "spark.databricks.api.url": "https://westeurope.azuredatabricks.net",
                "spark.databricks.api.token": TOKEN, **self._job}

    def _context(self) -> Dict[str, Any]:
        context = {"apiUrl": "https://westeurope.azuredatabricks.net", "apiToken": TOKEN, "workspaceUrl": WORKSPACE,
                   "workspaceId": "1234567890123456", "clusterId": "1122-334455-abcdefgh", "notebookId": "4242",
                   "notebookPath": self.path, "replId": self.id, "commandRunId": str(self._command),
                   "user": "a@b.example"}
        if self._job:
            context.update(jobId=self._job["spark.databricks.job.id"], jobName=self._job_name, jobType="NORMAL",
                           taskRunId=self._job["spark.databricks.job.runId"], jobTaskType="notebook",
                           jobRunId=self._job.get("spark.databricks.job.parentRunId"))
        return context

    def _read(self) -> Dict[str, Any]:
        line = self._up.readline()
        assert line, f"the REPL is gone: {self.errors.read_text()[-3000:]}"
        answer: Dict[str, Any] = json.loads(line)
        return answer


def make_environment(python: str, folder: pathlib.Path) -> pathlib.Path:
    """An empty virtual environment; the answer is its site-packages."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    return site_packages(folder)


def site_packages(folder: pathlib.Path) -> pathlib.Path:
    return next((folder / "lib").glob("python*/site-packages"))


def pip_install(python: str, wheel: pathlib.Path) -> None:
    """Install a wheel without its dependencies, which the environment chain holds already."""
    target = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True,
                            capture_output=True, text=True).stdout.strip()
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--upgrade",
                    "--target", target, str(wheel)], check=True)

