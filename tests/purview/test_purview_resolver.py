"""Finding assets: exact, in few calls, remembered; an error is never "not found"."""
from __future__ import annotations

from typing import List

import pytest
from fault_server import Fault, atlas, is_lookup, status
from purview_world import World, asset, deliver, exotic, folder, lake, process_name, resource_set

from adb_lineage.assets import AssetName
from adb_lineage.errors import AdbLineageError, FixNeeded, RetryLater

PATH = "azure_datalake_gen2_path"


def test_the_best_candidate_that_exists(world: World) -> None:
    catalog = world.client()
    world.scan(folder("in"))
    assert catalog.resolve([lake("in")]) == {folder("in"): folder("in")}
    world.scan(resource_set("in"))
    fresh = world.client("fresh.sqlite")
    assert fresh.resolve([lake("in")]) == {folder("in"): resource_set("in")}


def test_nothing_is_absent_and_a_neighbour_is_nothing(world: World) -> None:
    for near in ("2023/", "2024/x/", "2024x/", "2", "/2024/"):
        world.scan(AssetName(PATH, f"https://acct.dfs.core.windows.net/c/{near}"))
    world.scan(AssetName(PATH, "https://ACCT.dfs.core.windows.net/c/2024/"))
    world.scan(AssetName("azure_blob_path", folder("2024").qualified_name))
    assert world.client().resolve([lake("2024")]) == {}


def test_many_assets_are_few_calls(world: World) -> None:
    names = [f"folder number {n}/with some depth/to make it long" for n in range(100)]
    for name in names[::7]:
        world.scan(folder(name))
    catalog = world.client()
    catalog.ensure_types()
    world.front.clear()
    found = catalog.resolve([lake(name) for name in names])
    assert set(found) == {folder(name) for name in names[::7]}
    assert len(world.lookups()) <= 22  # three candidates each, of two types; one type more for stand-ins
    assert all(len(f"{world.front.url}{request.target}") <= 7_000 for request in world.lookups())
    assert max(len(request.target) for request in world.lookups()) > 6_000


def test_what_was_found_and_what_not_is_remembered_each_for_its_time(world: World) -> None:
    world.scan(folder("here"))
    catalog = world.client()
    assets = [lake("here"), lake("gone")]
    catalog.resolve(assets)
    world.front.clear()
    catalog.resolve(assets)
    assert world.lookups() == []
    catalog.close()
    again = world.client()
    again.ensure_types()
    world.front.clear()
    again.resolve(assets)
    assert world.lookups() == []  # after a restart too
    world.scan(folder("gone"))
    world.clock.pass_by(901)
    assert set(again.resolve(assets)) == {folder("here"), folder("gone")}
    world.front.clear()
    world.clock.pass_by(86_400)
    again.resolve(assets)
    assert world.lookups() != []


def test_a_clock_set_back_makes_what_is_remembered_worthless(world: World) -> None:
    catalog = world.client()
    catalog.resolve([lake("in")])
    world.scan(folder("in"))
    world.clock.jump(-1e6)
    assert catalog.resolve([lake("in")]) == {folder("in"): folder("in")}


@pytest.mark.parametrize(
    "fault, kind",
    [
        (status(503, times=100), RetryLater),
        (status(429, times=100, Retry_After="1"), RetryLater),
        (atlas(403, "ATLAS-403-00-001", times=100), FixNeeded),
        (status(404, b"<html>nothing here</html>", times=100), FixNeeded),
        (status(400, b"<html>Bad Request</html>", times=100), RetryLater),
        (status(400, b'{"error": {"code": "BadRequest", "message": "no"}}', times=100), RetryLater),
        (Fault("half", times=100), RetryLater),
        (status(200, b"<html>sign in</html>", times=100), RetryLater),
        (status(200, b"", times=100), RetryLater),
        (status(204, b"", times=100), RetryLater),
        (status(200, b"null", times=100), RetryLater),
        (status(200, b"[]", times=100), RetryLater),
    ],
)
def test_an_error_is_never_not_found(world: World, fault: Fault, kind: type) -> None:
    world.scan(folder("in"))
    catalog = world.client()
    catalog.ensure_types()
    fault.fits, fault.times = is_lookup, 100
    world.front.fail(fault)
    with pytest.raises(kind) as raised:
        catalog.resolve([lake("in")])
    assert isinstance(raised.value, AdbLineageError)
    world.front.faults.clear()
    world.clock.pass_by(1_000)
    assert catalog.resolve([lake("in")]) == {folder("in"): folder("in")}


