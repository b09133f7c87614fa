"""Replicated storage: each data member has a copy, which grows with the owner's while both reach each other.

Modelled on DRBD with `fencing resource-and-stonith`: it lives in the kernel, whatever the daemon does. When the owner
loses a copy its writes freeze, and its daemon is asked to have the store say that the copy is outdated; they go on when
that was answered, and only then. A copy that is in touch again resynchronises, and the owner's daemon says so.

Promises, looked at directly: writes go on without a copy only while the store says that it is outdated; a queue manager
begins only on a copy with all that was ever written.
"""

from standfast.model.cluster import Cluster, Role
from standfast.quorum import signals as sig
from standfast.quorum.signals import Verdict
from standfast.sim.draws import Draws
from standfast.sim.machine import Machine
from standfast.sim.network import Network
from standfast.sim.promises import Promises
from standfast.sim.warden import Process, Warden
from standfast.sim.world import NS_PER_MS, Broken, World

WRITE_EVERY_NS = 7 * NS_PER_MS
RESYNC_NS = (20 * NS_PER_MS, 400 * NS_PER_MS)
LOOKS_AFTER_NS = (0, 300 * NS_PER_MS)
"""How old a look at the copies may be when what was seen is said: daemons are slow, and are paused."""
UNKNOWN_HERE = ("namesake", "empty disk", "override", "member", "reconfigure", "growth")
"""Faults whose names hold one of these bring machines with no copy at all, or bypass the promises: left out."""


def replicated(draws: Draws) -> Draws:
    """The same run without what brings machines that have no copy, or bypasses what is promised of copies."""
    for name in list(draws.weights):
        if any(word in name for word in UNKNOWN_HERE):
            draws.weights[name] = 0.0
    return draws


class Lost:
    """What a running owner knows of one copy that it lost."""

    def __init__(self) -> None:
        self.ticket = 0  # of the request that is under way; 0: none
        self.answered = False


