"""Naming rules: what a rule is and how one dataset is put through it."""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Pattern, Protocol, Sequence, Set, Tuple, Union

from adb_lineage.assets import Asset, AssetName
from adb_lineage.errors import SettingsError
from adb_lineage.translate.names.hosts import Hosts
from adb_lineage.translate.names.identifiers import Levels, NotAnIdentifier, split_query
from adb_lineage.translate.names.paths import PATH_FACTS, path_facts
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
    namespace: Pattern[str]
    type_name: str
    qualified_name: Template
    source: str = ""
    about: str = ""
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

    def known_variables(self) -> Set[str]:
        """The variables that may have a value; parameters of a namespace (`param_…`) may have any name."""
        known = {"namespace", "name", "workspace", "metastore", "query", *(variable for variable, _ in self.let)}
        for pattern in (self.namespace, self.match, *(pattern for _, pattern in self.when)):
            known.update(pattern.groupindex if pattern is not None else ())
        known.update(self.levels.names if self.levels is not None else ())
        known.update(PATH_FACTS if self.path is not None else ())
        return known

    def used_variables(self) -> Iterator[Tuple[str, str]]:
        """Each variable that a template or a condition asks for, after the rule's key that does."""
        single = (("qualified_name", self.qualified_name), ("display", self.display_name), ("path", self.path),
                  ("query", self.query))
        several = (("levels", self.given.values()), ("let", (template for _, template in self.let)),
                   ("alternatives", (typed[1] for typed in self.alternatives if typed is not None)),
                   ("parents", (template for _, template in self.parents)))
        templates = [(key, template) for key, template in single if template is not None]
        templates += [(key, template) for key, some in several for template in some]
        for key, template in templates:
            yield from ((key, variable) for variable in template.names)
        for key, conditions in (("when", self.when), ("unless", self.unless)):
            yield from ((key, variable) for variable, _ in conditions)

    def bind(self, namespace: str, variables: Values) -> Union[Bound, str]:
        """The rule for one namespace, or why it does not hold there; `variables` are the engine's."""
        found = self.namespace.fullmatch(namespace)
        if found is None:
            return f"namespace {namespace!r} is not {self.namespace.pattern}"
        values: Values = {**variables, **found.groupdict()}
        for variable, template in self.let:
            values[variable] = template.fill(values)
        return _BoundRule(self, values)


