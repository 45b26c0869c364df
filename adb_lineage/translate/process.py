"""The process of a run: its identity, its attributes, and how it is made to fit Purview's limits.

Identity is section 4.6 of the reference on the accelerator, so that a catalog it filled keeps its processes.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from adb_lineage.assets import AssetName, part_of
from adb_lineage.translate.columns import Groups, Mapped, map_columns
from adb_lineage.translate.databricks import Entity, Place, entity, reference

PROCESS_TYPE = "databricks_process"

_md5: Callable[[bytes], Any] = hashlib.md5
try:
    hashlib.md5()
except ValueError:  # a Python in FIPS mode wants to be told that it is not for security
    _md5 = partial(hashlib.md5, usedforsecurity=False)


def _digest(text: str) -> str:
    # Not for security: the accelerator's identity of a process is made of MD5 sums. It encoded ASCII, with a `?` for
    # every other character, so that paths in Cyrillic of one length were one process; UTF-8 is the same for ASCII.
    digest: str = _md5(text.encode("utf-8", "replace")).hexdigest()
    return digest.upper()


def process_hash(inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """`{inputs}->{outputs}` of qualified names as the rules gave them; a name that stands twice counts twice.

    Inputs are sorted by code point in their own case, then lower-cased and joined with commas. Of one output the name
    is hashed as it is; several are sorted and joined with commas, so that two processes never share a name.
    """
    sources = ",".join(sorted(inputs)).lower()
    return f"{_digest(sources)}->{_digest(','.join(sorted(outputs)))}"


@dataclass(frozen=True)
class ProcessDraft:
    """Everything about a run's entities but the names of the assets that the catalog will choose."""

    place: Place
    qualified_name: str
    name: str
    description: str
    inputs: Tuple[AssetName, ...]
    outputs: Tuple[AssetName, ...]
    groups: Groups
    spark_plan: str
    columns: Mapped
    """The column mapping on the names that the rules gave."""
    max_value_bytes: int
    redact: bool

    def _columns(self, chosen: Mapping[AssetName, AssetName]) -> Mapped:
        renamed = {name for name, other in chosen.items() if name != other}
        if not renamed or not any(source in renamed or sink in renamed for source, sink in self.groups):
            return self.columns
        return map_columns(self.groups, chosen, self.max_value_bytes, self.redact)

    def entities(self, chosen: Mapping[AssetName, AssetName]) -> List[Entity]:
        """The Databricks entities and the process; a column mapping that one value can't hold continues in further
        processes of the same task, which Purview shows as one."""
        parts = self._columns(chosen).parts
        entities = [_copy(container) for container in self.place.entities]
        for number, part in enumerate(parts[1:], 2):
            name = part_of(self.qualified_name, number)
            entities.append(self._process(chosen, name, part, "{}", f" (columns, part {number} of {len(parts)})"))
        entities.append(self._process(chosen, self.qualified_name, parts[0], self.spark_plan, ""))
        return entities

    def _process(
        self, chosen: Mapping[AssetName, AssetName], qualified_name: str, columns: str, spark_plan: str, label: str
    ) -> Entity:
        attributes: Dict[str, Any] = {
            "name": self.name + label,
            "qualifiedName": qualified_name,
            "description": self.description,
            "columnMapping": columns,
            "sparkPlan": spark_plan,
            "inputs": _references(self.inputs, chosen),
            "outputs": _references(self.outputs, chosen),
        }
        process = entity(PROCESS_TYPE, attributes, {"task": reference(self.place.parent_type, self.place.parent)})
        process["attributes"].setdefault("inputs", [])
        process["attributes"].setdefault("outputs", [])
        return process


def _references(names: Sequence[AssetName], chosen: Mapping[AssetName, AssetName]) -> List[Dict[str, Any]]:
    return [reference(*name) for name in dict.fromkeys(chosen.get(name, name) for name in names)]


def _copy(container: Entity) -> Entity:
    """A copy that the caller may change: a translation may be used twice."""
    return {name: dict(value) if isinstance(value, dict) else value for name, value in container.items()}
