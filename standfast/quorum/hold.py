"""Held back: an evicted member stays out until its links have held for a while, the longer the oftener it went.

Guarantees: it is held only while the others can do without it. As soon as too few members are online and heard for a
majority, or a queue manager is down that it could run where the others are, it joins: at once when its links are whole,
else half-way from doubt to lapse, so that no takeover waits for it.
"""

from standfast.model.cluster import Role
from standfast.model.records import MemberRecord, MemberState, Phase
from standfast.model.view import View
from standfast.quorum.arbiter import Grounds
from standfast.quorum.hearing import Hearing
from standfast.quorum.placement import ALL, Candidate, able, place_whole
from standfast.quorum.rules import Rules
from standfast.quorum.ties import Ties

FIRST_TERMS = 4
LONGEST_TERMS = 128
SILENCE = frozenset({Grounds.SILENT, Grounds.ISOLATED})
"""How long the links must hold: from 10 s to 5 min of the profile `normal`, doubled with every eviction."""


def settle_terms(record: MemberRecord) -> int:
    """For how many terms its links must hold. Silence may be a restart: the first eviction for it costs nothing."""
    steps = record.evictions - (record.reason in SILENCE)
    return min(FIRST_TERMS << (steps - 1), LONGEST_TERMS) if steps > 0 else 0


class Hold:
    """Of member `me`."""

    __slots__ = ("_hearing", "_me", "_rules", "_wanted_ns", "_whole_ns")

    def __init__(self, me: str, rules: Rules, hearing: Hearing) -> None:
        self._me = me
        self._rules = rules
        self._hearing = hearing
        self._whole_ns: int | None = None
        self._wanted_ns: int | None = None

    def forgive(self) -> None:
        """This member was not listening until now: count afresh."""
        self._whole_ns = self._wanted_ns = None

    def left_ns(self, view: View, unfit: tuple[str, ...], now_ns: int, *, in_touch: bool) -> int:
        """How long it must still wait before it joins, if nothing changes; 0: not at all. Call it at every step.

        `unfit`: queue managers that it could not run now.
        """
        kept = view.members.get(self._me)
        if kept is None or kept.record.state not in (MemberState.EVICTED, MemberState.EVICTING):
            self.forgive()
            return 0
        whole = in_touch and self._whole(view, now_ns)
        self._whole_ns = (self._whole_ns or now_ns) if whole else None
        wanted = self._wanted(view, unfit, now_ns)
        self._wanted_ns = (self._wanted_ns or now_ns) if wanted else None
        settle_ns = settle_terms(kept.record) * self._rules.term_ns
        left_ns = settle_ns if self._whole_ns is None else max(0, self._whole_ns + settle_ns - now_ns)
        if self._wanted_ns is None:
            return left_ns
        patience_ns = 0 if whole else (self._rules.term_ns - self._rules.in_doubt_ns) // 2
        return min(left_ns, max(0, self._wanted_ns + patience_ns - now_ns))

    def _whole(self, view: View, now_ns: int) -> bool:
        """Whether it is in two-way contact with every member that it would be judged against."""
        return all(
            self._hearing.hears(name, now_ns) and self._hearing.heard_by(name, now_ns)
            for name, kept in view.members.items()
            if name != self._me and kept.record.state is MemberState.ONLINE and self._rules.parts(kept.record.role)
        )

    def _wanted(self, view: View, unfit: tuple[str, ...], now_ns: int) -> bool:
        """Whether the others can not do without it.

        Who is held back too may think the same of this one, who is in doubt may be dead, and a voter that has not
        joined yet may be nowhere: so it counts for nothing that any of those may hear who is online.
        """
        online = [name for name, kept in view.members.items() if kept.record.state is MemberState.ONLINE]
        others = sum(self._hearing.heard_among(name, online, now_ns) >= self._rules.majority for name in online)
        if others < self._rules.majority:
            return True
        if view.orders.record.frozen or self._me in view.orders.record.drained:
            return False
        own = view.members[self._me].record
        down = [qm for qm, kept in view.assignments.items() if view.orphaned(kept.record)]
        if own.role is not Role.DATA or not down:
            return False
        me, ties = Candidate(self._me, unfit, quarantined=own.quarantined), Ties(view)
        return any(_could_run(qm, me, view, ties) for qm in down)


def _could_run(qm: str, me: Candidate, view: View, ties: Ties) -> bool:
    """Whether the join of that member may bring this one back: as things are, or because its whole group follows it."""
    if view.assignments[qm].record.phase is Phase.HALTED or ALL in me.unfit:
        return False
    among = {me.name: me}
    if able(qm, ties, among):
        return True
    return me.sound and place_whole(ties.whole(qm), view.specs[qm].record, among, ties, without="") is not None
