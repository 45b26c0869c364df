"""Fixtures of the catalog client's tests."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from fault_server import FaultServer, forward
from purview_world import FakeClock, World

from adb_lineage.catalog.server import CatalogServer


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: List[World] = []
    closing: List[Any] = []

    def make(**server: Any) -> World:
        folder = tmp_path / str(len(worlds))
        folder.mkdir()
        local = CatalogServer(folder / "catalog.sqlite", **server).start()
        front = FaultServer(forward(local.url)).__enter__()
        closing.extend([front.__exit__, lambda *_: local.close()])
        worlds.append(World(folder, local, front))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()
    for close in closing:
        close(None, None, None)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
