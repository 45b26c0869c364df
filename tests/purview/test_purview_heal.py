"""Healing: edges move to what a scan brought, orphans go, nothing of anybody else's is touched."""
from __future__ import annotations

import json
import time
from typing import List

from fault_server import atlas, is_bulk_write, status
from purview_world import World, asset, containers, deliver, folder, lake, process, process_name, resource_set

from adb_lineage.assets import Asset, AssetName
from adb_lineage.purview.heal import renamed_mapping
from adb_lineage.purview.types import PLACEHOLDER, PLACEHOLDER_COLUMN


def sql(table: str) -> AssetName:
    return AssetName("azure_sql_table", f"mssql://s.database.windows.net/db/dbo/{table}")


def sql_asset(table: str) -> Asset:
    return asset(sql(table), ["a"])


def generic(name: AssetName) -> AssetName:
    return AssetName(PLACEHOLDER, name.qualified_name)


def mapping(source: str, sink: str, *pairs: str) -> str:
    rows = [{"DatasetMapping": {"Source": source, "Sink": sink},
             "ColumnMapping": [{"Source": p, "Sink": p} for p in pairs]}]
    return json.dumps(rows)


def old(world: World) -> None:
    """Let the time of grace pass, and the memory of what was absent."""
    world.clock.jump(-world.clock.time() + time.time() + 3_600)
    world.clock.pass_by(1_000)


