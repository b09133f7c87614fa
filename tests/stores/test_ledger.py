"""Records and events in, a View and a history out; and what is said when the outcome is unknown."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from standfast.errors import StoreFatal, StoreOutcomeUnknown, StoreUnavailable
from standfast.model.cluster import QueueManagerSpec, Role, StorageSpec
from standfast.model.events import CATALOGUE, Event, EventKind, Severity
from standfast.model.records import (
    Assignment,
    Guard,
    MemberRecord,
    MemberState,
    Orders,
    Outcome,
    Put,
    SettingsRecord,
    Transaction,
)
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.ports import KeyValue
from standfast.stores.etcd import Etcd
from standfast.stores.ledger import Ledger
from standfast.stores.memory import MemoryStore
from tests.stores.etcds import Etcds, octets
from tests.stores.middleman import Fault, Middleman

NOON = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
A = MemberRecord(name="a", role=Role.DATA, incarnation=1, identity="x", state=MemberState.ONLINE)
ORDERS = Orders(drained=("a",))
JOINED = Event(kind=EventKind.MEMBER_JOINED, subject="a", fields={"incarnation": 1})
EVICTED = Event(kind=EventKind.MEMBER_EVICTED, subject="b")


def ledger_on(store: KeyValue, member: str = "a") -> Ledger:
    return Ledger(store, member, now=lambda: NOON)


def joining(revision: int = 0, *events: Event) -> Transaction:
    return Transaction(guards=(Guard("members/a", revision),), puts=(Put("members/a", A),), events=events)


class Doubtful(MemoryStore):
    """A stand-in whose transactions all end as unknown; `executes` says when they are carried out."""

    def __init__(self, executes: str) -> None:
        super().__init__()
        self._executes = executes
        self.asked = 0
        self.broken = False

    async def transact(self, guards: Sequence[Guard], puts: Sequence[tuple[str, bytes]]) -> int | None:
        self.asked += 1
        if self._executes == "at once":
            await super().transact(guards, puts)
        raise StoreOutcomeUnknown("cut")

    async def read(self, since: int) -> object:
        if self.broken:
            raise StoreUnavailable("gone")
        return await super().read(since)

    async def log(self, after: int, limit: int) -> object:
        if self.broken:
            raise StoreUnavailable("gone")
        return await super().log(after, limit)


async def test_every_kind_of_record_comes_back_as_it_was_written() -> None:
    ledger = ledger_on(MemoryStore())
    records = [
        Put("members/a", A),
        Put("assignments/q", Assignment(qm="q", epoch=3, owner="a", incarnation=1, failed_on=("b",))),
        Put("specs/q", QueueManagerSpec(name="q", kind="nats", port=1, storage=StorageSpec(path="/x"))),
        Put("orders", ORDERS),
        Put("settings", SettingsRecord(cluster_id="c", members=("a",), timing=PROFILES["fast"], term_ceiling_ms=800)),
    ]
    outcome, revision, _ = await ledger.transact(Transaction(guards=(), puts=tuple(records)))
    assert outcome is Outcome.COMMITTED
    view = await ledger.read(View())
    held = [view.members["a"], view.assignments["q"], view.specs["q"], view.orders, view.settings]
    assert [kept.record for kept in held] == [put.record for put in records]
    assert {kept.revision for kept in held} == {revision}
    assert view.revision == revision


async def test_a_view_grows_by_what_changed() -> None:
    ledger = ledger_on(MemoryStore())
    await ledger.transact(joining())
    before = await ledger.read(View())
    await ledger.transact(Transaction(guards=(), puts=(Put("orders", ORDERS),)))
    after = await ledger.read(before)
    assert after.members is before.members
    assert after.orders.record == ORDERS
    assert after.revision > before.revision


async def test_a_refused_transaction_leaves_no_event() -> None:
    ledger = ledger_on(MemoryStore())
    assert (await ledger.transact(joining(7, JOINED))).outcome is Outcome.REFUSED
    assert await ledger.history(0, 10) == []


async def test_a_change_and_its_events_are_one_transaction() -> None:
    ledger = ledger_on(MemoryStore(), "w")
    outcome, revision, told = await ledger.transact(joining(0, JOINED, EVICTED))
    assert outcome is Outcome.COMMITTED
    history = await ledger.history(0, 10)
    assert tuple(history) == told
    assert [(e.revision, e.order, e.kind, e.subject) for e in history] == [
        (revision, 0, EventKind.MEMBER_JOINED, "a"),
        (revision, 1, EventKind.MEMBER_EVICTED, "b"),
    ]
    assert history[0].time == "2026-11-22T12:00:00.123Z"
    assert history[0].member == "w"
    assert history[0].fields == {"incarnation": 1}
    assert history[1].severity is CATALOGUE[EventKind.MEMBER_EVICTED].severity is Severity.CRITICAL
    assert await ledger.history(revision, 10) == []


async def test_event_ids_are_unique_and_in_order() -> None:
    store = MemoryStore()
    ledgers = [ledger_on(store), ledger_on(store)]
    told = []
    for number in range(30):
        settled = await ledgers[number % 2].transact(Transaction(guards=(), puts=(), events=(JOINED, EVICTED)))
        told.append([event.id for event in settled.events])
    ids = [event.id for event in await ledgers[0].history(0, 100)]
    assert len(set(ids)) == 60
    assert ids == [one for pair in told for one in pair]
    assert [one for pair in told[::2] for one in pair] == sorted(one for pair in told[::2] for one in pair)


async def test_an_id_met_again_refuses_the_transaction_rather_than_overwrite() -> None:
    store = MemoryStore()
    first, clone = ledger_on(store), ledger_on(store)
    clone._process = first._process  # a virtual machine that was copied while it ran
    assert (await first.transact(joining(0, JOINED))).outcome is Outcome.COMMITTED
    assert (await clone.transact(Transaction(guards=(), puts=(), events=(EVICTED,)))).outcome is Outcome.REFUSED
    assert [event.kind for event in await first.history(0, 10)] == [EventKind.MEMBER_JOINED]


async def test_trim_keeps_the_newest() -> None:
    ledger = ledger_on(MemoryStore())
    for _ in range(10):
        await ledger.transact(Transaction(guards=(), puts=(), events=(JOINED,) * 70))
    newest = (await ledger.history(0, 1_000))[-30:]
    assert await ledger.trim(keep=30) == 670
    assert [event.id for event in await ledger.history(0, 1_000)] == [event.id for event in newest]
    assert await ledger.trim(keep=30) == await ledger.trim(keep=1_000) == 0
    assert len(await ledger.history(0, 1_000)) == 30


# ---------------------------------------------------------------- outcome unknown


@pytest.mark.parametrize("events", [(), (JOINED,)], ids=["by its values", "by its event"])
async def test_what_the_store_shows_was_committed(events: tuple[Event, ...]) -> None:
    store = Doubtful("at once")
    settled = await ledger_on(store).transact(joining(0, *events))
    assert settled.outcome is Outcome.COMMITTED
    assert settled.revision == (await ledger_on(store).read(View())).members["a"].revision
    assert store.asked == 1


@pytest.mark.parametrize("events", [(), (JOINED,)], ids=["by its values", "by its event"])
async def test_what_the_store_does_not_show_stays_unknown_and_is_not_repeated(events: tuple[Event, ...]) -> None:
    store = Doubtful("never")
    assert await ledger_on(store).transact(joining(0, *events)) == (Outcome.UNKNOWN, 0, ())
    assert store.asked == 1


async def test_the_same_values_from_before_prove_nothing() -> None:
    store = Doubtful("never")
    before = await MemoryStore.transact(store, [], [("members/a", msgspec.json.encode(A))])
    assert before is not None
    assert (await ledger_on(store).transact(joining(before))).outcome is Outcome.UNKNOWN


async def test_a_part_of_the_values_proves_nothing() -> None:
    store = Doubtful("never")
    two = Transaction(guards=(), puts=(Put("members/a", A), Put("orders", ORDERS)))
    await MemoryStore.transact(store, [], [("members/a", msgspec.json.encode(A))])
    assert (await ledger_on(store).transact(two)).outcome is Outcome.UNKNOWN
    await MemoryStore.transact(store, [], [("orders", msgspec.json.encode(ORDERS))])
    assert (await ledger_on(store).transact(two)).outcome is Outcome.UNKNOWN


async def test_the_same_kind_of_event_by_another_proves_nothing() -> None:
    store = Doubtful("never")
    await MemoryStore.transact(store, [], [("events/b.1.1", b"{}"), ("members/a", msgspec.json.encode(A))])
    assert (await ledger_on(store).transact(joining(0, JOINED))).outcome is Outcome.UNKNOWN


async def test_it_stays_unknown_when_the_store_can_not_be_read() -> None:
    store = Doubtful("at once")
    store.broken = True
    for events in ((), (JOINED,)):
        assert (await ledger_on(store).transact(joining(0, *events))).outcome is Outcome.UNKNOWN


async def test_its_event_is_found_among_many() -> None:
    store = Doubtful("at once")
    for number in range(700):
        await MemoryStore.transact(store, [], [(f"events/b.1.{number:04}", b"{}")])
    assert (await ledger_on(store).transact(joining(0, JOINED))).outcome is Outcome.COMMITTED


# ---------------------------------------------------------------- with a real etcd


@pytest.fixture
async def cut(etcds: Etcds) -> AsyncIterator[tuple[Ledger, Middleman]]:
    """A ledger whose nearest endpoint is a stand-in that may cut."""
    async with Middleman(etcds.endpoint("a"), f"127.0.20.{octets() + 8}") as middle:
        etcd = Etcd(f"t-{uuid4().hex}", [middle.endpoint, etcds.endpoint("b")])
        yield ledger_on(etcd), middle
        await etcd.close()


async def test_a_cut_answer_is_found_out_by_reading(cut: tuple[Ledger, Middleman]) -> None:
    ledger, middle = cut
    await ledger.read(View())
    middle.faults["/v3/kv/txn"] = Fault.CUT
    settled = await ledger.transact(joining(0, JOINED))
    assert settled.outcome is Outcome.COMMITTED
    assert await ledger.history(0, 10) == list(settled.events)
    middle.faults["/v3/kv/txn"] = Fault.SWALLOW
    again = await ledger.transact(joining(settled.revision, EVICTED))
    assert again.outcome is Outcome.UNKNOWN
    assert middle.seen["/v3/kv/txn"] == 2


async def test_an_executed_transaction_that_comes_late_is_stopped_by_its_guard(cut: tuple[Ledger, Middleman]) -> None:
    ledger, middle = cut
    await ledger.read(View())
    middle.delays["/v3/kv/txn"] = late = asyncio.Event()
    slow = asyncio.create_task(ledger.transact(joining(0, JOINED)))
    await middle.holding.wait()
    other = await ledger.transact(joining(0, EVICTED))
    assert other.outcome is Outcome.COMMITTED
    late.set()
    assert (await slow).outcome is Outcome.REFUSED
    assert [event.kind for event in await ledger.history(0, 10)] == [EventKind.MEMBER_EVICTED]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("members/a", b'{"name":"a"}'),
        ("members/a", b'{"name":"a","role":"da'),
        ("members/b", msgspec.json.encode(A)),
        ("assignments/q", msgspec.json.encode(Assignment(qm="p"))),
        ("orders/x", msgspec.json.encode(ORDERS)),
        ("members", msgspec.json.encode(A)),
        ("rumours/a", b"{}"),
    ],
)
async def test_a_damaged_record_is_named(etcd: Etcd, key: str, value: bytes) -> None:
    await etcd.transact([], [(key, value)])
    with pytest.raises(StoreFatal, match=key):
        await ledger_on(etcd).read(View())


async def test_a_damaged_event_is_named_and_a_newer_kind_is_not_damage() -> None:
    store = MemoryStore()
    ledger = ledger_on(store)
    told = (await ledger.transact(Transaction(guards=(), puts=(), events=(JOINED,)))).events[0]
    newer = msgspec.structs.replace(told, id="newer", kind="qm_levitated", revision=0)
    revision = await store.transact([], [("events/newer", msgspec.json.encode(newer))])
    assert [event.kind for event in await ledger.history(0, 10)] == [EventKind.MEMBER_JOINED, "qm_levitated"]
    await store.transact([], [("events/torn", b'{"id":')])
    with pytest.raises(StoreFatal, match="events/torn"):
        await ledger.history(revision, 10)
