"""The voter's side: which leases it may have granted, and what it promised.

Guarantees: a lapse vote is given only when every grant that this voter gave the member, in this life or before a
restart, has ended for certain; after the vote it grants the member nothing until the member's record changes.

Rests on: the restart rule. Promises live in memory only; so after a start a voter grants and votes nothing until it
has read the store linearizably and the longest term that any member may hold, which that read tells, has passed since
the start; and a ballot that it finds in that first read binds it as if it had voted.

Rests on: one voice for each name. A machine may be replaced by another of its name while it still lives somewhere
behind a cut; both would be voters, and two majorities need no longer share one. So
- a voter speaks only as the incarnation in the store, and only while that was confirmed within a term: by its own
  lease (a majority that acknowledges it has not voted it out) or by a linearizable read;
- a machine that joins in the place of another waits out that one's confirmation (one term) and the grants that it
  may have given until then (one more), and is bound by the ballots that it finds open after the first of them.
"""

from collections.abc import Iterator, Mapping

from standfast.model.messages import Refusal, Vote
from standfast.model.records import BALLOT, GONE, MemberRecord, MemberState
from standfast.model.timing import lapse_ns
from standfast.model.view import Kept
from standfast.quorum.overrides import Overrides

Records = Mapping[str, Kept[MemberRecord]]


class Grants:
    """What one voter granted and promised since its start at `now_ns`; `term_ns`: of its cluster file."""

    __slots__ = (
        "_bind_from_ns",
        "_bound",
        "_lapse_at",
        "_overrides",
        "_promises",
        "_took_over",
        "_wait_ns",
        "ready_at_ns",
        "speaks_until_ns",
    )

    def __init__(self, now_ns: int, term_ns: int, overrides: Overrides) -> None:
        self._overrides = overrides
        self._wait_ns = lapse_ns(term_ns)
        self.ready_at_ns = now_ns + self._wait_ns
        self.speaks_until_ns = 0
        """Until when it is confirmed as the voter of its name, in nanoseconds; moved by the core."""
        self._bind_from_ns = now_ns
        self._bound = False
        self._took_over = False
        self._lapse_at: dict[str, int] = {}
        self._promises: dict[str, int] = {}

    def outwaited(self, now_ns: int) -> bool:
        """Whether this very process has joined in the place of another machine and waited that one out."""
        return self._took_over and self.settled(now_ns)

    def bind(self, records: Records, asked_ns: int, term_ceiling_ns: int) -> None:
        """A linearizable read, asked for at that time: the first one counts every open ballot as voted for.

        It also tells the longest term that was granted before (`term_ceiling_ns`): what was may last so long.
        """
        self._wait_ns = lapse_ns(term_ceiling_ns)
        if self._bound or asked_ns < self._bind_from_ns:
            return
        self._bound = True
        self.ready_at_ns = self._bind_from_ns + self._wait_ns
        for name, kept in records.items():
            if kept.record.state in BALLOT:
                self._promises[name] = kept.revision

    def take_over(self, now_ns: int) -> None:
        """It has joined in the place of another machine, which was evicted before.

        That one may speak for a term more, and what it grants until then may be of a term that is not in force yet: the
        read that binds tells how long that lasts.
        """
        self._took_over = True
        self._bound = False
        self._bind_from_ns = now_ns + self._wait_ns
        self.ready_at_ns = now_ns + 2 * self._wait_ns

    def settled(self, now_ns: int) -> bool:
        """Whether the restart rule is fulfilled."""
        return self._bound and self.ready_at_ns <= now_ns

    def ready(self, now_ns: int) -> bool:
        """Whether it may grant and vote: the restart rule is fulfilled, and it is the voter of its name."""
        return self._bound and self.ready_at_ns <= now_ns < self.speaks_until_ns

    def answer(
        self,
        member: str,
        incarnation: int,
        kept: Kept[MemberRecord] | None,
        now_ns: int,
        term_ns: int,
        *,
        listening: bool = False,
    ) -> Refusal:
        """Grant a heartbeat one term from now, or say why not.

        `kept`: the member's record in this voter's view; `listening`: see Hearing.listening.
        """
        if not self.ready(now_ns):
            return Refusal.RESTARTING
        if kept is None or kept.record.incarnation != incarnation:
            return Refusal.UNKNOWN
        if kept.record.state is MemberState.EVICTING or kept.record.state in GONE:
            return Refusal.TOLD_TO_GO
        if kept.revision <= self._promises.get(member, -1):
            return Refusal.VOTED
        if listening:
            return Refusal.LISTENING
        end = now_ns + lapse_ns(term_ns)
        if end > self._lapse_at.get(member, 0):
            self._lapse_at[member] = end
        return Refusal.NONE

    def lapses_at_ns(self, member: str) -> int:
        """When every grant to the member has ended, in nanoseconds."""
        return max(self._lapse_at.get(member, 0), self.ready_at_ns)

    def lapses(self, records: Records) -> Iterator[int]:
        """When it may vote for each open ballot, in nanoseconds."""
        return (self.lapses_at_ns(name) for name, kept in records.items() if kept.record.state in BALLOT)

    def vote(self, member: str, ballot: int, now_ns: int) -> bool:
        """Promise for this ballot if every grant to the member has ended; whether the promise is in force."""
        if not self.ready(now_ns) or now_ns < self.lapses_at_ns(member) or self._overrides.shields(member):
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
