"""The search for planted secrets can fail: each way in which one might get out is found."""
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from adb_lineage.outbox import Outbox
from tests.planted_secrets import SECRETS, search

ROOT = Path(__file__).parents[2]


def leak(secret):
    """A secret of our own kind that the search of the run around us does not know."""
    return secret.replace("planted", "leaking")


@pytest.fixture
def other_secrets(monkeypatch):
    secrets = tuple(map(leak, SECRETS))
    monkeypatch.setattr("tests.planted_secrets.SECRETS", secrets)
    return secrets


def test_a_secret_in_a_file_in_an_outbox_and_in_java_s_text_is_found(tmp_path, other_secrets):
    one, two, three = other_secrets[:3]
    (tmp_path / "log.txt").write_text("x" * (1 << 20) + one)
    (tmp_path / "dump.bin").write_bytes(two.encode("utf-16-be"))
    outbox = Outbox(str(tmp_path / "outbox.sqlite"))
    outbox.append({"eventType": "START", "run": {"runId": "r"}, "job": {"name": three, "filler": "y" * 5000}})
    outbox.close()
    (tmp_path / "innocent.txt").write_text("planted")
    assert search(tmp_path) == {tmp_path / "dump.bin": [two], tmp_path / "log.txt": [one],
                                tmp_path / "outbox.sqlite": [three]}


@pytest.mark.parametrize("body", [
    "print(os.environ['AZURE_CLIENT_SECRET'])",
    "logging.getLogger('adb_lineage').warning('%s', os.environ['AZURE_CLIENT_SECRET'])",
    "assert os.environ['AZURE_CLIENT_SECRET'] == 'x'",
    "(tmp_path / 'spool.ndjson').write_text(os.environ['AZURE_CLIENT_SECRET'])",
])
def test_a_test_that_shows_a_secret_fails_the_run(tmp_path, body):
    (tmp_path / "test_leak.py").write_text(textwrap.dedent(f"""
        import logging, os
        def test_it(tmp_path):
            {body}
    """))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.planted_secrets", "-p", "no:cacheprovider",
         "--rootdir", str(tmp_path), str(tmp_path / "test_leak.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout
    assert "shows AZURE_CLIENT_SECRET" in done.stdout
