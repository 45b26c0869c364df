"""Naming patterns that Purview publishes: `qualifiedNamePattern` in the type definitions of an account.

See section 0.2 of the Purview reference: `options.purviewEntityExtDef` of a built-in type is JSON in a string that may
hold a regular expression with named groups, `mssql://(?<Workspace>[^/]+).sql.azuresynapse.net/…`, and a sample.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from adb_lineage.assets import AssetName
from adb_lineage.translate.names.cases import Case
from adb_lineage.translate.names.engine import NameEngine
from adb_lineage.translate.names.rulefile import compile_pattern

_SOVEREIGN = re.compile(r"\.(?:chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de|azure\.(?:cn|us))\b")
"""Examples of other clouds than the public one differ from its patterns in their suffix, which tells nothing."""


@dataclass(frozen=True)
class PublishedPattern:
    """What Purview says of the qualified names of one type; `problem` where the pattern can't be used."""

    type_name: str
    pattern: str
    sample: str
    problem: Optional[str] = None


class Difference(NamedTuple):
    """What a rule of ours gives for a type, held against the published pattern."""

    type_name: str
    ours: str
    fits: bool
    other: Optional[str]
    """Another name that the rule offers for this type and that fits, if any."""


def published_patterns(typedefs: Any) -> List[PublishedPattern]:
    """The patterns in an answer of `GET types/typedefs` (or a list of entity definitions), by type name."""
    definitions = typedefs.get("entityDefs", []) if isinstance(typedefs, dict) else typedefs
    found: Dict[str, PublishedPattern] = {}
    for definition in definitions if isinstance(definitions, list) else ():
        options = definition.get("options") if isinstance(definition, dict) else None
        told = options.get("purviewEntityExtDef") if isinstance(options, dict) else None
        if not isinstance(told, str) or not isinstance(definition.get("name"), str):
            continue
        try:
            extension = json.loads(told)
        except ValueError:
            continue
        pattern = extension.get("qualifiedNamePattern") if isinstance(extension, dict) else None
        if isinstance(pattern, str) and pattern:
            name = definition["name"]
            found[name] = _checked(name, pattern, str(extension.get("qualifiedNameSample") or ""))
    return [found[name] for name in sorted(found)]


def _checked(type_name: str, pattern: str, sample: str) -> PublishedPattern:
    """A pattern that compiles and fits its own sample; one that does not must not decide about names."""
    try:
        compiled = compile_pattern(pattern)
    except ValueError as error:
        return PublishedPattern(type_name, pattern, sample, str(error))
    fits = not sample or compiled.match(sample)
    return PublishedPattern(type_name, pattern, sample, None if fits else f"does not fit its own sample {sample!r}")


def differences(
    patterns: Iterable[PublishedPattern], engine: NameEngine, cases: Sequence[Case]
) -> List[Difference]:
    """What our rules give for the cases' datasets, for every type with a usable pattern; one line a type and form."""
    usable = {told.type_name: compile_pattern(told.pattern) for told in patterns if not told.problem}
    lines: Dict[str, Difference] = {}
    for case in cases:
        asset = case.explain(engine).asset
        if asset.placeholder or _SOVEREIGN.search(case.namespace):
            continue
        by_type: Dict[str, List[AssetName]] = {}
        for name in (asset.name, *asset.alternatives, *asset.parents):
            by_type.setdefault(name.type_name, []).append(name)
        for type_name, names in by_type.items():
            pattern = usable.get(type_name)
            if pattern is None:
                continue
            fitting = [name.qualified_name for name in names if pattern.match(name.qualified_name)]
            ours = names[0].qualified_name
            fits = ours in fitting
            key = f"{type_name} {fits} {asset.rule}"
            lines.setdefault(key, Difference(type_name, ours, fits, None if fits or not fitting else fitting[0]))
    return [lines[key] for key in sorted(lines)]


def as_rule_file(patterns: Iterable[PublishedPattern]) -> Mapping[str, Mapping[str, str]]:
    """The content of a rule file that makes the engine prefer names that fit the account's patterns."""
    return {"patterns": {published.type_name: published.pattern for published in patterns if not published.problem}}
