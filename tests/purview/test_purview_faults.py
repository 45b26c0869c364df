"""Bad days: whatever goes wrong on the way, the catalog ends up as on a good one; nothing lost, nothing doubled."""
from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
from fault_server import Fault, Request, atlas, status
from purview_world import World, containers, exotic, lake, process

from adb_lineage.errors import FixNeeded, RetryLater
from adb_lineage.purview import PurviewCatalog

HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>try later</body></html>"
WAYS: Dict[str, Callable[[], Fault]] = {
    "dropped": lambda: Fault("drop"),
    "answer lost": lambda: Fault("lost"),
    "reset": lambda: Fault("reset"),
    "half an answer": lambda: Fault("half"),
    "too late": lambda: Fault("delay", seconds=0.6),
    "401": lambda: status(401, HTML),
    "403": lambda: atlas(403, "ATLAS-403-00-001"),
    "408": lambda: status(408, {"errorCode": "RequestTimeout"}),
    "409": lambda: status(409, {"errorCode": "Conflict"}),
    "412": lambda: status(412, {}),
    "413": lambda: status(413, HTML),
    "429 with a time": lambda: status(429, {"error": {"code": "TooMany"}}, Retry_After="7"),
    "429 with a date": lambda: status(429, None, Retry_After="Wed, 21 Oct 2037 07:28:00 GMT"),
    "429 without": lambda: status(429, None),
    "500 lock": lambda: atlas(500, "ATLAS-500-00-005", "Failed to get the lock"),
    "500 internal": lambda: atlas(500, "ATLAS-500-00-001"),
    "500 html": lambda: status(500, HTML),
    "502": lambda: status(502, HTML),
    "503 with a time": lambda: status(503, HTML, Retry_After="3"),
    "504": lambda: status(504, HTML),
    "html for json": lambda: status(200, HTML, Content_Type="text/html"),
    "nothing for json": lambda: status(200, b"\x00\xff"),
}


def snapshot(world: World) -> List[Tuple[str, ...]]:
    """Every live entity with its attributes, and every edge, by name: what must be the same after a bad day.

    The day of the last run is left out: bad days end after midnight.
    """
    catalog = world.server.catalog
    names: Dict[str, str] = {}
    lines: List[Tuple[str, ...]] = []
    for definition in catalog.typedefs()["entityDefs"]:
        body = {"filter": {"entityType": definition["name"]}, "limit": 1000}
        for hit in catalog.search(body, hidden=True)["value"]:
            names[hit["id"]] = f"{hit['entityType']} {hit['qualifiedName']}"
    for guid, name in names.items():
        entity = catalog.entity(guid)["entity"]
        attributes = {k: v for k, v in entity["attributes"].items() if k not in ("inputs", "outputs", "columns")}
        lines.append((name, re.sub(r"last run [\d-]+", "last run", json.dumps(attributes, sort_keys=True))))
        for attribute, ends in (entity["relationshipAttributes"] or {}).items():
            for end in ends if isinstance(ends, list) else [ends]:
                if end and end.get("entityStatus") == "ACTIVE" and end.get("relationshipStatus") == "ACTIVE":
                    lines.append((name, attribute, names[end["guid"]]))
    return sorted(lines)


def batches() -> List[Tuple[List[Dict[str, Any]], List[Any]]]:
    result = []
    for number in range(4):
        assets = [lake(f"in{number}", ["a"]), exotic(f"T{number}", ["a", "ж"]), lake("shared")]
        entities = containers() + [
            process(f"p{number}-{n}", [assets[0].name, assets[2].name], [assets[1].name], columnMapping=f"[{n}]")
            for n in range(5)
        ]
        result.append((entities, assets))
    return result


def deliver_all(world: World, catalog: PurviewCatalog, patience: int = 200) -> None:
    """What the worker does: wait as told, try again, never give up."""
    for entities, assets in batches():
        for _ in range(patience):
            try:
                chosen = catalog.resolve(assets)
                assert chosen == {}
                report = catalog.write(entities, assets)
                assert report.refused == [] and report.left_out == {}
                break
            except RetryLater as failure:
                world.clock.pass_by(30.0 if failure.retry_after is None else failure.retry_after)
            except FixNeeded:
                world.clock.pass_by(300.0)
        else:
            raise AssertionError("it never got through")


