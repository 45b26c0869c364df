"""Lineage: the graph of datasets and processes around an entity (atlas_purview.md 1.9 and 2.13).

Edges run in the direction of the data: dataset to process, process to dataset. Depth counts dataset hops. Purview's
additions: a width (neighbours expanded a node), counts of all neighbours, direct dataset-to-dataset edges, the chain
of parents above the processes, and rolling down from a parent without data of its own (a notebook) to its processes.
"""
from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple

from adb_lineage.catalog import rows
from adb_lineage.catalog.errors import INVALID_PARAMETERS, CatalogError
from adb_lineage.catalog.reading import Reader
from adb_lineage.catalog.rows import Entity, Neighbour
from adb_lineage.catalog.session import Session

INPUT, OUTPUT, BOTH = "INPUT", "OUTPUT", "BOTH"
DEFAULT_DEPTH = 3
MAX_RELATIONS = 9000
MAX_PARENTS = 10

# How a step is stored: relationship type, and the number of the end that the entity at hand is. In the direct
# relationship end 1 is the upstream dataset (its attribute is `sinks`).
_PROCESS_STEPS = {INPUT: (("dataset_process_inputs", 1),), OUTPUT: (("process_dataset_outputs", 1),)}
_DATASET_STEPS = {
    INPUT: (("process_dataset_outputs", 2), ("direct_lineage_dataset_dataset", 2)),
    OUTPUT: (("dataset_process_inputs", 2), ("direct_lineage_dataset_dataset", 1)),
}


class _Step(NamedTuple):
    """From one entity to its neighbour on one side."""

    near: int
    far: int
    relationship: str


