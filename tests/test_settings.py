"""Settings: sources in order, bad ones refused by name, secrets masked."""
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from adb_lineage.errors import SettingsError
from adb_lineage.settings import Settings, default_data_dir, leave_conf

SECRET = "planted-secret-5b1f"


def test_the_first_source_that_has_a_value_wins():
    layers = {
        "keywords": {"account": "keyword"},
        "environ": {"ADB_LINEAGE_ACCOUNT": "environment", "ADB_LINEAGE_TENANT_ID": "t1", "AZURE_TENANT_ID": "t2",
                    "AZURE_CLIENT_ID": "c2"},
        "spark_conf": {"spark.adb_lineage.client_id": "c3", "spark.adb_lineage.collection": "abc", "spark.x": "y"},
        "file_config": {"collection": "def", "prefer": "table"},
    }
    settings = Settings.load(**layers)
    assert (settings.account, settings.tenant_id, settings.client_id) == ("keyword", "t1", "c2")
    assert (settings.collection, settings.prefer, settings.mode) == ("abc", "table", "deliver")
    sources = {row.name: row.source for row in settings.rows()}
    assert sources["account"] == "keyword"
    assert sources["client_id"] == "Azure environment"
    assert sources["collection"] == "Spark conf"
    assert sources["prefer"] == "openlineage.yml"
    assert sources["mode"] == "default"


@pytest.mark.parametrize(("name", "raw", "value"), [
    ("outbox_bytes", "64MB", 64 << 20), ("outbox_bytes", "1GiB", 1 << 30), ("outbox_bytes", 2 << 20, 2 << 20),
    ("capture_seconds", "2.5", 2.5), ("enabled", "off", False), ("enabled", True, True),
    ("session_only", "YES", True), ("account", "Ünï", "Ünï"),
])
def test_text_becomes_the_settings_type(name, raw, value):
    assert getattr(Settings.load({name: raw}, environ={}), name) == value


@pytest.mark.parametrize(("name", "raw", "words"), [
    ("acount", "x", ["'acount'", "keyword", "account"]),
    ("mode", "delivr", ["mode", "'delivr'", "deliver or preview"]),
    ("outbox_bytes", "much", ["outbox_bytes", "'much'", "whole number"]),
    ("outbox_bytes", "1", ["at least"]),
    ("bulk_entities", "201", ["bulk_entities", "'201'", "at least 1 and at most 200"]),
    ("capture_seconds", "soon", ["capture_seconds", "'soon'", "number"]),
    ("capture_seconds", "nan", ["capture_seconds"]),
    ("enabled", "maybe", ["enabled", "'maybe'", "true or false"]),
    ("account", ["a"], ["account", "text"]),
])
def test_a_bad_setting_is_refused_by_name_value_and_what_is_allowed(name, raw, words):
    with pytest.raises(SettingsError) as refused:
        Settings.load({name: raw}, environ={})
    for word in words:
        assert word in str(refused.value)


def test_an_unknown_environment_variable_is_named_with_its_source():
    with pytest.raises(SettingsError, match="'accont' from environment"):
        Settings.load(environ={"ADB_LINEAGE_ACCONT": "x"})


def test_secrets_show_nowhere():
    settings = Settings.load({"client_secret": SECRET, "password": SECRET}, environ={})
    assert settings.client_secret == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.rows())


def test_child_processes_get_the_lines_of_the_spark_conf_without_the_secrets():
    environ = {}
    leave_conf({"spark.adb_lineage.account": "contoso", "spark.adb_lineage.client_secret": SECRET}, environ)
    assert SECRET not in str(environ)
    settings = Settings.load(environ=environ)
    assert (settings.account, settings.client_secret) == ("contoso", "")


@pytest.mark.parametrize(("name", "value", "shown"), [
    ("proxy", f"http://user:{SECRET}@proxy:8080", "http://********@proxy:8080"),
    ("proxy", f"http://user:{SECRET}/@x@proxy:8080", "http://********@proxy:8080"),
    ("proxy", f"user:{SECRET}@proxy:8080", "********@proxy:8080"),
    ("proxy", "http://proxy:8080", "http://proxy:8080"),
    ("endpoint", f"https://:{SECRET}@host", "https://********@host"),
])
def test_a_password_in_a_url_is_neither_shown_nor_left_to_child_processes(name, value, shown):
    settings = Settings.load({name: value}, environ={})
    assert getattr(settings, name) == value
    assert {row.name: row.shown for row in settings.rows()}[name] == shown and SECRET not in repr(settings)
    environ = {}
    leave_conf({f"spark.adb_lineage.{name}": value}, environ)
    assert SECRET not in str(environ) and bool(environ) == (shown == value)


def test_without_a_target_the_message_says_what_to_set():
    with pytest.raises(SettingsError, match="no catalog is named: set account .* or endpoint"):
        Settings.load(environ={}).demand_target()


def test_it_is_on_when_a_target_is_named_and_nobody_said_no():
    assert not Settings.load(environ={}).active
    assert Settings.load({"account": "a"}, environ={}).active
    assert not Settings.load({"account": "a", "enabled": "false"}, environ={}).active


def test_the_data_folder_is_on_a_disk_that_can_be_written(tmp_path):
    assert default_data_dir({"XDG_STATE_HOME": str(tmp_path / "state")}) == str(tmp_path / "state" / "adb_lineage")


def test_the_command_shows_values_and_sources_and_masks_secrets(tmp_path):
    environ = {**os.environ, "ADB_LINEAGE_ACCOUNT": "acct", "AZURE_CLIENT_SECRET": SECRET, "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "adb_lineage", "settings"]
    table = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=tmp_path, check=True)
    shown = json.loads(subprocess.run([*command, "--json"], env=environ, capture_output=True, text=True, cwd=tmp_path,
                                      check=True).stdout)
    assert shown["account"] == {"value": "acct", "source": "environment"}
    assert shown["client_secret"]["source"] == "Azure environment"
    assert SECRET not in table.stdout + table.stderr + str(shown)
    wrong = subprocess.run(command, env={**environ, "ADB_LINEAGE_MODE": "x"}, capture_output=True, text=True,
                           cwd=tmp_path, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "mode" in wrong.stderr
