"""Type definitions: what is lacking is installed, what is ours is kept up to date, what is theirs is left alone."""
from __future__ import annotations

import json
import threading
from typing import Any, Callable, Dict, List

import pytest
from fault_server import Request, atlas, is_bulk_write, status
from purview_world import World, deliver, exotic, folder, lake, process_name

from adb_lineage.catalog import ATLAS
from adb_lineage.errors import FixNeeded, RetryLater
from adb_lineage.purview import typedefs
from adb_lineage.purview.types import PLACEHOLDER, PLACEHOLDER_COLUMN, TypeBook

DATABRICKS = [d["name"] for d in typedefs.load("databricks")["entityDefs"]]


def changes(request: Request) -> bool:
    return request.path.endswith("/types/typedefs") and request.method != "GET"


def remove_databricks_types(world: World) -> None:
    """An account from before Purview had them, or a plain Atlas."""
    catalog = world.server.catalog
    named = catalog.typedefs()
    ends = {d["name"]: json.dumps([d["endDef1"], d["endDef2"]]) for d in named["relationshipDefs"]}
    relations = [name for name, both in ends.items() if "databricks" in both]
    catalog.delete_typedefs(relations)
    entities = [d["name"] for d in named["entityDefs"] if d["name"].startswith("databricks_")]
    for name in sorted(entities, key=lambda n: n in ("databricks_runnable", "databricks_job_task")):
        if name not in ("databricks_runnable", "databricks_job_task"):
            catalog.delete_typedefs([name])
    catalog.delete_typedefs(["databricks_job_task"])
    catalog.delete_typedefs(["databricks_runnable"])


def test_an_account_of_today_gets_only_the_placeholder_types(world: World) -> None:
    catalog = world.client()
    catalog.ensure_types()
    report = catalog.types_report
    assert set(report.created) == {PLACEHOLDER, PLACEHOLDER_COLUMN, "purview_custom_connector_generic_entity_columns"}
    assert report.updated == () and report.lacking == () and report.problem == ""
    end = catalog.book.end(PLACEHOLDER, "columns")
    assert end is not None and (end.type_name, end.attribute) == (PLACEHOLDER_COLUMN, "table")


def test_it_is_idempotent_and_costs_one_call_when_all_is_there(world: World) -> None:
    world.client().ensure_types()
    world.front.clear()
    again = world.client("other.sqlite")
    again.ensure_types()
    assert [request.method for request in world.front.requests()] == ["GET"]
    assert again.types_report.created == ()


def test_an_older_account_gets_all_of_them(world: World) -> None:
    remove_databricks_types(world)
    catalog = world.client()
    catalog.ensure_types()
    assert set(DATABRICKS) <= set(catalog.types_report.created)
    assert deliver(catalog, "p", [lake("in")], [exotic("T")]).refused == []
    assert world.edges(process_name("p"))["inputs"]


def test_a_plain_atlas(make_world: Callable[..., World]) -> None:
    world = make_world(profile=ATLAS)
    remove_databricks_types(world)
    catalog = world.client(flavour="atlas")
    report = deliver(catalog, "p", [lake("in", ["a"])], [exotic("T", ["b"])])
    assert report.refused == [] and report.left_out == {}
    assert len(world.edges(process_name("p"))["inputs"]) == 1
    world.front.clear()
    again = deliver(catalog, "p", [lake("in", ["a"])], [exotic("T", ["b"])])
    assert set(again.unchanged) < set(report.created) and not again.created and not again.updated
    assert world.front.requests() == []
    assert deliver(catalog, "p", [lake("in", ["a"])], [exotic("T", ["b"])], columnMapping="[1]").refused == []


def test_the_accelerators_types_are_brought_up_to_date(world: World) -> None:
    """As the accelerator shipped them: a bare word as schemaAttributes, no `columns` relationship."""
    old: Dict[str, Any] = json.loads(json.dumps(typedefs.load("placeholder")))
    old["relationshipDefs"] = []
    old["entityDefs"][0]["options"] = {"schemaAttributes": "data_type"}
    old["entityDefs"][1]["attributeDefs"].pop()
    old["entityDefs"][1]["attributeDefs"].append({"name": "theirs", "typeName": "string", "isOptional": True})
    old["entityDefs"][1]["options"]["mine"] = "kept"
    world.by_another_user()
    lenient = type(world.server.catalog)(world.server.catalog.path, profile=ATLAS)
    lenient.create_typedefs(old)
    lenient.close()
    catalog = world.client()
    catalog.ensure_types()
    assert set(catalog.types_report.updated) == {PLACEHOLDER, PLACEHOLDER_COLUMN}
    column = world.server.catalog.typedef("ENTITY", name=PLACEHOLDER_COLUMN)
    assert json.loads(column["options"]["schemaAttributes"]) == ["data_type"]
    table = world.server.catalog.typedef("ENTITY", name=PLACEHOLDER)
    assert {a["name"] for a in table["attributeDefs"]} == {"purview_qualifiedName", "original_source", "theirs"}
    assert table["options"]["mine"] == "kept"
    assert deliver(catalog, "p", [exotic("S", ["a"])], [exotic("T")]).refused == []


def test_purviews_own_types_are_left_alone_and_the_lack_is_told(world: World) -> None:
    lean = [dict(d) for d in world.server.catalog.typedefs()["entityDefs"] if d["name"] == "databricks_process"]
    lean[0]["attributeDefs"] = [a for a in lean[0]["attributeDefs"] if a["name"] != "columnMapping"]
    backend = world.front.backend

    def older(request: Request) -> Any:
        code, headers, body = backend(request)
        if request.path.endswith("/types/typedefs") and request.method == "GET":
            document = json.loads(body)
            document["entityDefs"] = [d for d in document["entityDefs"] if d["name"] != "databricks_process"] + lean
            body = json.dumps(document).encode()
        return code, headers, body

    world.front.backend = older
    catalog = world.client()
    catalog.ensure_types()
    assert catalog.types_report.lacking == ("databricks_process.columnMapping",)
    assert all(b"databricks_process" not in request.body for request in world.front.requests(changes))


