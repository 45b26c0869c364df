"""Writes docs/coverage.md from the cases: `python -m tests.coverage_page`, or `--check` to fail when it is stale."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, List

import yaml

from tests.case_harness.case import ROOT, Case, load_all

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
MATRIX = ROOT / "matrix.yaml"
HEAD = """# Coverage

What capture does with each way of moving data in Spark. Each line of the tables below is a case in `tests/cases`: a
statement, run by real Spark, with the inputs, outputs, column edges and lifecycle that must come of it. This page is
generated from them (`python -m tests.coverage_page`), and a test fails when it is stale.

The cases pass on Spark 3.0, 3.1, 3.2, 3.3, 3.4, 3.5, 4.0, 4.1, 4.2 and 4.3, each with its own Python and Java
(`nox -f tests/matrix/noxfile.py` runs them all); where a version does not know a statement, or does something else, the
case says so. Capture asks for members and never for a version number. Spark 2.4 is not tested: it needs Java 8, which
PyPI has not, and its runtimes' Python 3.7 is older than the wheel's.

"""


def page(cases: List[Case]) -> str:
    """The whole page."""
    return HEAD + "\n".join([*_features(cases), "", *_statements(cases)]).rstrip() + "\n"


def problems(cases: List[Case]) -> List[str]:
    """Rows of the matrix without a case, a proof or an explanation; proofs that are not there; unknown rows."""
    rows = _matrix()
    found = []
    for number, row in rows.items():
        proved = any(number in case.rows for case in cases)
        if not proved and "proof" not in row and "explained" not in row:
            found.append(f"row {number} ({row['feature']}) has neither a case nor an explanation")
        if "proof" in row and not (ROOT.parents[1] / row["proof"]).is_file():
            found.append(f"row {number}: {row['proof']} is not there")
        if "explained" in row and any(number in case.rows and not _partial(row) for case in cases):
            found.append(f"row {number} is explained, and has cases")
    return found


def _matrix() -> Dict[int, Dict[str, Any]]:
    content: Dict[int, Dict[str, Any]] = yaml.safe_load(MATRIX.read_text(encoding="utf-8"))
    return content


def _partial(row: Dict[str, Any]) -> bool:
    return bool(row.get("partly"))


def _features(cases: List[Case]) -> List[str]:
    lines = ["## Features", "",
             "Numbered as in the comparison with other tools. **Y**: yes, by the cases or the test named.", "",
             "| # | feature | | by |", "|---|---|---|---|"]
    for number, row in _matrix().items():
        proofs = [f"`{row['proof']}`"] if "proof" in row else []
        files: Dict[str, int] = {}
        for case in cases:
            if number in case.rows:
                name = case.path.relative_to(ROOT).with_suffix("").as_posix()
                files[name] = files.get(name, 0) + 1
        proofs.extend(f"{name} ({count})" for name, count in files.items())
        explained = " ".join(str(row.get("explained", "")).split())
        verdict = "partly" if row.get("partly") else "**Y**" if proofs and not explained else "no"
        lines.append(f"| {number} | {_cell(row['feature'])} | {verdict} | "
                     f"{_cell('; '.join([*proofs, *([explained] if explained else [])]))} |")
    return lines


def _statements(cases: List[Case]) -> List[str]:
    lines = ["## Statements", "",
             "*Stand-in* says what can't be had on the build machine and is replaced by a class with the documented "
             "name and members; where it is empty, every part is real.", ""]
    section = None
    for case in cases:
        if (case.path, case.section) != section:
            section = (case.path, case.section)
            name = case.path.relative_to(ROOT).as_posix()
            lines.extend(["", f"### {case.section}", "", f"`tests/cases/{name}`"])
            if case.recorded and all(one.recorded == case.recorded for one in cases if one.path == case.path):
                lines.extend(["", f"Stand-in: {case.recorded}"])
            lines.extend(["", "| statement | comes to | Spark |", "|---|---|---|"])
        stand_in = ""
        if case.recorded and any(one.recorded != case.recorded for one in cases if one.path == case.path):
            stand_in = f" *Stand-in: {case.recorded}*"
        lines.append(f"| {_cell(case.title)}{_cell(stand_in)} | {_cell(_outcome(case))} | {_cell(_versions(case))} |")
    return lines


def _outcome(case: Case) -> str:
    """What is expected, in a few words."""
    runs = case.expect if isinstance(case.expect, list) else [case.expect]
    return "; ".join(dict.fromkeys(_run(run) for run in runs))


def _run(run: Dict[str, Any]) -> str:
    if "skipped" in run:
        return "left out, with the reason"
    outputs = [run] if "output" in run else [one if isinstance(one, dict) else {} for one in run.get("outputs", [])]
    words = []
    inputs = len(run.get("inputs", []))
    words.append(f"{inputs} input{'' if inputs == 1 else 's'}" if inputs else "no input")
    words.append(f"{len(outputs)} output{'' if len(outputs) == 1 else 's'}" if outputs else "read only")
    if any(output.get("columns") for output in outputs):
        words.append("columns")
    words.extend(dict.fromkeys(str(output["lifecycle"]) for output in outputs if output.get("lifecycle")))
    if run.get("state", "COMPLETE") != "COMPLETE":
        words.append(str(run["state"]))
    return ", ".join(words)


def _versions(case: Case) -> str:
    parts = [case.spark] if case.spark else []
    parts.extend(f"{version.spec}: {'not there, ' if version.skip else ''}{version.why}" for version in case.versions)
    return "; ".join(parts)


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Write the page, or say that it is stale."""
    cases = load_all()
    for problem in problems(cases):
        print(problem, file=sys.stderr)
    text = page(cases)
    if "--check" in sys.argv[1:]:
        stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
        print(f"{PAGE} is stale: run python -m tests.coverage_page" if stale else f"{PAGE} is up to date")
        return int(stale or bool(problems(cases)))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return int(bool(problems(cases)))


if __name__ == "__main__":
    sys.exit(main())
