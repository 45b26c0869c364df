"""`NameEngine`: an OpenLineage dataset in, the asset it is in Purview out."""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from adb_lineage.assets import Asset, AssetName
from adb_lineage.translate.names.addresses import PATH_SCHEMES, plain_address, without_credentials
from adb_lineage.translate.names.hosts import names_host
from adb_lineage.translate.names.identifiers import split_query
from adb_lineage.translate.names.mounts import Location, Mounts, is_local, plain_location
from adb_lineage.translate.names.rules import PLACEHOLDER_TYPE, Bound, Outcome, RuleSet, last_segment, query_label

PLACEHOLDER_RULE = "placeholder"
MAX_NAME_BYTES = 4096
"""Purview's limit for the name of an asset, kept for qualified names as well."""

_WORKSPACES = 4
_CACHE_SIZE = 2048
"""Workspaces, and datasets of each, that are remembered: a driver sees one of the former and few of the latter."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SIGNED = re.compile(r"\?(?:[^/?]*&)?sig=.*$", re.IGNORECASE | re.DOTALL)
"""The shared access signature of an address; one that is not percent-encoded has slashes."""
_SECRET = re.compile(r"(?i)\b(sig|signature|password|pwd|secret|accountkey|sharedaccesskey|token)=[^&;\s]*")
_WORKSPACE = re.compile(
    r"(?:databricks|unitycatalog|dbfs)://(?P<host>[^/:;?@.]+\.[^/:;?@]*databricks[^/:;?@]*)", re.IGNORECASE
)
"""A namespace that tells a workspace."""

MountsLike = Union[Mounts, Iterable[Mapping[str, str]]]
_NO_MOUNTS = Mounts()
_ERRORS = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


class Miss(NamedTuple):
    """A rule that came before the one that matched, and why it did not hold."""

    rule: str
    reason: str


@dataclass(frozen=True)
class Explanation:
    """How a dataset got its name."""

    asset: Asset
    namespace: str
    """The namespace that the rules saw: mount resolved, host under its canonical name."""
    name: str
    misses: Tuple[Miss, ...]


class _BoundRules(NamedTuple):
    """The rules for one namespace."""

    every: Sequence[Tuple[str, Union[Bound, str]]]
    """Each rule's name, with the rule or the reason why it does not hold there."""
    holding: Sequence[Bound]


class NameEngine:
    """Names datasets by a rule set. Never raises on a dataset: one that no rule knows becomes a marked placeholder.

    The same dataset, mounts and workspace give the same asset. An engine may be used by several threads.
    """

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self._naming = lru_cache(maxsize=_WORKSPACES)(partial(Naming, rules))

    def within(
        self, mounts: MountsLike = (), workspace: Optional[str] = None, metastore: Optional[str] = None
    ) -> Naming:
        """The names as they are in one workspace.

        `mounts` are the workspace's mount points, `workspace` its host, `metastore` the id of its Unity Catalog
        metastore; without the latter two, names that contain them are placeholders.
        """
        return self._naming(mounts if isinstance(mounts, Mounts) else Mounts(mounts), workspace, metastore)

    def name_dataset(
        self,
        namespace: str,
        name: str,
        *,
        mounts: MountsLike = (),
        workspace: Optional[str] = None,
        metastore: Optional[str] = None,
    ) -> Asset:
        """The asset of an OpenLineage dataset, without columns; see `within`."""
        return self.within(mounts, workspace, metastore)(namespace, name)

    def explain(
        self,
        namespace: str,
        name: str,
        *,
        mounts: MountsLike = (),
        workspace: Optional[str] = None,
        metastore: Optional[str] = None,
    ) -> Explanation:
        """The same asset, with every rule that was tried before the one that matched."""
        return self.within(mounts, workspace, metastore).explain(namespace, name)


