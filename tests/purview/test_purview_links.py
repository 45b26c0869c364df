"""Links between the two assets of one dataset: written once, taken away with the rest, never at a process's cost."""
from __future__ import annotations

from typing import Dict, List

import pytest
from fault_server import status
from purview_world import World, exotic, folder

from adb_lineage.assets import AssetName
from adb_lineage.errors import RetryLater
from adb_lineage.purview.links import LINK

LOCATION = folder("orders")
TABLE = AssetName("azure_sql_table", "mssql://srv/db/dbo/Orders")
DAY = 86_400.0


def edges(world: World) -> List[str]:
    entity = world.entity(LOCATION)
    assert entity is not None
    return [end["relationshipStatus"] for end in entity["relationshipAttributes"].get("sinks") or []]


def posts(world: World) -> int:
    return len(world.front.requests(lambda one: one.method == "POST" and one.path.endswith("/relationship")))


@pytest.fixture
def scanned(world: World) -> World:
    world.scan(LOCATION)
    world.scan(TABLE)
    return world


def test_a_repetition_costs_nothing_for_a_day_and_brings_back_what_somebody_took_away(scanned: World) -> None:
    catalog = scanned.client()
    for _ in range(3):
        catalog.link([(LOCATION, TABLE)])
    assert posts(scanned) == 1 and edges(scanned).count("ACTIVE") == 1
    scanned.clock.pass_by(400 * DAY)
    catalog.link([(LOCATION, TABLE)])
    assert posts(scanned) == 2 and edges(scanned).count("ACTIVE") == 1
    assert catalog.plan_links([(LOCATION, TABLE), (TABLE, LOCATION)]) == [(TABLE, LOCATION)]


def test_what_somebody_else_linked_stays_at_a_purge(scanned: World) -> None:
    other = scanned.by_another_user()
    other.create_relationship({"typeName": LINK, "end1": ref(LOCATION), "end2": ref(TABLE)})
    catalog = scanned.client()
    catalog.link([(LOCATION, TABLE)])
    plan = catalog.plan_purge()
    assert plan.links == []
    catalog.remove(plan)
    assert edges(scanned) == ["ACTIVE"]


def test_links_that_no_run_asks_for_retire(scanned: World) -> None:
    catalog = scanned.client()
    catalog.link([(LOCATION, TABLE)])
    scanned.clock.pass_by(100 * DAY)
    assert catalog.plan_retire(101 * DAY).links == []
    plan = catalog.plan_retire(90 * DAY)
    assert plan.lines()[0].startswith("unlink ")
    catalog.remove(plan)
    assert "ACTIVE" not in edges(scanned)
    catalog.remove(plan)  # once more: it is gone already


def test_a_link_that_is_refused_costs_the_process_nothing(scanned: World) -> None:
    catalog = scanned.client()
    gone = exotic("T").name
    catalog.link([(LOCATION, gone), (LOCATION, TABLE)])
    assert edges(scanned) == ["ACTIVE"]
    before = posts(scanned)
    catalog.link([(LOCATION, gone)])
    assert posts(scanned) == before


def test_an_outage_is_told(scanned: World) -> None:
    catalog = scanned.client()
    catalog.ensure_types()
    scanned.front.fail(status(503, times=100))
    with pytest.raises(RetryLater):
        catalog.link([(LOCATION, TABLE)])


def ref(name: AssetName) -> Dict[str, object]:
    return {"typeName": name.type_name, "uniqueAttributes": {"qualifiedName": name.qualified_name}}
