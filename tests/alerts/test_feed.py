"""The log reaches a sink whoever reads it: no event is passed over, whoever dies, and one reader at a time counts."""

import asyncio
import contextlib

import pytest
from msgspec import structs

from standfast.alerts import feed as module
from standfast.alerts.feed import LogFeed
from standfast.errors import StoreUnavailable
from standfast.model.events import EventKind
from standfast.stores.memory import MemoryStore
from tests.alerts.test_catalogue import sample


class Log:
    """A store's log: transactions of several events each."""

    def __init__(self, *sizes: int) -> None:
        self.events = []
        for size in sizes:
            self.grow(size)

    def grow(self, size: int) -> None:
        revision = (self.events[-1].revision if self.events else 0) + 1
        self.events += [
            structs.replace(sample(EventKind.QM_RUNNING), id=f"{revision}.{order}", revision=revision, order=order)
            for order in range(size)
        ]

    async def history(self, after: int, limit: int):
        found = [event for event in self.events if event.revision > after]
        cut = found[limit].revision if len(found) > limit else 0
        return [event for event in found if not cut or event.revision < cut]


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_S", 0.01)


@contextlib.asynccontextmanager
async def reading(log: Log, marks, by: str, since: int = 0):
    stirred = asyncio.Event()
    feed = LogFeed("pager", log.history, marks, by=by, since=lambda: since, stir=stirred.set)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)


async def took(feed: LogFeed, count: int = 50) -> list[str]:
    await until(lambda: feed.first(count))
    events = feed.first(count)
    await feed.done(events)
    return [event.id for event in events]


async def test_a_successor_goes_on_where_the_dead_one_had_delivered():
    log, marks = Log(2, 1, 3), MemoryStore()
    async with reading(log, marks, "a") as feed:
        assert await took(feed, 2) == ["1.0", "1.1"]
        await until(lambda: feed.first(50))
    async with reading(log, marks, "b") as feed:
        assert await took(feed) == ["2.0", "3.0", "3.1", "3.2"]
        log.grow(1)
        feed.stirred()
        assert await took(feed) == ["4.0"]


async def test_a_checkpoint_never_stands_within_a_transaction():
    log, marks = Log(1, 5, 1), MemoryStore()
    async with reading(log, marks, "a") as feed:
        assert await took(feed, 3) == ["1.0"]
        assert await took(feed, 3) == ["2.0", "2.1", "2.2", "2.3", "2.4"]


async def test_who_was_overtaken_stops_and_its_word_does_not_count():
    log, marks = Log(1, 1, 1), MemoryStore()
    async with reading(log, marks, "old") as old:
        await until(lambda: old.first(1))
        in_flight = old.first(1)
        async with reading(log, marks, "new") as new:
            assert await took(new, 1) == ["1.0"]
            assert await took(new, 1) == ["2.0"]
            await old.done(in_flight)
            assert not old.active or old.first(1)[0].id == "3.0"
            await until(lambda: new.first(1) or old.first(1))


async def test_a_new_sink_begins_with_the_settings_that_brought_it():
    log, marks = Log(1, 1, 1), MemoryStore()
    for number in range(5):  # both are in one store, whose revision is never behind its log
        await marks.transact([], [(f"x/{number}", b"")])
    async with reading(log, marks, "a", since=2) as feed:
        assert await took(feed) == ["3.0"]


async def test_a_checkpoint_of_another_store_is_not_believed():
    log, marks = Log(1), MemoryStore()
    await marks.transact([], [("checkpoints/pager", b'{"revision":999}')])
    async with reading(log, marks, "a") as feed:
        assert await took(feed) == ["1.0"]


async def test_a_store_that_is_away_delays_and_loses_nothing():
    log = Log(1, 1)

    class Away(MemoryStore):
        gone = True

        async def read(self, since):
            if self.gone:
                raise StoreUnavailable("away")
            return await super().read(since)

    marks = Away()
    async with reading(log, marks, "a") as feed:
        await asyncio.sleep(0.05)
        assert not feed.active
        marks.gone = False
        assert await took(feed) == ["1.0", "2.0"]


async def test_a_transaction_of_which_something_is_left_is_not_passed_over():
    log, marks = Log(2, 3), MemoryStore()
    async with reading(log, marks, "a.1") as feed:
        await until(lambda: feed.waiting() == 5)
        await feed.done(feed.first(50)[:3])  # the first transaction, and one event of the second
        assert [event.id for event in feed.first(50)] == ["2.1", "2.2"]
    async with reading(log, marks, "b.1") as feed:
        await until(feed.waiting)
        assert [event.id for event in feed.first(50)] == ["2.0", "2.1", "2.2"]
