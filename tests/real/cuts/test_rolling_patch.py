"""A rolling patch of all five members under load, as docs/patching.md describes it, by the commands that it names."""

from collections.abc import Iterator

import pytest

from standfast.errors import NotSafe
from standfast.lab.reach import queue_manager
from standfast.member.control_protocol import StatusReport
from standfast.model.events import EventKind
from standfast.model.records import MemberState, Phase
from tests.real.cuts.stage import Stage, staged
from tests.real.running import QM, lasting, standfast

PLANNED = frozenset(
    {
        EventKind.MEMBER_DRAINED,
        EventKind.MEMBER_UNDRAINED,
        EventKind.MEMBER_LEFT,
        EventKind.MEMBER_JOINED,
        EventKind.ORDER_GIVEN,
        EventKind.QM_MOVING,
        EventKind.QM_ASSIGNED,
        EventKind.QM_STARTING,
        EventKind.QM_RUNNING,
    }
)
"""All that may be told: nobody is doubted or evicted, nothing fails."""
MOST_MOVES = 2


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from lasting(staged(tmp_path_factory.mktemp("patch"), "abc", ["v", "w"]))


def command(cluster: Stage, by: str, *words: str) -> int:
    """A command, asked of that member; its exit code."""
    return standfast(*words, "--socket", cluster.lab.nodes[by].socket).returncode


def stopped(report: StatusReport, name: str) -> bool:
    """Whether a member has left, and all others are online."""
    return all((m.state is MemberState.LEFT) is (m.name == name) for m in report.members)


def served_elsewhere(report: StatusReport, name: str) -> bool:
    found = queue_manager(report, QM)
    return bool(found and found.owner != name and found.phase is Phase.RUNNING and found.target is None)


async def patch(cluster: Stage, name: str) -> None:
    """One member: drained if it runs something, asked for, stopped, away, started, whole, undrained."""
    other = cluster.others(name)[-1]
    drained = await cluster.owner() == name
    if drained:
        assert command(cluster, other, "can-stop", name) == 0
        assert command(cluster, other, "drain", name) == 0
        await cluster.lab.until(lambda report: served_elsewhere(report, name), seen_by=[other])
    assert command(cluster, other, "can-stop", name) == 0
    cluster.lab.nodes[name].stop()
    await cluster.lab.until(lambda report: stopped(report, name), seen_by=cluster.others(name))
    cluster.lab.nodes[name].start()
    await cluster.lab.until_whole()
    if drained:
        assert command(cluster, other, "undrain", name) == 0


async def test_all_five_members_are_patched_one_after_the_other(cluster: Stage, keep) -> None:
    """Witnesses first, then what runs nothing, the owner last: one move; and one more to have it back where it was."""
    owner = await cluster.owner()
    incarnations = {m.name: m.incarnation for m in (await cluster.lab.report()).members}
    async with cluster.telling() as told, cluster.scene(keep) as scene:
        scene.begin()
        for name in [*cluster.witnesses, *(name for name in cluster.data if name != owner), owner]:
            await patch(cluster, name)
        assert command(cluster, owner, "move", QM, owner) == 0
        await cluster.lab.until_running(QM, on=owner)
    assert {line.kind for line in told} <= PLANNED
    patched = {m.name: m.incarnation for m in (await cluster.lab.report()).members}
    assert all(patched[name] > incarnations[name] for name in patched)
    assert scene.measured.moves == MOST_MOVES
    assert scene.measured.outage_ms <= cluster.lab.cluster.timing.term_ms


async def test_two_may_be_stopped_at_a_time_and_a_third_one_not(cluster: Stage) -> None:
    stopping = cluster.witnesses
    for name in stopping:
        assert command(cluster, "a", "can-stop", name) == 0
        cluster.lab.nodes[name].stop()
        await cluster.lab.until(
            lambda report, gone=name: any(m.name == gone and m.state is MemberState.LEFT for m in report.members),
            seen_by=cluster.data,
        )
    assert command(cluster, "a", "can-stop", "b") == NotSafe.exit_code
    assert await cluster.owner() in cluster.data
    await cluster.back(*stopping)
