"""A REPL of the stand-in; the cluster copies it to `/databricks/python_shell/scripts/` under Databricks' names.

Attaches to the driver's JVM, makes `spark`, `sc`, `dbutils` and friends, then runs the cells that come over the control
pipe. `STANDIN` in the environment says: the pipe's ends, and which features this runtime has.
"""
from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import threading
import traceback
import types
from typing import Any, Dict, List, Optional

STANDIN = json.loads(os.environ.pop("STANDIN"))
CELL: Dict[str, Any] = {"context": {}, "running": False}


class Pipe:
    """JSON lines to and from the cluster."""

    def __init__(self, reading: int, writing: int) -> None:
        self._in = os.fdopen(reading, "r")
        self._out = os.fdopen(writing, "w")

    def read(self) -> Optional[Dict[str, Any]]:
        line = self._in.readline()
        return json.loads(line) if line else None

    def write(self, message: Dict[str, Any]) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()


PIPE = Pipe(*STANDIN["pipe"])


class ForkFinder:
    """Gives OSS pyspark the one member of Databricks' fork that matters here, the way their own import hooks do."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "pyspark":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            add_fork_members(module.SparkContext)

        spec.loader.exec_module = exec_module
        return spec


def add_fork_members(context_class: Any) -> None:
    """`_add_after_init_hook` as the fork has it (reference 2.8): hooks run unguarded and in order."""
    context_class._after_init_hooks = []
    original = context_class.__init__

    def init(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        hooks, context_class._after_init_hooks = context_class._after_init_hooks, None
        for hook in hooks or []:
            hook()

    def add_after_init_hook(cls: Any, hook: Any) -> None:
        if cls._after_init_hooks is None:
            hook()
        else:
            cls._after_init_hooks.append(hook)

    context_class.__init__ = init
    context_class._add_after_init_hook = classmethod(add_after_init_hook)


class Context:
    """What `dbutils.notebook.entry_point…getContext()` gives: JSON only."""

    def toJson(self) -> str:
        context = CELL["context"]
        tags = {key: value for key, value in context.items() if key not in ("notebookPath", "apiUrl", "apiToken")}
        return json.dumps({"currentRunId": None, "rootRunId": None, "tags": tags,
                           "extraContext": {"notebook_path": context.get("notebookPath"),
                                            "api_url": context.get("apiUrl")},
                           "attributes": {"api_token": context.get("apiToken")}})

    safeToJson = toJson


class Chain:
    """Answers every method with itself until `getContext`."""

    def __getattr__(self, name: str) -> Any:
        return Context if name == "getContext" else (lambda: self)


class NotebookExit(BaseException):
    """`dbutils.notebook.exit`."""


def dbutils() -> types.SimpleNamespace:
    def run(path: str, timeout_seconds: int = 0, arguments: Optional[Dict[str, str]] = None) -> str:
        PIPE.write({"ask": "run", "path": path, "arguments": arguments or {}})
        answer = PIPE.read() or {}
        if answer.get("error"):
            raise RuntimeError(f"Workload failed: {answer['error']}")
        return answer.get("exit") or ""

    def leave(value: str) -> None:
        CELL["exit"] = value
        raise NotebookExit(value)

    def restart() -> None:
        CELL["restart"] = True

    def mounts() -> List[types.SimpleNamespace]:
        return [types.SimpleNamespace(mountPoint=one["mountPoint"], source=one["source"], encryptionType="")
                for one in STANDIN["mounts"]]

    return types.SimpleNamespace(
        fs=types.SimpleNamespace(mounts=mounts),
        notebook=types.SimpleNamespace(run=run, exit=leave,
                                       entry_point=types.SimpleNamespace(getDbutils=Chain)),
        library=types.SimpleNamespace(restartPython=restart),
        secrets=types.SimpleNamespace(get=lambda scope, key: STANDIN["secrets"][scope][key]),
        widgets=types.SimpleNamespace(get=lambda name: CELL["arguments"][name],
                                      text=lambda name, default, label="": CELL["arguments"].setdefault(name, default)))


def get_context() -> types.SimpleNamespace:
    """`dbruntime.databricks_repl_context.get_context`: bound to the running cell's thread."""
    if threading.current_thread() is not threading.main_thread() or not CELL["running"]:
        raise AttributeError("'NoneType' object has no attribute 'parent_header'")
    return types.SimpleNamespace(**CELL["context"])


