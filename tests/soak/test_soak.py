"""A short soak, in a process of its own. `python -m tests.soak --queries 10000` is the long one."""
from __future__ import annotations

import subprocess
import sys

import pytest

from tests.soak.soak import Sample, growth


@pytest.mark.spark
@pytest.mark.slow
def test_nothing_grows_with_the_number_of_queries():
    done = subprocess.run([sys.executable, "-m", "tests.soak", "--queries", "180", "--rounds", "9"],
                          capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize("name", ["heap", "rss", "objects", "bindings", "threads"])
def test_growth_is_seen(name):
    flat = {"heap": 100 << 20, "rss": 200 << 20, "objects": 100_000, "bindings": 50, "threads": 40}
    steps = {"heap": 1 << 20, "rss": 2 << 20, "objects": 300, "bindings": 3, "threads": 2}
    grown = [Sample(number, **{**flat, name: flat[name] + number * steps[name]}) for number in range(60)]
    assert {key for key, (_, _, grew) in growth(grown).items() if grew} == {name}
    noisy = [Sample(number, **{**flat, name: flat[name] + number % 2 * steps[name]}) for number in range(60)]
    assert not any(grew for _, _, grew in growth(noisy).values())
