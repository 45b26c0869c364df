"""What the room must be told: where the catalog is, who we are, and how hard it may be worked."""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Dict, NamedTuple, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlsplit

from adb_lineage.errors import SettingsError

STRATEGIES = (
    "none",
    "basic",
    "service_credential",
    "client_secret",
    "certificate",
    "workload_identity",
    "managed_identity",
    "azure_cli",
)
"""Ways to prove who we are, in the order in which `auth="auto"` considers them."""


class Cloud(NamedTuple):
    """The fixed names of one Azure cloud."""

    authority: str
    audience: str
    suffix: str


CLOUDS: Dict[str, Cloud] = {
    "public": Cloud("login.microsoftonline.com", "https://purview.azure.net", "purview.azure.com"),
    "china": Cloud("login.chinacloudapi.cn", "https://purview.azure.cn", "purview.azure.cn"),
    "usgov": Cloud("login.microsoftonline.us", "https://purview.azure.us", "purview.azure.us"),
}
PREFIXES = {"purview": ("/datamap/api/atlas/v2", "/datamap/api"), "atlas": ("/api/atlas/v2", "")}
"""Path of the Atlas API and of Purview's own calls (search, move), for each flavour."""


def account_endpoint(account: str, cloud: str = "public") -> str:
    """The endpoint of a Purview account's own host, `https://{account}.purview.azure.com` in the public cloud.

    Raises `SettingsError` for a cloud we do not know and for an account that is not a host label.
    """
    if not account or not all(part.isalnum() for part in account.split("-")):
        raise SettingsError(
            f"account: {account!r} is not the name of a Purview account (letters, digits and dashes); "
            "a URL belongs into endpoint"
        )
    return f"https://{account}.{_cloud(cloud).suffix}"


def _cloud(name: str) -> Cloud:
    if name not in CLOUDS:
        raise SettingsError(f"cloud: {name!r} is not known; allowed: {', '.join(CLOUDS)}")
    return CLOUDS[name]


