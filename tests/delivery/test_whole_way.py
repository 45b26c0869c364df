"""With the real rooms: outbox, translation, Purview client over HTTP, the local catalog in a process of its own."""
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from adb_lineage.composition import delivery_from_settings, outbox_from_settings, record_from_settings
from adb_lineage.delivery import Delivery, DeliveryOptions
from tests.delivery import kill_loop
from tests.delivery.whole_way import CatalogProcess, events, picture, scan, settings
from tests.planted import ENVIRONMENT

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def catalog(tmp_path):
    with CatalogProcess(str(tmp_path / "catalog.db")) as catalog:
        yield catalog


class Driver:
    """All that a driver has, delivering on demand."""

    def __init__(self, catalog, folder, **more):
        self.settings = settings(catalog.url, str(folder), **more)
        self.record = record_from_settings(self.settings)
        self.outbox = outbox_from_settings(self.settings, self.record)
        self.delivery = delivery_from_settings(self.settings, self.outbox, self.record)

    def deliver(self, some):
        for event in some:
            self.outbox.append(event)
        while self.delivery.run_once() == 0.0:
            pass
        return self

    def close(self):
        self.delivery.stop(1)
        self.outbox.close()
        self.record.close()


@pytest.fixture
def driver(catalog, tmp_path):
    started = []

    def start(name="driver", **more):
        started.append(Driver(catalog, tmp_path / name, **more))
        return started[-1]

    yield start
    for each in started:
        each.close()


def processes(catalog):
    return [one for one in picture(catalog.path)["entities"] if one[0].startswith("databricks_process ")]


def command(driver, *arguments, **more):
    """`adb-lineage …` as a user runs it, on the driver's disk."""
    environment = {"ADB_LINEAGE_ENDPOINT": driver.settings.endpoint, "ADB_LINEAGE_AUTH": "none",
                   "ADB_LINEAGE_DATA_DIR": driver.settings.data_dir, "PYTHONPATH": ".", "PATH": "/usr/bin:/bin",
                   "HOME": driver.settings.data_dir, **ENVIRONMENT, **more}
    return subprocess.run([sys.executable, "-m", "adb_lineage", *arguments], env=environment, capture_output=True,
                          text=True, timeout=300)


def test_events_become_a_picture_with_edges_and_the_record_tells_where_each_went(driver, catalog):
    one = driver().deliver(events(3, 2))
    assert one.outbox.counts()["delivered"] == 6
    assert len(processes(catalog)) == 3
    edges = picture(catalog.path)["edges"]
    assert sum(edge[0] == "dataset_process_inputs" for edge in edges) == 6
    assert sum(edge[0] == "process_dataset_outputs" for edge in edges) == 3
    row = next(row for row in one.record.rows(10) if "assets" in row)
    assert row["delivery"] == "delivered" and row["process"].startswith("databricks://adb-1.1.azuredatabricks.net/")
    assert {asset["qualifiedName"] for asset in row["assets"]} >= {
        "https://account.dfs.core.windows.net/lake/raw/shared"}


def test_delivering_everything_again_from_another_driver_changes_nothing(driver, catalog):
    driver("one", update_last_run=True).deliver(events(4, 3))
    before = picture(catalog.path)
    for name in ("two", "three"):
        driver(name, update_last_run=True).deliver(events(4, 3))
        assert picture(catalog.path) == before


def test_order_of_arrival_does_not_matter(driver, catalog, tmp_path):
    driver("one", update_last_run=True).deliver(events(4, 3))
    expected = picture(catalog.path)
    with CatalogProcess(str(tmp_path / "other.db")) as other:
        two = Driver(other, tmp_path / "two", update_last_run=True)
        for event in reversed(list(events(4, 3))):
            two.deliver([event])
        two.close()
        assert picture(other.path) == expected


LOCATION = ("azure_datalake_gen2_path", "https://account.dfs.core.windows.net/lake/clean/p0/")
METASTORE = "11111111-2222-3333-4444-555555555555"
TABLE = ("databricks_table", f"databricks://{METASTORE}/catalogs/main/schemas/s/tables/t")
LINK = "direct_lineage_dataset_dataset"


def table_events():
    for event in events(1, 1):
        for output in event["outputs"]:
            output["facets"]["symlinks"] = {
                "identifiers": [{"namespace": "unity-catalog", "name": "main.s.t", "type": "TABLE"}]}
        yield event


