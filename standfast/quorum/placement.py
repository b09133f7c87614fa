"""Who runs what: `place(...)` chooses an owner among those that could take a queue manager.

Who can not run it, and where its strict groups do not let it be, is not asked. Among the others the comparison is
`RUNGS`, from the top; the first difference decides. Nothing is moved by it: it is only asked about queue managers that
have no living owner, or that must leave theirs.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from standfast.model.cluster import QueueManagerSpec, Role
from standfast.model.messages import Hop
from standfast.model.records import Assignment, MemberState
from standfast.model.view import View
from standfast.quorum.ties import Ties

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
    def known(self) -> tuple[object, ...]:
        """All that is known of it, for comparison."""
        return self.name, self.unfit, self.quarantined, self.told, self.hop, self.load

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
    GROUP = "group"  # where none of its strict groups, down as well, is then left without a place
    APART = "apart"  # fewest that it had better be apart from
    TOGETHER = "together"  # fewest elsewhere that it had better be together with
    PREFERENCE = "preference"  # the queue manager's own order; who is not in it comes after those who are
    FEWEST = "fewest"  # queue managers there already
    NAME = "name"


class _Question(NamedTuple):
    qm: str
    candidate: Candidate
    preferred: Mapping[str, int]
    among: Mapping[str, Candidate]
    ties: Ties


def _left_out(q: _Question) -> int:
    """How many that are down, and that its place decides about, could run nowhere then."""
    count = 0
    for name in q.ties.bound(q.qm):
        if q.ties.down(name):
            places = {c.name for c in able(name, q.ties, q.among)}
            mate = name in q.ties.mates(q.qm)
            count += q.candidate.name not in places if mate else places <= {q.candidate.name}
    return count


RUNGS: dict[Rung, Callable[[_Question], int | str]] = {
    Rung.HOP: lambda q: (q.candidate.hop is Hop.LOST) + (not q.candidate.reached),
    Rung.NOT_IN_QUARANTINE: lambda q: q.candidate.quarantined,
    Rung.HEARD: lambda q: q.candidate.told,
    Rung.GROUP: _left_out,
    Rung.APART: lambda q: q.ties.crowd(q.qm, q.candidate.name),
    Rung.TOGETHER: lambda q: q.ties.away(q.qm, q.candidate.name),
    Rung.PREFERENCE: lambda q: q.preferred.get(q.candidate.name, len(q.preferred)),
    Rung.FEWEST: lambda q: q.candidate.load,
    Rung.NAME: lambda q: q.candidate.name,
}
"""The smaller answer wins."""
_OF_GROUPS = frozenset({Rung.GROUP, Rung.APART, Rung.TOGETHER})
_UNTIED = [ask for rung, ask in RUNGS.items() if rung not in _OF_GROUPS]
"""What is left of the comparison where there are no groups: of the others' answers none differs then."""


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


def able(qm: str, ties: Ties, among: Mapping[str, Candidate]) -> list[Candidate]:
    """Who can run it, and has not failed to, where its strict groups let it be."""
    assignment = ties.told(qm).record
    return [
        c
        for c in among.values()
        if c.takes(assignment) and c.name not in assignment.failed_on and ties.open_to(qm, c.name)
    ]


def place(spec: QueueManagerSpec, among: Mapping[str, Candidate], ties: Ties, without: str = "") -> Candidate | None:
    """The best candidate for one queue manager, or None. The caller raises its load, and tells `ties` of it."""
    found = [c for c in able(spec.name, ties, among) if c.name != without]
    if len(found) <= 1:
        return found[0] if found else None
    preferred = {name: i for i, name in enumerate(spec.preferred)}
    others = among if not without else {c.name: c for c in among.values() if c.name != without}
    asked = RUNGS.values() if ties else _UNTIED
    questions = [_Question(spec.name, c, preferred, others, ties) for c in found]
    return min(questions, key=lambda q: [rung(q) for rung in asked]).candidate


def place_whole(
    names: tuple[str, ...], spec: QueueManagerSpec, among: Mapping[str, Candidate], ties: Ties, without: str
) -> Candidate | None:
    """The best candidate that could run all of these, `spec` among them, which must stay together; or None.

    Wherever they are now.
    """
    free = ties.lifted(names)
    takers = set(among).intersection(*({c.name for c in able(name, free, among)} for name in names))
    return place(spec, {name: c for name, c in among.items() if name in takers}, free, without)
