"""Runs a program with source columns changed and compares what changes with the lineage."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Tuple

from adb_lineage.capture.columns import ColumnLineage
from adb_lineage.capture.describing import Limits, Plans, open_describer, subqueries
from adb_lineage.capture.jvm import Jvm
from adb_lineage.capture.transformations import Source as LeafColumn
from tests.oracle.data import Source, files, sources, values
from tests.oracle.programs import Program

SECONDS = 60.0
SETTLED_RUNS = 10


@dataclass
class Verdict:
    """What one program showed: the edges that its lineage has, and those that it lacks.

    `unsettled` are columns that are other ones from run to run, of which nothing can be told.
    """

    edges: int = 0
    runs: int = 0
    missing: List[Tuple[Source, str]] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)
    unsettled: List[int] = field(default_factory=list)


class Oracle:
    """The tables of one Spark session, unchanged and with columns changed."""

    def __init__(self, spark: Any, folder: str) -> None:
        self.spark = spark
        self.tables = files(spark, folder)
        self._names = {f"{folder}/{table}": table for table in self.tables}
        self._values: Dict[FrozenSet[Source], Dict[str, Any]] = {}
        self._describer = open_describer(spark.sparkContext)

    def judge(self, program: Program) -> Verdict:
        """Compare the lineage of a program with what it does."""
        frame = program.run(self.spark, self.tables)
        verdict = Verdict()
        lineages, uses = self.lineage(frame, verdict)
        self.watch(program, lineages, uses, verdict)
        return verdict

    def watch(self, program: Program, lineages: List[FrozenSet[Source]], uses: FrozenSet[Source],
              verdict: Verdict) -> None:
        """Note the columns that change an output column without an edge to it.

        All columns without an edge are changed at once; only when the output column changes, one at a time.
        """
        verdict.edges = sum(map(len, lineages))
        before = self._run(program, frozenset(), verdict)
        after: Dict[FrozenSet[Source], List[List[str]]] = {}
        for place, lineage in enumerate(lineages):
            strangers = frozenset(one for one in sources() if not _reaches(one, lineage) and not _reaches(one, uses))
            for changed in [strangers, *(frozenset((one,)) for one in sorted(strangers))]:
                if changed not in after:
                    after[changed] = self._run(program, changed, verdict)
                differs = before[place] != after[changed][place]
                if changed == strangers and not differs:
                    break
                if differs and not self._is_settled(program, before, place, verdict):
                    break
                if differs and len(changed) == 1:
                    verdict.missing.extend((one, str(place)) for one in changed)
            else:
                if not verdict.missing:
                    verdict.missing.append((("several", ", ".join(map(".".join, sorted(strangers)))), str(place)))

    def _is_settled(self, program: Program, before: List[List[str]], place: int, verdict: Verdict) -> bool:
        """Whether an output column is the same each time: which of several equal rows a limit takes may change."""
        if all(self._run(program, frozenset(), verdict)[place] == before[place] for _ in range(SETTLED_RUNS)):
            return True
        verdict.unsettled.append(place)
        return False

    def _run(self, program: Program, changed: FrozenSet[Source], verdict: Verdict) -> List[List[str]]:
        """The values of each output column in a comparable form, without their order."""
        if changed not in self._values:
            if len(self._values) > 200:
                self._values.clear()
            self._values[changed] = values(self.spark, changed)
        verdict.runs += 1
        frame = program.run(self.spark, self._values[changed])
        width = len(frame.columns)
        rows = frame.toDF(*(f"o{place}" for place in range(width))).collect()
        return [sorted(_comparable(row[place]) for row in rows) for place in range(width)]

    def lineage(self, frame: Any, verdict: Verdict) -> Tuple[List[FrozenSet[Source]], FrozenSet[Source]]:
        """The source columns of each output column, and those that all rows depend on."""
        jvm = Jvm(SECONDS)
        plans = Plans(self._describer, jvm, Limits(SECONDS))
        root = plans.describe(frame._jdf.queryExecution().analyzed()).root
        numbers: Dict[Any, int] = {}
        tables: Dict[int, str] = {}
        for part in [root, *subqueries(root)]:
            for leaf in part.leaves():
                if leaf.name == "LogicalRelation" and leaf not in numbers:
                    path = jvm.lines(jvm.ask(plans.get(leaf), "relation", "location", "rootPaths"))[0]
                    numbers[leaf] = len(numbers)
                    tables[numbers[leaf]] = next(name for folder, name in self._names.items() if path.endswith(folder))
        lineage = ColumnLineage(numbers, 1_000_000)
        columns = lineage.evaluate(root)
        if lineage.lost:
            verdict.notes.append(f"lost {sorted(lineage.lost)}")

        def named(found: Any) -> FrozenSet[Source]:
            return frozenset((tables[one.leaf], one.column) for one in found if isinstance(one, LeafColumn))

        return [named(origin.lineage) for origin in columns.row()], named(lineage.uses)


def _reaches(source: Source, found: FrozenSet[Source]) -> bool:
    """Whether an edge from the column, from a struct around it, or from a member of it is there."""
    table, column = source
    return any(table == other and (column == path or column.startswith(path + ".") or path.startswith(column + "."))
               for other, path in found)


def _comparable(value: Any) -> str:
    if isinstance(value, dict):
        return repr(sorted((repr(key), _comparable(one)) for key, one in value.items()))
    if hasattr(value, "asDict"):
        return repr([_comparable(one) for one in value])
    if isinstance(value, list):
        return repr([_comparable(one) for one in value])
    return repr(value)