def links(catalog):
    return [edge[1:] for edge in picture(catalog.path)["edges"] if edge[0] == LINK]


@pytest.mark.parametrize("prefer", ["location", "table"])
def test_the_table_and_the_location_of_a_dataset_are_linked(driver, catalog, prefer):
    scan(catalog, LOCATION, TABLE)
    link = [" ".join(LOCATION), " ".join(TABLE), "ACTIVE"]
    one = driver(prefer=prefer, metastore=METASTORE).deliver(table_events())
    edges = [edge for edge in picture(catalog.path)["edges"] if edge[0] == "process_dataset_outputs"]
    assert [edge[2] for edge in edges] == [" ".join(LOCATION if prefer == "location" else TABLE)]
    assert links(catalog) == [link]
    driver("other driver", prefer=prefer, metastore=METASTORE).deliver(table_events())
    assert links(catalog) == [link]
    done = command(one, "purge", "--written-by-us")
    assert f"unlink {' '.join(LOCATION)} -> {' '.join(TABLE)}" in done.stdout, done
    assert {edge[2] for edge in links(catalog)} <= {"DELETED"}


def test_an_asset_is_not_created_only_to_be_linked(driver, catalog, tmp_path):
    one = driver(metastore=METASTORE).deliver(table_events())
    assert links(catalog) == [] and not any(TABLE[1] in entity[0] for entity in picture(catalog.path)["entities"])
    scan(catalog, TABLE)
    later = driver("later", metastore=METASTORE)
    plan = command(later, "plan", "--json", write_events(tmp_path / "events.ndjson", table_events()))
    assert links(catalog) == [], plan
    later.deliver(table_events())
    ((location, table, status),) = links(catalog)
    assert location.endswith("/lake/clean/p0") and table == " ".join(TABLE) and status == "ACTIVE"
    one.deliver([])


def test_a_process_that_needs_fewer_parts_loses_the_old_ones(driver, catalog):
    def wide(columns, minute):
        (start, complete) = events(1, 1)
        source = complete["inputs"][0]
        complete["outputs"][0]["facets"]["columnLineage"]["fields"] = {
            f"column_{number}_{'x' * 80}": {"inputFields": [{"namespace": source["namespace"], "name": source["name"],
                                                             "field": f"column_{number}_{'x' * 80}"}]}
            for number in range(columns)}
        complete["run"] = {**complete["run"], "runId": f"0195f000-0000-7000-8000-0000000001{minute}"}
        return {**complete, "eventTime": f"2026-03-01T12:{minute}:00Z"}

    def parts():
        return sorted(one[0].rpartition("#")[2] for one in processes(catalog) if one[1] == "ACTIVE" and "#" in one[0])

    one = driver()
    assert (one.deliver([wide(400, 10)]), parts())[1] == ["2", "3"]
    assert (one.deliver([wide(200, 11)]), parts())[1] == ["2"]
    assert (one.deliver([wide(1, 12)]), parts())[1] == []
    assert (one.deliver([wide(400, 13)]), parts())[1] == ["2", "3"]
    assert one.outbox.counts()["delivered"] == 4


def test_an_outage_in_the_middle_costs_nothing(driver, catalog, tmp_path):
    one = driver("one", update_last_run=True)
    some = list(events(6, 2))
    one.deliver(some[:10])
    catalog.close()
    for event in some[10:]:
        one.outbox.append(event)
    one.delivery.run_once()
    assert one.delivery.status()["why"]
    port = int(catalog.url.rpartition(":")[2])
    with CatalogProcess(catalog.path, port) as back:
        again = Driver(back, tmp_path / "one", update_last_run=True)
        one.delivery.stop(0)
        again.outbox.retry()
        again.deliver([])
        assert again.outbox.counts()["delivered"] == 12
        found = picture(back.path)
        again.close()
    with CatalogProcess(str(tmp_path / "undisturbed.db")) as other:
        two = Driver(other, tmp_path / "two", update_last_run=True).deliver(some)
        two.close()
        assert picture(other.path) == found


def test_killed_again_and_again_the_catalog_is_as_if_nothing_had_happened(capsys):
    assert kill_loop.main(["--times", "3", "--processes", "5", "--runs", "3"]) == 0, capsys.readouterr().out


