"""How many requests lineage costs: for processes that are new, that repeat, that a scan has overtaken.

    python -m benchmarks.requests [--processes 200] [--repeats 20] [--batch 50] [--columns 20] [--profile]

Everything is the product's own, over HTTP; the local catalog runs in a process of its own. Each process reads three
datasets and writes one. Prints JSON: requests a process for each case, next to what Microsoft's accelerator needs for
one event by its own code (11 the first time, 14 to 20 afterwards), and the processor time of our side.
"""
from __future__ import annotations

import os
import sys

# Started as a script, this file's folder comes first, and this file would be the `requests` of everybody else.
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != os.path.dirname(os.path.abspath(__file__))]

import argparse  # noqa: E402
import cProfile  # noqa: E402
import json  # noqa: E402
import pstats  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from typing import Any, Dict, Iterator, List, Sequence, Tuple  # noqa: E402

ACCELERATOR = {"new": 11, "repeat": 14}
"""Reference of the accelerator, section 7.5: an interactive notebook with one input and one output."""
SERVER = """
import sys
from adb_lineage.catalog.server import CatalogServer
server = CatalogServer(sys.argv[1])
print(server.url, flush=True)
server.run()
"""
WORKSPACE = "databricks://adb-1234567890123456.7.azuredatabricks.net"
LAKE = "https://account.dfs.core.windows.net/lake"

Run = Tuple[List[Dict[str, Any]], List[Any]]


def reference(type_name: str, name: str) -> Dict[str, Any]:
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": name}}


def run_of(number: int, columns: int, stamp: str) -> Run:
    """Entities and assets of one run of a process, as the translation gives them."""
    from adb_lineage.assets import Asset, AssetName, Column

    assets = []
    for name in (f"raw/p{number}/in0", f"raw/p{number}/in1", f"raw/p{number}/in2", f"clean/p{number}"):
        own = AssetName("azure_datalake_gen2_path", f"{LAKE}/{name}/")
        others = (
            AssetName("azure_datalake_gen2_resource_set", f"{LAKE}/{name}/{{SparkPartitions}}"),
            own,
            AssetName("azure_datalake_gen2_path", f"{LAKE}/{name}"),
        )
        fields = tuple(Column(f"column_{n}", "string") for n in range(columns))
        assets.append(Asset(own, name.rsplit("/", 1)[-1], "benchmark", alternatives=others, columns=fields))
    notebook = f"{WORKSPACE}/notebooks/Shared/notebook_{number % 50}"
    entities = [
        {"typeName": "databricks_workspace", "attributes": {"qualifiedName": WORKSPACE, "name": "adb"}},
        {"typeName": "databricks_notebook", "attributes": {"qualifiedName": notebook, "name": f"n{number % 50}"},
         "relationshipAttributes": {"workspace": reference("databricks_workspace", WORKSPACE)}},
        {"typeName": "databricks_process",
         "attributes": {
             "qualifiedName": f"{notebook}/processes/{number:032X}->{number:032X}", "name": f"process {number}",
             "description": f"Last run: {stamp}", "columnMapping": "[]",
             "inputs": [reference(*asset.name) for asset in assets[:3]],
             "outputs": [reference(*assets[3].name)]},
         "relationshipAttributes": {"task": reference("databricks_notebook", notebook)}},
    ]
    return entities, assets


def deliver(catalog: Any, runs: Sequence[Run]) -> None:
    """What the delivery worker does with a batch."""
    assets = [asset for _, some in runs for asset in some]
    chosen = catalog.resolve(assets)
    report = catalog.write(
        [entity for entities, _ in runs for entity in entities], [a for a in assets if a.name not in chosen]
    )
    assert not report.refused and not report.left_out, report


def batches(processes: int, size: int, columns: int, stamp: str) -> Iterator[List[Run]]:
    for start in range(0, processes, size):
        yield [run_of(number, columns, stamp) for number in range(start, min(start + size, processes))]


def measure(catalog: Any, work: Sequence[List[Run]]) -> Dict[str, float]:
    runs = sum(map(len, work))
    before, processor, started = catalog.client.http.requests, time.process_time(), time.perf_counter()
    for batch in work:
        deliver(catalog, batch)
    used = catalog.client.http.requests - before
    return {
        "runs": runs,
        "requests": used,
        "requests_a_run": round(used / runs, 4),
        "our_cpu_ms_a_run": round((time.process_time() - processor) * 1e3 / runs, 2),
        "seconds": round(time.perf_counter() - started, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="print where our time goes")
    told = parser.parse_args()
    from adb_lineage.purview import PurviewCatalog, PurviewOptions, credential

    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, f"{folder}/catalog.db"], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        try:
            options = PurviewOptions(server.stdout.readline().strip(), rate=1e6)
            profile = cProfile.Profile()
            with PurviewCatalog(options, credential(options), state_path=f"{folder}/state.db") as catalog:
                catalog.ensure_types()
                if told.profile:
                    profile.enable()
                new = measure(catalog, list(batches(told.processes, told.batch, told.columns, "1")))
                again = [
                    batch for turn in range(told.repeats)
                    for batch in batches(told.processes, told.batch, told.columns, f"2.{turn}")
                ]
                repeat = measure(catalog, again)
                single = measure(catalog, list(batches(min(told.processes, 50), 1, told.columns, "3")))
                profile.disable()
            later = PurviewOptions(options.endpoint, rate=1e6, recheck_seconds=0.0)
            with PurviewCatalog(later, credential(later), state_path=f"{folder}/state.db") as catalog:
                catalog.ensure_types()
                checked = measure(catalog, list(batches(told.processes, told.batch, told.columns, "4")))
            with PurviewCatalog(options, credential(options), state_path=f"{folder}/empty.db") as catalog:
                catalog.ensure_types()
                elsewhere = measure(catalog, list(batches(told.processes, told.batch, told.columns, "5")))
        finally:
            server.terminate()
            server.wait()
    print(json.dumps({
        "new": new, "repeat": repeat, "repeat, one at a time": single,
        "repeat, each checked whether it is still there": checked,
        "known to the catalog, but written by another machine": elsewhere,
        "accelerator, requests an event": ACCELERATOR,
        "goals, requests a run": {"new": 2, "repeat": 0.05},
    }, indent=2))
    if told.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(35)


if __name__ == "__main__":
    main()
