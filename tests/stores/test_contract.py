"""What every key-value store promises, walked with the one in memory and with a real etcd."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from standfast.model.records import Guard
from standfast.ports import KeyValue
from standfast.stores.etcd import Etcd
from standfast.stores.memory import MemoryStore
from tests.stores.etcds import Etcds


@pytest.fixture(params=["memory", "etcd"])
async def store(request: pytest.FixtureRequest, etcds: Etcds) -> AsyncIterator[KeyValue]:
    kept: KeyValue = MemoryStore() if request.param == "memory" else Etcd(f"t-{uuid4().hex}", etcds.endpoints)
    yield kept
    await kept.close()


async def test_a_read_shows_what_changed_since_and_no_events(store: KeyValue) -> None:
    empty = await store.read(0)
    assert empty.changes == ()
    first = await store.transact([], [("members/a", b"1"), ("orders", b""), ("events/1", b"e")])
    second = await store.transact([], [("members/b", b"\x00\xff")])
    everything = await store.read(empty.revision)
    assert {(c.key, c.value, c.revision) for c in everything.changes} == {
        ("members/a", b"1", first),
        ("orders", b"", first),
        ("members/b", b"\x00\xff", second),
    }
    assert everything.revision == second
    assert [c.key for c in (await store.read(first)).changes] == ["members/b"]
    assert (await store.read(second)).changes == ()


async def test_a_transaction_happens_whole_or_not_at_all(store: KeyValue) -> None:
    first = await store.transact([Guard("k", 0)], [("k", b"1")])
    assert first is not None
    assert await store.transact([Guard("k", 0)], [("k", b"2")]) is None
    assert await store.transact([Guard("k", first), Guard("other", 7)], [("k", b"2"), ("new", b"")]) is None
    assert [(c.key, c.value) for c in (await store.read(0)).changes] == [("k", b"1")]
    second = await store.transact([Guard("k", first), Guard("other", 0)], [("k", b"2"), ("new", b"")])
    assert second is not None
    assert second > first
    assert await store.transact([Guard("k", first)], [("k", b"3")]) is None


async def test_of_many_with_the_same_guard_one_wins(store: KeyValue) -> None:
    results = await asyncio.gather(*(store.transact([Guard("k", 0)], [("k", b"%d" % i)]) for i in range(20)))
    winners = [i for i, revision in enumerate(results) if revision is not None]
    assert len(winners) == 1
    assert (await store.read(0)).changes[0].value == b"%d" % winners[0]


@pytest.mark.parametrize(
    ("guards", "puts"),
    [([Guard("k", 0)], []), ([], [("k", b"1"), ("k", b"2")]), ([Guard("k", -1)], [("k", b"")])],
    ids=["no put", "same key twice", "negative revision"],
)
async def test_a_transaction_without_a_meaning_is_a_mistake(store: KeyValue, guards: list, puts: list) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        await store.transact(guards, puts)


async def test_the_log_comes_oldest_first_in_whole_transactions(store: KeyValue) -> None:
    await store.transact([], [("members/a", b"")])
    two = await store.transact([], [("events/z2", b""), ("events/z1", b""), ("members/a", b"1")])
    one = await store.transact([], [("events/a", b"")])
    three = await store.transact([], [("events/c", b""), ("events/b", b""), ("events/d", b"")])
    order = [("events/z1", two), ("events/z2", two), ("events/a", one), *((f"events/{x}", three) for x in "bcd")]
    assert [(c.key, c.revision) for c in await store.log(0, 100)] == order
    assert [(c.key, c.revision) for c in await store.log(0, 6)] == order
    assert [(c.key, c.revision) for c in await store.log(0, 5)] == order[:3]
    assert [(c.key, c.revision) for c in await store.log(0, 1)] == order[:2]
    assert [(c.key, c.revision) for c in await store.log(one, 1)] == order[3:]
    assert list(await store.log(three, 10)) == []


async def test_only_events_can_be_forgotten(store: KeyValue) -> None:
    await store.transact([], [(f"events/{i:03}", b"") for i in range(110)])
    await store.transact([], [("members/a", b"")])
    with pytest.raises(ValueError):  # noqa: PT011
        await store.forget(["events/000", "members/a"])
    await store.forget([f"events/{i:03}" for i in range(109)])
    assert [c.key for c in await store.log(0, 200)] == ["events/109"]
    assert [c.key for c in (await store.read(0)).changes] == ["members/a"]


@pytest.mark.parametrize("key", ["members/a", "events/1"])
async def test_a_change_wakes_and_a_past_one_too(store: KeyValue, key: str) -> None:
    revision = (await store.read(0)).revision
    waiting = asyncio.create_task(store.wake(revision))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    assert await store.transact([], [(key, b"")])
    async with asyncio.timeout(1):
        await waiting
        await store.wake(revision)
