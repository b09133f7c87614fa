"""What is supposed, and what would become of the cluster then: the question and the answer of `what_if`."""

from msgspec import Struct

from standfast.model.cluster import Role
from standfast.model.records import MemberState, Phase
from standfast.quorum.can_stop import Reason
from standfast.sim.chronicle import Line

Pair = tuple[str, str]
"""From whom, to whom."""


class Supposition(Struct, frozen=True, kw_only=True):
    """What is supposed to happen, all at once.

    Attributes:
        lose: members that die with everything on them.
        cut: pairs (from, to) between which nothing passes in that direction.
        fail_hop: members that lose their next hop.
    """

    lose: tuple[str, ...] = ()
    cut: tuple[Pair, ...] = ()
    fail_hop: tuple[str, ...] = ()


class MemberEnd(Struct, frozen=True, kw_only=True):
    """What became of a member.

    Attributes:
        name: of the member.
        role: of the member.
        alive: whether its daemon runs.
        incarnation: the newest of it in the store; 0 when it never joined.
        state: what the store holds of it; None when it never joined.
        leased: whether it holds a lease.
        hears: which others it hears, by name.
    """

    name: str
    role: Role
    alive: bool
    incarnation: int
    state: MemberState | None
    leased: bool
    hears: tuple[str, ...]


class QueueManagerEnd(Struct, frozen=True, kw_only=True):
    """What became of a queue manager.

    Attributes:
        name: of the queue manager.
        was_on: the member on which it ran before; None when it ran nowhere.
        runs_on: the member on which it runs; None when it runs nowhere.
        owner: who owns it, as the store says; None for nobody.
        epoch: of its assignment.
        phase: as the store says.
    """

    name: str
    was_on: str | None
    runs_on: str | None
    owner: str | None
    epoch: int
    phase: Phase


class Prospect(Struct, frozen=True, kw_only=True):
    """How it would go, and end.

    Attributes:
        under_way: what happens before anything supposed does, because it was under way when the snapshot was taken.
        story: what happens then; times from the moment of what is supposed.
        members: their ends, by name.
        queue_managers: their ends, by name.
        at_rest: whether it comes to rest at all; else the ends are only what is the case when the play is broken off.
        weak_points: members whose further loss would cost something, and what; empty when any one could be lost.
        unlike: members whose lease is not what the snapshot says: something is the matter that it does not show.
    """

    under_way: tuple[Line, ...]
    story: tuple[Line, ...]
    members: tuple[MemberEnd, ...]
    queue_managers: tuple[QueueManagerEnd, ...]
    at_rest: bool
    weak_points: tuple[Reason, ...]
    unlike: tuple[str, ...]

    @property
    def all_run(self) -> bool:
        """Whether every queue manager runs at the end, for good."""
        return self.at_rest and all(qm.runs_on is not None or qm.phase is Phase.HALTED for qm in self.queue_managers)

    @property
    def survives_one_more(self) -> bool:
        """Whether every queue manager runs and any one further member could be lost without cost."""
        return self.all_run and not self.weak_points
