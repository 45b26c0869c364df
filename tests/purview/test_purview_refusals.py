"""Refusals: whose fault one is, an entity's or that of all, against the local catalog over HTTP."""
from __future__ import annotations

from typing import Any, Dict

import pytest
from fault_server import atlas, is_bulk_write, is_poison, status
from purview_world import (
    NOTEBOOK,
    World,
    containers,
    deliver,
    exotic,
    folder,
    lake,
    process,
    process_name,
)

from adb_lineage.assets import AssetName, part_of
from adb_lineage.errors import FixNeeded, RetryLater


def test_one_bad_entity_does_not_sink_the_others(world: World) -> None:
    catalog = world.client()
    catalog.ensure_types()
    assets = [exotic(f"T{number}") for number in range(40)]
    entities = containers() + [
        process(f"p{n}", [one.name], [one.name], **({"name": None} if n == 17 else {})) for n, one in enumerate(assets)
    ]
    report = catalog.write(entities, assets)
    assert [(name, status, code) for name, status, code, _, _ in report.refused] == [
        (process_name("p17"), 404, "ATLAS-404-00-007")
    ]
    assert "name" in report.refused[0].message and report.refused[0].request_id
    for number in range(40):
        assert (world.entity(process_name(f"p{number}")) is None) == (number == 17)
    # The same content is not tried again for a while; a better one is.
    world.front.clear()
    again = catalog.write(entities, assets)
    assert world.writes() == [] and [r.name for r in again.refused] == [process_name("p17")]
    mended = catalog.write([*containers(), process("p17", [assets[17].name], [assets[17].name])], [assets[17]])
    assert list(mended.created) == [process_name("p17")] and mended.refused == []


def test_a_refused_entity_is_tried_again_later(world: World) -> None:
    catalog = world.client()
    catalog.write([*containers(), process("p", [], [], name=None)], [])
    world.front.clear()
    world.clock.pass_by(3_601)
    assert len(catalog.write([*containers(), process("p", [], [], name=None)], []).refused) == 1
    assert len(world.writes()) == 1


def test_old_parts_that_may_not_go_do_not_cost_the_run(world: World) -> None:
    catalog = world.client()
    parts = [part_of(process_name("p").qualified_name, number) for number in (1, 2)]
    written = [process(name.rpartition("/")[2], [], []) for name in parts]
    assert catalog.write([*containers(), *written], []).refused == []
    world.front.fail(status(400, b"<html>no</html>", fits=lambda request: request.method == "DELETE"))
    for left in (True, False):
        assert catalog.write([process("p", [], [], user=str(left))], []).refused == []
        assert (world.entity(AssetName("databricks_process", parts[1])) is not None) == left


class TestEverythingIsRefused:
    """A wrong collection, say: a mistake in the settings is not the fault of each and every run."""

    def refuse(self, world: World) -> None:
        answer = {"error": {"code": "InvalidCollection", "message": "no such collection"}}
        world.front.fail(status(400, answer, times=10**9, fits=is_bulk_write))

    def test_it_waits_for_somebody_and_leaves_no_trace(self, world: World) -> None:
        catalog = world.client(collection="nobody")
        self.refuse(world)
        with pytest.raises(FixNeeded, match="InvalidCollection.*correct `collection`"):
            deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.front.faults.clear()
        report = deliver(catalog, "p", [lake("in")], [exotic("T")])
        assert report.refused == [] and report.left_out == {}
        assert report.placeholders[folder("in")] == folder("in")  # not generic: its type was not to blame

    def test_what_was_taken_before_tells_it_from_a_bad_entity(self, world: World) -> None:
        deliver(world.client(), "p", [lake("in")], [exotic("T")])
        restarted = world.client(collection="nobody")
        self.refuse(world)
        with pytest.raises(FixNeeded, match="InvalidCollection"):
            deliver(restarted, "q", [lake("in")], [exotic("T")])
        world.front.faults.clear()
        world.front.fail(atlas(400, "ATLAS-400-00-01A", times=10**9, fits=is_poison))
        report = deliver(world.client(), "poison", [lake("in")], [exotic("T")])
        assert [refusal.name for refusal in report.refused] == [process_name("poison")]

    def test_many_bad_entities_hold_nobody_up(self, world: World) -> None:
        catalog = world.client()
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.front.fail(atlas(400, "ATLAS-400-00-01A", times=10**9, fits=is_poison))
        names = [f"poison{number}" for number in range(5)]
        report = catalog.write([process(name, [], []) for name in names], [])
        assert [refusal.name for refusal in report.refused] == [process_name(name) for name in names]


