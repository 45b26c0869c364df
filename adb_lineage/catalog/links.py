"""Relationship attributes of a request, made into relationships (atlas_purview.md 2.6).

All entities of the request say first what they want; then the difference to what is stored is applied. So it does not
matter which of the two ends names the other, nor in which order the entities stand.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.catalog import rows
from adb_lineage.catalog.errors import INVALID_VALUES, CatalogError
from adb_lineage.catalog.mutation import Mutation
from adb_lineage.catalog.session import Session
from adb_lineage.catalog.typesystem import End, EntityType
from adb_lineage.catalog.values import ValueReader


class _Pair(NamedTuple):
    """A relationship to be: type and row ids of its ends."""

    type: str
    end1: int
    end2: int

    def at(self, number: int) -> int:
        return self.end1 if number == 1 else self.end2


class Links:
    """The relationships that one request wants."""

    def __init__(self, session: Session, mutation: Mutation, values: ValueReader) -> None:
        self._session = session
        self._mutation = mutation
        self._values = values
        self._wanted: Dict[_Pair, Optional[Dict[str, Any]]] = {}
        """Pair to the edge's own attributes; None where the request gives none."""
        self._replaced: List[Tuple[int, End]] = []
        """Attributes that were set: what they hold and is not wanted goes."""
        self._single: Dict[Tuple[str, int, int], _Pair] = {}
        """(type, end number, entity) of a SINGLE end to the pair that has it: the last one wins."""

    def want(
        self, entity_id: int, entity_type: EntityType, name: str, value: Any, target: Callable[[Any], Any]
    ) -> None:
        """An entity sets its relationship attribute `name`; `target` finds the entity that an object id means.

        Raises 404 -007 for a list where one is expected or the reverse, 400 -045 for an entity of a wrong type.
        """
        ends = entity_type.ends[name]
        many = any(end.cardinality == "SET" for end in ends)
        if value is not None and isinstance(value, list) != many:
            expected = f"array<{ends[0].other_type}>" if many else ends[0].other_type
            raise CatalogError(
                INVALID_VALUES, f"{entity_type.name}.{name}={str(value)[:200]}: invalid value for type {expected}"
            )
        self._replaced.extend((entity_id, end) for end in ends)
        references = value if isinstance(value, list) else [] if value is None else [value]
        for reference in references:
            found = target(reference)
            end = self._choose(entity_type, name, ends, reference, found.type)
            pair = _Pair(end.relationship, *((entity_id, found.id) if end.number == 1 else (found.id, entity_id)))
            self._claim(pair, end)
            attributes = self._edge_attributes(end, reference)
            if attributes is not None or pair not in self._wanted:
                self._wanted[pair] = attributes

    def apply(self) -> None:
        """Remove what was replaced, add what is new, update what differs."""
        orphans: List[int] = []
        for entity_id, end in self._replaced:
            if self._mutation.is_new(entity_id):
                continue
            for edge in rows.edges_at(self._session.connection, end.number, entity_id, end.relationship):
                pair = _Pair(edge.type, edge.end1, edge.end2)
                if pair in self._wanted:
                    continue
                self._mutation.unrelate(edge)
                child = pair.at(3 - end.number)
                if end.owner and (edge.type, 3 - end.number, child) not in self._single:
                    orphans.append(child)  # dropped by its owner and not taken by another one
        for pair, attributes in self._wanted.items():
            self._establish(pair, attributes)
        self._mutation.remove(orphans)

    # ---- inside

    def _choose(
        self, entity_type: EntityType, name: str, ends: Sequence[End], reference: Any, other_type: str
    ) -> End:
        """The relationship type that serves a reference: the one it names, else the first that fits."""
        named = reference.get("relationshipType") if isinstance(reference, dict) else None
        served = [end for end in ends if end.relationship == named] or list(ends)
        for end in served:
            if self._session.types.is_a(other_type, end.other_type):
                return end
        raise CatalogError(
            "ATLAS-400-00-045", entity_type.name, name, other_type, " or ".join(end.other_type for end in served)
        )

    def _claim(self, pair: _Pair, end: End) -> None:
        """Give the SINGLE ends of a pair to it; the pair that had one before in this request is not wanted then."""
        for number, cardinality in ((end.number, end.cardinality), (3 - end.number, end.other_cardinality)):
            if cardinality != "SINGLE":
                continue
            place = (pair.type, number, pair.at(number))
            before = self._single.get(place)
            if before is not None and before != pair:
                self._wanted.pop(before, None)
            self._single[place] = pair

    def _edge_attributes(self, end: End, reference: Any) -> Optional[Dict[str, Any]]:
        given = reference.get("relationshipAttributes") if isinstance(reference, dict) else None
        raw = given.get("attributes") if isinstance(given, dict) else None
        if not isinstance(raw, dict):
            return None
        return edge_attributes(self._session, self._values, end.relationship, raw)

    def _establish(self, pair: _Pair, attributes: Optional[Dict[str, Any]]) -> None:
        connection = self._session.connection
        new = self._mutation.is_new(pair.end1) or self._mutation.is_new(pair.end2)
        edge = None if new else rows.edge_between(connection, *pair)
        if edge is not None:
            if attributes is not None:
                self._mutation.change_edge(edge, attributes)
            return
        for number in (1, 2):
            if (pair.type, number, pair.at(number)) in self._single and not self._mutation.is_new(pair.at(number)):
                for former in rows.edges_at(connection, number, pair.at(number), pair.type):
                    self._mutation.unrelate(former)
        self._mutation.relate(pair.type, pair.end1, pair.end2, attributes or {})


def edge_attributes(
    session: Session, values: ValueReader, relationship: str, raw: Mapping[str, Any]
) -> Dict[str, Any]:
    """The attributes of a relationship, normalised by its definition. Raises 404 -007."""
    return {
        name: value
        for name, value in values.attributes(relationship, session.types.struct(relationship) or {}, raw).items()
        if value is not None
    }
