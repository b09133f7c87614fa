"""HAProxy for real, with the configuration that is shipped, in front of a real cluster."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from standfast.drill.audit import Verdict as Kept
from standfast.drill.audit import audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings, Tick
from standfast.member.control_protocol import Move
from standfast.ports import Durability
from standfast.quorum.signals import Verdict
from tests.real.running import QM, Running, lasting, now_ns, started, until

SHIPPED = Path(__file__).parents[2] / "deploy/haproxy/standfast.cfg"
DRAIN_S = 1.5


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    edits = {"#drain_s = 0.0": f"drain_s = {DRAIN_S}"}
    yield from lasting(started(tmp_path_factory.mktemp("haproxy"), edits, profile="fast"))


@pytest.fixture(scope="module")
def address(shared: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where HAProxy listens, with this cluster's addresses in the shipped file."""
    members = {name: shared.lab.cluster.member(name).addresses[0] for name in "ab"}
    front = members["a"].rsplit(".", 1)[0] + ".99"
    text = SHIPPED.read_text().replace("bind :4222", f"bind {front}:4222")
    for name, shown in (("a", "10.0.0.1"), ("b", "10.0.0.2")):
        text = text.replace(shown, members[name])
    file = tmp_path_factory.mktemp("config") / "haproxy.cfg"
    file.write_text(text)
    process = subprocess.Popen(["haproxy", "-db", "-f", str(file)], stderr=subprocess.DEVNULL)
    yield front
    process.kill()
    process.wait()


@contextlib.asynccontextmanager
async def load(address: str) -> AsyncIterator[LoadProcess]:
    ticks: list[Tick] = []
    settings = LoadSettings(kind="nats", address=address, port=4222, run=f"h{now_ns()}")
    async with LoadProcess(settings, ticks.append) as process:
        await until(lambda: any(tick.acked for tick in ticks))
        yield process


def test_the_shipped_configuration_is_accepted_without_a_warning() -> None:
    done = subprocess.run(["haproxy", "-c", "-f", str(SHIPPED)], capture_output=True, text=True, check=True)
    assert "WARNING" not in done.stderr + done.stdout


async def test_clients_follow_a_takeover_and_a_move_and_lose_nothing(cluster: Running, address: str) -> None:
    owner, epoch = await cluster.placing()
    async with load(address) as process:
        cluster.lab.nodes[owner].kill()
        await cluster.lab.until_running(QM, epoch=epoch + 1)
        await cluster.back(owner)
        assert await cluster.order(Move(QM, owner)) is Verdict.DONE
        await cluster.lab.until_running(QM, on=owner)
        record = await process.finish()
    assert audit(record, Durability.SYNCED).verdict is Kept.KEPT


async def test_a_planned_move_drains_first(cluster: Running, address: str) -> None:
    """Who is connected goes on while it lasts; who comes is refused, and finds the new owner after it."""
    owner = await cluster.owner()
    reader, writer = await asyncio.open_connection(address, 4222)
    await reader.readline()
    assert await cluster.order(Move(QM, cluster.other(owner))) is Verdict.DONE
    async with asyncio.timeout(DRAIN_S):
        while await greeted(address):
            pass
        writer.write(b"PING\r\n")
        assert b"PONG" in await reader.readline()
    async with asyncio.timeout(20):
        assert await reader.read() == b""
        while not await greeted(address):
            pass
    assert await cluster.owner() == cluster.other(owner)
    writer.close()


async def greeted(address: str) -> bool:
    """Whether a client that comes now is served."""
    try:
        reader, writer = await asyncio.open_connection(address, 4222)
        line = await reader.readline()
        writer.close()
    except OSError:
        return False
    return line.startswith(b"INFO")
