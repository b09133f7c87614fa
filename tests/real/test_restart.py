"""A restart of the daemon alone, on a real cluster under load: it moves nothing, and no client notices it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from standfast.drill.audit import Verdict, audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadRecord, LoadSettings
from standfast.errors import MachineError
from standfast.lab.plan import CLUSTER_FILE
from standfast.managers.nats import Nats
from standfast.model.events import EventKind
from tests.real.running import QM, Running, lasting, now_ns, standfast, started

PATIENT = {'profile = "normal"': 'profile = "normal"\nevict_after = 16'}
"""A lease of four seconds: what is shown here is that a restart within it moves nothing, on a busy machine too."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("restart"), PATIENT, profile="normal"))


class Settled:
    """What a restart must leave as it was."""

    def __init__(self, cluster: Running, owner: str, epoch: int) -> None:
        self.cluster = cluster
        self.owner = owner
        self.was = (owner, epoch, cluster.process(owner), cluster.warden(owner))

    async def same(self) -> None:
        owner, epoch = await self.cluster.placing()
        assert owner is not None
        assert (owner, epoch, self.cluster.process(owner), self.cluster.warden(owner)) == self.was


async def settled(cluster: Running) -> Settled:
    owner, epoch = await cluster.placing()
    assert owner is not None
    return Settled(cluster, owner, epoch)


def assert_unnoticed(load: LoadRecord, producers: int = 1) -> None:
    """One connection of each producer, from the first message to the last, and nothing lost."""
    assert audit(load, Nats.durability).verdict is Verdict.KEPT
    assert load.connections == producers


async def restarted(cluster: Running, member: str) -> None:
    """Its daemon is killed and started again at once."""
    incarnation = (await cluster.member(member)).incarnation
    cluster.lab.nodes[member].kill_daemon()
    cluster.lab.nodes[member].start()
    await joined(cluster, member, incarnation + 1)


async def joined(cluster: Running, member: str, incarnation: int) -> None:
    await cluster.until_told(
        lambda line: (
            (line.kind, line.subject, line.fields.get("incarnation")) == (EventKind.MEMBER_JOINED, member, incarnation)
        )
    )
    await cluster.lab.until_whole()


@contextlib.asynccontextmanager
async def loaded(cluster: Running, owner: str) -> AsyncIterator[LoadProcess]:
    """A load on the owner itself, flowing: a client that is cut off there has lost its connection."""
    address = cluster.lab.cluster.member(owner).clients
    flows = asyncio.Event()
    settings = LoadSettings(kind="nats", address=address, port=4222, run=f"restart{now_ns()}", every_ms=20)
    async with LoadProcess(settings, lambda tick: flows.set() if tick.acked else None) as load:
        await flows.wait()
        yield load


async def test_a_killed_daemon_that_is_started_at_once_finds_its_queue_manager_and_no_client_notices(
    cluster: Running,
) -> None:
    before = await settled(cluster)
    async with loaded(cluster, before.owner) as load:
        async with cluster.telling() as told:
            await restarted(cluster, before.owner)
        await before.same()
        assert_unnoticed(await load.finish())
    assert {EventKind.QM_KEPT} == {line.kind for line in told if line.subject == QM}


async def test_an_upgrade_of_all_members_one_after_the_other_moves_nothing_and_no_client_notices(
    cluster: Running,
) -> None:
    """`standfast restart`, as after an upgrade of the package: each daemon gives way to a new one."""
    before = await settled(cluster)
    async with loaded(cluster, before.owner) as load, cluster.telling() as told:
        for member, node in cluster.lab.nodes.items():
            incarnation, pid = (await cluster.member(member)).incarnation, node.pid
            assert pid is not None
            assert standfast("restart", "--socket", node.socket).returncode == 0
            node.succeeded(pid)
            await joined(cluster, member, incarnation + 1)
        await before.same()
        assert_unnoticed(await load.finish())
    assert [line.kind for line in told if line.subject == QM] == [EventKind.QM_KEPT]


async def test_a_restart_that_could_not_succeed_changes_nothing(cluster: Running) -> None:
    """The file has an error that `run` would refuse: the old daemon goes on."""
    before = await settled(cluster)
    node, file = cluster.lab.nodes[before.owner], cluster.lab.directory / CLUSTER_FILE
    pid, good = node.pid, file.read_text()
    assert standfast("restart", "--check", "--socket", node.socket).returncode == 0
    file.write_text(good + "nonsense = [")
    try:
        assert standfast("restart", "--socket", node.socket).returncode == MachineError.exit_code
    finally:
        file.write_text(good)
    assert node.pid == pid
    await before.same()


async def test_a_daemon_that_stays_away_loses_its_queue_manager_with_the_lease(cluster: Running) -> None:
    owner, epoch = await cluster.placing()
    assert owner is not None
    at_ns = now_ns()
    cluster.lab.nodes[owner].kill_daemon()
    await cluster.assert_gone_with_lease(owner, at_ns)
    await cluster.lab.until_running(QM, on=cluster.other(owner), epoch=epoch + 1)
    await cluster.back(owner)
