"""What the coordinator gives to whom: the queue managers of a member that it evicts, and all that have no living owner.

Those whose places hang together by strict groups are given in one transaction. What became of groups, held or not, is
told once: it stands in the assignment from then on.
"""

from collections.abc import Iterator

from standfast.model.records import Assignment, Guard, MemberRecord, Phase, Transaction
from standfast.model.view import Kept, View
from standfast.quorum import bundles
from standfast.quorum import transactions as tx
from standfast.quorum.fencing import suspect
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate, place, place_whole
from standfast.quorum.signals import Transact
from standfast.quorum.ties import Ties, Untied

MOST_GUARDS = 120
"""Conditions of one transaction; etcd's default limit is 128. What does not fit in follows at once."""
Move = tuple[Kept[Assignment], Kept[MemberRecord], tuple[Guard, ...]]


class Distribution:
    """By one member, as long as it is the coordinator."""

    __slots__ = ("_asked", "_loads", "_overrides", "_steps")

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = overrides
        self._asked: tuple[object, ...] = ()
        """What the steps that were found last follow from."""
        self._steps: tuple[Transact, ...] = ()
        self._loads: dict[str, int] = {}
        """What each candidate would own after them."""

    def inheritance(self, view: View, leaver: str, candidates: dict[str, Candidate]) -> Iterator[Move]:
        """Who gets what of a member that is being evicted, as much as goes into one transaction."""
        among = {name: c for name, c in candidates.items() if name != leaver}
        ties, guards, count = Ties(view, gone=leaver), set[Guard](), 0
        for held in view.assignments.values():
            if held.record.owner != leaver:
                continue
            spec = view.specs[held.record.qm].record
            if spec.halted or self._overrides.placed(spec.name):
                continue
            chosen = place(spec, among, ties)
            if chosen is None:
                continue
            beside = tuple(ties.guards(spec.name))
            guards.update(beside)
            count += 1
            if count > tx.MOVES_PER_TRANSACTION or len(guards) + 2 * count > MOST_GUARDS:
                return
            chosen.load += 1
            ties.put(spec.name, chosen.name)
            yield self._overrides.raised(held), view.members[chosen.name], beside

    def steps(self, view: View, candidates: dict[str, Candidate]) -> tuple[Transact, ...]:
        """Every transaction that is due for queue managers without a living owner, and for what groups there are.

        Asked at every step, of which many come while a thousand of them are being given away: the same steps are not
        worked out again while all that they follow from is the same.
        """
        known = (c.known for c in candidates.values())
        asked = (view.assignments, view.specs, view.members, view.settings, self._overrides.words, *known)
        if len(asked) == len(self._asked) and all(map(_same, asked, self._asked)):
            for name, load in self._loads.items():
                candidates[name].load = load
            return self._steps
        self._steps = tuple(self._worked_out(view, candidates))
        self._loads = {name: candidate.load for name, candidate in candidates.items()}
        self._asked = asked
        return self._steps

    def _worked_out(self, view: View, candidates: dict[str, Candidate]) -> Iterator[Transact]:
        ties = Ties(view)
        given: dict[str, list[Transaction]] = {}
        waiting: dict[str, Untied] = {}
        for qm, held in view.assignments.items():
            if not view.orphaned(held.record) or self._overrides.placed(qm):
                continue
            if view.specs[qm].record.halted:
                if held.record.phase is not Phase.HALTED:
                    yield Transact(f"place:{qm}", tx.halt(held, unproven=suspect(held.record, view)))
                continue
            chosen = place(view.specs[qm].record, candidates, ties)
            if chosen is not None:
                bundle = given.setdefault(ties.circle(qm), [])
                if len(bundle) < tx.MOVES_PER_TRANSACTION:
                    bundle.append(self._given(view, held, chosen, ties))
                    chosen.load += 1
                    ties.put(qm, chosen.name)
            elif held.record.phase is not Phase.GIVEN_UP and all_failed(held.record.failed_on, candidates):
                yield Transact(f"place:{qm}", tx.give_up(held, suspect(held.record, view)))
            else:
                waiting[qm] = _why_down(view, held, candidates, ties)
        for first, bundle in given.items():
            yield Transact(f"place:{first}", bundles.both(bundle))
        if ties or any(held.record.untied for held in view.assignments.values()):
            yield from _told(view, waiting)

    def _given(self, view: View, held: Kept[Assignment], chosen: Candidate, ties: Ties) -> Transaction:
        a = held.record
        reason = a.reason if a.owner is None else f"{a.owner}_gone"
        return tx.assign(
            self._overrides.raised(held),
            view.members[chosen.name],
            reason or "first_start",
            unproven=suspect(a, view),
            beside=ties.guards(a.qm),
        )


def _same(one: object, other: object) -> bool:
    """Whether they are one object, as the tables of a view stay, or small and equal."""
    return one is other or (isinstance(one, tuple) and one == other)


def all_failed(failed_on: tuple[str, ...], candidates: dict[str, Candidate]) -> bool:
    """Whether everyone there is to ask has failed; while nobody is there, somebody may still come."""
    return bool(failed_on) and bool(candidates) and all(name in failed_on for name in candidates)


def _why_down(view: View, held: Kept[Assignment], candidates: dict[str, Candidate], ties: Ties) -> Untied:
    """Whether nothing but its strict groups keeps it down, and which; none if its group is about to follow it."""
    qm = held.record.qm
    if not ties.bound(qm):
        return Untied.NONE
    free = [c for c in candidates.values() if c.takes(held.record) and c.name not in held.record.failed_on]
    if not free:
        return Untied.NONE
    if not any(ties.apart(qm, c.name) for c in free):
        return Untied.WAITS_APART
    follows = place_whole(ties.whole(qm), view.specs[qm].record, candidates, ties, without="")
    return Untied.NONE if follows is not None and follows.sound else Untied.WAITS_TOGETHER


def _told(view: View, waiting: dict[str, Untied]) -> Iterator[Transact]:
    """Tell what changed in how groups are held, or why one of them is down."""
    ties = Ties(view)
    for qm, held in view.assignments.items():
        said, other = held.record.untied, ""
        found = waiting.get(qm, Untied(said))
        if ties.judged(qm) and qm not in waiting:
            found, other = ties.broken(qm)
        if qm in waiting and found is Untied.NONE:
            continue
        if found != said:
            yield Transact(f"tie:{qm}", bundles.tell(held, view.specs[qm].record, found, other))
