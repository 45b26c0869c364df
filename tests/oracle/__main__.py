"""`python -m tests.oracle [PROGRAMS] [SEED]`: judge so many random programs (500) and print what was found."""
from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Optional

from tests.case_harness.session import start_session
from tests.oracle.judging import judge_programs
from tests.oracle.programs import Program
from tests.oracle.session import quick
from tests.oracle.watching import Oracle, Verdict


def main(programs: int, start: int) -> int:
    """Run; the status is 1 when an edge is missing or a column was lost."""
    totals: Counter = Counter()
    lines: Counter = Counter()
    began = time.time()

    def told(program: Program, verdict: Optional[Verdict], error: Optional[Exception]) -> None:
        if verdict is None:
            totals["failed"] += 1
            print(f"--- failed: {type(error).__name__}: {str(error)[:300]}\n{program}\n", flush=True)
            return
        totals.update(programs=1, edges=verdict.edges, runs=verdict.runs, missing=len(verdict.missing),
                      lost=len(verdict.notes), unsettled=len(verdict.unsettled))
        lines.update(line.split("(")[0].split(".")[-1] for line in program.lines)
        if verdict.missing or verdict.notes:
            print(f"--- missing {verdict.missing} {verdict.notes}\n{program}\n", flush=True)
        if totals["programs"] % 25 == 0:
            print(dict(totals), f"{time.time() - began:.0f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        spark = start_session(Path(folder), {"spark.ui.showConsoleProgress": "false"})
        judge_programs(Oracle(quick(spark), folder), programs, start, told)
        print(f"Spark {spark.version}: {dict(totals)} in {time.time() - began:.0f} s, "
              f"lines: {dict(lines.most_common())}")
        spark.stop()
    return 1 if totals["missing"] or totals["lost"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
