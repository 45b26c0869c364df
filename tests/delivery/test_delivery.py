"""The worker against a real HTTP catalog that fails on order, with time in the test's hand."""
import sqlite3
import threading

import pytest

from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.delivery.pace import Pace
from adb_lineage.errors import FixNeeded, RetryLater
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record
from tests.delivery.small_catalog import SmallCatalog, SmallServer
from tests.delivery.small_translate import translate
from tests.outbox.events import ManualClock, event, tokens


@pytest.fixture
def server():
    server = SmallServer()
    yield server
    server.close()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def record(tmp_path, clock):
    return Record(str(tmp_path / "record.db"), clock=clock.time)


@pytest.fixture
def outbox(tmp_path, clock, record):
    box = Outbox(str(tmp_path / "outbox.db"), clock=clock, synchronous="OFF", record=record)
    yield box
    box.close()


@pytest.fixture
def delivery(outbox, server, record, clock):
    return make(outbox, server, record, clock)


def make(outbox, server, record, clock, **options):
    return Delivery(outbox, translate, SmallCatalog(server.port), record, DeliveryOptions(**options), clock=clock)


def drain(delivery, clock, outbox, passes=2000):
    """Run passes until all that may go has gone; the seconds of the clock that went by."""
    started = clock.ticks
    for _ in range(passes):
        clock.pass_(delivery.run_once())
        if not any(outbox.counts()[state] for state in ("new", "taken", "waiting")):
            return clock.ticks - started
    raise AssertionError(f"still not empty: {outbox.counts()}")


def said(record):
    return {row["run_id"]: row for row in record.rows(10**6)}


def test_runs_arrive_together_and_the_record_says_where(delivery, outbox, server, record, clock):
    server.known["in"] = "scanned in"
    outbox.append(event("r1"))
    outbox.append(event("r2", job="other", outputs=["out2"]))
    drain(delivery, clock, outbox)
    assert server.entities["job/in->out"]["attributes"]["inputs"] == ["scanned in"]
    assert server.calls == {"/resolve": 1, "/write": 1}
    row = said(record)["r1"]
    assert row["delivery"] == "delivered" and row["process"] == "job/in->out" and row["delivered_at"] == clock.now
    assert row["assets"] == [
        {"name": "in", "typeName": "scanned", "qualifiedName": "scanned in", "rule": "test", "found": True},
        {"name": "out", "typeName": "stand_in", "qualifiedName": "out", "rule": "test", "found": False},
    ]


def test_a_process_that_ran_often_is_written_once_with_its_newest_run(delivery, outbox, server, record, clock):
    order = [7, 3, 9, 1, 8, 0, 2, 6, 4, 5]
    for number in order:
        outbox.append(event(f"r{number}", at=f"2026-03-01T10:00:0{number}Z"))
    drain(delivery, clock, outbox)
    assert len(server.writes) == 1
    assert server.entities["job/in->out"]["attributes"]["run"] == "r9"
    rows = said(record)
    assert {row["delivery"] for row in rows.values()} == {"delivered"} and len(rows) == 10
    assert rows["r3"]["delivery_reason"] == "written with the newer run r9"


def test_without_any_file_events_are_delivered_from_memory(tmp_path, server, record, clock):
    (tmp_path / "file").write_text("not a folder")
    outbox = Outbox(str(tmp_path / "file" / "outbox.db"), clock=clock)
    delivery = make(outbox, server, record, clock)
    outbox.append(event("newer", at="2026-03-01T12:00:00Z"))
    drain(delivery, clock, outbox)
    assert said(record)["newer"]["delivery"] == "delivered" and "job/in->out" in server.entities
    outbox.append(event("older", at="2026-03-01T11:00:00Z"))
    drain(delivery, clock, outbox)
    assert said(record)["older"]["delivery_reason"] == "a newer run of it was written before"


def test_an_older_run_that_comes_later_does_not_take_the_place_of_a_newer_one(delivery, outbox, server, record, clock):
    outbox.append(event("new", at="2026-03-01T12:00:00Z"))
    drain(delivery, clock, outbox)
    outbox.append(event("old", at="2026-03-01T11:00:00Z"))
    drain(delivery, clock, outbox)
    assert server.entities["job/in->out"]["attributes"]["run"] == "new"
    assert said(record)["old"]["delivery_reason"] == "a newer run of it was written before"
    del server.entities["job/in->out"]
    outbox.append(event("older", at="2026-03-01T10:00:00Z"))
    drain(delivery, clock, outbox)
    assert server.entities["job/in->out"]["attributes"]["run"] == "older"


