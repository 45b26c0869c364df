"""Identity: the order of strategies, their reasons, the token's life. Entra is a TLS server of our own."""
from __future__ import annotations

import base64
import json
import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

import azure.identity
import certificates
import pytest
from fault_server import Fault, FaultServer, Reply, Request, status
from purview_world import FakeClock

from adb_lineage.composition import catalog_from_settings
from adb_lineage.errors import FixNeeded, RetryLater, SettingsError
from adb_lineage.purview import PurviewCatalog, PurviewOptions, credential
from adb_lineage.purview.auth import MARGIN, CachedToken, FixedHeader
from adb_lineage.purview.options import STRATEGIES
from adb_lineage.settings import Settings

REMOTE = "https://acct.purview.azure.com"
SECRET = "pl4nted-s3cret~value"
SP = {"tenant_id": "11111111-1111-1111-1111-111111111111", "client_id": "22222222-2222-2222-2222-222222222222"}


OWN_AUTHORITY = pytest.mark.skipif(
    not hasattr(azure.identity, "WorkloadIdentityCredential"), reason="azure-identity 1.13 brought both"
)


class Token:
    def __init__(self, token: str, expires_on: float) -> None:
        self.token, self.expires_on = token, expires_on


class Issuer:
    """A credential as azure-identity has them, with a life time of its tokens."""

    def __init__(self, clock: FakeClock, life: float = 3600.0) -> None:
        self.clock, self.life = clock, life
        self.asked: List[str] = []
        self.failure: Optional[Exception] = None

    def get_token(self, *scopes: str, **_: Any) -> Token:
        self.asked.append(scopes[0])
        if self.failure:
            raise self.failure
        return Token(f"token-{len(self.asked)}", self.clock.time() + self.life)


class TestOrder:
    def test_every_strategy_that_was_not_taken_says_why(self) -> None:
        with pytest.raises(FixNeeded) as raised:
            credential(PurviewOptions(REMOTE), environ={"PATH": ""})
        for name in STRATEGIES:
            assert f"{name}: " in str(raised.value)

    @pytest.mark.parametrize(
        "changes, environ, taken",
        [
            ({"endpoint": "http://127.0.0.1:1"}, {}, "none"),
            ({"endpoint": "http://localhost:1", "username": "admin", "password": "admin"}, {}, "basic"),
            ({"flavour": "atlas", "username": "a", "password": "b"}, {}, "basic"),
            ({**SP, "client_secret": SECRET}, {}, "client_secret"),
            ({"service_credential": "sc", **SP, "client_secret": SECRET}, {}, "service_credential"),
            pytest.param(
                {}, {"AZURE_FEDERATED_TOKEN_FILE": "/f", "AZURE_TENANT_ID": SP["tenant_id"], "AZURE_CLIENT_ID": "c"},
                "workload_identity", marks=OWN_AUTHORITY),
            ({}, {"IDENTITY_ENDPOINT": "http://x", "IDENTITY_HEADER": "h"}, "managed_identity"),
            ({"auth": "managed_identity"}, {}, "managed_identity"),
            ({"auth": "azure_cli"}, {}, "azure_cli"),
            ({"auth": "none"}, {}, "none"),
        ],
    )
    def test_the_first_that_applies(
        self, changes: Dict[str, Any], environ: Mapping[str, str], taken: str, clock: FakeClock
    ) -> None:
        options = PurviewOptions(**{"endpoint": REMOTE, **changes})
        source = credential(options, environ=environ, service_credentials=lambda name: Issuer(clock))
        assert source.strategy == taken
        before = STRATEGIES[: STRATEGIES.index(taken)] if options.auth == "auto" else ()
        assert tuple(name for name, _ in source.considered) == before

    def test_a_certificate(self, tmp_path: Path) -> None:
        path = certificates.client_certificate(tmp_path / "app.pem")
        for options in (PurviewOptions(REMOTE, certificate_path=str(path), **SP),
                        PurviewOptions(REMOTE, certificate_data=path.read_text(), **SP)):
            assert credential(options, environ={}).strategy == "certificate"
            assert "PRIVATE" not in repr(options)

    def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        path = certificates.client_certificate(tmp_path / "app.pem", b"locked")
        for changes in ({"certificate_path": str(path)}, {"certificate_path": "/no/such.pem"},
                        {"certificate_path": str(path), "certificate_password": SECRET}):
            with pytest.raises(SettingsError) as raised:
                credential(PurviewOptions(REMOTE, **SP, **changes), environ={})
            assert SECRET not in str(raised.value)

    def test_an_asked_for_strategy_that_lacks_something_does_not_fall_through(self) -> None:
        options = PurviewOptions(REMOTE, auth="client_secret", tenant_id="t")
        with pytest.raises(FixNeeded, match="client_secret: client_id, client_secret not set"):
            credential(options, environ={"IDENTITY_ENDPOINT": "http://x"})

    def test_no_machine_identity_on_databricks(self, tmp_path: Path) -> None:
        az = tmp_path / "az"
        az.write_text("#!/bin/sh\nexit 1\n")
        az.chmod(az.stat().st_mode | stat.S_IEXEC)
        environ = {"DATABRICKS_RUNTIME_VERSION": "15.4", "PATH": str(tmp_path)}
        with pytest.raises(FixNeeded, match="azure_cli: it is for laptops"):
            credential(PurviewOptions(REMOTE), environ=environ)
        assert credential(PurviewOptions(REMOTE), environ={"PATH": str(tmp_path)}).strategy == "azure_cli"


