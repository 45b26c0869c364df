"""Events outlive the driver: what one could not deliver, the next one does."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from adb_lineage import spool
from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record
from tests.delivery.small_catalog import SmallCatalog, SmallServer
from tests.delivery.small_translate import translate
from tests.outbox.events import ManualClock, event


@pytest.fixture
def server():
    server = SmallServer()
    yield server
    server.close()


class Driver:
    """A driver with a disk of its own; the spool folder and the time are everybody's."""

    def __init__(self, tmp_path, name, server, clock, **options):
        folder = tmp_path / name
        self.clock = clock
        self.record = Record(str(folder / "record.db"), clock=clock.time)
        self.outbox = Outbox(str(folder / "outbox.db"), clock=clock, synchronous="OFF", record=self.record)
        options = {"spool_dir": str(tmp_path / "spool"), **options}
        self.delivery = Delivery(self.outbox, translate, SmallCatalog(server.port), self.record,
                                 DeliveryOptions(**options), clock=clock)

    def work(self, seconds):
        until = self.clock.ticks + seconds
        while self.clock.ticks < until:
            self.clock.pass_(max(self.delivery.run_once(), seconds / 100))
        return self


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def driver(tmp_path, server, clock):
    return lambda name, **options: Driver(tmp_path, name, server, clock, **options)


def stop_started(delivery):
    """Stop one whose threads make the test's clock run ahead: what it spools at the end may take real time."""
    delivery.stop(30)
    for thread in threading.enumerate():
        if thread.name == "adb_lineage-spool":
            thread.join(60)


def listed(tmp_path):
    folder = tmp_path / "spool"
    return sorted(os.listdir(folder)) if folder.exists() else []


def spooled_events(tmp_path):
    return [line.event for path in spool.files(str(tmp_path / "spool")) for line in spool.read(path)]


def test_nothing_is_spooled_while_deliveries_succeed(driver, tmp_path):
    one = driver("one")
    for index in range(300):
        one.outbox.append(event(f"r{index}", job=f"job{index}"))
        one.work(1)
    one.outbox.append(event("open", "START"))
    one.work(600)
    assert listed(tmp_path) == []
    assert one.outbox.counts()["delivered"] == 300


def test_after_a_time_without_success_the_waiting_ones_are_spooled_and_go_when_they_arrived(driver, tmp_path, server):
    one = driver("one", spool_seconds=60)
    server.always = 500
    sent = [event(f"r{index}", job=f"job{index}") for index in range(5)]
    for each in sent:
        one.outbox.append(each)
    one.work(50)
    assert listed(tmp_path) == []
    one.work(30)
    assert spooled_events(tmp_path) == sent
    assert os.stat(tmp_path / "spool" / listed(tmp_path)[0]).st_mode & 0o777 == 0o600
    one.work(600)
    assert len(listed(tmp_path)) == 1
    assert one.delivery.status()["spooled"] == 5
    server.always = None
    one.work(600)
    assert one.outbox.counts()["delivered"] == 5 and listed(tmp_path) == []


def test_after_a_number_of_runs_without_success_they_are_spooled_at_once(driver, tmp_path, server):
    one = driver("one", spool_runs=20, spool_seconds=3600)
    server.always = 500
    for index in range(50):
        one.outbox.append(event(f"r{index}"))
    one.work(15)
    assert len(spooled_events(tmp_path)) == 50


def test_the_next_driver_delivers_what_a_killed_one_left(driver, tmp_path, server):
    one = driver("one")
    server.always = 500
    for index in range(10):
        one.outbox.append(event(f"r{index}", "START", at="2026-03-01T09:00:00Z", job=f"job{index}"))
        one.outbox.append(event(f"r{index}", job=f"job{index}"))
    one.work(100)
    del one  # the cluster is gone, its disk too
    server.always = None
    two = driver("two").work(10)
    assert two.outbox.counts()["delivered"] == 10
    assert {f"job{index}/in->out" for index in range(10)} <= set(server.entities)
    two.work(60)
    assert listed(tmp_path) == []


