"""The shared-disk link: every member's newest heartbeat in its own slot of a block device or file.

Guarantees: no call here blocks or touches the disk: two helper processes do, one writes and one reads, so that a disk
that only refuses writes is still read. `send` never raises. Only the newest heartbeat ever waits, so what is written
when a stall ends is of now and not of then. Nothing is written unless the header, read on the very descriptor that
writes, is this cluster's and names a slot for this member. Every failure is a state with its beginning, and heals by
itself when the disk does.

Does not guarantee that anything arrives, nor when; nor that a write that was given up does not land later. What a read
proves, and what it can not prove, is in disk_slots.py and in docs/shared-disk.md.

Assumes that a block written with O_DIRECT and O_SYNC is what every other machine reads from then on: a cache in between
that does not know of the others (two caching controllers, a file on a cluster file system without direct I/O) makes
members silent, never alive.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from standfast.links.disk_io import Crew, DiskState, DiskTrouble, Facts, Hand
from standfast.links.disk_layout import Layout
from standfast.links.disk_side import Side, SideView
from standfast.links.disk_slots import Board, DiskCounters, SlotView
from standfast.links.disk_volume import opened_volume, read_header
from standfast.model.cluster import Cluster
from standfast.model.messages import Heartbeat, Message
from standfast.model.timing import NS_PER_MS, Timing
from standfast.ports import boottime_ns

PATIENCE_S: Final = 10.0
"""How long a call may hang before its helper is left behind and another tries with a descriptor of its own. The disk
counts as stalled much earlier, after the doubt time."""
RETRY_S: Final = 1.0
"""Pause before another helper tries, after the disk could not be used."""
OPEN_S: Final = 5.0
"""Longest wait for the disk's first answer in `open`."""

HURRY: Final = 4
"""How many times as often the slots are read while news of them are waited for."""

_MS_PER_S: Final = 1_000
_NOT_OURS: Final = frozenset(
    {
        DiskState.TOO_SMALL,
        DiskState.UNALIGNED,
        DiskState.UNFORMATTED,
        DiskState.DAMAGED,
        DiskState.OTHER_CLUSTER,
        DiskState.WRONG_KEY,
        DiskState.EXCHANGED,
        DiskState.NO_SLOT,
    }
)
"""What the reader may find that forbids the writer to write."""


class DiskStatus(Struct, frozen=True, kw_only=True):
    """All about the link, for status and metrics.

    Attributes:
        path: of the disk.
        reading: how reading stands.
        writing: how writing stands.
        slots: every member's slot, this member's own included; empty until the header was read.
        left_behind: helpers that hang and could not be ended yet.
    """

    path: str
    reading: SideView
    writing: SideView
    slots: tuple[SlotView, ...]
    left_behind: int


