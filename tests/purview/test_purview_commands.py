"""The commands, in processes of their own, as a user runs them."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional

import pytest
from fault_server import FaultServer, Request, atlas, forward, is_bulk_write
from purview_world import World, deliver, exotic, lake, process_name

from adb_lineage.assets import AssetName
from adb_lineage.catalog.server import CatalogServer
from adb_lineage.purview.types import PLACEHOLDER

ROOT = Path(__file__).parents[2]


def run(world: World, *arguments: str, code: Optional[int] = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("ADB_LINEAGE_", "AZURE_"))}
    told: Dict[str, str] = {
        **keep,
        "PYTHONPATH": str(ROOT),
        "ADB_LINEAGE_ENDPOINT": world.front.url,
        "ADB_LINEAGE_DATA_DIR": str(world.folder / "data"),
        "ADB_LINEAGE_REQUESTS_PER_SECOND": "10000",
        **environ,
    }
    done = subprocess.run(
        [sys.executable, "-m", "adb_lineage", *arguments], env=told, capture_output=True, text=True, timeout=120,
        check=False,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def fill(world: World) -> None:
    """Lineage as another driver wrote it, an hour and more ago."""
    world.clock.jump(time.time() - world.clock.time())
    catalog = world.client("elsewhere.sqlite", create_missing="placeholder")
    deliver(catalog, "p", [lake("in", ["a"])], [exotic("T")])
    catalog.close()


def test_doctor(world: World) -> None:
    done = run(world, "doctor")
    lines = done.stdout.splitlines()
    assert len(lines) == 12 and all(line.startswith("ok") for line in lines) and done.stderr == ""
    told = [json.loads(line) for line in run(world, "doctor", "--json").stdout.splitlines()]
    assert [check["name"] for check in told][-1] == "delete" and {check["outcome"] for check in told} == {"pass"}
    world.front.fail(atlas(403, "ATLAS-403-00-001", times=1000, fits=is_bulk_write))
    failed = run(world, "doctor", code=1)
    assert "FAIL write" in failed.stdout and "-> give the identity the role Data Curator" in failed.stdout


def test_doctor_without_a_target(world: World) -> None:
    done = run(world, "doctor", code=2, ADB_LINEAGE_ENDPOINT="")
    assert done.stdout == "" and done.stderr.startswith("adb-lineage doctor: ") and len(done.stderr.splitlines()) == 1


def test_heal(world: World) -> None:
    fill(world)
    world.scan(AssetName("azure_datalake_gen2_path", lake("in").name.qualified_name))
    stand_in = AssetName(PLACEHOLDER, lake("in").name.qualified_name)
    plan = run(world, "heal", "--dry-run")
    assert "move   " in plan.stdout and "would move 1, would remove 0, kept" in plan.stdout
    assert world.edges(process_name("p"))["inputs"] == [f"{PLACEHOLDER} {stand_in.qualified_name}"]
    done = run(world, "heal")
    assert "moved 1, removed 0" in done.stdout and "younger than the time of grace" in done.stdout
    assert world.edges(process_name("p"))["inputs"] == [f"azure_datalake_gen2_path {stand_in.qualified_name}"]


def test_retire(world: World) -> None:
    fill(world)
    assert "removed 0, kept" in run(world, "retire", "--unseen", "90d").stdout
    assert world.entity(process_name("p")) is not None
    for bad in ("90", "d", "0d", "1y", ""):
        wrong = run(world, "retire", "--unseen", bad, code=2)
        assert wrong.stdout == "" and "90d" in wrong.stderr


def test_purge(world: World) -> None:
    fill(world)
    assert run(world, "purge", code=2).stdout == ""
    assert world.entity(process_name("p")) is not None
    plan = run(world, "purge", "--written-by-us", "--dry-run")
    assert "would remove" in plan.stdout and world.entity(process_name("p")) is not None
    done = run(world, "purge", "--written-by-us")
    assert f"remove databricks_process {process_name('p').qualified_name}" in done.stdout
    assert world.entity(process_name("p")) is None


PLANTED = ["pl4nted-client-s3cret", "pl4nted-pr0xy-pass", "pl4nted-t0ken"]


def test_no_output_shows_a_planted_secret(tmp_path: Path) -> None:
    """An endpoint that throws back at us all that it got, and an identity full of secrets."""

    def mirror(request: Request) -> tuple[int, Dict[str, str], bytes]:
        seen = " ".join(f"{k}: {v}" for k, v in request.headers.items()) + " " + " ".join(PLANTED)
        return 400, {}, json.dumps({"errorCode": "ATLAS-400-00-01A", "errorMessage": seen}).encode()

    outputs: List[str] = []
    with FaultServer(mirror) as front:
        environ = {
            **os.environ, "PYTHONPATH": str(ROOT), "ADB_LINEAGE_ENDPOINT": front.url,
            "ADB_LINEAGE_DATA_DIR": str(tmp_path / "data"), "ADB_LINEAGE_AUTH": "basic",
            "ADB_LINEAGE_USERNAME": "user", "ADB_LINEAGE_PASSWORD": PLANTED[0],
            "AZURE_CLIENT_SECRET": PLANTED[2], "ADB_LINEAGE_CERTIFICATE_PASSWORD": PLANTED[1],
        }
        for command in (["doctor"], ["doctor", "--json"], ["heal"], ["retire", "--unseen", "1d"],
                        ["purge", "--written-by-us"], ["settings"]):
            done = subprocess.run([sys.executable, "-X", "dev", "-m", "adb_lineage", *command], env=environ,
                                  capture_output=True, text=True, timeout=120, check=False)
            outputs += [done.stdout, done.stderr]
        assert front.requests()
    for path in (tmp_path / "data").glob("*"):
        outputs.append(path.read_bytes().decode("latin-1"))
    text = "\n".join(outputs)
    assert "***" in text
    for secret in PLANTED:
        assert secret not in text
    assert "Basic dXNlcjp" not in text


def test_commands_of_a_plain_catalog_server(tmp_path: Path) -> None:
    """Without anything between: the catalog that `adb-lineage catalog` serves."""
    with CatalogServer(tmp_path / "c.sqlite").start() as server, FaultServer(forward(server.url)) as front:
        world = World(tmp_path, server, front)
        assert run(world, "doctor", ADB_LINEAGE_ENDPOINT=server.url).returncode == 0
        world.close()


@pytest.mark.parametrize("command", ["doctor", "heal", "retire", "purge"])
def test_help(world: World, command: str) -> None:
    assert "usage: adb-lineage" in run(world, command, "--help").stdout
