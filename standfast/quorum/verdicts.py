"""The transaction that tells a member to go: a ballot like any other."""

from collections.abc import Iterable

from msgspec import structs

from standfast.model.events import Event, EventKind
from standfast.model.records import SETTINGS_KEY, Guard, MemberRecord, MemberState, Put, Transaction, member_key
from standfast.model.view import Kept
from standfast.quorum.rules import Rules


def verdict(
    kept: Kept[MemberRecord],
    rules: Rules,
    reason: str,
    by: str,
    evictions: int,
    *,
    lost_to: tuple[str, ...] = (),
    staying: Iterable[Kept[MemberRecord]] = (),
) -> Transaction:
    """Tell a member to go, for `evictions` times in a row now.

    Void when any of those who are to stay has changed, or the settings: they say who votes, and what a majority is.
    """
    record = structs.replace(kept.record, state=MemberState.EVICTING, reason=reason, evictions=evictions)
    fields: dict[str, str | int | float | bool | None] = {
        "incarnation": record.incarnation,
        "reason": reason,
        "decided_by": by,
    }
    if lost_to:
        fields["lost_to"] = ",".join(lost_to)
    return Transaction(
        guards=(_guard(kept), Guard(SETTINGS_KEY, rules.revision), *map(_guard, staying)),
        puts=(Put(member_key(record.name), record),),
        events=(Event(kind=EventKind.MEMBER_TOLD_TO_GO, subject=record.name, fields=fields),),
    )


def _guard(kept: Kept[MemberRecord]) -> Guard:
    return Guard(member_key(kept.record.name), kept.revision)
