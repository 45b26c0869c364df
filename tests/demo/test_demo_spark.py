"""The demo on real Spark: the lakehouse alone, the whole command, and a Spark that cannot start."""
from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from adb_lineage.catalog import Catalog
from adb_lineage.demo import lakehouse
from adb_lineage.demo.java import java_home
from adb_lineage.demo.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())
pytestmark = [pytest.mark.spark, pytest.mark.slow]


def check_demo():
    spec = importlib.util.spec_from_file_location("check_demo", ROOT / ".ci" / "check_demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def revenue_by_hand(raw: Path):
    """What the report must say, from the raw files, without Spark."""
    customers = csv.DictReader((raw / "crm/customers/customers.csv").open())
    countries = {row["id"]: row["country"].upper() for row in customers}
    sums = defaultdict(float)
    for path in (raw / "sales/orders").glob("*.csv"):
        for row in csv.DictReader(path.open()):
            if row["status"] != "cancelled":
                key = (countries[row["customer"]], row["ordered_at"][:7])
                sums[key] += int(row["quantity"]) * float(row["price"])
    return sums


def test_the_lakehouse_runs_alone_and_computes_what_it_says(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.prepare()
    environment = {**os.environ, "SPARK_CONF_DIR": str(workspace.spark / "conf"), "SPARK_LOCAL_IP": "127.0.0.1"}
    java = java_home(workspace.spark, environment)
    if java:
        environment["JAVA_HOME"] = java
    done = subprocess.run([sys.executable, lakehouse.__file__], cwd=workspace.spark, env=environment,
                          capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == len(lakehouse.STEPS) + 2
    (part,) = workspace.container(lakehouse.REPORTS).glob("revenue_by_country/*.csv")
    shown = {(row["country"], row["order_month"]): float(row["revenue"]) for row in csv.DictReader(part.open())}
    assert shown == pytest.approx(revenue_by_hand(workspace.container(lakehouse.RAW)), abs=0.01)
    assert len(shown) > 5


def test_the_whole_demo(tmp_path):
    folder = tmp_path / "with a space"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "adb_lineage", "demo", "--json", "--dir", str(folder)], cwd=tmp_path,
                          env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)  # and nothing else on stdout
    assert list(check_demo().differences(document, EXPECTED)) == []
    for step in lakehouse.STEPS:
        assert step.__doc__ in done.stderr
    with Catalog(document["database"]) as catalog:
        counts = catalog.statistics()["entities"]
        assert counts["databricks_process"] == len(EXPECTED["processes"])
        report = catalog.lineage_by_unique(
            "DataSet", {"qualifiedName": EXPECTED["datasets"]["report"]}, depth=10)
        # Everything flows into the report: nine datasets, six processes.
        assert len(report["guidEntityMap"]) == len(EXPECTED["datasets"]) + len(EXPECTED["processes"])


def test_a_spark_that_can_not_start_is_told_with_the_log(tmp_path):
    java = tmp_path / "broken" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho this Java is broken >&2\nexit 1\n")
    java.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAVA_HOME": str(java.parent.parent)}
    done = subprocess.run([sys.executable, "-m", "adb_lineage", "demo", "--dir", str(tmp_path)], cwd=tmp_path,
                          env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "ended with status" in done.stderr
    assert "JAVA_GATEWAY_EXITED" in done.stderr
    assert "this Java is broken" in (tmp_path / "spark.log").read_text()