class TestOnDelivery:
    def test_the_edges_move_and_the_orphan_goes(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        assert world.edges(process_name("p"))["inputs"] == [f"{PLACEHOLDER} {sql('T').qualified_name}"]
        world.scan(sql("T"))
        old(world)
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        assert world.edges(process_name("p"))["inputs"] == [f"azure_sql_table {sql('T').qualified_name}"]
        assert world.entity(generic(sql("T"))) is None
        assert world.entity(AssetName(PLACEHOLDER_COLUMN, f"{sql('T').qualified_name}#a")) is None
        world.front.clear()
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        assert world.front.requests() == []

    def test_the_edges_of_processes_that_did_not_run_move_too(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        name = sql("T").qualified_name
        for n in range(5):
            deliver(catalog, f"p{n}", [sql_asset("T")], [lake("out")],
                    columnMapping=mapping(name, folder("out").qualified_name, "a"), sparkPlan="plan")
        world.scan(sql("T"))
        old(world)
        world.front.clear()
        deliver(catalog, "p0", [sql_asset("T")], [lake("out")])
        for n in range(5):
            assert world.edges(process_name(f"p{n}")) == {
                "inputs": [f"azure_sql_table {name}"],
                "outputs": [f"{PLACEHOLDER} {folder('out').qualified_name}"],
            }
        entity = world.entity(process_name("p3"))
        assert entity is not None and entity["attributes"]["sparkPlan"] == "plan"
        assert entity["relationshipAttributes"]["task"] is not None
        assert world.entity(generic(sql("T"))) is None
        assert len(world.front.requests()) <= 12

    def test_a_better_name_moves_the_column_mapping_along(self, world: World) -> None:
        catalog = world.client()
        source, sink = folder("in").qualified_name, folder("out").qualified_name
        for n in range(2):
            deliver(catalog, f"p{n}", [lake("in", ["x"])], [lake("out")], columnMapping=mapping(source, sink, "x"))
        world.scan(resource_set("in"))
        old(world)
        deliver(catalog, "p0", [lake("in", ["x"])], [lake("out")])
        entity = world.entity(process_name("p1"))
        assert entity is not None
        (row,) = json.loads(entity["attributes"]["columnMapping"])
        assert row["DatasetMapping"] == {"Source": resource_set("in").qualified_name, "Sink": sink}
        assert world.edges(process_name("p1"))["inputs"] == [
            f"azure_datalake_gen2_resource_set {resource_set('in').qualified_name}"
        ]
        assert world.entity(folder("in")) is None  # our stand-in, with its schema
        assert world.entity(AssetName("tabular_schema", f"{source}#__tabular_schema")) is None

    def test_another_machine_heals_what_this_one_wrote(self, world: World) -> None:
        deliver(world.client(create_missing="placeholder"), "p", [sql_asset("T")], [lake("out")])
        world.scan(sql("T"))
        old(world)
        other = world.client("other.sqlite", create_missing="placeholder")
        deliver(other, "q", [sql_asset("T")], [lake("out")])
        assert world.edges(process_name("p"))["inputs"] == [f"azure_sql_table {sql('T').qualified_name}"]
        assert world.entity(generic(sql("T"))) is None

    def test_grace(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder", grace_seconds=10_000.0)
        world.clock.jump(time.time() - world.clock.time())
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        world.scan(sql("T"))
        world.clock.pass_by(1_000)
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        assert world.entity(generic(sql("T"))) is not None
        world.clock.pass_by(10_001)
        deliver(catalog, "p2", [lake("a")], [lake("b")])
        assert world.entity(generic(sql("T"))) is None

    def test_a_placeholder_of_somebody_else_stays(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        catalog.ensure_types()
        world.scan(generic(sql("T")))
        world.scan(sql("T"))
        old(world)
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        assert world.entity(generic(sql("T"))) is not None

    def test_a_process_of_somebody_else_keeps_the_placeholder_alive(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        report = deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        world.by_another_user().create_or_update([
            {"typeName": "adf_copy_operation", "guid": "-1",
             "attributes": {"qualifiedName": "adf", "name": "adf",
                            "inputs": [{"guid": report.created[generic(sql("T"))]}]}}])
        world.scan(sql("T"))
        old(world)
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        assert world.edges(process_name("p"))["inputs"] == [f"azure_sql_table {sql('T').qualified_name}"]
        theirs = world.edges(AssetName("adf_copy_operation", "adf"))["inputs"]
        assert theirs == [f"{PLACEHOLDER} {sql('T').qualified_name}"]

    def test_trouble_while_healing_does_not_fail_the_delivery(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder", tries=1)
        deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        world.scan(sql("T"))
        old(world)
        world.front.fail(status(503, times=2, fits=lambda r: r.method == "GET" and r.path.endswith("/entity/bulk")))
        report = deliver(catalog, "p", [sql_asset("T")], [lake("out")])
        assert report.refused == [] and world.entity(generic(sql("T"))) is not None
        world.front.faults.clear()
        world.clock.pass_by(1_000)
        deliver(catalog, "p", [sql_asset("T")], [lake("out")], columnMapping="[1]")
        assert world.entity(generic(sql("T"))) is None


class TestCommand:
    def test_the_plan_changes_nothing_and_healing_does_it(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        for n in range(3):
            deliver(catalog, f"p{n}", [sql_asset("T")], [sql_asset("U")])
        world.scan(sql("T"))
        world.scan(sql("U"))
        old(world)
        world.front.clear()
        plan = catalog.plan_heal()
        assert len(plan.moves) == 2 and len(plan.removals) == 2 and plan.problems == []
        assert {r.method for r in world.front.requests()} <= {"GET", "POST"} and world.writes() == []
        text = "\n".join(plan.lines())
        assert f"-> azure_sql_table {sql('T').qualified_name}" in text and process_name("p2").qualified_name in text
        seen: List[object] = []
        catalog.heal(plan, lambda done, total=None: seen.append((done, total)))
        assert seen[-1] == (4, 4)
        for n in range(3):
            assert world.edges(process_name(f"p{n}")) == {
                "inputs": [f"azure_sql_table {sql('T').qualified_name}"],
                "outputs": [f"azure_sql_table {sql('U').qualified_name}"],
            }
        assert world.entity(generic(sql("T"))) is None
        again = catalog.plan_heal()
        assert (again.moves, again.removals) == ([], [])
        # The next run changes nothing but our memory.
        deliver(catalog, "p0", [sql_asset("T")], [sql_asset("U")])
        assert len(world.edges(process_name("p0"))["inputs"]) == 1

    def test_on_a_machine_without_memory(self, world: World) -> None:
        first = world.client(create_missing="placeholder")
        deliver(first, "p", [sql_asset("T")], [sql_asset("U")])
        world.scan(sql("T"))
        old(world)
        catalog = world.client(None)
        plan = catalog.plan_heal()
        catalog.heal(plan)
        assert len(plan.moves) == 1
        assert world.edges(process_name("p")) == {
            "inputs": [f"azure_sql_table {sql('T').qualified_name}"],
            "outputs": [f"{PLACEHOLDER} {sql('U').qualified_name}"],
        }
        kept = {one.name: why for one, why in plan.kept}
        assert kept == {generic(sql("U")): "no scan has brought its asset"}

    def test_on_a_machine_without_memory_by_another_of_its_names(self, world: World) -> None:
        # What the rules name without a slash is typed; the scan brings it as a resource set, or on the other host.
        path = AssetName("azure_datalake_gen2_path", "https://acct.dfs.core.windows.net/c/in")
        blob = AssetName("azure_blob_path", "https://acct.blob.core.windows.net/c/out/")
        table = sql("orders")
        outputs = [asset(AssetName("azure_datalake_gen2_path", "https://acct.dfs.core.windows.net/c/out")),
                   asset(AssetName("azure_sql_table", table.qualified_name.replace("orders", "Orders")))]
        deliver(world.client(), "p", [asset(path)], outputs)
        for name in (resource_set("in"), blob, table):
            world.scan(name)
        old(world)
        catalog = world.client(None)
        plan = catalog.plan_heal()
        catalog.heal(plan)
        assert world.edges(process_name("p")) == {
            "inputs": [f"azure_datalake_gen2_resource_set {resource_set('in').qualified_name}"],
            "outputs": [f"azure_blob_path {blob.qualified_name}", f"azure_sql_table {table.qualified_name}"],
        }
        assert world.entity(path) is None

    def test_what_lost_its_edges_within_the_time_of_grace_goes_later(self, world: World) -> None:
        path = AssetName("azure_datalake_gen2_path", "https://acct.dfs.core.windows.net/c/in")
        deliver(world.client(), "p", [asset(path)], [lake("out")])
        world.scan(resource_set("in"))
        world.clock.jump(time.time() - world.clock.time())
        plan = world.client("other.sqlite").plan_heal()
        assert len(plan.moves) == 1 and plan.removals == []
        world.client("other.sqlite").heal(plan)
        assert world.entity(path) is not None
        old(world)
        catalog = world.client("other.sqlite")
        catalog.heal(catalog.plan_heal())
        assert world.entity(path) is None

    def test_an_orphan_without_a_real_asset_goes_too(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        deliver(catalog, "p", [sql_asset("T")], [sql_asset("U")])
        catalog.write([*containers(), process("p", [], [generic(sql("U"))])], [])
        old(world)
        plan = catalog.plan_heal()
        assert [one.name for one in plan.removals] == [generic(sql("T"))]
        catalog.heal(plan)
        assert world.entity(generic(sql("T"))) is None

    def test_a_stand_in_that_was_completed_is_an_asset(self, world: World) -> None:
        catalog = world.client()
        deliver(catalog, "p", [lake("in")], [lake("out")])
        world.scan(folder("in"), size=3)
        old(world)
        plan = catalog.plan_heal()
        assert plan.removals == [] and folder("in") not in {move.stand_in.name for move in plan.moves}

    def test_a_process_that_is_refused_does_not_stop_the_others(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        for n in range(6):
            deliver(catalog, f"p{n}", [sql_asset("T")], [lake("out")])
        world.scan(sql("T"))
        old(world)
        plan = catalog.plan_heal()
        world.front.fail(atlas(400, "ATLAS-400-00-01A", "no", times=100,
                               fits=lambda r: is_bulk_write(r) and b"processes/p4" in r.body))
        catalog.heal(plan)
        assert len(plan.problems) == 1 and "p4" in plan.problems[0]
        real = [f"azure_sql_table {sql('T').qualified_name}"]
        assert [world.edges(process_name(f"p{n}"))["inputs"] == real for n in range(6)] == [True] * 4 + [False, True]
        assert world.entity(generic(sql("T"))) is not None


def test_mappings_that_become_one_are_joined_and_strange_ones_left_alone() -> None:
    both = json.dumps([
        {"DatasetMapping": {"Source": "a", "Sink": "z"}, "ColumnMapping": [{"Source": "1", "Sink": "1"}]},
        {"DatasetMapping": {"Source": "b", "Sink": "z"},
         "ColumnMapping": [{"Source": "1", "Sink": "1", "Type": "INDIRECT/JOIN"}, {"Source": "2", "Sink": "ж"}]},
        {"DatasetMapping": {"Source": "a", "Sink": "z"},
         "ColumnMapping": [{"Source": "2", "Sink": "ж", "Type": "INDIRECT"}]},
    ])
    assert json.loads(renamed_mapping(both, {"a": "b"})) == [
        {"DatasetMapping": {"Source": "b", "Sink": "z"},
         "ColumnMapping": [{"Source": "1", "Sink": "1"}, {"Source": "2", "Sink": "ж"}]},
    ]
    for text in ("", "no json", "{}", '[{"x": 1}]', "[1]", '"a"'):
        assert renamed_mapping(text, {"a": "b"}) in (text, "[]")
