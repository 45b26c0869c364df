"""No edge is missing in random programs. `python -m tests.oracle 500` runs many."""
from __future__ import annotations

import random

import pytest

from tests.oracle.judging import judge_programs
from tests.oracle.programs import Program
from tests.oracle.session import quick
from tests.oracle.watching import Oracle, Verdict

pytestmark = [pytest.mark.spark, pytest.mark.slow]
PROGRAMS = 10


@pytest.fixture(scope="module")
def oracle(spark_session, tmp_path_factory):
    return Oracle(quick(spark_session), str(tmp_path_factory.mktemp("oracle")))


@pytest.mark.parametrize("start", [1, None], ids=["fixed", "random"])
def test_what_changes_with_a_column_has_an_edge_from_it(oracle, start):
    start = random.randrange(1 << 32) if start is None else start
    judged, problems = [], []

    def told(program, verdict, error):
        judged.append(program)
        if error is None and (verdict.missing or verdict.notes):
            problems.append(f"missing {verdict.missing} {verdict.notes}\n{program}")

    judge_programs(oracle, PROGRAMS, start, told)
    print(f"seed {start}")
    assert len(judged) >= PROGRAMS // 2
    assert not problems, f"`python -m tests.oracle {PROGRAMS} {start}`\n" + "\n\n".join(problems)


def test_the_oracle_sees_an_edge_that_is_missing(oracle):
    """`a` decides about `c`: without that edge, and with no other, the oracle finds it and nothing else."""
    program = Program()
    program.lines = ["f = t.select(E('a + 1').alias('c'), E('b'))"]
    verdict = Verdict()
    oracle.watch(program, [frozenset(), frozenset({("t", "b")})], frozenset(), verdict)
    assert verdict.missing == [(("t", "a"), "0")]
    whole = Verdict()
    oracle.watch(program, [frozenset({("t", "a")}), frozenset({("t", "b")})], frozenset(), whole)
    assert whole.missing == []


def test_a_column_that_is_another_one_from_run_to_run_tells_nothing(oracle):
    """Such as what a limit takes of rows that are equal to the order."""
    program = Program()
    program.lines = ["f = t.select(E('uuid()').alias('c'))"]
    verdict = Verdict()
    oracle.watch(program, [frozenset()], frozenset(), verdict)
    assert (verdict.missing, verdict.unsettled) == ([], [0])
