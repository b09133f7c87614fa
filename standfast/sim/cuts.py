"""Faults of the network at random: cuts of every shape, for all traffic or for datagrams alone, and their healing."""

from collections.abc import Callable
from typing import Any

from standfast.model.cluster import Role
from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL
from standfast.sim.machine import Machine
from standfast.sim.surroundings import Surroundings

SPANS = (0.03, 0.2, 0.5, 0.9, 1.0, 1.1, 1.5, 3.0, 6.0)
"""How long things last, in terms; each is drawn from +-15 % around one of these."""


class Cuts:
    """Cuts links between machines and heals them after a while; `on`: whether faults may still begin."""

    def __init__(self, around: Surroundings, machines: list[Machine]) -> None:
        self.on = True
        self.around = around
        self.world = around.world
        self.machines = machines
        self.term_ns = around.cluster.timing.term_ns
        self._timing = around.cluster.timing
        self._filters = self.world.rng.choice([0.0, 0.3, 0.8])

    def later(self, delay_ns: int, do: Callable[..., None], *given: Any) -> None:
        """Do something after a while, unless the faults have ended by then."""
        self.world.after(delay_ns, self._if_on, do, given)

    def _if_on(self, do: Callable[..., None], given: tuple[Any, ...]) -> None:
        if self.on:
            do(*given)

    def span(self) -> int:
        """How long something lasts, in nanoseconds."""
        rng = self.world.rng
        return int(self.term_ns * rng.choice(SPANS) * rng.uniform(0.85, 1.15))

    def _any(self) -> Machine:
        return self.world.rng.choice(self.machines)

    def cut(self, pairs: set[tuple[str, str]], span_ns: int) -> None:
        """Let nothing, or no datagram, pass between these (from, to) for a while."""
        self._cut(pairs, span_ns, filtered=self.world.chance(self._filters))

    def _filter(self, pairs: set[tuple[str, str]], span_ns: int) -> None:
        """Let no datagram pass between these for a while; the store is not cut off."""
        self._cut(pairs, span_ns, filtered=True)

    def _cut(self, pairs: set[tuple[str, str]], span_ns: int, *, filtered: bool) -> None:
        network = self.around.network
        self.world.coverage["cut for datagrams alone" if filtered else "cut"] += 1
        self.world.say("net", ("filter " if filtered else "cut ") + " ".join(f"{a}>{b}" for a, b in sorted(pairs)))
        if filtered:
            network.filtered |= pairs
        else:
            network.cut |= pairs
        self.later(span_ns, self.heal, pairs)

    def heal(self, pairs: set[tuple[str, str]]) -> None:
        """Let everything pass between these."""
        network = self.around.network
        healed = pairs & (network.cut | network.filtered)
        if healed:
            self.world.say("net", "heal " + " ".join(f"{a}>{b}" for a, b in sorted(healed)))
            network.cut -= healed
            network.filtered -= healed

    def both(self, one: str, other: str) -> set[tuple[str, str]]:
        """Both directions between two machines."""
        return {(one, other), (other, one)}

    def around_of(self, machine: str) -> set[tuple[str, str]]:
        """Both directions between a machine and every other."""
        return {pair for m in self.machines if m.id != machine for pair in self.both(machine, m.id)}

    def _two(self) -> tuple[str, str]:
        one, other = self.world.rng.sample([m.id for m in self.machines], 2)
        return one, other

    def _cut_pair(self) -> None:
        self.cut(self.both(*self._two()), self.span())

    def _cut_one_way(self) -> None:
        self.cut({self._two()}, self.span())

    def _isolate(self) -> None:
        self.cut(self.around_of(self._any().id), self.span())

    def _deafen(self) -> None:
        me = self._any().id
        self.cut({(m.id, me) for m in self.machines if m.id != me}, self.span())

    def _mute(self) -> None:
        me = self._any().id
        self.cut({(me, m.id) for m in self.machines if m.id != me}, self.span())

    def _split(self) -> None:
        one_side = {m.id for m in self.machines if self.world.chance(0.5)}
        across = {
            (a.id, b.id) for a in self.machines for b in self.machines if (a.id in one_side) != (b.id in one_side)
        }
        self.cut(across, self.span())

    def split_data(self, span_ns: int) -> None:
        """The first two machines on one side, all others on the other."""
        here = {m.id for m in self.machines[:2]}
        across = {pair for one in here for m in self.machines if m.id not in here for pair in self.both(one, m.id)}
        self.cut(across, span_ns)

    def _rolling_cut(self) -> None:
        """Cut a machine off from one voter after the other, and heal in any order."""
        rng = self.world.rng
        me = self._any().id
        others = [m.id for m in self.machines if m.id != me]
        rng.shuffle(others)
        start_ns, within_ns = 0, int(self.term_ns * rng.choice([0.1, 0.6, 1.2]))
        for other in others:
            self.later(start_ns, self.cut, self.both(me, other), int(self.term_ns * rng.uniform(0.4, 2.2)))
            start_ns += self.world.between(0, within_ns)

    def _flap(self) -> None:
        rng = self.world.rng
        pairs = self.both(*self._two()) if rng.choice([True, False]) else self.around_of(self._any().id)
        at_ns = 0
        for _ in range(rng.randint(3, 12)):
            self.later(at_ns, self.cut, pairs, self.world.between(1, self._timing.in_doubt_ns * 2))
            at_ns += self.world.between(self._timing.interval_ns, self._timing.in_doubt_ns * 3)

    def _lose_link(self) -> None:
        """Two data members lose each other for long; sometimes one of them can start nothing, or not everything."""
        rng = self.world.rng
        data = [m for m in self.machines if m.id == m.name and m.file.member(m.name).role is Role.DATA]
        one, other = rng.sample(data, 2)
        span_ns = int(self.term_ns * rng.uniform(1.5, 5.0))
        self.cut(self.both(one.id, other.id), span_ns)
        unfit = rng.choice([(), (), (ALL,), (rng.choice(self.around.cluster.queue_managers).name,)])
        if unfit:
            one.take(sig.FitnessChanged(unfit))
            self.later(span_ns, one.take, sig.FitnessChanged(()))

    def _heal(self) -> None:
        self.heal(self.around.network.cut | self.around.network.filtered)
