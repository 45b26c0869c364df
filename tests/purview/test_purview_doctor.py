"""The doctor: each failure is named, with its mend, and what depends on it is skipped."""
from __future__ import annotations

import base64
import email.utils
import json
import re
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import certificates
import pytest
from fault_server import FaultServer, Request, atlas, is_bulk_write, status
from purview_world import FakeClock, World

from adb_lineage.purview import PurviewCatalog, PurviewOptions, credential
from adb_lineage.purview.auth import CachedToken, FixedHeader
from adb_lineage.purview.doctor import PURVIEW_APP, Check, Doctor
from adb_lineage.purview.types import PLACEHOLDER

ALL = ["settings", "dns", "tls", "time", "token", "audience", "read", "typedefs", "write", "read back", "delete"]


def examine(catalog: PurviewCatalog) -> Dict[str, Check]:
    said: List[Check] = []
    checks = Doctor(catalog).examine(said.append)
    assert checks == said and [check.name for check in checks] == ALL
    return {check.name: check for check in checks}


@pytest.fixture
def healthy(world: World) -> World:
    """A world whose clock agrees with the server's Date header."""
    world.clock.jump(time.time() - world.clock.time())
    return world


def test_all_is_well_and_nothing_is_left_behind(healthy: World) -> None:
    before = healthy.server.catalog.statistics()["entities"]
    checks = examine(healthy.client())
    assert {check.outcome for check in checks.values()} == {"pass"}
    assert checks["typedefs"].found == "installed 3"
    assert healthy.server.catalog.statistics()["entities"] == before
    assert examine(healthy.client("again.sqlite"))["typedefs"].found == "all there"


def outcome(checks: Dict[str, Check]) -> Dict[str, str]:
    return {name: check.outcome for name, check in checks.items() if check.outcome != "pass"}


def test_no_rights_at_all(healthy: World) -> None:
    healthy.front.fail(atlas(403, "ATLAS-403-00-001", times=1000))
    checks = examine(healthy.client())
    after = dict.fromkeys(["typedefs", "write", "read back", "delete"], "skip")
    assert outcome(checks) == {"read": "fail", **after}
    assert "Data Curator" in checks["read"].found and "Data Reader" in checks["read"].mend


def test_a_reader_who_may_not_write(healthy: World) -> None:
    healthy.client().ensure_types()
    healthy.front.fail(atlas(403, "ATLAS-403-00-001", times=1000, fits=is_bulk_write))
    checks = examine(healthy.client("other.sqlite"))
    assert outcome(checks) == {"write": "fail", "read back": "skip", "delete": "skip"}
    assert "Data Curator on the collection" in checks["write"].mend


def test_a_curator_of_a_collection_who_may_not_install_types(healthy: World) -> None:
    healthy.front.fail(atlas(403, "A", times=1000, fits=lambda r: "typedefs" in r.path and r.method != "GET"))
    checks = examine(healthy.client())
    assert checks["typedefs"].outcome == "warn" and "root collection" in checks["typedefs"].mend
    assert checks["write"].outcome == "fail" and "placeholder" in checks["write"].found


def test_a_wrong_path(healthy: World) -> None:
    checks = examine(healthy.client(atlas_prefix="/wrong/api"))
    assert checks["read"].outcome == "fail" and "atlas_prefix" in checks["read"].found


def test_a_name_without_an_address(clock: FakeClock) -> None:
    options = PurviewOptions("https://acct.purview.invalid", auth="none")
    with PurviewCatalog(options, FixedHeader("none", None), clock=clock) as catalog:
        checks = examine(catalog)
    assert checks["dns"].outcome == "fail" and "private DNS zone" in checks["dns"].mend
    assert checks["tls"].outcome == checks["read"].outcome == "skip"


def test_nobody_there(clock: FakeClock) -> None:
    options = PurviewOptions("https://127.0.0.1:1", auth="none")
    with PurviewCatalog(options, FixedHeader("none", None), clock=clock) as catalog:
        checks = examine(catalog)
    assert checks["tls"].outcome == "fail" and "firewall" in checks["tls"].mend
    assert checks["time"].outcome == "warn"


def test_a_certificate_that_is_not_trusted_and_one_that_is(tmp_path: Path, clock: FakeClock) -> None:
    files = certificates.make(tmp_path)
    with FaultServer(lambda r: (200, {}, b"{}"), files.context()) as secure:
        for bundle, result in (("", "fail"), (str(files.authority), "pass")):
            options = PurviewOptions(secure.url, auth="none", ca_bundle=bundle)
            with PurviewCatalog(options, FixedHeader("none", None), clock=clock) as catalog:
                check = examine(catalog)["tls"]
            assert check.outcome == result
            assert ("ca_bundle" in check.mend) == (result == "fail")


