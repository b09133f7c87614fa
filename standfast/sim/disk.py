"""The shared disk: a slot for each member's newest heartbeat; slow, stuck, torn, or out of a machine's sight.

Modelled on what the real link guarantees (`links/disk_slots.py`) and does not: a record is delivered to a reader that
its author has read since it started, once, and never after a newer one of the same slot. A write that hangs may land
late, even after newer ones and after its daemon's end. Two machines of one name share a slot.
"""

from typing import Protocol

from msgspec import Struct

from standfast.model.cluster import Cluster
from standfast.model.messages import Heartbeat
from standfast.quorum.signals import SeenOnDisk
from standfast.sim.world import NS_PER_MS, World

HURRY = 4
"""How many times as often a daemon reads while it misses another one on the network."""
START = 1 << 32
"""A new start of a daemon numbers its records from the next multiple of this."""


class Record(Struct, frozen=True):
    """What stands in a slot: a heartbeat, its number, the session of its author, and the sessions it had read."""

    heartbeat: Heartbeat
    number: int
    session: int
    echoes: dict[str, int]


class Reader(Protocol):
    """A daemon that reads and writes; while it is paused it does neither."""

    paused: bool

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        ...

    def give(self, given: SeenOnDisk) -> None:
        """What was read."""
        ...


class Disk:
    """Of a whole run."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        self.world = world
        self.interval_ns = cluster.timing.interval_ns
        self.members = len(cluster.members)
        self.latency_ns = 2 * NS_PER_MS
        """Longest time of a read or a write; the shortest is a quarter of it."""
        self.slots: dict[str, Record] = {}
        self.torn: set[str] = set()
        """Names of members whose slot holds nothing that can be read."""
        self.stuck: set[str] = set()
        """Machines whose I/O hangs."""
        self._seen_by = frozenset(m.name for m in cluster.members if cluster.disk_of(m.name))
        self._hung: list[tuple[str, str, Record]] = []

    @property
    def there(self) -> bool:
        """Whether any member has it."""
        return bool(self._seen_by)

    def end_for(self, machine: str, name: str, session: int, reader: Reader) -> "DiskEnd | None":
        """What a daemon on this machine reads and writes with; None when it does not see the disk."""
        return DiskEnd(self, machine, name, session, reader) if name in self._seen_by else None

    def io_ns(self) -> int:
        """How long a read or a write takes now."""
        return self.world.between(self.latency_ns // 4, self.latency_ns)

    def hang(self, machine: str, name: str, record: Record) -> None:
        """This write hangs until the machine's I/O goes on."""
        self._hung.append((machine, name, record))
        self.world.coverage["disk: write hung"] += 1

    def land(self, name: str, record: Record) -> None:
        """A record reaches its slot."""
        before = self.slots.get(name)
        if before is not None and before.number > record.number:
            self.world.coverage["disk: landed late"] += 1
        self.slots[name] = record
        self.torn.discard(name)

    def unstick(self, machines: set[str]) -> None:
        """The I/O of these machines goes on; what hung in it lands in its own time."""
        self.stuck -= machines
        freed = [held for held in self._hung if held[0] not in self.stuck]
        self._hung = [held for held in self._hung if held[0] in self.stuck]
        for _, name, record in freed:
            self.world.after(self.world.between(0, 3 * self.interval_ns), self.land, name, record)

    def tear(self, name: str) -> None:
        """A slot is overwritten or torn; its member's next record mends it."""
        if name in self.slots:
            self.torn.add(name)
            self.world.coverage["disk: slot torn"] += 1


class DiskEnd:
    """Of one life of a daemon."""

    def __init__(self, disk: Disk, machine: str, name: str, session: int, reader: Reader) -> None:
        self._disk = disk
        self._world = disk.world
        self._machine = machine
        self._name = name
        self._session = session
        self._reader = reader
        self._newest: Heartbeat | None = None
        self._writing = False
        self._number = 0
        self._known: dict[str, Record] = {}
        """By member: the newest record read in its slot."""
        self._hurried = False
        self._looks = 0
        self._world.after(self._world.between(0, disk.interval_ns), self._look, 0)

    def send(self, heartbeat: Heartbeat) -> None:
        """Write this as soon as the disk takes it, in place of one that still waits."""
        self._newest = heartbeat
        hurried = heartbeat.hears.bit_count() < self._disk.members
        if hurried and not self._hurried:
            self._looks += 1
            self._world.after(0, self._look, self._looks)
        self._hurried = hurried
        if not self._writing and self._number:
            self._write()

    def _write(self) -> None:
        assert self._newest is not None
        self._number += 1
        echoes = {name: record.session for name, record in self._known.items()}
        record = Record(self._newest, self._number, self._session, echoes)
        self._newest = None
        self._writing = True
        self._world.after(self._disk.io_ns(), self._wrote, record)

    def _wrote(self, record: Record) -> None:
        """Hung, it is given up after a while; the disk may carry it out long after."""
        if self._machine in self._disk.stuck:
            self._disk.hang(self._machine, self._name, record)
            self._world.after(self._disk.interval_ns, self._again)
        else:
            self._disk.land(self._name, record)
            self._again()

    def _again(self) -> None:
        self._writing = False
        if self._newest is not None and self._reader.lives:
            self._write()

    def _look(self, number: int) -> None:
        """Read all slots, every interval; what was read is told when the read ends. `number`: of this row of looks."""
        if not self._reader.lives or number != self._looks:
            return
        disk = self._disk
        if self._machine not in disk.stuck and not self._reader.paused:
            found = {name: record for name, record in disk.slots.items() if name not in disk.torn}
            self._world.after(disk.io_ns(), self._looked, found)
        self._world.after(disk.interval_ns // (HURRY if self._hurried else 1), self._look, number)

    def _looked(self, found: dict[str, Record]) -> None:
        if not self._reader.lives or self._reader.paused:
            return
        self._number = self._number or START
        own = found.get(self._name)
        if own is not None and own.session != self._session and own.number >= self._number:
            self._number = (own.number // START + 1) * START
        for name, record in found.items():
            known = self._known.get(name)
            if name == self._name or (known is not None and record.number <= known.number):
                continue
            self._known[name] = record
            if record.echoes.get(self._name) == self._session:
                self._world.coverage["disk: read"] += 1
                self._say(known, record.heartbeat)
                self._reader.give(SeenOnDisk(record.heartbeat))

    def _say(self, known: Record | None, heartbeat: Heartbeat) -> None:
        """Tell the words in it that are new, for the transcript."""
        before = known.heartbeat if known is not None else None
        if heartbeat.stopped and (before is None or before.stopped != heartbeat.stopped):
            self._world.say(self._machine, f"reads on the disk: {heartbeat.sender} says stopped, {heartbeat.stopped}")
        for ballot in heartbeat.ballots:
            if ballot.member == self._name and (before is None or ballot not in before.ballots):
                told = f"{heartbeat.sender} knows of ballot {ballot.revision} against {self._name}"
                self._world.say(self._machine, f"reads on the disk: {told}")
