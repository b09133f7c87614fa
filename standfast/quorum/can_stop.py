"""What would be left: whether a member may be stopped, and whether the cluster could lose one more.

Pure arithmetic over what is seen now. It guarantees nothing about the next moment: a member that is well at the
answer may die during the stop. It counts a member only when it is online and heard, so it errs on the safe side.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum

from msgspec import Struct, field


class Situation(Struct, frozen=True, kw_only=True):
    """What is known when the question is asked.

    Attributes:
        members: names of all voters, whatever their state.
        up: those of them that are online and heard.
        stores: those of them that are online, heard, and have a store's server that serves; None when the store does
            not run on the members, or is not looked at.
        able: for each queue manager the members in `up` that could run it, or do.
        owners: for each queue manager that is placed, its owner.
        frozen: nothing is moved or taken over until the cluster is thawed.
        rank: names in coordinator order, the drained ones last.
        coordinator: the member that acts now; empty when there is none.
        store_leader: the member whose etcd leads; empty when unknown.
        store_servers: how many servers the store counts; 0 when unknown: one for each member.
        hears: for each member whose word is known, whom it hears; of the others it is assumed that they hear everybody.
        mates: for each queue manager of a strict group those that must be where it is.
        rivals: likewise those that must not.
    """

    members: tuple[str, ...]
    up: frozenset[str]
    stores: frozenset[str] | None = None
    able: Mapping[str, frozenset[str]] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    frozen: bool = False
    rank: tuple[str, ...] = ()
    coordinator: str = ""
    store_leader: str = ""
    store_servers: int = 0
    hears: Mapping[str, frozenset[str]] = field(default_factory=dict)
    mates: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rivals: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def contacts(self, member: str, gone: Collection[str]) -> int:
        """With how many members, itself included, it would be in two-way contact without those that are gone."""
        others = self.up - {*gone, member}
        return 1 + sum(self._hears(member, other) and self._hears(other, member) for other in others)

    def _hears(self, member: str, other: str) -> bool:
        return member not in self.hears or other in self.hears[member]

    @property
    def majority(self) -> int:
        """How many members are a majority."""
        return len(self.members) // 2 + 1

    @property
    def servers(self) -> int:
        """How many servers of the store there are."""
        return self.store_servers or len(self.members)

    @property
    def store_majority(self) -> int:
        """How many of the store's servers are a majority."""
        return self.servers // 2 + 1


class Cost(StrEnum):
    """What the absence of members costs."""

    NO_MAJORITY = "no_majority"  # fewer than a majority are left: every queue manager stops
    NO_STORE = "no_store"  # too few of the store's servers are left: what runs goes on, but no owner can change
    OUT_OF_TOUCH = "out_of_touch"  # the owner of a queue manager hears a majority only with them: it would stop
    NOWHERE_TO_RUN = "nowhere_to_run"  # a queue manager has no member left that could run it
    GROUP = "group"  # a member could run it, but not with the others of its strict groups where they are
    FROZEN = "frozen"  # another member could run it, but nothing is moved while frozen


class Reason(Struct, frozen=True):
    """One cost.

    Attributes:
        cost: which.
        subject: the queue manager, or the member whose loss brings it.
        left: members left, of whom `needed` are needed.
        needed: see left.
    """

    cost: Cost
    subject: str
    left: int
    needed: int


class Count(Struct, frozen=True):
    """How many of a kind are left without the member.

    Attributes:
        left: that are up without it.
        needed: a majority.
        of: how many there are.
    """

    left: int
    needed: int
    of: int


class Safety(Struct, frozen=True, kw_only=True):
    """The answer to `can_stop`.

    Attributes:
        member: the one to stop.
        up: whether it counts as up now; stopping one that does not costs nothing new.
        majority_kept: whether the others are a majority.
        survives_one_more: whether, without it, any one further loss would cost nothing.
        reasons: costs of the stop itself; empty when it is safe.
        further: costs of the first further loss of each member that would bring one; the subject is that member.
        votes: of the others.
        stores: servers of the store on the others; None when the store does not run on the members.
        coordinates: whether it is the coordinator now.
        successor: who coordinates without it; empty when nobody could.
        leads_store: whether its etcd leads: stopped at once, it costs an election; drained first, it does not.
    """

    member: str
    up: bool
    majority_kept: bool
    survives_one_more: bool
    reasons: tuple[Reason, ...]
    further: tuple[Reason, ...]
    votes: Count
    stores: Count | None = None
    coordinates: bool = False
    successor: str = ""
    leads_store: bool = False

    @property
    def safe(self) -> bool:
        """Whether the stop itself costs nothing: the majority is kept and every queue manager can run."""
        return not self.reasons


