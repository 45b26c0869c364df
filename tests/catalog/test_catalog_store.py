"""The database under stress: several writers, several processes, kill -9, bad files, query plans."""
from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from adb_lineage.catalog import Catalog
from adb_lineage.catalog.store import Store

PATH = "azure_datalake_gen2_path"

WRITER = """
import sys, itertools
from adb_lineage.catalog import Catalog
catalog = Catalog(sys.argv[1])
print("ready", flush=True)
for number in itertools.count():
    batch = [{"typeName": "databricks_table", "guid": "-1",
              "attributes": {"qualifiedName": f"{sys.argv[2]}/{number}", "name": "t"},
              "relationshipAttributes": {"columns": [{"guid": f"-{column}"} for column in range(2, 12)]}}]
    batch += [{"typeName": "databricks_table_column", "guid": f"-{column}",
               "attributes": {"qualifiedName": f"{sys.argv[2]}/{number}#{column}", "name": "c"}}
              for column in range(2, 12)]
    catalog.create_or_update(batch)
    print(number, flush=True)
"""


def entity(type_name, qualified_name, **more):
    return {"typeName": type_name, "attributes": {"qualifiedName": qualified_name, "name": "n", **more}}


def check_whole(path):
    """Every table has its ten columns, every index agrees with its rows."""
    connection = sqlite3.connect(str(path))
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    tables = connection.execute("SELECT count(*) FROM entity WHERE type = 'databricks_table'").fetchone()[0]
    edges = connection.execute("SELECT count(*) FROM relationship WHERE status = 'ACTIVE'").fetchone()[0]
    entities = connection.execute("SELECT count(*) FROM entity").fetchone()[0]
    keys = connection.execute("SELECT count(*) FROM attribute_index WHERE attribute = 'qualifiedName'").fetchone()[0]
    texts = connection.execute("SELECT count(*) FROM entity_text").fetchone()[0]
    connection.close()
    assert (edges, entities, keys, texts) == (10 * tables, 11 * tables, 11 * tables, 11 * tables)
    return tables


def test_two_processes_killed_at_any_time_leave_whole_requests(tmp_path):
    path = tmp_path / "c.db"
    chance = random.Random(7)
    told = 0
    for attempt in range(4):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"{attempt}-{name}"], stdout=subprocess.PIPE,
                             text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
            for name in "ab"
        ]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        time.sleep(0.2 + chance.random() * 0.3)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            told += len([line for line in writer.communicate()[0].splitlines() if line.isdigit()])
        assert check_whole(path) >= told  # what was answered is there
    with Catalog(path) as catalog:  # and the file still takes writes
        catalog.create_or_update([entity(PATH, "after")])


def test_many_threads_upserting_the_same_names_make_no_duplicates(tmp_path):
    with Catalog(tmp_path / "c.db") as catalog:
        errors = []

        def work(seed):
            chance = random.Random(seed)
            try:
                for _ in range(20):
                    names = [f"d{chance.randrange(10)}" for _ in range(3)]
                    catalog.create_or_update([
                        *(entity(PATH, name) for name in names),
                        {**entity("databricks_process", f"p{chance.randrange(5)}"), "relationshipAttributes": {
                            "inputs": [{"typeName": PATH, "uniqueAttributes": {"qualifiedName": name}}
                                       for name in names]}},
                    ])
                    catalog.search({"keywords": "n"})
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert catalog.statistics()["entities"] == {PATH: 10, "databricks_process": 5}
        for process in range(5):
            inputs = catalog.entity_by_unique(
                "databricks_process", {"qualifiedName": f"p{process}"})["entity"]["relationshipAttributes"]["inputs"]
            assert 1 <= len(inputs) == len({one["guid"] for one in inputs}) <= 3


def test_no_query_of_a_hot_path_scans_a_table(tmp_path, monkeypatch):
    """Every statement that the usual calls run is explained; a full scan of a data table fails."""
    statements = set()
    connect = Store._connect

    def traced(self):
        connection = connect(self)
        connection.set_trace_callback(statements.add)
        return connection

    monkeypatch.setattr(Store, "_connect", traced)
    with Catalog(tmp_path / "c.db") as catalog:
        def reference(type_name, name):
            return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": name}}

        for description in ("a", "b"):
            answer = catalog.create_or_update([
                entity("databricks_schema", "s"),
                {**entity("databricks_table", "t", description=description), "relationshipAttributes": {
                    "columns": [{"guid": "-1"}], "dbSchema": reference("databricks_schema", "s")}},
                {**entity("databricks_table_column", "c"), "guid": "-1"},
                {**entity("databricks_process", "p"), "relationshipAttributes": {
                    "inputs": [reference("DataSet", "t")], "outputs": [reference("DataSet", "t")]}},
            ])
        guid = answer["guidAssignments"]["-1"]
        catalog.entity(guid)
        catalog.entities([guid])
        catalog.entities_by_unique("DataSet", [{"qualifiedName": "t"}])
        catalog.lineage_by_unique("DataSet", {"qualifiedName": "t"}, include_parent=True)
        catalog.search({"keywords": "n", "filter": {"entityType": "DataSet"}})
        catalog.search({"filter": {"attributeName": "qualifiedName", "operator": "prefix", "attributeValue": "t"}})
        catalog.search({"filter": {"attributeName": "name", "operator": "eq", "attributeValue": "n"}})
        catalog.update_attribute(guid, "comment", "x")
        catalog.delete([guid])
    connection = sqlite3.connect(str(tmp_path / "c.db"))
    scans = []
    explained = 0
    for statement in statements:
        if re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT)", statement):
            explained += 1
            for row in connection.execute("EXPLAIN QUERY PLAN " + statement):
                if re.match(r"SCAN (r|e|a|entity|relationship|attribute_index)\b", row[3]):
                    scans.append((row[3], statement))
    assert explained > 30
    assert scans == []


@pytest.mark.parametrize("content", ["other", "newer", "text"])
def test_a_file_that_is_no_catalog_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "c.db"
    if content == "text":
        path.write_text("not a database, but a letter to somebody\n" * 50)
    else:
        connection = sqlite3.connect(str(path))
        connection.execute("CREATE TABLE mine (x)")
        connection.execute(f"PRAGMA user_version = {99 if content == 'newer' else 0}")
        connection.commit()
        connection.close()
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match=r"something else|schema version 99|not a database"):
        Catalog(path)
    if content == "text":
        assert path.read_bytes() == before


def test_a_catalog_of_its_own_leaves_nothing(tmp_path):
    with Catalog() as catalog:
        catalog.create_or_update([entity(PATH, "x")])
        folder = catalog.path.parent
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.slow
def test_ten_thousand_columns(tmp_path):
    with Catalog(tmp_path / "c.db") as catalog:
        def batch():
            return [
                {**entity("databricks_table", "t"), "guid": "-1", "relationshipAttributes": {
                    "columns": [{"guid": f"-c{number}"} for number in range(10_000)]}},
                *({**entity("databricks_table_column", f"t#{number}"), "guid": f"-c{number}"}
                  for number in range(10_000)),
            ]

        catalog.create_or_update(batch())
        assert "mutatedEntities" not in catalog.create_or_update(batch())
        answer = catalog.entity_by_unique("databricks_table", {"qualifiedName": "t"}, min_ext_info=True)
        assert len(answer["referredEntities"]) == len(answer["entity"]["relationshipAttributes"]["columns"]) == 10_000
