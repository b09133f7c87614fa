"""Faults at random times: which there are, and how each is done and undone."""

from collections.abc import Callable

from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL
from standfast.sim.disk_faults import DISK_FAULTS, DiskFaults
from standfast.sim.emergency import Emergency
from standfast.sim.enrolment import Enrolment
from standfast.sim.hop_faults import HOP_FAULTS, HopFaults
from standfast.sim.machine import Machine
from standfast.sim.surroundings import Surroundings
from standfast.sim.world import NS_PER_MS

FAULTS: dict[str, float] = {
    "cut pair": 2.0,
    "cut one way": 1.5,
    "isolate": 2.0,
    "deafen": 1.0,
    "mute": 1.0,
    "split": 1.0,
    "rolling cut": 3.0,
    "flap": 1.0,
    "lose link": 4.0,
    "heal": 3.0,
    "crash daemon": 2.0,
    "crash machine": 2.0,
    "empty disk": 0.7,
    "pause daemon": 2.0,
    "freeze machine": 1.0,
    "forgotten promise": 2.0,
    "namesake": 0.5,
    "namesake behind a cut": 2.0,
    "namesake beside the disk": 1.0,
    "store away": 0.7,
    "store slow": 0.7,
    "crash queue manager": 1.0,
    "hang queue manager": 0.7,
    "crash loop": 0.7,
    "unfit": 0.7,
    "move": 2.0,
    "drain": 0.7,
    "undrain": 1.0,
    "clear": 0.5,
    "window": 0.5,
    "freeze": 0.3,
    "thaw": 0.6,
    "crash owner": 6.0,
    "confirm fenced": 0.5,
    "leave": 0.7,
    **DISK_FAULTS,
    **HOP_FAULTS,
    "retime": 1.5,
    "override": 1.7,
    "end override": 0.3,
    "ask for override": 0.5,
    "reconfigure": 1.5,
    "add member": 2.0,
    "remove member": 2.0,
    "replace member": 1.0,
    "hasty growth": 1.0,
}
"""Every kind of fault and its usual weight."""

LOSES_ITS_DISK = 0.3
"""Of the forgotten promises, so many were on a disk that is lost."""
HELD_TERMS = 3
"""Longest time for which a transaction is held back on purpose."""


