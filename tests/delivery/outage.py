"""An outage with a full queue behind it: it must drain at the rate limit, in flat memory, each process once.

    python -m tests.delivery.outage [--events 50000] [--seconds 3600] [--processes 500] [--rate 20] [--limit-mb 150]

The rooms are the real ones, the catalog is a process of its own that is not there during the outage. Time is the
test's: events come evenly over the outage, waiting moves the clock, work costs no time. Prints JSON; exit status 1
when a promise is broken.
"""
from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from typing import Any, Optional

from adb_lineage.composition import purview_options, record_from_settings, translate_from_settings
from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.outbox import Outbox
from adb_lineage.purview import PurviewCatalog, credential
from tests.delivery.whole_way import CatalogProcess, events, picture, settings
from tests.outbox.events import ManualClock


class OneClock(ManualClock):
    """The clock of the delivery and of the catalog's client at once."""

    def sleep(self, seconds: float, wake: Optional[threading.Event] = None) -> None:
        self.pass_(max(seconds, 0.0))


class Counting(PurviewCatalog):
    """Counts how often each process is handed over."""

    handed: Counter

    def write(self, entities: Any, missing: Any) -> Any:
        self.handed.update(entity["attributes"]["qualifiedName"] for entity in entities
                           if entity["typeName"] == "databricks_process")
        return super().write(entities, missing)


def main(arguments: Any = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--limit-mb", type=int, default=150)
    size = parser.parse_args(arguments)
    runs = size.events // 2 // size.processes
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        chosen = settings(f"http://127.0.0.1:{port}", folder, requests_per_second=size.rate)
        clock = OneClock()
        record = record_from_settings(chosen)
        outbox = Outbox(f"{folder}/outbox.db", synchronous="OFF", record=record, clock=clock)
        options = purview_options(chosen)
        catalog = Counting(options, credential(options), state_path=f"{folder}/state.db", clock=clock)
        catalog.handed = Counter()
        delivery = Delivery(outbox, translate_from_settings(chosen), catalog, record,
                            DeliveryOptions(target="outage"), clock=clock)
        gap = size.seconds / (size.processes * runs * 2)
        started = clock.ticks
        next_pass = clock.ticks
        for event in events(size.processes, runs):
            outbox.append(event)
            clock.pass_(gap)
            if clock.ticks >= next_pass:
                next_pass = clock.ticks + delivery.run_once()
        outage = clock.ticks - started
        asked = catalog.status()["requests"]
        waiting = outbox.counts()
        memory_before = resident_mb("VmRSS")
        with CatalogProcess(f"{folder}/catalog.db", port) as server:
            started, real = clock.ticks, time.monotonic()
            while sum(outbox.counts()[state] for state in ("new", "taken", "waiting")):
                clock.pass_(delivery.run_once())
            drained = clock.ticks - started
            real = time.monotonic() - real
            requests = catalog.status()["requests"] - asked
            held = picture(server.path)
        processes = sum(one[0].startswith("databricks_process ") for one in held["entities"])
        peak = resident_mb("VmHWM")
        promises = {
            "nothing is delivered during the outage, and the catalog is asked rarely": asked < outage / 5,
            "everything arrives": outbox.counts()["delivered"] == size.processes * runs,
            "every process is there": processes == size.processes,
            "each process is written once, but for those of the test runs": sum(catalog.handed.values())
            <= size.processes + 5,
            "the rate limit holds": requests <= size.rate * (drained + 1.0),
            f"the worker stays below {size.limit_mb} MB": peak < size.limit_mb,
        }
        print(json.dumps({
            "events": size.processes * runs * 2, "processes": size.processes, "outage_seconds": round(outage),
            "requests_during_outage": asked, "queued_runs": waiting, "drain_seconds_of_the_clock": round(drained, 1),
            "drain_seconds_real": round(real, 1), "requests": requests,
            "requests_per_process": round(requests / size.processes, 2),
            "resident_mb": {"before_draining": memory_before, "peak": peak}, "promises": promises,
        }, indent=2))
        delivery.stop(0)
        outbox.close()
        return 0 if all(promises.values()) else 1


def resident_mb(field: str) -> int:
    """Resident memory of this process in MB: `VmRSS` is now, `VmHWM` the most there was.

    Not `ru_maxrss`: Linux carries that over `exec`, so a child starts with the peak of the process that forked it.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{field}:")) // 1024


if __name__ == "__main__":
    sys.exit(main())