def test_of_two_runs_of_the_same_time_the_same_one_counts_in_whatever_order_they_come(tmp_path, server, record, clock):
    for index, order in enumerate((["a", "b"], ["b", "a"])):
        outbox = Outbox(str(tmp_path / f"{index}.db"), clock=clock, synchronous="OFF")
        for name in order:
            outbox.append(event(name))
        drain(make(outbox, server, record, clock), clock, outbox)
        assert server.entities["job/in->out"]["attributes"]["run"] == "b"
        outbox.close()


def test_a_refused_run_does_not_make_older_ones_late(delivery, outbox, server, clock):
    outbox.append(event("first", job="bad-job", at="2026-03-01T09:00:00Z"))
    outbox.append(event("good", job="good"))
    drain(delivery, clock, outbox)
    assert outbox.counts()["dead"] == 1
    server.entities["bad-job/in->out"] = {"typeName": "databricks_process", "attributes": {}}
    outbox.append(event("older", job="bad-job", at="2026-03-01T08:00:00Z"))
    drain(delivery, clock, outbox)
    assert {info.run_id for info in outbox.runs(["dead"])} == {"first", "older"}


def test_a_clock_far_ahead_does_not_make_its_run_the_newest_for_ever(delivery, outbox, server, clock):
    outbox.append(event("future", at="2099-01-01T00:00:00Z"))
    drain(delivery, clock, outbox)
    clock.pass_(2 * 86_400)
    outbox.append(event("today", at="2026-03-03T11:00:00Z"))
    drain(delivery, clock, outbox)
    assert server.entities["job/in->out"]["attributes"]["run"] == "today"


def test_a_run_without_lineage_is_recorded_and_done(delivery, outbox, server, record, clock):
    outbox.append(event("r", inputs=[], outputs=[]))
    drain(delivery, clock, outbox)
    assert server.calls == {}
    assert said(record)["r"]["delivery"] == "skipped"
    assert said(record)["r"]["delivery_reason"] == "run: it names no dataset"
    assert delivery.status()["skipped"] == 1 and delivery.status()["delivered"] == 0


@pytest.mark.parametrize("job", ["impossible", "impossible-exit", "impossible-base", "broken-entities"])
def test_a_translation_that_fails_costs_its_own_run_only(delivery, outbox, server, record, clock, job):
    for index in range(5):
        outbox.append(event(f"good{index}", job=f"job{index}"))
    outbox.append(event("bad", job=job))
    drain(delivery, clock, outbox)
    rows = said(record)
    assert [name for name, row in rows.items() if row["delivery"] == "dead"] == ["bad"]
    assert "failed: " in rows["bad"]["delivery_reason"]
    (info,) = outbox.runs(["dead"])
    assert info.run_id == "bad" and info.why == rows["bad"]["delivery_reason"]
    assert sum(name.startswith("job") for name in server.entities) == 5


def test_a_refused_entity_costs_its_own_runs_only_and_the_answer_is_kept(delivery, outbox, server, record, clock):
    outbox.append(event("good"))
    outbox.append(event("bad1", job="bad"))
    outbox.append(event("bad2", job="bad", at="2026-03-01T11:00:00Z"))
    drain(delivery, clock, outbox)
    assert "job/in->out" in server.entities
    assert {info.run_id for info in outbox.runs(["dead"])} == {"bad1", "bad2"}
    assert said(record)["bad2"]["delivery_reason"] == (
        "databricks_process bad/in->out: 404 ATLAS-404-00-007 missing mandatory attribute (request id-1)")


def test_a_call_that_is_refused_as_a_whole_is_split_until_the_cause_is_alone(outbox, server, record, clock):
    class Picky(SmallCatalog):
        def write(self, entities, missing):
            if any("job13/" in entity["attributes"]["qualifiedName"] for entity in entities):
                raise ZeroDivisionError("of the catalog's client")
            return super().write(entities, missing)

    delivery = Delivery(outbox, translate, Picky(server.port), record, clock=clock)
    for index in range(40):
        outbox.append(event(f"r{index}", job=f"job{index}"))
    drain(delivery, clock, outbox)
    assert [info.run_id for info in outbox.runs(["dead"])] == ["r13"]
    assert "ZeroDivisionError: of the catalog's client" in said(record)["r13"]["delivery_reason"]
    assert outbox.counts()["delivered"] == 39


