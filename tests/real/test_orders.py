"""What operators order and ask, on a real cluster: freeze, can-stop, events, health URLs, the proxy."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from standfast.errors import NotSafe, UsageError
from standfast.managers.nats import Nats
from standfast.member.control_protocol import Freeze, Move, Thaw
from standfast.model.events import EventKind
from standfast.model.records import MemberState
from standfast.ports import Place
from standfast.quorum.signals import Verdict
from tests.real.running import QM, Running, lasting, proxy, standfast, started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("orders")))


# ---------------------------------------------------------------- priority


async def test_daemon_and_warden_go_before_others_where_the_kernel_allows_it_and_nothing_that_they_started_does(
    cluster: Running,
) -> None:
    def policy(pid: int | None) -> int:
        assert pid is not None
        return os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK

    def slack(pid: int | str | None) -> str:
        return Path(f"/proc/{pid}/timerslack_ns").read_text()

    owner = await cluster.owner()
    assert policy(cluster.lab.nodes[owner].pid) == policy(cluster.warden(owner).pid)
    launched = cluster.etcd(owner), cluster.process(owner)
    assert {policy(pid) for pid in launched} == {os.SCHED_OTHER}
    assert {slack(pid) for pid in launched} == {slack("self")}


# ---------------------------------------------------------------- freeze


async def test_while_frozen_nothing_is_taken_over_and_the_thaw_makes_up_for_it(cluster: Running) -> None:
    before = await cluster.queue_manager()
    owner = before.owner
    assert owner is not None
    other = cluster.other(owner)
    assert await cluster.order(Freeze()) is Verdict.DONE
    assert await cluster.order(Move(QM, other)) is Verdict.FROZEN
    cluster.lab.nodes[owner].kill()
    # Two terms after its last heartbeat every grant to it has lapsed: what was to happen would have happened.
    await cluster.lab.until(
        lambda report: all((m.heard_ms or 0) > 2 * report.timing.term_ms for m in report.members if m.name == owner),
        seen_by=[other, cluster.witness],
    )
    report = await cluster.lab.report(first=[other])
    assert [(q.owner, q.epoch) for q in report.queue_managers] == [(owner, before.epoch)]
    assert next(m for m in report.members if m.name == owner).state is MemberState.ONLINE

    assert await cluster.order(Thaw()) is Verdict.DONE
    await cluster.lab.until_running(QM, on=other, epoch=before.epoch + 1)
    await cluster.back(owner)


# ---------------------------------------------------------------- can-stop


def can_stop(running: Running, member: str, by: str) -> tuple[int, dict[str, object]]:
    done = standfast("can-stop", member, "--socket", running.lab.nodes[by].socket, "--json")
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


async def test_can_stop_says_by_its_exit_code_what_a_stop_would_cost(cluster: Running) -> None:
    owner = await cluster.owner()
    other = cluster.other(owner)
    for member in cluster.lab.nodes:
        code, answer = can_stop(cluster, member, by=owner)
        assert (code, answer["safe"]) == (0, True)
    assert can_stop(cluster, "nobody", by=owner)[0] == UsageError.exit_code

    cluster.lab.nodes[cluster.witness].kill()
    await cluster.lab.until(
        lambda report: all(m.state is MemberState.EVICTED for m in report.members if m.name == cluster.witness),
        seen_by=[owner, other],
    )
    assert can_stop(cluster, other, by=owner)[0] == NotSafe.exit_code
    assert can_stop(cluster, cluster.witness, by=owner)[0] == 0

    # The witness is heard at once, but grants nobody a lease for a term after its start: it is no majority's part yet.
    cluster.lab.up([cluster.witness])
    await cluster.lab.until(
        lambda report: all(
            m.state is MemberState.ONLINE and m.hears_us and not m.able
            for m in report.members
            if m.name == cluster.witness
        ),
        seen_by=[owner],
    )
    assert can_stop(cluster, other, by=owner)[0] == NotSafe.exit_code
    await cluster.back()
    assert can_stop(cluster, other, by=owner)[0] == 0


# ---------------------------------------------------------------- events


@pytest.mark.parametrize("told_by", ["owner", "witness"])
async def test_events_are_followed_as_they_come_each_once_whoever_is_asked(cluster: Running, told_by: str) -> None:
    owner = await cluster.owner()
    asked = cluster.witness if told_by == "witness" else owner
    last = (await cluster.log())[-1].revision
    follower = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "standfast", "events", "--follow", "--json", "--since", str(last - 1)),
        *("--socket", str(cluster.lab.nodes[asked].socket)),
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None
    try:
        while json.loads(await follower.stdout.readline())["revision"] != last:
            pass
        to = cluster.other(owner)
        told: list[dict[str, object]] = []
        assert await cluster.order(Move(QM, to)) is Verdict.DONE
        async with asyncio.timeout(4):  # less than the pause after which a follower looks again by itself
            while len(told) < 4 or told[-1]["kind"] != EventKind.QM_RUNNING:
                line = json.loads(await follower.stdout.readline())
                told += [line] if line["revision"] > last and line["kind"] != EventKind.ORDER_GIVEN else []
    finally:
        follower.kill()
        await follower.wait()
    await cluster.lab.until_running(QM, on=to)
    assert [line["kind"] for line in told] == [
        EventKind.QM_MOVING,
        EventKind.QM_ASSIGNED,
        EventKind.QM_STARTING,
        EventKind.QM_RUNNING,
    ]


# ---------------------------------------------------------------- health and proxy


def health(running: Running, member: str, what: str = f"queue-managers/{QM}/active") -> tuple[int, bytes]:
    spec = running.lab.cluster.member(member)
    url = f"http://{spec.addresses[0]}:{spec.health_port}/{what}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def test_the_health_url_says_200_on_the_owner_alone(cluster: Running) -> None:
    owner = await cluster.owner()
    for member in cluster.lab.nodes:
        status, _ = health(cluster, member)
        assert status == (HTTPStatus.OK if member == owner else HTTPStatus.SERVICE_UNAVAILABLE)
        assert health(cluster, member, "live")[0] == health(cluster, member, "ready")[0] == HTTPStatus.OK
    assert health(cluster, owner, "queue-managers/nobody/active")[0] == HTTPStatus.NOT_FOUND


async def test_what_a_stopped_daemon_is_asked_it_answers_by_the_lease_of_that_moment(cluster: Running) -> None:
    owner = await cluster.owner()
    daemon = cluster.lab.nodes[owner].pid
    assert daemon is not None
    assert health(cluster, owner)[0] == HTTPStatus.OK
    with cluster.stopped(daemon):
        asked = asyncio.create_task(asyncio.to_thread(health, cluster, owner))
        await cluster.lab.until_running(QM, on=cluster.other(owner))
        assert not asked.done()
    assert (await asked)[0] == HTTPStatus.SERVICE_UNAVAILABLE
    await cluster.lab.until_whole()


async def test_the_proxy_leads_to_the_owner_wherever_it_goes(cluster: Running) -> None:
    with proxy(cluster.lab) as port:
        manager = Nats()
        place = Place(
            name=QM, data_dir=cluster.lab.directory, run_dir=cluster.lab.directory, address="127.0.0.1", port=port
        )
        await manager.ready(place, 10)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"INFO")
        target = cluster.other(await cluster.owner())
        await cluster.lab.until(lambda r: all(m.leased and not m.unfit for m in r.members if m.name == target))
        assert await cluster.order(Move(QM, target)) is Verdict.DONE
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):  # the old connection is broken off
            await reader.readexactly(1 << 20)
        writer.close()
        await manager.ready(place, 10)  # a new one is held until the new owner serves
    await cluster.queue_manager()


async def test_a_move_to_a_member_that_can_not_take_it_is_refused_with_an_exit_code(cluster: Running) -> None:
    socket = cluster.lab.nodes[await cluster.owner()].socket
    codes = [standfast("move", qm, to, "--socket", socket).returncode for qm, to in (("nothing", "a"), (QM, "nobody"))]
    assert codes == [UsageError.exit_code] * 2
    assert standfast("move", QM, cluster.witness, "--socket", socket).returncode != 0
    assert standfast("move", QM, await cluster.owner(), "--socket", socket).returncode == 0
