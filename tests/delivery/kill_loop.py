"""Kill the driver at random points, again and again; the catalog must end up as if nothing had happened.

    python -m tests.delivery.kill_loop [--times 200] [--processes 12] [--runs 5] [--seed N]

A child process appends events and delivers them to the local catalog (real rooms, real HTTP); it gets SIGKILL after a
random time, and a new one goes on with the same disk. At the end the picture is compared with that of an undisturbed
run, and delivering everything once more must change nothing. Exit status 1 when a picture differs.
"""
from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.delivery.whole_way import CatalogProcess, picture

DRIVER = """
import sys
from adb_lineage.composition import outbox_from_settings, record_from_settings, translate_from_settings
from adb_lineage.composition import catalog_from_settings
from adb_lineage.delivery import Delivery, DeliveryOptions
from tests.delivery.whole_way import events, settings
url, folder, processes, runs, again = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "yes"
chosen = settings(url, folder, update_last_run=True)
record = record_from_settings(chosen)
outbox = outbox_from_settings(chosen, record)
# Small parts: more points at which a kill can hurt.
options = DeliveryOptions(target=url, take_runs=7, write_processes=3, collect_seconds=0.05, hold_bytes=4000)
delivery = Delivery(outbox, translate_from_settings(chosen), catalog_from_settings(chosen), record, options)
delivery.start()
print("started", flush=True)
for event in events(processes, runs):
    outbox.append(event, again=again)
while not delivery.flush(60):
    pass
assert outbox.counts()["delivered"] == processes * runs, outbox.counts()
print("done", flush=True)
delivery.stop(10)
"""


def drive(catalog: CatalogProcess, folder: str, size: Any, again: bool = False) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, catalog.url, folder, str(size.processes), str(size.runs),
         "yes" if again else "no"], stdout=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen) -> None:
    output = child.communicate()[0]
    assert child.returncode == 0 and output.endswith("done\n"), output


def main(arguments: Any = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--processes", type=int, default=12)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=None)
    size = parser.parse_args(arguments)
    seed = random.randrange(10**6) if size.seed is None else size.seed
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        with CatalogProcess(f"{folder}/undisturbed.db") as catalog:
            started = time.monotonic()
            finish(drive(catalog, f"{folder}/undisturbed", size))
            usual = time.monotonic() - started
            expected = picture(catalog.path)
        killed = drivers = 0
        while killed < size.times:  # a driver that gets to its end makes room for a new disk and catalog
            drivers += 1
            with CatalogProcess(f"{folder}/killed{drivers}.db") as catalog:
                while killed < size.times:
                    child = drive(catalog, f"{folder}/killed{drivers}", size)
                    child.stdout.readline()
                    try:
                        # Of the time that it needs once it has started, less and less is left to do.
                        child.wait(dice.uniform(0.0, usual / 4))
                        child.stdout.close()
                        break
                    except subprocess.TimeoutExpired:
                        child.kill()
                        child.wait()
                        child.stdout.close()
                        killed += 1
                finish(drive(catalog, f"{folder}/killed{drivers}", size))
                if differs(expected, picture(catalog.path), f"after {killed} kills, seed {seed}"):
                    return 1
                finish(drive(catalog, f"{folder}/killed{drivers}", size, again=True))
                if differs(expected, picture(catalog.path), f"everything once more, seed {seed}"):
                    return 1
    print(f"{killed} kills in {drivers} drivers' lives, seed {seed}: the catalog is as if nothing had happened "
          f"({len(expected['entities'])} entities, {len(expected['edges'])} edges)")
    return 0


def differs(expected: Any, found: Any, when: str) -> bool:
    different = False
    for part in ("entities", "edges"):
        wanted, there = ({json.dumps(one) for one in side[part]} for side in (expected, found))
        doubled = len(found[part]) - len(there)
        if wanted != there or doubled:
            different = True
            print(f"{when}: {part}: {len(wanted - there)} missing, {len(there - wanted)} too many, {doubled} doubled")
            for line in sorted(wanted ^ there)[:6]:
                print(("- " if line in wanted else "+ ") + line[:2000])
    return different


if __name__ == "__main__":
    sys.exit(main())
