"""Where an owner hands a queue manager over to, and when.

When: it must not keep it, its group can not be whole where it is, or it prefers another member. What must stay together
is handed over as a whole: all of it that this member owns is aimed at one member that can run it all, in one
transaction, or none of it is.
"""

from collections.abc import Iterator

from standfast.model.cluster import Failback, QueueManagerSpec
from standfast.model.messages import Hop
from standfast.model.records import Assignment, Phase
from standfast.model.view import Kept
from standfast.quorum import bundles
from standfast.quorum.behind import HOP_LOST, Behind
from standfast.quorum.failback import BY_HAND, Better
from standfast.quorum.placement import Candidate, able, place_whole
from standfast.quorum.rules import Rules
from standfast.quorum.runs import Run, RunState
from standfast.quorum.signals import Transact
from standfast.quorum.standing import Standing

WITH_ITS_GROUP = "with_its_group"
"""The reason of a move that brings a group to where the whole of it can run."""


class Removal:
    """From member `me`."""

    __slots__ = ("_behind", "_better", "_due", "_me", "windows")

    def __init__(self, me: str, rules: Rules) -> None:
        self._me = me
        self._behind = Behind(me, rules)
        self._better: dict[str, Better] = {}
        self._due = False
        self.windows: frozenset[str] = frozenset()
        """Queue managers whose daily window for moving back is open."""

    def forgive(self) -> None:
        """This member was not listening until now: what it saw of next hops counts afresh."""
        self._behind.forgive()

    def forget(self, qm: str) -> None:
        """It is not this member's any more."""
        self._better.pop(qm, None)

    def look(self, s: Standing) -> None:
        """See whether this member's next hop is a reason to hand over. Call it at every step."""
        self._due = s.hop is Hop.LOST and self._behind.due(s.hop, s.candidates, s.now_ns)
        if s.hop is not Hop.LOST:
            self._behind.forgive()

    def elsewhere(self, kept: Kept[Assignment], s: Standing) -> Candidate | None:
        """The best other member for it, and for all that must go with it; None while nothing is moved."""
        if s.view.orders.record.frozen:
            return None
        qm = kept.record.qm
        names = s.ties.company(qm, self._me)
        return place_whole(names, s.view.specs[qm].record, s.candidates, s.ties, without=self._me)

    def target_able(self, a: Assignment, s: Standing) -> bool:
        """Whether the member that it is to be handed to can take it."""
        candidate = s.candidates.get(a.target or "")
        if candidate is None or candidate.name == self._me or not candidate.takes(a):
            return False
        if not s.ties.open_to(a.qm, candidate.name):
            return False
        return a.reason != HOP_LOST or candidate.hop is not Hop.LOST

    def steps(self, run: Run, kept: Kept[Assignment], s: Standing) -> Iterator[Transact]:
        """Choose where to hand over to when this member must not keep it; drop a target that can not take it."""
        a = kept.record
        if a.target is not None:
            if not self.target_able(a, s):
                yield self._aim(kept, None, "target_not_eligible", s)
        elif not run.failed and (s.leaving or self._me in s.view.orders.record.drained):
            chosen = self.elsewhere(kept, s)
            if chosen is not None:
                yield self._aim(kept, chosen.name, "leaving" if s.leaving else "drained", s)
        elif not run.failed and self._due:
            chosen = self.elsewhere(kept, s)
            if chosen is not None and chosen.reached:
                yield self._aim(kept, chosen.name, HOP_LOST, s)
        elif run.state is RunState.SERVING and a.phase is Phase.RUNNING and not s.view.orders.record.frozen:
            yield from self._follow(run.spec, kept, s)

    def _aim(self, kept: Kept[Assignment], target: str | None, reason: str, s: Standing) -> Transact:
        names = s.ties.company(kept.record.qm, self._me)
        return Transact(f"aim:{names[0]}", bundles.aim(names, target, reason, s.view, s.ties))

    def _follow(self, spec: QueueManagerSpec, kept: Kept[Assignment], s: Standing) -> Iterator[Transact]:
        """Go where all of its group can run, else back to a member that it prefers."""
        a = kept.record
        names = s.ties.company(a.qm, self._me) if spec.together else (a.qm,)
        if spec.together:
            left = [n for n in s.ties.mates(a.qm) if s.ties.down(n) and self._can_not(n, s)]
            chosen = place_whole((*names, *left), spec, s.candidates, s.ties, without=self._me) if left else None
            if chosen is not None and chosen.sound:
                yield self._aim(kept, chosen.name, WITH_ITS_GROUP, s)
                return
        if spec.failback is Failback.NEVER:
            return
        better = self._better.setdefault(spec.name, Better())
        back = self._back(names, s) if spec.together or spec.apart else s.candidates
        target = better.due(spec, a, back, s.now_ns, opened=spec.name in self.windows)
        if target is not None:
            yield self._aim(kept, target, "failback", s)

    def _can_not(self, qm: str, s: Standing) -> bool:
        """Whether one of its group that is down could not run here."""
        me = s.candidates.get(self._me)
        return me is not None and me not in able(qm, s.ties, {self._me: me})

    def _back(self, names: tuple[str, ...], s: Standing) -> dict[str, Candidate]:
        """Who could take all of these back: none was put here by hand or failed there, and no group is parted by it."""
        found, free = dict(s.candidates), s.ties.lifted(names)
        for name in names:
            a = s.view.assignments[name].record
            takers = {c.name for c in able(name, free, found)}
            if a.reason == BY_HAND:
                return {}
            found = {
                n: c
                for n, c in found.items()
                if n in takers and n not in a.shunned and not free.crowd(name, n) and not free.away(name, n)
            }
        return found