class Naming:
    """Names datasets as they are in one workspace; made by `NameEngine.within`."""

    def __init__(self, rules: RuleSet, mounts: Mounts, workspace: Optional[str], metastore: Optional[str]) -> None:
        self._rules = rules
        self._mounts = mounts
        self._workspace = workspace
        self._home = _workspace_in(f"databricks://{workspace}")
        # `current_metastore()` gives `azure:westeurope:<id>`, of which names have the id alone.
        self._metastore = metastore.strip().rpartition(":")[2] if metastore else None
        self._assets: Dict[Tuple[str, str], Asset] = {}
        self._bound = lru_cache(maxsize=2048)(self._bind)

    def __call__(self, namespace: str, name: str) -> Asset:
        """The asset of an OpenLineage dataset, without columns."""
        asset = self._assets.get((namespace, name))
        if asset is None:
            location = self._locate(namespace, name)
            asset = self._name(location, self._bound(location.namespace).holding)
            if len(self._assets) >= _CACHE_SIZE:
                self._assets.clear()
            self._assets[namespace, name] = asset
        return asset

    def explain(self, namespace: str, name: str) -> Explanation:
        """The same asset, with every rule that was tried before the one that matched."""
        location = self._locate(namespace, name)
        bound = self._bound(location.namespace)
        asset = self._name(location, bound.holding)
        misses: List[Miss] = []
        for rule, candidate in bound.every:
            outcome = candidate if isinstance(candidate, str) else _outcome(candidate, location.name)
            if not isinstance(outcome, str):
                break
            misses.append(Miss(rule, outcome))
        return Explanation(asset, location.namespace, location.name, tuple(misses))

    def _locate(self, namespace: str, name: str) -> Location:
        namespace, name = _printable(namespace).strip(), _printable(name)
        if is_local(namespace) and not self._elsewhere(namespace):
            local = plain_location(namespace, name)
            namespace, name = self._mounts.resolve(local.name) or local
        if ("?" in name or "?" in namespace) and namespace.lower().startswith(PATH_SCHEMES):
            namespace, name = _SIGNED.sub("", namespace), _SIGNED.sub("", name)
        return Location(self._rules.hosts.canonical(without_credentials(namespace)), name)

    def _elsewhere(self, namespace: str) -> bool:
        """Whether a namespace tells another workspace, which JDBC reads from: mounts and metastore are not ours."""
        told = _workspace_in(namespace)
        return bool(told) and told != self._home and bool(self._home)

    def _bind(self, namespace: str) -> _BoundRules:
        """Every rule, bound to the namespace or with the reason why it does not hold there."""
        stripped, parameters = plain_address(namespace)
        if not names_host(namespace):  # the host was among the parameters, or where only the driver finds it
            stripped = self._rules.hosts.canonical(stripped)
        variables: Dict[str, Optional[str]] = {f"param_{key}": value for key, value in parameters.items()}
        variables.update(
            namespace=namespace,
            workspace=_workspace_in(stripped) or self._workspace,
            metastore=None if self._elsewhere(stripped) else self._metastore,
        )
        bound: List[Tuple[str, Union[Bound, str]]] = []
        for rule in self._rules.rules:
            try:
                bound.append((rule.name, rule.bind(stripped, dict(variables))))
            except _ERRORS as error:
                bound.append((rule.name, f"failed: {error!r}"))
        return _BoundRules(bound, [candidate for _, candidate in bound if not isinstance(candidate, str)])

    def _name(self, location: Location, holding: Sequence[Bound]) -> Asset:
        legacy: Optional[Asset] = None
        for candidate in holding:
            outcome = _outcome(candidate, location.name)
            if isinstance(outcome, str):
                continue
            if legacy is not None:
                # A rule of the accelerator gives no more than a name; a rule of ours that gives the same name knows
                # under which others the catalog may hold it.
                if outcome.name.qualified_name == legacy.name.qualified_name and outcome.alternatives:
                    return self._finished(_with_relatives(legacy, outcome), location)
            elif outcome.alternatives or outcome.placeholder:
                return self._finished(outcome, location)
            else:
                legacy = outcome
        if legacy is not None:
            return self._finished(legacy._replace(alternatives=(legacy.name,)), location)
        return self._finished(_placeholder(*location), location)

    def _finished(self, asset: Asset, location: Location) -> Asset:
        type_name, qualified_name = asset.name
        pattern = self._rules.patterns.get(type_name) if self._rules.patterns else None
        if pattern is not None and not asset.placeholder and not pattern.match(qualified_name):
            for alternative in asset.alternatives:
                if alternative.type_name == type_name and pattern.match(alternative.qualified_name):
                    asset = asset._replace(name=alternative)
                    break
        # No character has more than four bytes.
        if 4 * len(qualified_name) > MAX_NAME_BYTES and len(asset.name.qualified_name.encode()) > MAX_NAME_BYTES:
            short = AssetName(type_name, shortened(asset.name.qualified_name))
            asset = asset._replace(name=short, alternatives=(), placeholder=True)
        if len(asset.display_name) > MAX_NAME_BYTES // 4:
            asset = asset._replace(display_name=shortened(asset.display_name))
        if asset.placeholder:
            source = _SECRET.sub(r"\1=***", plain_address(location.namespace)[0])[:MAX_NAME_BYTES] or "unknown"
            told = {"purview_qualifiedName": asset.name.qualified_name, "original_source": source}
            asset = asset._replace(alternatives=(), attributes=told)
        return asset


def _workspace_in(namespace: str) -> str:
    """The host of the workspace that a namespace tells, "" where it tells none."""
    told = _WORKSPACE.match(namespace)
    return "" if told is None else told["host"].lower()


def _outcome(rule: Bound, name: str) -> Outcome:
    """What a rule says of a name; a rule that fails is one that does not hold."""
    try:
        return rule(name)
    except _ERRORS as error:
        return f"failed: {error!r}"


def _with_relatives(asset: Asset, kin: Asset) -> Asset:
    alternatives = kin.alternatives if asset.name in kin.alternatives else (asset.name, *kin.alternatives)
    return asset._replace(alternatives=alternatives, parents=kin.parents)


def _printable(text: str) -> str:
    """Text without control characters and lone surrogates, which neither UTF-8 nor a catalog can hold."""
    if not text.isprintable():
        text = _CONTROL.sub("_", text).encode("utf-8", "replace").decode("utf-8")
    return text


def _placeholder(namespace: str, name: str) -> Asset:
    """A stand-in for a dataset that no rule knows; it says so, and is never looked for under another name."""
    stripped, parameters = plain_address(namespace)
    pieces = [_SECRET.sub(r"\1=***", stripped).rstrip("/"), parameters.get("database", "")]
    query = split_query(name)
    told = name if query is None else query[0] + query_label(query[1])
    pieces.append(_SECRET.sub(r"\1=***", told).strip("/"))
    qualified_name = "/".join(piece for piece in pieces if piece.strip()) or "unknown"
    return Asset(
        name=AssetName(PLACEHOLDER_TYPE, qualified_name),
        display_name=last_segment(qualified_name),
        rule=PLACEHOLDER_RULE,
        placeholder=True,
    )


def shortened(name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """A name that fits: as it is, or its beginning and a hash of all of it."""
    encoded = name.encode()
    if len(encoded) <= max_bytes:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    return encoded[: max_bytes - len(digest) - 1].decode("utf-8", "ignore") + "~" + digest
