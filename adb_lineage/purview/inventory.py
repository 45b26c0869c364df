"""All that this product wrote into one catalog, by our bookkeeping and by what the catalog itself shows.

Purview's search does not show processes. So the way to them is the one that a person would take: the workspaces (found
by search), their notebooks and jobs, the jobs' tasks, the processes of each, and the datasets of each process.
"""
from __future__ import annotations

import logging
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from adb_lineage.assets import AssetName
from adb_lineage.purview.answers import NotAllowed, Refused
from adb_lineage.purview.client import GUIDS_A_CALL, PooledAtlasClient
from adb_lineage.purview.marks import WORKSPACE, is_marked, is_ours, last_seen
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.placeholders import COLUMN_RULES
from adb_lineage.purview.progress import Progress, no_progress
from adb_lineage.purview.state import State, Written
from adb_lineage.purview.types import PLACEHOLDER, TypeBook

log = logging.getLogger("adb_lineage.purview")

PROCESS = "databricks_process"
CONTAINERS = (
    WORKSPACE, "databricks_job", "databricks_notebook", "databricks_job_task", "databricks_notebook_task",
    "databricks_python_task", "databricks_python_wheel_task", "databricks_spark_jar_task",
    "databricks_spark_submit_task",
)
"""Outermost first."""
CHILDREN = ("notebooks", "jobs", "job_tasks", "processes")
"""Relationship attributes that lead from a container down."""
DATASETS = ("inputs", "outputs")
USERS = ("inputToProcesses", "outputFromProcesses")
"""Relationship attributes that lead from a dataset to its processes."""
HEAVY = ("sparkPlan", "columnMapping")


class Owned(NamedTuple):
    """An entity of the catalog that we wrote, or that stands on the way to one."""

    name: AssetName
    guid: str
    written: bool
    """We wrote it, by bookkeeping or mark."""
    untouched: bool
    """Nobody else has changed it since."""
    seen_at: Optional[float]
    """When a run last asked for it, as far as anybody knows; rather too late than too early."""
    created_at: float
    entity: Mapping[str, Any]
    """As read, without the heaviest attributes."""

    @property
    def is_process(self) -> bool:
        """Whether it is a process."""
        return self.name.type_name == PROCESS

    @property
    def is_container(self) -> bool:
        """Whether it stands above processes."""
        return self.name.type_name in CONTAINERS

    def ends(self, *attributes: str) -> List[str]:
        """Guids of the live entities behind relationship attributes."""
        return [guid for guid, _ in ends(self.entity, *attributes)]


def ends(entity: Mapping[str, Any], *attributes: str) -> List[Tuple[str, str]]:
    """Guid and type of the live entities behind relationship attributes of an entity as read."""
    relations = entity.get("relationshipAttributes") or {}
    found = []
    for attribute in attributes:
        value = relations.get(attribute)
        for end in value if isinstance(value, list) else [value]:
            if (
                isinstance(end, dict)
                and end.get("guid")
                and end.get("entityStatus", "ACTIVE") == "ACTIVE"
                and end.get("relationshipStatus", "ACTIVE") == "ACTIVE"
            ):
                found.append((str(end["guid"]), str(end.get("typeName") or "")))
    return list(dict.fromkeys(found))


class Inventory:
    """Reads what is ours; every read raises `RetryLater` and `FixNeeded`."""

    def __init__(self, client: PooledAtlasClient, options: PurviewOptions, state: State, book: TypeBook) -> None:
        self._client = client
        self._state = state
        self._book = book
        self._slack = options.volatile_seconds or 0.0
        self.problems: List[str] = []

    def read(self, guids: Iterable[str], heavy: Tuple[str, ...] = HEAVY) -> Iterator[Owned]:
        """Entities by guid, with relationships; those that are gone are left out, and so are `heavy` attributes."""
        wanted = list(dict.fromkeys(guids))
        for start in range(0, len(wanted), GUIDS_A_CALL):
            entities = self._client.by_guid(wanted[start:start + GUIDS_A_CALL])
            names = [_name(entity) for entity in entities]
            books = self._state.written(names)
            for name, entity in zip(names, entities):
                yield _owned(name, entity, books.get(name), heavy, self._slack)

    def placeholders(self) -> List[Owned]:
        """Stand-ins that we wrote: by bookkeeping, those of the custom type, and those that our processes use."""
        guids = {row.guid for row in self._state.all_written("placeholder")}
        guids.update(self._search(PLACEHOLDER))
        guids.update(guid for one in self.everything() for guid in one.ends(*DATASETS) if one.is_process)
        return [one for one in self.read(guids) if one.written and not one.is_process and not one.is_container]

    def everything(self, progress: Progress = no_progress) -> List[Owned]:
        """Containers, processes and stand-ins, ours and what lies between; columns are left to their tables."""
        kinds = {"entity", "process", "placeholder"}
        waiting: Set[str] = {row.guid for row in self._state.all_written() if row.kind in kinds and row.guid}
        for type_name in (WORKSPACE, PLACEHOLDER):
            waiting.update(self._search(type_name))
        found: Dict[str, Owned] = {}
        asked: Set[str] = set()
        while waiting:
            asked |= waiting
            ahead: Set[str] = set()
            for one in self.read(waiting):
                found[one.guid] = one
                if one.is_container:
                    ahead.update(one.ends(*CHILDREN))
                elif one.is_process and one.written:
                    ahead.update(one.ends(*DATASETS))
                progress(len(found), None)
            waiting = ahead - asked
        return list(found.values())

    def parts(self, dataset: Owned) -> List[str]:
        """Guids of the columns, and of the schema between, that hang on a stand-in."""
        rule = COLUMN_RULES.get(dataset.name.type_name)
        if rule is None:
            return []
        if not rule.schema:
            end = self._book.end(rule.type_name, rule.parent)
            return dataset.ends(end.attribute) if end else []
        end = self._book.end(rule.type_name, rule.parent)
        schemas = dataset.ends(rule.link)
        columns = [guid for schema in self.read(schemas) for guid in (schema.ends(end.attribute) if end else [])]
        return [*columns, *schemas]

    def _search(self, type_name: str) -> List[str]:
        if type_name not in self._book:
            return []
        try:
            return list(self._client.search_guids(type_name))
        except (Refused, NotAllowed) as failure:  # without the search there is still the bookkeeping
            self.problems.append(f"{type_name} can't be searched for: {failure.answer}")
            return []


def _name(entity: Mapping[str, Any]) -> AssetName:
    return AssetName(str(entity.get("typeName")), str((entity.get("attributes") or {}).get("qualifiedName")))


def _owned(
    name: AssetName, entity: Mapping[str, Any], book: Optional[Written], heavy: Tuple[str, ...], slack: float
) -> Owned:
    marked = is_marked(entity)
    # The workspace bears no mark: it is ours only if the catalog told us that we created it.
    ours = marked or bool(book and (book.created or book.kind != "entity"))
    seen, marked_day = (book.seen_at if book else None), last_seen(entity)
    if marked_day is not None and (seen is None or marked_day > seen):
        # Another driver asked for it on that day, or later: it tells the catalog only now and then.
        seen = marked_day + 86_400.0 + slack
    created = float(entity.get("createTime") or 0) / 1000 or (book.sent_at if book else 0.0)
    attributes = {key: value for key, value in (entity.get("attributes") or {}).items() if key not in heavy}
    return Owned(
        name,
        str(entity.get("guid")),
        ours,
        is_ours(entity, book.facts.get("attributes", ()) if book else ()),
        seen,
        created,
        {**entity, "attributes": attributes},
    )