@pytest.mark.parametrize("answer", [
    {}, {"status": "ok"}, {"guidAssignments": [1]}, {"mutatedEntities": {"CREATE": [None]}}, {"mutatedEntities": "x"},
])
def test_the_object_of_another_program_is_no_acceptance(world: World, answer: Any) -> None:
    catalog = world.client()
    world.front.fail(status(200, answer, fits=is_bulk_write))
    with pytest.raises(RetryLater, match="200 not-json"):
        deliver(catalog, "p", [lake("in")], [exotic("T")])
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    assert world.entity(process_name("p")) is not None


def test_the_check_for_what_was_deleted_by_hand_does_not_cost_the_run(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    world.clock.pass_by(61)
    world.front.fail(status(400, b"<html>blocked</html>", fits=lambda request: "guid" in dict(request.query)))
    with pytest.raises(FixNeeded, match="400 HTML where JSON belongs: blocked"):
        deliver(catalog, "p", [lake("in")], [exotic("T")])
    assert deliver(catalog, "p", [lake("in")], [exotic("T")]).refused == []


@pytest.mark.parametrize(
    "broken, why",
    [
        ({"attributes": {"qualifiedName": "q", "name": float("nan")}, "typeName": "databricks_process"}, "JSON"),
        ({"attributes": {"qualifiedName": "q\ud800", "name": "n"}, "typeName": "databricks_process"}, "JSON"),
        ({"attributes": {"name": "n"}, "typeName": "databricks_process"}, "qualifiedName"),
        ({"attributes": None, "typeName": "databricks_process"}, "qualifiedName"),
        ({"attributes": {"qualifiedName": "q", "name": {1, 2}}, "typeName": "databricks_process"}, "JSON"),
        ({}, "typeName"),
    ],
)
def test_what_is_no_entity_is_refused_here_and_the_others_go_through(
    world: World, broken: Dict[str, Any], why: str
) -> None:
    report = world.client().write([*containers(), broken], [])
    assert len(report.refused) == 1 and why in report.refused[0].message
    assert world.entity(NOTEBOOK) is not None


class TestBlame:
    """A server error, a conflict or a missing right is blamed on an entity only if its neighbours pass."""

    @pytest.mark.parametrize("code, atlas_code", [(500, "ATLAS-500-00-001"), (403, "ATLAS-403-00-001"),
                                                  (409, "ATLAS-409-00-006"), (412, "X-412"), (504, "")])
    def test_one_entity(self, world: World, code: int, atlas_code: str) -> None:
        catalog = world.client()
        catalog.ensure_types()
        world.front.fail(status(code, {"errorCode": atlas_code, "errorMessage": "boom"}, times=1000, fits=is_poison))
        entities = containers() + [process("poison" if n == 5 else f"p{n}", [], []) for n in range(12)]
        report = catalog.write(entities, [])
        assert [(r.name, r.status) for r in report.refused] == [(process_name("poison"), code)]
        assert all(world.entity(process_name(f"p{n}")) for n in range(12) if n != 5)

    def test_alone_with_a_neighbour_known_to_pass(self, world: World) -> None:
        catalog = world.client()
        catalog.write(containers(), [])
        world.front.fail(atlas(500, "ATLAS-500-00-001", times=1000, fits=is_poison))
        report = catalog.write([*containers(), process("poison", [], [])], [])
        assert [r.name for r in report.refused] == [process_name("poison")]

    def test_a_missing_role_is_nobodys_fault_and_is_found_out_soon(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()
        world.front.fail(atlas(403, "ATLAS-403-00-001", times=1000, fits=is_bulk_write))
        world.front.clear()
        with pytest.raises(FixNeeded, match="Data Curator"):
            catalog.write(containers() + [process(f"p{n}", [], []) for n in range(100)], [])
        assert len(world.writes()) < 15
        world.front.faults.clear()
        assert catalog.write(containers() + [process(f"p{n}", [], []) for n in range(100)], []).refused == []

    def test_a_catalog_in_trouble_is_nobodys_fault(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()
        world.front.fail(atlas(500, "ATLAS-500-00-001", times=1000, fits=is_bulk_write))
        with pytest.raises(RetryLater):
            catalog.write(containers() + [process(f"p{n}", [], []) for n in range(100)], [])
        assert catalog.status()["breaker"]["state"] == "open"
