"""The majority is lost under load, one data member is ordered to run, and the others return, the rival or the witness
first: what was acknowledged is there, and the queue manager runs in one place at a time.
"""

import asyncio
import json
from collections.abc import Iterator

import pytest

from standfast.drill.audit import audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings, Tick
from standfast.managers.nats import Nats
from standfast.model.events import EventKind
from tests.real.running import QM, Running, lasting, now_ns, proxy, standfast, started, until

SERVED_TICKS = 5
"""So many looks at the load in a row, with something acknowledged in each, mean that it is served."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("override")))


def ask(cluster: Running, member: str, *words: str) -> tuple[int, str]:
    """A command of an operator on that member: exit code, and what it said."""
    done = standfast("override", *words, "--socket", cluster.lab.sockets[member])
    return done.returncode, done.stdout + done.stderr


def show(cluster: Running, member: str) -> dict:
    """What it says of overrides; nothing while it does not answer."""
    code, said = ask(cluster, member, "show", "--json")
    return json.loads(said) if code == 0 else {}


async def granted(cluster: Running, member: str) -> None:
    """The order, as soon as no lease of another can last any more."""
    name = cluster.lab.cluster.name
    await until(lambda: show(cluster, member).get("grantable") == "done")
    code, said = ask(cluster, member, "grant", "--cluster", name, "--reason", "the others burnt", "--yes")
    assert code == 0, said


async def served(ticks: list[Tick]) -> None:
    """Until the load is acknowledged again."""
    seen = len(ticks)
    await until(lambda: sum(tick.acked > 0 for tick in ticks[seen:]) >= SERVED_TICKS)


@pytest.mark.parametrize("first", ["rival", "witness"])
async def test_the_majority_is_lost_and_returns(cluster: Running, first: str, record_property) -> None:
    owner, epoch = await cluster.placing()
    assert owner is not None
    ordered = cluster.other(owner)
    returning = [owner, cluster.witness] if first == "rival" else [cluster.witness, owner]
    ticks: list[Tick] = []
    with proxy(cluster.lab) as port:
        settings = LoadSettings(kind="nats", address="127.0.0.1", port=port, run="override", every_ms=20, drain_s=5)
        async with LoadProcess(settings, ticks.append) as load:
            await served(ticks)
            for name in (owner, cluster.witness):
                cluster.lab.nodes[name].kill()
            lost_ns = now_ns()
            await granted(cluster, ordered)
            ordered_ns = now_ns()
            await served(ticks)
            record_property("ordered_until_served_s", (now_ns() - ordered_ns) / 1e9)
            record_property("lost_until_served_s", (now_ns() - lost_ns) / 1e9)
            assert show(cluster, ordered)["own"]["stage"] == "in_force"
            running = cluster.process(ordered)
            for name in returning:
                cluster.lab.up([name])
                await served(ticks)
            await cluster.lab.until_whole()
            await cluster.lab.until_running(QM, on=ordered, epoch=epoch + 1000)
            told = await cluster.until_told(
                lambda line: line.kind == EventKind.OVERRIDE_ENDED and line.teller == ordered
            )
            assert told.fields["why"] == "majority"
            await until(lambda: show(cluster, ordered).get("own", "") is None)
            assert cluster.process(ordered) == running, "it was never stopped"
            await cluster.lab.until_whole()
            found = audit(await load.finish(), Nats.durability)
    assert found.acked > 0
    assert found.lost == ()
    kinds = {line.kind for line in await cluster.log()}
    assert {EventKind.OVERRIDE_GRANTED, EventKind.GUARD_BYPASSED, EventKind.QM_ADOPTED} <= kinds


async def test_it_outlives_the_daemon_and_dies_with_it(cluster: Running) -> None:
    """A daemon that stands still loses what runs within a term, override or not; a new one goes on with it."""
    owner, _ = await cluster.placing()
    assert owner is not None
    others = [name for name in cluster.lab.nodes if name != owner]
    for name in others:
        cluster.lab.nodes[name].kill()
    await granted(cluster, owner)
    await until(lambda: cluster.lab.nodes[owner].queue_manager_pid(QM) is not None)
    await asyncio.sleep(1)
    stopped_ns = now_ns()
    daemon = cluster.lab.nodes[owner].pid
    assert daemon is not None
    with cluster.stopped(daemon):
        await cluster.assert_gone_with_lease(owner, stopped_ns)
    cluster.lab.nodes[owner].kill()
    cluster.lab.up([owner])
    await until(lambda: cluster.lab.nodes[owner].queue_manager_pid(QM) is not None)
    assert show(cluster, owner)["own"]["stage"] == "in_force"
    code, said = ask(cluster, owner, "grant", "--cluster", cluster.lab.cluster.name, "--reason", "again", "--yes")
    assert (code, "OVERRIDE" in said.upper()) == (10, True)
    await cluster.back(*others)
    await until(lambda: show(cluster, owner).get("own", "") is None)


async def test_an_order_that_is_not_needed_is_refused(cluster: Running) -> None:
    name = cluster.lab.cluster.name
    assert ask(cluster, "a", "grant", "--cluster", name, "--reason", "why not", "--yes")[0] == 10
    assert ask(cluster, "a", "grant", "--cluster", "another", "--reason", "why not", "--yes")[0] == 2
    assert ask(cluster, "w", "grant", "--cluster", name, "--reason", "why not", "--yes")[0] == 2
    assert ask(cluster, "a", "end")[0] == 10
