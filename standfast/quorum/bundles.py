"""Transactions about queue managers of a group: what is given or moved as a whole, and what is told of it."""

from collections.abc import Iterable

from msgspec import structs

from standfast.model.cluster import QueueManagerSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, Guard, Put, Transaction
from standfast.model.view import Kept, View
from standfast.quorum import transactions as tx
from standfast.quorum.ties import Ties, Untied

KINDS = {
    Untied.NONE: EventKind.QM_GROUP_HELD,
    Untied.APART: EventKind.QM_GROUP_BROKEN,
    Untied.TOGETHER: EventKind.QM_GROUP_BROKEN,
    Untied.WAITS_APART: EventKind.QM_GROUP_WAITS,
    Untied.WAITS_TOGETHER: EventKind.QM_GROUP_WAITS,
}
"""What is told of it."""
APART = frozenset({Untied.APART, Untied.WAITS_APART})


def both(parts: Iterable[Transaction]) -> Transaction:
    """All of them as one; what several of them guard is guarded once."""
    guards: list[Guard] = []
    puts: list[Put] = []
    events: list[Event] = []
    for part in parts:
        guards += [guard for guard in part.guards if guard not in guards]
        puts += part.puts
        events += part.events
    return Transaction(guards=tuple(guards), puts=tuple(puts), events=tuple(events))


def aim(names: Iterable[str], target: str | None, reason: str, view: View, ties: Ties) -> Transaction:
    """Ask the owner of these to hand them over to `target`, or (None) to keep them; all of them, or none."""
    parts = []
    for name in names:
        kept = view.assignments[name]
        if kept.record.target != target:
            part = tx.aim(kept, target, reason)
            beside = tuple(ties.guards(name)) if ties.bound(name) else ()
            parts.append(structs.replace(part, guards=(*part.guards, *beside)))
    return both(parts)


def tell(kept: Kept[Assignment], spec: QueueManagerSpec, found: Untied, other: str) -> Transaction:
    """What there is to say now of how its groups are held; `other`: because of which queue manager."""
    assignment = structs.replace(kept.record, untied=str(found))
    told = found or Untied(kept.record.untied)
    rule, group = ("apart", spec.apart) if told in APART else ("together", spec.together)
    event = tx.qm_event(KINDS[found], assignment, rule=rule, group=group, **({"other": other} if other else {}))
    return Transaction(guards=(tx.assignment_guard(kept),), puts=(tx.put(assignment),), events=(event,))