class _BoundRule:
    """A rule for one namespace: what the namespace tells is in its templates already, so a name costs little."""

    def __init__(self, rule: Rule, values: Values) -> None:
        later = {"name", "query"}
        if rule.path is not None:
            later.update(PATH_FACTS)
        if rule.levels is not None:
            later.update(rule.levels.names)
        for pattern in (rule.match, *(pattern for _, pattern in rule.when)):
            later.update(pattern.groupindex if pattern is not None else ())
        names = frozenset(later)

        def known(template: Optional[Template]) -> Optional[Template]:
            return None if template is None else template.given(values, names)

        self._rule = rule
        self._values = values
        self._given = {level: template.fill(values) for level, template in rule.given.items()}
        self._qualified_name = rule.qualified_name.given(values, names)
        self._display_name, self._path, self._query = known(rule.display_name), known(rule.path), known(rule.query)
        own = (rule.type_name, self._qualified_name)
        others = [typed and (typed[0], typed[1].given(values, names)) for typed in rule.alternatives]
        if None not in others:
            others.insert(0, None)
        self._identities = _compiled([typed or own for typed in others])
        self._parents = _compiled([(type_name, template.given(values, names)) for type_name, template in rule.parents])
        constant = all(parent[4].constant for parent in self._parents)
        self._same_parents = _filled(self._parents, values) if constant else None

    def __call__(self, name: str) -> Outcome:
        rule, values = self._rule, dict(self._values)
        values["name"] = name
        if rule.levels is not None:
            query = self._query_in(name, rule.levels)
            if query is not None:
                return self._query_asset(*query, rule.levels, values)
        if rule.match is not None:
            found = rule.match.fullmatch(name)
            if found is None:
                return f"name {name!r} is not {rule.match.pattern}"
            values.update(found.groupdict())
        if self._path is not None:
            values.update(path_facts(self._path.fill(values) or ""))
        if rule.levels is not None:
            try:
                values.update(rule.levels.fill(name, self._given))
            except NotAnIdentifier as error:
                return str(error)
        for variable, pattern in rule.when:
            found = pattern.search(values.get(variable) or "")
            if found is None:
                return f"{variable} {values.get(variable) or ''!r} is not {pattern.pattern}"
            values.update(found.groupdict())
        for variable, pattern in rule.unless:
            if pattern.search(values.get(variable) or ""):
                return f"{variable} {values.get(variable)!r} is {pattern.pattern}"
        qualified_name = self._qualified_name.fill(values)
        if not qualified_name:
            missing = [variable for variable in rule.qualified_name.variables if not values.get(variable)]
            return f"no value for {', '.join(missing)}"
        own = AssetName(rule.type_name, qualified_name)
        display = self._display_name.fill(values) if self._display_name is not None else None
        return Asset(
            name=own,
            display_name=display if display and display.strip() else last_segment(qualified_name),
            rule=rule.name,
            alternatives=() if rule.placeholder else self._alternatives(name, values),
            parents=_filled(self._parents, values) if self._same_parents is None else self._same_parents,
            placeholder=rule.placeholder,
        )

    def _query_in(self, name: str, levels: Levels) -> Optional[Tuple[str, str]]:
        """What stands before a query in place of a table, and the query.

        OpenLineage's agent also puts the database before its `COMPLEX`, where the namespace does not tell it.
        """
        if name.endswith(COMPLEX):
            prefix, dot, last = name.rpartition(".")
            if last == COMPLEX and (not dot or ("." not in prefix and levels.agent_tells_database(self._given))):
                return prefix + dot, last
        return split_query(name)

    def _query_asset(self, prefix: str, query: str, levels: Levels, values: Values) -> Outcome:
        """A query in place of a table: what is known of it, marked as a stand-in."""
        rule = self._rule
        if self._query is None:
            return "name is a query"
        values.update(levels.defaults)
        values.update((level, value) for level, value in self._given.items() if value)
        if prefix:
            try:
                values.update(levels.fill(prefix + COMPLEX, self._given))
            except NotAnIdentifier as error:
                return str(error)
        values["query"] = query_label(query)
        qualified_name = self._query.fill(values)
        if not qualified_name:
            return "name is a query, and the namespace does not tell the database"
        return Asset(
            name=AssetName(PLACEHOLDER_TYPE, qualified_name),
            display_name=last_segment(qualified_name),
            rule=rule.name,
            parents=_filled(self._parents, values) if self._same_parents is None else self._same_parents,
            placeholder=True,
        )

    def _alternatives(self, name: str, values: Values) -> Tuple[AssetName, ...]:
        """The rule's alternatives with its own name among them, then the same in the source's other spellings."""
        names = _filled(self._identities, values)
        rule = self._rule
        if rule.fold and rule.levels is not None and not _QUOTES.intersection(name):
            for change in _FOLDS[rule.fold]:
                folded = dict(values)
                for level in rule.levels.names:
                    folded[level] = change(folded.get(level) or "")
                if folded != values:
                    names += _filled(self._identities, folded)
            names = tuple(dict.fromkeys(names))
        return names


_Compiled = Tuple[str, str, str, str, Template]
"""Type, the template's text before, name of and text after its only variable (name "" if not so simple), template."""


def _compiled(typed: Sequence[Typed]) -> Sequence[_Compiled]:
    compiled = [(type_name, *(template.simple or ("", "", "")), template) for type_name, template in typed]
    seen = [(type_name, before, variable, after) for type_name, before, variable, after, _ in compiled]
    # Templates that say the same become one here, so that names need no comparing later.
    return [one for place, one in enumerate(compiled) if not one[2] or seen.index(seen[place]) == place]


def _filled(typed: Sequence[_Compiled], values: Values) -> Tuple[AssetName, ...]:
    """The names that have values for all their variables."""
    names: List[AssetName] = []
    get = values.get
    for type_name, before, variable, after, template in typed:
        if variable:
            value = get(variable)
            if not value:
                continue
            text: Optional[str] = before + value + after
        else:
            text = template.fill(values)
        if text:
            names.append(AssetName(type_name, text))
    return tuple(names)


def last_segment(qualified_name: str) -> str:
    """The last part of a qualified name, for display: `c` of `https://a/b/c/`."""
    return qualified_name.rstrip("/ ").rsplit("/", 1)[-1].strip() or qualified_name


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
