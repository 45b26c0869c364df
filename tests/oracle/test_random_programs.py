"""No edge is missing in random programs. `python -m tests.oracle 500` runs many."""
from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.oracle.programs import build
from tests.oracle.session import quick
from tests.oracle.watching import Oracle

pytestmark = [pytest.mark.spark, pytest.mark.slow]
PROGRAMS = int(os.environ.get("ADB_LINEAGE_PROGRAMS", "15"))
LINES = 6


@pytest.fixture(scope="module")
def oracle(spark_session, tmp_path_factory):
    return Oracle(quick(spark_session), str(tmp_path_factory.mktemp("oracle")))


@settings(max_examples=PROGRAMS, deadline=None, database=None, print_blob=True,
          suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_changes_with_a_column_has_an_edge_from_it(oracle, data):
    program = build(data.draw, oracle.spark, oracle.tables, data.draw(st.integers(2, LINES)))
    verdict = oracle.judge(program)
    note(f"{program}\nmissing: {verdict.missing} {verdict.notes}")
    assert not verdict.missing
    assert not verdict.notes
