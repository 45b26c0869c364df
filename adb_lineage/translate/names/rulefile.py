"""Reading a rule file: YAML in, `RuleSet` out, and every mistake named by file, line, rule and reason."""
from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Pattern, Sequence, Set, Tuple, TypeVar, Union

import yaml

from adb_lineage.translate.names.accelerator import is_accelerator_mapping, load_accelerator_rules
from adb_lineage.translate.names.hosts import Hosts
from adb_lineage.translate.names.identifiers import Levels
from adb_lineage.translate.names.rules import FOLDS, NamingRule, Rule, RuleError, RuleSet, Typed
from adb_lineage.translate.names.template import Template

DEFAULT_RULES = Path(__file__).with_name("rules.yaml")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FRAGMENT = re.compile(r"%\{(\w+)\}")
_REQUIRED = ("rule", "namespace", "type", "qualified_name")
_KEYS = (
    *_REQUIRED, "source", "about", "match", "path", "levels", "fold", "let", "when", "unless", "query", "display",
    "alternatives", "parents", "placeholder",
)
_TOP_KEYS = ("extends", "fragments", "hosts", "patterns", "shared", "rules")
_SELF = "self"
T = TypeVar("T")


class _Section(Dict[str, Any]):
    """A mapping of the file that knows the line of each of its keys."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: Dict[str, int] = {}


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        section = _Section(node.start_mark.line + 1)
        for key, value in node.value:
            if key.value in section:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            section[key.value] = _plain(value)
            section.lines[key.value] = key.start_mark.line + 1
        return section
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    if node.tag.endswith(":bool"):
        return node.value.lower() in ("true", "yes", "on")
    return None if node.tag.endswith(":null") else node.value


class _Reader:
    """Reads the sections of one file; each method raises `RuleError`."""

    def __init__(self, origin: str, fragments: Mapping[str, str]) -> None:
        self.origin = origin
        self.fragments = fragments

    def error(self, line: int, rule: Optional[str], reason: str) -> RuleError:
        of_rule = f" rule {rule!r}:" if rule else ""
        return RuleError(f"{self.origin}, line {line}:{of_rule} {reason}")

    def regex(self, text: str) -> Pattern[str]:
        """Raises `ValueError`."""
        try:
            return re.compile(_FRAGMENT.sub(lambda found: self.fragments[found[1]], text), re.IGNORECASE | re.DOTALL)
        except KeyError as error:
            raise ValueError(f"unknown fragment %{{{error.args[0]}}}; known: {', '.join(self.fragments)}") from None
        except re.error as error:
            raise ValueError(f"bad regular expression {text!r}: {error}") from None

    def rule(self, section: Any, line: int) -> Rule:
        if not isinstance(section, _Section):
            raise self.error(line, None, f"a rule is a mapping with {', '.join(_REQUIRED)}, not {section!r}")
        name = section.get("rule")
        if not isinstance(name, str) or not name:
            raise self.error(section.line, None, "a rule needs a name: 'rule: my-source'")

        def read(key: str, convert: Callable[[Any], T]) -> Optional[T]:
            if section.get(key) is None:
                return None
            try:
                return convert(section[key])
            except (ValueError, TypeError, AttributeError) as error:
                raise self.error(section.lines[key], name, f"{key}: {error}") from None

        for key in section:
            if key not in _KEYS:
                raise self.error(section.lines[key], name, f"unknown key {key!r}; known: {', '.join(_KEYS)}")
        for key in _REQUIRED:
            if not isinstance(section.get(key), str) or not section[key]:
                raise self.error(section.line, name, f"{key!r} is missing")
        levels, given = read("levels", self._levels) or (None, {})
        rule = Rule(
            name=name,
            source=read("source", _text) or "",
            about=read("about", _text) or "",
            namespace=read("namespace", self.regex) or re.compile(""),
            type_name=section["type"],
            qualified_name=read("qualified_name", Template) or Template(""),
            display_name=read("display", Template),
            match=read("match", self.regex),
            path=read("path", Template),
            levels=levels,
            given=given,
            fold=read("fold", _fold),
            let=read("let", _templates) or (),
            when=read("when", self._conditions) or (),
            unless=read("unless", self._conditions) or (),
            query=read("query", Template),
            alternatives=read("alternatives", _alternatives) or (),
            parents=read("parents", _typed) or (),
            placeholder=read("placeholder", _flag) or False,
        )
        known = rule.known_variables()
        for key, variable in rule.used_variables():
            if variable not in known and not variable.startswith("param_"):
                reason = f"unknown variable {variable!r}; known: {', '.join(sorted(known))}, param_…"
                raise self.error(section.lines[key], name, f"{key}: {reason}")
        return rule

    def _conditions(self, section: Any) -> Sequence[Tuple[str, Pattern[str]]]:
        return tuple((variable, self.regex(_text(pattern))) for variable, pattern in _mapping(section).items())

    @staticmethod
    def _levels(section: Any) -> Tuple[Levels, Mapping[str, Template]]:
        """`[database, schema: dbo, table]` with `{database: '{param_database}'}` as what the namespace told."""
        names: List[str] = []
        defaults: Dict[str, str] = {}
        given: Dict[str, Template] = {}
        for item in _list(section):
            if isinstance(item, str):
                names.append(item)
                continue
            for level, value in _mapping(item).items():
                names.append(level)
                text = "" if value is None else _text(value)
                if "{" in text:
                    given[level] = Template(text)
                else:
                    defaults[level] = text
        return Levels(tuple(names), defaults), given


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _mapping(value: Any) -> _Section:
    if not isinstance(value, _Section):
        raise ValueError(f"{value!r} is not a mapping")
    return value


def _list(value: Any) -> List[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _fold(value: Any) -> str:
    if value not in FOLDS:
        raise ValueError(f"{value!r} is unknown; known: {', '.join(FOLDS)}")
    return str(value)


def _templates(section: Any) -> Sequence[Tuple[str, Template]]:
    return tuple((variable, Template(_text(text))) for variable, text in _mapping(section).items())


def _pair(item: Any) -> Typed:
    section = _mapping(item)
    if len(section) != 1:
        raise ValueError(f"{dict(section)!r} is not one 'type: template'")
    ((type_name, text),) = section.items()
    return type_name, Template(_text(text))


def _typed(items: Any) -> Sequence[Typed]:
    return tuple(_pair(item) for item in _list(items))


def _alternatives(items: Any) -> Sequence[Optional[Typed]]:
    return tuple(None if item == _SELF else _pair(item) for item in _list(items))


def load_rules(path: Union[str, Path]) -> RuleSet:
    """The rules of a file: ours in YAML (or JSON), or the accelerator's `OlToPurviewMappings`.

    The built-in rules follow the file's own unless it says `extends: nothing`. Raises `RuleError`, also for a file
    that can't be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise RuleError(f"{path}: can't read the rules: {error}") from None
    return parse_rules(text, str(path))


