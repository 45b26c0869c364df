"""Tables of examples: datasets and the assets they must be. Cases are data, for our tests, for the documentation of
sources and for `adb-lineage rules test` on a user's own rules."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import yaml

from adb_lineage.errors import SettingsError
from adb_lineage.translate.names.engine import Explanation, NameEngine

BUILT_IN_CASES = Path(__file__).with_name("cases.yaml")

_KEYS = (
    "namespace", "name", "expect", "type", "rule", "placeholder", "alternatives", "parents", "mounts", "workspace",
    "metastore", "note",
)
_EXPECTATIONS = ("expect", "type", "rule", "placeholder", "alternatives", "parents")
_KINDS = {
    "expect": str, "type": str, "rule": str, "placeholder": bool, "alternatives": list, "parents": list, "mounts": list,
    "workspace": str, "metastore": str, "note": str,
}
_KIND_NAMES = {str: "a text", bool: "true or false", list: "a list"}


@dataclass(frozen=True)
class Case:
    """One dataset and what is expected of it; an expectation that is None is not checked."""

    source: str
    namespace: str
    name: str
    expect: Optional[str]
    """Qualified name."""
    type_name: Optional[str] = None
    rule: Optional[str] = None
    placeholder: Optional[bool] = None
    alternatives: Sequence[Tuple[str, str]] = ()
    """Types and names that must be among the alternatives, in this order."""
    parents: Sequence[Tuple[str, str]] = ()
    mounts: Sequence[Mapping[str, str]] = ()
    workspace: Optional[str] = None
    metastore: Optional[str] = None
    note: str = ""
    where: str = ""

    def explain(self, engine: NameEngine) -> Explanation:
        """What the engine says of the dataset."""
        return engine.explain(
            self.namespace, self.name, mounts=self.mounts, workspace=self.workspace, metastore=self.metastore
        )

    def failures(self, engine: NameEngine) -> List[str]:
        """In what the engine differs from the expectation, [] if in nothing."""
        asset = self.explain(engine).asset
        found: List[Tuple[str, Any, Any]] = [
            ("qualified name", self.expect, asset.name.qualified_name),
            ("type", self.type_name, asset.name.type_name),
            ("rule", self.rule, asset.rule),
            ("placeholder", self.placeholder, asset.placeholder),
        ]
        failures = [
            f"{what} is {actual!r}, expected {expected!r}"
            for what, expected, actual in found
            if expected is not None and expected != actual
        ]
        for what, expected, actual in (
            ("alternatives", self.alternatives, asset.alternatives),
            ("parents", self.parents, asset.parents),
        ):
            rest = iter(actual)
            missing = next((pair for pair in expected if not any(tuple(name) == pair for name in rest)), None)
            if missing is not None:
                names = ", ".join(" ".join(name) for name in actual)
                failures.append(f"{what} have no {' '.join(missing)}, or not in that order: {names}")
        return failures


def load_cases(path: Union[str, Path]) -> List[Case]:
    """The cases of a file: `{source: [case, …], …}` or a list of cases, in YAML or JSON. Raises `SettingsError`.

    A case has `namespace`, `name`, and any of `expect` (qualified name), `type`, `rule`, `placeholder`, `alternatives`
    and `parents` (lists of `type: name`), `mounts`, `workspace`, `metastore`, `note`. A top-level key `defaults` holds
    values for all cases of the file.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: can't read the cases: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise SettingsError(f"{path}: the cases are not YAML: {error}") from None
    sections = content if isinstance(content, dict) else {"": content}
    defaults = sections.pop("defaults", None) or {}
    if not isinstance(defaults, dict):
        raise SettingsError(f"{path}: defaults are a mapping of keys of a case, not {defaults!r}")
    cases = [
        _case(source, item, defaults, f"{path}, {f'{source}, ' if source else ''}case {number}")
        for source, items in sections.items()
        for number, item in enumerate(items if isinstance(items, list) else [items], 1)
    ]
    if not cases:
        raise SettingsError(f"{path}: no cases")
    return cases


def _case(source: str, item: Any, defaults: Mapping[str, Any], where: str) -> Case:
    if not isinstance(item, dict) or not isinstance(item.get("namespace"), str):
        raise SettingsError(f"{where}: a case is a mapping with namespace and name, not {item!r}")
    told = {**defaults, **item}
    unknown = [key for key in told if key not in _KEYS]
    if unknown:
        raise SettingsError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    if all(told.get(key) is None for key in _EXPECTATIONS):
        raise SettingsError(f"{where}: nothing is expected; a case has one of {', '.join(_EXPECTATIONS)}")
    for key, kind in _KINDS.items():
        if told.get(key) is not None and not isinstance(told[key], kind):
            raise SettingsError(f"{where}: {key} is {told[key]!r}, not {_KIND_NAMES[kind]}")
    return Case(
        source=str(source),
        namespace=told["namespace"],
        name="" if told.get("name") is None else str(told["name"]),
        expect=told.get("expect"),
        type_name=told.get("type"),
        rule=told.get("rule"),
        placeholder=told.get("placeholder"),
        alternatives=tuple(_pairs(told.get("alternatives"), where)),
        parents=tuple(_pairs(told.get("parents"), where)),
        mounts=told.get("mounts") or (),
        workspace=told.get("workspace"),
        metastore=told.get("metastore"),
        note=told.get("note") or "",
        where=where,
    )


def _pairs(items: Any, where: str) -> Iterator[Tuple[str, str]]:
    for item in items or ():
        if not isinstance(item, dict) or len(item) != 1:
            raise SettingsError(f"{where}: {item!r} is not one 'type: qualified name'")
        yield from ((str(type_name), str(name)) for type_name, name in item.items())
