"""What a disk is, and making it one of this cluster: all I/O is a helper's, see disk_io.py.

Guarantees: a disk that is neither blank nor this cluster's is not touched unless forced, nor one that this machine has
mounted or given to LVM or RAID; the header is written last, so that a preparation that was cut short leaves no disk
that looks ready; members that stay keep their slots.

Blank means: zeros in the first BLANK_BYTES and in the last TAIL_BYTES, where file systems, partition tables, LVM and
RAID put their signatures. Data further on without any of these go unseen. Two preparations at the same time are not
told from each other: run it on one member.
"""

import asyncio
import os
from enum import StrEnum
from typing import Final, NamedTuple

from standfast.errors import StateError
from standfast.links.disk_io import Crew, DiskState, DiskTrouble, Facts, Hand
from standfast.links.disk_layout import HEADER_BYTES, LARGEST_UNIT, SLOTS, SMALLEST_UNIT, Fault, Layout, Volume
from standfast.links.disk_slots import Board, DiskCounters, SlotView
from standfast.model.cluster import Cluster
from standfast.ports import boottime_ns

BLANK_BYTES: Final = 1 << 20
TAIL_BYTES: Final = LARGEST_UNIT
DEVICES: Final = "/dev/"
"""Below it no file is made: a name that is missing there is a mistyped device."""

_OF_FAULT: Final = {
    Fault.BLANK: DiskState.UNFORMATTED,
    Fault.FOREIGN: DiskState.UNFORMATTED,
    Fault.DAMAGED: DiskState.DAMAGED,
    Fault.MISPLACED: DiskState.DAMAGED,
    Fault.UNREADABLE: DiskState.DAMAGED,
    Fault.OTHER_CLUSTER: DiskState.OTHER_CLUSTER,
    Fault.WRONG_KEY: DiskState.WRONG_KEY,
}


class Outcome(StrEnum):
    """What `prepare` did."""

    FORMATTED = "formatted"  # a new disk: nothing of before is left
    UPDATED = "updated"  # slots were given or freed; records that stay were not touched
    UNCHANGED = "unchanged"  # it was ready already


class Prepared(NamedTuple):
    """The answer of `prepare`."""

    outcome: Outcome
    volume: Volume
    facts: Facts


class Survey(NamedTuple):
    """What an onlooker found.

    Attributes:
        volume: the header.
        slots: each slot with an owner, after the second look.
        reads: by member, whose present start its newest record shows to have been read.
        looked_ms: time between the beginning of the first look and the end of the second.
    """

    volume: Volume
    slots: tuple[SlotView, ...]
    reads: dict[str, tuple[str, ...]]
    looked_ms: float


def opened_volume(block: bytes, layout: Layout, facts: Facts) -> Volume:
    """The header in these bytes, fit for this device; raises DiskTrouble."""
    volume = layout.open_volume(block)
    if isinstance(volume, Fault):
        raise DiskTrouble(_OF_FAULT[volume], "" if volume is Fault.BLANK else f"header: {volume}")
    if volume.unit % facts.block:
        raise DiskTrouble(DiskState.UNALIGNED, f"blocks of {facts.block} bytes, slots of {volume.unit}")
    if facts.size < volume.size:
        raise DiskTrouble(DiskState.TOO_SMALL, f"{facts.size} of {volume.size} bytes")
    return volume


