"""What an operator wants to be in force, as one guarded transaction, or a refusal with its reason."""

import msgspec
from msgspec import structs

from standfast.model.cluster import Cluster
from standfast.model.records import Transaction
from standfast.model.view import View
from standfast.quorum import transactions as tx
from standfast.quorum.signals import Configure, Verdict


def configuration(order: Configure, now: Cluster, view: View) -> Transaction | Verdict:
    """The transaction that carries the order out, or why there is none; `now`: what is in force."""
    kept = view.settings
    if kept is None:
        return Verdict.NOT_FOUNDED
    if kept.record.edition != order.edition:
        return Verdict.OTHER_EDITION
    wanted = order.wanted
    if wanted.members != kept.record.in_force(now).members:
        return Verdict.MEMBERS_DIFFER
    record = structs.replace(kept.record, timing=wanted.timing, policy=wanted.policy)
    if record == kept.record:
        return Verdict.ALREADY_SO
    return tx.configure(kept, record, {"by": order.by, "change": changes(kept.record.in_force(now), wanted)})


def changes(before: Cluster, after: Cluster) -> str:
    """What differs in timing and policy, as the log tells it: `timing.interval_ms 250 -> 100, ...`."""
    told = []
    for table in ("timing", "policy"):
        old, new = (msgspec.to_builtins(getattr(cluster, table)) for cluster in (before, after))
        told += [f"{table}.{key} {old[key]} -> {new[key]}" for key in new if old[key] != new[key]]
    return ", ".join(told)
