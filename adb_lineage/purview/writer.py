"""Writes entities: in bulk, in an order that respects references, only what changed, and each on its own merits.

One bad entity fails a whole bulk call in Atlas, and nothing of the call is stored. A refused call is divided until the
entity to blame is alone; it goes into the report, the others go through. What was accepted is in the bookkeeping at
once, so a process that dies half-way continues where it was: an upsert that is repeated changes nothing.
"""
from __future__ import annotations

import logging
from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from adb_lineage.assets import Asset, AssetName
from adb_lineage.errors import RetryLater
from adb_lineage.purview import payload, plan
from adb_lineage.purview.answers import (
    Answer,
    AnswerError,
    NotAllowed,
    Refused,
    TooMuch,
    Unavailable,
    error,
    may_be_content,
)
from adb_lineage.purview.client import PooledAtlasClient
from adb_lineage.purview.clock import Clock
from adb_lineage.purview.draft import Draft
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.payload import CallSize, Item
from adb_lineage.purview.plan import WritePlan
from adb_lineage.purview.report import WriteReport
from adb_lineage.purview.resolver import Resolver
from adb_lineage.purview.retry import Patience
from adb_lineage.purview.state import Found, State, Written
from adb_lineage.purview.types import TypeBook, TypesReport

log = logging.getLogger("adb_lineage.purview")

SUSPECTS_BEFORE_WE_STOP = 3
REFUSED_LIKE_ALL = 3
"""Refusals, one like the other and nothing else, that say more about the way than about each of the entities."""
SEEN_EVERY = 3_600.0
_MISSING_REFERENCE = "ATLAS-404-00-00A"
_UNKNOWN_TYPE = "ATLAS-400-00-014"


class TypeUnknown(RetryLater):
    """The catalog does not know a type that its own list names: it is new and not everywhere yet, or was deleted."""


class Writer:
    """Writes to one catalog. One thread writes at a time."""

    def __init__(
        self, client: PooledAtlasClient, resolver: Resolver, options: PurviewOptions, state: State, clock: Clock
    ) -> None:
        self._client = client
        self._resolver = resolver
        self._options = options
        self._state = state
        self._clock = clock
        self._size = CallSize(options.bulk_entities, options.bulk_entities_cap, options.bulk_bytes)
        self.sample: Optional[Item] = None
        """An entity that stands alone, as this process last saw it accepted."""

    def write(
        self,
        entities: Iterable[Mapping[str, Any]],
        missing: Sequence[Asset],
        book: TypeBook,
        types: TypesReport,
        trusts_types: bool,
    ) -> WriteReport:
        """Bring entities and the stand-ins of missing assets into the catalog.

        Raises `RetryLater` and `FixNeeded`; what was accepted until then is remembered and not sent again. With
        `trusts_types` an unknown type that `book` names raises `TypeUnknown`; otherwise its entities are refused.
        """
        before = self._client.http.requests
        draft = self._draft(entities, missing, book, types)
        try:
            _Write(self, draft, book, trusts_types).send()
            self._state.record(draft.completed())
        finally:
            draft.report.requests = self._client.http.requests - before
            draft.report.last_request_id = self._client.http.last_request_id
        return draft.report

    def plan(
        self, entities: Iterable[Mapping[str, Any]], missing: Sequence[Asset], book: TypeBook, types: TypesReport
    ) -> WritePlan:
        """What `write` would do; nothing is written, not even type definitions."""
        draft = self._draft(entities, missing, book.with_ours(), types)
        items = [draft.items[name] for name in draft.unfold(list(draft.items))]
        invalid = {refusal.name: refusal.message for refusal in draft.report.refused}
        return plan.make(payload.ordered(items), draft.report.left_out, invalid, self._resolver, book)

    def _draft(
        self, entities: Iterable[Mapping[str, Any]], missing: Sequence[Asset], book: TypeBook, types: TypesReport
    ) -> Draft:
        draft = Draft(self._options, self._resolver, self._state, book, types, self._clock.time())
        draft.add_assets(missing)
        draft.add_entities(entities)
        return draft


