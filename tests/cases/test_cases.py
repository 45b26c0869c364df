"""Every case under tests/cases, on real Spark."""
from __future__ import annotations

import importlib.util
import re
from typing import Iterator

import pytest

from tests.case_harness.case import Case, load_all
from tests.case_harness.results import Names, compare, observed_runs
from tests.case_harness.worlds import Unavailable, Worlds

pytestmark = pytest.mark.spark
SHOWN_CHARACTERS = 1500  # of an error: a Java stack trace with its causes is long
CASES = sorted(load_all(), key=lambda case: case.world)


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    running = Worlds()
    yield running
    running.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_case(case: Case, worlds: Worlds) -> None:
    import pyspark

    expected, why = case.on(pyspark.__version__)
    if expected is None:
        pytest.skip(why)
    for package in case.needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    try:
        world = worlds.get(case.world)
    except Unavailable as error:
        pytest.skip(str(error))
    answer = world.run(case)
    assert not answer["failure"], f"the setup failed: {answer['failure']}"
    error = answer["error"][:SHOWN_CHARACTERS]
    if case.raises:
        assert re.search(case.raises, answer["error"]), f"expected {case.raises!r}, raised {error!r}"
    else:
        assert not error, error
    differences = compare(expected, observed_runs(answer["events"], answer["rows"], Names(world.places)))
    assert not differences, f"{why}\n" + "\n".join(differences)
