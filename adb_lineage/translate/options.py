"""What a translation may be told: the knobs of `translate_run`, all with a default."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence

from adb_lineage.translate.names import RuleSet, default_rules

KILOBYTE = 1024


@dataclass(frozen=True)
class TranslateOptions:
    """Options of a translation; it depends on nothing else but the events.

    `mounts` has the shape of OpenLineage's facet, `[{"mountPoint": "/mnt/x", "source": "abfss://c@a…/dir"}, …]`, and
    is used below the mounts that an event brings itself. Sizes are bytes of UTF-8.
    """

    workspace: Optional[str] = None
    """Workspace host used where no event tells it (a laptop, CI, other producers)."""
    metastore: Optional[str] = None
    """Unity Catalog metastore id (the UUID) used where no event tells it; Purview's names of tables begin with it."""
    mounts: Sequence[Mapping[str, str]] = ()
    rules: RuleSet = field(default_factory=default_rules)
    prefer: str = "location"
    """Which asset stands for a dataset that has both a storage path and a table name: "location" or "table"."""
    plan: bool = True
    """Write the Spark plan, if the event has one, to `sparkPlan`."""
    redact: bool = True
    """Mask literals and secrets in the plan, in expressions and in parameters."""
    indirect: bool = True
    """Keep indirect column edges (filter, join, group, sort, window) next to the direct ones."""
    include_one_sided: bool = False
    """Write a process for a run that only read or only wrote."""
    include_failed: bool = False
    """Write a process for a run that failed; its description says so."""
    max_value_bytes: int = 32 * KILOBYTE
    """Purview's limit for one attribute: its name and its value together."""
    max_entity_bytes: int = 2 * 1024 * KILOBYTE
    """Purview's limit for one asset."""
