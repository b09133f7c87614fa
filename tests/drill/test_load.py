"""The load against real brokers that are killed under it; the usual client library checks the audit's reading."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import nats
import pytest
from msgspec import structs

from standfast.drill.audit import Verdict, audit
from standfast.drill.clients.registry import CLIENTS
from standfast.drill.identity import decode
from standfast.drill.load import Load
from standfast.drill.outage import outages
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadRecord, LoadSettings, Tick
from standfast.errors import MachineError, UsageError
from standfast.managers.registry import DRIVERS, driver
from standfast.model.timing import NS_PER_MS
from standfast.ports import Durability, Place, boottime_ns
from tests.managers.broker import Broker, place_for, place_in, started

SLACK_NS = 300 * NS_PER_MS
"""How far a busy machine may take the client's view from the test's."""


SETTLE_S = 60
"""Longest wait for a load to flow again; a bound against hanging, not a figure."""
EVERY_MS = {"nats": 5, "mosquitto": 25}
"""Mosquitto rewrites its whole database for each change: a faster load would only queue."""


class Watch:
    """Hears ticks, and waits for the first of which something is true."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self._news = asyncio.Event()

    def hear(self, tick: Tick) -> None:
        self.ticks.append(tick)
        self._news.set()

    async def until(self, reached: Callable[[list[Tick]], bool]) -> None:
        """Return when the ticks from now on are as asked for."""
        seen = len(self.ticks)
        try:
            async with asyncio.timeout(SETTLE_S):
                while not reached(self.ticks[seen:]):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(self.ticks[seen:][-20:]) from None

    async def steady(self) -> None:
        """Return after some ticks with acknowledgements and nothing left waiting from before."""
        await self.until(lambda ticks: sum(tick.acked > 0 and tick.waiting < 10 for tick in ticks) >= 3)


def settings_for(place: Place, **changes: object) -> LoadSettings:
    base = LoadSettings(kind="nats", address=place.address, port=place.port, run="test1", tick_ms=50, drain_s=60)
    return structs.replace(base, **changes)


async def killed_under_load(
    kind: str, root: Path, *, kills: int, graceful: bool = False
) -> tuple[LoadRecord, list[int]]:
    """A load whose broker dies some times; its record, and when it died and when it served again, in turns."""
    place, watch, marks = place_in(root), Watch(), []
    async with AsyncExitStack() as stack:
        broker: Broker = await stack.enter_async_context(started(driver(kind), place))
        await broker.ready()
        process = await stack.enter_async_context(
            LoadProcess(settings_for(place, kind=kind, every_ms=EVERY_MS[kind]), watch.hear)
        )
        for _ in range(kills):
            await watch.steady()
            marks.append(boottime_ns())
            await (broker.stop() if graceful else broker.kill())
            broker = await stack.enter_async_context(started(driver(kind), place))
            await broker.ready()
            marks.append(boottime_ns())
        await watch.steady()
        return await process.finish(), marks


async def test_nats_loses_nothing_when_it_is_killed_and_each_outage_is_measured(tmp_path: Path) -> None:
    record, marks = await killed_under_load("nats", tmp_path, kills=3)
    got = audit(record, Durability.SYNCED)
    assert (got.verdict, got.lost, got.consumed) == (Verdict.KEPT, (), got.acked)
    assert got.acked == got.created == got.stored
    assert record.connections > 3
    found = outages(record.sent[0], record.began_ns, record.ended_ns, NS_PER_MS)
    for died_ns, served_ns in zip(marks[::2], marks[1::2], strict=True):
        one = max(
            (one for one in found if died_ns <= one.to_ns), key=lambda one: min(one.to_ns, served_ns) - one.from_ns
        )
        assert abs(one.from_ns - died_ns) < SLACK_NS
        assert abs(one.to_ns - served_ns) < SLACK_NS


async def test_mosquitto_stopped_gracefully_keeps_all_and_still_promises_nothing(tmp_path: Path) -> None:
    record, _ = await killed_under_load("mosquitto", tmp_path, kills=1, graceful=True)
    got = audit(record, DRIVERS["mosquitto"].durability)
    assert (got.verdict, got.lost, got.acked) == (Verdict.NO_PROMISE, (), got.created)
    assert got.consumed == got.acked


async def test_mosquitto_killed_is_audited_and_nothing_is_promised(tmp_path: Path) -> None:
    record, _ = await killed_under_load("mosquitto", tmp_path, kills=1)
    got = audit(record, DRIVERS["mosquitto"].durability)
    assert got.verdict is Verdict.NO_PROMISE
    assert got.stored is not None
    assert got.stored + len(got.lost) >= got.acked