class DiskLink:
    """The shared-disk link of one member.

    Args:
        path: block device or file, prepared by `standfast disk init`.
        cluster: whose id and timing it has.
        me: name of this member.
        key: the cluster key, 32 bytes.
        patience_s: see PATIENCE_S.
    """

    def __init__(self, path: str, cluster: Cluster, me: str, key: bytes, *, patience_s: float = PATIENCE_S) -> None:
        self.counters = DiskCounters()
        self._path = path
        self._me = me
        self._timing = cluster.timing
        self._layout = Layout(cluster.id, key)
        self._session = os.urandom(8)
        self._crew = Crew(patience_s)
        self._reading = Side()
        self._writing = Side()
        self._board: Board | None = None
        self._ours = asyncio.Event()  # the header, as last read, is this cluster's and has a slot for this member
        self._newest: Heartbeat | None = None
        self._due = asyncio.Event()
        self._hurried = asyncio.Event()
        self._receive: Callable[[Message], None] = _nobody
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, receive: Callable[[Message], None], *, strict: bool = True) -> None:
        """Start, and hand every authentic, fresh heartbeat of the others to `receive`.

        Returns when the disk could be read and opened for writing. Raises MachineError, StateError or KeyFileError (see
        TROUBLES in disk_io.py) when it could not, or did not answer within OPEN_S; the link is closed then. With
        `strict` false nothing is waited for or raised: the link comes to life when the disk does.
        """
        self._receive = receive
        self._tasks = [
            asyncio.create_task(self._keep(self._reading, self._read)),
            asyncio.create_task(self._keep(self._writing, self._write)),
        ]
        for task in self._tasks:
            task.add_done_callback(_surface)
        trouble = await self._verdict() if strict else None
        if trouble is not None:
            self.close()
            raise trouble.error(self._path)

    def send(self, heartbeat: Heartbeat) -> None:
        """Have this written as soon as the disk takes it, in place of one that still waits. Never blocks or raises."""
        self.counters.superseded += self._newest is not None
        self._newest = heartbeat
        self._due.set()

    def hurry(self, *, on: bool) -> None:
        """Read HURRY times as often from now on, or as usual again."""
        if on:
            self._hurried.set()
        else:
            self._hurried.clear()

    def retime(self, timing: Timing) -> None:
        """Read in another interval and judge by another doubt time from now on."""
        self._timing = timing
        if self._board is not None:
            self._board.in_doubt_ns = timing.in_doubt_ns

    def slot(self, member: str) -> SlotView | None:
        """What the slot of a member tells now; None when it has none, or the header was never read."""
        board = self._board
        if board is None or member not in board.volume.members:
            return None
        return board.view(board.volume.members.index(member), boottime_ns())

    def status(self) -> DiskStatus:
        """Everything about the link, now."""
        now_ns, board = boottime_ns(), self._board
        owned = [i for i, name in enumerate(board.volume.members) if name] if board else []
        return DiskStatus(
            path=self._path,
            reading=self._reading.view(now_ns, self._timing.in_doubt_ns),
            writing=self._writing.view(now_ns, self._timing.in_doubt_ns),
            slots=tuple(board.view(index, now_ns) for index in owned) if board else (),
            left_behind=self._crew.left_behind,
        )

    def close(self) -> None:
        """End the helpers; one that hangs is left to the kernel. A second call does nothing."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        for side in (self._reading, self._writing):
            if side.hand is not None:
                side.hand.left()

    async def _verdict(self) -> DiskTrouble | None:
        """What came of the first attempt to read, and then to write."""
        try:
            async with asyncio.timeout(OPEN_S):
                await self._reading.judged.wait()
                if self._reading.trouble is None:
                    await self._writing.judged.wait()
        except TimeoutError:
            return DiskTrouble(DiskState.STALLED, f"no answer within {OPEN_S:g} s")
        return self._reading.trouble or self._writing.trouble

    async def _keep(self, side: Side, work: Callable[[Hand], Awaitable[None]]) -> None:
        """One helper after the other, for ever."""
        while True:
            try:
                with self._crew.hand() as side.hand:
                    await work(side.hand)
            except DiskTrouble as trouble:
                side.fail(trouble)
                if side is self._reading and trouble.state in _NOT_OURS:
                    self._ours.clear()
                    self._writing.fail(trouble)
            finally:
                side.hand = None
            await asyncio.sleep(RETRY_S)

    async def _read(self, hand: Hand) -> None:
        """Read all slots every interval, in a hurry more often; raises DiskTrouble."""
        facts = await hand.open(self._path, write=False)
        header = await read_header(hand, facts)
        board = self._accept(header, facts)
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            began_ns = boottime_ns()
            units = await hand.read(0, board.volume.used, board.volume.unit)
            ended_ns = boottime_ns()
            found = units.pop(0, header)
            if found != header:
                header = found
                if self._accept(header, facts) is not board:
                    raise DiskTrouble(DiskState.EXCHANGED)
            for heartbeat in board.take(units, began_ns, ended_ns):
                loop.call_soon(self._receive, heartbeat)
            self._ours.set()
            self._reading.fine(ended_ns - began_ns)
            due_s = await self._pause(due_s)

    async def _pause(self, due_s: float) -> float:
        """Wait from one look, which was due then, to the next; returns when that one is due. Hurry ends the wait."""
        loop, interval_s = asyncio.get_running_loop(), self._timing.interval_ms / _MS_PER_S
        if self._hurried.is_set():
            await asyncio.sleep(interval_s / HURRY)
            return loop.time()
        due_s = max(due_s + interval_s, loop.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due_s):
                await self._hurried.wait()
        return due_s

    def _accept(self, header: bytes, facts: Facts) -> Board:
        """The board of the disk with this header: the present one if the disk is the same; raises DiskTrouble."""
        volume = opened_volume(header, self._layout, facts)
        if self._me not in volume.members:
            raise DiskTrouble(DiskState.NO_SLOT)
        if self._board is not None and self._board.volume.disk == volume.disk:
            self._board.adopt(volume)
            return self._board
        self._board = Board(
            layout=self._layout,
            volume=volume,
            me=self._me,
            session=self._session,
            counters=self.counters,
            in_doubt_ns=self._timing.in_doubt_ns,
        )
        return self._board

    async def _write(self, hand: Hand) -> None:
        """Write each newest heartbeat, on a descriptor whose header was found to be ours; raises DiskTrouble."""
        await self._ours.wait()
        board = self._board
        assert board is not None
        facts = await hand.open(self._path, write=True)
        volume = opened_volume(await read_header(hand, facts), self._layout, facts)
        if volume.disk != board.volume.disk:
            raise DiskTrouble(DiskState.EXCHANGED)
        self._writing.fine()
        while True:
            await self._due.wait()
            if board is not self._board or not self._ours.is_set():
                return
            await self._write_newest(hand, board, facts)

    async def _write_newest(self, hand: Hand, board: Board, facts: Facts) -> None:
        """Seal now, with what was read last, and write; raises DiskTrouble."""
        heartbeat, self._newest = self._newest, None
        self._due.clear()
        assert heartbeat is not None
        assert board.me is not None
        began_ns = boottime_ns()
        try:
            block = board.record(heartbeat, began_ns, time.time_ns() // NS_PER_MS)
        except ValueError:
            self.counters.oversized += 1
            self.counters.send_errors += 1
            return
        try:
            await hand.write(
                board.volume.offset(board.me), block.ljust(-(-len(block) // facts.block) * facts.block, b"\0")
            )
        except DiskTrouble:
            self.counters.send_errors += 1
            raise
        self.counters.sent += 1
        if self._ours.is_set():  # else the reader found, while this was under way, that no more may be written
            self._writing.fine(boottime_ns() - began_ns)


def _nobody(_message: Message) -> None:
    """Receives before `open` says who does."""


def _surface(task: asyncio.Task[None]) -> None:
    """Let the loop tell of an error that nobody foresaw, in place of a link that is silent for ever."""
    if not task.cancelled():
        task.result()


__all__ = ["DiskLink", "DiskStatus", "SideView"]
