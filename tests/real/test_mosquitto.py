"""Mosquitto under the same roof: taken over like any other, and never said to have kept what it does not promise."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.drill.audit import Verdict, audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings, Tick
from standfast.managers.mosquitto import Mosquitto
from standfast.member.control_protocol import Move
from standfast.model.events import EventKind
from standfast.quorum.signals import Verdict as Answer
from tests.real.running import QM, Running, proxy, started, until


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Running]:
    running = await started(tmp_path / "lab", kind="mosquitto", port=1883)
    yield running
    running.down()


async def test_a_mosquitto_survives_its_own_death_and_its_nodes_and_promises_nothing(cluster: Running) -> None:
    ticks: list[Tick] = []
    with proxy(cluster.lab) as port:
        settings = LoadSettings(
            kind="mosquitto", address="127.0.0.1", port=port, run="mosquitto", every_ms=20, drain_s=5
        )
        async with LoadProcess(settings, ticks.append) as load:
            await until(lambda: any(tick.acked for tick in ticks))
            before = await cluster.queue_manager()
            assert before.owner is not None
            os.kill(cluster.process(before.owner), signal.SIGKILL)
            await cluster.until_told(lambda line: line.kind == EventKind.QM_FAILED)
            ticks.clear()
            await until(lambda: any(tick.acked for tick in ticks))
            assert await cluster.placing() == (before.owner, before.epoch)
            cluster.lab.nodes[before.owner].kill()
            after = await cluster.lab.until_running(QM, on=cluster.other(before.owner), epoch=before.epoch + 1)
            assert after.durability == Mosquitto.durability
            ticks.clear()
            await until(lambda: any(tick.acked for tick in ticks))
            await cluster.back(before.owner)
            assert await cluster.order(Move(QM, before.owner)) is Answer.DONE
            await cluster.lab.until_running(QM, on=before.owner)
            found = audit(await load.finish(), Mosquitto.durability)
    assert found.acked > 0
    assert found.verdict is Verdict.NO_PROMISE