async def test_the_audit_reads_what_the_usual_client_library_reads(tmp_path: Path) -> None:
    place, watch, stop = place_in(tmp_path), Watch(), asyncio.Event()
    async with started(driver("nats"), place) as broker:
        await broker.ready()
        load = Load(settings_for(place, retry_ms=2_000, silence_ms=5_000), watch.hear)  # no doubles of its own
        running = asyncio.create_task(load.run(stop))
        await watch.steady()
        client = await nats.connect(f"nats://{place.address}:{place.port}")
        stream = client.jetstream()
        # Somebody stores a copy of message 5, and something that is none of this run's business.
        copy = (await stream.get_msg("STANDFAST-DRILL-test1", seq=6)).data
        assert copy is not None
        for payload in (copy, b"not of this run"):
            await stream.publish("standfast.drill.test1", payload)
        await watch.steady()
        stop.set()
        record = await running
        stored = (await stream.stream_info("STANDFAST-DRILL-test1")).state.messages
        got = audit(record, Durability.SYNCED)
        assert (got.stored, got.doubled) == (stored - 2, (decode("test1", copy),))
        # And somebody deletes message 7: the next reading must find it lost.
        await stream.delete_msg("STANDFAST-DRILL-test1", seq=8)
        again, _ = await load._read_back()
        lost = audit(structs.replace(record, stored=again), Durability.SYNCED).lost
        assert [one.sequence for one in lost] == [7]
        assert await load.discard()
        assert await stream.streams_info() == []
        await client.close()


async def test_what_the_broker_refuses_is_not_acknowledged_and_is_sent_until_it_is(tmp_path: Path) -> None:
    place, watch = place_in(tmp_path), Watch()
    async with started(driver("nats"), place) as broker:
        await broker.ready()
        async with LoadProcess(settings_for(place), watch.hear) as process:
            await watch.steady()
            client = await nats.connect(f"nats://{place.address}:{place.port}")
            stream = client.jetstream()
            config = (await stream.stream_info("STANDFAST-DRILL-test1")).config
            await stream.update_stream(config, max_msgs=1)  # full, and told to refuse what is new
            await watch.until(lambda ticks: any(tick.acked == 0 and tick.waiting > 20 for tick in ticks))
            await stream.update_stream(config, max_msgs=-1)
            await watch.steady()
            record = await process.finish()
            await client.close()
    got = audit(record, Durability.SYNCED)
    # Lowering the limit made the stream throw away its oldest messages but one: that is a loss, and is seen.
    refused = [sent for sent in record.sent[0] if sent.acked_ns - sent.created_ns > 20 * NS_PER_MS]
    assert len(refused) > 20
    assert got.acked == got.created
    assert {one.sequence for one in got.lost}.isdisjoint(record.sent[0].index(sent) for sent in refused)


async def test_a_frozen_broker_is_left_and_found_again_without_a_loss(tmp_path: Path) -> None:
    place, watch = place_in(tmp_path), Watch()
    async with started(driver("nats"), place) as broker:
        await broker.ready()
        async with LoadProcess(settings_for(place), watch.hear) as process:
            await watch.steady()
            broker.freeze()
            await watch.until(lambda ticks: any(not tick.connected for tick in ticks))
            broker.thaw()
            await watch.steady()
            record = await process.finish()
    got = audit(record, Durability.SYNCED)
    assert (got.verdict, got.acked) == (Verdict.KEPT, got.created)
    assert got.doubled  # what lay in the frozen broker's socket was stored after all, and so was the retry


async def test_a_queue_manager_that_stays_away_ends_in_a_record_that_proves_nothing(tmp_path: Path) -> None:
    place, watch = place_in(tmp_path), Watch()
    async with started(driver("nats"), place) as broker:
        await broker.ready()
        async with LoadProcess(settings_for(place, drain_s=0.3), watch.hear) as process:
            await watch.steady()
            await broker.kill()
            record = await process.finish()
    got = audit(record, Durability.SYNCED)
    assert (got.verdict, got.stored) == (Verdict.UNPROVEN, None)
    assert got.unreadable


async def test_a_refused_login_is_said_at_once(tmp_path: Path) -> None:
    for kind in CLIENTS:
        secret = tmp_path / f"secret-{kind}"
        secret.write_text("right\n")
        secret.chmod(0o600)
        root = tmp_path / kind
        root.mkdir()
        place = place_for(driver(kind), root, user="shop", password_file=str(secret))
        async with started(driver(kind), place) as broker:
            await broker.ready()
            with pytest.raises(UsageError):
                await Load(settings_for(place, kind=kind), lambda _: None).run(asyncio.Event())


async def test_a_load_that_can_not_run_says_why(tmp_path: Path) -> None:
    async with LoadProcess(settings_for(place_in(tmp_path), kind="unknown"), lambda _: None) as process:
        with pytest.raises(MachineError):
            await process.finish()