def test_a_driver_that_stops_leaves_all_that_has_not_arrived_incomplete_and_dead_apart(driver, tmp_path, server):
    one = driver("one")
    one.outbox.append(event("bad", job="bad"))
    one.work(2)
    server.always = 500
    one.outbox.append(event("ready"))
    one.outbox.append(event("open", "START"))
    one.work(2)
    one.delivery.stop(5)
    names = listed(tmp_path)
    assert [spool.is_dead_letter(name) for name in names] == [False, True]
    assert {line.event["run"]["runId"] for line in spool.read(tmp_path / "spool" / names[0])} == {"ready", "open"}
    server.always = None
    two = driver("two").work(10)
    assert {info.run_id: info.state for info in two.outbox.runs()} == {"ready": "delivered", "open": "new"}
    two.delivery.stop(5)
    three = driver("three")
    three.work(5)
    three.work(3700)
    assert {info.run_id: info.state for info in three.outbox.runs()} == {"ready": "delivered", "open": "delivered"}
    assert [spool.is_dead_letter(name) for name in listed(tmp_path)] == [True]


def test_one_of_several_processes_that_stops_leaves_the_spooling_to_the_others(driver, tmp_path, server):
    first, second = driver("one"), driver("one")
    first.delivery.start()
    second.delivery.start()
    server.always = 500
    first.outbox.append(event("open", "START"))
    stop_started(first.delivery)
    assert listed(tmp_path) == []
    stop_started(second.delivery)
    assert {found["run"]["runId"] for found in spooled_events(tmp_path)} == {"open"}


def test_a_process_that_was_killed_does_not_keep_the_last_one_from_spooling(driver, tmp_path, server):
    server.always = 500  # the clock runs ahead, and an incomplete run would be delivered with what it has
    one = driver("one")
    one.outbox.append(event("open", "START"))
    code = "import sys; from adb_lineage.outbox import Outbox; Outbox(sys.argv[1]).join('killed')"
    subprocess.run([sys.executable, "-c", code, one.outbox.path], check=True)
    one.delivery.start()
    stop_started(one.delivery)
    assert len(spooled_events(tmp_path)) == 1


def test_a_claimed_file_is_left_alone_until_its_driver_is_surely_gone(driver, tmp_path, server):
    one = driver("one")
    server.always = 500
    one.outbox.append(event("r"))
    one.work(100)
    two = driver("two").work(10)
    assert two.outbox.counts()["waiting"] == 1
    assert [".claimed-" in name for name in listed(tmp_path)] == [True]
    three = driver("three").work(10)
    assert sum(three.outbox.counts().values()) == 0
    two.work(7200)
    three.work(1000)
    assert sum(three.outbox.counts().values()) == 0, "the living second driver renews its claim"
    three.work(7200)
    assert three.outbox.counts()["waiting"] == 1
    server.always = None
    three.work(1000)
    assert listed(tmp_path) == []


def test_many_drivers_that_start_at_once_share_the_files(driver, tmp_path, server, clock):
    writer = spool.Spool(str(tmp_path / "spool"), clock=clock.time)
    for index in range(20):
        writer.write([event(f"r{index}")])
    drivers = [driver(f"d{index}") for index in range(4)]
    for each in drivers:
        each.delivery.run_once()
    assert sum(sum(each.outbox.counts().values()) for each in drivers) == 20


def test_delivering_a_spool_twice_changes_nothing(driver, tmp_path, server):
    events = [event(f"r{index}", job=f"job{index % 3}", at=f"2026-03-01T10:00:{index:02}Z") for index in range(30)]
    states = []
    for name in ("one", "two"):
        spool.Spool(str(tmp_path / "spool")).write(events)
        assert driver(name).work(60).outbox.counts()["delivered"] == 30
        states.append(json.dumps(server.entities, sort_keys=True))
    assert states[0] == states[1] and listed(tmp_path) == []


def test_damaged_lines_are_kept_for_a_person_and_the_others_delivered(driver, tmp_path):
    path = spool.Spool(str(tmp_path / "spool")).write([event("a"), event("b", job="b")])
    deep = b"[" * 100_000 + b"\n"
    with open(path, "ab") as file:
        file.write(b"\n[1]\n" + deep + b'{"x": \xff}\n' + json.dumps(event("c", job="c")).encode() + b'\n{"torn": "en')
    one = driver("one").work(60)
    assert one.outbox.counts()["delivered"] == 3
    (faulty,) = listed(tmp_path)
    assert faulty.endswith(".faulty")
    assert (tmp_path / "spool" / faulty).read_bytes() == b"[1]\n" + deep + b'{"x": \xff}\n{"torn": "en\n'


