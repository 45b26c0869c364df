"""docs/coverage.md says what the cases say."""
from __future__ import annotations

from tests import coverage_page
from tests.case_harness.case import load_all


def test_the_page_is_what_the_cases_make_it():
    text = coverage_page.PAGE.read_text(encoding="utf-8")
    assert text == coverage_page.page(load_all()), "stale: run python -m tests.coverage_page"


def test_each_row_of_the_matrix_has_a_proof_or_an_explanation():
    assert coverage_page.problems(load_all()) == []
