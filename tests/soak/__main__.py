"""`python -m tests.soak [--queries 10000] [--rounds 60] [--without]`: run the soak, print every sample, judge.

`--without` runs the same queries with lineage off, for comparison.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.case_harness.session import start_session
from tests.soak.soak import SPARK, Sample, growth, soak


def main() -> int:
    """The status is 1 when something grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--without", action="store_true")
    arguments = parser.parse_args()
    began = time.monotonic()

    def tell(one: Sample) -> None:
        print(f"{one.queries:>6} queries: heap {one.heap / 1e6:7.2f} MB, Python {one.rss / 1e6:7.2f} MB, "
              f"{one.objects:>7} objects, {one.bindings:>5} Py4J bindings, {one.threads} JVM threads, "
              f"{time.monotonic() - began:.0f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        spark = start_session(Path(folder), SPARK)
        samples, status = soak(spark, Path(folder), arguments.queries, arguments.rounds,
                               lineage=not arguments.without, told=tell)
        spark.stop()
    print({key: status.get(key) for key in ("queries", "round_trips", "coverage", "last_error") if key in status})
    verdict = growth(samples)
    for name, (before, after, grew) in verdict.items():
        print(f"{name:<9} middle third {before:>12.0f}, last third {after:>12.0f}  "
              f"{'GROWS' if grew else 'does not grow'} ({after - before:+.0f})")
    return 1 if any(grew for _, _, grew in verdict.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
