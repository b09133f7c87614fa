"""The daemon's part in the shared disk: hands heartbeats on both ways, and tells people how it stands.

Guarantees: a disk that is missing, hangs or fails delays and ends nothing, neither the start nor a heartbeat; each time
that it gets lost or is back there is one event, and while it is lost, or a slot on it is spoiled, there is a notice.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from standfast.links.disk import DiskLink, DiskStatus, SideView
from standfast.links.disk_io import TROUBLES, DiskState
from standfast.links.disk_slots import SlotState
from standfast.member.report import DiskReport, NoticeKind
from standfast.model.cluster import Cluster
from standfast.model.events import Event, EventKind
from standfast.model.messages import Heartbeat, Message
from standfast.model.timing import NS_PER_MS
from standfast.ports import boottime_ns
from standfast.quorum.signals import SeenOnDisk

Give = Callable[[SeenOnDisk], None]
_MS_PER_S = 1_000
_SPOILED = {
    SlotState.DAMAGED: "its content was torn or overwritten",
    SlotState.STRANGE: "its content was not sealed for it by this cluster",
    SlotState.WENT_BACK: "an older record came back",
}
"""What may be wrong with a slot that its member's next record does not mend at once."""


class Journal(Protocol):
    """Where events go."""

    def told(self, event: Event) -> None:
        """An event that this member alone can tell."""
        ...


class Reporter(Protocol):
    """Where the state is shown."""

    disk: Callable[[], DiskReport] | None

    def notice(self, kind: NoticeKind, subject: str = "", detail: str = "") -> None:
        """Add or renew a notice; an empty detail takes it back."""
        ...


class SharedDisk:
    """Of member `me`, which sees the disk at `path`.

    Args:
        path: of the disk.
        cluster: whose it is.
        me: this member.
        key: the cluster key.
        give: passes on what was read.
        journal: gets the events.
        reporter: shows the state.
    """

    def __init__(
        self,
        path: str,
        cluster: Cluster,
        me: str,
        key: bytes,
        *,
        give: Give,
        journal: Journal,
        reporter: Reporter,
    ) -> None:
        self._path = path
        self._me = me
        self._timing = cluster.timing
        self._members = len(cluster.members)
        self._link = DiskLink(path, cluster, me, key)
        self._give = give
        self._journal = journal
        self._reporter = reporter
        self._lost = False
        self._spoiled: set[str] = set()
        reporter.disk = self.report

    async def open(self) -> None:
        """Start. Waits for nothing and raises nothing: the disk is taken up when it answers."""
        await self._link.open(self._read, strict=False)

    def _read(self, message: Message) -> None:
        assert isinstance(message, Heartbeat)
        self._give(SeenOnDisk(message))

    def send(self, heartbeat: Heartbeat) -> None:
        """Write this as soon as the disk takes it. Never blocks, never raises.

        While this member misses another one on the network, it looks for news on the disk more often.
        """
        self._link.hurry(on=heartbeat.hears.bit_count() < self._members)
        self._link.send(heartbeat)

    def adopted(self, cluster: Cluster) -> None:
        """Other settings are in force from now on."""
        self._timing = cluster.timing
        self._members = len(cluster.members)
        self._link.retime(cluster.timing)

    def close(self) -> None:
        """End the helpers; one that hangs is left to the kernel."""
        self._link.close()

    async def run(self) -> None:
        """Look every interval how it stands, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.interval_ms / _MS_PER_S)
            status = self._link.status()
            self._judge(_worst(status))
            self._note_slots(status)

    def report(self) -> DiskReport:
        """How it stands now."""
        status = self._link.status()
        return DiskReport(
            path=self._path,
            reading=status.reading.state,
            writing=status.writing.state,
            read_ms=status.reading.took_ns / NS_PER_MS,
            write_ms=status.writing.took_ns / NS_PER_MS,
        )

    def _judge(self, side: SideView) -> None:
        """Lost at the first look that shows it; back when it has worked for the doubt time."""
        if side.state is DiskState.OPENING:
            return
        if side.state is not DiskState.OK:
            detail = TROUBLES[side.state].why + (f", {side.detail}" if side.detail else "")
            self._reporter.notice(NoticeKind.DISK_LOST, self._path, detail)
            if not self._lost:
                self._lost = True
                self._tell(EventKind.DISK_LINK_LOST, state=side.state, detail=detail)
        elif self._lost and boottime_ns() - side.since_ns > self._timing.in_doubt_ns:
            self._lost = False
            self._reporter.notice(NoticeKind.DISK_LOST, self._path)
            self._tell(EventKind.DISK_LINK_HEALED)

    def _tell(self, kind: EventKind, **fields: str) -> None:
        self._journal.told(Event(kind=kind, subject=self._me, fields={"path": self._path, **fields}))

    def _note_slots(self, status: DiskStatus) -> None:
        spoiled = {slot.member: _SPOILED[slot.state] for slot in status.slots if slot.state in _SPOILED}
        for member in self._spoiled - spoiled.keys():
            self._reporter.notice(NoticeKind.DISK_SLOT, member)
        for member, detail in spoiled.items():
            self._reporter.notice(NoticeKind.DISK_SLOT, member, detail)
        self._spoiled = {*spoiled}


def _worst(status: DiskStatus) -> SideView:
    """The side that does not work; if both do, the one that has worked for the shorter time."""
    sides = sorted((status.reading, status.writing), key=lambda side: side.since_ns, reverse=True)
    return next((side for side in sides if side.state is not DiskState.OK), sides[0])