@pytest.mark.parametrize("faults", [
    [503], [429, 503, 429], ["drop"], ["half"], ["drop", "half", 503, "half", 401, 500, 403, 408, "drop"], [401], [403],
    ["half"] * 5,
])
def test_whatever_goes_wrong_on_the_way_everything_arrives_once(delivery, outbox, server, record, clock, faults):
    server.faults.extend(faults)
    for index in range(30):
        outbox.append(event(f"r{index}", job=f"job{index % 10}", at=f"2026-03-01T10:00:{index:02}Z"))
    drain(delivery, clock, outbox)
    assert not server.faults
    assert outbox.counts()["delivered"] == 30
    processes = {name: entity["attributes"]["run"] for name, entity in server.entities.items()
                 if entity["typeName"] == "databricks_process"}
    assert processes == {f"job{index}/in->out": f"r{20 + index}" for index in range(10)}
    assert {row["delivery"] for row in said(record).values()} == {"delivered"}


def test_while_the_catalog_is_away_it_is_asked_less_and_less_and_a_wish_is_kept(delivery, outbox, server, clock):
    server.always = 500
    outbox.append(event("r"))
    for _ in range(900):
        clock.pass_(max(delivery.run_once(), 0.01))
    asked = sum(server.calls.values())
    assert asked < 40
    status = delivery.status()
    assert status["state"] == "stopped" and status["why"] == "500 from the catalog"
    server.always = 503
    clock.pass_(60)
    delivery.run_once()
    assert delivery.status()["seconds_left"] == 7.0


def test_missing_rights_make_it_wait_and_say_so_and_mending_them_is_enough(delivery, outbox, server, record, clock):
    server.always = 403
    for index in range(50):
        outbox.append(event(f"r{index}", job=f"job{index}"))
    for _ in range(300):
        clock.pass_(max(delivery.run_once(), 0.01))
    assert "Data Curator" in delivery.status()["why"]
    assert outbox.counts()["dead"] == 0
    assert max(info.attempts for info in outbox.runs(limit=100)) == 0
    server.always = None
    drain(delivery, clock, outbox)
    assert outbox.counts()["delivered"] == 50


def test_one_run_that_the_catalog_falls_over_does_not_hold_up_the_others(delivery, outbox, server, record, clock):
    for index in range(60):
        outbox.append(event(f"r{index}", job="unbearable" if index == 31 else f"job{index}"))
    for extra in range(200):
        clock.pass_(max(delivery.run_once(), 0.1))
        if extra % 10 == 0:
            outbox.append(event(f"later{extra}", job=f"later{extra}"))
    clock.pass_(7200)
    for extra in range(200):
        clock.pass_(max(delivery.run_once(), 1))
        outbox.append(event(f"still{extra}", job=f"still{extra % 7}"))
    drain(delivery, clock, outbox)
    assert [info.run_id for info in outbox.runs(["dead"])] == ["r31"]
    assert "while others got through" in said(record)["r31"]["delivery_reason"]


def test_in_a_long_outage_nobody_is_given_up(delivery, outbox, server, clock):
    server.always = "drop"
    outbox.append(event("only"))
    for _ in range(1500):
        clock.pass_(max(delivery.run_once(), 1))
    assert outbox.counts()["dead"] == 0
    server.always = None
    drain(delivery, clock, outbox)
    assert outbox.counts()["delivered"] == 1


@pytest.mark.parametrize("wish, pauses", [(0.0, [0.0, 0.0, 0.0, 1.0, 1.0]), (7.0, [7.0] * 5), (1e9, [3600.0] * 5)])
def test_at_once_is_believed_a_few_times_and_in_a_year_never(clock, wish, pauses):
    pace = Pace(clock)
    assert [pace.failed("why", 1, 1.0, 60.0, wish) for _ in pauses] == pauses


