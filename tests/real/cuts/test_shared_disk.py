"""An owner loses the whole network and still reaches the shared disk, a real loop device; and the disk in trouble.

The witness does not see the disk: the proof reaches it through the other data member.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from standfast.lab.plan import CLUSTER_FILE
from standfast.lab.processes import tree
from standfast.member.report import MemberReport, NoticeKind, StatusReport
from standfast.model.events import EventKind
from standfast.model.timing import Timing
from tests.links.disks import Stall, loop_device
from tests.real.cuts.stage import START_MS, Stage, takeover_ms
from tests.real.running import QM, lasting, planned, standfast, up

UNIT = 4096
LOST, HEALED = EventKind.DISK_LINK_LOST, EventKind.DISK_LINK_HEALED


class Beside(Stage):
    """A stage with a shared disk that the data members see."""

    device: str

    @property
    def timing(self) -> Timing:
        return self.lab.cluster.timing

    def helpers(self, *members: str) -> list[int]:
        """The processes of these members that touch the disk."""
        found = [pid for name in members for pid in tree([self.lab.nodes[name].pid or 0])]
        return [pid for pid in found if b"disk_child" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def spoil(self, member: str) -> None:
        """Somebody else writes over a member's slot."""
        with Path(self.device).open("r+b") as disk:
            disk.seek((1 + sorted(self.lab.nodes).index(member)) * UNIT)
            disk.write(os.urandom(UNIT))
            disk.flush()
            os.fsync(disk.fileno())

    async def until_noticed(self, kind: NoticeKind, subject: str, *seen_by: str, there: bool) -> None:
        def good(report: StatusReport) -> bool:
            return any((notice.kind, notice.subject) == (kind, subject) for notice in report.notices) is there

        await self.lab.until(good, seen_by=seen_by)

    @contextlib.asynccontextmanager
    async def disk_lost_and_back(self, *members: str) -> AsyncIterator[None]:
        """In the block these lose the disk; after it they have it again, and have told so."""
        await self.until_noticed(NoticeKind.DISK_LOST, self.device, *members, there=False)
        before = {name: await self.notices(name, LOST, HEALED) for name in members}
        yield
        await self.until_noticed(NoticeKind.DISK_LOST, self.device, *members, there=False)
        for name in members:
            told = (await self.notices(name, LOST, HEALED))[len(before[name]) :]
            assert [line.kind for line in told] == [LOST, HEALED]


async def beside(directory: Path, device: str) -> Beside:
    lab = planned(directory, {'#path = ""': f'path = "{device}"'}, profile="normal", namespaces=True)
    made = standfast("disk", "init", device, "--file", directory / CLUSTER_FILE)
    assert made.returncode == 0, made.stderr
    stage = await up(lab, Beside)
    stage.device = device
    return stage


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("beside")
    with loop_device(folder / "image") as device:
        yield from lasting(beside(folder / "lab", device))


def proven_ms(timing: Timing) -> float:
    """Longest time without service of an owner whose word comes by the disk: doubt, two looks each way, start."""
    return timing.interval_ms * (timing.in_doubt_after + 4) + START_MS


def of(report: StatusReport, name: str) -> MemberReport:
    return next(member for member in report.members if member.name == name)


async def test_an_isolated_owner_is_proven_stopped_before_its_lease_has_lapsed(cluster: Beside, keep) -> None:
    owner, epoch = await cluster.placing()
    async with cluster.telling() as told, cluster.scene(keep) as scene:
        scene.isolate(owner)
        await cluster.assert_gone_with_lease(owner, scene.cut_ns)
        found = await cluster.lab.until_running(QM, epoch=epoch + 1)
        assert found.owner == cluster.other(owner)
        as_seen = await cluster.lab.until(lambda r: bool(of(r, owner).isolated_by), seen_by=[cluster.witness])
        assert of(as_seen, owner).isolated_by == (cluster.other(owner),)
    (evicted,) = [line for line in told if line.kind == EventKind.MEMBER_EVICTED]
    assert (evicted.fields["proof"], evicted.fields["reason"]) == ("stopped", "isolated")
    assert scene.measured.outage_ms <= proven_ms(cluster.timing) < takeover_ms(cluster)
    assert scene.measured.moves == 1


async def test_with_the_disk_hanging_too_the_lease_decides(cluster: Beside, keep) -> None:
    owner, epoch = await cluster.placing()
    with cluster.stopped(*cluster.helpers(owner)):
        async with cluster.telling() as told, cluster.scene(keep) as scene:
            scene.isolate(owner)
            await cluster.assert_gone_with_lease(owner, scene.cut_ns)
            await cluster.lab.until_running(QM, epoch=epoch + 1)
    (evicted,) = [line for line in told if line.kind == EventKind.MEMBER_EVICTED]
    assert (evicted.fields["proof"], evicted.fields["reason"]) == ("lapsed", "silent")
    assert scene.measured.outage_ms <= takeover_ms(cluster)


async def test_a_stall_of_the_disk_is_told_and_changes_nothing(cluster: Beside) -> None:
    """The block layer holds everything back; the helpers hang in the kernel."""
    async with cluster.nothing_moves(), cluster.disk_lost_and_back(*cluster.data):
        with Stall(cluster.device) as stall:
            stall.hit(*cluster.helpers(*cluster.data))
            await cluster.until_noticed(NoticeKind.DISK_LOST, cluster.device, *cluster.data, there=True)
            await asyncio.sleep(2 * cluster.term_ns / 1e9)


async def test_a_spoiled_slot_is_noticed_and_mended_by_the_next_record(cluster: Beside) -> None:
    owner = await cluster.owner()
    other = cluster.other(owner)
    async with cluster.nothing_moves(), cluster.disk_lost_and_back(owner):
        with cluster.stopped(*cluster.helpers(owner)):
            cluster.spoil(owner)
            await cluster.until_noticed(NoticeKind.DISK_SLOT, owner, other, there=True)
            await cluster.until_noticed(NoticeKind.DISK_LOST, cluster.device, owner, there=True)
        await cluster.until_noticed(NoticeKind.DISK_SLOT, owner, other, there=False)
