"""The store fails, the queue managers do not: etcd killed or frozen under a real cluster, and an etcd of the user's."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from standfast.errors import StoreError
from standfast.member.control_protocol import Freeze, Move, Thaw
from standfast.quorum.signals import Verdict
from tests.real.running import QM, Running, lasting, standfast, started, until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("store")))


async def until_reachable(cluster: Running, *, reachable: bool) -> None:
    await cluster.lab.until(lambda report: report.store.reachable is reachable, seen_by=cluster.lab.nodes)


async def until_restarted(cluster: Running, member: str, killed: int) -> None:
    await until(lambda: cluster.etcd(member) not in (None, killed))


async def ordered(cluster: Running, order: Freeze | Thaw, by: str) -> None:
    """An order met by the loss of the store's leader may end unknown; it is given again until it stands."""
    async with asyncio.timeout(20):
        while (verdict := await cluster.order(order, by=by)) is Verdict.STORE_UNREACHABLE:
            pass
    assert verdict in (Verdict.DONE, Verdict.ALREADY_SO)


def etcds(cluster: Running, *members: str) -> list[int]:
    pids = [cluster.etcd(member) for member in members]
    assert None not in pids
    return [pid for pid in pids if pid is not None]


@pytest.mark.parametrize("whose", ["owner", "witness"])
async def test_the_death_of_one_etcd_is_nothing_and_its_daemon_restarts_it(cluster: Running, whose: str) -> None:
    before = await cluster.placing()
    owner = await cluster.owner()
    pid = cluster.process(owner)
    member = owner if whose == "owner" else cluster.witness
    [etcd] = etcds(cluster, member)
    os.kill(etcd, signal.SIGKILL)
    await ordered(cluster, Freeze(), by=owner)
    await ordered(cluster, Thaw(), by=owner)
    await until_restarted(cluster, member, etcd)
    assert await cluster.placing() == before
    assert cluster.process(owner) == pid


async def test_without_a_store_it_goes_on_untouched_and_orders_work_again_when_it_is_back(cluster: Running) -> None:
    before = await cluster.placing()
    owner = await cluster.owner()
    other, pid = cluster.other(owner), cluster.process(owner)
    doomed = etcds(cluster, owner, cluster.witness)
    with cluster.stopped(*doomed):
        await until_reachable(cluster, reachable=False)
        assert await cluster.order(Move(QM, other), by=owner) is Verdict.STORE_UNREACHABLE
        asked = standfast("events", "--socket", cluster.lab.nodes[owner].socket)
        assert asked.returncode == StoreError.exit_code
        assert cluster.process(owner) == pid
        for etcd in doomed:
            os.kill(etcd, signal.SIGKILL)
    await until_restarted(cluster, owner, doomed[0])
    await until_restarted(cluster, cluster.witness, doomed[1])
    await until_reachable(cluster, reachable=True)
    assert await cluster.placing() == before
    assert cluster.process(owner) == pid
    assert await cluster.order(Move(QM, other), by=owner) is Verdict.DONE
    await cluster.lab.until_running(QM, on=other)


async def test_a_stop_without_a_store_ends_and_leaves_nothing_running(cluster: Running) -> None:
    owner = await cluster.owner()
    with cluster.stopped(*etcds(cluster, cluster.other(owner), cluster.witness)):
        await until_reachable(cluster, reachable=False)
        cluster.lab.nodes[owner].stop()
        assert cluster.lab.nodes[owner].living() == []
    await cluster.back(owner)
