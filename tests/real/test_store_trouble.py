"""The store in trouble under load: the queue manager goes on wherever a majority of heartbeats holds.

SIGSTOP of etcd stands in for a stalled disk: etcd waits for its fsync with everything else it does. The alarm of a full
store is raised by hand here; `tests/stores/test_room.py` fills a real one.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from standfast.drill.audit import Verdict as Kept
from standfast.drill.audit import audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadRecord, LoadSettings, Tick
from standfast.errors import AlreadyRunning, Refused, StoreError, StoreFull
from standfast.lab.plan import CLUSTER_FILE, STATE, TRUST
from standfast.lab.processes import await_end
from standfast.member.control_protocol import EventLine, Freeze, Move, Request, Thaw
from standfast.member.report import NoticeKind, StatusReport
from standfast.member.storehouse import access
from standfast.model.events import EventKind
from standfast.model.timing import NS_PER_MS
from standfast.ports import Durability, boottime_ns
from standfast.quorum.signals import Verdict
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.health import ask_each
from standfast.stores.leadership import Leadership, move_leadership, seat
from standfast.stores.restoring import MARGIN
from tests.real.running import QM, Running, lasting, proxy, standfast, started

STALL_S = 2.0
DOWN_S = 1.0
"""A killed etcd is started again by its daemon after a tenth of a second, and finds its peers in less than this."""
LONGEST_GAP_MS = 1_000
"""Between two acknowledgements. A message comes every 5 ms; a takeover would take more than the term of 2.5 s."""
CALM = frozenset({EventKind.CLUSTER_FROZEN, EventKind.CLUSTER_THAWED, EventKind.ORDER_GIVEN})
"""What may be told during a trouble, by those who ask for it. Nothing else happens."""
ELECTIONS = 6
SETTLED_S = 10.0
"""For a store of which a majority is well: on a busy machine, an election may take a second attempt."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("trouble")))


class Trouble:
    """One time of trouble under load: when it was, and how it went for clients."""

    def __init__(self, cluster: Running) -> None:
        self.cluster = cluster
        self.from_ns = self.to_ns = 0
        self.events: list[EventLine] = []

    def gap_ms(self, record: LoadRecord) -> float:
        """The longest time without an acknowledgement from the begin of the trouble to its end."""
        acks = sorted(sent.acked_ns for row in record.sent for sent in row if sent.acked_ns)
        within = [at for at in acks if self.from_ns <= at <= self.to_ns]
        return max(b - a for a, b in pairwise([self.from_ns, *within, self.to_ns])) / NS_PER_MS


@contextlib.asynccontextmanager
async def loaded(port: int) -> AsyncIterator[LoadProcess]:
    ticks: list[Tick] = []
    settings = LoadSettings(kind="nats", address="127.0.0.1", port=port, run=f"t{secrets.token_hex(4)}")
    async with LoadProcess(settings, ticks.append) as load:
        while not any(tick.acked for tick in ticks):  # noqa: ASYNC110 - ticks come from another process
            await asyncio.sleep(0.02)
        yield load


