"""Storages that a machine which died holds on to: its lock, and writes that may still be on their way.

And the device that switches a machine off: it works, fails, or does not answer in time. It never lies.
"""

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from standfast.quorum.signals import Fenced
from standfast.sim.told import former
from standfast.sim.world import Broken, World


class Fencers(Struct, kw_only=True):
    """How storages and fencing work; times in nanoseconds, the others are probabilities.

    Attributes:
        sticks: of a machine that dies, for each queue manager that ran: its storage stays held.
        tells: whether a storage refuses a start while another holds it.
        takes_ns: (shortest, longest) time for an attempt.
        fails: of an attempt.
        hangs: of an attempt: it is given up after `timeout_ns`.
        timeout_ns: see above.
    """

    sticks: float = 0.0
    tells: bool = True
    takes_ns: tuple[int, int] = (1, 1)
    fails: float = 0.0
    hangs: float = 0.0
    timeout_ns: int = 1


class Held(Struct, frozen=True):
    """By whom: a machine of a member; `overridden`: its id, if the queue manager ran there by an override."""

    member: str
    identity: str
    overridden: str = ""


class Storages:
    """Of one run."""

    def __init__(self, world: World) -> None:
        self.fencers = Fencers()
        self.switch_off: Callable[[str], None] = lambda _: None
        """What the device does to a member's machines."""
        self.joined: Callable[[str], str] = lambda _: ""
        """Which machine is a member's, by the store."""
        self._world = world
        self._held: dict[str, Held] = {}

    def _holder(self, qm: str, member: str) -> Held | None:
        held = self._held.get(qm)
        return held if held is not None and held.member != member else None

    def locked(self, qm: str, member: str) -> bool:
        """Whether a start there is refused, because another member's machine holds the storage."""
        return self.fencers.tells and self._holder(qm, member) is not None

    def claim(self, qm: str, member: str, *, overridden: bool, unseen: Collection[str]) -> None:
        """It is started there: raises Broken when another member's machine may still write.

        An override may do that, and who could not know (`unseen`) of the one by which it ran there. A machine in whose
        place another one has joined is taken for gone.
        """
        holder = self._holder(qm, member)
        if holder is not None and self.joined(holder.member) not in ("", holder.identity):
            self._world.coverage["storage: held by who was replaced"] += 1
        elif holder is not None and {holder.overridden, former(holder.overridden)} & {*unseen}:
            self._world.coverage["override: storage held, where nobody could know"] += 1
        elif holder is not None and not overridden:
            raise Broken("fenced first", f"{qm} begins on {member} while {holder.member} may still write")
        self._held.pop(qm, None)

    def died(self, member: str, identity: str, ran: Mapping[str, str]) -> None:
        """A machine on which these ran has died; by queue manager its id, if it ran there by an override."""
        for qm, overridden in ran.items():
            if self._world.chance(self.fencers.sticks):
                self._world.coverage["storage: still held"] += 1
                self._world.say("store", f"the storage of {qm} is still held by {member}")
                self._held[qm] = Held(member, identity, overridden)

    def let_go(self, member: str) -> None:
        """Machines of that member are off for sure, or on again: they hold nothing."""
        self._held = {qm: holder for qm, holder in self._held.items() if holder.member != member}

    def attempt(self, member: str, give: Callable[[Fenced], None]) -> None:
        """Switch a member's machines off: the result comes after a while."""
        world, fencers = self._world, self.fencers
        world.say("fence", f"{member} is to be switched off")
        if world.chance(fencers.hangs):
            world.after(fencers.timeout_ns, self._failed, member, "timeout", give)
        elif world.chance(fencers.fails):
            world.after(world.between(*fencers.takes_ns), self._failed, member, "refused", give)
        else:
            world.after(world.between(*fencers.takes_ns), self._succeeded, member, give)

    def _failed(self, member: str, code: str, give: Callable[[Fenced], None]) -> None:
        self._world.coverage[f"fencing: {code}"] += 1
        give(Fenced(member, done=False, detail=code))

    def _succeeded(self, member: str, give: Callable[[Fenced], None]) -> None:
        self._world.coverage["fencing: done"] += 1
        self.switch_off(member)
        self.let_go(member)
        give(Fenced(member, done=True))
