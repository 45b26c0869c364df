"""Checks the way to the catalog step by step, and says in words what to do where it ends.

A step that fails ends the ones that need it; they are reported as skipped. Nothing is left behind in the catalog but
the type definitions, which are installed if they are lacking.
"""
from __future__ import annotations

import base64
import email.utils
import json
import os
import socket
import ssl
import uuid
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from adb_lineage.assets import AssetName
from adb_lineage.errors import AdbLineageError, FixNeeded, RetryLater
from adb_lineage.purview.answers import redact
from adb_lineage.purview.catalog import PurviewCatalog
from adb_lineage.purview.types import PLACEHOLDER, PLACEHOLDER_COLUMN

PASS, WARN, FAIL, SKIP = "pass", "warn", "fail", "skip"
CLOCK_SKEW = 300.0
PURVIEW_APP = "73c2949e-da2d-457a-9607-fcc665198967"
"""Application id of Purview: tokens may name it as their audience in place of the URL."""


class Check(NamedTuple):
    """One step: what was found, and what to do about it."""

    name: str
    outcome: str
    """`pass`, `warn`, `fail` or `skip`."""
    found: str
    mend: str = ""


class _Failed(Exception):
    def __init__(self, found: str, mend: str, outcome: str = FAIL) -> None:
        super().__init__(found)
        self.check = (outcome, found, mend)


