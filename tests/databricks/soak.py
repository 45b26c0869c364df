"""REPLs killed and restarted at random while they run queries: every query must be delivered, and once.

    python -m tests.databricks.soak --seconds 300 --repls 10

Each query writes a folder of its own; a query counts when its cell has answered. At the end one more REPL is started,
as on a cluster that lives on, and everything has to be in the catalog.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import json
import pathlib
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from typing import Any, Counter, Dict, List

from adb_lineage.catalog.server import CatalogServer
from adb_lineage.record import Record
from tests.databricks.standin.cluster import WORKSPACE, Cluster, Repl


class Soak:
    """One run; `report` is what it found."""

    def __init__(self, folder: pathlib.Path, wheel: pathlib.Path, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._answered: List[str] = []
        self._kills: Counter[str] = collections.Counter()
        self._server = CatalogServer(folder / "catalog.sqlite").start()
        (folder / "cluster").mkdir()
        self._data = folder / "lineage"
        self._cluster = Cluster(folder / "cluster", env={
            "ADB_LINEAGE_ENDPOINT": self._server.url, "ADB_LINEAGE_AUTH": "none",
            "ADB_LINEAGE_DATA_DIR": str(self._data), "ADB_LINEAGE_CAPTURE_SECONDS": "60"})
        self._cluster.install_library(wheel)

    def run(self, seconds: float, repls: int) -> Dict[str, Any]:
        """Run for that long with that many REPLs; the answer says what was asked and what arrived."""
        with self._cluster:
            first = self._cluster.attach("/Shared/seed")
            first.cell(f"import time; time.sleep(3); spark.range(10).write.parquet('{self._folder}/source')")
            until = time.monotonic() + seconds
            threads = [threading.Thread(target=self._notebook, args=(number, until)) for number in range(repls)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            first.kill()
            self._cluster.attach("/Shared/last").cell("print(1)")
            return self._result()

    def close(self) -> None:
        """End the catalog."""
        self._server.close()

    def _notebook(self, number: int, until: float) -> None:
        """One notebook's life: cells, and now and then an end that nobody announced."""
        repl = self._cluster.attach(f"/Shared/notebook{number}")
        count = 0
        while time.monotonic() < until:
            count += 1
            name = f"q{number}-{count}"
            with contextlib.suppress(AssertionError, OSError, ValueError):  # the REPL was killed under the cell
                timer = self._sometimes_kill(repl)
                answer = repl.cell(f"spark.read.parquet('{self._folder}/source').selectExpr('id + {count} as id')"
                                   f".write.parquet('{self._folder}/out/{name}')")
                timer.cancel()
                if not answer["error"]:
                    self._answered.append(name)
                if self._random.random() < 0.1:
                    self._kills["restarted"] += 1
                    repl.cell("dbutils.library.restartPython()")
            if repl.process.poll() is not None:
                repl.kill()
                repl = self._cluster.attach(f"/Shared/notebook{number}")

    def _sometimes_kill(self, repl: Repl) -> threading.Timer:
        def kill() -> None:
            self._kills["killed"] += 1
            repl.process.kill()

        timer = threading.Timer(self._random.random() * 5 if self._random.random() < 0.15 else 3600, kill)
        timer.daemon = True
        timer.start()
        return timer

    def _result(self) -> Dict[str, Any]:
        until = time.monotonic() + 120
        while True:
            found = self._arrived()
            missing = sorted(set(self._answered) - set(found))
            if not missing or time.monotonic() > until:
                break
            time.sleep(1)
        processes = self._processes()
        return {"queries": len(self._answered), **self._kills, "missing": missing,
                "twice": sorted(name for name, times in found.items() if times > 1),
                "not in the catalog": sorted(name for name in self._answered if processes[name] == 0),
                "twice in the catalog": sorted(name for name, times in processes.items() if times > 1)}

    def _arrived(self) -> Counter[str]:
        """How many runs the record has as delivered, by the folder they wrote."""
        found: Counter[str] = collections.Counter()
        record = Record(str(self._data / "record.sqlite"))
        try:
            for row in record.rows(100_000):
                if row.get("delivery") == "delivered":
                    found.update(name.rpartition("/")[2] for _, name in row.get("outputs") or [])
        finally:
            record.close()
        return found

    def _processes(self) -> Counter[str]:
        """Processes in the catalog, by the folder that ends their name ("notebook -> folder")."""
        found: Counter[str] = collections.Counter()
        for number in range(100):
            name = f"databricks://{WORKSPACE}/notebooks/Shared/notebook{number}"
            try:
                with urllib.request.urlopen(f"{self._server.url}/datamap/api/atlas/v2/entity/uniqueAttribute/type/"
                                            f"databricks_notebook?attr:qualifiedName={name}", timeout=60) as reply:
                    entity = json.load(reply)["entity"]
            except urllib.error.HTTPError:
                continue
            found.update(str(process["displayText"]).rpartition(" -> ")[2]
                         for process in entity["relationshipAttributes"].get("processes") or [])
        return found


def main() -> int:
    """Run as a command; 1 when a query was lost or came twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--repls", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--wheel", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(pathlib.Path(folder), arguments.wheel, arguments.seed)
        try:
            found = soak.run(arguments.seconds, arguments.repls)
        finally:
            soak.close()
    print(f"seed {arguments.seed}: {found}")
    return 1 if any(found[key] for key in ("missing", "twice", "not in the catalog", "twice in the catalog")) else 0


if __name__ == "__main__":
    sys.exit(main())
