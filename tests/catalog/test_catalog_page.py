"""The page in a real browser (headless Chromium, if the machine has one): what its scripts make of real data."""
from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
PATH = "azure_datalake_gen2_path"


def rendered(url, tmp_path):
    """The document after its scripts have run."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([CHROMIUM, *flags, "--virtual-time-budget=20000", "--dump-dom", url], capture_output=True,
                          text=True, timeout=180, check=False)
    return done.stdout


@pytest.fixture
def filled(server, api, make):
    mapping = [{"DatasetMapping": {"Source": "https://lake/in/", "Sink": "https://lake/<b>out</b>/"},
                "ColumnMapping": [{"Source": "amount", "Sink": "total"}, {"Source": "day", "Sink": "*"}]}]
    api.upsert(
        make.entity(PATH, "https://lake/in/"), make.entity(PATH, "https://lake/<b>out</b>/"),
        make.entity("databricks_process", "databricks://w/p", inputs=[make.ref(PATH, "https://lake/in/")],
                    outputs=[make.ref(PATH, "https://lake/<b>out</b>/")], columnMapping=json.dumps(mapping)))
    return server


def test_home_and_search_list_what_there_is(filled, tmp_path):
    home = rendered(filled.url + "/", tmp_path)
    assert home.count("<li>") == 3
    found = rendered(filled.url + "/#/?q=out", tmp_path)
    assert found.count("<li>") == 1
    assert "&lt;b&gt;out" in found  # names are text, never markup


@pytest.mark.parametrize("name", ["https://lake/in/", "https://lake/<b>out</b>/"])
def test_lineage_is_drawn_with_its_columns(filled, api, tmp_path, name):
    page = rendered(f"{filled.url}/#/asset/{api.guid(PATH, name)}/lineage", tmp_path)
    assert len(re.findall(r'<g class="node (?:dataset|process)', page)) == 3
    assert len(re.findall(r'<path class="edge"', page)) == 2
    assert set(re.findall(r'<g class="column".*?<title>(.*?)</title>', page)) == {"amount", "total", "day"}
    assert "all rows" in page  # the column that only decides which rows there are


@pytest.mark.parametrize(("tab", "part"), [
    ("overview", "outputFromProcesses"), ("schema", "<td>total</td>"), ("json", '"relationshipAttributes"')])
def test_the_other_tabs(filled, api, tmp_path, tab, part):
    page = rendered(f"{filled.url}/#/asset/{api.guid(PATH, 'https://lake/<b>out</b>/')}/{tab}", tmp_path)
    assert part in page


def test_an_empty_catalog_and_an_unknown_asset_say_so(server, tmp_path):
    assert "The catalog is empty" in rendered(server.url + "/", tmp_path)
    assert "ATLAS-404-00-005" in rendered(server.url + "/#/asset/nope/lineage", tmp_path)
