"""Bad days of the disk: the caller never gets an exception for them, and what was readable is not lost."""
import os
import sqlite3
import subprocess
import sys
import tempfile

import pytest

from adb_lineage.errors import FixNeeded, GiveUp
from adb_lineage.outbox import Outbox
from adb_lineage.outbox.envelope import pack
from adb_lineage.outbox.model import VERSION
from tests.outbox.events import event, tokens


def take(outbox):
    return outbox.take("me", runs=1000, lease_seconds=10)


def deliver(outbox):
    """Take and acknowledge everything; the names of the runs."""
    names = []
    while True:
        runs = take(outbox)
        if not runs:
            return names
        names += [run.run_id for run in runs]
        outbox.delivered(tokens(runs))


def test_a_folder_that_can_t_be_made_means_memory(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    outbox = Outbox(str(tmp_path / "file" / "outbox.db"))
    outbox.append(event("r"))
    assert "kept in memory" in outbox.trouble and "outbox.db" in outbox.trouble
    assert deliver(outbox) == ["r"]
    assert outbox.counts()["delivered"] == 1


def test_memory_is_bounded_and_says_what_it_dropped(tmp_path):
    from adb_lineage.record import Record

    (tmp_path / "file").write_text("not a folder")
    record = Record(str(tmp_path / "record.db"))
    outbox = Outbox(str(tmp_path / "file" / "outbox.db"), memory_bytes=1 << 20, record=record)
    for index in range(300):
        outbox.append(event(f"r{index}", inputs=[os.urandom(8000).hex()]))
    delivered = set(deliver(outbox))
    lost = {row["run_id"] for row in record.rows(1000) if row["delivery"] == "dead"}
    assert delivered | lost == {f"r{index}" for index in range(300)}
    assert not delivered & lost and "r299" in delivered


def test_an_event_that_neither_file_nor_memory_takes_is_an_error_for_the_caller_to_record(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    outbox = Outbox(str(tmp_path / "file" / "outbox.db"), memory_bytes=1 << 18)
    with pytest.raises((FixNeeded, GiveUp)):
        outbox.append(event("r", inputs=[os.urandom(300_000).hex()]))


def test_what_comes_to_memory_while_it_is_emptied_is_not_lost(tmp_path, monkeypatch):
    outbox = Outbox(str(tmp_path / "outbox.db"))
    append = outbox._inbox.append
    answers = ["full", "full", "", "meanwhile", "full"]

    def often_full(envelopes, **more):
        answer = answers.pop(0) if answers else ""
        if answer == "full":
            raise sqlite3.OperationalError("database or disk is full")
        result = append(envelopes, **more)
        if answer == "meanwhile":
            outbox.append(event("r", "COMPLETE"))  # another thread, which finds the disk full
        return result

    monkeypatch.setattr(outbox._inbox, "append", often_full)
    outbox.append(event("r", "START"))
    outbox.append(event("r", "RUNNING"))
    outbox.append(event("other"))
    monkeypatch.setattr(outbox._inbox, "append", append)
    (run,) = [run for run in take(outbox) if run.run_id == "r"]
    assert [found["eventType"] for found in run.events] == ["START", "RUNNING", "COMPLETE"]


@pytest.mark.parametrize(
    "damage",
    ["garbage", "truncated", "zeroes in the middle", "another program's", "another program's of our version",
     "later layout"],
)
def test_a_broken_file_is_set_aside_and_work_goes_on(tmp_path, damage):
    path = tmp_path / "outbox.db"
    first = Outbox(str(path))
    for index in range(200):
        first.append(event(f"old{index}", inputs=["x" * 5000]))
    first.close()
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        content = bytearray(os.urandom(len(content)))
    elif damage == "truncated":
        del content[len(content) // 3:]
    elif damage == "zeroes in the middle":
        content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    if damage.startswith("another program's"):
        path.unlink()
    if damage.startswith("another program's") or damage == "later layout":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS theirs(x)")
            connection.execute(f"PRAGMA user_version = {VERSION if damage.endswith('our version') else 99}")
        connection.close()
    outbox = Outbox(str(path))
    outbox.append(event("fresh"))
    assert "fresh" in deliver(outbox)
    aside = [name for name in os.listdir(tmp_path) if ".corrupt-" in name and name[-4:] not in ("-wal", "-shm")]
    assert len(aside) == 1
    assert aside[0] in outbox.trouble
    again = Outbox(str(path))
    again.append(event("more"))
    assert deliver(again) == ["more"]
    assert len([name for name in os.listdir(tmp_path) if name.endswith(aside[0])]) == 1


def test_an_event_too_deep_to_be_read_costs_itself_only(tmp_path):
    outbox = Outbox(str(tmp_path / "outbox.db"))
    outbox.append(event("deep"))
    outbox.append(event("flat"))
    with sqlite3.connect(outbox.path) as connection:  # as it may be stored where the stack is shorter
        body = pack(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
        connection.execute("UPDATE event SET body = ? WHERE run_id = 'deep'", (body,))
    connection.close()
    deep, flat = take(outbox)
    assert deep.events == [] and "nested too deeply" in deep.left_out[0]
    assert len(flat.events) == 1


def test_a_file_that_breaks_while_in_use_is_set_aside_once_by_all_its_users(tmp_path):
    path = tmp_path / "outbox.db"
    users = [Outbox(str(path)) for _ in range(3)]
    for index, user in enumerate(users):
        user.append(event(f"old{index}"))
    for user in users:
        user.close()
    with open(path, "r+b") as file:
        file.write(b"\xff" * 8192)
    for index, user in enumerate(users):
        user.append(event(f"new{index}"))
        assert user.counts()["new"] == index + 1
    assert len([name for name in os.listdir(tmp_path) if ".corrupt-" in name]) == 1


def test_a_file_that_somebody_removes_is_begun_anew(tmp_path):
    path = tmp_path / "outbox.db"
    outbox = Outbox(str(path))
    outbox.append(event("old"))
    for name in os.listdir(tmp_path):
        os.remove(tmp_path / name)
    outbox.append(event("new"))
    assert deliver(outbox) == ["new"]
    outbox.close()
    assert [info.run_id for info in Outbox(str(path)).runs()] == ["new"]


def test_a_planted_link_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    os.symlink(target, tmp_path / "outbox.db")
    outbox = Outbox(str(tmp_path / "outbox.db"))
    outbox.append(event("r"))
    assert "symbolic link" in outbox.trouble
    assert target.read_text() == "precious"
    assert deliver(outbox) == ["r"]


def test_a_file_locked_by_somebody_else_means_memory_and_later_the_file(tmp_path):
    path = tmp_path / "outbox.db"
    outbox = Outbox(str(path), busy_seconds=0.1)
    outbox.append(event("r", "START"))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    outbox.append(event("r", "COMPLETE"))
    assert "locked" in outbox.trouble
    blocker.execute("ROLLBACK")
    blocker.close()
    (run,) = take(outbox)
    assert [found["eventType"] for found in run.events] == ["START", "COMPLETE"]
    outbox.delivered(tokens([run]))
    outbox.close()
    assert [info.state for info in Outbox(str(path)).runs()] == ["delivered"]


@pytest.mark.parametrize("ending", ["another event", "close"])
def test_a_process_that_ends_leaves_what_memory_kept_in_the_file(tmp_path, ending):
    path = tmp_path / "outbox.db"
    outbox = Outbox(str(path), busy_seconds=0.1)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    outbox.append(event("r"))
    assert "locked" in outbox.trouble
    blocker.execute("ROLLBACK")
    blocker.close()
    if ending == "close":
        outbox.close()
    else:
        outbox.append(event("s"))
    other = Outbox(str(path))
    assert {info.run_id for info in other.runs()} >= {"r"}
    assert len({info.run_id for info in other.runs()}) == (1 if ending == "close" else 2)


FULL = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from adb_lineage.outbox import Outbox
from tests.outbox.events import event
box = Outbox(sys.argv[1])
box.append(event("first"))
# A write beyond it fails, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
names = ["first"]
for index in range(300):
    names.append(f"r{index}")
    box.append(event(names[-1], inputs=[os.urandom(1000).hex()]))
assert "kept in memory" in box.trouble, box.trouble
delivered = []
def deliver():
    while True:
        runs = box.take("me", runs=1000, lease_seconds=10)
        if not runs:
            return
        try:
            box.delivered([token for run in runs for token in run.tokens])
        except Exception:
            return
        delivered.extend(run.run_id for run in runs)
deliver()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
box.append(event("last"))
assert not box.trouble, box.trouble
box.release("me")
deliver()
assert set(delivered) == {*names, "last"}, len(delivered)
"""


def test_a_full_disk_means_memory_and_later_the_file(tmp_path):
    assert subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "outbox.db")]).returncode == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting and changing users need root")
def test_a_read_only_file_system_means_memory(tmp_path):
    folder = tmp_path / "mount"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        outbox = Outbox(str(folder / "outbox.db"))
        outbox.append(event("before"))
        outbox.close()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        outbox.append(event("after"))
        assert "kept in memory" in outbox.trouble
        assert "after" in deliver(outbox)
        fresh = Outbox(str(folder / "other.db"))
        fresh.append(event("fresh"))
        assert deliver(fresh) == ["fresh"]
        outbox.close()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting and changing users need root")
def test_another_user_s_file_is_left_alone_and_a_sibling_used():
    code = """
import os, sys
from adb_lineage.outbox import Outbox
from tests.outbox.events import event
os.setuid(65534)
box = Outbox(sys.argv[1])
box.append(event("nobody's"))
assert not box.trouble, box.trouble
assert [info.run_id for info in box.runs()] == ["nobody's"]
"""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        path = os.path.join(folder, "outbox.db")
        Outbox(path).append(event("root's"))
        assert subprocess.run([sys.executable, "-c", code, path]).returncode == 0
        assert os.stat(os.path.join(folder, "outbox-65534.db")).st_mode & 0o777 == 0o600


def test_synchronous_is_checked(tmp_path):
    with pytest.raises(ValueError, match="FULL"):
        Outbox(str(tmp_path / "outbox.db"), synchronous="SOMETIMES")
