"""Installing the wheel changes no package that a Databricks runtime ships; pip's own resolver is asked."""
from __future__ import annotations

import pathlib
import re
import sys
from typing import List, Tuple

import pytest

from tests.databricks import runtimes

ROOT = pathlib.Path(__file__).parents[2]


def documented_changes(runtime: str) -> List[Tuple[str, str]]:
    """The rows of docs/install.md's table of unavoidable changes: (package, version that the runtime ships)."""
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+\.\d+) \| `([^`]+)` \| ([\d.]+) \| ([\d.]+) \| .+ \|$", text, re.M)
    return sorted((package, shipped) for name, package, shipped, _ in rows if name == runtime)


def test_there_is_a_list_for_each_long_term_runtime() -> None:
    assert runtimes.names() == ["10.4", "11.3", "12.2", "13.3", "14.3", "15.4", "16.4", "17.3", "18", "19"]


@pytest.mark.network
@pytest.mark.parametrize("name", runtimes.names())
def test_the_wheel_changes_nothing_that_the_runtime_ships(name: str, wheel: pathlib.Path,
                                                          tmp_path: pathlib.Path) -> None:
    runtime = runtimes.load(name)
    if not runtimes.interpreter(runtime.python):
        pytest.skip(f"no CPython {runtime.python} here")
    python = runtimes.install(runtime, tmp_path / "cluster")
    installs = runtimes.resolve(python, str(wheel))
    assert "pyspark" not in installs and "py4j" not in installs
    assert "openlineage-python" in installs, "the resolver was asked about the wheel's own dependencies"
    changed = [(package, shipped) for package, shipped, _ in runtimes.changes(runtime, installs)]
    assert changed == documented_changes(name)


@pytest.mark.network
def test_the_check_would_notice_a_change(tmp_path: pathlib.Path) -> None:
    runtime = runtimes.Runtime("made up", f"{sys.version_info[0]}.{sys.version_info[1]}", {"tenacity": "7.0.0"})
    python = runtimes.install(runtime, tmp_path / "cluster")
    changed = runtimes.changes(runtime, runtimes.resolve(python, "tenacity>=8.0"))
    assert [name for name, _, _ in changed] == ["tenacity"]
