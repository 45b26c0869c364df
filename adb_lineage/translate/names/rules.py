"""Naming rules: what a rule is and how one dataset is put through it."""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping, Optional, Pattern, Protocol, Sequence, Tuple, Union

from adb_lineage.assets import Asset, AssetName
from adb_lineage.errors import SettingsError
from adb_lineage.translate.names.hosts import Hosts
from adb_lineage.translate.names.identifiers import Levels, NotAnIdentifier, is_query
from adb_lineage.translate.names.paths import path_facts
from adb_lineage.translate.names.template import Template

Typed = Tuple[str, Template]
Values = Dict[str, Optional[str]]
Outcome = Union[Asset, str]
"""The asset, or why the rule does not hold for the dataset."""
Bound = Callable[[str], Outcome]
"""A rule that holds for a namespace, waiting for names."""

PLACEHOLDER_TYPE = "purview_custom_connector_generic_entity_with_columns"
"""The accelerator's type for what Purview has no asset of."""

COMPLEX = "COMPLEX"
"""What OpenLineage's Spark agent writes for a query in place of a table."""

_FOLDS: Dict[str, Tuple[Callable[[str], str], ...]] = {
    "lower": (str.lower,),
    "upper": (str.upper,),
    "any": (str.lower, str.upper),
}
FOLDS = tuple(_FOLDS)
_QUOTES = frozenset('["`')
_SPACE = re.compile(r"\s+")


class RuleError(SettingsError):
    """A rule file that can't be used; the message names file, line, rule and reason."""


def query_label(query: str) -> str:
    """A short stable stand-in for a query: `COMPLEX` as it is, otherwise `query-` and a hash of its text."""
    if query == COMPLEX:
        return COMPLEX
    text = _SPACE.sub(" ", query).strip()
    return "query-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(frozen=True)