def can_stop(situation: Situation, member: str) -> Safety:
    """Whether `member` may be stopped now; raises KeyError when the cluster has no such member.

    A queue manager that can run nowhere already is not counted against the stop.
    """
    if member not in situation.members:
        raise KeyError(member)
    reasons = _new_costs(situation, {member})
    further = tuple(weak_points(situation, without=member))
    others, count = situation.up - {member}, len(situation.members)
    stores = situation.stores
    return Safety(
        member=member,
        up=member in situation.up,
        majority_kept=len(others) >= situation.majority,
        survives_one_more=not further,
        reasons=reasons,
        further=further,
        votes=Count(len(others), situation.majority, count),
        stores=None if stores is None else Count(len(stores - {member}), situation.store_majority, situation.servers),
        coordinates=situation.coordinator == member,
        successor=next((name for name in situation.rank if name in others), ""),
        leads_store=situation.store_leader == member,
    )


def weak_points(situation: Situation, without: str = "") -> Iterable[Reason]:
    """For each member whose sudden loss would cost something (`without` being gone already): the first cost.

    Empty: any one member can be lost.
    """
    for other in sorted(situation.up - {without}):
        costs = _new_costs(situation, {without, other})
        if costs:
            yield Reason(costs[0].cost, other, costs[0].left, costs[0].needed)


def _new_costs(situation: Situation, gone: set[str]) -> tuple[Reason, ...]:
    """What the absence of these members costs, beyond the queue managers that can run nowhere anyway."""
    left = len(situation.up - gone)
    if left < situation.majority:
        return (Reason(Cost.NO_MAJORITY, "", left, situation.majority),)
    costs: list[Reason] = []
    if situation.stores is not None and len(situation.stores - gone) < situation.store_majority:
        costs.append(Reason(Cost.NO_STORE, "", len(situation.stores - gone), situation.store_majority))
    needed = situation.majority
    for qm, able in sorted(situation.able.items()):
        owner, contacts = situation.owners.get(qm, ""), {name: situation.contacts(name, gone) for name in able - gone}
        remaining = sum(count >= needed for count in contacts.values())
        if owner in contacts and contacts[owner] < needed <= situation.contacts(owner, ()):
            costs.append(Reason(Cost.OUT_OF_TOUCH, qm, contacts[owner], needed))
        elif able and not remaining and any(situation.contacts(name, ()) >= needed for name in able):
            costs.append(Reason(Cost.NOWHERE_TO_RUN, qm, 0, 1))
        elif situation.frozen and situation.owners.get(qm) in gone:
            costs.append(Reason(Cost.FROZEN, qm, remaining, 1))
    counted = {reason.subject for reason in costs}
    return (*costs, *(Reason(Cost.GROUP, qm, 0, 1) for qm in _kept_down(situation, gone) if qm not in counted))


def _kept_down(situation: Situation, gone: set[str]) -> Iterator[str]:
    """Queue managers of the members that are gone that strict groups leave without a place, in the order of placing."""
    spots = {qm: owner for qm, owner in situation.owners.items() if owner not in gone}
    places = {
        qm: {name for name in able - gone if situation.contacts(name, gone) >= situation.majority}
        for qm, able in situation.able.items()
        if qm in situation.mates or qm in situation.rivals
    }
    for qm in sorted(places):
        if situation.owners.get(qm) not in gone:
            continue
        mates, rivals = situation.mates.get(qm, frozenset()), situation.rivals.get(qm, frozenset())
        homes = {spots[mate] for mate in mates if mate in spots}
        open_ = (places[qm] & homes if homes else places[qm]) - {spots[rival] for rival in rivals if rival in spots}
        if not open_:
            yield qm
            continue
        waiting = places.keys() - spots.keys()
        alone = Counter(name for mate in mates & waiting for name in open_ - places[mate])
        alone.update(name for rival in rivals & waiting for name in open_ if places[rival] <= {name})
        spots[qm] = min(sorted(open_), key=alone.__getitem__)
