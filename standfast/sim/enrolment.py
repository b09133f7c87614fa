"""Operators who change who votes: members are added, removed after a stop or an eviction, replaced at other addresses.

The set wanders between the first one and two members more, so that it is even for a while, too.
"""

from msgspec import structs

from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.records import GONE
from standfast.quorum import signals as sig
from standfast.quorum import voter_orders
from standfast.sim.machine import Machine
from standfast.sim.operators import Operators
from standfast.sim.surroundings import Surroundings
from standfast.sim.world import NS_PER_MS

NEW = {"x": Role.DATA, "y": Role.WITNESS, "z": Role.DATA}
"""Names and roles of members that may be added."""
TRIES = 4
"""How often a removal is ordered again: until what was changed before is settled, it is refused."""
MORE = 2
"""How many more than in the beginning there may be."""


class Enrolment(Operators):
    """Changes the voters, one order at a time; whether it is carried out the members decide."""

    def __init__(self, around: Surroundings, machines: list[Machine]) -> None:
        super().__init__(around, machines)
        self._home = [m for m in machines if m.id == m.name]

    def install(self, machine: Machine, spec: MemberSpec) -> None:
        """Give a machine a new cluster file: the settings of now, and itself as this member."""
        present = self.voters
        others = tuple(m for m in present.members if m.name != spec.name)
        machine.file = structs.replace(present, members=(*others, spec))

    def revive(self, machine: Machine) -> None:
        """Power on, then the store process, then the daemon. A namesake that died stays dead."""
        if machine.powered or machine.id != machine.name:
            return
        machine.power_on()
        self.world.after(self.world.between(0, self.term_ns), machine.start_store)
        self.world.after(self.world.between(0, self.term_ns), machine.start)

    def foreign(self, machine: Machine) -> bool:
        """Whether the store knows another machine under its name: it is no member until that one is evicted.

        One disk may be lost at a time. With more, the votes that prove the ends of the old leases are lost too.
        """
        kept = self.around.store.view.members.get(machine.name)
        known = kept is None or kept.record.state in GONE or kept.record.identity == machine.identity
        return not known or (machine.id != machine.name and machine.powered)

    @property
    def voters(self) -> Cluster:
        """As the store has them."""
        settings = self.around.store.view.settings
        return settings.record.in_force(self.around.cluster) if settings is not None else self.around.cluster

    def add_member(self, by: Machine | None = None) -> None:
        """One more machine is told to the cluster, and switched on: before that, or a while later."""
        present, rng = self.voters, self.world.rng
        absent = [name for name in self._known() if name not in {m.name for m in present.members}]
        if not absent or len(present.members) >= len(self.around.cluster.members) + MORE:
            return
        name = rng.choice(absent)
        machine = next((m for m in self.machines if m.id == name), None) or self.new_machine(name)
        if rng.choice([True, False]) and not self.foreign(machine):
            machine.power_off(lose_disk=True)
        known = _spec(machine)
        spec = structs.replace(known, addresses=(self._address(),)) if rng.choice([0, 0, 1]) else known
        self.install(machine, spec)
        early_ns = rng.choice([0, 0, 2 * self.term_ns])
        if early_ns:
            self.revive(machine)
        self.later(early_ns, self._add, spec, by)
        self.later(early_ns + rng.choice([0, self.span()]), self.revive, machine)

    def _add(self, spec: MemberSpec, by: Machine | None) -> None:
        self.order(voter_orders.AddMember(spec, "operator"), by or self._clerk())

    def add_at_once(self, by: Machine) -> None:
        """One more whose machine is on already, or is not started at all, right behind another change."""
        present = {m.name for m in self.voters.members}
        ready = [m for m in self._home if m.name not in present]
        if ready:
            self.order(voter_orders.AddMember(_spec(self.world.rng.choice(ready)), "operator"), by)
        else:
            self.add_member(by)

    def hasten(self) -> None:
        """Operators in a hurry: two members at once, while some of the others do not hear of it."""
        absent = [name for name in self._known() if name not in {m.name for m in self.voters.members}]
        if len(absent) >= 2:  # noqa: PLR2004 - two at once
            new = [
                next((m for m in self.machines if m.id == name), None) or self.new_machine(name) for name in absent[:2]
            ]
            for machine in new:
                if not machine.powered:
                    self.install(machine, _spec(machine))
                self.revive(machine)
                machine.start()
            self.later(int(2.5 * self.term_ns), self._grow_and_split, new)

    def _grow_and_split(self, new: list[Machine]) -> None:
        """What a majority of before does not hear of: first no datagrams, so that the store still takes the orders."""
        names, rng = [m.name for m in self.voters.members], self.world.rng
        old = set(rng.sample(names, self.voters.majority))
        rest = [m for m in self._home if m.name in names and m.name not in old]
        across = {p for m in self.machines if m.id not in old for one in old for p in self.both(one, m.id)}
        self.around.network.filtered |= across
        clerk = rng.choice(rest)
        self._add(_spec(new[0]), clerk)
        for wait_ms in (4, 10, 25, 50):
            self.later(wait_ms * NS_PER_MS, self._add, _spec(new[1]), clerk)
        self.later(60 * NS_PER_MS, self._set_apart, across)

    def _set_apart(self, across: set[tuple[str, str]]) -> None:
        self.heal(across)
        self.around.network.cut |= across
        self.later(3 * self.term_ns, self.heal, across)

    def strangers(self) -> list[str]:
        """Machines at work that are no voters: removed and not aware of it, or not added yet."""
        present = {m.name for m in self.voters.members}
        return [m.id for m in self.machines if m.daemon is not None and m.name not in present]

    def remove_member(self, by: Machine | None = None) -> None:
        """One that is gone votes no more; mostly one is stopped for that first."""
        rng, names = self.world.rng, [m.name for m in self.voters.members]
        view = self.around.store.view
        if len(names) <= len(self.around.cluster.members) and self.world.chance(0.8):
            self.add_member(by)
            return
        gone = [n for n in names if n in view.members and view.members[n].record.state in GONE]
        if gone and self.world.chance(0.5):
            self.order(voter_orders.RemoveMember(rng.choice(gone), "operator"), by or self._clerk())
            return
        machine = next((m for m in self.machines if m.id == rng.choice(names)), None)
        if machine is not None:
            self.order(sig.LeaveCluster(), machine)
            self.later(self.span(), self._remove, machine, TRIES)

    def replace_member(self, by: Machine | None = None) -> None:
        """A machine with an empty disk, at another address, takes the place of one that is gone."""
        view, address = self.around.store.view, self._address()
        gone = [
            m
            for m in self._home
            if m.name in view.members and view.members[m.name].record.state in GONE and not self.foreign(m)
        ]
        if not gone:
            return
        machine = self.world.rng.choice(gone)
        self.order(voter_orders.ReplaceMember(machine.name, (address,), "", "operator"), by or self._clerk())
        self.later(self.span(), self._move_in, machine, address)

    def _remove(self, machine: Machine, tries: int) -> None:
        """Order it again and again; whether it is done or not, somebody starts the machine in the end."""
        if not machine.powered:
            # Who removes a member answers for it that its machine is gone.
            self.around.storages.let_go(machine.name)
        self.order(voter_orders.RemoveMember(machine.name, "operator"), self._clerk())
        removed = machine.name not in {m.name for m in self.voters.members}
        if removed or not tries:
            self.later(self.span(), machine.start)
        else:
            self.later(self.span(), self._remove, machine, tries - 1)

    def _clerk(self) -> Machine:
        """A machine where an order is taken."""
        awake = [m for m in self.machines if m.daemon is not None and not m.daemon.paused]
        return self.world.rng.choice(awake or self.machines)

    def _move_in(self, machine: Machine, address: str) -> None:
        """The new machine starts, if the order stands."""
        here = {m.name: m for m in self.voters.members}.get(machine.name)
        if here is not None and here.addresses == (address,) and not self.foreign(machine):
            machine.power_off(lose_disk=True)
            self.install(machine, here)
            self.revive(machine)

    def _known(self) -> list[str]:
        return [*(m.name for m in self.around.cluster.members), *NEW]

    def _address(self) -> str:
        return f"127.1.{self.world.between(0, 255)}.{self.world.between(1, 254)}"

    def new_machine(self, name: str) -> Machine:
        """One for a member that may be added, with a cluster file that has it."""
        manners, skew = self.machines[0].manners, self.world.rng.choice(self.machines).skew
        machine = Machine(self.around, name, name, skew, manners)
        self.install(machine, MemberSpec(name=name, role=NEW[name], addresses=(self._address(),)))
        self.machines.append(machine)
        self._home.append(machine)
        self.around.network.nodes.setdefault(name, []).append(machine)
        return machine

    def _hasty_growth(self) -> None:
        self.hasten()

    def _add_member(self) -> None:
        self.add_member()

    def _remove_member(self) -> None:
        self.remove_member()

    def _replace_member(self) -> None:
        self.replace_member()


def _spec(machine: Machine) -> MemberSpec:
    """The member, as the cluster file of this machine has it."""
    return machine.file.member(machine.name)
