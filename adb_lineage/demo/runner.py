"""The demo's Spark process: lineage on from outside, then the lakehouse exactly as it stands.

What is said here is a line on stdout, after the program's own; `demo.py` shows both as progress. Settings come from
the environment. Exit status: that of the program, or 3 when its lineage was not delivered in time.
"""
from __future__ import annotations

import json
import runpy
import sys

import adb_lineage
from adb_lineage.demo import lakehouse

DELIVERY_SECONDS = 60.0
NOT_DELIVERED = 3


def main() -> int:
    """Run the lakehouse as a script and wait until its lineage is in the catalog."""
    lineage = adb_lineage.enable()
    sys.argv = [lakehouse.__file__]
    runpy.run_path(lakehouse.__file__, run_name="__main__")
    print("Deliver the lineage.", flush=True)
    delivered = lineage.flush(DELIVERY_SECONDS)
    print(json.dumps(adb_lineage.status(), default=str), file=sys.stderr, flush=True)  # for the log
    adb_lineage.disable()
    return 0 if delivered else NOT_DELIVERED


if __name__ == "__main__":
    sys.exit(main())
