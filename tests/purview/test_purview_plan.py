"""The plan tells what a write would do, and does nothing."""
from __future__ import annotations

from typing import Any, List

from purview_world import WORKSPACE, World, containers, deliver, exotic, folder, lake, process, process_name

from adb_lineage.assets import AssetName
from adb_lineage.purview.plan import Change
from adb_lineage.purview.types import PLACEHOLDER

GENERIC = AssetName(PLACEHOLDER, "exotic://host/db/T")


def entities(**attributes: Any) -> List[Any]:
    return [*containers(), process("p", [folder("in")], [exotic("T").name], **attributes)]


def test_nothing_is_there_yet_and_nothing_is_written(world: World) -> None:
    catalog = world.client()
    catalog.resolve([lake("in"), exotic("T")])
    plan = catalog.plan_write(entities(), [lake("in"), exotic("T")])
    assert plan.placeholders == [folder("in"), GENERIC]
    assert WORKSPACE in plan.new and process_name("p") in plan.new and plan.changed == {}
    assert {request.method for request in world.front.requests()} == {"GET"}


def test_the_same_again_is_unchanged_also_on_another_machine(world: World) -> None:
    deliver(world.client(), "p", [lake("in", ["a"])], [exotic("T", ["b"])])
    plan = world.client("other.sqlite").plan_write(entities(), [lake("in", ["a"]), exotic("T", ["b"])])
    assert plan.new == plan.placeholders == [] and plan.changed == {}
    assert plan.lines() == [f"unchanged   {len(plan.unchanged)}"] and len(plan.unchanged) == 8


def test_a_change_is_shown_with_its_difference(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    other = lake("other")
    changed = [*containers(), process("p", [folder("in"), other.name], [exotic("T").name], columnMapping="[1]")]
    plan = catalog.plan_write(changed, [lake("in"), exotic("T"), other])
    changes = {change.attribute: change for change in plan.changed[process_name("p")]}
    assert changes["columnMapping"] == Change("columnMapping", "[]", "[1]")
    assert changes["inputs"].before == "1 edges" and len(changes["inputs"].after) == 2
    assert set(changes) == {"columnMapping", "inputs"}
    text = "\n".join(plan.lines())
    assert "columnMapping: [] -> [1]" in text and f"placeholder azure_datalake_gen2_path {other.name[1]}" in text


def test_what_would_not_be_written_is_said(world: World) -> None:
    catalog = world.client(create_missing="skip")
    plan = catalog.plan_write([*entities(), {"typeName": "databricks_process"}], [exotic("T")])
    assert "create_missing is skip" in plan.left_out[exotic("T").name]
    assert "qualifiedName" in next(iter(plan.invalid.values()))


def test_long_values_are_cut(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    plan = catalog.plan_write(entities(columnMapping="x" * 30_000), [lake("in"), exotic("T")])
    assert max(map(len, plan.lines())) < 500