class Doctor:
    """Examines one catalog."""

    def __init__(self, catalog: PurviewCatalog) -> None:
        self._catalog = catalog
        self._options = catalog.options
        parts = urlsplit(self._options.endpoint)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._is_tls = parts.scheme == "https"
        self._name = AssetName(PLACEHOLDER, f"adb_lineage://doctor/{uuid.uuid4()}")
        self._guid = ""

    def examine(self, say: Callable[[Check], None] = lambda check: None) -> List[Check]:
        """All checks in order; `say` gets each as it is done."""
        steps: Tuple[Tuple[str, Tuple[str, ...], Callable[[], str]], ...] = (
            ("settings", (), self._settings),
            ("dns", ("settings",), self._dns),
            ("tls", ("dns",), self._tls),
            ("time", ("dns",), self._time),
            ("token", ("settings",), self._token),
            ("audience", ("token",), self._audience),
            ("read", ("tls", "token"), self._read),
            ("typedefs", ("read",), self._typedefs),
            ("write", ("typedefs",), self._write),
            ("read back", ("write",), self._read_back),
            ("delete", ("write",), self._delete),
        )
        checks: List[Check] = []
        done: Dict[str, str] = {}
        for name, needs, step in steps:
            missing = [need for need in needs if done[need] in (FAIL, SKIP)]
            check = Check(name, SKIP, f"needs {missing[0]}") if missing else self._take(name, step)
            done[name] = check.outcome
            checks.append(check)
            say(check)
        return checks

    def _take(self, name: str, step: Callable[[], str]) -> Check:
        secrets = (*self._options.secrets, *self._catalog.tokens.secrets)
        try:
            return Check(name, PASS, redact(step(), secrets))
        except _Failed as failure:
            outcome, found, mend = failure.check
            return Check(name, outcome, redact(found, secrets), mend)
        except FixNeeded as failure:
            return Check(name, FAIL, redact(str(failure), secrets), _MENDS.get(name, ""))
        except RetryLater as failure:
            return Check(name, FAIL, redact(str(failure), secrets), "the catalog is away or busy: try again later")
        except (AdbLineageError, OSError, ValueError) as failure:
            return Check(name, FAIL, redact(str(failure), secrets), _MENDS.get(name, ""))

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _settings(self) -> str:
        options = self._options
        problem = self._catalog.state.problem
        if problem:
            raise _Failed(problem, "make the folder of the state file writable for the driver's user", WARN)
        where = f", collection {options.collection}" if options.collection else ""
        return f"{options.flavour} at {options.atlas_url}{where}; identity: {self._catalog.tokens.strategy}"

    def _dns(self) -> str:
        if self._options.proxy:
            return "left to the proxy"
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as failure:
            raise _Failed(
                f"{self._host} has no address: {failure}",
                "check the account name; with a private endpoint, link the private DNS zone "
                "privatelink.purview.azure.com to the cluster's network",
            ) from None
        return f"{self._host} is {', '.join(sorted({str(row[4][0]) for row in found}))}"

    def _tls(self) -> str:
        if not self._is_tls:
            return "not used on this machine's own address"
        if self._options.proxy:
            return "checked with the first request, through the proxy"
        trusted = self._options.ca_bundle or DEFAULT_CA_BUNDLE_PATH
        try:
            if os.path.isdir(trusted):
                context = ssl.create_default_context(capath=trusted)
            else:
                context = ssl.create_default_context(cafile=trusted)
        except OSError as failure:
            raise _Failed(
                f"the certificates of ca_bundle, {trusted}, can't be read: {failure}",
                "name a PEM file with the certificate authorities to trust that the driver's user may read",
            ) from None
        try:
            plain = socket.create_connection((self._host, self._port), self._options.connect_timeout)
            with plain, context.wrap_socket(plain, server_hostname=self._host) as secure:
                certificate: Dict[str, Any] = dict(secure.getpeercert() or {})
                issuer = {name: value for ((name, value),) in certificate.get("issuer", ())}
                return f"{secure.version()}, certificate by {issuer.get('organizationName') or issuer}"
        except ssl.SSLError as failure:
            raise _Failed(
                f"the certificate of {self._host} is not trusted: {failure}",
                "if a firewall opens TLS on the way, give its certificate authority as ca_bundle",
            ) from None
        except OSError as failure:
            raise _Failed(
                f"no connection to {self._host}:{self._port}: {failure}",
                "let the cluster's network reach this host: firewall, route, private endpoint, or proxy",
            ) from None

    def _time(self) -> str:
        options = self._options
        try:
            answer = self._catalog.client.http.date()
        except (OSError, ValueError) as failure:  # requests' own errors are OSErrors
            raise _Failed(f"no answer from {self._host}: {failure}", "see tls", WARN) from None
        try:
            theirs = email.utils.parsedate_to_datetime(answer).timestamp()
        except (TypeError, ValueError):
            raise _Failed("the catalog does not tell the time", "", WARN) from None
        skew = self._catalog.clock.time() - theirs
        if abs(skew) > CLOCK_SKEW:
            raise _Failed(
                f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {options.endpoint}",
                "set the clock: tokens are valid for a time only",
            )
        return f"clocks differ by {abs(skew):.0f} s"

    def _token(self) -> str:
        tokens = self._catalog.tokens
        header = tokens.authorization()
        passed = "; ".join(f"{name}: {why}" for name, why in tokens.considered)
        how = f"{tokens.strategy}" + (f" (before it: {passed})" if passed else "")
        return how if header else f"{how}: no token is sent"

    def _audience(self) -> str:
        claims = _claims(self._catalog.tokens.authorization())
        if not claims:
            return "no claims to check"
        wanted = self._options.scope.rsplit("/.default", 1)[0]
        audience = str(claims.get("aud") or "")
        if audience.rstrip("/") not in (wanted, PURVIEW_APP):
            raise _Failed(
                f"the token is for {audience!r}, not for {wanted!r}",
                "correct audience or cloud; note that Purview's is purview.azure.net, not .com",
            )
        who = claims.get("appid") or claims.get("azp") or claims.get("oid") or "?"
        return f"for {audience}, identity {who}, tenant {claims.get('tid', '?')}"

    def _read(self) -> str:
        return f"{len(self._catalog.client.typedefs()['entityDefs'])} types"

    def _typedefs(self) -> str:
        self._catalog.ensure_types()
        report = self._catalog.types_report
        if report.problem:
            raise _Failed(report.problem, _MENDS["typedefs"], WARN)
        if report.lacking:
            raise _Failed(
                f"the account's own types lack {', '.join(report.lacking)}",
                "what is written there is not shown; ask Microsoft to update the account's types",
                WARN,
            )
        changes = [f"installed {len(report.created)}"] if report.created else []
        changes += [f"updated {len(report.updated)}"] if report.updated else []
        return ", ".join(changes) or "all there"

    def _write(self) -> str:
        book = self._catalog.book
        if PLACEHOLDER not in book:
            raise _Failed("the placeholder's type is lacking", _MENDS["typedefs"], FAIL)
        table = {
            "typeName": PLACEHOLDER,
            "guid": "-1",
            "attributes": {
                "qualifiedName": self._name.qualified_name,
                "name": "adb_lineage doctor",
                "description": "A test that is deleted at once.\nWritten by adb_lineage.",
            },
        }
        column = {
            "typeName": PLACEHOLDER_COLUMN,
            "guid": "-2",
            "attributes": {
                "qualifiedName": f"{self._name.qualified_name}#column",
                "name": "column",
                "data_type": "string",
            },
            "relationshipAttributes": {"table": {"guid": "-1", "typeName": PLACEHOLDER}},
        }
        result = self._catalog.client.upsert([table, column])
        self._guid = str(result["guidAssignments"].get("-1") or "")
        if not self._guid:
            raise _Failed("the catalog took the entity but told no guid", "report this with the request id")
        return f"wrote {self._name.qualified_name} as {self._guid}"

    def _read_back(self) -> str:
        entities = self._catalog.client.lookup(PLACEHOLDER, [self._name.qualified_name], relationships=True)
        if [str(entity.get("guid")) for entity in entities] != [self._guid]:
            raise _Failed("what was written can't be read by its name", "try again: the catalog may lag behind", WARN)
        if not (entities[0].get("relationshipAttributes") or {}).get("columns"):
            raise _Failed("the column of the test is not attached", "see typedefs: the columns relationship", WARN)
        return "found by its exact name, with its column"

    def _delete(self) -> str:
        self._catalog.client.delete_guids([self._guid])
        if self._catalog.client.lookup(PLACEHOLDER, [self._name.qualified_name]):
            raise _Failed(
                f"{self._name.qualified_name} is still there after it was deleted", "delete it by hand", WARN
            )
        return "nothing is left behind"


_MENDS = {
    "token": "correct the identity's settings: tenant_id, client_id, and secret or certificate, or service_credential",
    "read": "give the identity a role on a collection: Data Reader to read, Data Curator to write",
    "typedefs": "type definitions belong to the whole account: let somebody who is Data Curator on the root collection "
    "run `adb-lineage doctor` once",
    "write": "give the identity the role Data Curator on the collection that assets are written to; `collection` is "
    "its six-letter name, not the one that is shown",
    "delete": "give the identity the role Data Curator on the collection that assets are written to",
}


def _claims(header: Optional[str]) -> Dict[str, Any]:
    """What a bearer token says of itself; it is not verified, the catalog does that."""
    parts = (header or "").split(" ")[-1].split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
