"""PurviewTransport as any OpenLineage producer uses it: by configuration, under composite and transform."""
from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
import urllib.request
from urllib.parse import quote

import pytest
import yaml
from openlineage.client.transport import get_default_factory

from adb_lineage.errors import SettingsError
from adb_lineage.openlineage_client import OpenLineageClient, event_v2
from adb_lineage.transport import PurviewConfig, PurviewTransport, configured_kind, file_config

DOTTED = "adb_lineage.transport.PurviewTransport"
RUN_ID = "01a205bb-7cb5-708c-bbe2-1f7a84d8e639"


@pytest.fixture
def server(tmp_path):
    from adb_lineage.catalog.server import CatalogServer

    server = CatalogServer(str(tmp_path / "catalog.sqlite")).start()
    yield server
    server.close()


@pytest.fixture
def section(server, tmp_path, monkeypatch):
    """A transport section, and an environment without any other configuration."""
    for name in ("OPENLINEAGE_CONFIG", "OPENLINEAGE_URL", "OPENLINEAGE__TRANSPORT__TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return {"type": DOTTED, "endpoint": server.url, "auth": "none", "workspace": "adb-1.1.azuredatabricks.net",
            "data_dir": str(tmp_path / "data")}


def events():
    """What a dbt-like producer sends: no Spark, no Databricks facets."""
    job = event_v2.Job("warehouse", "models.orders_daily")
    common = {"run": event_v2.Run(RUN_ID), "job": job, "producer": "https://example.test/dbt"}
    source = event_v2.InputDataset("abfss://lake@acct.dfs.core.windows.net", "raw/orders")
    target = event_v2.OutputDataset("abfss://lake@acct.dfs.core.windows.net", "clean/orders")
    yield event_v2.RunEvent(eventTime="2026-01-01T00:00:00Z", eventType=event_v2.RunState.START, **common)
    yield event_v2.RunEvent(eventTime="2026-01-01T00:00:01Z", eventType=event_v2.RunState.COMPLETE, inputs=[source],
                            outputs=[target], **common)


def emit_all(client):
    for event in events():
        client.emit(event)


def purview_of(transport):
    inner = [transport, *getattr(transport, "transports", []), getattr(transport, "transport", None)]
    return next(one for one in inner if isinstance(one, PurviewTransport))


def lineage(server):
    """Process edges around the written folder, as the catalog's lineage call tells them."""
    name = quote("https://acct.dfs.core.windows.net/lake/clean/orders", safe="")
    for suffix in ("", "%2F"):
        url = (f"{server.url}/datamap/api/atlas/v2/lineage/uniqueAttribute/type/azure_datalake_gen2_path"
               f"?attr:qualifiedName={name}{suffix}&direction=INPUT&depth=3")
        try:
            with urllib.request.urlopen(url) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError:
            continue
        return sorted(one["typeName"] for one in found["guidEntityMap"].values())
    return []


EXPECTED = ["azure_datalake_gen2_path", "azure_datalake_gen2_path", "databricks_process"]


def wraps():
    """The floor version of the client has no transform; `.ci/run` runs this file with the newest client, too."""
    known = get_default_factory().transports
    return ["plain", *(kind for kind in ("composite", "transform") if kind in known)]


@pytest.mark.parametrize("wrap", wraps())
def test_events_of_any_producer_reach_the_catalog(server, section, wrap, tmp_path):
    config = {
        "plain": section,
        "composite": {"type": "composite", "continue_on_failure": True, "transports": [
            section, {"type": "file", "log_file_path": str(tmp_path / "events.ndjson"), "append": True}]},
        "transform": {"type": "transform", "transport": section,
                      "transformer_class": "openlineage.client.transport.transform.transformers."
                                           "job_namespace_replace_transformer.JobNamespaceReplaceTransformer",
                      "transformer_properties": {"new_job_namespace": "renamed"}},
    }[wrap]
    client = OpenLineageClient(config={"transport": config})
    emit_all(client)
    transport = purview_of(client.transport)
    assert transport.wait_for_completion(30), transport.delivery.status()
    assert transport.close(10)
    assert lineage(server) == EXPECTED


def test_the_configuration_file_of_the_client_is_enough(server, section, tmp_path):
    (tmp_path / "openlineage.yml").write_text(yaml.safe_dump({"transport": section}))
    assert configured_kind() == DOTTED
    assert file_config()["endpoint"] == server.url
    client = OpenLineageClient()
    emit_all(client)
    assert client.transport.close(30)
    assert lineage(server) == EXPECTED


def test_a_transport_that_is_no_yaml_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", '{"type": "http", "auth": {"apiKey": "planted-5b1f"')
    with pytest.raises(SettingsError, match="OPENLINEAGE__TRANSPORT is no YAML or JSON") as refused:
        configured_kind()
    assert "planted" not in str(refused.value) and refused.value.__suppress_context__


def test_type_purview_works_once_the_package_is_imported(server, section):
    client = OpenLineageClient(config={"transport": {**section, "type": "purview"}})
    assert isinstance(client.transport, PurviewTransport)
    assert client.transport.close(5)


def test_an_unknown_key_is_refused_by_name(section):
    with pytest.raises(SettingsError, match="'endpiont'"):
        PurviewConfig.from_dict({**section, "endpiont": "x"})


def test_without_a_target_it_says_what_to_set(section):
    del section["endpoint"]
    with pytest.raises(SettingsError, match="account"):
        PurviewTransport(PurviewConfig.from_dict(section))


def test_an_event_is_durable_and_private_when_emit_returns(section, tmp_path):
    section["endpoint"] = "http://127.0.0.1:9"  # nobody listens there
    transport = PurviewTransport(PurviewConfig.from_dict(section))
    emit_all(OpenLineageClient(transport=transport))
    path = tmp_path / "data" / "outbox.sqlite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as other:
        assert other.execute("select count(*) from sqlite_master").fetchone()[0] > 0
    assert sum(transport.outbox.counts().values()) == 1
    assert transport.close(0.2) is False


def test_importing_the_package_imports_nothing_heavy():
    code = ("import sys; import adb_lineage; heavy = {'pyspark', 'openlineage', 'requests', 'azure', 'yaml', 'attr', "
            "'sqlite3', 'pyapacheatlas'} & {name.partition('.')[0] for name in sys.modules}; print(sorted(heavy))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
