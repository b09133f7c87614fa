"""The transactions by which what was done under an override gets into the store."""

from collections.abc import Sequence

from msgspec import structs

from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, MemberRecord, Phase, Put, Transaction, member_key
from standfast.model.view import Kept
from standfast.quorum import transactions as tx


def adopt(
    kept: Kept[Assignment], me: Kept[MemberRecord], epoch: int, *, serving: bool, suspects: tuple[str, ...]
) -> Transaction:
    """What a member runs by an override becomes its own, under the epoch that it runs under.

    Nothing of it runs, nor will start, under its last owner. `suspects`: that owner, if it may still write. While it
    does not serve here, whom to fence is not forgotten: an override may have started nothing.
    """
    assignment = structs.replace(
        kept.record,
        epoch=epoch,
        phase=Phase.RUNNING if serving else Phase.STARTING,
        owner=me.record.name,
        incarnation=me.record.incarnation,
        target=None,
        failed_on=(),
        unproven=() if serving else kept.record.suspecting(suspects),
        told=0,
        reason="override",
    )
    event = tx.qm_event(EventKind.QM_ADOPTED, assignment, was=kept.record.owner, was_epoch=kept.record.epoch)
    return Transaction(
        guards=(tx.assignment_guard(kept), tx.member_guard(me)), puts=(tx.put(assignment),), events=(event,)
    )


def conclude(kept: Kept[MemberRecord], number: int, events: Sequence[Event]) -> Transaction:
    """The end of a member's override, with all that was only told by itself till now."""
    record = structs.replace(kept.record, overridden=number)
    return Transaction(
        guards=(tx.member_guard(kept),), puts=(Put(member_key(record.name), record),), events=tuple(events)
    )