def test_the_ladder_doubles_with_chance_up_to_its_cap(clock):
    pace = Pace(clock)
    for step in (1, 2, 4, 8, 16, 32, 60, 60):
        assert step / 2 <= pace.failed("why", 1, 1.0, 60.0, None) <= step
    pace.succeeded()
    assert pace.failed("why", 1, 1.0, 60.0, None) <= 1


@pytest.mark.parametrize("jump", [-10**7, -3600, 3600, 10**7])
def test_a_clock_that_jumps_during_an_outage_loses_nothing(delivery, outbox, server, clock, jump):
    server.always = "drop"
    for index in range(20):
        outbox.append(event(f"r{index}", job=f"job{index}"))
    for _ in range(30):
        clock.pass_(max(delivery.run_once(), 0.5))
    clock.jump(jump)
    server.always = None
    drain(delivery, clock, outbox, passes=20_000)
    assert outbox.counts()["delivered"] == 20


def test_preview_writes_nothing_and_the_record_says_what_would_be(outbox, server, record, clock):
    server.known["in"] = "scanned in"
    delivery = make(outbox, server, record, clock, mode="preview")
    outbox.append(event("r"))
    drain(delivery, clock, outbox)
    assert server.entities == {} and "/write" not in server.calls
    row = said(record)["r"]
    assert row["delivery"] == "preview" and row["process"] == "job/in->out"
    assert [asset["qualifiedName"] for asset in row["assets"]] == ["scanned in", "out"]
    assert row["would_write"] == [
        "new databricks_notebook notebook job", "new databricks_process job/in->out", "placeholder path out"]
    assert delivery.status()["preview"] == 1


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="deliver and preview"):
        DeliveryOptions(mode="dry")


def test_an_incomplete_run_is_written_with_what_it_has_and_again_when_the_rest_comes(delivery, outbox, server, clock):
    outbox.append(event("r", "START", outputs=["out"], inputs=["in"]))
    delivery.run_once()
    assert server.entities == {}
    clock.pass_(3601)
    drain(delivery, clock, outbox)
    assert "job/in->out" in server.entities
    outbox.append(event("r", "COMPLETE", at="2026-03-01T11:00:00Z"))
    drain(delivery, clock, outbox)
    assert len(server.writes) == 2


def test_an_event_that_comes_while_its_run_is_written_is_not_forgotten(outbox, server, record, clock):
    class Busy(SmallCatalog):
        def write(self, entities, missing):
            outbox.append(event("r", "FAIL", at="2026-03-01T11:00:00Z", outputs=["out", "late"]))
            return super().write(entities, missing)

    delivery = Delivery(outbox, translate, Busy(server.port), record, clock=clock)
    outbox.append(event("r"))
    drain(delivery, clock, outbox)
    assert "job/in->late,out" in server.entities


def test_acknowledgements_that_the_outbox_does_not_take_are_made_up_for(tmp_path, server, record, clock):
    outbox = Outbox(str(tmp_path / "o.db"), clock=clock, busy_seconds=0.05)
    outbox.append(event("r"))
    blocker = sqlite3.connect(outbox.path, isolation_level=None)

    class Blocking(SmallCatalog):
        def write(self, entities, missing):
            report = super().write(entities, missing)
            blocker.execute("BEGIN IMMEDIATE")
            return report

    delivery = Delivery(outbox, translate, Blocking(server.port), record, clock=clock)
    delivery.run_once()
    assert outbox.counts()["taken"] == 1
    assert delivery.run_once() > 0
    assert outbox.counts()["taken"] == 1
    blocker.execute("ROLLBACK")
    blocker.close()
    drain(delivery, clock, outbox)
    assert outbox.counts()["delivered"] == 1 and len(server.writes) == 1
    outbox.close()


def test_another_process_that_delivers_is_followed_not_fought(outbox, server, record, clock):
    first, second = (make(outbox, server, record, clock) for _ in range(2))
    outbox.append(event("r1"))
    first.run_once()
    outbox.append(event("r2", job="two"))
    assert second.run_once() > 1
    assert len(server.writes) == 1
    clock.pass_(11)
    second.run_once()
    assert len(server.writes) == 2
    assert outbox.take("third", runs=1, lease_seconds=1) == []
    assert tokens([]) == []


