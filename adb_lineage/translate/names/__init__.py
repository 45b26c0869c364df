"""Names of datasets: from OpenLineage's namespace and name to Purview's type and qualified name."""
from adb_lineage.translate.names.engine import (
    MAX_NAME_BYTES,
    PLACEHOLDER_RULE,
    Explanation,
    Miss,
    NameEngine,
    Naming,
    shortened,
)
from adb_lineage.translate.names.kin import kin_of
from adb_lineage.translate.names.mounts import Mounts, mounts_of
from adb_lineage.translate.names.rulefile import default_rules, load_rules, parse_rules
from adb_lineage.translate.names.rules import PLACEHOLDER_TYPE, RuleError, RuleSet

__all__ = [
    "MAX_NAME_BYTES",
    "PLACEHOLDER_RULE",
    "PLACEHOLDER_TYPE",
    "Explanation",
    "Miss",
    "Mounts",
    "NameEngine",
    "Naming",
    "RuleError",
    "RuleSet",
    "default_rules",
    "kin_of",
    "load_rules",
    "mounts_of",
    "parse_rules",
    "shortened",
]
