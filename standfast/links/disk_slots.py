"""What one member makes of the slots: which record is new, who lives, what to write next. No I/O and no clock.

The order of a member's records is their **sequence**. It grows over all starts of its daemon: the upper half counts
starts, the lower half records, and a new start goes on above everything that its own slot and the others' echoes show.
A record that is not above all seen before in its slot is refused: a replay, a disk that was rolled back to a snapshot,
or a write of a dead helper that was stuck in the storage and landed late.

**Freshness without clocks.** Each record echoes, for every slot, the session and sequence that its author had read
there. A record is delivered only when it echoes the reader's present session, which is random and new with each start:
so it was sealed after the reader started. The echoed sequence tells more: it was sealed after the reader sealed that
very record, at a moment that the reader knows on its own clock (`sealed_after_ns`).

Guaranteed, as long as the cluster key is secret:
 - what is delivered was sealed by that member with the key, after this process started, and is delivered once;
 - records of one member are delivered in their order; some may be missed, the newest is what counts;
 - silence is measured between two reads that succeeded: from the end of the one that saw the last change to the
   beginning of the newest (the lesson of sanlock, which once took its own blocked reads for a dead host).

Not guaranteed:
 - that silence means death: a member that cannot write, or is frozen, is as silent as a dead one;
 - that a delivered record is recent: it is known to be from after `sealed_after_ns`, not more;
 - anything about a member that can write but not read: it echoes nobody, so nobody hears it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from standfast.links.disk_layout import Echo, Fault, Layout, Record, Sealed, Volume
from standfast.model.messages import Heartbeat
from standfast.ports import LinkCounters

STARTS_SHIFT: Final = 32
"""Bits of a sequence that count the records of one start."""
REMEMBERED: Final = 1024
"""Own records of which the moment of sealing is remembered: an echo of an older one tells less, never wrong."""


class DiskCounters(LinkCounters):
    """What passed over the shared disk since the start."""

    damaged: int = 0  # slot contents that were torn or overwritten, each counted once
    superseded: int = 0  # heartbeats replaced by a newer one before they were written
    oversized: int = 0  # heartbeats that no slot can hold
    intruded: int = 0  # newer records of another process in this member's own slot: a second daemon of its name?


class SlotState(StrEnum):
    """What a slot tells of its member, judged on the reader's clock."""

    UNKNOWN = "unknown"  # this member cannot read the disk now
    BLANK = "blank"  # never written, or wiped
    LIVE = "live"  # changed within the doubt time, and has read this member's slot
    UNMET = "unmet"  # changed within the doubt time, but has not read what this process wrote
    SILENT = "silent"  # does not change
    WENT_BACK = "went_back"  # holds a record older than one seen before
    DAMAGED = "damaged"  # torn or overwritten
    STRANGE = "strange"  # whole, but of another cluster, key, disk, slot or release


_OF_FAULT: Final = {
    Fault.BLANK: SlotState.BLANK,
    Fault.FOREIGN: SlotState.DAMAGED,
    Fault.DAMAGED: SlotState.DAMAGED,
    Fault.OTHER_CLUSTER: SlotState.STRANGE,
    Fault.WRONG_KEY: SlotState.STRANGE,
    Fault.MISPLACED: SlotState.STRANGE,
    Fault.UNREADABLE: SlotState.STRANGE,
}


class SlotView(Struct, frozen=True, kw_only=True):
    """A slot as it is shown. Moments are this process's CLOCK_BOOTTIME; 0 never.

    Attributes:
        member: whose slot it is.
        slot: its index.
        state: see SlotState.
        sequence: of the newest authentic record; 0 none. Its upper half counts the member's starts.
        changed_ns: end of the read that saw the last good change.
        silent_ns: for how long it is proven not to have changed since, in nanoseconds.
        sealed_after_ns: the newest record was sealed after this moment.
        written_ms: when it was sealed by its author's wall clock, Unix milliseconds; for people only.
        damaged: how often its content was torn or overwritten.
        fault: what is wrong with the content now; None when nothing is.
    """

    member: str
    slot: int
    state: SlotState
    sequence: int = 0
    changed_ns: int = 0
    silent_ns: int = 0
    sealed_after_ns: int = 0
    written_ms: int = 0
    damaged: int = 0
    fault: Fault | None = None


