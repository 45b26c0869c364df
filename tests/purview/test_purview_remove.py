"""Retire and purge: what we wrote goes, what anybody else made, completed or uses stays."""
from __future__ import annotations

import time
from typing import Any, Dict, List

import pytest
from fault_server import status
from purview_world import NOTEBOOK, WORKSPACE, World, containers, deliver, exotic, folder, lake, process_name, ref

from adb_lineage.assets import AssetName
from adb_lineage.purview import PurviewCatalog, typedefs
from adb_lineage.purview.types import PLACEHOLDER

DAY = 86_400.0


def entities(world: World) -> List[str]:
    """Type and name of every live entity in the catalog."""
    found: List[str] = []
    catalog = world.server.catalog
    for definition in catalog.typedefs()["entityDefs"]:
        body = {"filter": {"entityType": definition["name"]}, "limit": 1000}
        for hit in catalog.search(body, hidden=True)["value"]:
            found.append(f"{hit['entityType']} {hit['qualifiedName']}")
    return sorted(set(found))


def purge(catalog: PurviewCatalog) -> Dict[str, str]:
    plan = catalog.plan_purge()
    catalog.remove(plan)
    return {one.name.qualified_name: why for one, why in plan.kept}


def run_task(catalog: PurviewCatalog, kind: str) -> List[AssetName]:
    """What the delivery worker does with a run of a job's task; the job, the task and the process."""
    job = AssetName("databricks_job", f"{WORKSPACE.qualified_name}/jobs/1")
    task = AssetName(kind, f"{job.qualified_name}/tasks/t")
    process = AssetName("databricks_process", f"{task.qualified_name}/processes/p")
    over = zip((job, task, process), ({"workspace": ref(WORKSPACE)}, {"job": ref(job)}, {"task": ref(task)}))
    missing = [exotic("IN"), exotic("OUT")]
    written: List[Dict[str, Any]] = [
        {"typeName": name.type_name, "attributes": {"qualifiedName": name.qualified_name, "name": "x"},
         "relationshipAttributes": parent}
        for name, parent in over
    ]
    written[-1]["attributes"].update(inputs=[ref(missing[0].name)], outputs=[ref(missing[1].name)])
    assert catalog.write([containers()[0], *written], missing).refused == []
    return [job, task, process]


TASKS = sorted(one["name"] for one in typedefs.load("databricks")["entityDefs"] if one["name"].endswith("_task"))


