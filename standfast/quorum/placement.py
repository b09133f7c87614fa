"""Who runs what: `place(...)` chooses an owner among those that could take a queue manager.

The comparison is `RUNGS`, from the top; the first difference decides. Nothing is moved by it: it is only asked about
queue managers that have no living owner, or that must leave theirs.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from standfast.model.cluster import QueueManagerSpec, Role
from standfast.model.messages import Hop
from standfast.model.records import Assignment, MemberState
from standfast.model.view import View

ALL = "*"


class Candidate:
    """A data member that holds a lease, as the chooser sees it.

    `unfit`: what it could not run; `quarantined`: it lost its lease too often; `told`: it is not heard, others say so;
    `hop`: its next hop.
    """

    __slots__ = ("hop", "load", "name", "quarantined", "told", "unfit")

    def __init__(
        self, name: str, unfit: Iterable[str], *, quarantined: bool = False, told: bool = False, hop: Hop = Hop.NONE
    ) -> None:
        self.name = name
        self.told = told
        self.unfit = frozenset(unfit)
        self.quarantined = quarantined
        self.hop = hop
        self.load = 0

    def takes(self, assignment: Assignment) -> bool:
        """Whether it could start this queue manager: its checks pass, and its copy of the data is current."""
        return assignment.qm not in self.unfit and self.name not in assignment.outdated

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against it, so that something may even be moved there without need."""
        return not self.quarantined and not self.told and self.reached

    @property
    def reached(self) -> bool:
        """Whether its clients reach it, as far as is known: its next hop is found, or it has none to look at."""
        return self.hop in {Hop.NONE, Hop.FOUND}


class Rung(StrEnum):
    """The steps of the comparison."""

    HOP = "hop"  # without its next hop its clients may not reach it: only if nobody has one
    NOT_IN_QUARANTINE = "not_in_quarantine"  # a member in quarantine is the last resort, better than none
    HEARD = "heard"  # by its own word; one that only others hear comes after those who are
    PREFERENCE = "preference"  # the queue manager's own order; who is not in it comes after those who are
    FEWEST = "fewest"  # queue managers there already
    NAME = "name"


class _Question(NamedTuple):
    candidate: Candidate
    preferred: Mapping[str, int]


RUNGS: dict[Rung, Callable[[_Question], int | str]] = {
    Rung.HOP: lambda q: (q.candidate.hop is Hop.LOST) + (not q.candidate.reached),
    Rung.NOT_IN_QUARANTINE: lambda q: q.candidate.quarantined,
    Rung.HEARD: lambda q: q.candidate.told,
    Rung.PREFERENCE: lambda q: q.preferred.get(q.candidate.name, len(q.preferred)),
    Rung.FEWEST: lambda q: q.candidate.load,
    Rung.NAME: lambda q: q.candidate.name,
}
"""The smaller answer wins."""


def candidates(
    view: View, leased: Mapping[str, tuple[str, ...]], told: Collection[str] = (), hops: Mapping[str, Hop] | None = None
) -> dict[str, Candidate]:
    """Members that may be given something: data, online, not drained, with a lease.

    `leased`: name -> unfit list, by their own word; `told`: others that could run anything, by the word of those who
    hear them. Between members that lost each other this is what lets one hand over to the other, and act for it.
    `hops`: how it stands with the next hop of each; of those others it is not known, where members look at hops.
    """
    hops = hops or {}
    untold = Hop.UNKNOWN if any(hop is not Hop.NONE for hop in hops.values()) else Hop.NONE
    drained = view.orders.record.drained
    found = {
        name: Candidate(
            name,
            leased.get(name, ()),
            quarantined=kept.record.quarantined,
            told=name not in leased,
            hop=hops.get(name, untold),
        )
        for name, kept in view.members.items()
        if kept.record.role is Role.DATA
        and kept.record.state is MemberState.ONLINE
        and (name in leased or name in told)
        and name not in drained
        and ALL not in leased.get(name, ())
    }
    for kept_assignment in view.assignments.values():
        owner = found.get(kept_assignment.record.owner or "")
        if owner is not None:
            owner.load += 1
    return found


def place(
    spec: QueueManagerSpec, assignment: Assignment, among: Mapping[str, Candidate], without: str = ""
) -> Candidate | None:
    """The best candidate for one queue manager, or None. The caller raises its load when it uses the answer."""
    able = [
        c for c in among.values() if c.name != without and c.takes(assignment) and c.name not in assignment.failed_on
    ]
    if not able:
        return None
    preferred = {name: i for i, name in enumerate(spec.preferred)}
    return min(able, key=lambda c: [rung(_Question(c, preferred)) for rung in RUNGS.values()])
