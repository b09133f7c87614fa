"""Operators in an emergency: the majority is gone, one data member is ordered to run, and then the others return.

They keep to the procedure of docs/override.md: the order is given only when no other data member runs anything or could
(all are dead, or have been cut off from everybody for long), and to one member at a time. In which order the others
return, whom they reach then, and what goes wrong meanwhile is drawn.
"""

from standfast.model.cluster import Role
from standfast.model.override import Stage, Stance
from standfast.quorum import signals as sig
from standfast.sim.machine import Machine
from standfast.sim.operators import Operators

TRIES = 6
FAR_TERMS = 8
"""So long a majority out of reach has to get a lease, decide and start."""
ENDED_BY_HAND = 0.3
APART = (0.0, 0.3, 1.0, 1.0)
"""How many of those who return have no way to the ordered member at first; when all: a majority out of its reach."""


class Emergency(Operators):
    """Orders overrides and ends them; `busy`: all is being made ready for an order, and nothing else shall go wrong."""

    busy = False

    def _homes(self) -> list[Machine]:
        return [m for m in self.machines if m.id == m.name]

    def _one_is_ordered(self) -> bool:
        return any(m.memory.stage not in (None, Stage.OVER) for m in self.machines)

    def _ask_for_override(self) -> None:
        """Only asked: what would be the answer?"""
        self.order(self.grant(dry=True))

    def grant(self, *, dry: bool = False) -> sig.GrantOverride:
        """The order."""
        now_ms = self.world.now_ns // 1_000_000
        return sig.GrantOverride(
            cluster=self.around.cluster.name, reason="simulated", by="operator", at_unix_ms=now_ms, dry=dry
        )

    def _end_override(self) -> None:
        """On the member itself; or on one that hears it, which refuses."""
        ordered = [m for m in self._homes() if m.memory.stage is not None]
        machine = self.world.rng.choice(ordered or self._homes())
        hearers = [m for m in self._homes() if self._hears(m, machine.name)]
        self.order(sig.EndOverride(machine.name), self.world.rng.choice([machine, *hearers[:1]]))

    def _hears(self, machine: Machine, other: str) -> bool:
        if machine.daemon is None or machine.name == other or machine.daemon.paused:
            return False
        return machine.daemon.core.hearing.hears(other, machine.clock.local(self.world.now_ns))

    def _override(self) -> None:
        """All but one data member die or are cut off from everybody; that one is ordered to run; the others return."""
        if self._one_is_ordered() or len(self._homes()) < len(self.machines):
            return
        rng, cluster = self.world.rng, self.around.cluster
        self.busy = True
        ordered = self.around_machine(self._data())
        spared = rng.randint(0, cluster.majority - 2)
        witnesses = [m.name for m in cluster.members if m.role is Role.WITNESS]
        near = set(rng.sample(witnesses, min(spared, len(witnesses))))
        gone = [m for m in self._homes() if m.name not in near | {ordered.name}]
        for machine in gone:
            if rng.choice([True, False]):
                machine.power_off()
            else:
                self.around.network.cut |= self.around_of(machine.id)
                self.around.disk.stuck.add(machine.id)
        self.world.say("fault", f"gone: {' '.join(m.id for m in gone)}; left: {ordered.id}")
        self.later(int(self.term_ns * rng.uniform(1.2, 2.5)), self._order_to_run, ordered, gone, TRIES)

    def around_machine(self, name: str) -> Machine:
        """The machine that is at home under that name."""
        return next(m for m in self._homes() if m.name == name)

    def _order_to_run(self, ordered: Machine, gone: list[Machine], tries: int) -> None:
        ordered.start()
        if not self._one_is_ordered() and not any(map(self._may_run, self.machines)):
            self.order(self.grant(), ordered)
        if not self._one_is_ordered() and tries:
            self.later(self.term_ns // 3, self._order_to_run, ordered, gone, tries - 1)
            return
        self.busy = False
        if self.world.chance(ENDED_BY_HAND):
            self.later(self.span(), self._end_override)
        order = list(gone)
        rng = self.world.rng
        rng.shuffle(order)
        at_ns, apart = rng.choice([0, self.span()]), rng.choice(APART)
        for machine in order:
            self.later(at_ns, self._return, machine, ordered, rng.random() < apart)
            at_ns += rng.choice([0, self.span()])

    def _may_run(self, machine: Machine) -> bool:
        """Whether anything runs on it, or might: what the operator looks at before the order."""
        if not machine.powered:
            return False
        left_ns = machine.warden.lease_end_ns - machine.clock.local(self.world.now_ns)
        return bool(machine.warden.processes) or left_ns > 0

    def _return(self, machine: Machine, ordered: Machine, apart: bool) -> None:
        """It is back, `apart`: without a way to the ordered member for a while; at times after a restart."""
        rng, network = self.world.rng, self.around.network
        self.around.disk.unstick({machine.id})
        if apart:
            self.cut(self.both(machine.id, ordered.id), self.span() + rng.choice([0, 1, FAR_TERMS]) * self.term_ns)
            self.heal(self.around_of(machine.id) - self.both(machine.id, ordered.id))
        else:
            self.heal(self.around_of(machine.id) & network.cut)
        if not machine.powered:
            machine.power_on()
            self.world.after(self.world.between(0, self.term_ns), machine.start_store)
        elif rng.choice([True, False]):
            machine.kill_daemon()
        self.world.after(self.world.between(0, self.term_ns), machine.start)

    def relieve(self, well: set[str], by: Machine) -> None:
        """After the trouble: switch off who does not come back, and end what others still keep to for its sake.

        One that is back ends its own override once it reaches a majority; for one that has lost links somebody must.
        """
        if by.daemon is None:
            return
        for word in by.daemon.core.overrides.words:
            machine = self.around_machine(word.member)
            torn = any(machine.id in pair for pair in self.around.network.cut)
            settles = machine.id in well and machine.memory.stage is not None and not torn
            if word.stance is Stance.ENDED or settles:
                continue
            if machine.id not in well:
                machine.power_off()
            self.order(sig.EndOverride(word.member), machine if machine.id in well else by)
