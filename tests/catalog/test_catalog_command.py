"""`adb-lineage catalog serve` as a process."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "adb_lineage", "catalog", "serve", *map(str, arguments)], text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_and_ends_on_a_signal(tmp_path, number):
    path = tmp_path / "new.db"
    process = start("--db", path, "--port", 0)
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert requests.get(url + "/datamap/api/atlas/v2/types/typedefs/headers", timeout=30).json()
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert output == ""
    assert str(path) in errors
    assert "Traceback" not in errors
    assert process.returncode == 0
    assert not path.with_name("new.db-wal").exists()


@pytest.mark.parametrize(("arguments", "part"), [
    (["--port", "70000"], "a port is a number from 0 to 65535"),
    (["--db", "/nowhere/at/all/c.db", "--port", "0"], "unable to open database file"),
])
def test_what_can_not_be_is_one_line(arguments, part):
    process = start(*arguments)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert part in errors
    assert len(errors.splitlines()) == 1


def test_a_missing_extra_names_the_command(tmp_path):
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no', name='uvicorn')")
    process = start("--db", tmp_path / "c.db", PYTHONPATH=os.pathsep.join((str(tmp_path), str(ROOT))))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "uvicorn, which is not installed: python -m pip install 'adb_lineage[catalog]'" in errors
