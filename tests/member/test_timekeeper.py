"""A takeover is told with how long it took, once, by the member that took over; what is no takeover is not told so."""

import asyncio

import pytest

from standfast.errors import StoreUnavailable
from standfast.member.timekeeper import Timekeeper
from standfast.model.event_fields import wrong
from standfast.model.events import CATALOGUE, Event, EventKind
from standfast.model.told import StoredEvent


def stored(revision: int, at_ms: int, kind: EventKind, subject: str, **fields) -> StoredEvent:
    return StoredEvent(
        id=f"w.{revision}.{subject}",
        time=f"2026-11-22T21:35:{at_ms / 1000:06.3f}Z",
        member="w",
        severity=CATALOGUE[kind].severity,
        kind=kind,
        subject=subject,
        fields=fields,
        revision=revision,
    )


def running(revision: int, qm: str, epoch: int) -> StoredEvent:
    return stored(revision, 1800, EventKind.QM_RUNNING, qm, owner="b", epoch=epoch, claim_ms=10.0, start_ms=30.5)


def assigned(revision: int, qm: str, was: str | None, epoch: int) -> StoredEvent:
    return stored(revision, 1760, EventKind.QM_ASSIGNED, qm, owner="b", epoch=epoch, reason="a_evicted", was=was)


LOG = [
    stored(5, 1000, EventKind.MEMBER_IN_DOUBT, "a", incarnation=1, reason="silent"),
    stored(6, 1760, EventKind.MEMBER_EVICTED, "a", incarnation=1, reason="silent"),
    assigned(6, "orders", "a", 2),
    assigned(6, "bills", "a", 7),
    assigned(6, "first", None, 1),
    stored(7, 1770, EventKind.QM_MOVING, "moved", epoch=1, to="b", reason="x", owner="w"),
    assigned(8, "moved", "w", 2),
    *(running(9, qm, epoch) for qm, epoch in (("orders", 2), ("bills", 7), ("first", 1), ("moved", 2))),
]


class Store:
    def __init__(self) -> None:
        self.read = 0
        self.away = False

    async def history(self, after: int, limit: int) -> list[StoredEvent]:
        self.read += 1
        if self.away:
            raise StoreUnavailable("away")
        return [event for event in LOG if event.revision > after][:limit]


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr("standfast.member.timekeeper.GATHER_S", 0.0)


async def told(store: Store) -> list[Event]:
    found: list[Event] = []
    keeper = Timekeeper(store.history, found.append)
    for event in LOG:
        keeper.told(event)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    return found


async def test_takeovers_are_told_with_their_times_in_one_reading_and_nothing_else_is():
    store = Store()
    found = await told(store)
    assert {event.subject for event in found} == {"orders", "bills"}
    assert store.read == 2  # a page, and that there is no more
    event = next(event for event in found if event.subject == "orders")
    assert wrong(event.kind, event.fields) == []
    assert event.fields == {
        "epoch": 2,
        "owner": "b",
        "was": "a",
        "reason": "a_evicted",
        "noticed_ms": 760,
        "took_ms": 40.5,
        "total_ms": 800.5,
    }


async def test_without_the_store_nothing_is_told():
    store = Store()
    store.away = True
    assert await told(store) == []
