"""Who we are: one strategy out of a stated list, and its token, kept until shortly before it ends.

`DefaultAzureCredential` is not used: on a cluster it would quietly try the managed identity of a virtual machine that
belongs to Databricks. With `auth="auto"` the strategies are considered in the order of `options.STRATEGIES`; the first
whose preconditions hold is taken, and each one before it says why it did not apply. A strategy that was taken and then
fails is an error: falling through to another identity would hide a mistake.
"""
from __future__ import annotations

import base64
import logging
import os
import re
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Protocol, Tuple
from urllib.parse import urlsplit

from adb_lineage.errors import AdbLineageError, FixNeeded, RetryLater, SettingsError
from adb_lineage.purview.answers import redact
from adb_lineage.purview.clock import Clock, SystemClock
from adb_lineage.purview.options import CLOUDS, STRATEGIES, PurviewOptions

log = logging.getLogger("adb_lineage.purview")

# Without a handler of their own their warnings go to the driver's stderr, into the user's notebook.
for _name in ("azure", "msal"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

SECRET_KEY = "client-secret"
"""Key in `secret_scope`."""
MARGIN = 300.0
"""A token is renewed this many seconds before it ends."""
RETRY_PAUSE = 30.0
"""While an old token is still good, a failed renewal is not repeated before this time."""


class Credential(Protocol):
    """The part of azure-core's `TokenCredential` that we use."""

    def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        """An object with `token` and `expires_on` (seconds since the epoch)."""


class TokenSource(Protocol):
    """Gives the `Authorization` header of a request."""

    strategy: str
    considered: Tuple[Tuple[str, str], ...]

    @property
    def secrets(self) -> Tuple[str, ...]:
        """Texts that must never be shown, besides those of the options."""

    def authorization(self) -> Optional[str]:
        """The header, None for no authentication; raises `FixNeeded`, `RetryLater`."""

    def renew(self, rejected: Optional[str]) -> bool:
        """The catalog rejected this header: whether there will be another one."""


class FixedHeader:
    """Basic authentication, or none at all."""

    def __init__(self, strategy: str, header: Optional[str], considered: Tuple[Tuple[str, str], ...] = ()) -> None:
        self.strategy = strategy
        self.considered = considered
        self._header = header

    @property
    def secrets(self) -> Tuple[str, ...]:
        return ()

    def authorization(self) -> Optional[str]:
        return self._header

    def renew(self, rejected: Optional[str]) -> bool:
        return False

    def __repr__(self) -> str:
        return f"FixedHeader({self.strategy!r})"


class CachedToken:
    """A credential's token; one thread renews it while the others go on with the old one."""

    def __init__(
        self,
        strategy: str,
        credential: Credential,
        scope: str,
        considered: Tuple[Tuple[str, str], ...] = (),
        secrets: Tuple[str, ...] = (),
        clock: Optional[Clock] = None,
    ) -> None:
        self.strategy = strategy
        self.considered = considered
        self._credential = credential
        self._scope = scope
        self._secrets = secrets
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0
        self._not_before = 0.0

    def __repr__(self) -> str:
        return f"CachedToken({self.strategy!r}, scope={self._scope!r})"

    @property
    def secrets(self) -> Tuple[str, ...]:
        return (*self._secrets, *getattr(self._credential, "secrets", ()))

    def authorization(self) -> Optional[str]:
        token, left = self._token, self._ends - self._clock.time()
        if not token or left <= MARGIN:
            # Who comes second while the old token is good need not wait for the new one.
            good = bool(token) and left > 0
            if self._lock.acquire(blocking=not good):
                try:
                    token = self._renewed(token)
                finally:
                    self._lock.release()
        return f"Bearer {token}"

    def _renewed(self, seen: str) -> str:
        now = self._clock.time()
        if self._token != seen and self._ends - now > MARGIN:
            return self._token  # somebody else has just done it
        good = bool(self._token) and self._ends > now
        if good and self._clock.monotonic() < self._not_before:
            return self._token
        try:
            answer = self._credential.get_token(self._scope)
            token, ends = str(answer.token), float(getattr(answer, "expires_on", 0) or now + 2 * MARGIN)
        except Exception as failure:  # noqa: BLE001 - credentials come from anywhere
            if good:
                self._not_before = self._clock.monotonic() + RETRY_PAUSE
                log.info("no new token, the old one still holds: %s", redact(str(failure), self.secrets))
                return self._token
            raise self._error(failure) from None
        self._token, self._ends = token, ends
        return token

    def renew(self, rejected: Optional[str]) -> bool:
        with self._lock:
            if rejected == f"Bearer {self._token}":
                self._token, self._ends, self._not_before = "", 0.0, 0.0
        return True

    def _error(self, failure: Exception) -> AdbLineageError:
        if isinstance(failure, AdbLineageError):
            return failure
        text = redact(" ".join(str(failure).split()), self.secrets)[:600]
        reason = f"no token by {self.strategy} for {self._scope}: {type(failure).__name__}: {text}"
        if _is_passing(failure):
            return RetryLater(reason)
        others = "".join(f"; {name}: {why}" for name, why in self.considered)
        return FixNeeded(f"{reason}{others}")


_AWAY = {"ServiceRequestError", "ServiceResponseError", "ConnectionError", "Timeout", "TimeoutError"}
_BUSY = re.compile(
    r"HTTP Error: (?:429|5\d\d)|too many requests|temporarily_unavailable|AADSTS(?:90033|90055|50196)", re.IGNORECASE
)


def _is_passing(failure: Exception) -> bool:
    """Whether the token service is away or busy, as opposed to refusing us.

    azure-identity turns every failure, a dropped connection too, into `ClientAuthenticationError`: what it was stands
    behind it, or in the text only.
    """
    chain: List[BaseException] = []
    link: Optional[BaseException] = failure
    while link is not None and len(chain) < 10:
        chain.append(link)
        link = link.__cause__ or link.__context__
    if any("CERTIFICATE_VERIFY_FAILED" in str(one) for one in chain):
        return False
    for one in chain:
        response = getattr(one, "response", None)
        code = getattr(response, "status_code", None) or getattr(one, "status_code", None)
        if isinstance(code, int) and (code == 429 or code >= 500):
            return True
        if {kind.__name__ for kind in type(one).__mro__} & _AWAY or _BUSY.search(str(one)):
            return True
    return False


class Inapplicable(NamedTuple):
    """Why a strategy does not apply here, and what would make it."""

    reason: str


@dataclass(frozen=True)
class Surroundings:
    """What a strategy may look at besides the options."""

    environ: Mapping[str, str]
    service_credentials: Optional[Callable[[str], Any]]
    find_dbutils: Optional[Callable[[], Any]]
    clock: Clock


class _Late:
    """A credential that is made from `dbutils`, at once if that is possible, else when a token is needed.

    A cluster starts lineage before its first notebook is there, and `dbutils` comes with the notebook.
    """

    def __init__(self, make: Callable[[], Any], what: str, secrets: List[str]) -> None:
        self._make = make
        self._what = what
        self._secrets = secrets
        self._made: Any = None
        with suppress(FixNeeded):
            self._real()

    @property
    def secrets(self) -> Tuple[str, ...]:
        return tuple(self._secrets)

    def get_token(self, *scopes: str, **_: Any) -> Any:
        return self._real().get_token(*scopes)

    def _real(self) -> Any:
        if self._made is None:
            try:
                self._made = self._make()
            except AdbLineageError:
                raise
            except Exception as failure:  # noqa: BLE001 - py4j and dbutils raise what they like
                text = redact(" ".join(str(failure).split()), self._secrets)[:300]
                raise FixNeeded(f"{self._what}: {type(failure).__name__}: {text}") from None
        return self._made


def credential(
    options: PurviewOptions,
    *,
    service_credentials: Optional[Callable[[str], Any]] = None,
    find_dbutils: Optional[Callable[[], Any]] = None,
    environ: Optional[Mapping[str, str]] = None,
    clock: Optional[Clock] = None,
) -> TokenSource:
    """The token source for these options; nothing is sent yet.

    `service_credentials(name)` gives a Unity Catalog service credential; without it the `dbutils` that `find_dbutils`
    gives is asked, now if there is one already, else when a token is needed. Secret scopes are read through it too.

    Raises `FixNeeded` when no strategy applies, with every strategy's reason.
    """
    around = Surroundings(
        os.environ if environ is None else environ, service_credentials, find_dbutils, clock or SystemClock()
    )
    names = STRATEGIES if options.auth == "auto" else (options.auth,)
    considered: List[Tuple[str, str]] = []
    for name in names:
        result = _STRATEGIES[name](options, around)
        if isinstance(result, Inapplicable):
            considered.append((name, result.reason))
        elif isinstance(result, FixedHeader):
            return FixedHeader(name, result.authorization(), tuple(considered))
        else:
            return CachedToken(name, result, options.scope, tuple(considered), options.secrets, around.clock)
    raise FixNeeded("no identity for Purview: " + "; ".join(f"{name}: {why}" for name, why in considered))


def _pipeline(options: PurviewOptions) -> Dict[str, Any]:
    """How azure-identity is to reach the token service: its own time-outs are five minutes."""
    settings: Dict[str, Any] = {
        "connection_timeout": options.connect_timeout,
        "read_timeout": options.read_timeout,
        "retry_total": 2,
    }
    if options.proxy:
        settings["proxies"] = {"http": options.proxy, "https": options.proxy}
    if options.ca_bundle:
        settings["connection_verify"] = options.ca_bundle
    return settings


def _entra(options: PurviewOptions) -> Dict[str, Any]:
    known = {cloud.authority for cloud in CLOUDS.values()}
    # An authority of one's own cannot be confirmed by Microsoft's list of authorities.
    return {
        **_pipeline(options),
        "authority": options.authority_host,
        "disable_instance_discovery": urlsplit(f"//{options.authority_host}").hostname not in known,
    }


def _lacking(**values: str) -> str:
    return ", ".join(name for name, value in values.items() if not value)


def _none(options: PurviewOptions, around: Surroundings) -> Any:
    if options.auth == "none" or (options.is_local and not options.username):
        return FixedHeader("none", None)
    return Inapplicable("the endpoint is not on this machine")


def _basic(options: PurviewOptions, around: Surroundings) -> Any:
    lacking = _lacking(username=options.username, password=options.password)
    if lacking:
        return Inapplicable(f"{lacking} not set")
    text = f"{options.username}:{options.password}".encode()
    return FixedHeader("basic", f"Basic {base64.b64encode(text).decode('ascii')}")


def _service_credential(options: PurviewOptions, around: Surroundings) -> Any:
    name = options.service_credential or around.environ.get("DATABRICKS_DEFAULT_SERVICE_CREDENTIAL_NAME", "")
    if not name:
        return Inapplicable("service_credential (a Unity Catalog service credential's name) not set")
    given, find_dbutils = around.service_credentials, around.find_dbutils
    if given is None and find_dbutils is None:
        return Inapplicable(f"{name!r} is set, but there is no dbutils here")

    def make() -> Any:
        provider = given
        if provider is None and find_dbutils is not None:
            provider = find_dbutils().credentials.getServiceCredentialsProvider
        return provider(name) if provider is not None else None

    what = f"service credential {name!r} (Databricks Runtime 15.4 or later; grant ACCESS on it to the run's user)"
    return _Late(make, what, list(options.secrets))


def _client_secret(options: PurviewOptions, around: Surroundings) -> Any:
    lacking = _lacking(
        tenant_id=options.tenant_id,
        client_id=options.client_id,
        client_secret=options.client_secret or options.secret_scope,
    )
    if lacking:
        return Inapplicable(f"{lacking} not set")
    from azure.identity import ClientSecretCredential

    def made(secret: str) -> Any:
        return ClientSecretCredential(options.tenant_id, options.client_id, secret, **_entra(options))

    if options.client_secret:
        return _made(lambda: made(options.client_secret), options)
    find_dbutils = around.find_dbutils
    if find_dbutils is None:
        return Inapplicable(f"secret_scope {options.secret_scope!r} is set, but there is no dbutils here")
    secrets = list(options.secrets)

    def make() -> Any:
        secret = str(find_dbutils().secrets.get(options.secret_scope, SECRET_KEY))
        secrets.append(secret)
        return made(secret)

    return _Late(make, f"secret {SECRET_KEY!r} of the scope {options.secret_scope!r}", secrets)


def _certificate(options: PurviewOptions, around: Surroundings) -> Any:
    lacking = _lacking(
        tenant_id=options.tenant_id,
        client_id=options.client_id,
        certificate_path=options.certificate_path or options.certificate_data,
    )
    if lacking:
        return Inapplicable(f"{lacking} not set")
    from azure.identity import CertificateCredential

    return _made(
        lambda: CertificateCredential(
            options.tenant_id,
            options.client_id,
            certificate_path=options.certificate_path or None,
            certificate_data=options.certificate_data.encode() or None,
            password=options.certificate_password or None,
            **_entra(options),
        ),
        options,
    )


def _workload_identity(options: PurviewOptions, around: Surroundings) -> Any:
    token_file = around.environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    tenant = options.tenant_id or around.environ.get("AZURE_TENANT_ID", "")
    client = options.client_id or around.environ.get("AZURE_CLIENT_ID", "")
    lacking = _lacking(AZURE_FEDERATED_TOKEN_FILE=token_file, tenant_id=tenant, client_id=client)
    if lacking:
        return Inapplicable(f"{lacking} not set")
    try:
        from azure.identity import WorkloadIdentityCredential
    except ImportError:
        return Inapplicable("azure-identity here is older than 1.13, which brought it")

    return _made(
        lambda: WorkloadIdentityCredential(
            tenant_id=tenant, client_id=client, token_file_path=token_file, **_entra(options)
        ),
        options,
    )


def _managed_identity(options: PurviewOptions, around: Surroundings) -> Any:
    hosts = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")
    if options.auth != "managed_identity" and not any(around.environ.get(name) for name in hosts):
        return Inapplicable(
            f"none of {', '.join(hosts)} is set; on a virtual machine ask for it with auth=managed_identity "
            "(a Databricks cluster has no managed identity of yours)"
        )
    from azure.identity import ManagedIdentityCredential

    return _made(lambda: ManagedIdentityCredential(client_id=options.client_id or None, **_pipeline(options)), options)


def _azure_cli(options: PurviewOptions, around: Surroundings) -> Any:
    if options.auth != "azure_cli":
        if around.environ.get("DATABRICKS_RUNTIME_VERSION"):
            return Inapplicable("it is for laptops, and this is a Databricks cluster")
        if not shutil.which("az", path=around.environ.get("PATH")):
            return Inapplicable("there is no az in PATH")
    from azure.identity import AzureCliCredential

    return _made(lambda: AzureCliCredential(tenant_id=options.tenant_id), options)


def _made(make: Callable[[], Any], options: PurviewOptions) -> Any:
    try:
        return make()
    except (ValueError, OSError, TypeError) as failure:
        text = redact(" ".join(str(failure).split()), options.secrets)
        raise SettingsError(f"identity: {text}") from None


_STRATEGIES: Dict[str, Callable[[PurviewOptions, Surroundings], Any]] = {
    "none": _none,
    "basic": _basic,
    "service_credential": _service_credential,
    "client_secret": _client_secret,
    "certificate": _certificate,
    "workload_identity": _workload_identity,
    "managed_identity": _managed_identity,
    "azure_cli": _azure_cli,
}