def test_two_who_install_at_once(world: World) -> None:
    barrier, failures = threading.Barrier(4), []

    def install(number: int) -> None:
        catalog = world.client(f"{number}.sqlite")
        barrier.wait(10)
        try:
            catalog.ensure_types()
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=install, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == [] and PLACEHOLDER in world.client("last.sqlite").book


def test_without_the_right_to_types_what_is_there_is_used(world: World) -> None:
    world.front.fail(atlas(403, "ATLAS-403-00-001", times=1000, fits=changes))
    catalog = world.client()
    catalog.ensure_types()
    assert "may not install" in catalog.types_report.problem
    world.scan(folder("in"))
    assert deliver(catalog, "p", [lake("in")], [lake("out")]).refused == []
    with pytest.raises(FixNeeded, match="needs a placeholder, but the account lacks its type.*403"):
        deliver(catalog, "p2", [lake("in")], [exotic("T")])


def test_without_the_types_of_the_process_nothing_goes(world: World) -> None:
    remove_databricks_types(world)
    world.front.fail(atlas(403, "ATLAS-403-00-001", times=1000, fits=changes))
    with pytest.raises(FixNeeded, match="Data Curator on the root collection"):
        world.client().ensure_types()


def test_a_refusal_of_the_types_is_to_be_mended(world: World) -> None:
    world.front.fail(atlas(400, "ATLAS-400-00-01A", "expect schemaAttributes", times=1000, fits=changes))
    with pytest.raises(FixNeeded, match="refuses our type definitions.*expect schemaAttributes"):
        world.client().ensure_types()


@pytest.mark.parametrize("body", [{"entityDefs": None}, {"entityDefs": []}, [1], b"null", b'"text"', b""])
def test_an_empty_answer_is_no_list_of_types(world: World, body: Any) -> None:
    world.front.fail(status(200, body, fits=lambda r: r.method == "GET"))
    catalog = world.client()
    with pytest.raises(RetryLater):
        catalog.ensure_types()
    assert world.front.requests(changes) == []
    catalog.ensure_types()


def test_the_data_is_valid_by_todays_rules() -> None:
    for name in ("databricks", "placeholder"):
        definitions = typedefs.load(name)
        names: List[str] = [d["name"] for d in definitions["entityDefs"]]
        assert len(set(names)) == len(names)
        for definition in definitions["entityDefs"]:
            for key, value in definition.get("options", {}).items():
                assert isinstance(value, str)
                if key in ("schemaAttributes", "derivedLineageSources"):
                    assert all(isinstance(one, str) for one in json.loads(value))


class TestTypeBook:
    book = TypeBook({
        "entityDefs": [
            {"name": "A", "superTypes": [], "attributeDefs": [{"name": "q", "isOptional": False}]},
            {"name": "B", "superTypes": ["A"], "attributeDefs": [{"name": "b", "isOptional": True}],
             "relationshipAttributeDefs": [{"name": "up", "isOptional": False}]},
            {"name": "C", "superTypes": ["B", "C"], "attributeDefs": [{"name": "c", "isOptional": False}]},
        ],
        "relationshipDefs": [{"name": "r", "endDef1": {"type": "A", "name": "parts"},
                              "endDef2": {"type": "C", "name": "whole"}}],
    })

    def test_inheritance(self) -> None:
        assert self.book.lineage("C") == ["C", "B", "A"]
        assert self.book.is_a("C", "A") and not self.book.is_a("A", "C") and not self.book.is_a("x", "A")
        assert self.book.mandatory("C") == {"q", "c"} and self.book.mandatory_relationships("C") == {"up"}

    def test_ends(self) -> None:
        assert self.book.end("B", "parts") == ("r", "C", "whole")
        assert self.book.end("C", "whole") == ("r", "A", "parts")
        assert self.book.end("A", "whole") is None


class TestUnknownAfterAll:
    """The catalog's own list names a type, but an entity of it is refused as of an unknown type."""

    def test_new_types_need_a_moment(self, world: World) -> None:
        catalog = world.client()
        world.front.fail(atlas(400, "ATLAS-400-00-014", times=3, fits=is_bulk_write))
        assert deliver(catalog, "p", [lake("in")], [exotic("T")]).refused == []
        assert world.edges(process_name("p"))["inputs"]

    def test_types_that_somebody_deleted_come_back(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()
        world.server.catalog.delete_typedefs(["purview_custom_connector_generic_entity_columns"])
        world.server.catalog.delete_typedefs([PLACEHOLDER, PLACEHOLDER_COLUMN])
        assert deliver(catalog, "p", [lake("in")], [exotic("T", ["a"])]).refused == []
        assert PLACEHOLDER in catalog.types_report.created

    def test_one_that_stays_unknown_is_refused_alone(self, world: World) -> None:
        catalog = world.client()
        catalog.ensure_types()

        def fits(request: Request) -> bool:
            return is_bulk_write(request) and b"exotic://" in request.body

        world.front.fail(atlas(400, "ATLAS-400-00-014", times=10**6, fits=fits))
        report = deliver(catalog, "p", [lake("in")], [exotic("T")])
        assert len(report.refused) == 1 and report.left_out
        assert world.edges(process_name("p"))["inputs"] and not world.edges(process_name("p"))["outputs"]
