"""A pump against sinks that fail, hang and come back; the sink is a stand-in, whose moods the test commands."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import structs

from standfast.alerts.outbox import Outbox
from standfast.alerts.pump import Pump, SinkState
from standfast.alerts.sink import Door, Outgoing
from standfast.errors import SinkError
from standfast.model.events import EventKind, Severity
from standfast.model.sinks import SinkKind, SinkSpec
from tests.alerts.test_catalogue import sample
from tests.alerts.test_feed import until


class World:
    """What the stand-in does: take, refuse or hang."""

    def __init__(self) -> None:
        self.mood = "takes"
        self.room = -1
        self.takes_s = 0.0
        self.got: list[str] = []
        self.attempts = 0
        self.open = 0
        self.doors: list[Door] = []

    def connect(self, spec: SinkSpec, where: Door):
        self.doors.append(where)
        self.open += 1
        return Moody(self)


class Moody:
    def __init__(self, world: World) -> None:
        self.world = world

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        self.world.attempts += 1
        if self.world.mood == "hangs":
            await asyncio.sleep(3600)
        if self.world.mood == "refuses" or len(self.world.got) == self.world.room:
            raise SinkError("it refuses")
        await asyncio.sleep(self.world.takes_s)
        self.world.got += [outgoing.event.id for outgoing in events]

    async def close(self) -> None:
        self.world.open -= 1
        if self.world.mood == "hangs":
            await asyncio.sleep(3600)


def event(number: int, kind: EventKind = EventKind.LEASE_LOST):
    return structs.replace(sample(kind), id=f"a.{number}", revision=0)


@pytest.fixture
async def stage(tmp_path, monkeypatch):
    monkeypatch.setattr("standfast.alerts.pump.CLOSE_S", 0.05)
    world, tasks = World(), []

    def begin(**more) -> Pump:
        spec = SinkSpec(**{"name": "s", "kind": SinkKind.WEBHOOK, "url": "http://h:1/", "deadline_s": 0.2, **more})
        outbox = Outbox(tmp_path / "s.log")
        outbox.load()
        made = Pump(spec, world.connect, outbox, cluster="shop", member="a", now_ms=lambda: 1)
        tasks.append(asyncio.create_task(made.run()))
        return made

    yield world, begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_fails_is_tried_again_in_order_until_it_is_taken(stage):
    world, begin = stage
    world.mood = "refuses"
    pump = begin()
    for number in range(3):
        pump.add(event(number))
    await until(lambda: world.attempts >= 2)
    assert (pump.report().state, pump.report().waiting) == (SinkState.FAILING, 3)
    assert pump.report().detail
    world.mood = "takes"
    pump.wake()
    await until(lambda: pump.idle)
    assert world.got == ["a.0", "a.1", "a.2"]
    assert (pump.report().state, pump.report().delivered) == (SinkState.WORKING, 3)


async def test_what_was_taken_before_a_failure_is_not_delivered_again(stage):
    world, begin = stage
    world.room = 2
    pump = begin()
    for number in range(4):
        pump.add(event(number))
    await until(lambda: pump.report().state is SinkState.FAILING)
    assert pump.report().waiting == 2
    world.room = -1
    pump.wake()
    await until(lambda: pump.idle)
    assert world.got == ["a.0", "a.1", "a.2", "a.3"]


async def test_one_that_is_slow_has_the_deadline_for_each_event(stage):
    world, begin = stage
    world.takes_s = 0.12
    pump = begin()
    for number in range(4):
        pump.add(event(number))
    await until(lambda: pump.idle)
    assert (world.got, world.attempts) == (["a.0", "a.1", "a.2", "a.3"], 4)


async def test_one_that_hangs_in_delivery_and_in_its_end_costs_a_deadline_each(stage):
    world, begin = stage
    world.mood = "hangs"
    pump = begin()
    pump.add(event(1))
    await until(lambda: pump.report().state is SinkState.FAILING)
    world.mood = "takes"
    pump.wake()
    await until(lambda: pump.idle)
    assert world.got == ["a.1"]


async def test_the_queue_manager_that_it_is_on_wakes_it_when_it_runs_again(stage, monkeypatch):
    monkeypatch.setattr("standfast.alerts.pump.FIRST_PAUSE_S", 3600.0)
    world, begin = stage
    pump = begin(queue_manager="orders")
    pump.add(event(1))
    await until(lambda: pump.report().state is SinkState.FAILING)  # it runs nowhere
    pump.follow({"bills": ("10.0.0.1", 1)})
    pump.follow({"orders": ("10.0.0.2", 4222)})
    await until(lambda: pump.idle)
    assert (world.doors[-1].host, world.doors[-1].port) == ("10.0.0.2", 4222)


async def test_only_what_it_asked_for_is_delivered(stage):
    world, begin = stage
    pump = begin(severity=Severity.CRITICAL, only=("lease_lost", "lease_regained"))
    pump.add(event(1, EventKind.LEASE_REGAINED))
    pump.add(event(2, EventKind.MEMBER_EVICTED))
    pump.add(event(3, EventKind.LEASE_LOST))
    await until(lambda: world.got)
    assert world.got == ["a.3"]


async def test_a_test_goes_past_what_waits_over_a_connection_of_its_own(stage):
    world, begin = stage
    world.mood = "refuses"
    pump = begin()
    pump.add(event(1))
    await until(lambda: pump.report().state is SinkState.FAILING)
    with pytest.raises(SinkError):
        await pump.attempt(event(9))
    world.mood = "takes"
    await pump.attempt(event(9))
    assert world.got[0] == "a.9"


async def test_connections_are_closed(stage):
    world, begin = stage
    world.mood = "refuses"
    pump = begin()
    pump.add(event(1))
    await until(lambda: world.attempts >= 3)
    await until(lambda: world.open <= 1)
    world.mood = "takes"
    pump.wake()
    await until(lambda: pump.idle)
    assert world.open == 1
