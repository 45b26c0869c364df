"""The whole way, from a program that knows nothing of lineage to the entities in a catalog over HTTP."""
from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import time
import urllib.request
from contextlib import closing
from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.slow]

ENABLE = "import adb_lineage; adb_lineage.enable()"
SOURCE = "abfss://raw@acct.dfs.core.windows.net/sales"
JOB = """
    builder = (SparkSession.builder.master("local[2]").appName("Nightly Job").config("spark.ui.enabled", "false")
               .config("spark.driver.host", "127.0.0.1").config("spark.sql.warehouse.dir", folder + "/warehouse"))
    os.makedirs(folder + "/abfss", exist_ok=True)
    builder.config("spark.hadoop.fs.abfss.impl", "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme")
    builder.config("spark.hadoop.fs.viewfs.mounttable.raw@acct.dfs.core.windows.net.linkFallback",
                   "file://" + folder + "/abfss")
    spark = builder.getOrCreate()
    base = "abfss://raw@acct.dfs.core.windows.net/sales"
    spark.range(5).selectExpr("id", "id * 2 as v").write.mode("overwrite").parquet(base + "/in")
    spark.read.parquet(base + "/in").selectExpr("id", "v + 1 as w").write.mode("overwrite").parquet(base + "/out")
    print("user output")
"""
PROCESS_INPUTS = ["https://acct.dfs.core.windows.net/raw/sales/in"]
PROCESS_OUTPUTS = ["https://acct.dfs.core.windows.net/raw/sales/out"]


@pytest.fixture
def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def serve(folder, port):
    from adb_lineage.catalog.server import CatalogServer

    return CatalogServer(str(folder / "catalog.sqlite"), port).start()


def target(port):
    return {"ADB_LINEAGE_ENDPOINT": f"http://127.0.0.1:{port}", "ADB_LINEAGE_AUTH": "none",
            "ADB_LINEAGE_WORKSPACE": "lab.example", "ADB_LINEAGE_EXIT_SECONDS": "30"}


NOTEBOOK = "databricks://lab.example/notebooks/program.py"


def read(url, path):
    with urllib.request.urlopen(f"{url}/datamap/api/atlas/v2/entity/{path}") as answer:
        return json.load(answer)


def processes(url):
    """The notebook's processes; Purview's search does not return them."""
    notebook = read(url, f"uniqueAttribute/type/databricks_notebook?attr:qualifiedName={quote(NOTEBOOK, safe='')}")
    return [read(url, f"guid/{one['guid']}") for one in notebook["entity"]["relationshipAttributes"]["processes"]]


def qualified(url, relations):
    found = (read(url, f"guid/{one['guid']}")["entity"] for one in relations)
    return sorted(entity["attributes"]["qualifiedName"].rstrip("/") for entity in found)


def the_process(url):
    found, = processes(url)
    relations = found["entity"]["relationshipAttributes"]
    mapping, = json.loads(found["entity"]["attributes"]["columnMapping"])
    return qualified(url, relations["inputs"]), qualified(url, relations["outputs"]), mapping


def check(url):
    inputs, outputs, mapping = the_process(url)
    assert (inputs, outputs) == (PROCESS_INPUTS, PROCESS_OUTPUTS)
    assert {(one["Source"], one["Sink"]) for one in mapping["ColumnMapping"]} == {("id", "id"), ("v", "w")}
    assert mapping["DatasetMapping"]["Source"].rstrip("/") == PROCESS_INPUTS[0]


def test_lineage_stands_in_the_catalog_when_the_program_has_ended(programs, port):
    server = serve(programs.folder, port)
    try:
        done = programs.run(JOB, before=ENABLE, **target(port))
        assert (done.returncode, done.stdout) == (0, "user output\n"), done.stderr
        check(server.url)
    finally:
        server.close()


def test_a_catalog_that_is_away_costs_the_user_nothing_and_gets_all_later(programs, port):
    away = {**target(port), "ADB_LINEAGE_EXIT_SECONDS": "1"}
    done = programs.run(JOB, before=ENABLE, **away)
    assert (done.returncode, done.stdout) == (0, "user output\n"), done.stderr
    assert "adb_lineage" not in done.stderr
    server = serve(programs.folder, port)
    try:
        deliver_rest(programs, port)
        check(server.url)
    finally:
        server.close()


def test_a_program_killed_while_delivering_loses_nothing_that_was_captured(programs, port):
    body = JOB + """
    import time
    time.sleep(300)
    """
    victim = programs.start(body, before=ENABLE, **target(port))
    try:
        record = programs.folder / "data" / "record.sqlite"
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and captured(record) < 2:
            assert victim.poll() is None, victim.communicate()
            time.sleep(0.1)
        assert captured(record) == 2
    finally:
        os.kill(victim.pid, signal.SIGKILL)
        victim.communicate()
    server = serve(programs.folder, port)
    try:
        deliver_rest(programs, port)
        check(server.url)
    finally:
        server.close()


def captured(record):
    if not record.exists():
        return 0
    with closing(sqlite3.connect(f"file:{record}?mode=ro", uri=True)) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'note'").fetchone():
            return 0  # the program is just making it
        return connection.execute("select count(*) from note where facts like '%\"captured\"%'").fetchone()[0]


def deliver_rest(programs, port):
    """The next start with the same folder: here a program of another producer, without Spark."""
    body = """
        import time
        from adb_lineage.settings import Settings
        from adb_lineage.transport import PurviewConfig, PurviewTransport
        transport = PurviewTransport(PurviewConfig(Settings.load()))
        assert transport.wait_for_completion(60), transport.delivery.status()
        assert transport.close(30)
    """
    done = programs.run("", after=body.replace("\n        ", "\n"), **target(port))
    assert done.returncode == 0, done.stderr
