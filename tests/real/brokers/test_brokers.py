"""Real brokers in a real cluster, under load: one's own death, its node's death, a planned move; nothing acked is lost.

They start for seconds, so that this is run by `make test-brokers`; `make test` does the same to faster ones.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from standfast.drill.audit import Audit, Verdict, audit
from standfast.drill.clients.registry import CLIENTS
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings, Tick
from standfast.managers.registry import driver
from standfast.member.control_protocol import EventLine, Move
from standfast.model.events import EventKind
from standfast.ports import Durability
from standfast.quorum import signals
from tests.real.running import QM, Running, lasting, processes_in, proxy, started, until

KEEPING = sorted(kind for kind in CLIENTS if driver(kind).durability is Durability.SYNCED)
PATIENCE_S = 120.0
"""Longest wait for a broker that starts on a busy machine; a bound against hanging, not a figure."""


@pytest.fixture(scope="module", params=KEEPING)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp(request.param) / "lab", kind=request.param))


async def test_nothing_acknowledged_is_lost_when_it_dies_when_its_node_dies_and_when_it_is_moved(
    cluster: Running,
) -> None:
    ticks: list[Tick] = []

    async def flows() -> None:
        ticks.clear()
        await until(lambda: any(tick.acked for tick in ticks), PATIENCE_S)

    with proxy(cluster.lab) as port:
        async with LoadProcess(_settings(cluster, port), ticks.append) as load:
            await flows()
            before = await cluster.queue_manager()
            assert before.owner is not None
            left = processes_in(cluster.lab.directory / "run" / before.owner / "queue-managers")
            async with cluster.telling() as told:
                os.kill(cluster.process(before.owner), signal.SIGKILL)
                await flows()
            assert _codes(told) == {"signal_9"}
            assert await cluster.placing() == (before.owner, before.epoch)
            # Helpers of the broker too: what was there before is gone.
            assert not set(left) & set(processes_in(cluster.lab.directory / "run" / before.owner / "queue-managers"))

            cluster.lab.nodes[before.owner].kill()
            other = cluster.other(before.owner)
            await cluster.lab.until_running(QM, on=other, epoch=before.epoch + 1)
            await flows()
            await cluster.back(before.owner)

            async with cluster.telling() as told:
                assert await cluster.order(Move(QM, before.owner)) is signals.Verdict.DONE
                await cluster.lab.until_running(QM, on=before.owner)
                await flows()
            assert _codes(told) == set()  # it ended gracefully
            found = audit(await load.finish(), driver(_kind(cluster)).durability)
    _require_kept(found)


def _require_kept(found: Audit) -> None:
    assert (found.verdict, found.lost, found.consumed) == (Verdict.KEPT, (), found.acked)
    assert found.acked == found.created > 0


def _settings(cluster: Running, port: int) -> LoadSettings:
    return LoadSettings(
        kind=_kind(cluster), address="127.0.0.1", port=port, run="brokers", every_ms=10, drain_s=PATIENCE_S
    )


def _kind(cluster: Running) -> str:
    return cluster.lab.cluster.queue_managers[0].kind


def _codes(told: list[EventLine]) -> set[object]:
    return {line.fields["code"] for line in told if line.kind == EventKind.QM_FAILED}
