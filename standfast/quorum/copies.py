"""Copies of replicated data: which members' copies lack something, said by the owner alone, in guarded transactions.

Guarantees
- `Outdate` is done only once the store says, under the epoch of the owner that asked, that the other copy is outdated;
  from that revision on nobody can make that member the owner. So an owner that writes on without its peer only after
  this was answered never leaves acknowledged data behind (promise 4).
- Of an owner that writes on alone and a cluster that gives its queue manager to the peer, one loses: both change the
  same record, guarded by its revision. An owner that lost keeps its writes frozen, and is stopped.
- Every `Outdate` changes the record, also one that repeats what it says. A `Refresh` counts only for the revision that
  was known *before* the copy was looked at: one decided from an older look than the last `Outdate` is refused.
- An owner's own copy is never marked: whoever owns a queue manager has the newest data.

Not guaranteed: anything while an override is in force, which bypasses `data_currency`: when it is adopted, every other
copy counts as outdated until it was seen to be current; and that a copy is what its owner says it
is: that is the replication's business (see storage/drbd.py).
"""

from msgspec import structs

from standfast.model.cluster import Cluster, QueueManagerSpec, Role
from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, Guard, Put, Transaction, assignment_key, member_key
from standfast.model.view import Kept, View
from standfast.quorum.commands import CopyOrder, Outdate, Refresh, Verdict
from standfast.quorum.membership import Membership


def adopted(record: Assignment, spec: QueueManagerSpec, cluster: Cluster, owner: str) -> Assignment:
    """As it is taken over by who ran it by an override: nobody was asked then which copies went on with it."""
    others = [m.name for m in cluster.members if m.role is Role.DATA and m.name != owner]
    return structs.replace(record, outdated=tuple(others) if spec.storage.replicated else ())


def change_of_copies(order: CopyOrder, cluster: Cluster, view: View, mine: Membership) -> Transaction | Verdict:
    """The transaction that says so, or why it can not be said now."""
    kept, me = view.assignments.get(order.qm), mine.own(view)
    if kept is None:
        return Verdict.NO_SUCH_QUEUE_MANAGER
    if order.member not in {m.name for m in cluster.members if m.role is Role.DATA}:
        return Verdict.NO_SUCH_MEMBER
    a = kept.record
    if me is None or not mine.may_stay(view) or (a.owner, a.incarnation) != (mine.me, mine.incarnation):
        return Verdict.NOT_THE_OWNER
    if order.member == mine.me:
        return Verdict.OWN_COPY
    guards = (Guard(assignment_key(a.qm), kept.revision), Guard(member_key(mine.me), me.revision))
    if isinstance(order, Refresh):
        if order.member not in a.outdated:
            return Verdict.ALREADY_SO
        if order.revision != kept.revision:
            return Verdict.CHANGED_MEANWHILE
    return _transaction(kept, order, guards)


def _transaction(kept: Kept[Assignment], order: CopyOrder, guards: tuple[Guard, ...]) -> Transaction:
    a = kept.record
    rest = tuple(name for name in a.outdated if name != order.member)
    marks = isinstance(order, Outdate)
    changed = structs.replace(a, outdated=(*rest, order.member) if marks else rest)
    event = Event(
        kind=EventKind.COPY_OUTDATED if marks else EventKind.COPY_CURRENT,
        subject=a.qm,
        fields={"copy": order.member, "epoch": a.epoch, "owner": a.owner},
    )
    return Transaction(guards=guards, puts=(Put(assignment_key(a.qm), changed),), events=(event,))


__all__ = ["adopted", "change_of_copies"]
