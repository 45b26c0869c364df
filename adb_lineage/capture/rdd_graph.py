"""What an RDD was made from, found in the driver JVM by our own walker (rdds.java) in one call, within limits."""
from __future__ import annotations

import hashlib
import pkgutil
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple
from urllib.parse import unquote_plus

from adb_lineage.capture.connectors import sql_source, without_glob
from adb_lineage.capture.datasets import Dataset, from_path
from adb_lineage.capture.jdbc import parse_jdbc_url
from adb_lineage.capture.jvm import Jvm

MAX_RDDS = 2000
MAX_FOLDERS = 2000
MAX_MILLISECONDS = 1000


@dataclass(frozen=True)
class RddSources:
    """The datasets an RDD was made from, and notes of what is not known.

    `checkpoints` are the numbers of RDDs that were checkpointed, whose own sources Spark has let go.
    """

    datasets: Tuple[Dataset, ...] = ()
    checkpoints: Tuple[int, ...] = ()
    notes: Tuple[str, ...] = ()


class RddGraph:
    """Walks RDDs of one driver JVM; compiled there when it is first needed."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._walker: Any = None
        self._problem = ""

    def sources(self, rdd: Any, jvm: Jvm) -> RddSources:
        """The sources of a JVM RDD."""
        text = self._ask(jvm, "sources", rdd, MAX_RDDS, MAX_FOLDERS, MAX_MILLISECONDS)
        if self._problem:
            return RddSources(notes=(self._problem,))
        return parse_sources(text)

    def name(self, rdd: Any, jvm: Jvm) -> str:
        """The names of an RDD and of those before it."""
        return self._ask(jvm, "name", rdd)

    def _ask(self, jvm: Jvm, method: str, *arguments: Any) -> str:
        if self._walker is None and not self._problem:
            try:
                self._walker = _compiled(self._context)
            except Exception as error:  # noqa: BLE001  no Janino, or one that can't compile this
                self._problem = f"RDDs can't be followed here: {type(error).__name__}"
        if self._problem:
            return ""
        try:
            return str(jvm.call(self._walker, method, *arguments))
        except Exception as error:  # noqa: BLE001  an odd RDD costs its sources alone
            return f"cut\t{type(error).__name__}\n"


def parse_sources(text: str) -> RddSources:
    """The walker's lines as datasets."""
    found: Dict[Tuple[str, str], Dataset] = {}
    checkpoints: List[int] = []
    notes: List[str] = []
    for line in text.splitlines():
        kind, *parts = [unquote_plus(part) for part in line.split("\t")]
        datasets: Tuple[Dataset, ...] = ()
        if kind == "checkpoint":
            checkpoints.append(int(parts[0]))
        elif kind in ("path", "folder", "table"):
            datasets = (from_path(without_glob(parts[0]) if kind == "path" else parts[0]),)
        elif kind == "jdbc":
            datasets = sql_source(parse_jdbc_url(parts[0]), parts[1])
        elif kind == "unknown":
            notes.append(f"RDD {parts[0]} is of an unknown kind")
            datasets = (Dataset("unknown", parts[0], known=False),)
        elif kind == "broadcast":
            notes.append("the broadcast side of a join behind an RDD is not known")
        elif kind == "cut":
            notes.append(f"not all RDDs were followed: {parts[0]}")
        for dataset in datasets:
            found.setdefault(dataset.key, dataset)
    return RddSources(tuple(found.values()), tuple(checkpoints), tuple(notes))


def _compiled(context: Any) -> Any:
    """The walker, one a JVM. Its package tells its source: Py4J remembers methods by class name."""
    source = (pkgutil.get_data("adb_lineage.capture", "rdds.java") or b"").decode()
    package = f"adb.lineage.w{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    view = context._jvm
    properties = view.java.lang.System.getProperties()
    walker = properties.get(package)
    if walker is None:
        compiler = view.org.codehaus.janino.SimpleCompiler()
        compiler.setParentClassLoader(context._jsc.sc().getClass().getClassLoader())
        compiler.cook(source.replace("package adb.lineage;", f"package {package};"))
        constructor = compiler.getClassLoader().loadClass(f"{package}.Rdds").getConstructors()[0]
        walker = constructor.newInstance(context._gateway.new_array(view.java.lang.Object, 0))
        walker = properties.putIfAbsent(package, walker) or walker
    return walker
