"""All settings: one frozen object, each value with the source it came from.

Sources, first match wins: keyword, environment (`ADB_LINEAGE_<NAME>`, and azure-identity's own `AZURE_*` where a
setting names one), Spark conf (`spark.adb_lineage.<name>`), the `transport` section of `openlineage.yml` when its
type is ours, default.
"""
from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import tempfile
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, MutableMapping, Optional, Tuple

from adb_lineage.errors import SettingsError

ENVIRONMENT_PREFIX = "ADB_LINEAGE_"
SPARK_PREFIX = "spark.adb_lineage."
CONF_VARIABLE = "_ADB_LINEAGE_SPARK_CONF"
"""Where a driver's Python leaves our lines of its Spark conf (JSON) for `adb-lineage` started from a notebook."""

SECRET_MASK = "********"
AUTH = ("auto", "client_secret", "certificate", "managed_identity", "workload_identity", "service_credential",
        "azure_cli", "basic", "none")


_USERINFO = re.compile(r"^(\w+://)?\S*@")
"""User and password in a URL, which may lack the scheme; a password may hold every character that it must not."""


def _setting(default: Any, text: str, *, allowed: Tuple[str, ...] = (), least: Optional[float] = None,
             most: float = math.inf, environment: str = "", secret: bool = False) -> Any:
    """A field with its help text, its allowed words or numbers, and azure-identity's name for it."""
    return field(default=default, metadata={"text": text, "allowed": allowed, "bounds": (least, most),
                                            "environment": environment, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """What a user can set. Times are seconds, sizes are bytes."""

    enabled: Optional[bool] = _setting(None, "on or off; unset means: on when a target is configured")
    mode: str = _setting("deliver", "write to the catalog, or only record what would be written",
                         allowed=("deliver", "preview"))

    account: str = _setting("", "name of the Purview account")
    endpoint: str = _setting("", "base URL of the catalog instead of the one that `account` gives")
    flavour: str = _setting("purview", "what answers at the endpoint", allowed=("purview", "atlas"))
    atlas_prefix: str = _setting("", "path of the Atlas v2 API below the endpoint; empty means the flavour's own")
    service_prefix: str = _setting("", "path of Purview's other calls; empty means the flavour's own")
    collection: str = _setting("", "collection to write to (its six-letter name); empty means the account's root")
    cloud: str = _setting("public", "Azure cloud", allowed=("public", "china", "usgov"))
    proxy: str = _setting("", "URL of an HTTPS proxy")
    ca_bundle: str = _setting("", "file with the certificates to trust besides the system's")

    auth: str = _setting("auto", "how to identify to the catalog", allowed=AUTH)
    tenant_id: str = _setting("", "Entra tenant", environment="AZURE_TENANT_ID")
    client_id: str = _setting("", "application or managed identity", environment="AZURE_CLIENT_ID")
    client_secret: str = _setting("", "secret of the application", environment="AZURE_CLIENT_SECRET", secret=True)
    certificate_path: str = _setting("", "PEM or PFX file of the application",
                                     environment="AZURE_CLIENT_CERTIFICATE_PATH")
    certificate_password: str = _setting("", "password of that file", secret=True,
                                         environment="AZURE_CLIENT_CERTIFICATE_PASSWORD")
    service_credential: str = _setting("", "name of a Unity Catalog service credential")
    secret_scope: str = _setting("", "Databricks secret scope that holds `client-secret`, read at run time")
    username: str = _setting("", "user for a plain Apache Atlas")
    password: str = _setting("", "password for a plain Apache Atlas", secret=True)

    workspace: str = _setting("", "host name of the workspace where Spark does not tell it (laptop, CI)")
    metastore: str = _setting("", "id of the Unity Catalog metastore; Purview's names of its tables begin with it")
    notebook: str = _setting("", "name of the program where Spark does not tell it; empty means the script's path")
    namespace: str = _setting("", "OpenLineage job namespace; empty means the workspace, else `default`")
    session_only: bool = _setting(False, "capture the own Spark session only, not the whole driver")
    jobs_api: bool = _setting(False, "ask Databricks' Jobs API for what the driver cannot know of a job")
    cell_seconds: float = _setting(0.0, "longest time that the end of a cell waits for delivery in an open notebook, "
                                        "whose Python lives on; in a job it waits up to exit_seconds", least=0)
    capture_seconds: float = _setting(5.0, "most processor time for the columns of one query, on our own thread; its "
                                           "datasets are captured whatever the time", least=0.01)
    plan_bytes: int = _setting(32 << 20, "plans above it are captured without columns", least=0)
    column_edges: int = _setting(100_000, "most column edges of one query", least=0)
    queue_capacity: int = _setting(1000, "most finished queries that wait in the JVM", least=1)
    logical_plan: bool = _setting(False, "put Spark's logical plan, redacted, into the event and the process")

    rules: str = _setting("", "file with naming rules, ours or the accelerator's")
    prefer: str = _setting("location", "which is the asset when a table has a name and a location",
                           allowed=("location", "table"))
    include_one_sided: bool = _setting(False, "write runs that only read or only write")
    include_failed: bool = _setting(False, "write runs that failed")
    indirect_columns: bool = _setting(True, "write columns that only decide about rows (filter, join, group, sort)")
    create_missing: str = _setting("typed", "what stands in for an asset that no scan has brought yet",
                                   allowed=("typed", "placeholder", "skip"))

    data_dir: str = _setting("", "folder of the outbox and the record; empty means a private folder of the user")
    outbox_bytes: int = _setting(512 << 20, "bound of the outbox", least=1 << 20)
    synchronous: str = _setting("FULL", "SQLite's durability of the outbox", allowed=("FULL", "NORMAL", "OFF"))
    spool_dir: str = _setting("", "folder that outlives the cluster, for events that could not be delivered")
    run_seconds: float = _setting(3600.0, "how long an incomplete run is waited for", least=0)
    exit_seconds: float = _setting(10.0, "longest time that the end of the program may wait for delivery", least=0)
    requests_per_second: float = _setting(20.0, "rate limit towards the catalog", least=0.01)
    bulk_entities: int = _setting(200, "most entities of one call", least=1, most=200)
    bulk_bytes: int = _setting(1 << 20, "most bytes of one call", least=1024)
    update_last_run: bool = _setting(False, "write the time of the last run even when nothing else changed")

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __repr__(self) -> str:
        shown = (f"{row.name}={row.shown!r}" for row in self.rows() if row.source != "default")
        return f"Settings({', '.join(shown)})"

    @classmethod
    def names(cls) -> Tuple[str, ...]:
        """All keys, in the order they are documented."""
        return tuple(one.name for one in _fields())

    @classmethod
    def load(cls, keywords: Optional[Mapping[str, Any]] = None, *, environ: Optional[Mapping[str, str]] = None,
             spark_conf: Optional[Mapping[str, str]] = None,
             file_config: Optional[Mapping[str, Any]] = None) -> Settings:
        """Merge the sources; `file_config` is the transport section of `openlineage.yml` without its `type`.

        Without a `spark_conf` it is the one that the driver's Python left for its children, see `leave_conf`.

        Raises SettingsError for an unknown key or a bad value, naming the key, the source, the value, the allowed.
        """
        environ = os.environ if environ is None else environ
        layers = [
            ("keyword", dict(keywords or {})),
            ("environment", _prefixed(environ, ENVIRONMENT_PREFIX, lower=True)),
            ("Azure environment", {one.name: environ[one.metadata["environment"]] for one in _fields()
                                   if environ.get(one.metadata["environment"])}),
            ("Spark conf", _prefixed(left_conf(environ) if spark_conf is None else spark_conf, SPARK_PREFIX,
                                     lower=False)),
            ("openlineage.yml", dict(file_config or {})),
        ]
        known = {one.name: one for one in _fields()}
        values: Dict[str, Any] = {}
        sources: Dict[str, str] = {}
        for source, layer in layers:
            for key, raw in layer.items():
                if key not in known:
                    raise SettingsError(f"unknown setting {key!r} from {source}; known are: {', '.join(known)}")
                if key not in values and raw is not None:
                    values[key] = _parse(known[key], raw, source)
                    sources[key] = source
        return cls(**values, sources=sources)

    def rows(self) -> List[SettingRow]:
        """Each setting with its value as it may be shown, its source and its meaning."""
        rows = []
        for one in _fields():
            value = getattr(self, one.name)
            source = self.sources.get(one.name, "default")
            rows.append(SettingRow(one.name, _shown(one, value), source, one.metadata["text"]))
        return rows

    @property
    def has_target(self) -> bool:
        """Whether a catalog to write to is named."""
        return bool(self.account or self.endpoint)

    def demand_target(self) -> None:
        """Raises SettingsError when no catalog is named."""
        if not self.has_target:
            raise SettingsError(
                "no catalog is named: set account to your Purview account's name, or endpoint to a URL"
            )

    @property
    def active(self) -> bool:
        """Whether lineage is on: said so, or a target is named and nobody said no."""
        return self.has_target if self.enabled is None else self.enabled


@dataclass(frozen=True)
class SettingRow:
    """A setting as `adb-lineage settings` shows it."""

    name: str
    shown: Any
    source: str
    text: str


def leave_conf(spark_conf: Mapping[str, str], environ: MutableMapping[str, str]) -> None:
    """Leave our lines of the Spark conf, without the secrets, to the processes that this one starts."""
    known = {SPARK_PREFIX + one.name: one for one in _fields()}
    ours = {key: value for key, value in spark_conf.items()
            if key.startswith(SPARK_PREFIX) and (key not in known or _shown(known[key], value) == value)}
    if ours:
        environ[CONF_VARIABLE] = json.dumps(ours)


def left_conf(environ: Mapping[str, str]) -> Dict[str, str]:
    """What `leave_conf` left; {} when nothing was."""
    found: Dict[str, str] = json.loads(environ.get(CONF_VARIABLE, "{}"))
    return found


def default_data_dir(environ: Optional[Mapping[str, str]] = None) -> str:
    """The driver's local disk on Databricks, otherwise the user's state folder, otherwise the temporary one."""
    environ = os.environ if environ is None else environ
    if "DATABRICKS_RUNTIME_VERSION" in environ and os.access("/local_disk0", os.W_OK):
        return "/local_disk0/adb_lineage"
    state = environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    probe = state
    while not os.path.exists(probe) and os.path.dirname(probe) != probe:
        probe = os.path.dirname(probe)
    if os.access(probe, os.W_OK):
        return os.path.join(state, "adb_lineage")
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    return os.path.join(tempfile.gettempdir(), f"adb_lineage-{user}")


def _fields() -> List[dataclasses.Field[Any]]:
    return [one for one in dataclasses.fields(Settings) if one.name != "sources"]


def _shown(one: dataclasses.Field[Any], value: Any) -> Any:
    """A value as it may be shown: no secret, and no user and password in a URL."""
    if one.metadata["secret"]:
        return SECRET_MASK if value else value
    if one.name in ("proxy", "endpoint") and isinstance(value, str):
        return _USERINFO.sub(rf"\1{SECRET_MASK}@", value)
    return value


def _prefixed(values: Mapping[str, str], prefix: str, *, lower: bool) -> Dict[str, str]:
    found = {key[len(prefix):]: value for key, value in values.items() if key.startswith(prefix) and value != ""}
    return {key.lower(): value for key, value in found.items()} if lower else found


def _parse(one: dataclasses.Field[Any], raw: Any, source: str) -> Any:
    """The typed value of a raw one; text is accepted for every type, as environment and Spark conf know no other."""
    kind = str(one.type)
    shown = SECRET_MASK if one.metadata["secret"] else repr(_shown(one, raw))
    try:
        if "bool" in kind:
            return _boolean(raw)
        if "int" in kind:
            return _bounded(_integer(raw), *one.metadata["bounds"])
        if "float" in kind:
            return _bounded(float(raw), *one.metadata["bounds"])
        if not isinstance(raw, (str, os.PathLike)):
            raise ValueError("a text")
        text = os.fspath(raw)
        if one.metadata["allowed"] and text not in one.metadata["allowed"]:
            raise ValueError(" or ".join(one.metadata["allowed"]))
        return text
    except (TypeError, ValueError) as error:
        wanted = str(error) if isinstance(error, ValueError) and "could not convert" not in str(error) else "a number"
        raise SettingsError(f"setting {one.name} from {source} is {shown}; allowed is {wanted}") from None


def _boolean(raw: Any) -> bool:
    word = str(raw).strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError("true or false")


def _integer(raw: Any) -> int:
    """A whole number; sizes may carry a unit (64KB, 2mb, 1GiB)."""
    if isinstance(raw, bool):
        raise ValueError("a whole number")
    match = re.fullmatch(r"\s*(-?\d+)\s*(?:([kmg])(?:i?b)?)?\s*", str(raw).lower())
    if not match:
        raise ValueError("a whole number, with KB, MB or GB if you like")
    return int(match.group(1)) << {"k": 10, "m": 20, "g": 30}.get(match.group(2) or "", 0)


def _bounded(number: Any, least: Optional[float], most: float) -> Any:
    if number != number or (least is not None and number < least) or number > most:
        raise ValueError(f"a number of at least {least}" + (f" and at most {most}" if most < math.inf else ""))
    return number