def test_a_file_that_can_t_be_read_does_not_hold_up_the_others(driver, tmp_path):
    unreadable = tmp_path / "spool" / "20200101T000000-other-1.ndjson"
    unreadable.mkdir(parents=True)
    spool.Spool(str(tmp_path / "spool")).write([event("a")])
    one = driver("one").work(60)
    assert one.outbox.counts()["delivered"] == 1
    assert unreadable.exists(), "and it is left to others"
    assert "IsADirectoryError" in one.delivery.status()["spool_trouble"]


def test_what_the_size_bound_dropped_stays_in_the_spool(tmp_path, server, clock):
    one = Driver(tmp_path, "one", server, clock, spool_runs=10)
    one.outbox.close()
    one.outbox = Outbox(one.outbox.path, clock=clock, synchronous="OFF", max_bytes=1 << 20, record=one.record)
    one.delivery = Delivery(one.outbox, translate, SmallCatalog(server.port), one.record,
                            DeliveryOptions(spool_dir=str(tmp_path / "spool"), spool_runs=10), clock=clock)
    server.always = 500
    for index in range(60):
        one.outbox.append(event(f"r{index}", job=f"job{index}", kept=os.urandom(20_000).hex()))
        if index % 20 == 0:
            one.work(10)
    one.delivery.stop(5)
    assert sum(one.outbox.counts().values()) < 60
    assert {found["run"]["runId"] for found in spooled_events(tmp_path)} == {f"r{index}" for index in range(60)}


def test_a_preview_leaves_what_others_spooled_alone(driver, tmp_path, clock):
    spool.Spool(str(tmp_path / "spool"), clock=clock.time).write([event("r")])
    before = listed(tmp_path)
    one = driver("one", mode="preview").work(100)
    one.outbox.append(event("previewed", "START"))
    one.delivery.stop(5)
    assert listed(tmp_path) == before and "previewed" not in {info.run_id for info in driver("two").outbox.runs()}


def test_what_lay_in_a_file_that_somebody_removed_is_spooled_again(driver, tmp_path, server, clock):
    spool.Spool(str(tmp_path / "spool"), clock=clock.time).write([event("claimed")])
    server.always = 500
    one = driver("one").work(10)
    one.outbox.append(event("own"))
    one.work(100)
    assert {found["run"]["runId"] for found in spooled_events(tmp_path)} == {"claimed", "own"}
    shutil.rmtree(tmp_path / "spool")
    one.work(4000)
    assert {found["run"]["runId"] for found in spooled_events(tmp_path)} == {"claimed", "own"}
    assert one.delivery.status()["spool_trouble"] == ""
    shutil.rmtree(tmp_path / "spool")
    one.delivery.stop(5)
    assert {found["run"]["runId"] for found in spooled_events(tmp_path)} == {"claimed", "own"}


def test_while_the_outbox_takes_no_notes_a_run_is_spooled_once_all_the_same(driver, tmp_path, server, monkeypatch):
    """A full disk: reading works, writing does not."""
    one = driver("one", spool_seconds=1)
    server.always = 500
    one.outbox.append(event("r"))
    note = one.outbox.spooled

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(one.outbox, "spooled", full)
    one.work(300)
    assert len(listed(tmp_path)) == 1 and one.delivery.status()["spooled"] == 1
    monkeypatch.setattr(one.outbox, "spooled", note)
    server.always = None
    one.work(300)
    assert one.outbox.counts()["delivered"] == 1 and listed(tmp_path) == []


def test_what_comes_or_goes_while_a_file_is_written_is_not_taken_for_spooled(driver, tmp_path, server, monkeypatch):
    one = driver("one")
    for run in ("grows", "goes"):
        one.outbox.append(event(run, "START"))
    write = spool.Spool.write

    def meanwhile(self, events, **more):
        path = write(self, events, **more)
        monkeypatch.setattr(spool.Spool, "write", write)
        one.outbox.append(event("grows", "RUNNING"))
        one.outbox._work.forget("goes", 99)  # what the bound of the outbox does
        return path

    monkeypatch.setattr(spool.Spool, "write", meanwhile)
    one.delivery.stop(5)
    assert [found["eventType"] for found in spooled_events(tmp_path)] == ["START", "START", "START", "RUNNING"]
    assert [file.lost for file in one.outbox.spool_files()] == [1, 0]


