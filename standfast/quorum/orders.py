"""What operators order: each order becomes one guarded transaction, or a refusal with its reason."""

from msgspec import structs

from standfast.model.cluster import Cluster, Role
from standfast.model.events import EventKind
from standfast.model.records import Transaction
from standfast.model.view import View
from standfast.quorum import transactions as tx
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate
from standfast.quorum.signals import Drain, Freeze, Move, Verdict


def transaction_for(
    order: Move | Drain | Freeze,
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
    if overrides.placed(order.qm):
        return Verdict.OVERRIDDEN
    candidate = candidates.get(order.to)
    if candidate is None or order.qm in candidate.unfit:
        return Verdict.TARGET_NOT_ELIGIBLE
    if view.orphaned(kept.record):
        cleared = structs.replace(kept, record=structs.replace(kept.record, failed_on=()))
        return tx.assign(overrides.raised(cleared), view.members[order.to], "ordered")
    if kept.record.owner == order.to:
        return Verdict.ALREADY_THERE
    return tx.aim(kept, order.to, "ordered")


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


def _freeze(order: Freeze, cluster: Cluster, view: View) -> Transaction | Verdict:
    orders = view.orders.record
    if orders.frozen is order.on:
        return Verdict.ALREADY_SO
    kind = EventKind.CLUSTER_FROZEN if order.on else EventKind.CLUSTER_THAWED
    return tx.order(view, structs.replace(orders, frozen=order.on), kind, cluster.name)