@pytest.mark.parametrize("code", ["ATLAS-404-00-009", "ATLAS-404-00-005"])
def test_an_older_server_says_404_when_one_of_many_is_missing(world: World, code: str) -> None:
    for n in range(0, 20, 3):
        world.scan(folder(f"f{n}"))
    catalog = world.client()
    catalog.ensure_types()
    backend = world.front.backend

    def strict(request):  # type: ignore[no-untyped-def]
        status_code, headers, body = backend(request)
        wanted = sum(key.startswith("attr_") for key, _ in request.query)
        if is_lookup(request) and body.count(b'"qualifiedName"') < wanted:
            return 404, {}, f'{{"errorCode": "{code}", "errorMessage": "no"}}'.encode()
        return status_code, headers, body

    world.front.backend = strict
    assets = [asset(folder(f"f{n}")) for n in range(20)]
    assert set(catalog.resolve(assets)) == {folder(f"f{n}") for n in range(0, 20, 3)}


def test_one_question_that_is_refused_does_not_spoil_the_others(world: World) -> None:
    world.scan(folder("good"))
    catalog = world.client()
    catalog.ensure_types()
    world.front.fail(atlas(400, "ATLAS-400-00-01A", times=100, fits=lambda r: is_lookup(r) and "evil" in r.target))
    assets = [asset(folder(name)) for name in ("a", "evil", "good", "b")]
    assert set(catalog.resolve(assets)) == {folder("good")}
    # It is not remembered as absent.
    world.front.faults.clear()
    world.scan(folder("evil"))
    assert set(catalog.resolve(assets)) == {folder("good"), folder("evil")}


def test_a_url_that_is_too_long_after_all_is_divided(world: World) -> None:
    for n in range(30):
        world.scan(folder(f"f{n}"))
    catalog = world.client()
    catalog.ensure_types()
    world.front.fail(status(414, times=100, fits=lambda r: is_lookup(r) and len(r.target) > 1_000))
    assert len(catalog.resolve([asset(folder(f"f{n}")) for n in range(30)])) == 30


def test_what_cannot_be_in_a_catalog_is_not_asked_for(world: World) -> None:
    catalog = world.client()
    catalog.ensure_types()
    world.front.clear()
    odd: List[AssetName] = [AssetName(PATH, "x\ud800"), AssetName("no_such_type", "x"), AssetName(PATH, "")]
    assert catalog.resolve([asset(name) for name in odd] + [exotic("T")]) == {}
    assert world.lookups() == []


def test_a_stand_in_of_ours_is_not_found_but_is_not_made_twice(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    other = world.client("other.sqlite")
    assert other.resolve([lake("in"), exotic("T")]) == {}
    report = deliver(other, "p", [lake("in")], [exotic("T")])
    assert report.counts["created"] == 0 and report.refused == []


def test_a_stand_in_that_a_scan_completed_is_found(world: World) -> None:
    deliver(world.client(), "p", [lake("in")], [exotic("T")])
    world.scan(folder("in"), size=17)
    assert world.client("other.sqlite").resolve([lake("in")]) == {folder("in"): folder("in")}


def test_a_scanned_asset_goes_before_a_stand_in_that_ranks_higher(world: World) -> None:
    bare = AssetName(PATH, folder("in").qualified_name.rstrip("/"))
    deliver(world.client(), "p", [lake("in")], [exotic("T")])  # makes folder("in"), which ranks before bare
    world.scan(bare)
    assert world.client("other.sqlite").resolve([lake("in")]) == {folder("in"): bare}


def test_processes_are_looked_for_anew_each_time(world: World) -> None:
    catalog = world.client()
    one = asset(process_name("p"))
    assert catalog.resolve([one]) == {}
    report = deliver(catalog, "p", [lake("in")], [exotic("T")])
    assert catalog.resolve([one]) == {process_name("p"): process_name("p")}
    world.server.catalog.delete([report.created[process_name("p")]])
    assert catalog.resolve([one]) == {}


def test_a_deleted_asset_that_is_still_readable_is_not_there(world: World) -> None:
    guid = world.scan(folder("in"))
    world.server.catalog.delete([guid])
    assert world.client().resolve([lake("in")]) == {}