class Lineage:
    """The lineage calls of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader = Reader(session)
        self._kinds: Dict[int, bool] = {}
        """Row id to whether the entity is a process."""

    def graph(
        self,
        base: Entity,
        *,
        direction: str = BOTH,
        depth: int = DEFAULT_DEPTH,
        width: Optional[int] = None,
        include_parent: bool = False,
    ) -> Dict[str, Any]:
        """`GET lineage/{guid}`. Depth 0 and width 0 mean no bound. 404 -011 for an entity outside lineage."""
        sides = _sides(direction)
        width = self._session.profile.lineage_width if width is None else width
        starts, children = self._starts(base)
        relations: Dict[Tuple[int, int], str] = {}
        reached: Dict[int, None] = dict.fromkeys((base.id, *starts))
        counts: Dict[str, Dict[int, int]] = {}
        for side in sides:
            counts[side] = self._walk(starts, side, depth, width, relations, reached)
        parents = self._parents(reached) if include_parent else []
        for relation in parents:
            reached.setdefault(relation.far)
        found = rows.entities_by_id(self._session.connection, reached)
        guid = {entity_id: entity.guid for entity_id, entity in found.items()}
        return {
            "baseEntityGuid": base.guid,
            "lineageDirection": direction,
            "lineageDepth": depth,
            "lineageWidth": width,
            "childrenCount": children,
            "includeParent": include_parent,
            "guidEntityMap": {guid[entity_id]: self._reader.header(found[entity_id]) for entity_id in reached},
            "relations": [
                {"fromEntityId": guid[source], "toEntityId": guid[sink], "relationshipId": relationship}
                for (source, sink), relationship in relations.items()
            ],
            "parentRelations": [
                {"childEntityId": guid[one.near], "parentEntityId": guid[one.far], "relationshipId": one.relationship}
                for one in parents
            ],
            "widthCounts": {
                side: {guid[entity_id]: count for entity_id, count in of_side.items()}
                for side, of_side in counts.items()
            },
        }

    def next_page(self, base: Entity, *, direction: str, offset: int, limit: int) -> Dict[str, Any]:
        """`GET lineage/{guid}/next`: a page of the direct neighbours. 404 -011 for an entity outside lineage."""
        self._starts(base)
        steps = [(side, step) for side in _sides(direction) for step in self._steps(base.id, side)]
        page = steps[offset:offset + limit] if limit >= 0 else steps[offset:]
        found = rows.entities_by_id(self._session.connection, [base.id, *(step.far for _, step in page)])
        relations = []
        for side, step in page:
            ends = (step.far, step.near) if side == INPUT else (step.near, step.far)
            relations.append({
                "fromEntityId": found[ends[0]].guid,
                "toEntityId": found[ends[1]].guid,
                "relationshipId": step.relationship,
            })
        return {
            "baseEntityGuid": base.guid,
            "lineageDirection": direction,
            "lineageDepth": 1,
            "lineageWidth": -1,
            "childrenCount": -1,
            "includeParent": False,
            "guidEntityMap": {entity.guid: self._reader.header(entity) for entity in found.values()},
            "relations": relations,
            "widthCounts": {BOTH: None},
        }

    # ---- inside

    def _starts(self, base: Entity) -> Tuple[List[int], int]:
        """Where to walk from, and how many children the base was rolled down to."""
        types = self._session.types
        process = types.is_a(base.type, "Process")
        if not process and not types.is_a(base.type, "DataSet"):
            raise CatalogError("ATLAS-404-00-011", base.guid, base.type)
        self._kinds[base.id] = process
        if not process or self._steps(base.id, INPUT, 1) or self._steps(base.id, OUTPUT, 1):
            return [base.id], 0
        children = self._children(base)
        return (children, len(children)) if children else ([base.id], 0)

    def _children(self, base: Entity) -> List[int]:
        """The processes below a parent, through the relationship attributes its type names for that purpose."""
        children: List[int] = []
        pending: Deque[Entity] = deque([base])
        seen = {base.id}
        while pending:
            entity = pending.popleft()
            entity_type = self._session.types.find_entity(entity.type)
            sources = _names(entity_type.options.get("derivedLineageSources")) if entity_type else []
            wanted = {
                (end.relationship, end.number)
                for name in sources
                for end in (entity_type.ends.get(name, ()) if entity_type else ())
            }
            far = [
                neighbour.far
                for neighbour in rows.neighbours(self._session.connection, [entity.id]).get(entity.id, ())
                if (neighbour.edge.type, neighbour.number) in wanted and neighbour.far not in seen
            ]
            seen.update(far)
            for child in rows.entities_by_id(self._session.connection, far).values():
                if self._steps(child.id, INPUT, 1) or self._steps(child.id, OUTPUT, 1):
                    children.append(child.id)
                else:
                    pending.append(child)
        return children

    def _walk(
        self, starts: Iterable[int], side: str, depth: int, width: int,
        relations: Dict[Tuple[int, int], str], reached: Dict[int, None],
    ) -> Dict[int, int]:
        """Collect relations and entities on one side; returns row id to the number of its neighbours there."""
        counts: Dict[int, int] = {}
        seen: Set[int] = set()
        pending: Deque[Tuple[int, int]] = deque((start, 0) for start in starts)
        while pending:
            entity_id, hops = pending.popleft()
            if entity_id in seen:
                continue
            seen.add(entity_id)
            counts[entity_id] = self._count(entity_id, side)
            process = self._is_process(entity_id)
            if not process and depth and hops >= depth:
                continue
            for step in self._steps(entity_id, side, width):
                if self._leads_nowhere(entity_id, step.far, side):
                    continue
                ends = (step.far, step.near) if side == INPUT else (step.near, step.far)
                if len(relations) >= MAX_RELATIONS and ends not in relations:
                    return counts
                relations.setdefault(ends, step.relationship)
                reached.setdefault(step.far)
                pending.append((step.far, hops + (not self._is_process(step.far))))
        return counts

    def _steps(self, entity_id: int, side: str, limit: int = 0) -> List[_Step]:
        """The neighbours of an entity on one side, oldest relationship first."""
        found: List[_Step] = []
        for relationship, number in self._kinds_of_step(entity_id, side):
            edges = rows.edges_at(
                self._session.connection, number, entity_id, relationship,
                limit=limit - len(found) if limit else None, deleted=self._session.profile.show_deleted_edges,
            )
            found.extend(_Step(entity_id, edge.end2 if number == 1 else edge.end1, edge.guid) for edge in edges)
            if limit and len(found) >= limit:
                break
        return found

    def _count(self, entity_id: int, side: str) -> int:
        deleted = self._session.profile.show_deleted_edges
        return sum(
            rows.count_edges(self._session.connection, number, entity_id, relationship, deleted=deleted)
            for relationship, number in self._kinds_of_step(entity_id, side)
        )

    def _leads_nowhere(self, near: int, far: int, side: str) -> bool:
        return (
            self._session.profile.lineage_skips_one_sided
            and not self._is_process(near) and self._is_process(far) and not self._count(far, side)
        )

    def _kinds_of_step(self, entity_id: int, side: str) -> Tuple[Tuple[str, int], ...]:
        return (_PROCESS_STEPS if self._is_process(entity_id) else _DATASET_STEPS)[side]

    def _is_process(self, entity_id: int) -> bool:
        known = self._kinds.get(entity_id)
        if known is None:
            row = self._session.connection.execute("SELECT type FROM entity WHERE id = ?", (entity_id,)).fetchone()
            known = self._kinds[entity_id] = self._session.types.is_a(row[0], "Process")
        return known

    def _parents(self, reached: Iterable[int]) -> List[_Step]:
        """From each process upwards along compositions: process, task, job, workspace."""
        chain: List[_Step] = []
        level = [entity_id for entity_id in reached if self._is_process(entity_id)]
        seen = set(level)
        for _ in range(MAX_PARENTS):
            above: List[int] = []
            for entity_id, near in rows.neighbours(self._session.connection, level).items():
                for neighbour in near:
                    if not self._is_upward(neighbour):
                        continue
                    chain.append(_Step(entity_id, neighbour.far, neighbour.edge.guid))
                    if neighbour.far not in seen:
                        seen.add(neighbour.far)
                        above.append(neighbour.far)
            if not above:
                break
            level = above
        return chain

    def _is_upward(self, neighbour: Neighbour) -> bool:
        """Whether an edge leads to the parent: the container of a composition, or Purview's `process_parent`."""
        definition = self._session.types.definitions.get(neighbour.edge.type)
        if definition is None:
            return False
        if definition["name"] == "process_parent":
            return neighbour.number == 2
        far_end = definition[f"endDef{3 - neighbour.number}"]
        return definition["relationshipCategory"] == "COMPOSITION" and bool(far_end["isContainer"])


def _sides(direction: str) -> Tuple[str, ...]:
    sides: Mapping[str, Tuple[str, ...]] = {INPUT: (INPUT,), OUTPUT: (OUTPUT,), BOTH: (INPUT, OUTPUT)}
    if direction not in sides:
        raise CatalogError(INVALID_PARAMETERS, f"direction {direction}: one of INPUT, OUTPUT, BOTH")
    return sides[direction]


def _names(option: Any) -> List[str]:
    """Relationship attribute names of an option: a list, or one written into a string as Purview does."""
    if isinstance(option, list):
        return [str(name) for name in option]
    return [name.strip(" \"'") for name in str(option or "").strip("[]").split(",") if name.strip(" \"'")]