class TestPurge:
    def test_nothing_is_left(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()
        before = entities(world)
        for n in range(5):
            deliver(catalog, f"p{n}", [lake("in", ["a"])], [exotic("T", ["b", "c"])])
        assert len(entities(world)) > len(before) + 8
        assert purge(catalog) == {}
        assert entities(world) == before
        # And it all comes back with the next run, at once.
        assert deliver(catalog, "p0", [lake("in", ["a"])], [exotic("T", ["b", "c"])]).refused == []
        assert world.edges(process_name("p0"))["inputs"] != []

    def test_from_another_machine(self, world: World) -> None:
        first = world.client()
        before = entities(world)
        for n in range(3):
            deliver(first, f"p{n}", [lake("in", ["a"])], [exotic("T", ["b"])])
        purge(world.client("other.sqlite"))
        # A workspace bears no mark: a scan may have brought it.
        assert entities(world) == [*before, f"{WORKSPACE.type_name} {WORKSPACE.qualified_name}"]

    @pytest.mark.parametrize("kind", TASKS)
    def test_tasks_of_every_kind_from_another_machine(self, world: World, kind: str) -> None:
        first = world.client()
        before = entities(world)
        run_task(first, kind)
        purge(world.client("other.sqlite"))
        assert entities(world) == [*before, f"{WORKSPACE.type_name} {WORKSPACE.qualified_name}"]

    def test_a_dry_run_only_reads(self, world: World) -> None:
        catalog = world.client()
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        before = entities(world)
        plan = catalog.plan_purge()
        assert entities(world) == before
        lines = plan.lines()
        order = [next(n for n, line in enumerate(lines) if word in line)
                 for word in ("databricks_process", PLACEHOLDER, "databricks_notebook", "databricks_workspace")]
        assert order == sorted(order) and all(line.startswith("remove ") for line in lines)

    def test_what_others_made_completed_or_use_stays(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()
        world.scan(WORKSPACE)
        world.scan(folder("scanned"))
        deliver(catalog, "p", [lake("scanned"), lake("completed")], [lake("used")])
        world.scan(folder("completed"), size=5)
        theirs = AssetName("adf_copy_operation", "adf")
        world.by_another_user().create_or_update([
            {"typeName": theirs.type_name, "guid": "-1",
             "attributes": {"qualifiedName": "adf", "name": "adf", "inputs": [ref(folder("used"))]}},
            {"typeName": "databricks_notebook", "guid": "-2",
             "attributes": {"qualifiedName": "theirs", "name": "theirs"},
             "relationshipAttributes": {"workspace": ref(WORKSPACE)}},
        ])
        kept = purge(catalog)
        left = entities(world)
        for name in (WORKSPACE, folder("scanned"), folder("completed"), folder("used"), theirs,
                     AssetName("databricks_notebook", "theirs")):
            assert f"{name.type_name} {name.qualified_name}" in left
        assert kept[folder("completed").qualified_name] == "somebody has completed it since"
        assert "it is used by" in kept[folder("used").qualified_name]
        assert world.entity(process_name("p")) is None and world.entity(NOTEBOOK) is None

    def test_our_workspace_with_somebody_elses_notebook_stays(self, world: World) -> None:
        catalog = world.client()
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.by_another_user().create_or_update([
            {"typeName": "databricks_notebook", "guid": "-2",
             "attributes": {"qualifiedName": "theirs", "name": "theirs"},
             "relationshipAttributes": {"workspace": ref(WORKSPACE)}}])
        kept = purge(catalog)
        assert "something under it that stays" in kept[WORKSPACE.qualified_name]
        assert world.entity(WORKSPACE) is not None and world.entity(NOTEBOOK) is None

    def test_it_can_be_repeated_after_a_break(self, world: World) -> None:
        catalog = world.client(tries=1)
        for n in range(3):
            deliver(catalog, f"p{n}", [lake("in")], [exotic("T")])
        plan = catalog.plan_purge()
        world.front.fail(status(503, fits=lambda r: r.method == "DELETE"))
        try:
            catalog.remove(plan)
        except Exception:
            world.clock.pass_by(1_000)
        assert purge(catalog) == {} and world.entity(process_name("p0")) is None

    def test_without_a_search_the_bookkeeping_does(self, world: World) -> None:
        catalog = world.client()
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.front.fail(status(405, times=100, fits=lambda r: "search" in r.path))
        plan = catalog.plan_purge()
        assert any("can't be searched for" in problem for problem in plan.problems)
        catalog.remove(plan)
        assert world.entity(process_name("p")) is None and world.entity(WORKSPACE) is None

    def test_an_empty_catalog(self, world: World) -> None:
        assert world.client().plan_purge().lines() == []


class TestRetire:
    def start(self, world: World, **changes: Any) -> PurviewCatalog:
        world.clock.jump(time.time() - world.clock.time())
        return world.client(**changes)

    def test_what_has_not_run_goes_and_what_has_stays(self, world: World) -> None:
        catalog = self.start(world)
        deliver(catalog, "old", [lake("in")], [exotic("OLD")])
        deliver(catalog, "busy", [lake("in")], [exotic("NEW")])
        for _ in range(20):
            world.clock.pass_by(5 * DAY)
            deliver(catalog, "busy", [lake("in")], [exotic("NEW")])
        plan = catalog.plan_retire(90 * DAY)
        assert {one.name.qualified_name for one in plan.removals} == {
            process_name("old").qualified_name, "exotic://host/db/OLD"
        }
        catalog.remove(plan)
        assert world.entity(process_name("old")) is None and world.entity(process_name("busy")) is not None
        assert world.entity(AssetName(PLACEHOLDER, "exotic://host/db/NEW")) is not None
        assert world.entity(NOTEBOOK) is not None

    @pytest.mark.parametrize("kind", TASKS)
    def test_the_task_of_a_process_that_runs_stays(self, world: World, kind: str) -> None:
        catalog = self.start(world)
        for _ in range(20):
            run_task(catalog, kind)
            world.clock.pass_by(5 * DAY)
        assert catalog.plan_retire(90 * DAY).removals == []

    def test_a_notebook_without_edges_goes_too(self, world: World) -> None:
        catalog = self.start(world)
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.clock.pass_by(91 * DAY)
        catalog.remove(catalog.plan_retire(90 * DAY))
        assert [e for e in entities(world) if "databricks" in e] == []

    def test_another_machine_knows_by_the_mark(self, world: World) -> None:
        catalog = self.start(world)
        deliver(catalog, "old", [lake("in")], [exotic("OLD")])
        deliver(catalog, "busy", [lake("in")], [exotic("NEW")])
        for _ in range(10):
            world.clock.pass_by(10 * DAY)
            deliver(catalog, "busy", [lake("in")], [exotic("NEW")])
        plan = world.client("other.sqlite").plan_retire(90 * DAY)
        names = {one.name.qualified_name for one in plan.removals}
        assert process_name("old").qualified_name in names and process_name("busy").qualified_name not in names
        assert {why for one, why in plan.kept if one.name == process_name("busy")} == {"it has run since"}

    def test_a_machine_that_wrote_it_once_does_not_retire_what_another_runs(self, world: World) -> None:
        first = self.start(world)
        deliver(first, "p", [lake("in")], [exotic("T")])
        world.clock.pass_by(80 * DAY)
        deliver(world.client("other.sqlite"), "p", [lake("in")], [exotic("T")])
        world.clock.pass_by(20 * DAY)
        assert first.plan_retire(90 * DAY).removals == []

    def test_where_runs_leave_no_date_nothing_is_guessed(self, world: World) -> None:
        deliver(self.start(world, volatile_seconds=None), "p", [lake("in")], [exotic("T")])
        world.clock.pass_by(900 * DAY)
        plan = world.client("other.sqlite").plan_retire(90 * DAY)
        assert process_name("p") not in [one.name for one in plan.removals]
        assert {why for one, why in plan.kept if one.name == process_name("p")} == {"nobody knows when it last ran"}
