"""How fast the outbox is drained: events a second from a full outbox to the local catalog, over real HTTP.

    python -m benchmarks.delivery [--events 10000] [--processes 500] [--columns 20] [--rate 1000000] [--profile]

Everything is the product's own: outbox on disk, translation, Purview client, local catalog (in a process of its own).
Half of the events are START, half COMPLETE; each run has three inputs and one output. Prints JSON.
"""
from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, Iterator

CATALOG = """
import sys
from adb_lineage.catalog.server import CatalogServer
server = CatalogServer(sys.argv[1])
print(server.url, flush=True)
server.run()
"""


def events(count: int, processes: int, columns: int) -> Iterator[Dict[str, Any]]:
    """`count` events of `count / 2` runs, spread over so many distinct processes, in the order of their time."""
    names = [f"column_{index}" for index in range(columns)]
    schema = {"schema": {"fields": [{"name": name, "type": "string"} for name in names]}}
    for number in range(count // 2):
        process = number % processes
        storage = "abfss://lake@account.dfs.core.windows.net"
        inputs = [{"namespace": storage, "name": f"raw/p{process}/in{side}", "facets": schema} for side in range(3)]
        lineage = {"fields": {name: {"inputFields": [
            {"namespace": storage, "name": f"raw/p{process}/in{side}", "field": name} for side in range(3)
        ]} for name in names}}
        output = {"namespace": storage, "name": f"clean/p{process}", "facets": {**schema, "columnLineage": lineage}}
        run = {"runId": f"0195f000-0000-7000-8000-{number:012d}", "facets": {
            "environment-properties": {"environment-properties": {
                "spark.databricks.workspaceUrl": "adb-1.1.azuredatabricks.net",
                "spark.databricks.notebook.path": f"/Shared/notebook_{process % 50}",
                "spark.databricks.clusterUsageTags.clusterName": "bench",
            }}}}
        for kind, second in (("START", 0), ("COMPLETE", 30)):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_772_359_200 + number * 60 + second))
            yield {"eventType": kind, "eventTime": stamp, "producer": "https://example.com/bench", "run": run,
                   "job": {"namespace": "adb-1.1", "name": f"job_{process}", "facets": {}},
                   "inputs": inputs, "outputs": [output] if kind == "COMPLETE" else []}


def cpu_seconds(pid: int) -> float:
    """Processor time of another process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e6, help="requests a second towards the catalog")
    parser.add_argument("--profile", action="store_true", help="print where the worker's time goes")
    arguments = parser.parse_args()
    from adb_lineage.composition import delivery_from_settings, outbox_from_settings, record_from_settings
    from adb_lineage.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen([sys.executable, "-c", CATALOG, f"{folder}/catalog.db"], stdout=subprocess.PIPE,
                                 text=True)
        assert child.stdout is not None
        endpoint = child.stdout.readline().strip()
        settings = Settings.load({"endpoint": endpoint, "auth": "none", "data_dir": folder,
                                  "requests_per_second": arguments.rate}, environ={})
        record = record_from_settings(settings)
        outbox = outbox_from_settings(settings, record)
        delivery = delivery_from_settings(settings, outbox, record)
        try:
            started = time.perf_counter()
            for event in events(arguments.events, arguments.processes, arguments.columns):
                outbox.append(event)
            appended = time.perf_counter()
            own, catalog_s = time.process_time(), cpu_seconds(child.pid)
            profile = cProfile.Profile(time.process_time)
            passes = 0
            if arguments.profile:
                profile.enable()
            while outbox.counts()["new"] or outbox.counts()["waiting"] or outbox.counts()["taken"]:
                time.sleep(min(delivery.run_once(), 0.05))
                passes += 1
            profile.disable()
            delivered = time.perf_counter()
            rows = record.rows(1)
            print(json.dumps({
                "events": arguments.events,
                "processes": arguments.processes,
                "append_events_per_second": round(arguments.events / (appended - started)),
                "delivery_seconds": round(delivered - appended, 2),
                "delivery_events_per_second": round(arguments.events / (delivered - appended)),
                "cpu_seconds": {"worker": round(time.process_time() - own, 1),
                                "catalog": round(cpu_seconds(child.pid) - catalog_s, 1)},
                "passes": passes,
                "requests": delivery._catalog.status()["requests"],  # type: ignore[attr-defined]
                "states": outbox.counts(),
                "last": {key: rows[0].get(key) for key in ("delivery", "delivery_reason")},
                "peak_resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }, indent=2))
            if arguments.profile:
                pstats.Stats(profile).sort_stats("cumulative").print_stats(40)
        finally:
            delivery.stop(1)
            outbox.close()
            child.terminate()
            child.wait()


if __name__ == "__main__":
    main()