class Faults(Emergency, Enrolment, DiskFaults, HopFaults):
    """Does faults to machines, network and store, and undoes them after a while."""

    def __init__(self, around: Surroundings, machines: list[Machine], weights: dict[str, float], gap_ns: int) -> None:
        super().__init__(around, machines)
        self._gap_ns = gap_ns
        self._burst_until_ns = 0
        kinds = [(name, weight) for name, weight in weights.items() if weight > 0]
        self._names = [name for name, _ in kinds]
        self._weights = [weight for _, weight in kinds]
        self._temper = around.store.temper
        self._latency_ns = self._temper.latency_ns
        self.awaited = ""
        """The next acknowledgement of this machine lets go what the store holds back."""
        self.echo_ns = self._temper.deadline_ns + max(self._temper.late_ns, HELD_TERMS * self.term_ns)
        """How long after their end faults may still be heard of: transactions that are committed late."""

    # ------------------------------------------------------------ when

    def begin(self, *, bursts: bool) -> None:
        """Start doing faults; in bursts: a term or three of them, then several of quiet."""
        if self._names:
            self.world.after(self.span(), self._next, bursts)

    def _next(self, bursts: bool) -> None:
        if not self.on:
            return
        self.do(self.world.rng.choices(self._names, self._weights)[0])
        gap_ns = int(self.world.rng.expovariate(1.0) * self._gap_ns)
        if bursts and self.world.now_ns > self._burst_until_ns:
            quiet_ns = self.world.between(3 * self.term_ns, 12 * self.term_ns)
            self._burst_until_ns = self.world.now_ns + quiet_ns + self.world.between(self.term_ns, 4 * self.term_ns)
            gap_ns = quiet_ns
        self.world.after(gap_ns, self._next, bursts)

    def do(self, name: str) -> None:
        """One fault of that kind, now; none while an emergency is being made ready."""
        if self.busy:
            return
        self.world.coverage[f"fault: {name}"] += 1
        self.world.say("fault", name)
        _DO[name](self)

    # ------------------------------------------------------------ machines

    def restart_daemon(self, machine: Machine, after_ns: int) -> None:
        """The daemon dies, and another starts after a while."""
        machine.kill_daemon()
        self.later(after_ns, machine.start)

    def _crash_daemon(self) -> None:
        quick_ns = self.world.between(NS_PER_MS, 100 * NS_PER_MS)
        self.restart_daemon(self._any(), self.world.rng.choice([quick_ns, self.span()]))

    def switch_off(self, member: str) -> None:
        """A fence device cuts a member's machines off their power; after a while they are on again."""
        for machine in [m for m in self.machines if m.name == member and m.powered]:
            machine.power_off()
            self.world.after(self.span(), self.revive, machine)

    def crash_machine(self, machine: Machine, *, lose_disk: bool = False) -> None:
        """The machine dies, and is back after a while."""
        machine.power_off(lose_disk=lose_disk)
        self.later(self.span(), self.revive, machine)

    def _crash_machine(self) -> None:
        self.crash_machine(self.world.rng.choice(self._home))

    def _crash_owner(self) -> None:
        """The machine of a queue manager dies, mostly for longer than its lease lasts."""
        owners = [m for m in self._home if m.powered and m.warden.processes]
        if owners:
            machine = self.world.rng.choice(owners)
            machine.power_off()
            self.later(int(self.term_ns * self.world.rng.uniform(0.5, 5.0)), self.revive, machine)

    def _empty_disk(self) -> None:
        if not any(map(self.foreign, self.machines)):
            self.crash_machine(self.world.rng.choice(self._home), lose_disk=True)

    def pause(self, machine: Machine, span_ns: int) -> None:
        """Stop the daemon for a while; the warden acts by itself."""
        machine.pause()
        self.later(span_ns, machine.resume)

    def _pause_daemon(self) -> None:
        self.pause(self._any(), self.span())

    def _freeze_machine(self) -> None:
        """Daemon and warden stand still for less than the kill budget leaves: the assumption of design 2."""
        machine = self._any()
        if machine.powered and machine.warden.frozen_until_ns + self.term_ns < self.world.now_ns:
            span_ns = self.world.between(1, machine.warden.kill_ns // 2)
            machine.warden.frozen_until_ns = self.world.now_ns + span_ns
            self.pause(machine, span_ns)

    def _forgotten_promise(self) -> None:
        """A machine is cut off: first from voters that remember what they promised it, then from some that restart."""
        rng = self.world.rng
        me, *others = rng.sample(self._home, len(self._home))
        forgetful = set(rng.sample([m.id for m in others], rng.randint(1, len(others))))
        after_ns, span_ns = int(self.term_ns * rng.uniform(0.05, 0.9)), int(self.term_ns * rng.uniform(1.1, 3.0))
        one_lost = self._lose_one(after_ns, forgetful) if rng.random() < LOSES_ITS_DISK else ""
        for machine in others:
            forgets = machine.id in forgetful
            cut = self._filter if one_lost else self.cut
            self.later(after_ns if forgets else 0, cut, self.both(me.id, machine.id), span_ns)
            if forgets and machine.id != one_lost:
                soon_ns = self.world.between(NS_PER_MS, 30 * NS_PER_MS)
                self.later(after_ns + soon_ns // 4, self.restart_daemon, machine, soon_ns)

    def _lose_one(self, after_ns: int, among: set[str]) -> str:
        """One of these loses its disk with what it promised, and is soon back; empty: none may."""
        if any(map(self.foreign, self.machines)):
            return ""
        machine = self.world.rng.choice([m for m in self._home if m.id in among])
        self.later(after_ns + 1, self._lose_disk, machine)
        self.later(after_ns + self.world.between(NS_PER_MS, self.term_ns // 8), self.revive, machine)
        return machine.id

    def _lose_disk(self, machine: Machine) -> None:
        machine.power_off(lose_disk=not any(map(self.foreign, self.machines)))

    def _namesake(self) -> None:
        """Another machine with the name of one of the members, alive for a while beside it."""
        self._twin(self.span() + self.span())

    def _namesake_behind_a_cut(self) -> None:
        """A member is replaced while it lives on behind a cut, at the end of a chain of two that still hear it."""
        twin = self._twin(self.term_ns * 9)
        if twin is None:
            return
        rng = self.world.rng
        others = [m.id for m in self._home if m.id != twin[0]]
        rng.shuffle(others)
        if rng.choice([True, False]):
            self.cut(self.around_of(twin[0]), int(self.term_ns * rng.uniform(1.0, 5.0)))
        self.later(int(self.term_ns * rng.uniform(0.5, 4.0)), self._chain, twin[0], others[0], others[1])

    def _namesake_beside_the_disk(self) -> None:
        """A member is replaced while it lives on, in reach of the disk alone; then the new one is cut off as well."""
        rng, term_ns = self.world.rng, self.term_ns
        twin = self._twin(term_ns * 9) if self.around.disk.there else None
        if twin is None:
            return
        old, new = twin
        self.cut(self.around_of(old), term_ns * 9)
        for at in (3.0, 4.5, 6.0):
            qm = rng.choice(self.around.cluster.queue_managers).name
            self.later(int(term_ns * at), self.order, sig.Move(qm, old))
            self.later(int(term_ns * (at + rng.uniform(0.5, 1.5))), self.cut, self.around_of(new), self._timing.term_ns)

    def _chain(self, first: str, second: str, third: str) -> None:
        """The first is heard by the second alone, and the second by the third too."""
        links = self.both(first, second) | (self.both(second, third) if len(self._home) > len("abw") else set())
        self.heal(links)
        self.cut((self.around_of(first) | self.around_of(second)) - links, self.span() + 2 * self.term_ns)

    def _twin(self, span_ns: int) -> tuple[str, str] | None:
        """Start a machine with the name of another: the ids of both, or None when there is a foreign one already."""
        if any(map(self.foreign, self.machines)):
            return None
        twin = self.world.rng.choice(self._home)
        same = [m for m in self.machines if m.name == twin.name and m is not twin]
        machine = same[0] if same else Machine(self.around, twin.name + "'", twin.name, twin.skew, twin.manners)
        machine.file = twin.file
        if not same:
            self.machines.append(machine)
            self.around.network.nodes[twin.name].append(machine)
        machine.power_on()
        self.later(self.world.between(0, self.term_ns), machine.start)
        self.later(span_ns, machine.power_off)
        return twin.id, machine.id

    # ------------------------------------------------------------ store

    def let_go(self) -> None:
        """Let the store carry out what it holds back."""
        self.awaited = ""
        self.around.store.let_go()

    def _store_away(self) -> None:
        self.around.store.away = True
        self.later(self.span(), self._store_back)

    def _store_back(self) -> None:
        self.around.store.away = False

    def slow_store(self, span_ns: int) -> None:
        """Every call takes up to a deadline for a while."""
        self._temper.latency_ns = self._temper.deadline_ns * 2 // 3
        self.later(span_ns, self.quick_store)

    def quick_store(self) -> None:
        """The store is as quick as drawn again."""
        self._temper.latency_ns = self._latency_ns

    def _store_slow(self) -> None:
        self.slow_store(self.span())

    # ------------------------------------------------------------ queue managers

    def _crash_queue_manager(self) -> None:
        processes = [(m.warden, p) for m in self.machines if m.powered for p in m.warden.processes.values()]
        if processes:
            warden, process = self.world.rng.choice(processes)
            warden.crash(process)

    def _hang_queue_manager(self) -> None:
        processes = [(m.warden, p) for m in self.machines if m.powered for p in m.warden.processes.values()]
        if processes:
            warden, process = self.world.rng.choice(processes)
            warden.hang(process.qm)

    def _crash_loop(self) -> None:
        machine = self._any()
        if machine.powered:
            qm = self.world.rng.choice(self.around.cluster.queue_managers).name
            machine.warden.loops.add(qm)
            self.later(self.span() * 4, machine.warden.loops.discard, qm)
            for process in list(machine.warden.processes.values()):
                if process.qm == qm:
                    machine.warden.crash(process)

    def _unfit(self) -> None:
        machine = self._any()
        qm = self.world.rng.choice(self.around.cluster.queue_managers).name
        machine.take(sig.FitnessChanged((self.world.rng.choice([qm, qm, ALL]),)))
        self.later(self.span(), machine.take, sig.FitnessChanged(()))


_DO: dict[str, Callable[[Faults], None]] = {name: getattr(Faults, "_" + name.replace(" ", "_")) for name in FAULTS}
