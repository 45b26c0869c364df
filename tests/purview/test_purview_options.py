"""Options: what is allowed, what follows from what."""
from __future__ import annotations

from typing import Any, Dict

import pytest

from adb_lineage.errors import SettingsError
from adb_lineage.purview import PurviewOptions, account_endpoint

REMOTE = "https://acct.purview.azure.com"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"endpoint": ""}, ["endpoint", "''"]),
        ({"endpoint": "acct"}, ["endpoint", "'acct'"]),
        ({"endpoint": "ftp://x"}, ["endpoint", "ftp"]),
        ({"endpoint": f"{REMOTE}/datamap"}, ["endpoint", "atlas_prefix"]),
        ({"endpoint": "https://u:p4ss@acct.purview.azure.com"}, ["endpoint", "username"]),
        ({"endpoint": "https://:p4ss@acct.purview.azure.com"}, ["endpoint", "username"]),
        ({"endpoint": "u:p4ss@acct.purview.azure.com"}, ["endpoint", "acct.purview.azure.com"]),
        ({"endpoint": f"{REMOTE}:99999"}, ["endpoint", "99999"]),
        ({"endpoint": "https://[::1"}, ["endpoint", "[::1"]),
        ({"endpoint": "http://acct.purview.azure.com"}, ["endpoint", "not encrypted"]),
        ({"flavour": "unity"}, ["flavour", "'unity'", "purview, atlas"]),
        ({"auth": "magic"}, ["auth", "'magic'", "client_secret"]),
        ({"cloud": "moon"}, ["cloud", "'moon'", "china"]),
        ({"create_missing": "yes"}, ["create_missing", "'yes'", "typed"]),
        ({"atlas_prefix": "api"}, ["atlas_prefix", "'api'", "slash"]),
        ({"rate": 0}, ["rate", "0"]),
        ({"read_timeout": -1}, ["read_timeout", "-1"]),
        ({"tries": 0}, ["tries", "0"]),
        ({"concurrency": 0}, ["concurrency"]),
        ({"bulk_entities": 0}, ["bulk_entities"]),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(changes: Dict[str, Any], words: list) -> None:  # type: ignore[type-arg]
    with pytest.raises(SettingsError) as raised:
        PurviewOptions(**{"endpoint": REMOTE, **changes})
    assert all(word in str(raised.value) for word in words) and "p4ss" not in str(raised.value)


@pytest.mark.parametrize(
    "changes, atlas_url, service_url",
    [
        ({}, "/datamap/api/atlas/v2", "/datamap/api"),
        ({"flavour": "atlas"}, "/api/atlas/v2", ""),
        ({"atlas_prefix": "/catalog/api/atlas/v2/", "service_prefix": "/catalog/api"}, "/catalog/api/atlas/v2",
         "/catalog/api"),
    ],
)
def test_prefixes(changes: Dict[str, Any], atlas_url: str, service_url: str) -> None:
    options = PurviewOptions(f"{REMOTE}/", **changes)
    assert (options.atlas_url, options.service_url) == (REMOTE + atlas_url, REMOTE + service_url)


@pytest.mark.parametrize("endpoint, is_local", [
    ("http://127.0.0.1:8080", True), ("http://localhost", True), ("http://[::1]:1", True), ("http://127.9.9.9", True),
    (REMOTE, False), ("https://10.0.0.4", False),
])
def test_local(endpoint: str, is_local: bool) -> None:
    assert PurviewOptions(endpoint).is_local is is_local


def test_a_plain_atlas_may_be_without_tls() -> None:
    assert PurviewOptions("http://atlas:21000", flavour="atlas").atlas_url == "http://atlas:21000/api/atlas/v2"


def test_account_endpoints() -> None:
    assert account_endpoint("acct") == REMOTE
    assert account_endpoint("a-b-1", "china") == "https://a-b-1.purview.azure.cn"
    assert account_endpoint("acct", "usgov") == "https://acct.purview.azure.us"
    for account in ("", "a.b", "a/b", "https://x", "-"):
        with pytest.raises(SettingsError):
            account_endpoint(account)


def test_scope_and_authority_follow_the_cloud_unless_told() -> None:
    options = PurviewOptions(REMOTE)
    assert options.scope == "https://purview.azure.net/.default"
    assert options.authority_host == "login.microsoftonline.com"
    own = PurviewOptions(REMOTE, audience="https://purview.azure.com/", authority="login.own")
    assert own.scope == "https://purview.azure.com/.default" and own.authority_host == "login.own"


@pytest.mark.parametrize("proxy", ["http://user:p4ss%2F@proxy:8080", "user:p4ss%2F@proxy:8080"])
def test_the_password_of_a_proxy_is_a_secret(proxy: str) -> None:
    assert PurviewOptions(REMOTE, proxy=proxy).secrets == ("p4ss%2F", "p4ss/")
