"""Operators at work: the orders that they give while other things go wrong."""

from collections.abc import Callable

from standfast.model.cluster import Cluster, Role
from standfast.model.messages import Hop
from standfast.model.records import MemberState
from standfast.quorum import signals as sig
from standfast.sim.configuring import FACTORS, another, order_for, retimed, with_another
from standfast.sim.cuts import Cuts
from standfast.sim.machine import Machine
from standfast.sim.surroundings import Surroundings

LOOKED = 0.8
"""Of those who confirm that a member is off, so many have looked at the right machine."""
DONE = f"order: {sig.Verdict.DONE}"


class Operators(Cuts):
    """Gives orders to members drawn at random, and mostly takes them back after a while."""

    def __init__(self, around: Surroundings, machines: list[Machine]) -> None:
        super().__init__(around, machines)
        self._tickets = 0

    def order(self, order: sig.Order, by: Machine | None = None) -> None:
        """An operator gives an order to some member."""
        self._tickets += 1
        machine = by or self._any()
        if machine.daemon is not None and not machine.daemon.paused:
            told = f"Configure({order.wanted.timing})" if isinstance(order, sig.Configure) else order
            if isinstance(order, sig.GrantOverride):
                told = "GrantOverride"
            self.world.say("order", f"{told} to {machine.id}")
            done = self.world.coverage[DONE]
            machine.take(sig.Ordered(self._tickets, order))
            believed = self.world.coverage[DONE] > done
            if isinstance(order, sig.EndOverride) and order.member != machine.name and believed:
                self.around.told.answered_for(order.member)
                self.around.storages.let_go(order.member)

    def _data(self) -> str:
        return self.world.rng.choice([m.name for m in self.around.cluster.members if m.role is Role.DATA])

    def _move(self) -> None:
        qm = self.world.rng.choice(self.around.cluster.queue_managers).name
        beyond = [m.name for m in self.machines if m.hop is Hop.LOST]
        hasty = beyond and self.world.chance(0.5)
        self.order(sig.Move(qm, self.world.rng.choice(beyond) if hasty else self._data()))

    def _drain(self) -> None:
        member = self.world.rng.choice(self.around.cluster.members).name
        self.order(sig.Drain(member, on=True))
        self.later(self.span(), self.order, sig.Drain(member, on=False))

    def _undrain(self) -> None:
        self.order(sig.Drain(self._data(), on=False))

    def _clear(self) -> None:
        self.order(sig.Clear(self._data()))

    def _window(self) -> None:
        """The window for moving back opens for a while, by the clock of one machine."""
        machine = self._any()
        names = frozenset(qm.name for qm in self.around.cluster.queue_managers)
        machine.take(sig.FailbackWindows(names))
        self.later(self.span(), machine.take, sig.FailbackWindows(frozenset()))

    def _confirm_fenced(self) -> None:
        """An operator who has looked says that a member's machines are off; or has mistaken one that is in."""
        rng, view = self.world.rng, self.around.store.view
        names = sorted({m.name for m in self.machines if not m.powered})
        off = [n for n in names if not any(m.powered for m in self.machines if m.name == n)]
        online = [name for name, kept in view.members.items() if kept.record.state is MemberState.ONLINE]
        if off and rng.random() < LOOKED:
            name = rng.choice(off)
            self.around.storages.let_go(name)
            self.order(sig.ConfirmFenced(name, "operator"))
        elif online:
            self.order(sig.ConfirmFenced(rng.choice(online), "operator"))

    def _freeze(self) -> None:
        self.order(sig.Freeze(on=True))
        self.later(self.span(), self.order, sig.Freeze(on=False))

    def _thaw(self) -> None:
        self.order(sig.Freeze(on=False))

    def retime(self, by: Machine, factors: tuple[float, ...] = FACTORS) -> None:
        """An operator at that machine asks for another timing."""
        timing = another(self.world.rng, self._timing, factors)
        self._configure(by, lambda cluster: retimed(cluster, timing))

    def _configure(self, by: Machine, change: Callable[[Cluster], Cluster]) -> None:
        order = order_for(by, change, self.world.rng)
        if order is not None:
            self.order(order, by)

    def _retime(self) -> None:
        self.retime(self._any())

    def _reconfigure(self) -> None:
        rng = self.world.rng
        self._configure(self._any(), lambda cluster: with_another(cluster, self.around.cluster, rng))

    def _leave(self) -> None:
        machine = self._any()
        self.order(sig.LeaveCluster(), machine)
        self.later(self.span(), machine.start)
