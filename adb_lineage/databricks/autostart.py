"""Starts lineage by itself in the Python of a driver, from the wheel's `.pth`; nothing else, nowhere else.

`arm` runs while the interpreter starts, so it only looks (environment, command line) and leaves a hook: Databricks'
own `SparkContext._add_after_init_hook` where there is one, otherwise a look at pyspark once somebody else has imported
it. When a SparkContext stands, a daemon thread of ours does the rest. Nothing here raises or prints; what happened is
kept for `report`.

Imports nothing beyond what every interpreter has loaded by then; `tests/databricks/test_autostart.py` holds that.
"""
from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs ten times what all of this does
    from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

MARKER = "_adb_lineage_autostart"
"""Attribute of `sys`: one for the process, however many copies of the package are on its path."""

OWNER = "_ADB_LINEAGE_PID"
"""Environment variable that a started REPL leaves for its children, which inherit the gateway's variables too."""

CONFIGURED_BY = ("ADB_LINEAGE_ENABLED", "ADB_LINEAGE_ACCOUNT", "ADB_LINEAGE_ENDPOINT")
LAUNCHERS = ("PythonShell.py", "db_ipykernel_launcher.py")  # reference/databricks.md 2.1
WORKER_VARIABLES = ("PYTHON_WORKER_FACTORY_SECRET", "PYTHON_WORKER_FACTORY_PORT", "PYTHON_WORKER_FACTORY_SOCK_PATH")
TOOLS = frozenset(("pip", "pip3", "easy_install", "virtualenv", "venv", "ensurepip", "conda", "uv", "pylint", "flake8",
                   "mypy", "black", "ruff", "isort", "jedi", "pylsp", "pyright", "pytest", "jupyter", "ipykernel",
                   "ipykernel_launcher", "build", "wheel", "setup.py", "adb-lineage", "adb_lineage"))
FIRST_CELL_SECONDS = 3.0
"""Longest time that the first cell waits until the driver's queries are heard; it never waits again."""

_QUICK_LOOK, _SLOW_LOOK, _QUICK_LOOKS = 0.05, 1.0, 1200


def arm() -> Optional[str]:
    """Leave the hook if this process is a driver's Python and lineage is on; the answer is why not, or None.

    Safe to call any number of times, by any copy of the package.
    """
    state = getattr(sys, MARKER, None)
    if state is not None and state["pid"] == os.getpid():
        return str(state["refused"]) if state["refused"] else None
    refused = refusal(os.environ, command_line(), os.getpid())
    state = {"pid": os.getpid(), "path": os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
             "refused": refused, "stage": "refused" if refused else "armed", "error": ""}
    setattr(sys, MARKER, state)
    if refused is None:
        pyspark = sys.modules.get("pyspark")
        if pyspark is None:
            sys.meta_path.insert(0, _PysparkFinder(_attach))
        else:
            _attach(pyspark)
    return refused


def refusal(environ: Mapping[str, str], command: Sequence[str], pid: int) -> Optional[str]:
    """Why a process of this environment and command line is none of our business; None when it is."""
    if not any(environ.get(name) for name in CONFIGURED_BY):
        return "not configured: set ADB_LINEAGE_ACCOUNT or ADB_LINEAGE_ENABLED in the cluster's environment"
    if environ.get("ADB_LINEAGE_ENABLED", "true").strip().lower() in ("false", "0", "no", "off"):
        return f"switched off: ADB_LINEAGE_ENABLED is {environ['ADB_LINEAGE_ENABLED']}"
    worker = [name for name in WORKER_VARIABLES if name in environ]
    if worker:
        return f"a Python worker of Spark: {worker[0]} is set"
    module, script = _program(command)
    if module.startswith("pyspark."):
        return f"a process of pyspark: {module}"
    owner = environ.get(OWNER)
    if owner and owner != str(pid):
        return f"a child of the driver's Python: process {owner} has the lineage"
    if module.split(".")[0] in TOOLS or script in TOOLS:
        return f"a tool: {module or script}"
    if "PYSPARK_GATEWAY_PORT" not in environ and not any(part.endswith(LAUNCHERS) for part in command):
        return "not a driver's Python: PYSPARK_GATEWAY_PORT is not set"
    return None


def command_line() -> List[str]:
    """The interpreter's command line; `sys.argv` has lost the options and, while `site` runs, the module's name."""
    original = getattr(sys, "orig_argv", None)
    if original:
        return list(original)
    try:
        with open("/proc/self/cmdline", "rb") as stream:
            return [part.decode("utf-8", "replace") for part in stream.read().split(b"\0")[:-1]]
    except OSError:
        return [sys.executable or "", *getattr(sys, "argv", [])]


def report() -> Dict[str, Any]:
    """What became of the autostart in this process, for `status()` and `doctor`.

    Keys: `stage` (`absent`: nothing refused, but the `.pth` was not read; `refused`, `armed`, `starting`, `started`,
    `failed`), `refused` (why, or None), `error`, `path` (folder of the copy that runs), `copies` (see `copies`).
    """
    state = getattr(sys, MARKER, None)
    if state is None:  # the `.pth` does not even load this module where it has no business
        refused = refusal(os.environ, command_line(), os.getpid())
        state = {"stage": "refused" if refused else "absent", "refused": refused, "error": "", "path": ""}
    return {**{key: state[key] for key in ("stage", "refused", "error", "path")}, "copies": copies()}


