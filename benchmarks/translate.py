"""How long a translation takes, and how that grows. Prints; asserts nothing.

    python benchmarks/translate.py [--runs 10000]

The first figure is the goal of the issue: 10,000 runs of 3 inputs, 1 output and 20 columns each, START and COMPLETE,
every dataset of every run another one. The tables that follow double columns and inputs, the best of some repeats
each; a ratio near 2 is linear.

The prepared events are kept out of the garbage collector's sight (`gc.freeze`): walking through 10,000 runs at once is
a cost of this benchmark, a driver never holds so many.
"""
from __future__ import annotations

import argparse
import gc
import json
import time
from typing import Any, Dict, List

from adb_lineage.translate import TranslateOptions, translate_run

WORKSPACE = "adb-4630430682081461.1"
ACCOUNT = "lake.dfs.core.windows.net"


def events_of(number: int, inputs: int, columns: int) -> List[Dict[str, Any]]:
    """START and COMPLETE of one run; the datasets' names hold the run's number."""
    environment = {
        "spark.databricks.notebook.path": f"/Shared/etl/notebook_{number % 145}",
        "spark.databricks.clusterUsageTags.clusterName": "shared",
        "spark.databricks.workspaceUrl": f"{WORKSPACE}.azuredatabricks.net",
        "user": "someone@example.com",
        "mountPoints": [{"mountPoint": "/mnt/raw", "source": f"abfss://raw@{ACCOUNT}/landing"}],
    }
    schema = {"fields": [{"name": f"column_{i}", "type": "string", "fields": []} for i in range(columns)]}
    sources = [("dbfs", f"/mnt/raw/sales/{number}/{i}") for i in range(inputs)]
    fields = {
        f"column_{i}": {
            "inputFields": [
                {
                    "namespace": sources[i % inputs][0],
                    "name": sources[i % inputs][1],
                    "field": f"column_{i}",
                    "transformations": [{"type": "DIRECT", "subtype": "IDENTITY", "description": "", "masking": False}],
                }
            ]
        }
        for i in range(columns)
    }
    run = {"runId": f"0190{number:08x}-0000-7000-8000-000000000000"}
    job = {"namespace": WORKSPACE, "name": f"databricks_shell.execute_insert.{number}"}
    told_inputs = [{"namespace": namespace, "name": name, "facets": {"schema": schema}} for namespace, name in sources]
    facets = {"environment-properties": {"environment-properties": environment}}
    output = {
        "namespace": f"abfss://curated@{ACCOUNT}",
        "name": f"tables/orders_{number}",
        "facets": {"schema": schema, "columnLineage": {"fields": fields, "dataset": []}},
    }
    start = {"eventType": "START", "eventTime": "2026-01-01T00:00:00Z", "run": {**run, "facets": facets}, "job": job}
    complete = {
        "eventType": "COMPLETE",
        "eventTime": "2026-01-01T00:00:09Z",
        "run": {**run, "facets": facets},
        "job": job,
        "inputs": told_inputs,
        "outputs": [output],
    }
    return [start, complete]


def seconds(runs: List[List[Dict[str, Any]]]) -> float:
    """CPU seconds of translating runs, entities included."""
    options = TranslateOptions()
    gc.collect()
    gc.freeze()
    began = time.process_time()
    for events in runs:
        translate_run(events, options).entities()
    spent = time.process_time() - began
    gc.unfreeze()
    return spent


def growth(title: str, sizes: List[int], build: Any) -> None:
    """Print the time for each size and its ratio to the one before."""
    print(f"{title:>10} {'ms a run':>10} {'ratio':>6}")
    before = 0.0
    for repeat, size in enumerate(sizes):
        # New names for each repeat: those of a repeat before would be in the caches.
        first = 1_000_000 * (repeat + 1)
        spent = min(seconds([build(first + number, size)]) for number in range(10)) * 1000
        print(f"{size:>10} {spent:>10.2f} {spent / before if before else 0:>6.2f}")
        before = spent


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    arguments = parser.parse_args()
    runs = [events_of(number, 3, 20) for number in range(arguments.runs)]
    size = sum(len(json.dumps(events)) for events in runs[:100]) / 100
    seconds(runs[:10])
    spent = seconds(runs)
    print(f"{arguments.runs} runs: 3 inputs, 1 output, 20 columns, {size / 1024:.1f} KB of events each: {spent:.2f} s")
    growth("columns", [100, 200, 400, 800, 1600, 3200], lambda number, size: events_of(number, 3, size))
    growth("inputs", [10, 20, 40, 80, 160, 320], lambda number, size: events_of(number, size, 20))


if __name__ == "__main__":
    main()