async def read_header(hand: Hand, facts: Facts) -> bytes:
    """The bytes in which the header lies, without trailing zeros; raises DiskTrouble."""
    length = -(-HEADER_BYTES // facts.block) * facts.block
    if facts.size < length:
        raise DiskTrouble(DiskState.UNFORMATTED if facts.size else DiskState.TOO_SMALL, f"{facts.size} bytes")
    return (await hand.read(0, length, length))[0]


async def prepare(path: str, cluster: Cluster, layout: Layout, crew: Crew, *, force: bool = False) -> Prepared:
    """Make it this cluster's shared disk, or give slots to its new members.

    A plain file is made when there is none, outside of /dev. `force` formats it whatever it holds, also when it is
    ready. Raises StateError when it holds anything else, DiskTrouble.
    """
    with crew.hand() as hand:
        facts = await _opened(hand, path)
        found = await _found(hand, layout, facts)
        if found is None or force:
            return await _format(hand, cluster, layout, facts)
        if isinstance(found, Fault):
            raise StateError(
                f"{path} holds something already ({_WHAT[found]}): nothing was written. See that it is the "
                f"right one; if all that is on it may be lost, give --force {cluster.name}."
            )
        return await _update(hand, cluster, layout, found, facts)


async def survey(path: str, layout: Layout, crew: Crew, *, look_ns: int) -> Survey:
    """Look twice, `look_ns` apart, so that slots that change are told from those that do not; raises DiskTrouble."""
    with crew.hand() as hand:
        facts = await hand.open(path, write=False)
        volume = opened_volume(await read_header(hand, facts), layout, facts)
        board = Board(layout=layout, volume=volume, me="", session=b"", counters=DiskCounters(), in_doubt_ns=look_ns)
        began = boottime_ns()
        await _look(hand, board)
        await asyncio.sleep(look_ns / 1e9)
        await _look(hand, board)
        now = boottime_ns()
    owned = [index for index, name in enumerate(volume.members) if name]
    return Survey(
        volume=volume,
        slots=tuple(board.view(index, now) for index in owned),
        reads={volume.members[index]: _reads(board, index) for index in owned},
        looked_ms=(now - began) / 1e6,
    )


_WHAT: Final = {
    Fault.BLANK: "its beginning is blank, but not all of it",
    Fault.FOREIGN: "no shared disk of Standfast",
    Fault.DAMAGED: "a damaged header of Standfast",
    Fault.MISPLACED: "a damaged header of Standfast",
    Fault.UNREADABLE: "a header of another release of Standfast",
    Fault.OTHER_CLUSTER: "another cluster's shared disk",
    Fault.WRONG_KEY: "this cluster's shared disk, but sealed with another key",
}


async def _look(hand: Hand, board: Board) -> None:
    began = boottime_ns()
    units = await hand.read(0, board.volume.size, board.volume.unit)
    units.pop(0, None)
    board.take(units, began, boottime_ns())


def _reads(board: Board, index: int) -> tuple[str, ...]:
    """Whose present start the newest record of a slot shows to have read."""
    newest = board.slots[index].newest
    if newest is None:
        return ()
    echoed = zip(board.slots, newest.record.echoes, strict=False)
    return tuple(
        slot.member for slot, echo in echoed if slot.newest and slot.member and echo.session == slot.newest.session
    )


async def _opened(hand: Hand, path: str) -> Facts:
    """Open it for this machine alone, making a file if there is nothing; raises DiskTrouble."""
    try:
        return await hand.open(path, write=True, exclusive=True)
    except DiskTrouble as trouble:
        if trouble.state is not DiskState.MISSING or path.startswith(DEVICES):
            raise
    return await hand.open(path, write=True, create=True)


async def _found(hand: Hand, layout: Layout, facts: Facts) -> Volume | Fault | None:
    """The header, what stands in its place, or None when the disk is blank."""
    if not facts.size:
        return None
    if facts.size < HEADER_BYTES or facts.size % facts.block:
        return Fault.FOREIGN
    found = layout.open_volume(await read_header(hand, facts))
    if found is not Fault.BLANK:
        return found
    for start, length in ((0, min(BLANK_BYTES, facts.size)), (max(0, facts.size - TAIL_BYTES), TAIL_BYTES)):
        length = min(length, facts.size - start)  # noqa: PLW2901 - clipped to the disk
        if any((await hand.read(start, length, SMALLEST_UNIT)).values()):
            return Fault.FOREIGN if start else Fault.BLANK
    return None


async def _format(hand: Hand, cluster: Cluster, layout: Layout, facts: Facts) -> Prepared:
    """Zero the header, then the slots, then write the header."""
    names = [spec.name for spec in cluster.members]
    volume = Volume(
        cluster=cluster.id,
        name=cluster.name,
        disk=os.urandom(16),
        unit=max(SMALLEST_UNIT, facts.block),
        members=tuple(names + [""] * (SLOTS - len(names))),
        revision=1,
    )
    if facts.device and facts.size < volume.size:
        raise DiskTrouble(DiskState.TOO_SMALL, f"{facts.size} of {volume.size} bytes")
    for start in range(0, volume.size, volume.unit):
        await hand.write(start, bytes(volume.unit))
    await hand.write(0, layout.seal_volume(volume).ljust(volume.unit, b"\0"))
    return Prepared(Outcome.FORMATTED, volume, facts)


async def _update(hand: Hand, cluster: Cluster, layout: Layout, found: Volume, facts: Facts) -> Prepared:
    """Free the slots of members that are gone and give free ones to new members; raises StateError without one."""
    names = [spec.name for spec in cluster.members]
    members = [name if name in names else "" for name in found.members]
    free = [index for index, name in enumerate(members) if not name]
    new = [name for name in names if name not in members]
    if len(new) > len(free):
        raise StateError(
            f"The shared disk has no free slot for {new[-1]}: all {len(members)} are taken. Format it with --force "
            f"{cluster.name}; members find the new slots by themselves."
        )
    for name, index in zip(new, free, strict=False):
        members[index] = name
        await hand.write(found.offset(index), bytes(found.unit))
    if tuple(members) == found.members:
        return Prepared(Outcome.UNCHANGED, found, facts)
    volume = Volume(
        cluster=found.cluster,
        name=cluster.name,
        disk=found.disk,
        unit=found.unit,
        members=tuple(members),
        revision=found.revision + 1,
    )
    await hand.write(0, layout.seal_volume(volume).ljust(volume.unit, b"\0"))
    return Prepared(Outcome.UPDATED, volume, facts)


__all__ = ["Outcome", "Prepared", "Survey", "opened_volume", "prepare", "read_header", "survey"]
