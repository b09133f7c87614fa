"""Whom to switch off before a start: a former owner of which nothing but the end of its lease says that it has stopped.

Guarantees: where fencing is asked for, nothing is launched before the former owner was fenced or has joined anew; or,
with `unproven`, before its storage could be had without that. The store then says of which incarnation a member was
fenced, so that nobody does it twice and every queue manager that waits goes on. On each member at most one fencing of
another is under way. Lease, votes and all other queue managers wait for none.

Does not guarantee that a fencing which reports success has done anything: that is the command's word, or that of the
operator who confirms it by hand. A member that was removed, or in whose place another machine has joined, is taken for
gone. An override fences nobody.
"""

from collections.abc import Iterator

from msgspec import structs

from standfast.model.cluster import FenceWhen
from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, MemberRecord, MemberState, Put, Transaction, member_key
from standfast.model.view import Kept, View
from standfast.quorum import transactions as tx
from standfast.quorum.rules import Rules
from standfast.quorum.runs import Run
from standfast.quorum.signals import Effect, Fence, Fenced, Transact


def suspect(assignment: Assignment, view: View) -> tuple[str, ...]:
    """Its owner, when that was evicted: whether it gave its word before is not known any more."""
    kept = view.members.get(assignment.owner or "")
    return (kept.record.name,) if kept is not None and kept.record.state is MemberState.EVICTED else ()


def at_large(kept: Kept[MemberRecord] | None) -> bool:
    """Whether a member was evicted and neither fenced since, nor has joined anew."""
    return (
        kept is not None and kept.record.state is MemberState.EVICTED and kept.record.fenced < kept.record.incarnation
    )


def record(kept: Kept[MemberRecord], by: str) -> Transaction:
    """A member that was evicted is off; guarded, so that it says nothing of one that has joined anew meanwhile."""
    incarnation = kept.record.incarnation
    event = Event(kind=EventKind.MEMBER_FENCED, subject=kept.record.name, fields={"incarnation": incarnation, "by": by})
    put = Put(member_key(kept.record.name), structs.replace(kept.record, fenced=incarnation))
    return Transaction(guards=(tx.member_guard(kept),), puts=(put,), events=(event,))


class Fencing:
    """Of member `me`, for all that it starts."""

    __slots__ = ("_done", "_me", "_rules", "_under_way")

    def __init__(self, me: str, rules: Rules) -> None:
        self._me = me
        self._rules = rules
        self._under_way: dict[str, int] = {}  # member -> its incarnation
        self._done: dict[str, int] = {}  # the same, for what the store is still to be told

    def victim(self, run: Run, a: Assignment, view: View) -> str:
        """Who must be fenced before the next launch; empty when nobody must, or when nobody says how."""
        due = run.held or self._rules.cluster.fencing.when is FenceWhen.ALWAYS
        return self.at_hand(a, view) if due else ""

    def at_hand(self, a: Assignment, view: View) -> str:
        """Who may still write and can be fenced; empty when there is nobody."""
        known = self._rules.cluster.fencing.members
        return next((n for n in a.unproven if n in known and at_large(view.members.get(n))), "")

    def ask(self, run: Run, victim: str, view: View) -> Iterator[Effect]:
        """Have it fenced, unless that is under way or done; the run waits for what comes of it."""
        run.waits_for = victim
        incarnation = view.members[victim].record.incarnation
        if victim not in self._under_way and self._done.get(victim) != incarnation:
            self._under_way[victim] = incarnation
            yield Fence(victim)

    def ended(self, runs: dict[str, Run], given: Fenced, now_ns: int) -> None:
        """What came of it; the runs that waited are tried again: after a pause, if it has failed, and without end.

        No member gives a queue manager up for this: another one would have to have the same member fenced.
        """
        incarnation = self._under_way.pop(given.member, 0)
        if given.done:
            self._done[given.member] = incarnation
        for run in [run for run in runs.values() if run.waits_for == given.member]:
            if given.done:
                run.waits_for = ""
            elif run.unfenced(now_ns):
                run.told.append(self._failed(run, given))

    def steps(self, view: View) -> Iterator[Effect]:
        """Tell the store of those that were fenced, until it knows, or they have joined anew."""
        for name, incarnation in list(self._done.items()):
            kept = view.members.get(name)
            if kept is None or kept.record.incarnation != incarnation or not at_large(kept):
                del self._done[name]
            else:
                yield Transact(f"fenced:{name}", record(kept, self._me))

    def _failed(self, run: Run, given: Fenced) -> Event:
        fields: dict[str, str | int | float | bool | None] = {
            "former": given.member,
            "epoch": run.epoch,
            "owner": self._me,
            "detail": given.detail,
        }
        return Event(kind=EventKind.FENCING_FAILED, subject=run.spec.name, fields=fields)
