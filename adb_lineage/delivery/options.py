"""The knobs of the delivery."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeliveryOptions:
    """Times are seconds, sizes bytes of JSON.

    Raises ValueError for a mode that does not exist.
    """

    mode: str = "deliver"
    """`deliver`, or `preview`: nothing is written, the record says what would be."""
    target: str = ""
    """Which catalog: what was written to one says nothing about another."""

    take_runs: int = 500
    take_bytes: int = 4 << 20
    """Most that is read from the outbox at once."""
    batch_runs: int = 50_000
    collect_seconds: float = 60.0
    """Most runs, and longest time while more keep coming, that are looked at before the newest run of each process is
    written."""
    flush_collect_seconds: float = 1.0
    """The same time while somebody waits in `flush`."""
    hold_bytes: int = 2 << 20
    """Translations are kept until they are written up to this; beyond it they are made again."""
    write_processes: int = 100
    write_bytes: int = 1 << 20
    """Most that is resolved and written at once."""

    lease_seconds: float = 10.0
    """After so long a silence another process takes over; at once when the process is dead."""
    busy_seconds: float = 900.0
    """Longest that one batch may take before others may take over."""
    poll_seconds: float = 1.0
    """How soon events of other processes are seen; own ones are seen at once."""

    retry_first: float = 1.0
    retry_cap: float = 60.0
    """First and longest pause while the catalog is away, where it does not say itself."""
    fix_first: float = 30.0
    fix_cap: float = 600.0
    """First and longest pause while somebody has to mend rights, network or configuration."""

    spool_dir: str = ""
    """A folder that outlives the driver, for what could not be delivered; empty for none."""
    spool_runs: int = 100
    spool_seconds: float = 60.0
    """Complete runs are spooled when there are so many, or they are so old, without success."""

    def __post_init__(self) -> None:
        if self.mode not in ("deliver", "preview"):
            raise ValueError(f"mode is {self.mode!r}; allowed are deliver and preview")
