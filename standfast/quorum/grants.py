"""The voter's side: which leases it may have granted, and what it promised.

Guarantees: a lapse vote is given only when every grant that this voter gave the member, in this life or before a
restart, has ended for certain; after the vote it grants the member nothing until the member's record changes.

Rests on: the restart rule. Promises live in memory only; so after a start a voter grants and votes nothing until it
has read the store linearizably and the longest term that any member may hold has passed; and a ballot that it finds
in that first read binds it as if it had voted.
"""

from collections.abc import Mapping

from standfast.model.messages import Refusal, Vote
from standfast.model.records import BALLOT, GONE, MemberRecord, MemberState
from standfast.model.timing import lapse_ns
from standfast.model.view import Kept

Records = Mapping[str, Kept[MemberRecord]]


class Grants:
    """What one voter granted and promised since its start at `now_ns`; `term_ceiling_ns`: longest term about."""

    __slots__ = ("_lapse_at", "_promises", "_read", "ready_at_ns")

    def __init__(self, now_ns: int, term_ceiling_ns: int) -> None:
        self.ready_at_ns = now_ns + lapse_ns(term_ceiling_ns)
        self._read = False
        self._lapse_at: dict[str, int] = {}
        self._promises: dict[str, int] = {}

    def first_read(self, records: Records) -> None:
        """The first linearizable read after the start: every open ballot may have had this voter's vote."""
        self._read = True
        for name, kept in records.items():
            if kept.record.state in BALLOT:
                self._promises[name] = kept.revision

    def ready(self, now_ns: int) -> bool:
        """Whether the restart rule is fulfilled."""
        return self._read and now_ns >= self.ready_at_ns

    def answer(
        self, member: str, incarnation: int, kept: Kept[MemberRecord] | None, now_ns: int, term_ns: int
    ) -> Refusal:
        """Grant a heartbeat one term from now, or say why not. `kept`: the member's record in this voter's view."""
        if not self.ready(now_ns):
            return Refusal.RESTARTING
        if kept is None or kept.record.incarnation != incarnation:
            return Refusal.UNKNOWN
        if kept.record.state is MemberState.EVICTING or kept.record.state in GONE:
            return Refusal.TOLD_TO_GO
        if kept.revision <= self._promises.get(member, -1):
            return Refusal.VOTED
        end = now_ns + lapse_ns(term_ns)
        if end > self._lapse_at.get(member, 0):
            self._lapse_at[member] = end
        return Refusal.NONE

    def lapses_at_ns(self, member: str) -> int:
        """When every grant to the member has ended, in nanoseconds."""
        return max(self._lapse_at.get(member, 0), self.ready_at_ns)

    def vote(self, member: str, ballot: int, now_ns: int) -> bool:
        """Promise for this ballot if every grant to the member has ended; whether the promise is in force."""
        if not self.ready(now_ns) or now_ns < self.lapses_at_ns(member):
            return False
        if ballot > self._promises.get(member, -1):
            self._promises[member] = ballot
        return True

    def votes(self, records: Records, now_ns: int) -> tuple[Vote, ...]:
        """Lapse votes for every open ballot that this voter may vote for now."""
        return tuple(
            Vote(name, kept.revision)
            for name, kept in records.items()
            if kept.record.state in BALLOT and self.vote(name, kept.revision, now_ns)
        )
