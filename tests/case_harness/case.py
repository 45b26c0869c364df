"""A case file's content, checked: what is run, on which Spark, and what must come of it."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import yaml

ROOT = Path(__file__).parent.parent / "cases"
# Folders of capture's cases; other rooms keep tables of their own beside them.
FOLDERS = ("columns", "connectors", "statements")
WORLDS = ("plain", "hive", "iceberg", "doubles")

_FILE_KEYS = {"title", "world", "needs", "spark", "setup", "recorded", "cases"}
_CASE_KEYS = {"id", "title", "rows", "needs", "spark", "setup", "recorded", "sql", "python", "raises", "expect",
              "versions"}
_VERSION_KEYS = {"why", "expect", "skip"}
_RUN_KEYS = {"inputs", "outputs", "output", "table", "lifecycle", "previous", "columns", "indirect", "schema", "state",
             "error", "notes", "skipped", "operation", "processing", "rows_written", "expressions"}
_OUTPUT_KEYS = {"dataset", "table", "lifecycle", "previous", "columns", "indirect", "schema", "rows_written",
                "expressions"}


class CaseError(ValueError):
    """A case file says something the harness does not know; the text names file, case and key."""


@dataclass(frozen=True)
class Step:
    """A statement: `kind` is "sql" or "python"."""

    kind: str
    text: str


@dataclass(frozen=True)
class Version:
    """What is different on some versions of Spark, and why."""

    spec: str
    why: str
    expect: Any
    skip: bool


@dataclass(frozen=True)
class Case:
    """One statement and what must come of it."""

    path: Path
    id: str
    title: str
    section: str
    world: str
    rows: Tuple[int, ...]
    needs: Tuple[str, ...]
    spark: str
    recorded: str
    file_setup: Tuple[Step, ...]
    setup: Tuple[Step, ...]
    statement: Step
    raises: str
    expect: Any
    versions: Tuple[Version, ...] = field(default_factory=tuple)

    @property
    def key(self) -> str:
        """`statements/create_table/ctas`."""
        return f"{self.path.relative_to(ROOT).with_suffix('').as_posix()}/{self.id}"

    def on(self, spark: str) -> Tuple[Optional[List[Dict[str, Any]]], str]:
        """The runs expected on this version of Spark; None and the reason where the case does not apply."""
        if self.spark and not matches(spark, self.spark):
            return None, f"Spark {self.spark} only"
        for version in self.versions:
            if matches(spark, version.spec):
                return (None, version.why) if version.skip else (_runs(self, version.expect), version.why)
        return _runs(self, self.expect), ""


def load(path: Path) -> List[Case]:
    """The cases of a file. Raises CaseError for an unknown key or a missing part."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    _check(path, "", content, _FILE_KEYS)
    world = content.get("world", "plain")
    if world not in WORLDS:
        raise CaseError(f"{path}: world is {world!r}; known are {', '.join(WORLDS)}")
    setup = _steps(path, "", content.get("setup"))
    cases = []
    for one in content["cases"]:
        name = str(one.get("id"))
        _check(path, name, one, _CASE_KEYS)
        statement = [Step(kind, one[kind]) for kind in ("sql", "python") if kind in one]
        if len(statement) != 1 or "expect" not in one:
            raise CaseError(f"{path}: {name} needs one of sql and python, and expect")
        case = Case(
            path, name, str(one.get("title", name.replace("_", " "))), str(content.get("title", path.stem)), world,
            tuple(one.get("rows", ())), (*content.get("needs", ()), *one.get("needs", ())),
            str(one.get("spark", content.get("spark", ""))), str(one.get("recorded", content.get("recorded", ""))),
            setup, _steps(path, name, one.get("setup")), statement[0], str(one.get("raises", "")), one["expect"],
            tuple(_versions(path, name, one.get("versions", {}))))
        _runs(case, case.expect)
        cases.append(case)
    names = [case.id for case in cases]
    if len(set(names)) != len(names):
        raise CaseError(f"{path}: a case's id is there twice")
    return cases


def load_all() -> List[Case]:
    """Every case of every file, in the order of the files' names."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.yaml"))
    return [case for path in paths for case in load(path)]


def matches(version: str, spec: str) -> bool:
    """Whether `3.5.1` satisfies `>=3.2,<4`."""
    found = _numbers(version)
    for part in spec.split(","):
        match = re.fullmatch(r"\s*(>=|<=|==|!=|<|>)\s*([\d.]+)\s*", part)
        if match is None:
            raise CaseError(f"{spec!r} is no range of versions; an example is '>=3.2,<4'")
        wanted = _numbers(match[2])
        cut = found[:len(wanted)]
        if not {">=": cut >= wanted, "<=": cut <= wanted, "==": cut == wanted, "!=": cut != wanted,
                "<": cut < wanted, ">": cut > wanted}[match[1]]:
            return False
    return True


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version)[:3])


def _steps(path: Path, name: str, value: Any) -> Tuple[Step, ...]:
    """A text of SQL statements separated by `;` at line ends, or a list of `{sql|python: text}`."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(Step("sql", one) for one in re.split(r";\s*(?:\n|$)", value) if one.strip())
    steps: List[Step] = []
    for one in value:
        _check(path, name, one, {"sql", "python"})
        for kind, text in one.items():
            steps.extend(_steps(path, name, text) if kind == "sql" else [Step(kind, text)])
    return tuple(steps)


def _versions(path: Path, name: str, value: Mapping[str, Any]) -> Iterator[Version]:
    for spec, content in value.items():
        _check(path, name, content, _VERSION_KEYS)
        matches("1", spec)
        if not content.get("why") or ("expect" in content) == bool(content.get("skip")):
            raise CaseError(f"{path}: {name}: an exception for {spec} says why, and expect or skip")
        yield Version(spec, content["why"], content.get("expect"), bool(content.get("skip")))


def _runs(case: Case, expect: Any) -> List[Dict[str, Any]]:
    runs = expect if isinstance(expect, list) else [expect]
    for run in runs:
        _check(case.path, case.id, run, _RUN_KEYS)
        for output in run.get("outputs", ()):
            if isinstance(output, dict):
                _check(case.path, case.id, output, _OUTPUT_KEYS)
    return runs


def _check(path: Path, name: str, content: Any, known: set) -> None:
    if not isinstance(content, dict):
        raise CaseError(f"{path}: {name}: {content!r} is no mapping")
    unknown = set(content) - known
    if unknown:
        raise CaseError(f"{path}: {name}: unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
