"""Storages that a machine which died holds on to: its lock, and writes that may still be on their way.

And the device that switches a machine off: it works, fails, or does not answer in time. It never lies.
"""

from collections.abc import Callable

from msgspec import Struct

from standfast.quorum.signals import Fenced
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


class Storages:
    """Of one run."""

    def __init__(self, world: World) -> None:
        self.fencers = Fencers()
        self.switch_off: Callable[[str], None] = lambda _: None
        """What the device does to a member's machines."""
        self._world = world
        self._held: dict[str, str] = {}

    def _holder(self, qm: str, member: str) -> str:
        held = self._held.get(qm, "")
        return held if held != member else ""

    def locked(self, qm: str, member: str) -> bool:
        """Whether a start there is refused, because another member's machine holds the storage."""
        return self.fencers.tells and bool(self._holder(qm, member))

    def claim(self, qm: str, member: str, *, overridden: bool) -> None:
        """It is started there: raises Broken when another member's machine may still write; an override may do that."""
        holder = self._holder(qm, member)
        if holder and not overridden:
            raise Broken("fenced first", f"{qm} begins on {member} while {holder} may still write")
        self._held.pop(qm, None)

    def died(self, member: str, qms: list[str]) -> None:
        """A machine on which these ran has died."""
        for qm in qms:
            if self._world.chance(self.fencers.sticks):
                self._world.coverage["storage: still held"] += 1
                self._world.say("store", f"the storage of {qm} is still held by {member}")
                self._held[qm] = member

    def let_go(self, member: str) -> None:
        """Machines of that member are off for sure, or on again: they hold nothing."""
        self._held = {qm: holder for qm, holder in self._held.items() if holder != member}

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
