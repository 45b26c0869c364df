"""The house's plan: which room may import which. A room knows only the rooms to its right."""
from __future__ import annotations

import ast
import pathlib

import pytest

import adb_lineage

PACKAGE = pathlib.Path(adb_lineage.__file__).parent
NEUTRAL = {"errors", "assets", "_version", "database"}
# Room: the rooms of ours it may import, and the foreign packages it must never import.
ROOMS = {
    "capture": ({"openlineage_client"}, {"requests", "urllib3", "http", "pyapacheatlas", "azure"}),
    "outbox": ({"record"}, {"pyspark", "py4j", "requests", "http", "pyapacheatlas", "openlineage"}),
    "record": (set(), {"pyspark", "py4j", "requests", "http", "openlineage"}),
    "spool": ({"outbox", "record"}, {"pyspark", "py4j", "requests", "http", "openlineage"}),
    "translate": (set(), {"pyspark", "py4j", "requests", "http", "socket", "time", "openlineage", "sqlite3"}),
    "purview": (set(), {"pyspark", "py4j", "openlineage"}),
    "delivery": ({"outbox", "record", "spool"}, {"pyspark", "py4j", "requests", "http", "openlineage"}),
    "catalog": (set(), {"pyspark", "py4j", "openlineage", "pyapacheatlas"}),
    "transport": ({"composition", "openlineage_client", "settings"}, {"pyspark", "py4j", "pyapacheatlas"}),
}


def files_of(room):
    path = PACKAGE / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [PACKAGE / f"{room}.py"]


def imports_of(path):
    """`(module, line)` for each import statement, relative ones resolved."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.module, node.lineno
            if node.module == "adb_lineage":
                yield from ((f"adb_lineage.{alias.name}", node.lineno) for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may_know(room):
    ours, never = ROOMS[room]
    allowed = {room} | ours | (set() if room == "catalog" else NEUTRAL)
    files = files_of(room)
    assert files
    for path in files:
        for module, line in imports_of(path):
            top, _, rest = module.partition(".")
            if top == "adb_lineage":
                inner = rest.partition(".")[0]
                assert not inner or inner in allowed, f"{path}:{line}: {room} must not know {inner}"
            assert top not in never, f"{path}:{line}: {room} must not know {top}"


def test_nothing_knows_the_local_catalog_but_its_commands_and_the_demo():
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        if room in ("catalog", "demo", "commands"):
            continue
        for module, line in imports_of(path):
            assert not module.startswith("adb_lineage.catalog"), f"{path}:{line}"


def test_a_forbidden_import_is_noticed(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    import requests\n    from adb_lineage import purview\n")
    assert {module for module, _ in imports_of(bad)} == {"requests", "adb_lineage", "adb_lineage.purview"}


def test_the_public_face():
    assert sorted(adb_lineage.__all__) == ["PurviewTransport", "__version__", "disable", "enable", "status"]
    for name in adb_lineage.__all__:
        assert getattr(adb_lineage, name) is not None
