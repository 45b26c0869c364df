"""Names of sources from URLs, queries and options: the table is sources.yaml."""
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from adb_lineage.capture.connectors import connector
from adb_lineage.capture.jdbc import parse_jdbc_url
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.options import Options
from adb_lineage.capture.queries import MAX_QUERY, tables_in_query

CASES = yaml.safe_load((Path(__file__).parent / "sources.yaml").read_text(encoding="utf-8"))


def written(dataset):
    return f"{dataset.namespace} | {dataset.name}" + ("" if dataset.known else " ?")


@pytest.mark.parametrize(("url", "expected"), CASES["jdbc_urls"].items())
def test_jdbc_urls(url, expected):
    dataset = parse_jdbc_url(url).dataset("t")
    assert written(dataset) == expected
    assert "secret" not in written(dataset)


@pytest.mark.parametrize(("dialect", "source", "expected"), CASES["queries"])
def test_tables_of_queries(dialect, source, expected):
    assert sorted(tables_in_query(source, dialect)) == sorted(expected)


def test_a_query_beyond_the_limit_is_not_parsed():
    assert tables_in_query(f"select * from t where x in ({'1,' * MAX_QUERY}1)", "postgres") == ()


class Reads(dict):
    """Options that note which values were looked at."""

    def __init__(self, content):
        super().__init__(content)
        self.read = set()

    def get(self, key, default=None):
        self.read.add(key)
        return super().get(key, default)


@pytest.mark.parametrize("case", CASES["connectors"], ids=lambda case: f"{case['format']} {case['datasets']}")
def test_connectors(case):
    options = Reads(case["options"])
    datasets = connector(case["format"])(Options(Jvm(10.0), options))
    assert [written(dataset) for dataset in datasets] == case["datasets"]
    assert not any(case["options"][key] == "secret" for key in options.read)
