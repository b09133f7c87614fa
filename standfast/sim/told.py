"""Who could know of an override: those whom a datagram of its member reached, or of somebody who could know.

This is the truth of the run, whatever the members make of it: the network says which datagrams of whom arrived where.
A majority of members of whom none could know decides as if there were no override. That is the one case in which two
may run the same, unless the storage excludes it; so it is told apart from every other one.
"""

from standfast.model.messages import Heartbeat
from standfast.sim.world import World


def former(machine: str) -> str:
    """Stands for an override of that machine which was lost with its disk."""
    return f"{machine} before"


class Told:
    """Of one run; `lapse_ns`: how long before its use a grant may have been given, in world time."""

    def __init__(self, world: World, members: list[str], majority: int, lapse_ns: int) -> None:
        self._world = world
        self._members = members
        self._majority = majority
        self._lapse_ns = lapse_ns
        self._since: dict[str, dict[str, int]] = {}
        """By machine with an override: machines that could know of it, and since when."""
        self._carriers: dict[str, set[tuple[int, int]]] = {}
        """By the same: datagrams (process, number) that could tell."""
        self._twins: set[str] = set()
        """Names of members of which there was more than one machine: one of them may not know."""

    def granted(self, machine: str) -> None:
        """An override begins on this machine.

        An earlier one that it does not know of any more was lost with its disk: what that had used, nobody may know.
        """
        if machine not in self._since.get(machine, {machine: 0}):
            self._since[former(machine)] = self._since[machine]
            self._carriers[former(machine)] = self._carriers[machine]
        self._since[machine] = {machine: self._world.now_ns}
        self._carriers[machine] = set()

    def sent(self, machine: str, heartbeat: Heartbeat) -> None:
        """A machine says something to everybody."""
        if machine != heartbeat.sender:
            self._twins.add(heartbeat.sender)
        for ordered, since in self._since.items():
            if machine in since:
                self._carriers[ordered].add((heartbeat.process, heartbeat.seq))

    def heard(self, machine: str, heartbeat: Heartbeat) -> None:
        """A daemon takes what arrived."""
        for ordered, since in self._since.items():
            if machine not in since and (heartbeat.process, heartbeat.seq) in self._carriers[ordered]:
                since[machine] = self._world.now_ns

    def lost(self, machine: str) -> None:
        """Its disk is empty."""
        for since in self._since.values():
            since.pop(machine, None)

    def answered_for(self, member: str) -> None:
        """An operator says that nothing runs there any more, and it is so."""
        for ordered in (member, former(member)):
            self._since.pop(ordered, None)
            self._carriers.pop(ordered, None)

    def free(self, ordered: str) -> bool:
        """Whether a majority could not know of that machine's override a term ago."""
        since, before_ns = self._since.get(ordered, {}), self._world.now_ns - self._lapse_ns
        unaware = [n for n in self._members if n in self._twins or since.get(n, self._world.now_ns) >= before_ns]
        return len(unaware) >= self._majority

    def unseen(self, machine: str) -> frozenset[str]:
        """Machines of whose override this one could not know, nor could those on whom its lease rests.

        And `former` of those of whose earlier override that is true.
        """
        return frozenset(x for x, since in self._since.items() if machine not in since and self.free(x))
