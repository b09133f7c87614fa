"""Losses: how often a member lost its lease uncleanly, and when that is too often.

A loss is an eviction, or a return after a crash that ended its queue managers. They are counted in the member's record,
so that the count outlives every coordinator.
"""

from msgspec import structs

from standfast.model.cluster import Policy, Role
from standfast.model.events import Event, EventKind
from standfast.model.records import MemberRecord


def after_loss(record: MemberRecord, policy: Policy) -> tuple[MemberRecord, tuple[Event, ...]]:
    """The record with one more loss, and the event if that brings quarantine. Witnesses run nothing and count none."""
    if record.role is not Role.DATA:
        return record, ()
    losses = record.losses + 1
    enough = 0 < policy.quarantine_after <= losses
    after = structs.replace(record, losses=losses, quarantined=record.quarantined or enough)
    if after.quarantined is record.quarantined:
        return after, ()
    fields: dict[str, str | int | float | bool | None] = {"losses": losses, "reason": record.reason}
    return after, (Event(kind=EventKind.MEMBER_QUARANTINED, subject=record.name, fields=fields),)
