"""Several REPLs on one driver: what one leaves another takes over, and nothing is lost or sent twice."""
from __future__ import annotations

import pathlib
from typing import Callable

import pytest

from adb_lineage.catalog.server import CatalogServer
from adb_lineage.databricks.repl import CellBudget
from tests.databricks.soak import Soak
from tests.databricks.standin.cluster import Cluster
from tests.databricks.test_ways_in import rows, settings, wait_for


@pytest.mark.spark
@pytest.mark.slow
def test_a_short_soak(tmp_path: pathlib.Path, wheel: pathlib.Path) -> None:
    """The long one is `python -m tests.databricks.soak`."""
    soak = Soak(tmp_path, wheel, seed=11)
    try:
        found = soak.run(20, 3)
    finally:
        soak.close()
    assert found["queries"] > 0
    for trouble in ("missing", "twice", "not in the catalog", "twice in the catalog"):
        assert found[trouble] == [], found


@pytest.mark.spark
@pytest.mark.slow
def test_another_repl_takes_over(cluster: Callable[..., Cluster], wheel: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The only reader is killed while a query of a session without Python is under way; one that comes later has it."""
    server = CatalogServer(tmp_path / "catalog.sqlite").start()
    try:
        one = cluster(env=settings(server.url, tmp_path / "lineage"))
        one.install_library(wheel)
        with one:
            reader = one.attach("/Shared/reader")
            reader.cell("import time; time.sleep(2); print(1)")
            reader.kill()
            one.ask(do="sql", text=f"insert overwrite directory '{tmp_path}/raw' using parquet select 1 as id")
            second = one.attach("/Shared/second")
            second.cell("print(1)")
            assert wait_for(lambda: rows(second, "insert overwrite"), 60)
            second.process.kill()
            third = one.attach("/Shared/third")
            third.cell(f"spark.range(2).write.parquet('{tmp_path}/third')")
            assert wait_for(lambda: [row for row in rows(third, "parquet") if row["notebook"] == "/Shared/third"], 60)
    finally:
        server.close()


def test_the_lease_leaves_time_to_take_over_within_ten_seconds() -> None:
    from adb_lineage.capture import capture, tap

    assert tap.LEASE_MILLIS / 1000 + capture.POLL_SECONDS < 10


def test_waiting_in_vain_is_soon_given_up() -> None:
    now = [0.0]
    budget = CellBudget(0, 10, clock=lambda: now[0])
    assert budget.seconds(job=False) == 0
    waited = []
    while budget.seconds(job=True):
        waited.append(budget.seconds(job=True))
        budget.waited(waited[-1], False)
        now[0] += 1000
    assert waited[0] == 10 and sum(waited) < 12
    budget.waited(0, True)
    assert budget.seconds(job=True) == 10


def test_a_slow_catalog_costs_a_job_a_small_part_of_its_time() -> None:
    """A thousand cells of two seconds each, and a delivery that takes one and succeeds."""
    now = [0.0]
    budget = CellBudget(0, 10, clock=lambda: now[0])
    for _ in range(1000):
        wait = min(1.0, budget.seconds(job=True))
        now[0] += 2 + wait
        budget.waited(wait, wait == 1)
    assert 2000 * 0.05 < now[0] - 2000 < 10 + now[0] * 0.05
    now[0] += 200
    assert budget.seconds(job=True) >= 0.05


def test_what_the_user_sets_for_an_open_notebook_holds() -> None:
    budget = CellBudget(5, 10)
    for _ in range(100):
        budget.waited(5, True)
    assert budget.seconds(job=False) == 5
