"""What this Spark can do, found out once by trying: the one table of differences between versions and forks."""
from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

from adb_lineage.capture.jvm import Jvm

# Name of a member of QueryExecution or of a plan node -> the path that asks for it (see Jvm.ask).
MEMBERS: Mapping[str, Tuple[str, ...]] = {
    "executed_command": ("commandExecuted",),  # Spark 3.2: commands run eagerly and come again as their own result
    "sql_text": ("origin", "sqlText?"),  # Spark 3.3
}


class Capabilities:
    """Asks for members that not every Spark has; one that is missing is not asked for again."""

    def __init__(self) -> None:
        self.missing: Dict[str, str] = {}

    def ask(self, jvm: Jvm, name: str, target: Any) -> Any:
        """The member's value, or None where this Spark has none."""
        if name in self.missing:
            return None
        try:
            return jvm.ask(target, *MEMBERS[name])
        except Exception as error:  # noqa: BLE001  Py4J has no type of its own for "no such method"
            if "does not exist" in str(error):
                self.missing[name] = type(error).__name__
            return None
