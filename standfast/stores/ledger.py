"""The typed layer over a key-value store: records and events in, a View and a history out.

Guarantees
  * A change and the events that tell of it are one transaction of the store: both are there, or neither.
  * An event is written once: its key must not exist before. Its id is `MEMBER.PROCESS.COUNTER`; the ids of one
    process are in the order of its transactions, those of one transaction in the order in which they were given.
  * A transaction is never repeated. When its outcome is unknown the store is read: COMMITTED is returned only when
    that read showed it. UNKNOWN says no more than that: it may still be executed later.
Does not guarantee: an answer by a certain time beyond the store's own deadlines (two of them when it is unknown).
Assumes: events younger than one transaction are not trimmed; keys are only written by Standfast.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from standfast.errors import StoreError, StoreFatal, StoreFull, StoreOutcomeUnknown
from standfast.model.cluster import QueueManagerSpec
from standfast.model.events import CATALOGUE, Event
from standfast.model.records import (
    ORDERS_KEY,
    SETTINGS_KEY,
    Assignment,
    Guard,
    MemberRecord,
    Orders,
    Outcome,
    Record,
    SettingsRecord,
    Transaction,
)
from standfast.model.told import StoredEvent
from standfast.model.view import View
from standfast.ports import KeyChange, KeyValue

EVENTS = "events/"
PAGE = 500
"""Events read at once; some hundred bytes each."""

_ROOMS: dict[str, msgspec.json.Decoder[Any]] = {
    "members": msgspec.json.Decoder(MemberRecord),
    "assignments": msgspec.json.Decoder(Assignment),
    "specs": msgspec.json.Decoder(QueueManagerSpec),
    ORDERS_KEY: msgspec.json.Decoder(Orders),
    SETTINGS_KEY: msgspec.json.Decoder(SettingsRecord),
}
"""What is stored under a key, by its first part. Keys of the last two have one part, the others two."""
_SINGLE = frozenset({ORDERS_KEY, SETTINGS_KEY})


_EVENT = msgspec.json.Decoder(StoredEvent)
_encode = msgspec.json.Encoder().encode


class Settled(NamedTuple):
    """What became of a transaction.

    Attributes:
        outcome: see Outcome.
        revision: of the transaction when COMMITTED, else 0.
        events: as the log holds them when COMMITTED, else empty.
    """

    outcome: Outcome
    revision: int = 0
    events: tuple[StoredEvent, ...] = ()


class Ledger:
    """Reads Views and carries out Transactions.

    Args:
        store: where.
        member: name of the member that tells the events.
        now: wall clock, used for the time of events only.
    """

    def __init__(self, store: KeyValue, member: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._member = member
        self._now = now
        started_ms = int(now().timestamp() * 1000)
        self._process = f"{started_ms:012x}{secrets.token_hex(4)}"
        self._counter = count()
        self._seen = 0

    async def read(self, view: View) -> View:
        """The store as it is now, linearizable: `view` with all later changes.

        Raises StoreUnavailable, StoreWentBack, StoreFatal; the latter also for a record that can not be decoded.
        """
        answer = await self._store.read(view.revision)
        self._seen = max(self._seen, answer.revision)
        return view.merged(answer.revision, [(c.key, decode_record(c), c.revision) for c in answer.changes])

    async def transact(self, tx: Transaction) -> Settled:
        """Carry it out, all or nothing, once.

        Raises StoreUnavailable (nothing was changed), StoreFull (it was not seen to have happened, and will not happen
        later), StoreWentBack, StoreFatal; ValueError when it changes nothing.
        """
        events = tuple(map(self._told, tx.events))
        puts = [(put.key, _encode(put.record)) for put in tx.puts]
        log = [(EVENTS + event.id, _encode(event)) for event in events]
        guards = (*tx.guards, *(Guard(key, 0) for key, _ in log))
        before = max([self._seen, *(guard.revision for guard in tx.guards)])
        try:
            revision = await self._store.transact(guards, [*puts, *log])
        except (StoreOutcomeUnknown, StoreFull) as error:
            revision = await self._find(before, puts, log)
            if revision is None and isinstance(error, StoreFull):
                raise
            if revision is None:
                return Settled(Outcome.UNKNOWN)
        if revision is None:
            return Settled(Outcome.REFUSED)
        self._seen = max(self._seen, revision)
        return Settled(Outcome.COMMITTED, revision, tuple(_placed(events, revision)))

    async def history(self, after: int, limit: int) -> list[StoredEvent]:
        """Events of transactions after revision `after`, oldest first; to go on, ask after the last revision.

        Whole transactions: at most `limit` events, unless the first transaction alone has more. Raises as `read` does.
        """
        return _stored(await self._store.log(after, limit))

    async def trim(self, keep: int) -> int:
        """Delete the oldest events beyond `keep`; how many went. Harmless when several members do it at once."""
        keys: list[str] = []
        after = 0
        while page := await self._store.log(after, PAGE):
            keys += [change.key for change in page]
            after = page[-1].revision
        doomed = keys[: max(0, len(keys) - keep)]
        if doomed:
            await self._store.forget(doomed)
        return len(doomed)

    def _told(self, event: Event) -> StoredEvent:
        """The event with its id, time and teller."""
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return StoredEvent(
            id=f"{self._member}.{self._process}.{next(self._counter):010d}",
            time=moment,
            member=self._member,
            severity=CATALOGUE[event.kind].severity,
            kind=event.kind.value,
            subject=event.subject,
            fields=event.fields,
        )

    async def _find(
        self, before: int, puts: Sequence[tuple[str, bytes]], log: Sequence[tuple[str, bytes]]
    ) -> int | None:
        """The revision at which a transaction of unknown outcome is found in the store, or None.

        `before` is a revision that was there before it was sent. An event's key is proof. Without events, all of its
        values at one later revision are: whoever wrote them, the store holds what was to be written.
        """
        try:
            if log:
                return await self._find_event(before, log[0][0])
            answer = await self._store.read(before)
        except StoreError:
            return None
        held = {change.key: change for change in answer.changes}
        ours = [held.get(key) for key, _ in puts]
        revisions = {change.revision for change in ours if change is not None}
        same = all(change is not None and change.value == value for change, (_, value) in zip(ours, puts, strict=True))
        return revisions.pop() if same and len(revisions) == 1 else None

    async def _find_event(self, before: int, key: str) -> int | None:
        after = before
        while page := await self._store.log(after, PAGE):
            for change in page:
                if change.key == key:
                    return change.revision
            after = page[-1].revision
        return None


def decode_record(change: KeyChange) -> Record:
    """The record of a key; raises StoreFatal naming the key when it is not what belongs there."""
    room, _, name = change.key.partition("/")
    decoder = _ROOMS.get(room)
    if decoder is None or (room in _SINGLE) == bool(name):
        raise _damaged(change.key, "this version knows no such key")
    try:
        record: Record = decoder.decode(change.value)
    except msgspec.MsgspecError as error:
        raise _damaged(change.key, str(error)) from error
    own_name = record.qm if isinstance(record, Assignment) else getattr(record, "name", name)
    if own_name != name:
        raise _damaged(change.key, f"the record is about {own_name!r}")
    return record


def _stored(changes: Sequence[KeyChange]) -> list[StoredEvent]:
    """Events with their place in the log; `changes` hold whole transactions, oldest first."""
    events: list[StoredEvent] = []
    for change in changes:
        try:
            event = _EVENT.decode(change.value)
        except msgspec.MsgspecError as error:
            raise _damaged(change.key, str(error)) from error
        same = bool(events) and events[-1].revision == change.revision
        events.append(structs.replace(event, revision=change.revision, order=events[-1].order + 1 if same else 0))
    return events


def _placed(events: Sequence[StoredEvent], revision: int) -> list[StoredEvent]:
    return [structs.replace(event, revision=revision, order=order) for order, event in enumerate(events)]


def _damaged(key: str, why: str) -> StoreFatal:
    return StoreFatal(
        f"The store's key {key!r} can not be read: {why}. It was damaged, or written by another program or a newer "
        f"version. Update this member, or put the record right with etcdctl."
    )


__all__ = ["Ledger", "Settled", "StoredEvent", "decode_record"]
