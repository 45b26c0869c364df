"""The process that runs cases: `python -m tests.case_harness.worker FOLDER CONFIGURATION`, one JSON line each way."""
from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Dict, Set

from tests.case_harness.case import Step, load
from tests.case_harness.session import BLOB, LAKE, Observed, start_session


class Worker:
    """Executes cases on one session. Each file has one namespace for its Python, and its setup runs once."""

    def __init__(self, folder: Path, configuration: Dict[str, str]) -> None:
        self.spark = start_session(folder, configuration)
        self.observed = Observed(self.spark, folder)
        (folder / "local").mkdir()
        self.places = {
            "lake": LAKE, "blob": BLOB,
            **{name: f"file:{folder / name}" for name in ("local", "warehouse", "ice")},
        }
        self._variables = {**self.places, "local": str(folder / "local"), "warehouse": str(folder / "warehouse")}
        self._namespaces: Dict[str, Dict[str, Any]] = {}
        self._last_row = 0

    def run(self, path: str, name: str) -> Dict[str, Any]:
        """Run one case; a setup that fails is told as `failure`, a statement that fails as `error`."""
        case = next(one for one in load(Path(path)) if one.id == name)
        answer: Dict[str, Any] = {"events": [], "rows": [], "error": "", "failure": ""}
        try:
            namespace = self._namespaces.get(path)
            if namespace is None:
                namespace = self._namespaces[path] = self._names()
                for step in case.file_setup:
                    self._execute(step, namespace)
            namespace = dict(namespace)
            for step in case.setup:
                self._execute(step, namespace)
            self.observed.events()
            seen = self._run_ids()
        except Exception:
            answer["failure"] = traceback.format_exc()
            return answer
        try:
            self._execute(case.statement, namespace)
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        answer["events"] = self.observed.events()
        answer["rows"] = [row for row in reversed(self.observed.record.rows(1000)) if row["run_id"] not in seen]
        return answer

    def _names(self) -> Dict[str, Any]:
        from pyspark.sql import functions

        return {"spark": self.spark, "F": functions, "jvm": self.spark.sparkContext._jvm, "sc": self.spark.sparkContext,
                "observed": self.observed, **self._variables}

    def _run_ids(self) -> Set[str]:
        return {row["run_id"] for row in self.observed.record.rows(100_000)}

    def _execute(self, step: Step, namespace: Dict[str, Any]) -> None:
        text = step.text
        for name, value in self._variables.items():
            text = text.replace(f"${name}", value)
        if step.kind == "sql":
            self.spark.sql(text).collect()
        else:
            exec(compile(text, "<case>", "exec"), namespace)  # the case is the program


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Spark or a case prints must not mix with the answers
    worker = Worker(Path(sys.argv[1]), json.loads(sys.argv[2]))
    print(json.dumps({"places": worker.places}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(worker.run(request["path"], request["id"])), file=answers, flush=True)
    worker.spark.stop()


if __name__ == "__main__":
    main()
