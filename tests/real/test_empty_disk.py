"""A machine comes back with an empty disk under its old name: all of it is whole again by itself."""

import shutil
from collections.abc import Iterator

import pytest

from standfast.cli.verdict import Level, headline
from standfast.lab.plan import STATE
from standfast.member.report import NoticeKind, StatusReport
from tests.real.running import QM, Running, lasting, now_ns, started

WHOLE_S = 30.0
"""The eviction takes a term, and etcd takes nobody in before all who are left have been connected for five seconds."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("empty")))


def troubled(report: StatusReport) -> set[str]:
    """Members that are up and whose etcd does not serve."""
    return {notice.subject for notice in report.notices if notice.kind is NoticeKind.STORE_SERVER}


@pytest.mark.parametrize("who", ["owner", "other", "witness"])
async def test_the_disk_is_lost_and_then_another_machine(cluster: Running, who: str, record_property) -> None:
    owner, epoch = await cluster.placing()
    assert owner is not None
    lost = {"owner": owner, "other": cluster.other(owner), "witness": cluster.witness}[who]
    cluster.lab.nodes[lost].kill()
    if who == "owner":
        epoch = (await cluster.lab.until_running(QM, on=cluster.other(owner), epoch=epoch + 1)).epoch
    shutil.rmtree(cluster.lab.directory / STATE / lost)
    began_ns = now_ns()
    await cluster.back(lost)
    record_property("whole_again_s", (now_ns() - began_ns) / 1e9)
    assert now_ns() - began_ns < WHOLE_S * 1e9
    report = await cluster.lab.report(first=[lost])
    assert not troubled(report)
    assert headline(report).could_lose_one_more

    owner, epoch = await cluster.placing()
    assert owner is not None
    victim = owner if owner != lost else cluster.other(owner)
    cluster.lab.nodes[victim].kill()
    await cluster.lab.until_running(QM, on=cluster.other(victim), epoch=epoch + (victim == owner))
    await cluster.back(victim)


async def test_status_says_whose_etcd_does_not_serve_and_that_no_more_may_be_lost(cluster: Running) -> None:
    pid = cluster.etcd("a")
    assert pid is not None
    assert headline(await cluster.lab.until_whole()).could_lose_one_more
    with cluster.stopped(pid):
        await cluster.lab.until(lambda report: troubled(report) == {"a"}, seen_by=cluster.lab.nodes)
        found = headline(await cluster.lab.report())
        assert found.level is Level.WARNING
        assert {point.subject for point in found.weak_points} == {"b", "w"}
    await cluster.lab.until_whole()
