"""The commands `translate`, `name` and `rules`, run as a user runs them."""
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from adb_lineage.catalog.server import serve_in_thread
from adb_lineage.cli import main
from tests.translate.world import HOST, LAKE, NOTEBOOK, URL, dataset, event

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "tests" / "cases" / "names" / "accelerator" / "deployed.json"


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def name(capsys, *arguments):
    status, out, _ = run(capsys, "name", *arguments)
    assert status == 0
    return json.loads(out)


def test_name_prints_the_asset_and_why_not_another_rule(capsys):
    status, out, err = run(capsys, "name", "oracle://ora:1521", "EMP")
    assert status == 0
    assert json.loads(out) == {
        "qualifiedName": "oracle://ora:1521/EMP",
        "typeName": "purview_custom_connector_generic_entity_with_columns",
        "rule": "placeholder",
    }
    assert "not oracle: 'EMP' does not tell service and schema and table" in err
    assert "the namespace is another" in err


def test_name_with_mounts_workspace_and_old_rules(capsys, tmp_path):
    mounts = tmp_path / "mounts.json"
    mounts.write_text(json.dumps([{"mountPoint": "/mnt/x", "source": "abfss://c@lake.dfs.core.windows.net/sub"}]))
    told = {"qualifiedName": f"{URL}/sub/y", "typeName": "azure_datalake_gen2_path"}
    assert name(capsys, "dbfs", "/mnt/x/y", "--mounts", mounts) == {**told, "rule": "adls-gen2-path"}
    old = name(capsys, "dbfs", "/mnt/x/y", "--mounts", mounts, "--rules", DEPLOYED)
    assert old == {**told, "rule": "abfssNLayerMnt"}
    for workspace in (HOST, HOST.replace(".azuredatabricks.net", "")):
        answer = name(capsys, "dbfs", "/user/hive/warehouse/t", "--workspace", workspace)
        assert answer["qualifiedName"] == f"default.t@{HOST}"


def test_the_settings_hold_for_the_commands_too(capsys, monkeypatch, tmp_path):
    """`ADB_LINEAGE_RULES` and `adb-lineage rules list` are how docs/migrate-from-accelerator.md takes rules over."""
    (tmp_path / "rules.yaml").write_text("hosts: {10.1.2.3: sqlprod.database.windows.net}\nrules:\n- rule: mine\n"
                                         "  namespace: 'mine://x'\n  levels: [table]\n  type: mine\n"
                                         "  qualified_name: 'mine://{table}'\n")
    server = ("sqlserver://10.1.2.3:1433", "sales.dbo.orders")
    assert name(capsys, *server)["typeName"] == "mssql_table"
    monkeypatch.setenv("ADB_LINEAGE_RULES", str(tmp_path / "rules.yaml"))
    monkeypatch.setenv("ADB_LINEAGE_WORKSPACE", "adb-12.3")
    monkeypatch.setenv("ADB_LINEAGE_METASTORE", "12a345b6-7890-1cd2-3456-e789f0a12b34")
    assert name(capsys, *server)["typeName"] == "azure_sql_table"
    assert run(capsys, "rules", "list")[1].split().count("mine") == 1
    assert "adb-12.3.azuredatabricks.net" in name(capsys, "dbfs", "/user/hive/warehouse/t")["qualifiedName"]
    assert "12a345b6" in name(capsys, "unity-catalog", "main.sales.orders")["qualifiedName"]
    assert "12a345b6" not in name(capsys, "unity-catalog", "main.sales.orders", "--metastore", "other")["qualifiedName"]


def test_name_explains(capsys):
    answer = name(capsys, "mysql://my.privatelink.mysql.database.azure.com", "d.t", "--explain")
    assert answer["seenAs"] == {"namespace": "mysql://my.mysql.database.azure.com", "name": "d.t"}
    assert answer["alternatives"][0] == {"type_name": "azure_mysql_table", "qualified_name": answer["qualifiedName"]}
    assert answer["parents"][0]["type_name"] == "azure_mysql_server"
    assert answer["notMatched"][0]["rule"] == "onelake-lakehouse-table"
    assert answer["placeholder"] is False