def test_threads_append_while_the_worker_delivers(tmp_path, server):
    record = Record(str(tmp_path / "r.db"))
    outbox = Outbox(str(tmp_path / "o.db"), synchronous="OFF")
    delivery = Delivery(outbox, translate, SmallCatalog(server.port), record)
    delivery.start()
    delivery.start()
    threads = [
        threading.Thread(
            target=lambda name=name: [outbox.append(event(f"{name}-{n}", job=f"{name}-{n % 5}")) for n in range(100)])
        for name in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert delivery.flush(60)
    assert outbox.counts()["delivered"] == 400
    assert delivery.status()["state"] in ("idle", "delivering")
    assert delivery.stop(10)
    assert delivery.status()["state"] == "stopped"
    assert outbox.holder() is None
    outbox.close()


def test_what_was_taken_when_the_worker_stumbled_is_delivered_after_all(outbox, server, record, clock, monkeypatch):
    delivery = make(outbox, server, record, clock, hold_bytes=0)
    work, stumbles = outbox.with_events, [sqlite3.OperationalError("disk I/O error"), MemoryError()]

    def stumbling(run):
        if stumbles:
            raise stumbles.pop()
        return work(run)

    monkeypatch.setattr(outbox, "with_events", stumbling)
    outbox.append(event("r"))
    for kind in (MemoryError, sqlite3.OperationalError):
        with pytest.raises(kind):
            delivery.run_once()
    drain(delivery, clock, outbox)
    assert said(record)["r"]["delivery"] == "delivered"


def test_what_memory_keeps_does_not_wait_for_acknowledgements_that_a_full_disk_refuses(
    outbox, server, record, clock, monkeypatch
):
    delivery = make(outbox, server, record, clock)
    outbox.append(event("before"))
    stores = (outbox._inbox, outbox._work, outbox._lease)
    writes = [(store, name) for store in stores for name in ("append", "take", "settle", "hold")]

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    taken = outbox._work.take

    def last(*arguments, **more):
        found = taken(*arguments, **more)
        for store, name in writes:
            monkeypatch.setattr(store, name, full)
        return found

    monkeypatch.setattr(outbox._work, "take", last)
    delivery.run_once()
    outbox.append(event("after", job="other"))
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            delivery.run_once()
    assert said(record)["after"]["delivery"] == "delivered" and "other/in->out" in server.entities
    assert outbox.counts()["taken"] == 1
    monkeypatch.undo()
    drain(delivery, clock, outbox)
    assert outbox.counts()["delivered"] == 2


def test_giving_back_is_owed_while_the_file_does_not_take_it(outbox, server, record, clock, monkeypatch):
    delivery = make(outbox, server, record, clock, hold_bytes=0)
    broken = [True]

    def breaking(work):
        def call(argument):
            if broken:
                raise sqlite3.OperationalError("disk I/O error")
            return work(argument)
        return call

    monkeypatch.setattr(outbox, "with_events", breaking(outbox.with_events))
    monkeypatch.setattr(outbox, "give_back", breaking(outbox.give_back))
    outbox.append(event("r"))
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            delivery.run_once()
    assert outbox.counts()["taken"] == 1
    broken.clear()
    drain(delivery, clock, outbox)
    assert said(record)["r"]["delivery"] == "delivered"


@pytest.mark.parametrize("job", ["job\ud800", "bad\ud800", "impossible\ud800"])
def test_half_a_character_in_a_name_costs_nobody_else_anything(delivery, outbox, server, record, clock, job):
    """JSON can bring a lone surrogate, which neither UTF-8 nor SQLite's text can hold."""
    outbox.append(event("odd \udfff", job=job))
    outbox.append(event("r"))
    drain(delivery, clock, outbox)
    assert said(record)["r"]["delivery"] == "delivered"
    assert said(record)["odd \\udfff"]["delivery"] == ("delivered" if job.startswith("job") else "dead")


def test_half_a_character_in_an_answer_does_not_stop_the_worker(delivery, outbox, server, record, clock, monkeypatch):
    write = delivery._catalog.write
    answers = [RetryLater("so it says: \ud800"), FixNeeded("\udfff is not allowed")]

    def odd(*arguments):
        if answers:
            raise answers.pop()
        return write(*arguments)

    monkeypatch.setattr(delivery._catalog, "write", odd)
    outbox.append(event("r"))
    drain(delivery, clock, outbox)
    assert said(record)["r"]["delivery"] == "delivered" and not answers
