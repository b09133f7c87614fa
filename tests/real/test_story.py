"""What becomes of a queue manager, told on one real cluster under one load: every fault, one after the other.

The load runs from before the first test until after the last; nothing that was acknowledged to it may be missing.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from standfast.drill.audit import Verdict, audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadRecord, LoadSettings
from standfast.managers.nats import Nats
from standfast.member.control_protocol import Drain, Move, Undrain
from standfast.model.events import EventKind
from standfast.model.records import MemberState
from standfast.quorum import signals
from tests.real.running import QM, Running, lasting, now_ns, proxy, started

FLOWS_S = 30.0
DRAINED_S = 100.0
"""For the last acknowledgements, for the consumer, and for reading all back."""


class LastingLoad:
    """A load in a thread with an event loop of its own, so that it outlives single tests."""

    def __init__(self, port: int) -> None:
        self._settings = LoadSettings(kind="nats", address="127.0.0.1", port=port, run="story", every_ms=20)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._flows = threading.Event()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._record = asyncio.run_coroutine_threadsafe(self._run(), self._loop)
        assert self._flows.wait(FLOWS_S)

    async def _run(self) -> LoadRecord:
        async with LoadProcess(self._settings, lambda tick: self._flows.set() if tick.acked else None) as load:
            await self._stop.wait()
            return await load.finish()

    def end(self) -> LoadRecord:
        self._loop.call_soon_threadsafe(self._stop.set)
        return self._record.result(DRAINED_S)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    lives = lasting(started(tmp_path_factory.mktemp("story")))
    running = next(lives)
    with proxy(running.lab) as port:
        load = LastingLoad(port)
        yield running
        found = audit(load.end(), Nats.durability)
    assert found.verdict is Verdict.KEPT, found
    assert found.acked > 0
    next(lives, None)


async def test_a_cold_start_founds_the_cluster_once_and_runs_the_queue_manager_under_the_first_epoch(
    cluster: Running,
) -> None:
    report = await cluster.lab.report()
    assert {(m.state, m.incarnation) for m in report.members} == {(MemberState.ONLINE, 1)}
    assert (await cluster.queue_manager()).epoch == 1
    kinds = [line.kind for line in await cluster.log()]
    assert kinds.count(EventKind.CLUSTER_FOUNDED) == kinds.count(EventKind.QM_RUNNING) == 1


async def test_a_power_cut_moves_it_under_a_larger_epoch_and_the_return_moves_nothing_back(cluster: Running) -> None:
    before = await cluster.queue_manager()
    assert before.owner is not None
    incarnation = (await cluster.member(before.owner)).incarnation

    cluster.lab.nodes[before.owner].kill()
    after = await cluster.lab.until_running(QM, epoch=before.epoch + 1)
    assert after.owner == cluster.other(before.owner)
    assert after.reason == f"{before.owner}_evicted"

    await cluster.back(before.owner)
    assert (await cluster.member(before.owner)).incarnation == incarnation + 1
    assert await cluster.placing() == (after.owner, after.epoch)


async def test_a_killed_queue_manager_is_restarted_in_place_under_the_same_epoch(cluster: Running) -> None:
    before = await cluster.queue_manager()
    assert before.owner is not None
    pid = cluster.process(before.owner)
    async with cluster.telling() as told:
        os.kill(pid, signal.SIGKILL)
        await cluster.until_told(lambda line: line.kind == EventKind.QM_FAILED and line.fields["epoch"] == before.epoch)
        after = await cluster.queue_manager()
    assert (after.owner, after.epoch) == (before.owner, before.epoch)
    assert cluster.process(before.owner) != pid
    assert [(line.kind, line.fields.get("code")) for line in told] == [
        (EventKind.QM_FAILED, f"signal_{int(signal.SIGKILL)}"),
        (EventKind.QM_RUNNING, None),
    ]


async def test_a_hanging_daemon_loses_the_queue_manager_before_its_lease_and_rejoins_as_a_new_incarnation(
    cluster: Running,
) -> None:
    before = await cluster.queue_manager()
    owner = before.owner
    assert owner is not None
    incarnation = (await cluster.member(owner)).incarnation
    daemon = cluster.lab.nodes[owner].pid
    assert daemon is not None
    at_ns = now_ns()
    with cluster.stopped(daemon):
        await cluster.assert_gone_with_lease(owner, at_ns)
        after = await cluster.lab.until_running(QM, on=cluster.other(owner), epoch=before.epoch + 1)
    await cluster.lab.until_whole()
    assert (await cluster.member(owner)).incarnation == incarnation + 1
    assert cluster.lab.nodes[owner].pid == daemon
    assert await cluster.placing() == (after.owner, after.epoch)


async def test_a_killed_warden_takes_the_queue_manager_with_it_and_a_new_one_restarts_it_in_place(
    cluster: Running,
) -> None:
    before = await cluster.queue_manager()
    owner = before.owner
    assert owner is not None
    warden, pid = cluster.warden(owner), cluster.process(owner)
    async with cluster.telling() as told:
        os.kill(warden.pid, signal.SIGKILL)
        await cluster.until_told(
            lambda line: line.kind == EventKind.QM_FAILED and line.fields.get("code") == "warden_gone"
        )
        after = await cluster.queue_manager()
    assert (after.owner, after.epoch) == (owner, before.epoch)
    assert cluster.process(owner) != pid
    assert cluster.warden(owner) != warden
    assert cluster.warden(owner).alive()
    assert EventKind.MEMBER_IN_DOUBT not in {line.kind for line in told}


async def test_a_killed_daemon_loses_the_queue_manager_at_the_end_of_its_lease_at_the_latest(cluster: Running) -> None:
    before = await cluster.queue_manager()
    owner = before.owner
    assert owner is not None
    daemon = cluster.lab.nodes[owner].pid
    assert daemon is not None
    at_ns = now_ns()
    os.kill(daemon, signal.SIGKILL)
    await cluster.assert_gone_with_lease(owner, at_ns)
    await cluster.lab.until_running(QM, on=cluster.other(owner), epoch=before.epoch + 1)
    await cluster.back(owner)


async def test_a_planned_move_evicts_nobody_and_is_one_change_of_owner(cluster: Running) -> None:
    before = await cluster.queue_manager()
    assert before.owner is not None
    to = cluster.other(before.owner)
    async with cluster.telling() as told:
        assert await cluster.order(Move(QM, to)) is signals.Verdict.DONE
        after = await cluster.lab.until_running(QM, on=to)
    assert after.epoch == before.epoch + 1
    ordered = [line.kind for line in told if line.kind == EventKind.ORDER_GIVEN]
    assert ordered == [EventKind.ORDER_GIVEN]  # somewhere between the others
    assert [line.kind for line in told if line.kind not in ordered] == [
        EventKind.QM_MOVING,
        EventKind.QM_ASSIGNED,
        EventKind.QM_STARTING,
        EventKind.QM_RUNNING,
    ]


async def test_a_drained_member_gives_its_queue_manager_up_and_gets_none_until_undrained(cluster: Running) -> None:
    owner = await cluster.owner()
    other = cluster.other(owner)
    assert await cluster.order(Drain(owner)) is signals.Verdict.DONE
    await cluster.lab.until_running(QM, on=other)
    assert await cluster.order(Move(QM, owner)) is signals.Verdict.TARGET_NOT_ELIGIBLE
    assert await cluster.order(Drain(other)) is signals.Verdict.LAST_DATA_MEMBER
    assert await cluster.order(Undrain(owner)) is signals.Verdict.DONE
    assert await cluster.order(Undrain(owner)) is signals.Verdict.ALREADY_SO
    assert await cluster.owner() == other


async def test_a_clean_stop_hands_over_first(cluster: Running) -> None:
    before = await cluster.queue_manager()
    owner = before.owner
    assert owner is not None
    async with cluster.telling() as told:
        cluster.lab.nodes[owner].stop()
        await cluster.lab.until_running(QM, on=cluster.other(owner), epoch=before.epoch + 1)
    kinds = [line.kind for line in told]
    assert not {EventKind.MEMBER_EVICTED, EventKind.MEMBER_IN_DOUBT, EventKind.MEMBER_TOLD_TO_GO} & set(kinds)
    assert kinds.index(EventKind.QM_MOVING) < kinds.index(EventKind.QM_ASSIGNED) < kinds.index(EventKind.MEMBER_LEFT)
    await cluster.back(owner)


async def test_the_death_of_the_witness_touches_nothing(cluster: Running) -> None:
    before = await cluster.queue_manager()
    assert before.owner is not None
    pid = cluster.process(before.owner)
    cluster.lab.nodes[cluster.witness].kill()
    await cluster.lab.until(
        lambda report: any(m.name == cluster.witness and m.state is MemberState.EVICTED for m in report.members),
        seen_by=cluster.data,
    )
    assert await cluster.placing() == (before.owner, before.epoch)
    assert cluster.process(before.owner) == pid
    await cluster.back(cluster.witness)
    assert cluster.process(before.owner) == pid


@pytest.mark.parametrize("first_back", ["witness", "other"])
async def test_without_a_majority_it_is_stopped_in_time_and_runs_again_with_the_first_that_returns(
    cluster: Running, first_back: str
) -> None:
    owner = await cluster.owner()
    other = cluster.other(owner)
    cluster.lab.nodes[cluster.witness].kill()
    at_ns = now_ns()
    cluster.lab.nodes[other].kill()
    await cluster.assert_gone_with_lease(owner, at_ns)
    report = await cluster.lab.knows(owner)
    assert report is not None
    assert not next(m for m in report.members if m.name == owner).leased

    cluster.lab.up([cluster.witness if first_back == "witness" else other])
    await cluster.queue_manager()
    await cluster.back()
