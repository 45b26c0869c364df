"""`python -m tests.oracle [PROGRAMS] [SEED]`: judge so many random programs (500) and print what was found."""
from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.oracle.programs import build
from tests.oracle.session import quick
from tests.oracle.watching import Oracle


def main(programs: int, start: int) -> int:
    """Run; the status is the number of programs with a missing edge, at most 1."""
    from pyspark.sql import SparkSession

    folder = tempfile.mkdtemp(prefix="oracle-")
    spark = (SparkSession.builder.master("local[1]").appName("oracle").config("spark.ui.enabled", "false")
             .config("spark.ui.showConsoleProgress", "false")
             .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.sql.warehouse.dir", folder + "/warehouse").getOrCreate())
    spark.sparkContext.setLogLevel("OFF")
    oracle = Oracle(quick(spark), folder)
    totals: Counter = Counter()
    lines: Counter = Counter()
    began = time.time()

    @seed(start)
    @settings(max_examples=programs, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def judge(data: st.DataObject) -> None:
        program = build(data.draw, oracle.spark, oracle.tables, data.draw(st.integers(2, 6)))
        try:
            verdict = oracle.judge(program)
        except Exception as error:
            totals["failed"] += 1
            print(f"--- failed: {type(error).__name__}: {str(error)[:300]}\n{program}\n", flush=True)
            return
        totals.update(programs=1, edges=verdict.edges, runs=verdict.runs, missing=len(verdict.missing),
                      lost=len(verdict.notes))
        lines.update(line.split("(")[0].split(".")[-1] for line in program.lines)
        if verdict.missing or verdict.notes:
            print(f"--- missing {verdict.missing} {verdict.notes}\n{program}\n", flush=True)
        if totals["programs"] % 25 == 0:
            print(dict(totals), f"{time.time() - began:.0f} s", flush=True)

    judge()
    print(f"Spark {spark.version}: {dict(totals)} in {time.time() - began:.0f} s, lines: {dict(lines.most_common())}")
    spark.stop()
    return 1 if totals["missing"] or totals["lost"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