def copies() -> List[Dict[str, Any]]:
    """The copies of this package on the path, the one that `import` takes first.

    A notebook's own `%pip install` stands before the cluster's library, that before the init script's
    (reference/databricks.md 2.6). Keys: `path`, `version`, `running`.
    """
    running = os.path.dirname(os.path.abspath(__file__))
    found: List[Dict[str, Any]] = []
    for folder in sys.path:
        package = os.path.abspath(os.path.join(folder or ".", "adb_lineage"))
        try:
            with open(os.path.join(package, "_version.py"), encoding="utf-8") as stream:
                version = stream.read().partition('__version__ = "')[2].partition('"')[0]
        except OSError:
            continue
        if package not in [one["path"] for one in found]:
            found.append({"path": package, "version": version, "running": os.path.dirname(running) == package})
    return found


class _PysparkFinder:
    """Meta path finder that finds nothing itself: it lets the others find pyspark and looks at it when it is loaded."""

    def __init__(self, loaded: Callable[[Any], None]) -> None:
        self._loaded = loaded

    def find_spec(self, name: str, path: Optional[Sequence[str]] = None, target: Any = None) -> Any:
        if name != "pyspark":
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        """The loader keeps its type: tools ask loaders for resources and sources. Only this one call of it is ours."""
        original = getattr(loader, "exec_module", None)
        if original is None:
            return

        def exec_module(module: Any) -> None:
            original(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self._loaded(module)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader without instance attributes: an explicit enable() still works there
            _note("failed", f"the loader {loader!r} cannot be watched")


def _attach(pyspark: Any) -> None:
    """pyspark is there: ask to be told of the SparkContext."""
    try:
        context_class = getattr(pyspark, "SparkContext", None)
        if context_class is None:
            _note("refused", "this pyspark has no SparkContext (Spark Connect)")
            return
        add_hook = getattr(context_class, "_add_after_init_hook", None)  # Databricks' fork, from 11.3
        if add_hook is not None:
            add_hook(lambda: _context_ready(context_class))
        else:
            _daemon(_await_context, context_class)
    except Exception as error:  # noqa: BLE001 - whatever it is, the user's import of pyspark must go on
        _note("failed", repr(error))


def _await_context(context_class: Any) -> None:
    import time

    looks = 0
    while context_class._active_spark_context is None:
        looks += 1
        time.sleep(_QUICK_LOOK if looks < _QUICK_LOOKS else _SLOW_LOOK)
    _context_ready(context_class)


def _context_ready(context_class: Any) -> None:
    """On the thread that made the SparkContext: one thread is started, the first cell is told to wait for it."""
    try:
        import threading

        os.environ[OWNER] = str(os.getpid())
        _note("starting")
        first_cell = _FirstCell(threading.Event())
        first_cell.register()
        _daemon(_start, context_class, first_cell)
    except Exception as error:  # noqa: BLE001 - Databricks calls such hooks unguarded: the notebook would have no `sc`
        _note("failed", repr(error))


def _start(context_class: Any, first_cell: _FirstCell) -> None:
    try:
        from adb_lineage.databricks import repl

        repl.begin(context_class, first_cell.heard)
    except BaseException as error:  # noqa: BLE001 - AtlasException is a BaseException; an uncaught one would be printed
        _note("failed", repr(error))
    finally:
        first_cell.heard(None)


class _FirstCell:
    """Holds the first cell back, for a moment at most, until its queries would be heard and it is known who runs it."""

    def __init__(self, event: Any) -> None:
        self._event = event
        self._note: Optional[Callable[[], None]] = None
        self._shell: Any = None

    def heard(self, note: Optional[Callable[[], None]]) -> None:
        """Let the cell go on; it calls `note` first, on its own thread. None: there is nothing to wait for."""
        if note is not None:
            self._note = note
            _note("started")
        self._event.set()

    def register(self) -> None:
        ipython = sys.modules.get("IPython")  # never imported by us: no IPython, no cells
        self._shell = ipython.get_ipython() if ipython is not None else None
        if self._shell is not None:
            self._shell.events.register("pre_run_cell", self._pre_run_cell)

    def _pre_run_cell(self, *_: Any) -> None:
        shell, self._shell = self._shell, None
        if shell is None:
            return
        try:
            self._event.wait(FIRST_CELL_SECONDS)
            shell.events.unregister("pre_run_cell", self._pre_run_cell)
            if self._note is not None:
                self._note()
        except Exception as error:  # noqa: BLE001 - IPython would print it into the cell's output
            _note("started", repr(error))


def _note(stage: str, error: str = "") -> None:
    state = getattr(sys, MARKER, None)
    if state is not None:
        state["stage"], state["error"] = stage, error


def _daemon(target: Callable[..., None], *arguments: Any) -> None:
    import threading

    threading.Thread(target=target, args=arguments, name="adb_lineage-autostart", daemon=True).start()


def _program(command: Sequence[str]) -> Tuple[str, str]:
    """Module of `python [options] -m MODULE` and script of `python [options] SCRIPT`; one of them is empty.

    Options of one letter may stand together (`-Im pip`), and their value may follow at once (`-mpip`).
    """
    parts = iter(command[1:])
    for part in parts:
        if not part.startswith("-"):
            return "", os.path.basename(part)
        for position, letter in enumerate("" if part.startswith("--") else part[1:], 2):
            if letter == "m":
                return part[position:] or next(parts, ""), ""
            if letter == "c":
                return "", ""
            if letter in "WX":
                if position == len(part):
                    next(parts, "")
                break
    return "", ""
