"""So many random programs of one seed, each compared with the oracle."""
from __future__ import annotations

from typing import Callable, Optional

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.oracle.programs import Program, build
from tests.oracle.watching import Oracle, Verdict

LINES = 6

Told = Callable[[Program, Optional[Verdict], Optional[Exception]], None]


def judge_programs(oracle: Oracle, programs: int, start: int, told: Told) -> None:
    """Build and judge; `told` gets each program with its verdict, or with the error that kept it from running."""

    @seed(start)
    @settings(max_examples=programs, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def judge(data: st.DataObject) -> None:
        program = build(data.draw, oracle.spark, oracle.tables, data.draw(st.integers(2, LINES)))
        try:
            verdict = oracle.judge(program)
        except Exception as error:
            told(program, None, error)
        else:
            told(program, verdict, None)

    judge()
