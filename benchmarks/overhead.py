"""What lineage costs the user's queries, as ratios in one run, and what the JVM keeps when nobody fetches it.

    python -m benchmarks.overhead [--blocks 10] [--queries 10]

Blocks of the same queries run by turns with and without lineage, in one Spark. With lineage, everything is the
product's own, down to the local catalog (in a process of its own, on the same processors). Prints JSON.
"""
from __future__ import annotations

import argparse
import gc
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import adb_lineage
from adb_lineage.capture.tap import new_relay
from adb_lineage.databricks.identity import LOCAL_PROPERTIES
from tests.case_harness.session import start_session
from tests.delivery.whole_way import CatalogProcess

SLEEP_MILLIS = 3000
WAITING = 500


def kinds(folder: Path) -> Dict[str, Callable[[Any], Any]]:
    """Queries by what they do."""
    orders, out = f"{folder}/orders", f"{folder}/out"

    def small(spark: Any) -> None:
        spark.read.schema("id long, kind long").parquet(orders).where("id = 1").collect()

    def write(spark: Any) -> None:
        frame = spark.read.schema("id long, kind long").parquet(orders)
        frame.groupBy("kind").count().write.mode("overwrite").parquet(out)

    def wide(spark: Any) -> None:
        frame = spark.read.schema("id long, kind long").parquet(orders)
        frame = frame.selectExpr(*(f"id + {number} as c{number}" for number in range(300)))
        frame.write.mode("overwrite").parquet(out)

    def join(spark: Any) -> None:
        frame = spark.read.schema("id long, kind long").parquet(orders)
        for number in range(5):
            other = spark.read.schema(f"id long, kind{number} long").parquet(orders)
            frame = frame.join(other, "id")
        frame.write.mode("overwrite").parquet(out)

    return {"read": small, "write": write, "write of 300 columns": wide, "join of 6 relations": join}


def heap(spark: Any) -> int:
    """Bytes of the driver's heap when collections free no more: Spark's cleaner lets go of broadcasts after each."""
    java = spark.sparkContext._jvm.java.lang
    used, before = 0, sys.maxsize
    while used < 0.95 * before:
        before = used or before
        gc.collect()
        java.System.gc()
        time.sleep(1)
        used = int(java.management.ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed())
    return used


def slowdown(spark: Any, folder: Path, blocks: int, queries: int) -> Dict[str, Any]:
    """The user's time with lineage by that without, for each kind of query, and what capturing took."""
    seconds: Dict[str, Dict[bool, List[float]]] = {name: {True: [], False: []} for name in kinds(folder)}
    cost: Dict[str, Dict[str, Any]] = {}
    with CatalogProcess(str(folder / "catalog.sqlite")) as catalog:
        for block in range(2 * blocks + 2):
            on = block % 2 == 1
            if on:
                adb_lineage.enable(spark, settings={
                    "endpoint": catalog.url, "auth": "none", "data_dir": str(folder / "data")})
            for name, query in kinds(folder).items():
                started = time.perf_counter()
                for _ in range(queries):
                    query(spark)
                if block > 1:  # the first two warm the JVM
                    seconds[name][on].append((time.perf_counter() - started) / queries)
                if on:
                    active = adb_lineage.enable()
                    active.flush(120)  # waits for the first attaching, too
                    row = active.status()["newest"][0]
                    cost[name] = {"milliseconds": round(row["seconds"] * 1000, 1), "round_trips": row["round_trips"]}
            if on:
                adb_lineage.disable(60)
    return {name: {
        "with / without": round(statistics.median(found[True]) / statistics.median(found[False]), 3),
        "milliseconds without": round(statistics.median(found[False]) * 1000, 1),
        "capture, on its own thread": cost[name],
    } for name, found in seconds.items()}


def unfetched(spark: Any, folder: Path) -> Dict[str, Any]:
    """Heap that finished queries keep in the relay while they wait, and when nobody has come for a while."""
    bus = spark.sparkContext._jsc.sc().listenerBus()
    query = kinds(folder)["join of 6 relations"]
    query(spark)
    bus.waitUntilEmpty(60_000)
    before = heap(spark)
    relay = new_relay(spark.sparkContext, WAITING, LOCAL_PROPERTIES, sleep=SLEEP_MILLIS)
    bus.addToQueue(relay, "overhead")
    for _ in range(WAITING // 5):
        relay.take("benchmark", "nobody's", 1)  # keeps it awake
        query(spark)
    bus.waitUntilEmpty(60_000)
    waiting = heap(spark)
    counters = str(relay.counters())
    time.sleep(SLEEP_MILLIS / 1000 + 1)
    query(spark)
    bus.waitUntilEmpty(60_000)
    asleep = heap(spark)
    bus.removeListener(relay)
    return {"heap before": before, "while they wait": waiting - before, "when nobody came": asleep - before,
            "relay": counters}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--queries", type=int, default=10)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="overhead-"))
    spark = start_session(folder, {"spark.ui.showConsoleProgress": "false", "spark.sql.ui.retainedExecutions": "5"})
    try:
        spark.range(1000).selectExpr("id", "id % 7 as kind").coalesce(1).write.parquet(str(folder / "orders"))
        print(json.dumps({"slowdown": slowdown(spark, folder, arguments.blocks, arguments.queries),
                          "unfetched": unfetched(spark, folder)}, indent=2))
    finally:
        spark.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
