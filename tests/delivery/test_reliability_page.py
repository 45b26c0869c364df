"""The page of promises names tests that exist."""
import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def test_every_test_that_the_page_names_exists_and_every_promise_names_one():
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 30
    for path, function in named:
        module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        defined = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
        assert function in defined, f"{path}::{function}"
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| promise"):
            assert "`tests/" in line, line
