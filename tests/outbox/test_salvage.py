"""Events out of an outbox that is broken or somebody else's."""
import os
import pathlib
import sqlite3

import pytest

from adb_lineage.outbox import Outbox
from adb_lineage.outbox.salvage import is_database, salvage
from tests.outbox.events import event


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "outbox.db")
    box = Outbox(path, synchronous="OFF")
    for index in range(500):
        box.append(event(f"r{index}", inputs=[os.urandom(3000).hex()]))
    box.close()
    return path


def test_all_events_of_a_whole_file_come_in_order_and_it_is_not_changed(path):
    before = pathlib.Path(path).read_bytes()
    assert [found["run"]["runId"] for found in salvage(path)] == [f"r{index}" for index in range(500)]
    assert pathlib.Path(path).read_bytes() == before
    assert is_database(path)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_what_a_damaged_file_still_holds_is_read(path, place):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(int(size * place) // 4096 * 4096)
        file.write(b"\xff" * 3 * 4096)
    found = [one["run"]["runId"] for one in salvage(path)]
    assert 400 < len(found) < 500
    assert found == sorted(found, key=lambda name: int(name[1:]))


def test_what_is_no_outbox_is_an_error(tmp_path):
    (tmp_path / "text").write_text("{}")
    assert not is_database(str(tmp_path / "text"))
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE x(y)")
    with pytest.raises(sqlite3.DatabaseError):
        list(salvage(str(tmp_path / "other.db")))
