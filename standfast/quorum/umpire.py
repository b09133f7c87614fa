"""Lost links between data members under the policy `evict`: who goes is decided here, and written as a verdict.

Guarantees: a link counts as lost only after a term without a break; of all who have to go at one moment only such are
told so whose queue managers somebody who stays could run; a verdict stands only while all of the circle that stays are
online at the revisions that were looked at. So two umpires that see different circles can not evict both sides.

The umpire is a rank like the coordinator: of the members that are able, the one that hears the most of those who lost
each other, first in rank. The coordinator itself may hear one side only.
"""

from collections.abc import Callable, Iterator

from standfast.model.cluster import Role
from standfast.model.records import MemberRecord, MemberState, Transaction
from standfast.model.view import Kept, View
from standfast.quorum.arbiter import Grounds
from standfast.quorum.calm import Calm
from standfast.quorum.hearing import Hearing
from standfast.quorum.ladder import Merits
from standfast.quorum.overrides import Overrides
from standfast.quorum.parting import Loss, part
from standfast.quorum.placement import ALL, Candidate, place
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Transact
from standfast.quorum.tears import Tears
from standfast.quorum.ties import Ties
from standfast.quorum.verdicts import verdict


class Umpire:
    """The judging part of member `me`."""

    __slots__ = ("_calm", "_hearing", "_me", "_overrides", "_present", "_rules", "_tears")

    def __init__(self, me: str, rules: Rules, hearing: Hearing, calm: Calm, overrides: Overrides) -> None:
        self._me = me
        self._rules = rules
        self._hearing = hearing
        self._calm = calm
        self._overrides = overrides
        self._tears = Tears(rules)
        self._present: dict[str, int] = {}
        """Members that are online and heard as what they are in the store, with whom they hear."""

    def forgive(self) -> None:
        """This member was not listening until now: count afresh."""
        self._tears.forgive()

    def judges(self) -> bool:
        """Whether there is anything to decide in this cluster."""
        return self._rules.parts(Role.DATA)

    def watch(self, view: View, incarnation: int, now_ns: int) -> None:
        """Take note of who hears whom; `incarnation`: of this member. Call it at every step."""
        self._present = {}
        for name, kept in view.members.items():
            if kept.record.state is not MemberState.ONLINE or name not in self._rules.bits:
                continue
            if name == self._me:
                if kept.record.incarnation == incarnation:
                    self._present[name] = self._hearing.mask(now_ns)
            elif self._hearing.incarnation_heard(name, kept.record.incarnation, now_ns):
                ears = self._hearing.ears(name, now_ns)
                if ears is not None:
                    self._present[name] = ears
        self._tears.watch(self._present, now_ns)

    def decide(
        self,
        view: View,
        find: Callable[[], dict[str, Candidate]],
        unfit: tuple[str, ...],
        now_ns: int,
        *,
        able: bool,
    ) -> Iterator[Transact]:
        """The verdicts that are due; `find`: members that could take a queue manager, `unfit`: what this one could not.

        Asked for only when there is something to decide.
        """
        linked = self._tears.linked(self._present, now_ns)
        data = [name for name in self._present if view.members[name].record.role is Role.DATA]
        torn = {name for name in data if not linked[name].issuperset(n for n in data if n != name)}
        if not torn:
            return
        for name in torn:
            self._calm.trouble(name, now_ns)
        if view.orders.record.frozen or self._umpire(torn, now_ns, able=able) != self._me:
            return
        candidates = find()
        merits = {name: self._merits(view, name, candidates, unfit) for name in self._present}
        parting = part(merits, linked, self._rules.majority)
        if parting is None:
            return
        leaving = {loss.name for loss in parting.losses}
        staying = {name: candidate for name, candidate in candidates.items() if name not in leaving}
        circle = [view.members[name] for name in sorted(parting.circle)]
        for loss in parting.losses:
            if self._replaceable(view, loss.name, staying) and not self._overrides.shields(loss.name):
                yield Transact(f"verdict:{loss.name}", self._verdict(view.members[loss.name], loss, circle))

    def _umpire(self, torn: set[str], now_ns: int, *, able: bool) -> str | None:
        """Who judges: of the able ones that hear the most of them, the first in rank."""
        chosen, most = None, 0
        for name in self._rules.rank:
            heartbeat = self._hearing.fresh(name, now_ns)
            if not (able if name == self._me else heartbeat is not None and heartbeat.able):
                continue
            ears = self._hearing.ears(name, now_ns) or 0
            count = sum(bool(ears & self._rules.bits[other]) for other in torn)
            if count > most:
                chosen, most = name, count
        return chosen

    def _merits(self, view: View, name: str, candidates: dict[str, Candidate], own_unfit: tuple[str, ...]) -> Merits:
        spec = self._rules.cluster.member(name)
        heartbeat = self._hearing.peers[name].heartbeat if name != self._me else None
        unfit = heartbeat.unfit if heartbeat is not None else own_unfit
        data = view.members[name].record.role is Role.DATA
        able = name in candidates
        return Merits(
            name=name,
            data=data,
            able=able,
            checks=able and candidates[name].reached,
            current=_startable(view, name, unfit) if data else 0,
            runs=sum(not view.orphaned(k.record) and k.record.owner == name for k in view.assignments.values()),
            priority=spec.priority,
        )

    def _replaceable(self, view: View, name: str, staying: dict[str, Candidate]) -> bool:
        """Whether each queue manager that it owns could be run by somebody who stays."""
        ties = Ties(view, gone=name)
        for qm, kept in view.assignments.items():
            if kept.record.owner == name and not view.orphaned(kept.record):
                chosen = place(view.specs[qm].record, staying, ties)
                if chosen is None:
                    return False
                ties.put(qm, chosen.name)
        return True

    def _verdict(self, kept: Kept[MemberRecord], loss: Loss, circle: list[Kept[MemberRecord]]) -> Transaction:
        evictions = self._calm.evictions(kept.record)
        return verdict(kept, self._rules, Grounds.TORN, loss.by, evictions, lost_to=loss.to, staying=circle)


def _startable(view: View, name: str, unfit: tuple[str, ...]) -> int:
    """How many queue managers it could start on current data."""
    lacking = {qm for qm, kept in view.assignments.items() if name in kept.record.outdated}
    return 0 if ALL in unfit else len({*view.specs} - {*unfit} - lacking)