class Slot:
    """All that is known of one slot."""

    __slots__ = ("changed_ns", "damaged", "fault", "member", "met", "newest", "raw", "sealed_after_ns", "went_back")

    def __init__(self, member: str) -> None:
        self.member = member
        self.raw: bytes | None = None  # as read last
        self.newest: Sealed | None = None  # the authentic record of the largest sequence
        self.fault: Fault | None = Fault.BLANK
        self.went_back = False
        self.met = False  # the newest record echoes this process
        self.changed_ns = 0
        self.sealed_after_ns = 0
        self.damaged = 0

    @property
    def echo(self) -> Echo:
        """What to echo of it."""
        return Echo(self.newest.session, self.newest.sequence) if self.newest else Echo()


class Board:
    """The slots of one disk, for the life of one process.

    Args:
        layout: of the cluster.
        volume: the disk's header.
        me: name of the member that reads and writes; empty for an onlooker, to whom nothing is ever delivered.
        session: 8 random bytes, new with each start.
        counters: what happens to each content read is counted here, once.
        in_doubt_ns: silence after which a slot counts as silent.
    """

    def __init__(
        self, *, layout: Layout, volume: Volume, me: str, session: bytes, counters: DiskCounters, in_doubt_ns: int
    ) -> None:
        self.volume = volume
        self.slots = [Slot(member) for member in volume.members]
        self.read_ns = 0  # beginning of the newest good read
        self.in_doubt_ns = in_doubt_ns
        self.counters = counters
        self._name = me
        self.me = _index(volume, me)
        self._layout = layout
        self._session = session
        self._sequence = 0
        self._wrote = False
        self._sealed_ns: dict[int, int] = {}

    def take(self, units: Mapping[int, bytes], began_ns: int, ended_ns: int) -> list[Heartbeat]:
        """Note what a read found, by unit, unit 0 left out by the caller; returns the heartbeats to deliver.

        A slot that is not in `units` did not change. `began_ns` and `ended_ns` are of the read.
        """
        first = not self.read_ns
        delivered = []
        for number, raw in sorted(units.items()):
            slot = self.slots[number - 1]
            if slot.member and raw != slot.raw:
                heartbeat = self._taken(number - 1, slot, raw, 0 if first else ended_ns)
                delivered += [heartbeat] if heartbeat else []
        self.read_ns = began_ns
        self._keep_ahead()
        return delivered

    def adopt(self, volume: Volume) -> None:
        """The same disk with other members: what is known of those that keep their slot is kept."""
        assert volume.disk == self.volume.disk
        known = {(index, slot.member): slot for index, slot in enumerate(self.slots)}
        self.slots = [known.get((index, name)) or Slot(name) for index, name in enumerate(volume.members)]
        self.volume = volume
        self.me = _index(volume, self._name)

    def record(self, heartbeat: Heartbeat, now_ns: int, written_ms: int) -> bytes:
        """The next record of this member as bytes; raises ValueError when it is too large for a slot."""
        assert self.me is not None
        echoes = tuple(slot.echo for slot in self.slots)
        record = Record(heartbeat, echoes, written_ms)
        self._sequence += 1
        block = self._layout.seal_record(self.volume.disk, self.me, self._session, self._sequence, record)
        if len(block) > self.volume.unit:
            raise ValueError(f"a record of {len(block)} bytes does not fit in a slot of {self.volume.unit}")
        self._sealed_ns[self._sequence] = now_ns
        if len(self._sealed_ns) > REMEMBERED:
            del self._sealed_ns[next(iter(self._sealed_ns))]
        self._wrote = True
        return block

    def view(self, slot: int, now_ns: int) -> SlotView:
        """One slot as it is now."""
        known = self.slots[slot]
        newest = known.newest
        return SlotView(
            member=known.member,
            slot=slot,
            state=self._state(known, now_ns),
            sequence=newest.sequence if newest else 0,
            changed_ns=known.changed_ns,
            silent_ns=max(0, self.read_ns - known.changed_ns) if known.changed_ns else 0,
            sealed_after_ns=known.sealed_after_ns,
            written_ms=newest.record.written_ms if newest else 0,
            damaged=known.damaged,
            fault=known.fault,
        )

    def _state(self, slot: Slot, now_ns: int) -> SlotState:
        if not self.read_ns or now_ns - self.read_ns > self.in_doubt_ns:
            return SlotState.UNKNOWN
        if slot.fault:
            return _OF_FAULT[slot.fault]
        if slot.went_back:
            return SlotState.WENT_BACK
        if not slot.changed_ns or self.read_ns - slot.changed_ns > self.in_doubt_ns:
            return SlotState.SILENT
        return SlotState.LIVE if slot.met else SlotState.UNMET

    def _taken(self, index: int, slot: Slot, raw: bytes, changed_ns: int) -> Heartbeat | None:
        """Judge one new content; `changed_ns` is 0 when it may be of any age. The heartbeat, if it is to be heard."""
        slot.raw = raw
        opened = self._layout.open_record(self.volume.disk, index, raw)
        if isinstance(opened, Sealed) and opened.record.heartbeat.sender != slot.member:
            opened = Fault.MISPLACED  # of the member that had this slot before
        if isinstance(opened, Fault):
            self._spoiled(slot, opened)
            return None
        slot.fault = None
        before = slot.newest.sequence if slot.newest else 0
        if opened.sequence <= before:
            slot.went_back = opened != slot.newest
            self.counters.replayed += slot.went_back
            return None
        slot.newest, slot.went_back, slot.changed_ns = opened, False, changed_ns
        if index == self.me:
            self._own(slot, opened)
            return None
        return self._met(slot, opened)

    def _spoiled(self, slot: Slot, fault: Fault) -> None:
        """Count a content that cannot be used."""
        slot.fault, slot.went_back = fault, False
        if fault is Fault.BLANK and slot.newest is None:
            return
        counters = self.counters
        match fault:
            case Fault.OTHER_CLUSTER:
                counters.other_cluster += 1
            case Fault.WRONG_KEY:
                counters.bad_key += 1
            case Fault.MISPLACED:
                counters.replayed += 1
            case Fault.UNREADABLE:
                counters.malformed += 1
            case Fault.BLANK | Fault.FOREIGN | Fault.DAMAGED:
                slot.damaged += 1
                counters.damaged += 1

    def _own(self, slot: Slot, opened: Sealed) -> None:
        """What stands in this member's own slot: this process's record, or somebody else's under its name."""
        slot.met = opened.session == self._session
        slot.sealed_after_ns = self._sealed_ns.get(opened.sequence, 0) if slot.met else 0
        self.counters.intruded += self._wrote and not slot.met

    def _met(self, slot: Slot, opened: Sealed) -> Heartbeat | None:
        """The heartbeat of a record that shows to have read this process's slot."""
        heartbeat, echoes = opened.record.heartbeat, opened.record.echoes
        echo = echoes[self.me] if self.me is not None and self.me < len(echoes) else Echo()
        slot.met = self.me is not None and echo.session == self._session
        if not slot.met:
            self.counters.unmet += 1
            return None
        slot.sealed_after_ns = max(slot.sealed_after_ns, self._sealed_ns.get(echo.sequence, 0))
        self.counters.received += 1
        return heartbeat

    def _keep_ahead(self) -> None:
        """Go on above all that anybody has seen of this member from another process."""
        if self.me is None:
            return
        seen = [self.slots[self.me].echo]
        seen += [
            slot.newest.record.echoes[self.me]
            for slot in self.slots
            if slot.newest and self.me < len(slot.newest.record.echoes)
        ]
        foreign = max((echo.sequence for echo in seen if echo.session != self._session), default=0)
        if foreign >= self._sequence:
            self._sequence = (foreign >> STARTS_SHIFT) + 1 << STARTS_SHIFT


def _index(volume: Volume, name: str) -> int | None:
    """The slot of a member; None when it has none."""
    return volume.members.index(name) if name and name in volume.members else None


__all__ = ["REMEMBERED", "STARTS_SHIFT", "Board", "DiskCounters", "Slot", "SlotState", "SlotView"]