class _Write:
    """One call of `Writer.write`."""

    def __init__(self, writer: Writer, draft: Draft, book: TypeBook, trusts_types: bool) -> None:
        self._writer = writer
        self._client, self._resolver = writer._client, writer._resolver
        self._options, self._state, self._clock = writer._options, writer._state, writer._clock
        self._size = writer._size
        self._draft = draft
        self._book = book
        self._trusts_types = trusts_types
        self._known: Dict[AssetName, Written] = {}
        self._suspects: List[Tuple[Item, AnswerError]] = []
        self._deferred: List[Item] = []
        self._verdicts: List[Tuple[Answer, Callable[[], None]]] = []
        """Refusals, and how to keep them in mind, that may yet turn out to be meant for all that we send."""
        self._accepted = 0
        self._resent: Set[AssetName] = set()

    # -- what of it needs to be sent ---------------------------------------------------------------------------------

    def send(self) -> None:
        """Send what is new or changed, in calls of the right size."""
        self._known = self._state.written(self._draft.items)
        waiting = payload.ordered(self._choose())
        while waiting:
            while waiting:
                count = self._size.first(waiting)
                now, waiting = waiting[:count], waiting[count:]
                self._send(now)
            self._judge()
            waiting, self._deferred = payload.ordered(self._deferred), []
        if self._verdicts and self._is_meant_for_all():
            raise NotAllowed(self._verdicts[0][0], "it takes nothing at all that we send: correct `collection` (its "
                             "six-letter name) or the endpoint, or see what answers for the catalog on the way")
        self._keep_verdicts()

    def _choose(self) -> List[Item]:
        now = self._clock.time()
        past = self._state.refusals(self._draft.items)
        chosen: Dict[AssetName, Item] = {}
        rested: List[Item] = []
        for one in self._draft.items.values():
            refusal = past.get(one.name)
            rest = self._options.refused_seconds
            if refusal and refusal.content == one.content and 0 <= now - refusal.refused_at < rest:
                self._draft.refuse(one, Answer(**{**refusal.answer, "retry_after": None}))
            elif self._is_due(one, now):
                chosen[one.name] = one
            else:
                rested.append(one)
        gone = self._gone([one for one in rested if one.kind == "process"], now)
        if gone:
            for name in self._draft.unfold(gone):
                chosen.setdefault(name, self._draft.items[name])
        idle = [one.name for one in rested if one.name not in chosen]
        self._draft.report.unchanged.update((name, self._known[name].guid) for name in idle)
        self._state.seen([name for name in idle if not 0 <= now - self._known[name].seen_at < SEEN_EVERY], now)
        return [one for one in self._draft.items.values() if one.name in chosen]

    def _is_due(self, one: Item, now: float) -> bool:
        known = self._known.get(one.name)
        if known is None or known.content != one.content:
            return True
        every = self._options.volatile_seconds
        return every is not None and known.volatile != one.volatile and not 0 <= now - known.sent_at < every

    def _gone(self, processes: Sequence[Item], now: float) -> List[AssetName]:
        """Unchanged processes that somebody deleted, or took an edge from; asked for in one small call."""
        due = {
            self._known[one.name].guid: one
            for one in processes
            if not 0 <= now - self._known[one.name].checked_at < self._options.recheck_seconds
        }
        if not due:
            return []
        there = {str(entity.get("guid")): entity for entity in self._client.by_guid(due)}
        gone = [one.name for guid, one in due.items() if not _is_whole(one, there.get(guid), self._draft.dropped)]
        self._state.checked([one.name for one in due.values() if one.name not in gone], now)
        return gone

    # -- sending -------------------------------------------------------------------------------------------------------

    def _send(self, items: Sequence[Item]) -> None:
        items = self._without_deferred(items)
        if not items:
            return
        try:
            self._call(items, Patience.DIVISIBLE)
        except AnswerError as failure:
            if not isinstance(failure, Refused) and not may_be_content(failure):
                self._size.refused()
                raise
            if isinstance(failure, TooMuch):
                self._size.refused()
            if len(items) > 1:
                half = len(items) // 2
                self._send(items[:half])
                self._send(items[half:])
            else:
                self._alone(items[0], failure)
            return
        self._size.accepted()
        self._judge_if_possible()

    def _call(self, items: Sequence[Item], patience: Patience) -> None:
        entities, guids = payload.call(items, self._draft.dropped)
        result = self._client.upsert(entities, patience)
        if not any(result.values()):  # some other program's object: an accepted entity has its guid in the answer
            said = "an answer that says nothing of what was sent"
            raise error(Answer(200, "not-json", said, self._client.http.last_request_id, call="POST entity/bulk"))
        self._accepted += len(items)
        alone = (one for one in items if one.kind == "entity" and not one.refers)
        self._writer.sample = next(alone, self._writer.sample)
        self._absorb(items, guids, result)

    def _without_deferred(self, items: Sequence[Item]) -> List[Item]:
        """What refers to an entity whose fate is open waits for it; what was taken off the list is left out."""
        open_names = {one.name for one, _ in self._suspects} | {one.name for one in self._deferred}
        now = []
        for one in items:
            if open_names and not open_names.isdisjoint(one.refers):
                self._deferred.append(one)
                open_names.add(one.name)
            elif self._draft.items.get(one.name) is one:
                now.append(one)
        return now

    def _absorb(self, items: Sequence[Item], guids: Mapping[str, AssetName], result: Mapping[str, Any]) -> None:
        """Take the answer of an accepted call into report and bookkeeping.

        `mutatedEntities` leaves out what was equal already: guids come from `guidAssignments`.
        """
        now = self._clock.time()
        assigned = {guids[key]: str(guid) for key, guid in result["guidAssignments"].items() if key in guids}
        mutated = {
            operation: {str(header.get("guid")) for header in headers or []}
            for operation, headers in result["mutatedEntities"].items()
        }
        rows, found = [], {}
        for one in items:
            known = self._known.get(one.name)
            guid = assigned.get(one.name) or (known.guid if known else "")
            created = guid in mutated.get("CREATE", set())
            if created:
                self._draft.report.created[one.name] = guid
            elif guid in mutated.get("UPDATE", set()) or guid in mutated.get("PARTIAL_UPDATE", set()):
                self._draft.report.updated[one.name] = guid
            else:
                self._draft.report.unchanged[one.name] = guid
            rows.append(
                Written(
                    one.name, guid, one.kind, one.content, one.volatile, created or bool(known and known.created),
                    now, now, now, one.facts,
                )
            )
            if one.kind == "placeholder" and guid:
                found[one.name] = Found(one.name, guid, ours=True)
        self._state.record(rows)
        self._state.remember(found, now)
        self._state.unrefuse([one.name for one in items])

    def _alone(self, one: Item, failure: AnswerError) -> None:
        """An entity that was refused in a call of its own."""
        answer = failure.answer
        if not isinstance(failure, Refused):
            self._suspects.append((one, failure))
            if self._accepted or len(self._suspects) >= SUSPECTS_BEFORE_WE_STOP:
                self._judge()
            return
        if answer.code == _UNKNOWN_TYPE and self._trusts_types and one.name.type_name in self._book:
            raise TypeUnknown(f"the catalog does not know the type {one.name.type_name} yet, or no longer: {answer}")
        if answer.code == _MISSING_REFERENCE and one.name not in self._resent:
            self._resent.add(one.name)
            if self._bring_back(one):
                self._send([one])
                return
        if self._draft.can_be_generic(one):
            log.info("%s can't be created: %s", one.name.type_name, answer)
            items = self._draft.make_generic(one)
            self._blame(answer, partial(self._draft.note_untyped, one.name.type_name, answer))
            self._known.update(self._state.written(item.name for item in items))
            for item in payload.ordered(items):
                self._send([item])
            return
        self._refuse(one, answer)

    def _bring_back(self, one: Item) -> bool:
        """Something that we thought was there is gone: send ours again, look for the others again."""
        targets = [name for name in one.refers if name not in self._draft.dropped]
        again = [name for name in self._draft.unfold(targets) if name not in self._resent]
        trusted = {name for name, known in self._state.lookups(targets).items() if known.found}
        foreign = [name for name in targets if name not in self._draft.items]
        there = self._resolver.lookup(foreign, self._book, fresh=True)
        vanished = [name for name in foreign if there.get(name) is None and name in trusted]
        if vanished:
            self._state.resend([one.name])
            raise RetryLater(f"{vanished[0].qualified_name} has just been deleted from the catalog", 0.0)
        self._resent.update(again)
        for item in payload.ordered([self._draft.items[name] for name in again]):
            self._send([item])
        return bool(again)

    def _refuse(self, one: Item, answer: Answer) -> None:
        self._draft.refuse(one, answer)
        self._blame(answer, partial(self._state.refuse, one.name, one.content, answer._asdict(), self._clock.time()))

    def _blame(self, answer: Answer, keep_in_mind: Callable[[], None]) -> None:
        self._verdicts.append((answer, keep_in_mind))
        self._judge_if_possible()

    def _keep_verdicts(self) -> None:
        verdicts, self._verdicts = self._verdicts, []
        for _, keep_in_mind in verdicts:
            keep_in_mind()

    def _is_meant_for_all(self) -> bool:
        """Whether the refusals are about something that all entities share, a wrong collection say.

        So it is when everything is refused alike, also what was taken before, where there is such a thing.
        """
        first = self._verdicts[0][0]
        if self._accepted or any(answer[:2] != first[:2] for answer, _ in self._verdicts):
            return False
        many = len(self._verdicts) >= REFUSED_LIKE_ALL
        if self._writer.sample is not None and not many:  # the way was free a while ago
            return False
        sample = self._sample()
        if sample is None:
            return many
        failure = self._refusal_of(sample)
        if failure is not None and not isinstance(failure, Refused):
            raise failure
        return failure is not None and failure.answer[:2] == first[:2]

    def _judge_if_possible(self) -> None:
        if self._accepted:
            self._keep_verdicts()
            self._judge()

    def _judge(self) -> None:
        """Entities that failed alone, in a way that a catalog in trouble also fails: whose fault was it?

        It is theirs if the catalog takes others, and does not take them after all the patience that there is.
        """
        if not self._suspects:
            return
        sample = None if self._accepted else self._sample()
        if not self._accepted and (sample is None or self._refusal_of(sample) is not None):
            failure = self._suspects[0][1]
            raise self._client.http.governor.away(failure) if isinstance(failure, Unavailable) else failure
        suspects, self._suspects = self._suspects, []
        for one, _ in suspects:
            try:
                self._call([one], Patience.LAST_WORD)
            except AnswerError as failure:
                if isinstance(failure, Refused):
                    self._alone(one, failure)
                elif may_be_content(failure):
                    self._refuse(one, failure.answer)
                else:
                    raise

    def _sample(self) -> Optional[Item]:
        """An entity that the catalog took before; one that needs no other, if there is such a one."""
        items = [self._draft.items[name] for name in self._draft.report.unchanged]
        known = [one for one in items if one.entity and one.kind != "column"]
        return min(known, key=lambda one: len(one.refers)) if known else self._writer.sample

    def _refusal_of(self, one: Item) -> Optional[AnswerError]:
        """Why the catalog does not take an entity that it took before; None where it does."""
        entities, _ = payload.call([one], self._draft.dropped)
        try:
            self._client.upsert(entities, Patience.LAST_WORD)
        except AnswerError as failure:
            return failure
        return None


def _is_whole(one: Item, entity: Optional[Mapping[str, Any]], dropped: Set[AssetName]) -> bool:
    """Whether a process in the catalog still has as many edges as it should."""
    if entity is None:
        return False
    relations = entity.get("relationshipAttributes")
    if relations is None:
        return True
    for side in ("inputs", "outputs"):
        ends = (one.entity.get("attributes") or {}).get(side) or []
        if _active(relations.get(side)) < sum(1 for name in payload.targets(ends) if name not in dropped):
            return False
    return True


def _active(ends: Any) -> int:
    return sum(
        1
        for end in ends or []
        if end.get("entityStatus", "ACTIVE") == "ACTIVE" and end.get("relationshipStatus", "ACTIVE") == "ACTIVE"
    )
