"""A queue manager that commands start in the background, under load: killed, moved, its node lost, its end hung.

It is a real nats-server, started as a shell starts a program in the background.
"""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.drill.audit import audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings, Tick
from standfast.lab.processes import await_end, tree
from standfast.member.control_protocol import EventLine, Move, StatusReport
from standfast.model.events import EventKind
from standfast.model.records import Phase
from standfast.ports import Durability
from standfast.quorum.signals import Verdict
from tests.managers.broker import command_options, nats_in
from tests.real.running import QM, Running, proxy, started, until


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Running]:
    running = await started(tmp_path / "lab", kind="command", options=command_options())
    yield running
    running.down()


def broker(cluster: Running, member: str) -> int:
    """The process behind the minder, and none of its commands."""
    return nats_in(tree([cluster.process(member)]))


async def test_it_is_restarted_moved_and_taken_over_and_nothing_acknowledged_is_missing(cluster: Running) -> None:
    ticks: list[Tick] = []
    with proxy(cluster.lab) as port:
        settings = LoadSettings(kind="nats", address="127.0.0.1", port=port, run="command", every_ms=20, drain_s=5)
        async with LoadProcess(settings, ticks.append) as load:
            await until(lambda: any(tick.acked for tick in ticks))
            before = await cluster.queue_manager()
            assert before.owner is not None
            left = broker(cluster, before.owner)
            os.kill(left, signal.SIGKILL)
            failed = await cluster.until_told(lambda line: line.kind == EventKind.QM_FAILED)
            assert failed.fields["code"] == "exit_137"
            assert await cluster.placing() == (before.owner, before.epoch)

            left, other = broker(cluster, before.owner), cluster.other(before.owner)
            assert await cluster.order(Move(QM, other)) is Verdict.DONE
            moved = await cluster.lab.until_running(QM, on=other)
            assert await_end([left], 0)

            daemon = cluster.lab.nodes[other].pid
            assert daemon is not None
            left = broker(cluster, other)
            with cluster.stopped(daemon):  # the lease runs out: the warden ends what the start command left
                await cluster.lab.until_running(QM, on=before.owner, epoch=moved.epoch + 1)
                assert await_end([left], 0)
            await cluster.back()
            ticks.clear()
            await until(lambda: any(tick.acked for tick in ticks))
            # As nats-server survives the end of its process, though the driver can not know that.
            found = audit(await load.finish(), Durability.KERNEL)
    assert found.acked > 0
    assert found.lost == ()


async def test_one_that_can_not_start_is_tried_everywhere_then_given_up_with_the_reason(cluster: Running) -> None:
    owner = await cluster.owner()
    data = cluster.lab.directory / "shared" / QM / "jetstream"
    data.rename(data.with_name("aside"))
    data.write_text("not a directory: the broker can not store here, and ends")
    async with cluster.telling() as told:
        os.kill(broker(cluster, owner), signal.SIGKILL)
        report = await cluster.lab.until(_given_up)
    assert report.queue_managers[0].owner is None
    assert {line.fields["owner"] for line in told if line.kind == EventKind.QM_FAILED} == {"a", "b"}
    assert _codes(told) == {"exit_137", "exit_1"}
    data.unlink()
    data.with_name("aside").rename(data)
    assert await cluster.order(Move(QM, owner)) is Verdict.DONE
    await cluster.lab.until_running(QM, on=owner)


def _given_up(report: StatusReport) -> bool:
    return any(one.phase is Phase.GIVEN_UP for one in report.queue_managers)


def _codes(told: list[EventLine]) -> set[object]:
    return {line.fields["code"] for line in told if line.kind == EventKind.QM_FAILED}


async def test_one_that_is_slow_to_start_hangs_in_its_stop_and_freezes_is_moved_and_restarted_all_the_same(
    tmp_path: Path,
) -> None:
    options = command_options()
    shell, option, script, *words = options["start"]  # type: ignore[misc]
    options |= {"start": [shell, option, f"sleep 1; {script}", *words], "stop": ["sleep", "60"]}
    edits = {"port = 4222": "port = 4222\nstop_timeout_s = 2.0"}
    cluster = await started(tmp_path / "lab", edits, kind="command", options=options)
    try:
        before = await cluster.queue_manager()
        assert before.owner is not None
        frozen = broker(cluster, before.owner)
        os.kill(frozen, signal.SIGSTOP)  # its port still accepts connections
        failed = await cluster.until_told(lambda line: line.kind == EventKind.QM_FAILED)
        assert failed.fields["code"] == "no_answer"
        await until(lambda: await_end([frozen], 0))
        assert await cluster.placing() == (before.owner, before.epoch)

        hanging = broker(cluster, before.owner)
        assert await cluster.order(Move(QM, cluster.other(before.owner))) is Verdict.DONE
        await cluster.lab.until_running(QM, on=cluster.other(before.owner))
        assert await_end([hanging], 0)
        await cluster.audit()
    finally:
        cluster.down()