def test_a_file_that_another_driver_has_claimed_is_not_written_again(driver, tmp_path, server):
    one = driver("one")
    server.always = 500
    one.outbox.append(event("r"))
    one.work(100)
    driver("two").work(10)
    one.work(600)
    assert [".claimed-" in name for name in listed(tmp_path)] == [True]


def test_a_file_that_can_t_be_removed_does_not_keep_the_others_from_being_written(driver, tmp_path, server):
    one = driver("one", spool_seconds=1)
    server.always = 500
    one.outbox.append(event("arrives"))
    one.work(10)
    (name,) = listed(tmp_path)
    os.remove(tmp_path / "spool" / name)
    os.mkdir(tmp_path / "spool" / name)  # nobody removes a folder like a file, not even root
    server.always = None
    one.work(100)
    assert name in one.delivery.status()["spool_trouble"]
    server.always = 500
    one.outbox.append(event("left"))
    one.work(1)
    one.delivery.stop(5)
    os.rmdir(tmp_path / "spool" / name)
    assert {found["run"]["runId"] for found in spooled_events(tmp_path)} == {"left"}


def test_a_folder_that_can_t_be_used_is_told_and_hinders_nothing(driver, tmp_path, server):
    (tmp_path / "file").write_text("not a folder")
    one = driver("one", spool_dir=str(tmp_path / "file" / "spool"), spool_seconds=1)
    server.always = 500
    one.outbox.append(event("r"))
    one.work(100)
    assert "spool" in one.delivery.status()["spool_trouble"]
    server.always = None
    one.work(100)
    assert one.outbox.counts()["delivered"] == 1
    one.delivery.stop(1)


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path):
    code = """
import sys
from adb_lineage.spool import Spool
from tests.outbox.events import event
box = Spool(sys.argv[1])
def events():
    while True:
        yield event("r")
        print("one", flush=True)
box.write(events())
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    for _ in range(2000):
        child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    assert spool.files(str(tmp_path)) == [] and list(spool.Spool(str(tmp_path)).claim()) == []
    later = spool.Spool(str(tmp_path), clock=lambda: time.time() + 7200)
    (claimed,) = later.claim()
    lines = list(spool.read(claimed))
    assert len(lines) > 100 and not any(line.fault for line in lines[:-1])


def test_what_a_killed_driver_had_begun_to_write_is_delivered_an_hour_later(driver, tmp_path, server, clock):
    writer = spool.Spool(str(tmp_path / "spool"), clock=clock.time)
    for dead in (False, True):
        path = Path(writer.write([event("a"), event("b", job="b")], dead=dead))
        path.write_text(path.read_text()[:-20])
        path.rename(f"{path}.part")
    foreign = tmp_path / "spool" / "99999999T999999-x.ndjson.part"  # no time of ours
    foreign.write_text("{}")
    one = driver("one").work(3000)
    assert sum(one.outbox.counts().values()) == 0, "somebody may still be writing it"
    one.work(3000)
    assert one.outbox.counts()["delivered"] == 1
    assert one.delivery.status()["spool_trouble"] == ""
    foreign.unlink()
    assert [name.split(".", 1)[1] for name in listed(tmp_path)] == ["ndjson.faulty", "dead.ndjson"]


@pytest.mark.parametrize("folder, path", [
    ("/Volumes/c/s/v/spool", "/Volumes/c/s/v/spool"),
    ("dbfs:/Volumes/c/s/v/spool", "/Volumes/c/s/v/spool"),
    ("dbfs:/mnt/lineage", "/dbfs/mnt/lineage"),
    ("dbfs:///mnt/lineage", "/dbfs/mnt/lineage"),
    ("relative/folder", "relative/folder"),
])
def test_a_databricks_path_is_found_on_the_driver(folder, path):
    assert spool.Spool(folder).folder == path


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError):
        spool.files(str(tmp_path / "nothing"))
