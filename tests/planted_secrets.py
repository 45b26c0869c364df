"""A pytest plugin: secrets are planted where users keep theirs, and no output of the whole run may show one.

Planted are the environment (so the settings of everything that tests start) and the configuration of the shared Spark.
Searched are what every test printed, logged and reported, and at the end each file below pytest's temporary folder,
with what SQLite files keep compressed. A secret that is found fails the run.
"""
from __future__ import annotations

import os
import sqlite3
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.planted import ENVIRONMENT, SPARK

SECRETS = (*ENVIRONMENT.values(), *SPARK.values())
_CHUNK = 1 << 20
_LONGEST = max(map(len, SECRETS))


def secrets_in(data: bytes) -> List[str]:
    """The planted secrets in these bytes, as they are or in UTF-16 (as Java and some files have text)."""
    return [secret for secret in SECRETS
            if secret.encode() in data or secret.encode("utf-16-le") in data or secret.encode("utf-16-be") in data]


def search(folder: Path) -> Dict[Path, List[str]]:
    """The files below a folder that show planted secrets."""
    found: Dict[Path, List[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            secrets = sorted({secret for data in _contents(path) for secret in secrets_in(data)})
            if secrets:
                found[path] = secrets
    return found


def _contents(path: Path) -> Iterator[bytes]:
    """A file in pieces that overlap by more than a secret's length; of SQLite files, the values of all rows as well."""
    with path.open("rb") as file:
        head = file.read(16)
        before = head
        while True:
            piece = file.read(_CHUNK)
            yield before + piece
            if not piece:
                break
            before = piece[-2 * _LONGEST:]
    if head.startswith(b"SQLite format 3"):
        yield from _values(path)


def _values(path: Path) -> Iterator[bytes]:
    connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    connection.text_factory = bytes
    try:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute('SELECT * FROM "{}"'.format(table.decode().replace('"', '""'))):
                yield from (_inflated(value) for value in row if isinstance(value, bytes))
    except sqlite3.DatabaseError:
        return  # tests damage some on purpose; their bytes have been searched
    finally:
        connection.close()


def _inflated(value: bytes) -> bytes:
    """A value of the outbox begins with a byte that tells whether it is compressed."""
    try:
        return zlib.decompress(value[1:])
    except zlib.error:
        return value


class Reports:
    """Looks through what the tests printed, logged and raised."""

    def __init__(self) -> None:
        self.found: Dict[str, List[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        text = "\n".join([*(content for _, content in report.sections), report.longreprtext])
        secrets = secrets_in(text.encode("utf-8", "replace"))
        if secrets:
            self.found[f"{report.nodeid}, its {report.when}"] = secrets


def pytest_configure(config: pytest.Config) -> None:
    os.environ.update(ENVIRONMENT)
    config.pluginmanager.register(Reports(), Reports.__name__)


@pytest.fixture(scope="session", autouse=True)
def no_output_shows_a_planted_secret(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The first fixture to come and the last to go: by then every file is written."""
    yield
    places = {**pytestconfig.pluginmanager.get_plugin(Reports.__name__).found, **search(tmp_path_factory.getbasetemp())}
    names = {secret: name for name, secret in {**ENVIRONMENT, **SPARK}.items()}
    shown = [f"{place} shows {', '.join(names[secret] for secret in secrets)}" for place, secrets in places.items()]
    if shown:
        pytest.fail("planted secrets are shown:\n" + "\n".join(shown), pytrace=False)
