"""Who must go: `arbitrate(...) -> verdicts`, by an ordered comparison; the first difference decides.

1. hears a majority
(The further steps of design 3.4 compare members that all hear a majority; there nobody has to go while storage is
shared.)
"""

from collections.abc import Mapping
from enum import StrEnum

from standfast.model.records import MemberRecord, MemberState
from standfast.model.view import Kept
from standfast.quorum.hearing import Hearing


class Judgement(StrEnum):
    """What contact says of a member."""

    FINE = "fine"  # a majority may be in two-way contact with it
    SILENT = "silent"  # too few hear it: its grants lapse by themselves
    DEAF = "deaf"  # enough hear it, but it hears too few: it must be told to go, or be refused


def judge(name: str, incarnation: int, hearing: Hearing, majority: int, now_ns: int) -> Judgement:
    """What contact says of one incarnation of a member, as seen by the member that owns `hearing`."""
    two_way, heard_by = hearing.contacts(name, now_ns)
    if hearing.hears(name, now_ns) and not hearing.incarnation_heard(name, incarnation, now_ns):
        return Judgement.SILENT
    if two_way >= majority:
        return Judgement.FINE
    return Judgement.DEAF if heard_by >= majority else Judgement.SILENT


def arbitrate(
    records: Mapping[str, Kept[MemberRecord]], me: str, hearing: Hearing, majority: int, now_ns: int
) -> dict[str, Judgement]:
    """A judgement for each member in the store that could still hold a lease; never for `me`."""
    return {
        name: judge(name, kept.record.incarnation, hearing, majority, now_ns)
        for name, kept in records.items()
        if name != me and kept.record.state in (MemberState.ONLINE, MemberState.IN_DOUBT, MemberState.EVICTING)
    }
