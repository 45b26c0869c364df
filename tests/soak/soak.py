"""The soak itself: rounds of small mixed queries on several threads, and a sample after each round.

All of ours is the product's own, down to the local catalog, which runs in a process of its own.
"""
from __future__ import annotations

import gc
import os
import random
import statistics
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import adb_lineage
from tests.delivery.whole_way import CatalogProcess
from tests.oracle.session import CONFIGURATION

THREADS = 4
SPARK = {
    **CONFIGURATION,
    "spark.ui.showConsoleProgress": "false",
    "spark.default.parallelism": "1",
    "spark.sql.ui.retainedExecutions": "20",  # what Spark itself remembers is full soon
    "spark.ui.retainedJobs": "20",
    "spark.ui.retainedStages": "20",
    "spark.ui.retainedTasks": "100",
    "spark.sql.hive.filesourcePartitionFileCacheSize": "0",  # listings of folders: 1 KB a query for a long time
    "spark.cleaner.periodicGC.interval": "1min",
}
# Growth from the middle third of the samples to the last one that still counts as noise: a share, and an amount.
ALLOWED: Dict[str, Tuple[float, float]] = {
    "heap": (0.03, 2 << 20),
    "rss": (0.03, 4 << 20),
    "objects": (0.02, 500),
    "bindings": (0.0, 20),
    "threads": (0.0, 20),
}


@dataclass(frozen=True)
class Sample:
    """What is held after so many queries: bytes of driver heap after a collection, bytes of this process, Python
    objects that can hold others, JVM objects that Py4J keeps for Python, JVM threads.
    """

    queries: int
    heap: int
    rss: int
    objects: int
    bindings: int
    threads: int


class Work:
    """Small queries of every kind, on the files and tables below `folder`."""

    def __init__(self, spark: Any, folder: Path) -> None:
        self._spark = spark
        self._folder = folder
        frame = spark.range(20).selectExpr("id", "id % 3 as kind", "concat('n', id) as name").coalesce(1)
        frame.write.mode("overwrite").parquet(f"{folder}/orders")
        frame.write.mode("overwrite").json(f"{folder}/events")
        for number in range(THREADS):
            spark.sql(f"create table soak_{number} (id bigint, kind bigint) using parquet")

    def thread(self, number: int, count: int, seed: int) -> None:
        """So many statements of one thread, which has a session of its own as each notebook has."""
        session = self._spark.newSession()
        chance = random.Random(seed)
        while count > 0:
            kind, statements = chance.choice(self._kinds)
            kind(self, session, number)
            count -= statements

    def _read(self, session: Any, number: int) -> None:
        session.read.parquet(f"{self._folder}/orders").where("kind > 0").collect()

    def _write(self, session: Any, number: int) -> None:
        frame = session.read.parquet(f"{self._folder}/orders").groupBy("kind").count()
        frame.coalesce(1).write.mode("overwrite").parquet(f"{self._folder}/out{number}")

    def _insert(self, session: Any, number: int) -> None:
        session.read.json(f"{self._folder}/events").createOrReplaceTempView("events")
        session.sql(f"insert overwrite table soak_{number} select id, kind + 1 from events where name <> 'n1'")

    def _table(self, session: Any, number: int) -> None:
        session.sql(f"create table soak_t{number} using parquet as select a.id, b.name from "
                    f"parquet.`{self._folder}/orders` a join parquet.`{self._folder}/orders` b on a.id = b.id")
        session.sql(f"drop table soak_t{number}")

    def _cached(self, session: Any, number: int) -> None:
        frame = session.read.parquet(f"{self._folder}/orders").where("id < 5").cache()
        frame.count()
        frame.unpersist()

    def _failure(self, session: Any, number: int) -> None:
        try:
            session.read.parquet(f"{self._folder}/orders").selectExpr("raise_error(name)").collect()
        except Exception:
            return
        raise AssertionError("a query that must fail did not")

    def _nothing(self, session: Any, number: int) -> None:
        session.sql("show tables").collect()

    def _unparsable(self, session: Any, number: int) -> None:
        try:
            session.sql("selec 1")
        except Exception:
            return
        raise AssertionError("a query that must fail did not")

    # Each with the number of its statements.
    _kinds: Sequence[Tuple[Callable[..., None], int]] = (
        (_read, 1), (_read, 1), (_read, 1), (_write, 1), (_insert, 2), (_insert, 2), (_table, 2), (_cached, 1),
        (_failure, 1), (_nothing, 1), (_nothing, 1), (_unparsable, 1))


def soak(spark: Any, folder: Path, queries: int, rounds: int, *, lineage: bool = True,
         told: Callable[[Sample], None] = lambda sample: None) -> Tuple[List[Sample], Dict[str, Any]]:
    """Run the queries; gives the samples, one a round, and the end state of `adb_lineage.status()`.

    `lineage` off runs them without us: the same curves, for comparison.
    """
    work = Work(spark, folder)
    samples: List[Sample] = []
    with CatalogProcess(str(folder / "catalog.sqlite")) as catalog:
        active = None
        if lineage:
            active = adb_lineage.enable(spark, settings={
                "endpoint": catalog.url, "auth": "none", "data_dir": str(folder / "data"),
                "requests_per_second": 1e6, "queue_capacity": queries + 100})
        try:
            for number in range(rounds):
                _round(work, queries // rounds, number)
                if active is not None and not active.flush(600):
                    raise AssertionError(f"not all was delivered: {active.status()}")
                samples.append(sample(spark, queries // rounds * (number + 1)))
                told(samples[-1])
            status = dict(active.status()) if active is not None else {}
        finally:
            adb_lineage.disable(30)
    return samples, status


def _round(work: Work, count: int, number: int) -> None:
    problems: List[BaseException] = []

    def run(thread: int) -> None:
        try:
            work.thread(thread, count // THREADS, number * THREADS + thread)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def sample(spark: Any, queries: int) -> Sample:
    """What is held now, after a collection in Python and then, as Python's objects hold the JVM's, in the JVM."""
    java = spark.sparkContext._jvm.java.lang
    beans = java.management.ManagementFactory

    def heap() -> int:
        java.System.gc()
        return int(beans.getMemoryMXBean().getHeapMemoryUsage().getUsed())

    held = settled(heap)
    bindings = settled(lambda: int(
        spark.sparkContext._gateway.java_gateway_server.getGateway().getBindings().size()))
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return Sample(queries, held, pages * os.sysconf("SC_PAGE_SIZE"), len(gc.get_objects()), bindings,
                  int(beans.getThreadMXBean().getThreadCount()))


def settled(count: Callable[[], int]) -> int:
    """The least of a count while Python collects: Py4J and Spark's cleaner let things go on threads of their own."""
    least, misses = count(), 0
    while misses < 6:
        gc.collect()
        time.sleep(0.1)
        now = count()
        least, misses = (now, 0) if now < least else (least, misses + 1)
    return least


def growth(samples: Sequence[Sample]) -> Dict[str, Tuple[float, float, bool]]:
    """Of each figure the median of the middle third, that of the last third, and whether that is growth."""
    third = len(samples) // 3
    found = {}
    for name, (share, amount) in ALLOWED.items():
        before, after = (statistics.median(asdict(one)[name] for one in part)
                         for part in (samples[third:2 * third], samples[2 * third:]))
        found[name] = (before, after, after > before * (1 + share) + amount)
    return found
