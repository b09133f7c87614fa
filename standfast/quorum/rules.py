"""The cluster as it is in force for one member: who votes, and every timer, in nanoseconds.

Every part of the member's core holds this same object and reads it anew each time, so that they can not differ in what
they go by. Until the store was read it is what the cluster file says; from then on what the store's settings say.

Other timers are taken over in two steps. Heartbeats ask for the new term at once. But the lease that the member holds
still comes from the old one: until it is long enough for the new budgets, its end is met with the old ones, and
heartbeats go out as often as the old interval wants them. Else a longer stop budget would end at once what runs under
a short lease.
"""

from standfast.model.cluster import Cluster, LinkLoss, Role
from standfast.model.timing import Timing


class Rules:
    """What `cluster` says, as the parts of a core need it."""

    __slots__ = (
        "_known",
        "bits",
        "cluster",
        "drained",
        "in_doubt_ns",
        "interval_ns",
        "kill_ns",
        "lived",
        "majority",
        "names",
        "pace_ns",
        "rank",
        "revision",
        "stop_ns",
        "term_ns",
        "voters",
    )

    def __init__(self, cluster: Cluster) -> None:
        self._known: dict[int, dict[str, int]] = {}
        self.drained: tuple[str, ...] = ()
        """Whom operators have drained: they coordinate only when nobody else can."""
        self.adopt(cluster, 0)
        self._live_by(cluster.timing)

    def adopt(self, cluster: Cluster, revision: int) -> None:
        """Go by this from now on: the settings as of that revision of the store; 0: the cluster file."""
        timing = cluster.timing
        self.cluster = cluster
        self.revision = revision
        self.names = tuple(sorted(m.name for m in cluster.members))
        self.bits = {name: 1 << i for i, name in enumerate(self.names)}
        """Of each member in the masks of heartbeats."""
        self.voters = fingerprint(self.names)
        """Tells this set of names from others."""
        self._known[self.voters] = self.bits
        self.majority = cluster.majority
        self.rank = cluster.rank
        self.interval_ns = timing.interval_ns
        self.in_doubt_ns = timing.in_doubt_ns
        self.term_ns = timing.term_ns

    def translated(self, mask: int, voters: int) -> int | None:
        """Whom a sender hears that counts over another set of names; None when this member never knew that set.

        Whom the sender does not count it may hear: what nobody denies is taken as contact.
        """
        if voters in (self.voters, 0):
            return mask
        theirs = self._known.get(voters)
        if theirs is None:
            return None
        return sum(bit for name, bit in self.bits.items() if name not in theirs or mask & theirs[name])

    @property
    def lagging(self) -> bool:
        """Whether the lease is still lived by the timers before these."""
        return self.lived != self.cluster.timing

    def catch_up(self) -> None:
        """Live by the timers in force from now on."""
        self._live_by(self.cluster.timing)

    def _live_by(self, timing: Timing) -> None:
        self.lived = timing
        """The timers by which the lease is lived: their budgets are met before its end."""
        self.pace_ns = timing.interval_ns
        """The time between two heartbeats that keeps it."""
        self.stop_ns = timing.stop_ns
        self.kill_ns = timing.kill_ns

    def parts(self, role: Role) -> bool:
        """Whether members of this role that lost each other can not all stay."""
        return role is Role.DATA and self.cluster.policy.link_loss is LinkLoss.EVICT


def fingerprint(names: tuple[str, ...]) -> int:
    """A number for a set of names, the same on every machine: FNV-1a of 32 bits, and never 0."""
    value = 0x811C9DC5
    for byte in "/".join(names).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value or 1
