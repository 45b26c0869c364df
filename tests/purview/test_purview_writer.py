"""Writing: order, hashes, placeholders, against the local catalog over HTTP."""
from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest
from fault_server import Request, atlas, is_bulk_write, is_poison, status
from purview_world import (
    NOTEBOOK,
    WORKSPACE,
    World,
    asset,
    containers,
    deliver,
    exotic,
    folder,
    lake,
    process,
    process_name,
    ref,
)

from adb_lineage.assets import AssetName, Column
from adb_lineage.errors import RetryLater
from adb_lineage.purview.types import PLACEHOLDER, PLACEHOLDER_COLUMN


def sent(request: Request) -> List[Dict[str, Any]]:
    entities: List[Dict[str, Any]] = request.json["entities"]
    return entities


def generic(name: AssetName) -> AssetName:
    return AssetName(PLACEHOLDER, name.qualified_name)


def test_a_first_run_is_one_write_and_stands_in_the_catalog(world: World) -> None:
    catalog = world.client()
    catalog.ensure_types()
    world.front.clear()
    report = deliver(catalog, "p", [lake("in", ["a"])], [exotic("T", ["a", "b"])])
    assert len(world.writes()) == 1
    assert report.refused == [] and report.left_out == {}
    assert world.edges(process_name("p")) == {
        "inputs": [f"azure_datalake_gen2_path {folder('in').qualified_name}"],
        "outputs": [f"{PLACEHOLDER} exotic://host/db/T"],
    }
    column = world.entity(AssetName(PLACEHOLDER_COLUMN, "exotic://host/db/T#b"))
    assert column is not None and column["attributes"]["data_type"] == "string"
    table = world.entity(generic(exotic("T").name))
    assert table is not None and len(table["relationshipAttributes"]["columns"]) == 2
    entity = world.entity(process_name("p"))
    assert entity is not None and entity["relationshipAttributes"]["task"]["typeName"] == "databricks_notebook"
    assert report.placeholders[exotic("T").name] == generic(exotic("T").name)
    assert report.created[process_name("p")] == entity["guid"]