@dataclass(frozen=True)
class PurviewOptions:
    """Everything the room needs to know. Times are seconds, sizes bytes. Secrets are left out of `repr`.

    Raises `SettingsError` when a value is not allowed; the message names the field, the value and what is allowed.
    """

    endpoint: str
    """Base URL without a path: `https://acct.purview.azure.com`, a private or a local host."""
    flavour: str = "purview"
    """`purview`, or `atlas` for a plain Apache Atlas."""
    atlas_prefix: str = ""
    service_prefix: str = ""
    """Paths in front of the Atlas calls and of Purview's own; empty means the flavour's usual ones."""
    api_version: str = "2023-09-01"
    collection: str = ""
    """Six-letter internal name of the collection new assets go to; empty means the root collection."""

    auth: str = "auto"
    """One of `STRATEGIES`, or `auto`: the first that the other options make possible."""
    cloud: str = "public"
    authority: str = ""
    """Host that issues tokens, where it is not the cloud's own."""
    audience: str = ""
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    certificate_path: str = ""
    certificate_data: str = field(default="", repr=False)
    """The certificate with its key, as a file or as the PEM text itself."""
    certificate_password: str = field(default="", repr=False)
    secret_scope: str = ""
    """Databricks secret scope that holds `client-secret`, for where `client_secret` is not given."""
    service_credential: str = ""
    """Name of a Unity Catalog service credential."""
    username: str = ""
    password: str = field(default="", repr=False)
    """Basic authentication, for a plain Atlas."""

    proxy: str = field(default="", repr=False)
    """`http://[user:password@]host:port`; empty means what the environment says."""
    ca_bundle: str = ""
    """File with the certificate authorities to trust instead of the usual ones. TLS is always verified."""
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    write_timeout: float = 120.0
    """How long a write may take to be answered."""
    answer_seconds: float = 300.0
    """How long an answer may take to arrive, from its first byte to its last: the time-outs are for each read."""
    answer_bytes: int = 128 << 20
    """Most that an answer may have, unpacked."""

    rate: float = 20.0
    """Requests a second at most. One capacity unit of Purview gives 25 operations a second."""
    concurrency: int = 4
    tries: int = 6
    """How often one request is sent before the answer is `RetryLater`."""
    retry_first: float = 1.0
    retry_cap: float = 30.0
    retry_budget: float = 90.0
    """Longest time one request may be retried for; after that the caller keeps the work and comes back."""
    breaker_first: float = 15.0
    breaker_cap: float = 600.0
    """First and longest pause between two attempts while the catalog is away."""

    bulk_entities: int = 100
    bulk_entities_cap: int = 200
    bulk_bytes: int = 1_000_000
    url_chars: int = 7_000
    found_seconds: float = 86_400.0
    """How long an asset that was found is taken to be still there."""
    absent_seconds: float = 900.0
    """How long an asset that was not found is taken to be still absent."""
    recheck_seconds: float = 60.0
    """An entity that is unchanged is not sent; after this time it is first checked that it was not deleted by hand."""
    refused_seconds: float = 3_600.0
    """How long an entity that was refused is not tried again with the same content."""
    volatile: Tuple[str, ...] = (
        "sparkPlan", "description", "user", "clusterName", "clusterId", "baseParameters", "parameters",
    )
    """Attributes that change with every run: they are sent, but are no reason to send."""
    volatile_seconds: Optional[float] = 86_400.0
    """A change in volatile attributes alone is sent at most this often; 0: with every run, None: never on its own."""

    create_missing: str = "typed"
    """What to do for a dataset that the catalog lacks: `typed` (as its real type where the account allows it, else as
    the custom type), `placeholder` (always as the custom type), `skip` (leave its edge out)."""
    placeholder_columns: int = 1_000
    grace_seconds: float = 900.0
    """How long a placeholder without edges is kept: another driver may be about to use it."""

    def __post_init__(self) -> None:
        parts = _url(self.endpoint)
        if parts.path.strip("/") or parts.query or "@" in parts.netloc:
            raise SettingsError(
                f"endpoint: {parts.scheme}://{parts.hostname}/… has more than scheme, host and port; "
                "a path belongs into atlas_prefix and service_prefix, a user into username and password"
            )
        if parts.scheme == "http" and not self.is_local and self.flavour == "purview":
            raise SettingsError(f"endpoint: {self.endpoint!r} is not encrypted; http is allowed for this machine only")
        _one_of("flavour", self.flavour, tuple(PREFIXES))
        _one_of("auth", self.auth, ("auto", *STRATEGIES))
        _one_of("create_missing", self.create_missing, ("typed", "placeholder", "skip"))
        _cloud(self.cloud)
        atlas, service = PREFIXES[self.flavour]
        object.__setattr__(self, "endpoint", f"{parts.scheme}://{parts.netloc}")
        object.__setattr__(self, "atlas_prefix", _path("atlas_prefix", self.atlas_prefix) or atlas)
        object.__setattr__(self, "service_prefix", _path("service_prefix", self.service_prefix) or service)
        for name in ("connect_timeout", "read_timeout", "write_timeout", "answer_seconds", "rate", "retry_first",
                     "retry_cap", "retry_budget", "breaker_first", "breaker_cap"):
            _above("0", name, getattr(self, name) > 0, getattr(self, name))
        for name in ("answer_bytes", "concurrency", "tries", "bulk_entities", "bulk_entities_cap", "bulk_bytes",
                     "url_chars"):
            _above("0", name, getattr(self, name) >= 1, getattr(self, name))

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is this machine."""
        host = urlsplit(self.endpoint).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def atlas_url(self) -> str:
        """Base of the Atlas calls."""
        return self.endpoint + self.atlas_prefix

    @property
    def service_url(self) -> str:
        """Base of Purview's own calls."""
        return self.endpoint + self.service_prefix

    @property
    def authority_host(self) -> str:
        """Host that issues our tokens."""
        return self.authority or CLOUDS[self.cloud].authority

    @property
    def scope(self) -> str:
        """Scope to ask a token for."""
        return (self.audience or CLOUDS[self.cloud].audience).rstrip("/") + "/.default"

    @property
    def secrets(self) -> Tuple[str, ...]:
        """Texts that must never be shown."""
        proxy = urlsplit(self.proxy if "://" in self.proxy else f"//{self.proxy}").password or ""
        texts = (self.client_secret, self.certificate_password, self.certificate_data, self.password, proxy,
                 unquote(proxy))
        return tuple(sorted({text for text in texts if text}, key=len, reverse=True))


def _url(endpoint: str) -> SplitResult:
    try:
        parts = urlsplit(endpoint)
        if parts.scheme in ("https", "http") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:  # no IPv6 address, no port
        pass
    shown = endpoint.rsplit("@", 1)[-1]  # before it there may be a password
    raise SettingsError(f"endpoint: {shown!r} is not a URL like https://account.purview.azure.com")


def _one_of(name: str, value: str, allowed: Tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name}: {value!r} is not allowed; allowed: {', '.join(allowed)}")


def _above(least: str, name: str, holds: bool, value: object) -> None:
    if not holds:
        raise SettingsError(f"{name}: {value!r} must be greater than {least}")


def _path(name: str, value: str) -> str:
    if value and not value.startswith("/"):
        raise SettingsError(f"{name}: {value!r} must begin with a slash")
    return value.rstrip("/")