@pytest.mark.parametrize("text", ["no json", "7", '["x"]', '{"a": 1}'])
def test_name_refuses_bad_mounts(capsys, tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    status, out, err = run(capsys, "name", "dbfs", "/x", "--mounts", tmp_path / "m.json")
    assert (status, out) == (2, "")
    assert "m.json: the mounts are not" in err


@pytest.mark.parametrize("arguments", [["name", "a", "b", "--mounts", "no.json"], ["translate", "no.jsonl"],
                                       ["rules", "test", "no.yaml"], ["rules", "import-typedefs", "no.json"],
                                       ["name", "a", "b", "--rules", "no.yaml"]])
def test_a_file_that_is_not_there(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "can't read" in err


def test_translate_prints_an_object_a_run_and_reports_bad_lines(tmp_path):
    other = event(inputs=[dataset("a")], outputs=[dataset("b")])
    other["run"]["runId"] = "another"
    lines = [
        json.dumps(event("START", environment=NOTEBOOK)),
        "", "no json here", "CompleteX: 2022-01-01 [Information] OpenLineageIn:" + json.dumps(other), '{"cut', "[1]",
        json.dumps({"eventType": "COMPLETE"}), json.dumps({"run": {"runId": 7}}),
        json.dumps(event(inputs=[dataset("a")], outputs=[dataset("б")])) + "  ",
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    for arguments, stdin in (([str(path)], None), (["-"], path.read_bytes())):
        done = subprocess.run([sys.executable, "-m", "adb_lineage", "translate", *arguments], input=stdin, cwd=ROOT,
                              capture_output=True, check=True)
        assert done.stderr == b""
        first, second, problems = map(json.loads, done.stdout.decode().splitlines())
        assert [first["runId"], second["runId"], problems["runId"]] == ["0190-run", "another", None]
        assert [entity["typeName"] for entity in first["entities"]] == [
            "azure_datalake_gen2_path", "azure_datalake_gen2_path", "databricks_workspace", "databricks_notebook",
            "databricks_process",
        ]
        assert first["entities"][1]["attributes"] == {"qualifiedName": f"{URL}/б", "name": "б"}
        assert first["skipped"] == []
        assert [skip["subject"] for skip in problems["skipped"]] == ["line 3", "line 5", "line 6", "line 7", "line 8"]
        assert all(skip["reason"] for skip in problems["skipped"])


def test_a_run_is_one_line_for_every_reader_of_lines(tmp_path):
    path = tmp_path / "events.jsonl"
    odd = "a\u2028b\x85c\u2029d"
    path.write_text(json.dumps(event(inputs=[dataset(odd)], outputs=[dataset("b")])))
    done = subprocess.run([sys.executable, "-m", "adb_lineage", "translate", str(path)], cwd=ROOT, capture_output=True,
                          check=True, env={**os.environ, "PYTHONUTF8": "1"})
    (line,) = done.stdout.decode().splitlines()
    assert json.loads(line)["entities"][0]["attributes"]["name"] == odd


def test_translate_of_one_sided_runs(capsys, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(event(inputs=[dataset("a", LAKE)])))
    _, out, _ = run(capsys, "translate", path)
    assert [entity["typeName"] for entity in json.loads(out)["entities"]] == ["azure_datalake_gen2_path"]
    assert json.loads(out)["skipped"][0]["subject"] == "process"
    _, out, _ = run(capsys, "translate", path, "--include-one-sided", "--prefer", "table")
    assert json.loads(out)["entities"][-1]["typeName"] == "databricks_process"


def test_rules_test(capsys, tmp_path):
    status, out, _ = run(capsys, "rules", "test")
    assert status == 0
    assert out.endswith(" cases, 0 failed\n")
    cases = tmp_path / "cases.yaml"
    cases.write_text("- {namespace: 's3://b', name: x, expect: 's3://b/x'}\n- {namespace: 's3://b', name: x, type: y}")
    status, out, _ = run(capsys, "rules", "test", cases)
    assert status == 1
    assert "case 2: s3://b x: type is 'aws_s3_v2_object', expected 'y'" in out
    assert out.endswith("2 cases, 1 failed\n")
    for text, reason in (("- 7", "a case is a mapping"), ("- {namespace: a, nmae: b}", "unknown key 'nmae'"),
                         ("- {namespace: a, parents: [x]}", "is not one"), (": :", "not YAML"),
                         ("{}", "no cases"), ("- {namespace: a, name: b}", "case 1: nothing is expected"),
                         ("{defaults: [1], x: [{namespace: a, type: t}]}", "defaults are a mapping"),
                         ("- {namespace: a, type: t, placeholder: 'no'}", "placeholder is 'no', not true or false")):
        cases.write_text(text)
        status, _, err = run(capsys, "rules", "test", cases)
        assert status == 2
        assert reason in err


def test_rules_list_and_sources(capsys):
    assert run(capsys, "rules", "list")[1].splitlines()[0] == "onelake-lakehouse-table"
    assert run(capsys, "rules", "list", "--rules", DEPLOYED)[1].splitlines()[0] == "wasbsNLayerMnt"
    assert run(capsys, "rules", "sources")[1] == (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")


def entity_def(name, extension):
    return {"category": "ENTITY", "name": name, "options": {"purviewEntityExtDef": extension}}


ORACLE = json.dumps({
    "qualifiedNamePattern": "oracle://(?<Server>[^/]+)/(?<Schema>[^/]+)/(?<Table>[^/]+)$",
    "qualifiedNameSample": "oracle://server/HR/EMP",
})
TYPEDEFS = {"entityDefs": [
    # As a recorded account has it, .NET groups and all.
    entity_def("azure_synapse_dedicated_sql_view", json.dumps({
        "qualifiedNamePattern": "mssql://(?<Workspace>[^/]+).sql.azuresynapse.net/(?<Database>[^/]+)/(?<Schema>[^/]+)/"
                                "(?<View>[^/]+)$",
        "qualifiedNameSample": "mssql://workspace.sql.azuresynapse.net/mydedicate/dbo/testView"})),
    entity_def("azure_synapse_dedicated_sql_table", json.dumps({
        "qualifiedNamePattern": "mssql://(?<Workspace>[^/]+).sql.azuresynapse.net/(?<Table>.+)$"})),
    entity_def("oracle_table", ORACLE),
    entity_def("looker_look", json.dumps({"qualifiedNamePattern": "looker://(?<Server>[^/]+)/looks/(?<Look>[^/]+)$"})),
    entity_def("teradata_table", json.dumps({"qualifiedNamePattern": "x", "qualifiedNameSample": "does not fit"})),
    entity_def("mongodb_collection", json.dumps({"qualifiedNamePattern": "(?<Open"})),
    entity_def("azure_sql_table", "{}"), entity_def("broken", "no json"), {"name": "bare"}, 7,
]}


def test_import_typedefs(capsys, tmp_path):
    saved, rules = tmp_path / "typedefs.json", tmp_path / "account.yaml"
    saved.write_text(json.dumps(TYPEDEFS))
    status, out, err = run(capsys, "rules", "import-typedefs", saved, "--output", rules)
    assert status == 0
    assert "azure_synapse_dedicated_sql_view: mssql://ws.sql.azuresynapse.net/pool/sales/region: fits" in out
    assert "oracle_table: oracle://ora.corp.net/XEPDB1/HR/EMPLOYEES: differs; oracle://ora.corp.net/HR/EMPLOYEES" in out
    assert "passed over teradata_table: does not fit its own sample" in err
    assert "passed over mongodb_collection: bad pattern" in err
    assert "looker" not in out
    assert "usgovcloudapi" not in out
    assert name(capsys, "oracle://ora:1521", "SVC.HR.EMP", "--rules", rules)["qualifiedName"] == "oracle://ora/HR/EMP"


@pytest.mark.parametrize(("text", "reason"), [("{}", "no type definition has"), ("no json", "not JSON")])
def test_import_typedefs_refuses_what_says_nothing(capsys, tmp_path, text, reason):
    (tmp_path / "t.json").write_text(text)
    status, _, err = run(capsys, "rules", "import-typedefs", tmp_path / "t.json")
    assert status == 2
    assert reason in err


def test_import_typedefs_of_the_account(capsys, monkeypatch, tmp_path):
    with contextlib.closing(serve_in_thread(tmp_path / "catalog.db")) as server:
        monkeypatch.setenv("ADB_LINEAGE_ENDPOINT", server.url)
        monkeypatch.setenv("ADB_LINEAGE_AUTH", "none")
        monkeypatch.setenv("ADB_LINEAGE_DATA_DIR", str(tmp_path / "data"))
        told = json.dumps({"qualifiedNamePattern": "redshift://(?<Server>[^/]+)/(?<Table>.+)$"})
        definition = {**entity_def("amazon_redshift_table", told), "superTypes": ["DataSet"], "attributeDefs": []}
        requests.post(f"{server.url}/datamap/api/atlas/v2/types/typedefs", json={"entityDefs": [definition]},
                      timeout=30).raise_for_status()
        status, out, err = run(capsys, "rules", "import-typedefs")
    assert status == 0, err
    assert "amazon_redshift_table: redshift://servers/cluster.eu-west-1:5439/databases/dev/schemas/public" in out
