"""Who must go for want of contact: `Arbiter.arbitrate(...) -> judgements`, the first rung of the ladder.

A member that does not hear a majority must go, whatever else it has: its lease ends anyway. The rungs below it
(`ladder.py`) compare members that all hear a majority and can not all stay; the umpire does that.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from standfast.model.records import GONE, MemberRecord, MemberState
from standfast.model.timing import lapse_ns
from standfast.model.view import Kept
from standfast.quorum.calm import Calm
from standfast.quorum.hearing import Hearing
from standfast.quorum.rules import Rules


class Grounds(StrEnum):
    """Why a member is evicted: the reason in its record."""

    SILENT = "silent"  # too few hear it
    ISOLATED = "isolated"  # likewise, but it still writes on the shared disk
    DEAF = "hears_no_majority"  # it is heard, and hears too few itself
    TORN = "lost_link"  # it lost the comparison with a member that it does not reach


class Judgement(StrEnum):
    """What contact says of a member."""

    FINE = "fine"  # a majority may be in two-way contact with it
    SILENT = "silent"  # too few hear it: its grants lapse by themselves
    DEAF = "deaf"  # it hears too few, but so many hear it that not enough grants lapse: it must be told to go
    UNCLEAR = "unclear"  # as deaf, but it was silent until now: it may not have heard the others yet


def grantless(records: Mapping[str, Kept[MemberRecord]]) -> frozenset[str]:
    """Members that were evicted or have left: they grant nothing."""
    return frozenset(name for name, kept in records.items() if kept.record.state in GONE)


def judge(
    name: str, hearing: Hearing, majority: int, now_ns: int, gone: Collection[str] = (), *, outlived: bool
) -> Judgement:
    """What contact says of a member, as seen by the member that owns `hearing`.

    `gone`: see grantless. `outlived`: what is heard of it has for long not come from the incarnation in the store, but
    from a later start.
    """
    if outlived:
        return Judgement.SILENT
    two_way, heard_by = hearing.contacts(name, now_ns, gone)
    if two_way >= majority:
        return Judgement.FINE
    if heard_by < majority:
        return Judgement.SILENT
    return Judgement.UNCLEAR if hearing.lately_found(name, now_ns) else Judgement.DEAF


class Arbiter:
    """Judges all members but `me`."""

    __slots__ = ("_calm", "_doubts", "_hearing", "_matched", "_me", "_rules", "_unwell")

    def __init__(self, me: str, rules: Rules, hearing: Hearing, calm: Calm) -> None:
        self._me = me
        self._rules = rules
        self._hearing = hearing
        self._calm = calm
        self._matched: dict[str, tuple[int, int]] = {}
        """By member: the incarnation in the store, and when it was last heard of (or first seen there)."""
        self._doubts: dict[str, tuple[int, int]] = {}
        """By member that is in doubt and silent: the ballot, and since when."""
        self._unwell: dict[str, int] = {}
        """By member that is heard now and then: since when it has never been fine by its own word."""

    def forgive(self) -> None:
        """This member was not listening until now: count afresh."""
        self._doubts.clear()
        self._unwell.clear()

    def arbitrate(self, records: Mapping[str, Kept[MemberRecord]], now_ns: int) -> dict[str, Judgement]:
        """A judgement for each member in the store that could still hold a lease."""
        gone = grantless(records)
        judgements = {
            name: self._judge(name, kept, gone, now_ns)
            for name, kept in records.items()
            if name != self._me and name not in gone
        }
        for name in self._unwell.keys() - judgements.keys():
            del self._unwell[name]
        for name, judgement in judgements.items():
            if judgement is not Judgement.FINE:
                self._calm.trouble(name, now_ns)
        return judgements

    def _judge(self, name: str, kept: Kept[MemberRecord], gone: Collection[str], now_ns: int) -> Judgement:
        outlived = self._outlived(name, kept.record, now_ns)
        judgement = judge(name, self._hearing, self._rules.majority, now_ns, gone, outlived=outlived)
        if judgement is Judgement.UNCLEAR and self._wanes(name, now_ns):
            judgement = Judgement.DEAF
        elif self._hearing.silence_ns(name, now_ns) > self._rules.term_ns or (
            judgement is Judgement.FINE and self._hearing.hears(name, now_ns)
        ):
            self._unwell.pop(name, None)
        if judgement is not Judgement.SILENT or kept.record.state is not MemberState.IN_DOUBT:
            self._doubts.pop(name, None)
            return judgement
        return Judgement.DEAF if self._lingers(name, kept.revision, now_ns) else judgement

    def _wanes(self, name: str, now_ns: int) -> bool:
        """Whether it was never fine for so long that its lease, if any, was not renewed.

        Heard now and then only, it would for ever be too new to be judged, and never be silent for long enough.
        """
        since_ns = self._unwell.setdefault(name, now_ns)
        return now_ns - since_ns > lapse_ns(self._rules.term_ns) + self._rules.in_doubt_ns

    def _lingers(self, name: str, ballot: int, now_ns: int) -> bool:
        """Whether a doubt lasts for so long that its votes can not be expected any more.

        Those who still hear the member grant it on. Where others are dead, the rest may be too few to evict it.
        """
        doubted, since_ns = self._doubts.get(name, (0, 0))
        if doubted != ballot:
            self._doubts[name] = (ballot, now_ns)
            return False
        return now_ns - since_ns > lapse_ns(self._rules.term_ns) + self._rules.in_doubt_ns

    def _outlived(self, name: str, record: MemberRecord, now_ns: int) -> bool:
        known, at_ns = self._matched.get(name, (0, 0))
        if known != record.incarnation or self._hearing.incarnation_heard(name, record.incarnation, now_ns):
            self._matched[name] = (record.incarnation, now_ns)
            return False
        return self._hearing.hears(name, now_ns) and now_ns - at_ns > self._rules.in_doubt_ns