class Dbutils:
    """The two parts of `dbutils` that are used. A double: the real one lives on a cluster."""

    def __init__(self, clock: FakeClock, failure: Optional[Exception] = None) -> None:
        self.asked: List[Any] = []
        self.credentials = self.secrets = self
        self._clock, self._failure = clock, failure

    def getServiceCredentialsProvider(self, name: str) -> Issuer:  # noqa: N802 - dbutils' own name
        self.asked.append(name)
        if self._failure:
            raise self._failure
        return Issuer(self._clock)

    def get(self, scope: str, key: str) -> str:
        self.asked.append((scope, key))
        if self._failure:
            raise self._failure
        return SECRET


class TestServiceCredential:
    options = PurviewOptions(REMOTE, service_credential="lineage")

    def test_through_dbutils(self, clock: FakeClock) -> None:
        dbutils = Dbutils(clock)
        source = credential(self.options, find_dbutils=lambda: dbutils, environ={}, clock=clock)
        assert dbutils.asked == ["lineage"]  # now, on the thread that has the notebook
        assert source.authorization() == "Bearer token-1" and dbutils.asked == ["lineage"]

    def test_dbutils_that_comes_later(self, clock: FakeClock) -> None:
        there: List[Dbutils] = []

        def find() -> Dbutils:
            if not there:
                raise LookupError("no dbutils in this Python")
            return there[0]

        source = credential(self.options, find_dbutils=find, environ={}, clock=clock)
        with pytest.raises(FixNeeded, match="no dbutils in this Python"):
            source.authorization()
        there.append(Dbutils(clock))
        assert source.authorization() == "Bearer token-1"

    def test_a_provider_without_an_expiry(self, clock: FakeClock) -> None:
        class Bare:
            def get_token(self, scope: str) -> Any:
                return type("T", (), {"token": "t"})()

        source = credential(self.options, service_credentials=lambda n: Bare(), environ={}, clock=clock)
        assert source.authorization() == "Bearer t"

    def test_no_dbutils(self) -> None:
        with pytest.raises(FixNeeded, match="'lineage' is set, but there is no dbutils here"):
            credential(self.options, environ={})

    def test_no_access(self, clock: FakeClock) -> None:
        dbutils = Dbutils(clock, RuntimeError(f"PERMISSION_DENIED: {SECRET}"))
        options = PurviewOptions(REMOTE, service_credential="x", client_secret=SECRET)
        with pytest.raises(FixNeeded, match="grant ACCESS.*PERMISSION_DENIED") as raised:
            credential(options, find_dbutils=lambda: dbutils, environ={}).authorization()
        assert SECRET not in str(raised.value)

    def test_a_runtime_too_old(self, clock: FakeClock) -> None:
        with pytest.raises(FixNeeded, match="15.4 or later"):
            credential(self.options, find_dbutils=object, environ={}).authorization()


