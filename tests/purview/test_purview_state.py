"""What is remembered: private, shared by processes, and never a reason to fail."""
from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from fault_server import is_bulk_write
from purview_world import World, deliver, exotic, lake, process_name

from adb_lineage.assets import AssetName
from adb_lineage.purview.state import Found, State, Written

NAME = AssetName("t", "q")
OTHER = AssetName("t", "ж\ud800")


def written(name: AssetName, **changes: Any) -> Written:
    return Written(name, "g", "entity", "c", "v", True, 1.0, 2.0, 3.0, {"a": 1})._replace(**changes)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    state = State(str(tmp_path / "s.sqlite"), "target")
    state.remember({NAME: Found(AssetName("sub", "q"), "g", True), OTHER: None}, 5.0)
    looked = state.lookups([NAME, OTHER, AssetName("t", "x")])
    assert looked[NAME] == (Found(AssetName("sub", "q"), "g", True), 5.0) and looked[OTHER] == (None, 5.0)
    state.record([written(NAME), written(OTHER, kind="column")])
    assert state.written([NAME])[NAME] == written(NAME)
    assert len(state.all_written()) == 2 and len(state.all_written("column")) == 1
    state.checked([NAME], 7.0)
    state.seen([NAME], 8.0)
    state.resend([NAME])
    assert state.written([NAME])[NAME] == written(NAME, checked_at=7.0, seen_at=8.0, content="")
    state.unrecord([NAME])
    assert state.written([NAME]) == {} and NAME not in state.lookups([NAME])
    state.refuse(NAME, "c", {"status": 400}, 9.0)
    assert state.refusals([NAME])[NAME] == ("c", 9.0, {"status": 400})
    state.unrefuse([NAME])
    assert state.refusals([NAME]) == {}
    state.set_note("n", "v", 1.0)
    assert state.note("n") == ("v", 1.0) and state.note("m") is None
    state.prune(1e12)
    assert state.lookups([OTHER]) == {}


def test_two_catalogs_in_one_file_are_kept_apart(tmp_path: Path) -> None:
    one, two = (State(str(tmp_path / "s.sqlite"), target) for target in ("a", "b"))
    one.record([written(NAME)])
    assert two.written([NAME]) == {} and two.all_written() == []


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "s.sqlite"
    State(str(path), "t").record([written(NAME)])
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def spoil(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


@pytest.mark.parametrize("kind", ["garbage", "directory", "read-only folder"])
def test_a_file_that_cannot_be_used_is_replaced_and_it_is_said(world: World, kind: str) -> None:
    path = world.folder / "state.sqlite"
    if kind == "garbage":
        spoil(path)
    elif kind == "directory":
        path.mkdir()
    else:
        (world.folder / "file").write_text("")
    catalog = world.client("file/state.sqlite" if kind == "read-only folder" else "state.sqlite")
    assert catalog.status()["state"] != "kept"
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    world.front.clear()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    assert world.front.requests() == [] and world.entity(process_name("p")) is not None


def test_a_file_that_breaks_while_it_is_used(world: World) -> None:
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    path = world.folder / "state.sqlite"
    for name in (path, Path(f"{path}-wal")):
        if name.exists():
            spoil(name)
    deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping="[1]")
    deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping="[2]")
    entity = world.entity(process_name("p"))
    assert entity is not None and entity["attributes"]["columnMapping"] == "[2]"


def test_a_file_that_is_locked_for_long_is_done_without(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adb_lineage.purview.state.BUSY_SECONDS", 0.05)
    catalog = world.client()
    deliver(catalog, "p", [lake("in")], [exotic("T")])
    other = sqlite3.connect(world.folder / "state.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    report = deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping="[1]")
    assert report.refused == []
    other.execute("ROLLBACK")
    other.close()
    assert catalog.status()["state"] == "kept"
    world.front.clear()
    deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping="[1]")
    deliver(catalog, "p", [lake("in")], [exotic("T")], columnMapping="[1]")
    assert len(world.front.requests(is_bulk_write)) <= 1


def _record(path: str, number: int) -> None:
    state = State(path, "t")
    for n in range(200):
        state.record([written(AssetName("t", f"{number}-{n}"))])
    state.close()


def test_several_processes_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sqlite")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_record, args=(path, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(State(path, "t").all_written()) == 600