def test_a_repeat_costs_nothing(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    world.front.clear()
    report = deliver(catalog, "p", [lake("in")], [exotic("T")], sparkPlan='{"other": "plan"}')
    assert world.front.requests() == [] and report.requests == 0
    assert report.counts == {"created": 0, "updated": 0, "unchanged": 5, "refused": 0, "left_out": 0}


def test_a_repeat_costs_nothing_after_a_restart(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    catalog.close()
    again = world.client()
    again.ensure_types()
    world.front.clear()
    deliver(again, "p", [lake("in")], [exotic("T")])
    assert world.front.requests() == []


def test_a_change_is_sent_alone(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    world.front.clear()
    report = deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping='["new"]')
    (sent,) = world.writes()
    assert [entity["typeName"] for entity in sent.json["entities"]] == ["databricks_process"]
    assert list(report.updated) == [process_name("p")]


def test_volatile_attributes_are_sent_once_a_day_and_with_every_run_if_wanted(world: World) -> None:
    catalog = world.client(recheck_seconds=1e9)
    deliver(catalog, "p", [lake("in")], [exotic("T")], sparkPlan="1")
    world.front.clear()
    world.clock.pass_by(86_000)
    deliver(catalog, "p", [lake("in")], [exotic("T")], sparkPlan="2")
    assert world.writes() == []
    world.clock.pass_by(1_000)
    deliver(catalog, "p", [lake("in")], [exotic("T")], sparkPlan="3")
    assert len(world.writes()) == 1
    entity = world.entity(process_name("p"))
    assert entity is not None and entity["attributes"]["sparkPlan"] == "3"

    eager = world.client("eager.sqlite", volatile_seconds=0.0)
    deliver(eager, "p", [lake("in")], [exotic("T")], sparkPlan="4")
    world.front.clear()
    deliver(eager, "p", [lake("in")], [exotic("T")], sparkPlan="5")
    assert len(world.front.requests()) == 1 and len(world.writes()) == 1
    never = world.client("never.sqlite", volatile_seconds=None)
    deliver(never, "p", [lake("in")], [exotic("T")])
    world.clock.pass_by(1e7)
    world.front.clear()
    deliver(never, "p", [lake("in")], [exotic("T")], sparkPlan="6")
    assert world.writes() == []


def test_references_are_written_first_whatever_the_order_given(world: World) -> None:
    catalog = world.client(bulk_entities=1, bulk_entities_cap=1)
    entities = [process("p", [exotic("A").name], [exotic("B").name]), *reversed(containers())]
    report = catalog.write(entities, [exotic("A", ["x"]), exotic("B")])
    assert report.refused == [] and len(report.created) == 6
    assert len(world.edges(process_name("p"))["inputs"]) == 1


def test_calls_are_bounded_by_number_and_by_bytes(world: World) -> None:
    catalog = world.client(bulk_entities=200, bulk_entities_cap=200, bulk_bytes=60_000)
    catalog.ensure_types()
    entities = containers() + [process(f"p{n}", [], [], sparkPlan="x" * 5_000) for n in range(50)]
    world.front.clear()
    assert catalog.write(entities, []).refused == []
    sizes = [len(request.body) for request in world.writes()]
    assert len(sizes) in (5, 6) and max(sizes) <= 60_000 + 100
    world.front.clear()
    many = world.client("many.sqlite", bulk_entities=200)
    many.write(containers() + [process(f"q{n}", [], []) for n in range(498)], [])
    counts = [len(request.json["entities"]) for request in world.writes()]
    assert max(counts) <= 200 and sum(counts) == 500


def test_an_entity_larger_than_a_call_goes_alone(world: World) -> None:
    catalog = world.client(bulk_bytes=1_000)
    report = catalog.write([*containers(), process("p", [], [], sparkPlan="x" * 5_000)], [])
    assert report.refused == [] and process_name("p") in report.created


def test_too_much_at_once_is_divided_and_the_size_comes_back(world: World) -> None:
    catalog = world.client(bulk_entities=64)
    catalog.ensure_types()

    def many(request: Request) -> bool:
        return is_bulk_write(request) and len(request.json["entities"]) > 10

    world.front.fail(status(413, times=1000, fits=many))
    entities = containers() + [process(f"p{n}", [], []) for n in range(62)]
    assert catalog.write(entities, []).refused == []
    assert all(world.entity(process_name(f"p{n}")) for n in range(62))
    assert catalog._writer._size.entities <= 10
    world.front.faults.clear()
    before = catalog._writer._size.entities
    for n in range(15):
        catalog.write([process(f"q{n}", [], [])], [])
    assert catalog._writer._size.entities == before + 3


def test_of_many_states_of_a_process_the_newest_counts(world: World) -> None:
    catalog = world.client()
    entities = containers() + [process("p", [], [], name=f"n{number}") for number in range(5)]
    catalog.write(entities, [])
    entity = world.entity(process_name("p"))
    assert entity is not None and entity["attributes"]["name"] == "n4"


def test_odd_names_survive(world: World) -> None:
    name = AssetName("azure_datalake_gen2_path", "https://acct.dfs.core.windows.net/c/Папка $#&+%25 'x\" {N}/ü\u2028/")
    catalog = world.client()
    report = deliver(catalog, "p", [asset(name)], [exotic("таблица?a=b&c", ["столбец"])])
    assert report.refused == []
    world.front.clear()
    state = world.client(None)
    assert dict(state.resolve([asset(name)])) == {}  # ours, and so not brought by anybody
    assert state.resolver.lookup([name], state.book)[name] is not None


class TestCreateMissing:
    def test_skip_leaves_the_edge_out_and_says_so(self, world: World) -> None:
        catalog = world.client(create_missing="skip")
        there = folder("in")
        world.scan(there)
        report = deliver(catalog, "p", [lake("in")], [exotic("T")])
        assert list(report.left_out) == [exotic("T").name]
        assert world.edges(process_name("p")) == {
            "inputs": [f"{there.type_name} {there.qualified_name}"], "outputs": []
        }

    def test_placeholder_never_makes_real_types(self, world: World) -> None:
        catalog = world.client(create_missing="placeholder")
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        assert world.entity(folder("in")) is None and world.entity(generic(folder("in"))) is not None

    def test_a_type_whose_mandatory_attributes_we_lack_becomes_generic(self, world: World) -> None:
        world.server.catalog.create_typedefs({"entityDefs": [{
            "category": "ENTITY", "name": "demanding", "superTypes": ["DataSet"],
            "attributeDefs": [{"name": "more", "typeName": "string", "isOptional": False, "cardinality": "SINGLE",
                               "valuesMinCount": 1, "valuesMaxCount": 1}],
        }]})
        one = asset(AssetName("demanding", "d://1"))
        two = asset(AssetName("demanding", "d://2"), attributes={"more": "x"})
        report = deliver(world.client(), "p", [one], [two])
        assert report.placeholders == {one.name: generic(one.name), two.name: two.name}

    def test_a_type_that_is_refused_becomes_generic_now_and_later(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()

        def refuses(request: Request) -> bool:
            return is_bulk_write(request) and any(e["typeName"] == "azure_datalake_gen2_path" for e in sent(request))

        world.front.fail(atlas(404, "ATLAS-404-00-007", "dbSchema: mandatory", times=1000, fits=refuses))
        report = deliver(catalog, "p", [lake("in", ["a"])], [exotic("T")])
        assert report.refused == [] and report.placeholders[folder("in")] == generic(folder("in"))
        assert world.edges(process_name("p"))["inputs"] == [f"{PLACEHOLDER} {folder('in').qualified_name}"]
        world.front.clear()
        other = deliver(catalog, "p2", [lake("other")], [exotic("T")])
        assert other.placeholders[folder("other")] == generic(folder("other"))
        assert len(world.writes()) == 1

    def test_a_stand_in_that_is_refused_takes_only_its_edge_along(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()

        def refuses(request: Request) -> bool:
            return is_bulk_write(request) and any(e["typeName"] == PLACEHOLDER for e in sent(request))

        world.front.fail(atlas(400, "ATLAS-400-00-01A", "no such name", times=1000, fits=refuses))
        report = deliver(catalog, "p", [lake("in")], [exotic("T")])
        assert [refusal.name for refusal in report.refused] == [generic(exotic("T").name)]
        assert "no such name" in report.left_out[exotic("T").name]
        assert world.edges(process_name("p"))["outputs"] == [] and len(world.edges(process_name("p"))["inputs"]) == 1

    def test_columns_are_bounded_and_it_is_said(self, world: World) -> None:
        catalog = world.client(placeholder_columns=3)
        deliver(catalog, "p", [exotic("T", [f"c{n}" for n in range(10)])], [exotic("U")])
        table = world.entity(generic(exotic("T").name))
        assert table is not None and len(table["relationshipAttributes"]["columns"]) == 3
        assert "7 of 10 columns are left out" in table["attributes"]["description"]

    def test_many_columns_go_in_few_calls_and_a_new_one_alone(self, world: World) -> None:
        catalog = world.client(placeholder_columns=10_000)
        catalog.ensure_types()
        world.front.clear()
        deliver(catalog, "p", [exotic("T", [f"c{n}" for n in range(2_000)])], [exotic("U")])
        assert len(world.writes()) < 20
        world.front.clear()
        deliver(catalog, "p", [exotic("T", [f"c{n}" for n in range(2_001)])], [exotic("U")])
        assert [len(request.json["entities"]) for request in world.writes()] == [1]


class TestDeletedByHand:
    def test_a_process_comes_back_with_the_next_run(self, world: World) -> None:
        catalog = world.client()
        report = deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.server.catalog.delete([report.created[process_name("p")]])
        world.clock.pass_by(61)
        world.front.clear()
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        assert world.entity(process_name("p")) is not None
        assert len(world.edges(process_name("p"))["inputs"]) == 1

    def test_the_check_is_one_small_call_and_its_result_holds_for_a_while(self, world: World) -> None:
        catalog = world.client()
        for n in range(30):
            deliver(catalog, f"p{n}", [lake("in")], [exotic("T")])
        world.clock.pass_by(61)
        world.front.clear()
        entities = containers() + [process(f"p{n}", [folder("in")], [exotic("T").name]) for n in range(30)]
        catalog.write(entities, [lake("in"), exotic("T")])
        assert [request.method for request in world.front.requests()] == ["GET"]
        catalog.write(entities, [lake("in"), exotic("T")])
        assert len(world.front.requests()) == 1

    def test_everything_at_once(self, world: World) -> None:
        catalog = world.client()
        report = deliver(catalog, "p", [lake("in")], [exotic("T", ["a"])])
        world.server.catalog.delete(list(report.created.values()))
        world.clock.pass_by(61)
        again = deliver(catalog, "p", [lake("in")], [exotic("T", ["a"])])
        assert again.refused == [] and set(again.created) == set(report.created)
        assert len(world.edges(process_name("p"))["outputs"]) == 1

    def test_a_stand_in_alone(self, world: World) -> None:
        catalog = world.client()
        report = deliver(catalog, "p", [lake("in")], [exotic("T", ["a"])])
        world.server.catalog.delete([report.created[generic(exotic("T").name)]])
        world.clock.pass_by(61)
        deliver(catalog, "p", [lake("in")], [exotic("T", ["a"])])
        assert len(world.edges(process_name("p"))["outputs"]) == 1
        assert world.entity(AssetName(PLACEHOLDER_COLUMN, "exotic://host/db/T#a")) is not None

    def test_a_changed_process_whose_stand_in_is_gone(self, world: World) -> None:
        catalog = world.client()
        report = deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.server.catalog.delete([report.created[folder("in")], report.created[NOTEBOOK]])
        again = deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping='["x"]')
        assert again.refused == [] and world.entity(NOTEBOOK) is not None
        assert world.edges(process_name("p"))["inputs"] == [f"azure_datalake_gen2_path {folder('in').qualified_name}"]

    def test_a_scanned_asset_that_goes_is_looked_for_again(self, world: World) -> None:
        guid = world.scan(folder("in"))
        catalog = world.client()
        deliver(catalog, "p", [lake("in")], [exotic("T")])
        world.server.catalog.delete([guid])
        with pytest.raises(RetryLater) as raised:
            deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping='["x"]')
        assert raised.value.retry_after == 0 and "deleted" in str(raised.value)
        again = deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping='["x"]')
        assert again.placeholders[folder("in")] == folder("in")
        assert len(world.edges(process_name("p"))["inputs"]) == 1

    def test_an_entity_that_refers_to_nothing_is_refused(self, world: World) -> None:
        report = world.client().write([*containers(), process("p", [folder("nowhere")], [])], [])
        assert [(r.name, r.code) for r in report.refused] == [(process_name("p"), "ATLAS-404-00-00A")]


def test_what_was_accepted_before_a_failure_is_not_sent_again(world: World) -> None:
    catalog = world.client(bulk_entities=10, bulk_entities_cap=10)
    catalog.ensure_types()
    entities = containers() + [process(f"p{n}", [], []) for n in range(28)]
    third = [0]

    def fits(request: Any) -> bool:
        third[0] += is_bulk_write(request)
        return is_bulk_write(request) and third[0] >= 3

    world.front.fail(status(503, times=1000, fits=fits))
    with pytest.raises(RetryLater):
        catalog.write(entities, [])
    world.front.faults.clear()
    world.front.clear()
    world.clock.pass_by(1000)
    catalog.write(entities, [])
    assert sum(len(request.json["entities"]) for request in world.writes()) == 10


def test_the_mark_is_there_and_a_workspace_has_none(world: World) -> None:
    world.scan(WORKSPACE, description="ours since 2020")
    deliver(world.client(), "p", [lake("in")], [exotic("T")])
    workspace, entity = world.entity(WORKSPACE), world.entity(process_name("p"))
    assert workspace is not None and workspace["attributes"]["description"] == "ours since 2020"
    assert entity is not None and entity["attributes"]["description"] == "Written by adb_lineage, last run 2023-11-14."


def test_the_entities_given_are_not_changed(world: World) -> None:
    entities: List[Dict[str, Any]] = [*containers(), process("p", [exotic("T").name], [])]
    before = json.dumps(entities)
    world.client().write(entities, [exotic("T")])
    assert json.dumps(entities) == before


def test_references_may_be_in_relationship_attributes(world: World) -> None:
    entity = process("p", [], [])
    entity["relationshipAttributes"]["inputs"] = [ref(exotic("T").name)]
    del entity["attributes"]["inputs"]
    world.client().write([*containers(), entity], [exotic("T")])
    assert world.edges(process_name("p"))["inputs"] == [f"{PLACEHOLDER} exotic://host/db/T"]


class TestStandInsWithColumns:
    def test_a_break_between_a_stand_in_and_its_columns(self, world: World) -> None:
        catalog = world.client(bulk_entities=1, bulk_entities_cap=1, tries=1)
        catalog.ensure_types()

        def is_column(request: Request) -> bool:
            return is_bulk_write(request) and any(e["typeName"] == PLACEHOLDER_COLUMN for e in sent(request))

        world.front.fail(status(503, times=100, fits=is_column))
        with pytest.raises(RetryLater):
            deliver(catalog, "p", [exotic("S", ["a", "b"])], [exotic("T")])
        assert world.entity(generic(exotic("S").name)) is not None
        world.front.faults.clear()
        world.clock.pass_by(1_000)
        deliver(catalog, "p", [exotic("S", ["a", "b"])], [exotic("T")])
        table = world.entity(generic(exotic("S").name))
        assert table is not None and len(table["relationshipAttributes"]["columns"]) == 2

    def test_a_new_type_of_a_column_is_written(self, world: World) -> None:
        catalog = world.client()
        deliver(catalog, "p", [exotic("S", ["a"])], [exotic("T")])
        name = exotic("S").name
        deliver(catalog, "p", [asset(name, attributes={}, columns=())], [exotic("T")])
        other = exotic("S", ["a"])
        changed = other._replace(columns=(Column("a", "bigint", "a note"),))
        deliver(catalog, "p", [changed], [exotic("T")])
        column = world.entity(AssetName(PLACEHOLDER_COLUMN, f"{name.qualified_name}#a"))
        assert column is not None and column["attributes"]["data_type"] == "bigint"

    def test_a_column_that_is_no_text_is_refused_alone(self, world: World) -> None:
        catalog = world.client()
        report = deliver(catalog, "p", [exotic("S", ["a", "b\ud800", "c"])], [exotic("T")])
        assert len(report.refused) == 1 and "b" in report.refused[0].name.qualified_name
        table = world.entity(generic(exotic("S").name))
        assert table is not None and len(table["relationshipAttributes"]["columns"]) == 2

    def test_a_column_that_the_catalog_refuses_is_refused_alone_and_told_each_time(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()
        world.front.fail(atlas(400, "ATLAS-400-00-01A", times=10**6, fits=is_poison))
        for _ in range(3):
            report = deliver(catalog, "p", [exotic("S", ["a", "poison", "c"])], [exotic("T")])
            assert [r.name.qualified_name for r in report.refused] == ["exotic://host/db/S#poison"]
        table = world.entity(generic(exotic("S").name))
        assert table is not None and len(table["relationshipAttributes"]["columns"]) == 2


def test_a_marked_stand_in_that_is_refused_is_not_tried_for_ever(world: World) -> None:
    catalog = world.client()
    catalog.ensure_types()
    unknown = asset(AssetName(PLACEHOLDER, "poison://x"), placeholder=True)
    world.front.fail(atlas(400, "ATLAS-400-00-01A", times=10**6, fits=is_poison))
    report = deliver(catalog, "p", [unknown], [exotic("T")])
    assert [r.name for r in report.refused] == [unknown.name] and unknown.name in report.left_out
    assert world.edges(process_name("p"))["inputs"] == [] and len(world.edges(process_name("p"))["outputs"]) == 1


def test_a_marked_stand_in_is_written_as_it_is(world: World) -> None:
    unknown = asset(AssetName(PLACEHOLDER, "unknown://Ünknown/X"), ["a"], placeholder=True)
    catalog = world.client()
    report = deliver(catalog, "p", [unknown], [exotic("T")])
    assert report.placeholders[unknown.name] == unknown.name
    assert world.edges(process_name("p"))["inputs"] == [f"{PLACEHOLDER} unknown://Ünknown/X"]
    world.front.clear()
    deliver(catalog, "p", [unknown], [exotic("T")])
    assert world.front.requests() == []