def parse_rules(text: str, origin: str = "rules") -> RuleSet:
    """The rules of a text, which is what `load_rules` reads from a file. Raises `RuleError`."""
    if is_accelerator_mapping(text):
        base = default_rules()
        rules: Sequence[NamingRule] = load_accelerator_rules(text, origin)
        return RuleSet((*rules, *base.rules), base.hosts, base.patterns, base.fragments, origin)
    return _parse(text, origin, default_rules)


@lru_cache(maxsize=1)
def default_rules() -> RuleSet:
    """The rules of the package, read once a process."""
    return _parse(DEFAULT_RULES.read_text(encoding="utf-8"), DEFAULT_RULES.name, None)


def _parse(text: str, origin: str, base: Optional[Callable[[], RuleSet]]) -> RuleSet:
    try:
        node = yaml.compose(text, Loader=_LOADER)
        content = _Section(1) if node is None else _plain(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RuleError(f"{origin}, line {line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise RuleError(f"{origin}, line 1: not YAML: {error}") from None
    reader = _Reader(origin, {})
    if not isinstance(content, _Section):
        raise reader.error(1, None, f"a rule file is a mapping with {', '.join(_TOP_KEYS)}")
    for key in content:
        if key not in _TOP_KEYS:
            raise reader.error(content.lines[key], None, f"unknown key {key!r}; known: {', '.join(_TOP_KEYS)}")

    def section(key: str, kind: Callable[[Any], T]) -> Optional[T]:
        if content.get(key) is None:
            return None
        try:
            return kind(content[key])
        except ValueError as error:
            raise reader.error(content.lines[key], None, f"{key}: {error}") from None

    def texts(value: Any) -> Dict[str, str]:
        return {key: _text(item) for key, item in _mapping(value).items()}

    extends = section("extends", _text) or "default"
    if extends not in ("default", "nothing"):
        raise reader.error(content.lines["extends"], None, f"extends: {extends!r} is neither 'default' nor 'nothing'")
    builtin = base() if base is not None else None
    reader.fragments = {**(builtin.fragments if builtin else {}), **(section("fragments", texts) or {})}
    inherited = builtin if extends == "default" else None
    own_hosts = section("hosts", texts) or {}
    rules: List[NamingRule] = []
    line = content.lines.get("rules", 1)
    names: Set[str] = set()
    for item in section("rules", _list) or []:
        rule = reader.rule(item, line)
        if rule.name in names:
            raise reader.error(item.line, rule.name, "two rules have this name")
        names.add(rule.name)
        rules.append(rule)
    patterns = section("patterns", lambda told: {key: compile_pattern(text) for key, text in texts(told).items()}) or {}
    try:
        hosts = inherited.hosts.overridden_by(own_hosts) if inherited is not None else Hosts(own_hosts)
    except ValueError as error:
        raise reader.error(content.lines["hosts"], None, f"hosts: {error}") from None
    if inherited is not None:
        rules += [rule for rule in inherited.rules if rule.name not in names]
        patterns = {**inherited.patterns, **patterns}
    return RuleSet(tuple(rules), hosts, patterns, reader.fragments, origin)


def compile_pattern(pattern: str) -> Pattern[str]:
    """A `qualifiedNamePattern` of Purview (.NET spells named groups `(?<Name>…)`) for Python. Raises `ValueError`."""
    try:
        return re.compile(re.sub(r"\(\?<([A-Za-z_]\w*)>", r"(?P<\1>", pattern), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"bad pattern {pattern!r}: {error}") from None