class TestSecretScope:
    options = PurviewOptions(REMOTE, secret_scope="lineage", **SP)

    def test_the_secret_is_read_and_never_shown(self, clock: FakeClock) -> None:
        dbutils = Dbutils(clock)
        source = credential(self.options, find_dbutils=lambda: dbutils, environ={})
        assert source.strategy == "client_secret" and dbutils.asked == [("lineage", "client-secret")]
        assert SECRET in source.secrets and SECRET not in repr(source)

    def test_a_scope_that_may_not_be_read(self, clock: FakeClock) -> None:
        dbutils = Dbutils(clock, RuntimeError("does not have READ permission on scope lineage"))
        with pytest.raises(FixNeeded, match="secret 'client-secret' of the scope 'lineage'.*READ permission"):
            credential(self.options, find_dbutils=lambda: dbutils, environ={}).authorization()

    def test_a_secret_that_is_given_goes_first(self, clock: FakeClock) -> None:
        dbutils = Dbutils(clock)
        options = PurviewOptions(REMOTE, secret_scope="lineage", client_secret="given", **SP)
        credential(options, find_dbutils=lambda: dbutils, environ={})
        assert dbutils.asked == []

    def test_no_dbutils(self) -> None:
        with pytest.raises(FixNeeded, match="secret_scope 'lineage' is set, but there is no dbutils"):
            credential(self.options, environ={"PATH": ""})


    def test_the_setting_on_a_cluster(
        self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As the settings give it, with the `dbutils` of the notebook: the scope's secret asks for the token."""
        dbutils = Dbutils(clock)
        monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
        monkeypatch.setattr(sys.modules["__main__"], "dbutils", dbutils, raising=False)
        settings = Settings.load(
            {"endpoint": REMOTE, "secret_scope": "lineage", "data_dir": str(tmp_path), **SP}, environ={}
        )
        with caplog.at_level(0), catalog_from_settings(settings) as catalog:
            assert dbutils.asked == [("lineage", "client-secret")]
            assert catalog.status()["identity"] == "client_secret"
            assert SECRET not in f"{catalog.status()} {settings!r} {settings.rows()} {caplog.text}"

    def test_the_setting_before_there_is_a_notebook(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
        settings = Settings.load(
            {"endpoint": REMOTE, "secret_scope": "lineage", "data_dir": str(tmp_path), **SP}, environ={}
        )
        with catalog_from_settings(settings) as catalog, pytest.raises(FixNeeded, match="there is no dbutils"):
            catalog.ensure_types()


class TestToken:
    def test_it_is_asked_for_once_and_renewed_before_its_end(self, clock: FakeClock) -> None:
        issuer = Issuer(clock)
        source = CachedToken("x", issuer, "scope", clock=clock)
        for _ in range(5):
            assert source.authorization() == "Bearer token-1"
        clock.pass_by(3600 - MARGIN - 1)
        assert source.authorization() == "Bearer token-1"
        clock.pass_by(2)
        assert source.authorization() == "Bearer token-2"
        assert issuer.asked == ["scope", "scope"]

    def test_a_clock_that_jumps(self, clock: FakeClock) -> None:
        issuer = Issuer(clock)
        source = CachedToken("x", issuer, "scope", clock=clock)
        source.authorization()
        clock.jump(1e7)
        assert source.authorization() == "Bearer token-2"
        clock.jump(-2e7)
        assert source.authorization() == "Bearer token-2"  # the catalog's 401 tells if that was too trusting
        assert source.renew("Bearer token-2")
        assert source.authorization() == "Bearer token-3"

    def test_while_the_old_one_is_good_a_failure_to_renew_is_no_failure(self, clock: FakeClock) -> None:
        issuer = Issuer(clock)
        source = CachedToken("x", issuer, "scope", clock=clock)
        source.authorization()
        clock.pass_by(3600 - MARGIN + 1)
        issuer.failure = ConnectionError("away")
        for _ in range(5):
            assert source.authorization() == "Bearer token-1"
        assert len(issuer.asked) == 2  # not asked again at once
        clock.pass_by(31)
        source.authorization()
        assert len(issuer.asked) == 3
        clock.pass_by(MARGIN)
        with pytest.raises(RetryLater):
            source.authorization()

    def test_a_rejected_token_is_dropped_once(self, clock: FakeClock) -> None:
        issuer = Issuer(clock)
        source = CachedToken("x", issuer, "scope", clock=clock)
        source.authorization()
        assert source.renew("Bearer token-1") and source.authorization() == "Bearer token-2"
        assert source.renew("Bearer token-1") and source.authorization() == "Bearer token-2"

    def test_many_threads_ask_once(self, clock: FakeClock) -> None:
        issuer = Issuer(clock)
        slow = issuer.get_token

        def get_token(*scopes: str, **kwargs: Any) -> Token:
            time.sleep(0.1)
            return slow(*scopes, **kwargs)

        issuer.get_token = get_token  # type: ignore[method-assign]
        source = CachedToken("x", issuer, "scope", clock=clock)
        seen: List[Optional[str]] = []
        threads = [threading.Thread(target=lambda: seen.append(source.authorization())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert seen == ["Bearer token-1"] * 8 and len(issuer.asked) == 1

    @pytest.mark.parametrize("failure, kind", [
        (ConnectionError("x"), RetryLater), (TimeoutError("x"), RetryLater), (ValueError("x"), FixNeeded),
    ])
    def test_failures_by_kind(self, clock: FakeClock, failure: Exception, kind: type) -> None:
        issuer = Issuer(clock)
        issuer.failure = failure
        with pytest.raises(kind):
            CachedToken("x", issuer, "scope", clock=clock).authorization()


def entra(request: Request) -> Reply:
    """The two calls that MSAL makes of a token service."""
    base = f"https://{request.headers['Host']}/{SP['tenant_id']}"
    if request.path.endswith("/openid-configuration"):
        body = {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token", "issuer": base}
        return 200, {}, json.dumps(body).encode()
    form = request.body.decode()
    if "client_secret=wrong" in form:
        body = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
        return 401, {}, json.dumps(body).encode()
    return 200, {}, json.dumps({"access_token": "from-entra", "expires_in": 3600, "token_type": "Bearer"}).encode()


@OWN_AUTHORITY
class TestEntra:
    """azure-identity and MSAL as they are, over TLS, to a server that answers like the token service."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> certificates.Certificates:
        return certificates.make(tmp_path)

    @pytest.fixture
    def server(self, files: certificates.Certificates) -> Iterator[FaultServer]:
        with FaultServer(entra, files.context()) as one:
            yield one

    @pytest.fixture
    def options(self, server: FaultServer, files: certificates.Certificates) -> Callable[..., PurviewOptions]:
        def make(**changes: Any) -> PurviewOptions:
            return PurviewOptions(**{
                "endpoint": REMOTE, "authority": f"127.0.0.1:{server.port}", "ca_bundle": str(files.authority),
                **SP, **changes,
            })

        return make

    def test_client_secret(self, server: FaultServer, options: Callable[..., PurviewOptions]) -> None:
        source = credential(options(client_secret=SECRET), environ={})
        assert source.authorization() == "Bearer from-entra"
        (asked,) = server.requests(lambda r: r.path.endswith("/token"))
        assert b"scope=https%3A%2F%2Fpurview.azure.net%2F.default" in asked.body

    def test_certificate(
        self, server: FaultServer, options: Callable[..., PurviewOptions], tmp_path: Path
    ) -> None:
        path = certificates.client_certificate(tmp_path / "app.pem", b"pw")
        source = credential(options(certificate_path=str(path), certificate_password="pw"), environ={})
        assert source.authorization() == "Bearer from-entra"
        assert b"client_assertion=" in server.requests()[-1].body

    def test_workload_identity(
        self, server: FaultServer, options: Callable[..., PurviewOptions], tmp_path: Path
    ) -> None:
        (tmp_path / "assertion").write_text("federated")
        environ = {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "assertion")}
        assert credential(options(), environ=environ).authorization() == "Bearer from-entra"
        assert b"client_assertion=federated" in server.requests()[-1].body

    def test_the_cloud_decides_the_audience(
        self, server: FaultServer, options: Callable[..., PurviewOptions]
    ) -> None:
        credential(options(client_secret=SECRET, cloud="china"), environ={}).authorization()
        assert b"scope=https%3A%2F%2Fpurview.azure.cn%2F.default" in server.requests()[-1].body

    def test_a_wrong_secret_is_to_be_mended_and_is_not_shown(
        self, options: Callable[..., PurviewOptions]
    ) -> None:
        with pytest.raises(FixNeeded, match="AADSTS7000215") as raised:
            credential(options(client_secret="wrong-" + SECRET), environ={}).authorization()
        assert SECRET not in str(raised.value)

    @pytest.mark.parametrize("code, body", [
        (429, {"error": "temporarily_unavailable", "error_description": "AADSTS50196: loop"}), (500, {"error": "x"}),
        (503, None), (400, {"error": "server_error", "error_description": "AADSTS90033: transient"}),
    ])
    def test_a_token_service_that_is_busy(
        self, server: FaultServer, options: Callable[..., PurviewOptions], code: int, body: Any
    ) -> None:
        server.fail(status(code, body, times=100, fits=lambda r: r.path.endswith("/token"), Retry_After="0"))
        with pytest.raises(RetryLater):
            credential(options(client_secret=SECRET), environ={}).authorization()

    def test_a_token_service_that_is_away(self, options: Callable[..., PurviewOptions]) -> None:
        with pytest.raises(RetryLater):
            credential(options(client_secret=SECRET, authority="127.0.0.1:1"), environ={}).authorization()

    def test_a_token_service_with_a_strange_certificate(self, server: FaultServer) -> None:
        options = PurviewOptions(REMOTE, authority=f"127.0.0.1:{server.port}", client_secret=SECRET, **SP)
        with pytest.raises(FixNeeded, match="CERTIFICATE_VERIFY_FAILED"):
            credential(options, environ={}).authorization()
        assert server.requests() == []


def test_azure_cli_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expires = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(time.time() + 3600))
    answer = json.dumps({"accessToken": "from-cli", "expiresOn": expires, "expires_on": int(time.time()) + 3600,
                         "subscription": "s", "tenant": "t", "tokenType": "Bearer"})
    az = tmp_path / "az"
    az.write_text(f"#!/bin/sh\necho '{answer}'\n")
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert credential(PurviewOptions(REMOTE, auth="azure_cli")).authorization() == "Bearer from-cli"
    az.write_text("#!/bin/sh\necho 'ERROR: Please run az login' >&2\nexit 1\n")
    with pytest.raises(FixNeeded, match="az login"):
        credential(PurviewOptions(REMOTE, auth="azure_cli")).authorization()


def test_a_managed_identity_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def host(request: Request) -> Reply:
        body = {"access_token": "from-msi", "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer",
                "resource": dict(request.query)["resource"]}
        return 200, {}, json.dumps(body).encode()

    with FaultServer(host) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "h")
        assert credential(PurviewOptions(REMOTE)).authorization() == "Bearer from-msi"
        assert dict(server.requests()[0].query)["resource"] == "https://purview.azure.net"


class TestWithTheCatalog:
    def catalog(self, front: FaultServer, issuer: Issuer, clock: FakeClock) -> PurviewCatalog:
        options = PurviewOptions(front.url, auth="service_credential", service_credential="x", rate=1e9)
        source = credential(options, service_credentials=lambda name: issuer, environ={}, clock=clock)
        return PurviewCatalog(options, source, clock=clock)

    @staticmethod
    def strict(request: Request) -> Reply:
        if request.headers.get("Authorization") != "Bearer token-2":
            return 401, {}, b"<html>Unauthorized</html>"
        return 200, {}, b'{"entityDefs": [{"name": "t"}]}'

    def test_a_token_withdrawn_mid_way_is_replaced_once(self, clock: FakeClock) -> None:
        issuer = Issuer(clock)
        with FaultServer(self.strict) as front, self.catalog(front, issuer, clock) as catalog:
            assert catalog.client.get_all_typedefs()["entityDefs"]
            assert len(front.requests()) == 2 and len(issuer.asked) == 2

    def test_a_token_that_is_never_right_is_an_error_after_the_second(self, clock: FakeClock) -> None:
        issuer = Issuer(clock)
        with FaultServer(lambda r: (401, {}, b"")) as front, self.catalog(front, issuer, clock) as catalog:
            with pytest.raises(FixNeeded, match="audience"):
                catalog.client.get_all_typedefs()
            assert len(front.requests()) == 2

    def test_basic(self) -> None:
        with FaultServer(lambda r: (200, {}, b"{}")) as front:
            options = PurviewOptions(front.url, flavour="atlas", username="ädmin", password="a:b")
            with PurviewCatalog(options, credential(options, environ={})) as catalog:
                catalog.client.get_all_typedefs()
            header = front.requests()[0].headers["Authorization"]
        assert base64.b64decode(header.split(" ")[1]).decode() == "ädmin:a:b"


def test_nothing_shows_a_secret(clock: FakeClock) -> None:
    options = PurviewOptions(
        REMOTE, client_secret=SECRET, certificate_password=SECRET, password=SECRET, certificate_data=SECRET,
        proxy=f"http://u:{SECRET}@h:1", **SP,
    )
    source = credential(options, environ={})
    fixed = credential(PurviewOptions(REMOTE, auth="basic", username="u", password=SECRET), environ={})
    token = CachedToken("x", Issuer(clock), "s", clock=clock)
    token.authorization()
    with PurviewCatalog(options, source) as catalog:
        shown = [repr(x) for x in (options, source, fixed, token, catalog.status())]
        shown += [str(options), str(vars(catalog))]
    assert not [text for text in shown if SECRET in text or "token-1" in text]
    assert isinstance(fixed, FixedHeader)


@OWN_AUTHORITY
def test_a_fault_between_us_and_the_token_service_is_passing(tmp_path: Path) -> None:
    files = certificates.make(tmp_path)
    with FaultServer(entra, files.context()) as server:
        server.fail(Fault("drop", times=100))
        options = PurviewOptions(REMOTE, authority=f"127.0.0.1:{server.port}", ca_bundle=str(files.authority),
                                 client_secret=SECRET, **SP)
        with pytest.raises(RetryLater):
            credential(options, environ={}).authorization()
