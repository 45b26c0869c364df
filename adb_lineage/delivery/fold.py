"""Of a process that ran often only the newest run is written: a backlog, folded by process."""
from __future__ import annotations

from typing import Dict, Iterator, List, Optional

from adb_lineage.delivery.doors import Translation
from adb_lineage.outbox import RunEvents


class Group:
    """The runs of one process. `newest` is the one to be written; `held` is its translation, where it is kept."""

    def __init__(self, process: str, newest: RunEvents) -> None:
        self.process = process
        self.newest = newest
        self.others: List[RunEvents] = []
        self.held: Optional[Translation] = None

    @property
    def runs(self) -> List[RunEvents]:
        """All runs, the newest first."""
        return [self.newest, *self.others]

    @property
    def translation(self) -> Translation:
        """The translation of the newest run, once there is one."""
        assert self.held is not None
        return self.held


class Fold:
    """Runs with lineage, by process. Keeps no events, and translations only up to `hold_bytes` of JSON behind them:
    for a long backlog the others are made again when they are written. So its memory hardly grows with the backlog."""

    def __init__(self, hold_bytes: int) -> None:
        self._hold_bytes = hold_bytes
        self._held_bytes = 0
        self._groups: Dict[str, Group] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, run: RunEvents, process: str, translation: Translation) -> None:
        """Take a run. Of two runs of the same time the one with the greater id counts, in whatever order they come."""
        run = run._replace(events=[])
        group = self._groups.get(process)
        if group is None:
            group = self._groups[process] = Group(process, run)
        elif (run.time, run.run_id) < (group.newest.time, group.newest.run_id):
            group.others.append(run)
            return
        else:
            group.others.append(group.newest)
            if group.held is not None:
                self._held_bytes -= group.newest.size
            group.newest, group.held = run, None
        if self._held_bytes < self._hold_bytes:
            group.held = translation
            self._held_bytes += run.size

    def parts(self, processes: int, size: int) -> Iterator[List[Group]]:
        """The groups, oldest first, in parts of at most so many processes and about so many bytes of JSON; each is
        forgotten here when it is handed out."""
        waiting = sorted(self._groups.values(), key=lambda group: group.newest.time, reverse=True)
        self._groups.clear()
        while waiting:
            part = [waiting.pop()]
            room = size - part[0].newest.size
            while waiting and len(part) < processes and room >= waiting[-1].newest.size:
                part.append(waiting.pop())
                room -= part[-1].newest.size
            yield part