@pytest.fixture
async def endure(
    cluster: Running, record_property: Callable[[str, object], None]
) -> Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]:
    """Carries out a trouble under load, and demands that nothing came of it, and that a move works afterwards."""

    async def run(make: Callable[[], Awaitable[None]]) -> None:
        before = await cluster.placing()
        owner = await cluster.owner()
        pid = cluster.process(owner)
        trouble = Trouble(cluster)
        with proxy(cluster.lab) as port:
            async with loaded(port) as load:
                async with cluster.telling() as told:
                    trouble.from_ns = boottime_ns()
                    await make()
                    trouble.to_ns = boottime_ns()
                    await reachable(cluster, expected=True)
                assert cluster.process(owner) == pid
                assert await cluster.placing() == before
                record = await load.finish()
        assert {line.kind for line in told} <= CALM
        record_property("longest_gap_ms", gap_ms := round(trouble.gap_ms(record)))
        record_property("trouble_ms", (trouble.to_ns - trouble.from_ns) // NS_PER_MS)
        assert gap_ms < LONGEST_GAP_MS
        checked = audit(record, Durability.SYNCED)
        assert checked.verdict is Kept.KEPT
        other = cluster.other(owner)
        assert await moved(cluster, other) is Verdict.DONE
        await cluster.lab.until_running(QM, on=other, epoch=before[1] + 1)

    return run


async def moved(cluster: Running, to: str) -> Verdict:
    return await cluster.order(Move(QM, to))


async def ordered(cluster: Running, order: Request, by: str) -> None:
    """As an operator does it: what may not have been carried out is asked for again."""
    async with asyncio.timeout(SETTLED_S):
        while await cluster.order(order, by=by) not in (Verdict.DONE, Verdict.ALREADY_SO):  # noqa: ASYNC110 - asked anew
            await asyncio.sleep(0.1)


async def reachable(cluster: Running, *, expected: bool) -> None:
    await cluster.lab.until(lambda report: report.store.reachable is expected, seen_by=cluster.lab.nodes)


def etcds(cluster: Running, count: int, first: str) -> list[int]:
    """Processes of `count` members' etcd, that of member `first` being one."""
    names = sorted(cluster.lab.nodes, key=lambda name: name != first)[:count]
    pids = [cluster.etcd(name) for name in names]
    assert None not in pids
    return [pid for pid in pids if pid is not None]


@contextlib.asynccontextmanager
async def door(cluster: Running, member: str) -> AsyncIterator[Gateway]:
    """To one member's etcd."""
    way = access(cluster.lab.cluster, member, cluster.lab.directory / TRUST / member)
    gateway = Gateway(way["endpoints"][:1], tls=way["tls"], patience=Patience())
    yield gateway
    await gateway.close()


async def leader(cluster: Running) -> str:
    """Waits until a member knows one."""
    while True:
        for name in cluster.lab.nodes:
            async with door(cluster, name) as gateway:
                with contextlib.suppress(StoreError):
                    if found := (await seat(gateway, 2.0)).leader:
                        return found
        await asyncio.sleep(0.02)


async def raft_term(cluster: Running) -> int:
    """Grows with every election."""
    async with door(cluster, await leader(cluster)) as gateway:
        return max(one.term for one in await ask_each(gateway))


# ---------------------------------------------------------------- killed, frozen, stalled


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_etcd_is_killed(cluster: Running, endure, count: int) -> None:
    async def kill() -> None:
        for pid in etcds(cluster, count, await leader(cluster)):
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(DOWN_S)

    await endure(kill)


async def test_the_leader_hangs_and_orders_go_on_without_it(cluster: Running, endure) -> None:
    async def hang() -> None:
        owner = await cluster.owner()
        with cluster.stopped(*etcds(cluster, 1, await leader(cluster))):
            await asyncio.sleep(STALL_S)
            await ordered(cluster, Freeze(), owner)
            await ordered(cluster, Thaw(), owner)

    await endure(hang)


@pytest.mark.parametrize("count", [2, 3])
async def test_the_majority_of_the_store_hangs_and_status_says_what_can_not_be_done(
    cluster: Running, endure, count: int
) -> None:
    async def hang() -> None:
        owner = await cluster.owner()
        with cluster.stopped(*etcds(cluster, count, await leader(cluster))):
            await reachable(cluster, expected=False)
            assert await moved(cluster, cluster.other(owner)) is Verdict.STORE_UNREACHABLE
            shown = standfast("status", "--socket", cluster.lab.nodes[owner].socket, "--json")
            assert json.loads(shown.stdout)["store"]["reachable"] is False

    await endure(hang)


async def test_all_disks_stall_for_seconds_again_and_again(cluster: Running, endure) -> None:
    async def stall() -> None:
        for _ in range(3):
            with cluster.stopped(*etcds(cluster, 3, cluster.witness)):
                await asyncio.sleep(STALL_S)
            await asyncio.sleep(0.3)

    await endure(stall)


async def test_the_leadership_of_the_store_changes_again_and_again(cluster: Running, endure) -> None:
    async def change() -> None:
        term = await raft_term(cluster)
        while await raft_term(cluster) < term + ELECTIONS:
            old = await leader(cluster)
            for new in cluster.lab.nodes:
                async with door(cluster, old) as gateway:
                    with contextlib.suppress(StoreError):
                        await move_leadership(gateway, new, 3.0)
            if etcd := cluster.etcd(await leader(cluster)):
                os.kill(etcd, signal.SIGKILL)

    await endure(change)


async def led_by(cluster: Running, name: str) -> None:
    async with asyncio.timeout(SETTLED_S):
        while await leader(cluster) != name:  # noqa: ASYNC110 - etcd tells nobody by itself
            await asyncio.sleep(0.02)


async def test_a_leadership_that_came_to_the_owner_goes_back_to_the_witness(cluster: Running) -> None:
    await led_by(cluster, cluster.witness)
    term = await raft_term(cluster)
    async with door(cluster, cluster.witness) as gateway:
        assert await move_leadership(gateway, await cluster.owner(), SETTLED_S) is Leadership.MOVED
    await led_by(cluster, cluster.witness)
    assert await raft_term(cluster) >= term + 2


# ---------------------------------------------------------------- full


async def test_the_store_is_full_and_an_operator_makes_room(cluster: Running, endure) -> None:
    trust = ("--file", cluster.lab.directory / CLUSTER_FILE, "--member", cluster.witness)

    def full(report: StatusReport) -> bool:
        return NoticeKind.STORE_FULL in {notice.kind for notice in report.notices}

    async def fill() -> None:
        owner = await cluster.owner()
        async with door(cluster, cluster.witness) as gateway:
            from standfast.stores import etcd_wire as wire

            until = asyncio.get_running_loop().time() + 5.0
            alarm = {"action": "ACTIVATE", "alarm": wire.NOSPACE}
            answers = wire.decoder(wire.AlarmAnswer)
            await gateway.call(gateway.endpoints[0], wire.ALARM, alarm, answers, write=False, until=until)
        await cluster.lab.until(full, seen_by=cluster.lab.nodes)
        assert await moved(cluster, cluster.other(owner)) is Verdict.STORE_UNREACHABLE
        assert standfast("store", "check", *trust).returncode == StoreFull.exit_code
        assert standfast("store", "make-room", *trust).returncode == 0
        assert standfast("store", "check", *trust).returncode == 0
        await cluster.lab.until(lambda report: not full(report), seen_by=cluster.lab.nodes)

    await endure(fill)


# ---------------------------------------------------------------- lost


@contextlib.contextmanager
def serving(cluster: Running) -> Iterator[None]:
    """Every member's etcd alone."""
    directory = cluster.lab.directory
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "standfast", "store", "serve", "--file", directory / CLUSTER_FILE),
                *("--member", name, "--state-dir", directory / STATE / name),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in cluster.lab.nodes
    ]
    try:
        for process in running:
            assert process.stderr is not None
            assert process.stderr.readline()
        yield
    finally:
        for process in running:
            process.terminate()
        assert await_end([process.pid for process in running], 15.0)
        for process in running:
            process.communicate()


