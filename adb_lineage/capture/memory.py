"""What plans were made of whose results live on under another plan: checkpoints, and the batches of `foreachBatch`.

Spark cuts such a plan: all that is left is a leaf over an RDD (`LogicalRDD`). It carries the ExprIds that the plan's
output had, and that joins it to what is remembered here; where a self-join gave the leaf new ids, the RDD does.
"""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from adb_lineage.capture.datasets import Dataset
from adb_lineage.capture.origins import Origin
from adb_lineage.capture.plan import ExprId
from adb_lineage.capture.scopes import Attribute, Columns
from adb_lineage.capture.transformations import Lineage, Source, Ways

MAX_PLANS = 1000
MAX_EDGES = 500_000
"""Column edges over all remembered plans: some 100 MB."""
MAX_RDDS = 10_000


@dataclass(frozen=True)
class Remembered:
    """A plan's leaves, and what its columns were made of, without the plan itself.

    attributes  the output columns, in order
    lineages    what each of them is made of, in the same order
    uses        the columns that its rows depend on
    stream      the run of the streaming query whose batches it describes, "" for none
    before_rdd  its result's RDD has a smaller number, 0 where that is not known
    """

    leaves: Mapping[int, Tuple[Dataset, ...]]
    attributes: Tuple[Attribute, ...]
    lineages: Tuple[Lineage, ...]
    uses: Mapping[Source, Ways]
    stream: str = ""
    before_rdd: int = 0

    @property
    def size(self) -> int:
        """Column edges."""
        return len(self.uses) + sum(map(len, self.lineages))

    @property
    def names(self) -> Tuple[str, ...]:
        """The names of the output columns, in order."""
        return tuple(attribute.name for attribute in self.attributes)

    def under(self, attributes: Tuple[Attribute, ...]) -> Columns:
        """Its columns under the attributes of a leaf that stands for it, by position."""
        return Columns(attributes, {one.id: Origin(lineage) for one, lineage in zip(attributes, self.lineages)})


Ids = Tuple[Optional[ExprId], ...]


class Memory:
    """The newest plans that were remembered, by their output's ExprIds. For one thread."""

    def __init__(self) -> None:
        self._plans: OrderedDict[Ids, List[Remembered]] = OrderedDict()
        self._by_rdd: OrderedDict[int, Remembered] = OrderedDict()
        self._count = 0
        self._edges = 0

    def remember(self, plan: Remembered) -> None:
        """Keep a plan; the oldest ones give way. Of a streaming query, it takes the place of an older one."""
        ids = tuple(attribute.id for attribute in plan.attributes)
        if not ids or plan.size > MAX_EDGES:
            return
        if plan.stream:
            self._drop(ids, lambda one: one.stream == plan.stream)
        self._plans.setdefault(ids, []).append(plan)
        self._plans.move_to_end(ids)
        self._count += 1
        self._edges += plan.size
        while self._count > MAX_PLANS or self._edges > MAX_EDGES:
            oldest = next(iter(self._plans))
            first = self._plans[oldest][0]
            self._drop(oldest, lambda one, first=first: one is first)  # type: ignore[misc]

    def recall(self, ids: Ids, rdd: int) -> Optional[Remembered]:
        """The plan behind a leaf with these attributes over this RDD, None when nobody remembers one.

        Plans over the same columns differ in their RDDs, whose numbers only grow: the first that can have made it.
        """
        found = self._by_rdd.get(rdd)
        plans = self._plans.get(ids, [])
        if found is None and plans:
            found = next((plan for plan in plans if plan.before_rdd > rdd), plans[-1])
        if found is not None:
            own = tuple(attribute.id for attribute in found.attributes)
            if own in self._plans:
                self._plans.move_to_end(own)  # what is used lives on
            self._by_rdd[rdd] = found
            while len(self._by_rdd) > MAX_RDDS:
                self._by_rdd.popitem(last=False)
        return found

    def _drop(self, ids: Ids, unwanted: Callable[[Remembered], bool]) -> None:
        plans = self._plans.pop(ids, [])
        kept = [plan for plan in plans if not unwanted(plan)]
        if kept:
            self._plans[ids] = kept
        dropped = {id(plan) for plan in plans} - {id(plan) for plan in kept}
        for rdd in [rdd for rdd, plan in self._by_rdd.items() if id(plan) in dropped] if dropped else []:
            del self._by_rdd[rdd]
        self._count -= len(plans) - len(kept)
        self._edges -= sum(plan.size for plan in plans) - sum(plan.size for plan in kept)

    def of_rdd(self, rdd: int) -> Optional[Remembered]:
        """The plan whose result is this RDD, if a leaf over it was recalled before."""
        return self._by_rdd.get(rdd)

    def of_stream(self, run: str, names: Sequence[str]) -> Optional[Remembered]:
        """The plan of a streaming query whose columns have these names: old Sparks give a batch new ExprIds."""
        return next((plan for plans in self._plans.values() for plan in plans
                     if run and plan.stream == run and plan.names == tuple(names)), None)

    def forget_stream(self, run: str) -> None:
        """The streaming query has ended."""
        for ids in [ids for ids, plans in self._plans.items() if any(plan.stream == run for plan in plans)]:
            self._drop(ids, lambda one: one.stream == run)


def renumbered(plan: Remembered, first: int) -> Tuple[Dict[int, Tuple[Dataset, ...]], Remembered]:
    """The same plan with its leaves numbered from `first` on, and those leaves."""
    numbers = {number: first + position for position, number in enumerate(plan.leaves)}

    def moved(lineage: Lineage) -> Dict[Source, Ways]:
        return {Source(numbers[source.leaf], source.column): ways for source, ways in lineage.items()}

    leaves = {numbers[number]: datasets for number, datasets in plan.leaves.items()}
    lineages = tuple(map(moved, plan.lineages))
    return leaves, Remembered(leaves, plan.attributes, lineages, moved(plan.uses), plan.stream, plan.before_rdd)