def attach() -> Any:
    """This REPL's session on the driver's one SparkContext."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    gateway = launch_gateway()
    shared = gateway.jvm.org.apache.spark.SparkContext.getOrCreate()
    java_context = gateway.jvm.org.apache.spark.api.java.JavaSparkContext(shared)
    context = SparkContext(gateway=gateway, jsc=java_context, conf=SparkConf(_jconf=java_context.getConf()))
    try:  # Spark 4
        first = gateway.jvm.org.apache.spark.sql.classic.SparkSession.getDefaultSession().get()
    except TypeError:  # "'JavaPackage' object is not callable"
        first = gateway.jvm.org.apache.spark.sql.SparkSession.getDefaultSession().get()
    return SparkSession(context, first.newSession())


class PlainShell:
    """The shell of runtimes up to 10.4: no IPython, hence no cell events."""

    def __init__(self) -> None:
        self.names: Dict[str, Any] = {"__name__": "__main__"}

    def run(self, source: str) -> str:
        try:
            exec(compile(source, "<command>", "exec"), self.names)
        except NotebookExit:
            return ""
        except BaseException as error:
            traceback.print_exc()
            return repr(error)
        return ""


class IpythonShell:
    """The shell of runtimes from 11.0."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "NoColor"
        self.shell = InteractiveShell.instance(config=config)
        self.names = self.shell.user_ns
        self.shell.set_custom_exc((NotebookExit,), lambda *_, **__: None)

    def run(self, source: str) -> str:
        result = self.shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        return "" if error is None or isinstance(error, NotebookExit) else repr(error)


def main() -> None:
    if STANDIN["after_init_hook"]:
        ours = [one for one in sys.meta_path if type(one).__module__.startswith("adb_lineage")]
        sys.meta_path.insert(len(ours), ForkFinder())
    shell: Any = PlainShell() if STANDIN["shell"] == "plain" else IpythonShell()
    if STANDIN["dbruntime"]:
        module = types.ModuleType("dbruntime.databricks_repl_context")
        vars(module)["get_context"] = get_context
        sys.modules.update({"dbruntime": types.ModuleType("dbruntime"), module.__name__: module})
    spark = attach()
    shell.names.update(spark=spark, sc=spark.sparkContext, dbutils=dbutils(),
                       display=lambda thing: print(thing if isinstance(thing, str) else repr(thing)),
                       displayHTML=lambda html: print(f"<{len(html) > 0} html>"))
    PIPE.write({"ready": os.getpid(), "session": spark._jsparkSession.sessionUUID()})
    while True:
        request = PIPE.read()
        if request is None:
            return  # the parent is gone
        PIPE.write(run_cell(shell, spark, request))


def run_cell(shell: Any, spark: Any, request: Dict[str, Any]) -> Dict[str, Any]:
    for name, value in request["properties"].items():
        spark.sparkContext.setLocalProperty(name, value)
    CELL.update(context=request["context"], running=True, restart=False, exit=None, arguments=request["arguments"])
    try:
        if request["language"] == "sql":  # runs in the JVM; the Python shell hears nothing of it
            print(spark._jsparkSession.sql(request["source"]).showString(20, 20, False), flush=True)
            error = ""
        else:
            error = shell.run(request["source"])
    except Exception as failure:
        error = repr(failure)
    finally:
        CELL["running"] = False
        sys.stdout.flush()
        sys.stderr.flush()
    return {"error": error, "restart": CELL["restart"], "exit": CELL["exit"]}


if __name__ == "__main__":
    main()
