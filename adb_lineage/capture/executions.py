"""Executions inside executions: the write inside a CTAS is part of it, the write inside `foreachBatch` is not."""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

from adb_lineage.capture.analysis import Analysis
from adb_lineage.capture.tap import Finished

Key = Tuple[str, str]

MAX_ROOTS = 1000
MAX_NESTED = 200


@dataclass
class Captured:
    """An analysed execution, with what its nested executions contributed and the work that capturing it took.

    `statistics` has the rows, bytes and files written to each output, by namespace and name.
    """

    finished: Finished
    analysis: Analysis
    statement: str = ""
    statistics: Dict[Key, Dict[str, int]] = field(default_factory=dict)
    seconds: float = 0.0
    round_trips: int = 0


class Executions:
    """Holds nested executions until their root ends, which is always later."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, List[Captured]] = OrderedDict()

    def add(self, captured: Captured) -> List[Captured]:
        """What is now complete: nothing for a nested one, the root (or all its parts) when the root comes."""
        finished = captured.finished
        if finished.root_id != finished.execution_id:
            return self._hold(captured)
        nested = self._waiting.pop(finished.execution_id, [])
        if not captured.analysis.outputs and not captured.analysis.whole:
            return [*_folded_among(nested), captured]  # the root moved nothing: its parts stand for themselves
        return [_fold(captured, nested)]

    def release(self, root_id: int) -> List[Captured]:
        """What waits for a root that stands for itself: the micro-batch of a stream."""
        return self._waiting.pop(root_id, [])

    def rest(self) -> List[Captured]:
        """What still waits for a root that will not come."""
        left = [one for group in self._waiting.values() for one in group]
        self._waiting.clear()
        return left

    def _hold(self, captured: Captured) -> List[Captured]:
        group = self._waiting.setdefault(captured.finished.root_id, [])
        group.append(captured)
        released: List[Captured] = []
        if len(group) > MAX_NESTED:
            released.append(group.pop(0))
        if len(self._waiting) > MAX_ROOTS:
            released.extend(self._waiting.popitem(last=False)[1])
        return released


def _folded_among(parts: List[Captured]) -> List[Captured]:
    """A command among the parts takes in the write it ran itself: later begun, earlier ended, of the same rows."""
    kept: List[Captured] = []
    for part in parts:
        inner = [one for one in kept if _is_inside(one, part)]
        if inner:
            kept = [one for one in kept if one not in inner]
        kept.append(_fold(part, inner) if inner else part)
    return kept


def _is_inside(inner: Captured, outer: Captured) -> bool:
    one, other = inner.analysis, outer.analysis
    if len(one.outputs) != 1 or len(other.outputs) != 1 or not other.outputs[0].provisional:
        return False
    return (inner.finished.execution_id > outer.finished.execution_id
            and inner.finished.started >= outer.finished.started
            and one.outputs[0].dataset.schema == other.outputs[0].dataset.schema
            and [dataset.key for dataset in one.inputs] == [dataset.key for dataset in other.inputs])


def _fold(root: Captured, nested: List[Captured]) -> Captured:
    analysis = root.analysis
    counted = list(root.statistics.values())
    for part in nested:
        analysis = analysis.relocated(part.analysis)
        for key, numbers in part.statistics.items():
            counted.append(numbers)
            root.statistics.setdefault(key, numbers)
    if len(analysis.outputs) == 1 and counted:  # whichever part wrote, it wrote the one output
        root.statistics = {analysis.outputs[0].dataset.key: counted[0]}
    root.analysis = analysis
    return root