def test_a_ca_bundle_that_is_none(tmp_path: Path, clock: FakeClock) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    files = certificates.make(tmp_path)
    with FaultServer(lambda r: (200, {}, b"{}"), files.context()) as secure:
        for bundle in (str(text), str(tmp_path / "nothing.pem")):
            options = PurviewOptions(secure.url, auth="none", ca_bundle=bundle)
            with PurviewCatalog(options, FixedHeader("none", None), clock=clock) as catalog:
                checks = examine(catalog)
            assert checks["tls"].outcome == "fail" and bundle in checks["tls"].found and "PEM" in checks["tls"].mend
            assert checks["time"].outcome == "warn" and checks["read"].outcome == "skip"


@pytest.mark.parametrize("skew, words", [(7_200.0, r"72\d\d s ahead of"), (-7_200.0, r"7[12]\d\d s behind")])
def test_a_clock_that_is_wrong(healthy: World, skew: float, words: str) -> None:
    healthy.clock.jump(skew)
    check = examine(healthy.client())["time"]
    assert check.outcome == "fail" and re.search(words, check.found) and "set the clock" in check.mend


class TestToken:
    @staticmethod
    def jwt(**claims: Any) -> str:
        parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
        return ".".join(base64.urlsafe_b64encode(p.encode()).rstrip(b"=").decode() for p in parts) + ".c2ln"

    def examine(self, world: World, token: str) -> Dict[str, Check]:
        class Issuer:
            def get_token(self, *scopes: str, **_: Any) -> Any:
                return type("T", (), {"token": token, "expires_on": world.clock.time() + 3600})()

        options = world.options()
        considered = (("basic", "username not set"),)
        source = CachedToken("client_secret", Issuer(), options.scope, considered, clock=world.clock)
        with PurviewCatalog(options, source, clock=world.clock) as catalog:
            return examine(catalog)

    def test_its_audience_is_right(self, healthy: World) -> None:
        for audience in ("https://purview.azure.net", "https://purview.azure.net/", PURVIEW_APP):
            checks = self.examine(healthy, self.jwt(aud=audience, appid="app-1", tid="tenant-1"))
            assert checks["audience"].outcome == "pass" and "app-1" in checks["audience"].found
        assert "basic: username not set" in checks["token"].found

    def test_its_audience_is_wrong(self, healthy: World) -> None:
        token = self.jwt(aud="https://purview.azure.com")
        checks = self.examine(healthy, token)
        assert checks["audience"].outcome == "fail" and "purview.azure.net" in checks["audience"].mend
        assert token not in json.dumps(checks)

    @pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.!!!.c", "a.W10.c"])
    def test_it_need_not_be_readable(self, healthy: World, token: str) -> None:
        assert self.examine(healthy, token)["audience"].found == "no claims to check"

    def test_there_is_none(self, healthy: World) -> None:
        options = PurviewOptions(healthy.front.url, auth="client_secret", tenant_id="t", client_id="c",
                                 client_secret="s3cret", authority="127.0.0.1:1")
        with PurviewCatalog(options, credential(options, environ={}), clock=healthy.clock) as catalog:
            checks = examine(catalog)
        assert checks["token"].outcome == "fail" and checks["read"].outcome == "skip"
        assert "s3cret" not in json.dumps(checks)


def test_a_state_file_that_cannot_be_written(healthy: World) -> None:
    (healthy.folder / "a file").write_text("")
    catalog = healthy.client("a file/state.sqlite")
    check = examine(catalog)["settings"]
    assert check.outcome == "warn" and "writable" in check.mend


def test_what_was_written_cannot_be_read_or_deleted(healthy: World) -> None:
    healthy.client().ensure_types()
    gone: Callable[[Request], bool] = lambda r: "/uniqueAttribute/" in r.path  # noqa: E731
    healthy.front.fail(status(200, {}, fits=gone))
    checks = examine(healthy.client("other.sqlite"))
    assert outcome(checks) == {"read back": "warn"}
    healthy.front.fail(status(200, {}, fits=lambda r: r.method == "DELETE"))
    checks = examine(healthy.client("third.sqlite"))
    assert outcome(checks) == {"delete": "warn"} and "by hand" in checks["delete"].mend
    assert PLACEHOLDER in healthy.server.catalog.statistics()["entities"]


def test_a_server_without_a_date(clock: FakeClock) -> None:
    now = email.utils.formatdate(clock.time(), usegmt=True)
    with FaultServer(lambda r: (404, {"X-Date": now}, b"")) as server:
        options = PurviewOptions(server.url)
        with PurviewCatalog(options, FixedHeader("none", None), clock=clock) as catalog:
            assert examine(catalog)["time"].outcome in ("fail", "warn")
