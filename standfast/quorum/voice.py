"""What a member says: its heartbeats, one every interval, and one at once when there is something new to say."""

from standfast.model.messages import Heartbeat
from standfast.quorum.rules import Rules

Said = tuple[object, ...]
"""The fields of a heartbeat that others decide by: the incarnation, and all from `hears` on."""


class Voice:
    """Of member `me`; `process`: random, one for each start of the daemon."""

    __slots__ = ("_me", "_process", "_rules", "_said", "_seq", "beat_at_ns")

    def __init__(self, me: str, process: int, rules: Rules, now_ns: int) -> None:
        self._me = me
        self._process = process
        self._rules = rules
        self._said: Said = ()
        self._seq = 0
        self.beat_at_ns = now_ns
        """When the next heartbeat is due."""

    def hurry(self, now_ns: int) -> None:
        """Say it again now, though nothing is new."""
        self.beat_at_ns = now_ns

    def heartbeat(self, said: Said, now_ns: int) -> Heartbeat | None:
        """The heartbeat to send now; None while none is due and nothing is new."""
        if now_ns < self.beat_at_ns and said == self._said:
            return None
        self._said = said
        self.beat_at_ns = now_ns + self._rules.interval_ns
        self._seq += 1
        incarnation, *rest = said
        return Heartbeat(self._me, incarnation, self._process, self._seq, now_ns, self._rules.term_ns, *rest)  # type: ignore[arg-type]


def same(before: Heartbeat, after: Heartbeat) -> bool:
    """Whether the two differ in nothing that decisions rest on."""
    return (
        before.hears == after.hears
        and before.newest == after.newest
        and before.leased is after.leased
        and before.able is after.able
        and before.incarnation == after.incarnation
        and before.votes == after.votes
        and before.stopped == after.stopped
        and before.unfit == after.unfit
        and before.ballots == after.ballots
        and before.isolated == after.isolated
    )
