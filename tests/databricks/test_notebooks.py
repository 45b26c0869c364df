"""The notebooks that ship, executed in the stand-in cell by cell; and the picture that they show."""
from __future__ import annotations

import pathlib
import re
import xml.etree.ElementTree
from typing import Callable, Iterator, List

import pytest

from adb_lineage.catalog.server import CatalogServer
from adb_lineage.graph import MOST_BOXES, Graph, Process
from tests.databricks.standin import notebook
from tests.databricks.standin.cluster import Cluster

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("name", ["trial.py", "administrator.py"])
def test_the_format_is_databricks_own(name: str) -> None:
    data = (NOTEBOOKS / name).read_bytes()
    assert b"\r" not in data and notebook.load(NOTEBOOKS / name)


@pytest.fixture()
def purview(tmp_path: pathlib.Path) -> Iterator[CatalogServer]:
    server = CatalogServer(tmp_path / "catalog.sqlite").start()
    yield server
    server.close()


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize("covered", [False, True], ids=["a cluster without lineage", "a cluster that is covered"])
def test_the_trial(covered: bool, cluster: Callable[..., Cluster], wheel: pathlib.Path, purview: CatalogServer) -> None:
    env = {"ADB_LINEAGE_ENDPOINT": purview.url, "ADB_LINEAGE_AUTH": "none", "ADB_LINEAGE_CAPTURE_SECONDS": "60"}
    one = cluster(env=env if covered else {})
    if covered:
        one.install_library(wheel)
    with one:
        other = one.attach("/Shared/somebody_else")
        other.cell("spark.range(3).write.mode('overwrite').parquet('/tmp/adb_lineage_others')")
        repl = one.attach("/Users/a@b.example/trial")
        answers = repl.run_notebook(NOTEBOOKS / "trial.py", wheel=wheel)
        shown = repl.output.read_text()
        assert [answer["error"] for answer in answers] == [""] * len(answers), shown + repl.errors.read_text()
        assert shown.count("  writes  ") == 2, "each of the two steps, and nobody else's"
        for column in ("raw/customers name -> ", "raw/orders amount -> ", "report/revenue revenue"):
            assert column in shown, shown
        other.cell("print('adb_lineage' in __import__('sys').modules)")
        assert other.output.read_text() == f"{covered}\n", "a trial is nobody else's business"


@pytest.mark.spark
@pytest.mark.slow
def test_the_administrator_s(cluster: Callable[..., Cluster], wheel: pathlib.Path, purview: CatalogServer) -> None:
    """On a cluster that an init script has set up: on by its environment, all else in the Spark conf."""
    one = cluster(env={"ADB_LINEAGE_ENABLED": "true"}, conf={
        "spark.adb_lineage.endpoint": purview.url, "spark.adb_lineage.auth": "none",
        "spark.adb_lineage.capture_seconds": "60"})
    one.install_library(wheel)
    with one:
        repl = one.attach("/Shared/administrator")
        answers = repl.run_notebook(NOTEBOOKS / "administrator.py")
        repl.cell("import subprocess; print(subprocess.run('python -m adb_lineage settings', shell=True, text=True,"
                  "capture_output=True).stdout)")
        shown = repl.output.read_text()
    assert [answer["error"] for answer in answers] == [""] * len(answers), shown
    for part in ("Lineage is captured here", "stage: start", "delivered\n", "statements seen", "/Shared/administrator"):
        assert part in shown, shown
    assert "not delivered" not in shown
    assert len(re.findall(rf"endpoint +{re.escape(purview.url)} +Spark conf", shown)) == 2, shown


def test_a_picture_is_well_formed_whatever_the_names_are() -> None:
    odd = "<b>\"Ж&'$\u0001"
    graph = Graph([Process(odd, "p", (odd, "a" * 500), ("out",), ((odd, odd),)),
                   Process("circle", "q", ("out",), (odd,), ()), Process("self", "r", ("out",), ("out",), ())])
    html = graph._repr_html_()
    svg = html[html.index("<svg"):html.index("</svg>") + 6]
    root = xml.etree.ElementTree.fromstring(svg.replace("\u0001", ""))
    assert len(root.findall(".//{http://www.w3.org/2000/svg}rect")) == 6
    assert "<b>" not in html and "http" not in html.replace("http://www.w3.org/2000/svg", "")


def test_a_picture_of_very_much_is_bounded() -> None:
    graph = Graph(Process(f"p{number}", f"p{number}", (f"t{number}",), (f"t{number + 1}",), ())
                  for number in range(500))
    html = graph._repr_html_()
    assert html.count("<rect") == MOST_BOXES and f"and {1001 - MOST_BOXES} more" in html


def test_no_lineage_is_said_in_words() -> None:
    assert str(Graph([])) == "no lineage yet" and "No lineage yet" in Graph([])._repr_html_()


def columns(graph: Graph) -> List[str]:
    return [f"{source}>{sink}" for one in graph.processes for source, sink in one.columns]


def test_a_graph_of_entities() -> None:
    mapping = ('[{"DatasetMapping": {"Source": "a", "Sink": "b"}, '
               '"ColumnMapping": [{"Source": "x", "Sink": "y"}]}]')
    entity = {"typeName": "databricks_process", "attributes": {
        "name": "n", "qualifiedName": "q", "columnMapping": mapping,
        "inputs": [{"typeName": "t", "uniqueAttributes": {"qualifiedName": "a"}}] * 2,
        "outputs": [{"typeName": "t", "uniqueAttributes": {"qualifiedName": "b"}}]}}
    graph = Graph.of_entities([{"typeName": "databricks_job", "attributes": {}}, entity, entity])
    assert [(one.inputs, one.outputs) for one in graph.processes] == [(("a",), ("b",))]
    assert columns(graph) == ["a x>b y"]