def test_after_an_outage_the_queue_drains_at_the_rate_limit_in_flat_memory():
    # In a process of its own, whose memory is the worker's and not that of all tests before this one.
    done = subprocess.run(
        [sys.executable, "-m", "tests.delivery.outage", "--events", "2000", "--seconds", "600", "--processes", "50"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_preview_changes_nothing_not_even_types_and_says_what_would_be(driver, catalog):
    before = dump(catalog)
    one = driver(mode="preview").deliver(events(2, 1))
    assert dump(catalog) == before
    row = one.record.rows(1)[0]
    assert row["delivery"] == "preview"
    assert any(line.startswith("new databricks_process databricks://") for line in row["would_write"])
    two = driver("deliver").deliver(events(2, 1))
    assert two.outbox.counts()["delivered"] == 2 and len(processes(catalog)) == 2
    three = driver("later", mode="preview").deliver(events(2, 1))
    assert {line.split()[0] for line in three.record.rows(1)[0]["would_write"]} == {"unchanged"}


def dump(catalog):
    with sqlite3.connect(f"file:{catalog.path}?mode=ro", uri=True) as connection:
        return list(connection.iterdump())


def write_events(path, some):
    path.write_text("".join(json.dumps(event) + "\n" for event in some), encoding="utf-8")
    return str(path)


def test_the_plan_command_shows_new_changed_unchanged_and_placeholders_and_writes_nothing(driver, catalog, tmp_path):
    one = driver()
    file = write_events(tmp_path / "events.ndjson", events(2, 1))
    before = dump(catalog)
    first = command(one, "plan", file, "--json")
    assert first.returncode == 0, first.stderr
    plan = json.loads(first.stdout)
    assert {found["type_name"] for found in plan["new"]} >= {"databricks_notebook", "databricks_process"}
    assert len(plan["placeholders"]) == 5 and not plan["unchanged"]
    assert dump(catalog) == before
    one.deliver(events(2, 1))
    second = json.loads(command(one, "plan", file, "--json").stdout)
    assert not second["new"] and not second["placeholders"] and not second["changed"]
    assert len(second["unchanged"]) == len(plan["new"]) + len(plan["placeholders"])
    changed = list(events(2, 1))
    for event in changed:
        event["outputs"] = event["outputs"] and [{**event["outputs"][0], "facets": {}}]
    text = command(one, "plan", write_events(tmp_path / "changed.ndjson", changed)).stdout
    assert "change      databricks_process databricks://" in text
    assert "columnMapping: " in text


def test_the_plan_command_of_the_outbox_takes_nothing_from_it(driver, catalog):
    one = driver()
    for event in events(2, 1):
        one.outbox.append(event)
    text = command(one, "plan", "--outbox")
    assert text.returncode == 0 and text.stdout.count("new         databricks_process") == 2, text.stderr
    assert one.outbox.counts()["new"] == 2


def test_the_plan_command_names_lines_that_are_no_events(driver, tmp_path):
    (tmp_path / "bad.ndjson").write_text('{"torn\n[]\n')
    result = command(driver(), "plan", str(tmp_path / "bad.ndjson"))
    assert result.returncode == 1
    assert "bad.ndjson:1: no JSON" in result.stderr and "bad.ndjson:2: a JSON list" in result.stderr
    missing = command(driver("other"), "plan", str(tmp_path / "nothing"))
    assert missing.returncode == 2 and "can't be read" in missing.stderr


def test_the_replay_command_delivers_folders_files_and_old_outboxes_and_twice_changes_nothing(driver, catalog,
                                                                                              tmp_path):
    some = list(events(6, 1))
    (tmp_path / "spool").mkdir()
    write_events(tmp_path / "spool" / "a.ndjson", some[:4])
    write_events(tmp_path / "spool" / "b.ndjson.claimed-1", some[4:6])
    single = write_events(tmp_path / "single.json", some[6:8])
    old = driver("old")
    for event in some[8:]:
        old.outbox.append(event)
    old.close()
    one = driver()
    arguments = ["replay", str(tmp_path / "spool"), single, old.outbox.path]
    first = command(one, *arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout == "4 files, 12 events, 6 runs: 6 arrived, 0 not\n"
    before = picture(catalog.path)
    assert len(processes(catalog)) == 6
    second = command(one, *arguments)
    assert second.stdout == first.stdout and picture(catalog.path) == before
    third = command(one, "replay", str(tmp_path / "spool"), "--delete")
    assert third.returncode == 0 and list((tmp_path / "spool").iterdir()) == []


def test_the_replay_command_says_what_did_not_arrive(driver, tmp_path):
    one = driver()
    (tmp_path / "bad.ndjson").write_text("{torn\n" + json.dumps(next(events(1, 1))) + "\n")
    result = command(one, "replay", str(tmp_path / "bad.ndjson"))
    assert result.returncode == 1 and "bad.ndjson:1: no JSON" in result.stderr
    assert "1 runs: 1 arrived" in result.stdout and "(1 lines are no events)" in result.stdout
    missing = command(one, "replay", str(tmp_path / "nothing"))
    assert missing.returncode == 2 and "nothing can't be read" in missing.stderr


def test_replay_deletes_only_files_of_which_nothing_would_be_lost(driver, tmp_path):
    some = list(events(3, 1))
    whole, torn = tmp_path / "whole.ndjson", tmp_path / "torn.ndjson"
    write_events(whole, some[:2])
    torn.write_text("{torn\n" + json.dumps(some[2]) + "\n" + json.dumps(some[3]) + "\n")
    old = driver("old")
    for event in some[4:]:
        old.outbox.append(event)
    old.close()
    one = driver()
    result = command(one, "replay", str(whole), str(torn), old.outbox.path, "--delete")
    assert "3 runs: 3 arrived, 0 not" in result.stdout
    assert (whole.exists(), torn.exists(), os.path.exists(old.outbox.path)) == (False, True, True)


def test_replay_does_not_count_as_arrived_what_found_no_room(driver, tmp_path):
    some = list(events(60, 1))
    for event in some:
        event["run"]["facets"]["custom"] = {"bytes": os.urandom(15_000).hex()}
    files = [write_events(tmp_path / f"{number}.ndjson", some[60 * number:60 * number + 60]) for number in (0, 1)]
    one = driver()
    one.close()
    gone = command(one, "replay", *files, "--delete", "--timeout", "0", ADB_LINEAGE_ENDPOINT="http://127.0.0.1:9",
                   ADB_LINEAGE_OUTBOX_BYTES="1048576")
    assert gone.returncode == 1 and "60 runs: 0 arrived, 60 not" in gone.stdout
    assert "gone: dropped: the outbox is over its bound of 1048576 bytes" in gone.stderr
    assert all(os.path.exists(file) for file in files)
    assert "60 runs: 60 arrived, 0 not" in command(one, "replay", *files, "--delete").stdout
    assert not any(os.path.exists(file) for file in files)


def test_replay_of_a_preview_is_refused(driver, tmp_path):
    path = write_events(tmp_path / "spool.ndjson", list(events(1, 1)))
    result = command(driver(), "replay", path, "--delete", ADB_LINEAGE_MODE="preview")
    assert result.returncode == 2 and "mode is preview" in result.stderr and "adb-lineage plan" in result.stderr
    assert os.path.exists(path)


def test_the_dead_command_lists_shows_retries_and_drops(driver, catalog):
    one = driver()
    some = list(events(3, 1))

    def broken(_):
        raise ValueError("rules file is broken")

    failing = Delivery(one.outbox, broken, one.delivery._catalog, one.record, DeliveryOptions())
    for event in some:
        one.outbox.append(event)
    failing.run_once()
    failing.stop(0)
    one.close()
    ids = [event["run"]["runId"] for event in some[::2]]
    listed = command(one, "dead", "list")
    assert listed.returncode == 0 and listed.stdout.count("translation failed: ValueError: rules file is broken") == 3
    assert json.loads(command(one, "dead", "list", "--json").stdout.splitlines()[0])["runId"] in ids
    with closing(sqlite3.connect(one.outbox.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        for action in ("drop", "retry"):
            locked = command(one, "dead", action, ids[0])
            assert locked.returncode == 2 and "locked" in locked.stderr and locked.stdout == ""
    shown = command(one, "dead", "show", ids[0])
    assert [json.loads(line) for line in shown.stdout.splitlines()] == some[:2]
    retried = command(one, "dead", "retry", ids[0])
    assert retried.returncode == 0 and retried.stdout == f"{ids[0]}  delivered\n", retried.stderr
    assert len(processes(catalog)) == 1
    assert command(one, "dead", "drop", ids[1]).stdout == "1 runs dropped\n"
    for wrong in (["retry"], ["drop", "nobody"]):
        refused = command(one, "dead", *wrong)
        assert refused.returncode == 2 and refused.stderr.startswith("adb-lineage dead: ")
    assert command(one, "dead", "retry", "--all").returncode == 0
    assert command(one, "dead", "list").stdout == "no dead runs\n"
    assert len(processes(catalog)) == 2
