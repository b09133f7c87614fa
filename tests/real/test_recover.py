"""Two of three machines are lost for good, disks and all: the store is rebuilt from the third, which serves by an
override meanwhile; replacements come under the old names, and nothing acknowledged is missing at the end.
"""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.drill.audit import audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings, Tick
from standfast.lab.plan import CLUSTER_FILE, STATE, TRUST
from standfast.managers.nats import Nats
from standfast.member.report import NoticeKind
from standfast.model.events import EventKind
from standfast.model.records import MemberState
from tests.real.running import QM, Running, proxy, standfast, started, until
from tests.real.test_override import granted, served, show

REFUSED, ALREADY_RUNNING, USAGE = 10, 7, 2


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Running]:
    running = await started(tmp_path / "lab")
    yield running
    running.down()


def recover(cluster: Running, member: str, survivor: str = "") -> tuple[int, str, str]:
    """The command on that machine: exit code, output, what else it said."""
    folder = cluster.lab.directory
    done = standfast(
        *("recover", "--file", folder / CLUSTER_FILE, "--member", member, "--trust", folder / TRUST / member),
        *("--state-dir", folder / STATE / member, "--cluster", cluster.lab.cluster.name),
        *("--survivor", survivor or member, "--yes", "--json"),
        timeout_s=90.0,
    )
    return done.returncode, done.stdout, done.stderr


async def test_two_of_three_machines_are_lost_for_good(cluster: Running, record_property) -> None:
    owner, epoch = await cluster.placing()
    assert owner is not None
    survivor = cluster.other(owner)
    lost = [owner, cluster.witness]
    ticks: list[Tick] = []
    with proxy(cluster.lab) as port:
        settings = LoadSettings(kind="nats", address="127.0.0.1", port=port, run="recover", every_ms=20, drain_s=5)
        async with LoadProcess(settings, ticks.append) as load:
            await served(ticks)
            assert recover(cluster, survivor)[0] == ALREADY_RUNNING
            cluster.lab.nodes[survivor].kill()
            assert recover(cluster, survivor)[0] == REFUSED, "the others live"
            assert recover(cluster, survivor, survivor=owner)[0] == USAGE
            aside = cluster.lab.directory / "old disk"
            for name in lost:
                cluster.lab.nodes[name].kill()
            shutil.copytree(cluster.lab.directory / STATE / owner, aside)
            for name in lost:
                shutil.rmtree(cluster.lab.directory / STATE / name)
            code, told, said = recover(cluster, survivor)
            assert code == 0, said
            found = json.loads(told)
            assert set(found["given_up"]) == set(lost)
            assert (Path(found["backup"]) / "member" / "wal").is_dir()

            cluster.lab.up([survivor])
            await granted(cluster, survivor)
            await served(ticks)
            cluster.lab.up(lost)
            await cluster.lab.until_whole()
            await cluster.lab.until_running(QM, on=survivor, epoch=epoch + 1000)
            await until(lambda: show(cluster, survivor).get("own", "") is None)
            checked = audit(await load.finish(), Nats.durability)
    assert checked.acked > 0
    assert checked.lost == ()
    kinds = {line.kind for line in await cluster.log()}
    assert {EventKind.STORE_RECOVERED, EventKind.OVERRIDE_ENDED, EventKind.QM_ADOPTED} <= kinds

    # An old machine with its old disk comes back in the place of its replacement: it is found out, and does no harm.
    cluster.lab.nodes[owner].kill()
    state = cluster.lab.directory / STATE / owner
    fresh = state.rename(state.with_name("fresh"))
    aside.rename(state)
    cluster.lab.up([owner])

    def found_out(report) -> bool:
        return any(n.kind is NoticeKind.STORE_SERVER and n.subject == owner for n in report.notices)

    await cluster.lab.until(found_out, seen_by=[survivor])
    assert (await cluster.queue_manager()).owner == survivor
    cluster.lab.nodes[owner].kill()
    shutil.rmtree(state)
    fresh.rename(state)
    await cluster.back(owner)
    assert (await cluster.member(owner)).state is MemberState.ONLINE