class Rule:
    """One rule of a rule file; see `docs/extending.md` for what each key means."""

    name: str
    source: str
    namespace: Pattern[str]
    type_name: str
    qualified_name: Template
    display_name: Optional[Template] = None
    match: Optional[Pattern[str]] = None
    path: Optional[Template] = None
    levels: Optional[Levels] = None
    given: Mapping[str, Template] = field(default_factory=dict)
    fold: Optional[str] = None
    let: Sequence[Tuple[str, Template]] = ()
    when: Sequence[Tuple[str, Pattern[str]]] = ()
    unless: Sequence[Tuple[str, Pattern[str]]] = ()
    query: Optional[Template] = None
    alternatives: Sequence[Optional[Typed]] = ()
    """Other identities, best first; None stands for the rule's own name."""
    parents: Sequence[Typed] = ()
    placeholder: bool = False

    def bind(self, namespace: str, variables: Values) -> Union[Bound, str]:
        """The rule for one namespace, or why it does not hold there; `variables` are the engine's."""
        found = self.namespace.fullmatch(namespace)
        if found is None:
            return f"namespace {namespace!r} is not {self.namespace.pattern}"
        values: Values = {**variables, **found.groupdict()}
        for variable, template in self.let:
            values[variable] = template.fill(values)
        given = {level: template.fill(values) for level, template in self.given.items()}

        def bound(name: str) -> Outcome:
            return self._name(name, dict(values), given)

        return bound

    def _name(self, name: str, values: Values, given: Mapping[str, Optional[str]]) -> Outcome:
        values["name"] = name
        if self.levels is not None and (name == COMPLEX or is_query(name)):
            return self._query(name, values, given)
        if self.match is not None:
            found = self.match.fullmatch(name)
            if found is None:
                return f"name {name!r} is not {self.match.pattern}"
            values.update(found.groupdict())
        if self.path is not None:
            values.update(path_facts(self.path.fill(values) or ""))
        if self.levels is not None:
            try:
                values.update(self.levels.fill(name, given))
            except NotAnIdentifier as error:
                return str(error)
        for variable, pattern in self.when:
            found = pattern.search(values.get(variable) or "")
            if found is None:
                return f"{variable} {values.get(variable) or ''!r} is not {pattern.pattern}"
            values.update(found.groupdict())
        for variable, pattern in self.unless:
            if pattern.search(values.get(variable) or ""):
                return f"{variable} {values.get(variable)!r} is {pattern.pattern}"
        qualified_name = self.qualified_name.fill(values)
        if not qualified_name:
            missing = [variable for variable in self.qualified_name.variables if not values.get(variable)]
            return f"no value for {', '.join(missing)}"
        own = AssetName(self.type_name, qualified_name)
        display = self.display_name.fill(values) if self.display_name is not None else None
        return Asset(
            name=own,
            display_name=display or last_segment(qualified_name),
            rule=self.name,
            alternatives=() if self.placeholder else tuple(self._alternatives(own, name, values)),
            parents=tuple(self._fill(self.parents, values)),
            placeholder=self.placeholder,
        )

    def _query(self, name: str, values: Values, given: Mapping[str, Optional[str]]) -> Outcome:
        """A query in place of a table: what is known of it, marked as a stand-in."""
        if self.query is None or self.levels is None:
            return "name is a query"
        values.update(self.levels.defaults)
        values.update((level, value) for level, value in given.items() if value)
        values["query"] = query_label(name)
        qualified_name = self.query.fill(values)
        if not qualified_name:
            return "name is a query, and the namespace does not tell the database"
        return Asset(
            name=AssetName(PLACEHOLDER_TYPE, qualified_name),
            display_name=last_segment(qualified_name),
            rule=self.name,
            parents=tuple(self._fill(self.parents, values)),
            placeholder=True,
        )

    @staticmethod
    def _fill(typed: Sequence[Typed], values: Values) -> List[AssetName]:
        names = []
        for type_name, template in typed:
            text = template.fill(values)
            if text:
                names.append(AssetName(type_name, text))
        return names

    def _alternatives(self, own: AssetName, name: str, values: Values) -> List[AssetName]:
        """The rule's alternatives with its own name among them, then the same in the source's other spellings."""
        names: Dict[AssetName, None] = {}
        if None not in self.alternatives:
            names[own] = None
        for alternative in self.alternatives:
            if alternative is None:
                names[own] = None
                continue
            text = alternative[1].fill(values)
            if text:
                names[AssetName(alternative[0], text)] = None
        if self.fold and self.levels is not None and not _QUOTES.intersection(name):
            for change in _FOLDS[self.fold]:
                folded = dict(values)
                for level in self.levels.names:
                    folded[level] = change(folded.get(level) or "")
                if folded != values:
                    text = self.qualified_name.fill(folded)
                    if text:
                        names[AssetName(self.type_name, text)] = None
                    others = self._fill([typed for typed in self.alternatives if typed], folded)
                    names.update(dict.fromkeys(others))
        return list(names)


def last_segment(qualified_name: str) -> str:
    """The last part of a qualified name, for display: `c` of `https://a/b/c/`."""
    trimmed = qualified_name.rstrip("/")
    return trimmed.rsplit("/", 1)[-1] or qualified_name


class NamingRule(Protocol):
    """A rule of any format: `Rule` of our rule files, `AcceleratorRule` of the accelerator's."""

    @property
    def name(self) -> str:
        """The rule's name, unique in its rule set where the format allows it."""

    def bind(self, namespace: str, variables: Values) -> Union[Bound, str]:
        """The rule for one namespace, or why it does not hold there."""


@dataclass(frozen=True, eq=False)
class RuleSet:
    """Rules in their order, and what goes with them. Two sets are never equal, so a set can be a cache key."""

    rules: Sequence[NamingRule]
    hosts: Hosts
    patterns: Mapping[str, Pattern[str]] = field(default_factory=dict)
    """`qualifiedNamePattern` of types, as the account publishes them: of the names that a rule offers for a type, the
    first that fits is taken."""
    fragments: Mapping[str, str] = field(default_factory=dict)
    """Named pieces of regular expressions, written `%{name}` in a rule."""
    origin: str = "built in"