async def test_the_whole_store_is_lost_and_restored_from_a_backup(cluster: Running, tmp_path: Path) -> None:
    keys = ("--file", cluster.lab.directory / CLUSTER_FILE, "--member", "a")
    file = tmp_path / "backup.jsonl"
    _, epoch = await cluster.placing()
    known = [line.kind for line in await cluster.log()]
    assert standfast("store", "backup", file, *keys).returncode == 0
    assert standfast("store", "restore", file, *keys).returncode == Refused.exit_code

    cluster.lab.down()
    for name in cluster.lab.nodes:
        state = cluster.lab.directory / STATE / name
        shutil.rmtree(state / "etcd")
        (state / "etcd.begun").unlink()
    with serving(cluster):
        beside = standfast("run", *keys, "--state-dir", cluster.lab.directory / STATE / "a", "--run-dir", tmp_path)
        assert beside.returncode == AlreadyRunning.exit_code
        restored = standfast("store", "restore", file, *keys)
        assert restored.returncode == 0, restored.stderr
        assert standfast("store", "restore", file, *keys).returncode == Refused.exit_code
    await cluster.back()
    assert (await cluster.placing())[1] > epoch + MARGIN
    log = [line.kind for line in await cluster.log()]
    assert log[: len(known) + 1] == [*known, EventKind.STORE_RESTORED]
