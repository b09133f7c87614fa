"""How a member takes over settings that are newer than those it goes by.

Guarantees: it goes by settings only once it has read them, never by older ones again, and by those of the store as soon
as it has read any. What runs here is never cut short by other timers: until the lease is long enough for the new
budgets, its end is met with the old ones.
"""

from collections.abc import Iterator

from standfast.model.timing import NS_PER_MS
from standfast.model.view import View
from standfast.quorum.hearing import Hearing
from standfast.quorum.lease import Lease
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Adopted, Effect, LeaseMoved, Retimed


class Adoption:
    """Of one member."""

    __slots__ = ("_hearing", "_lease", "_rules")

    def __init__(self, rules: Rules, hearing: Hearing, lease: Lease) -> None:
        self._rules = rules
        self._hearing = hearing
        self._lease = lease

    def adopt(self, view: View, now_ns: int) -> Iterator[Effect]:
        """Go by the settings of this view, which has just been read, if they are newer.

        Not by what this member has but written itself: who reads them reads, too, that another has taken its place.
        """
        kept = view.settings
        if kept is None or not self._rules.revision < kept.revision <= view.revision:
            return
        before = self._rules.cluster
        self._rules.adopt(kept.record.in_force(before), kept.revision)
        if self._rules.cluster == before:
            return
        self._hearing.adopted(now_ns)
        self._lease.adopted()
        yield Adopted(self._rules.cluster, kept.revision)

    def ceiling_ns(self, view: View) -> int:
        """The longest term that any member may hold, in nanoseconds: as the store says; before it says so, the own."""
        kept = view.settings
        return kept.record.term_ceiling_ms * NS_PER_MS if kept is not None else self._rules.term_ns

    def catch_up(self, now_ns: int, *, idle: bool) -> Iterator[Effect]:
        """Live by the timers in force once the lease is long enough for them; `idle`: there is none to live by."""
        rules = self._rules
        if not rules.lagging:
            return
        if idle or now_ns < self._lease.held_ns - max(rules.stop_ns, rules.cluster.timing.stop_ns):
            rules.catch_up()
            yield self.lease_moved()
            yield Retimed(rules.lived)

    def lease_moved(self) -> LeaseMoved:
        """The lease as it is now, with the budgets by which its end is met."""
        return LeaseMoved(self._lease.held_ns, self._rules.stop_ns, self._rules.kill_ns)
