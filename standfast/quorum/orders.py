"""What operators order: each order becomes one guarded transaction, or a refusal with its reason."""

from msgspec import structs

from standfast.model.cluster import Cluster, Role
from standfast.model.events import EventKind
from standfast.model.messages import Hop
from standfast.model.records import BALLOT, Assignment, MemberState, Outcome, Transaction
from standfast.model.view import View
from standfast.quorum import bundles, fencing
from standfast.quorum import transactions as tx
from standfast.quorum.failback import BY_HAND
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate
from standfast.quorum.signals import Clear, ConfirmFenced, Drain, Freeze, Move, Verdict
from standfast.quorum.ties import Ties

ENDS = {
    Outcome.COMMITTED: Verdict.DONE,
    Outcome.REFUSED: Verdict.CHANGED_MEANWHILE,
    Outcome.UNKNOWN: Verdict.STORE_UNREACHABLE,
}
"""How an order ends, by what became of its transaction."""


def transaction_for(
    order: Move | Drain | Clear | Freeze | ConfirmFenced,
    cluster: Cluster,
    view: View,
    candidates: dict[str, Candidate],
    overrides: Overrides,
) -> Transaction | Verdict:
    """The transaction that carries out an order, or why there is none."""
    if isinstance(order, Move):
        return _move(order, cluster, view, candidates, overrides)
    if isinstance(order, Drain):
        return _drain(order, cluster, view)
    if isinstance(order, Clear):
        return _clear(order, cluster, view)
    if isinstance(order, ConfirmFenced):
        return _confirm_fenced(order, view)
    return _freeze(order, cluster, view)


def _move(
    order: Move, cluster: Cluster, view: View, candidates: dict[str, Candidate], overrides: Overrides
) -> Transaction | Verdict:
    kept = view.assignments.get(order.qm)
    if kept is None:
        return Verdict.NO_SUCH_QUEUE_MANAGER
    if order.to not in {m.name for m in cluster.members}:
        return Verdict.NO_SUCH_MEMBER
    if cluster.member(order.to).role is not Role.DATA:
        return Verdict.NOT_A_DATA_MEMBER
    if view.orders.record.frozen:
        return Verdict.FROZEN
    if view.specs[order.qm].record.halted:
        return Verdict.HALTED
    return _moved(order, view, candidates, overrides)


def _moved(order: Move, view: View, candidates: dict[str, Candidate], overrides: Overrides) -> Transaction | Verdict:
    """It, and all that must stay together with it: in one transaction, or not at all."""
    ties = Ties(view)
    names = ties.whole(order.qm)
    free, parts = ties.lifted(names), list[Transaction]()
    for name in names:
        kept = view.assignments[name]
        there = kept.record.owner == order.to and not view.orphaned(kept.record)
        hindrance = _hindrance(structs.replace(order, qm=name), kept.record, candidates)
        if hindrance is not None and not (there and name != order.qm):
            return hindrance
        if overrides.placed(name):
            return Verdict.OVERRIDDEN
        if not free.apart(name, order.to):
            return Verdict.TARGET_APART
        if not there:
            parts.append(_part(order.to, name, view, ties, overrides))
    return bundles.both(parts) if parts else Verdict.ALREADY_THERE


def _part(to: str, name: str, view: View, ties: Ties, overrides: Overrides) -> Transaction:
    """What moves one of them; what was held against the member before is forgotten."""
    kept, beside = view.assignments[name], tuple(ties.guards(name))
    cleared = structs.replace(kept, record=structs.replace(kept.record, failed_on=(), shunned=()))
    if view.orphaned(kept.record):
        owner, gone = view.members[to], fencing.suspect(kept.record, view)
        return tx.assign(overrides.raised(cleared), owner, BY_HAND, unproven=gone, beside=beside)
    part = tx.aim(cleared, to, BY_HAND)
    return structs.replace(part, guards=(*part.guards, *(beside if ties.bound(name) else ())))


def _hindrance(order: Move, a: Assignment, candidates: dict[str, Candidate]) -> Verdict | None:
    """What is in the way of the target; None when it can take it."""
    if order.to in a.outdated:
        return Verdict.TARGET_OUTDATED
    candidate = candidates.get(order.to)
    if candidate is None or order.qm in candidate.unfit:
        return Verdict.TARGET_NOT_ELIGIBLE
    if candidate.quarantined:
        return Verdict.TARGET_QUARANTINED
    if candidate.hop is Hop.LOST and any(c.reached for c in candidates.values() if c.takes(a)):
        return Verdict.TARGET_WITHOUT_HOP
    return None


def _drain(order: Drain, cluster: Cluster, view: View) -> Transaction | Verdict:
    orders = view.orders.record
    if order.member not in {m.name for m in cluster.members}:
        return Verdict.NO_SUCH_MEMBER
    if (order.member in orders.drained) is order.on:
        return Verdict.ALREADY_SO
    rest = tuple(name for name in orders.drained if name != order.member)
    drained = (*rest, order.member) if order.on else rest
    if order.on and not any(m.role is Role.DATA and m.name not in drained for m in cluster.members):
        return Verdict.LAST_DATA_MEMBER
    kind = EventKind.MEMBER_DRAINED if order.on else EventKind.MEMBER_UNDRAINED
    return tx.order(view, structs.replace(orders, drained=drained), kind, order.member)


def _clear(order: Clear, cluster: Cluster, view: View) -> Transaction | Verdict:
    if order.member not in {m.name for m in cluster.members}:
        return Verdict.NO_SUCH_MEMBER
    kept = view.members.get(order.member)
    if kept is None or not kept.record.losses:
        return Verdict.ALREADY_SO
    if kept.record.state in BALLOT:
        return Verdict.CHANGED_MEANWHILE  # the record's revision is a ballot that is being voted on
    return tx.clear(kept, BY_HAND)


def _confirm_fenced(order: ConfirmFenced, view: View) -> Transaction | Verdict:
    kept = view.members.get(order.member)
    if kept is None:
        return Verdict.NO_SUCH_MEMBER
    if kept.record.state is not MemberState.EVICTED:
        return Verdict.NOT_EVICTED
    return fencing.record(kept, order.by) if fencing.at_large(kept) else Verdict.ALREADY_SO


def _freeze(order: Freeze, cluster: Cluster, view: View) -> Transaction | Verdict:
    orders = view.orders.record
    if orders.frozen is order.on:
        return Verdict.ALREADY_SO
    kind = EventKind.CLUSTER_FROZEN if order.on else EventKind.CLUSTER_THAWED
    return tx.order(view, structs.replace(orders, frozen=order.on), kind, cluster.name)
