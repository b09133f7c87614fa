"""A machine that stands still with its queue manager alive, as a frozen virtual one does, is switched off first."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.lab.plan import CLUSTER_FILE
from standfast.lab.processes import signal_all
from standfast.member.report import NoticeKind
from standfast.model.events import EventKind
from tests.real.running import QM, Running, lasting, standfast, started

SWITCH = Path(__file__).parents[1] / "standins" / "power_switch.py"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("fencing")
    fencing = f"""[fencing]
command = ["{sys.executable}", "{SWITCH}"]
after_s = 0.3
[fencing.options]
broken = "{directory}/broken"
[fencing.members.a]
plug = "{directory}/a"
[fencing.members.b]
plug = "{directory}/b"

[timing]"""
    os.environ["PYTHONPATH"] = str(SWITCH.parents[2])
    yield from lasting(started(directory, {"[timing]": fencing}))


async def waits(cluster: Running, member: str) -> bool:
    """Whether it shows that it waits for a fencing."""
    report = await cluster.lab.report(first=[member])
    return any(notice.kind is NoticeKind.FENCING and notice.subject == QM for notice in report.notices)


async def test_it_starts_elsewhere_only_once_the_switch_works(cluster: Running) -> None:
    before, epoch = await cluster.placing()
    assert before is not None
    other, broken = cluster.other(before), cluster.lab.directory / "broken"
    broken.touch()
    signal_all(cluster.lab.nodes[before].living(), signal.SIGSTOP)
    failed = await cluster.until_told(lambda line: line.kind == EventKind.FENCING_FAILED)
    assert failed.fields["former"] == before
    assert await waits(cluster, other)
    assert cluster.lab.nodes[other].queue_manager_pid(QM) is None
    broken.unlink()
    await cluster.lab.until_running(QM, on=other)
    fenced = await cluster.until_told(lambda line: line.kind == EventKind.MEMBER_FENCED)
    assert (fenced.subject, fenced.fields["by"]) == (before, other)
    assert (await cluster.placing()) == (other, epoch + 1)
    await cluster.back(before)


async def test_an_operator_who_has_looked_ends_the_wait(cluster: Running) -> None:
    before = await cluster.owner()
    other, broken = cluster.other(before), cluster.lab.directory / "broken"
    broken.touch()
    try:
        living = cluster.lab.nodes[before].living()
        signal_all(living, signal.SIGSTOP)
        epoch = (await cluster.lab.report(first=[other])).queue_managers[0].epoch
        await cluster.until_told(lambda e: e.kind == EventKind.FENCING_FAILED and int(str(e.fields["epoch"])) > epoch)
        too_early = standfast("fence", "confirm", other, "--socket", cluster.lab.sockets[other])
        assert too_early.returncode == 10, too_early.stderr
        cluster.lab.nodes[before].kill()
        said = standfast("fence", "confirm", before, "--socket", cluster.lab.sockets[other])
        assert said.returncode == 0, said.stderr
        await cluster.lab.until_running(QM, on=other)
    finally:
        broken.unlink()
    await cluster.back(before)


def test_the_switch_can_be_tried(cluster: Running) -> None:
    tried = standfast("fence", "try", cluster.lab.directory / CLUSTER_FILE, "a", timeout_s=60)
    assert tried.returncode == 0, tried.stderr
    assert standfast("fence", "try", cluster.lab.directory / CLUSTER_FILE, "w").returncode == 2