class Replicas:
    """Of all queue managers of a run. Also its watcher: it looks at each process before the promises do."""

    def __init__(
        self, world: World, cluster: Cluster, network: Network, machines: list[Machine], promises: Promises
    ) -> None:
        self._world = world
        self._network = network
        self._machines = machines
        self._promises = promises
        self._names = {m.name for m in cluster.members if m.role is Role.DATA}
        self.written: dict[str, int] = {}
        """By queue manager: how much was written and acknowledged."""
        self._has: dict[tuple[str, str], int] = {}
        self._lost: dict[tuple[Process, str], Lost] = {}
        self._syncing: set[tuple[str, str]] = set()
        self._tickets = 0
        self.stamp, self.renewed = promises.stamp, promises.renewed

    # ------------------------------------------------------------ the watcher

    def began(self, process: Process, warden: Warden) -> None:
        """A process exists from now on."""
        self._promises.began(process, warden)
        if process.member in self._promises.view.assignments[process.qm].record.outdated:
            raise Broken(
                "current data", f"{process.qm} begins on {process.machine}, whose copy the store calls outdated"
            )
        lacks = self.written.get(process.qm, 0) - self._has.get((process.qm, process.machine), 0)
        if lacks > 0:
            raise Broken("current data", f"{process.qm} begins on {process.machine}, whose copy lacks {lacks} writes")
        self._world.after(WRITE_EVERY_NS, self._write, process)

    def ended(self, process: Process) -> None:
        """Nothing of it is left."""
        self._promises.ended(process)
        for key in [key for key in self._lost if key[0] is process]:
            del self._lost[key]

    # ------------------------------------------------------------ the owner's kernel

    def _write(self, process: Process) -> None:
        if self._promises.running.get(process.qm) is not process:
            return
        qm, home = process.qm, process.machine
        missing = [other for other in self._others(home) if not self._replicates(process, other)]
        if all((process, other) in self._lost and self._lost[process, other].answered for other in missing):
            for other in missing:
                self._fenced(qm, other)
            self.written[qm] = self.written.get(qm, 0) + 1
            for name in [home, *(other for other in self._others(home) if other not in missing)]:
                self._has[qm, name] = self.written[qm]
            self._world.coverage["replica: written alone" if missing else "replica: written"] += 1
        else:
            self._world.coverage["replica: frozen"] += 1
        self._world.after(WRITE_EVERY_NS, self._write, process)

    def _others(self, home: str) -> list[str]:
        return [m.id for m in self._machines if m.id != home and m.id in self._names]

    def _replicates(self, process: Process, other: str) -> bool:
        """Whether a write reaches that copy; otherwise what is to be done about it is begun."""
        qm, key = process.qm, (process, other)
        peer = next(m for m in self._machines if m.id == other)
        if not peer.powered or not self._network.in_touch(process.machine, other):
            lost = self._lost.setdefault(key, Lost())
            self._syncing.discard((qm, other))
            if not lost.answered and not lost.ticket:
                self._ask(process, lost, other)
            return False
        if self._has.get((qm, other), 0) == self.written.get(qm, 0):
            self._lost.pop(key, None)
            self._say_current(process, other)
            return True
        if (qm, other) not in self._syncing:
            self._syncing.add((qm, other))
            self._world.after(self._world.between(*RESYNC_NS), self._synced, process, other)
        return False

    def _fenced(self, qm: str, other: str) -> None:
        if other not in self._promises.view.assignments[qm].record.outdated:
            raise Broken("replication", f"{qm} is written without {other}, and the store calls that copy current")

    def _synced(self, process: Process, other: str) -> None:
        if (process.qm, other) in self._syncing and self._promises.running.get(process.qm) is process:
            self._has[process.qm, other] = self.written[process.qm]
            self._world.coverage["replica: resynchronised"] += 1
        self._syncing.discard((process.qm, other))

    # ------------------------------------------------------------ its daemon

    def _daemon_of(self, process: Process) -> Machine | None:
        home = next(m for m in self._machines if m.id == process.machine)
        return home if home.daemon is not None and not home.daemon.paused else None

    def _ask(self, process: Process, lost: Lost, other: str) -> None:
        """The handler asks the daemon; it asks again when the answer was no, and again when none came."""
        home = self._daemon_of(process)
        if home is None:
            return
        self._tickets -= 1  # those of operators count up
        lost.ticket = self._tickets
        self._world.after(self._world.between(400, 2000) * NS_PER_MS, self._give_up, lost, lost.ticket)
        home.take(sig.Ordered(lost.ticket, sig.Outdate(process.qm, other)))

    def _give_up(self, lost: Lost, ticket: int) -> None:
        if lost.ticket == ticket:
            lost.ticket = 0

    def answered(self, answer: sig.Answer) -> None:
        """An order was answered."""
        for lost in self._lost.values():
            if lost.ticket == answer.ticket:
                lost.ticket = 0
                lost.answered = answer.verdict is Verdict.DONE

    def _say_current(self, process: Process, other: str) -> None:
        """It was seen in sync: said a while later, with the revision that was known before the look."""
        home = self._daemon_of(process)
        if home is None or home.daemon is None:
            return
        kept = home.daemon.core.view.assignments.get(process.qm)
        if kept is not None and other in kept.record.outdated:
            refresh = sig.Refresh(process.qm, other, kept.revision)
            self._world.after(self._world.between(*LOOKS_AFTER_NS), self._order, process, refresh)

    def _order(self, process: Process, order: sig.Refresh) -> None:
        home = self._daemon_of(process)
        if home is not None:
            self._tickets -= 1
            home.take(sig.Ordered(self._tickets, order))

    # ------------------------------------------------------------ progress

    def needed(self, beside: set[str], data: list[str]) -> set[str]:
        """Of these members, some without whom something could not start, beside those that are there anyway."""
        found: set[str] = set()
        for kept in self._promises.view.assignments.values():
            if not {*beside, *found}.difference(kept.record.outdated):
                found |= {*data}.difference(kept.record.outdated)
        return found


__all__ = ["Replicas", "replicated"]