@pytest.fixture(scope="module")
def good_day(tmp_path_factory: pytest.TempPathFactory) -> List[Tuple[str, ...]]:
    from fault_server import FaultServer, forward

    from adb_lineage.catalog.server import CatalogServer

    folder = tmp_path_factory.mktemp("good")
    with CatalogServer(folder / "catalog.sqlite").start() as local, FaultServer(forward(local.url)) as front:
        world = World(folder, local, front)
        deliver_all(world, world.client(), 1)
        result = snapshot(world)
        world.close()
    assert len(result) > 100
    return result


@pytest.mark.parametrize("way", WAYS)
def test_every_first_try_fails(world: World, good_day: List[Tuple[str, ...]], way: str) -> None:
    tried: Dict[Tuple[str, str, bytes], int] = {}

    def first(request: Request) -> bool:
        key = (request.method, request.target, request.body)
        tried[key] = tried.get(key, 0) + 1
        return tried[key] == 1

    fault = WAYS[way]()
    fault.fits, fault.times = first, 10**9
    world.front.fail(fault)
    deliver_all(world, world.client(read_timeout=0.4, write_timeout=0.4))
    assert snapshot(world) == good_day


@pytest.mark.parametrize("way", WAYS)
def test_a_long_spell_in_the_middle(world: World, good_day: List[Tuple[str, ...]], way: str) -> None:
    count = [0]

    def middle(request: Request) -> bool:
        count[0] += 1
        return 4 < count[0] <= 30

    fault = WAYS[way]()
    fault.fits, fault.times = middle, 10**9
    fault.seconds = min(fault.seconds, 0.3)
    world.front.fail(fault)
    deliver_all(world, world.client(read_timeout=0.2, write_timeout=0.2 if fault.kind == "delay" else 10.0))
    assert snapshot(world) == good_day


def test_everything_at_random_with_a_clock_that_jumps(world: World, good_day: List[Tuple[str, ...]]) -> None:
    dice = random.Random(5)
    ways = list(WAYS.values())
    backend = world.front.backend

    def wild(request: Request) -> Any:
        if dice.random() < 0.2:
            world.clock.jump(dice.uniform(-1e6, 1e6))
        return backend(request)

    world.front.backend = wild
    for _ in range(150):
        world.front.fail(dice.choice(ways)())
    deliver_all(world, world.client(read_timeout=0.5, write_timeout=0.5))
    world.front.faults.clear()
    assert snapshot(world) == good_day


def test_nothing_is_sent_twice_on_a_good_day(world: World) -> None:
    deliver_all(world, world.client(), 1)
    sent: Dict[str, int] = {}
    for request in world.writes():
        for entity in request.json["entities"]:
            name = entity["attributes"]["qualifiedName"]
            sent[name] = sent.get(name, 0) + 1
    assert set(sent.values()) == {1}


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_purview_faults import batches
from adb_lineage.purview import PurviewCatalog, PurviewOptions, credential
options = PurviewOptions({url!r}, rate=1e6, bulk_entities=3, bulk_entities_cap=3)
with PurviewCatalog(options, credential(options, environ={{}}), state_path={state!r}) as catalog:
    for entities, assets in batches():
        catalog.resolve(assets)
        report = catalog.write(entities, assets)
        assert report.refused == []
print("done")
"""


def test_killed_at_random_and_started_again(world: World, good_day: List[Tuple[str, ...]]) -> None:
    dice = random.Random(11)
    tests = str(Path(__file__).parent)
    program = PROGRAM.format(tests=tests, url=world.front.url, state=str(world.folder / "state.sqlite"))
    path = os.pathsep.join([tests, *sys.path])
    environ = {**os.environ, "PYTHONPATH": path}
    for _ in range(6):
        before = len(world.front.requests())
        child = subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE)
        until = time.monotonic() + 60
        wanted = before + dice.randint(1, 12)
        while len(world.front.requests()) < wanted and child.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    last = subprocess.run([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, check=True, timeout=120)
    assert b"done" in last.stdout
    assert snapshot(world) == good_day
