"""What a member says: its heartbeats, one every interval, and one at once when there is something new to say.

It speaks as often as the quickest of those it hears counts on: while a change of the interval is under way, nobody is
taken for silent by those who are ahead, or behind.
"""

from collections.abc import Callable

from standfast.model.messages import Heartbeat
from standfast.quorum.rules import Rules

Said = tuple[object, ...]
"""The fields of a heartbeat whose change is said at once: the incarnation, and all from `hears` to `settings`."""


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

    def keep_pace(self, interval_ns: int, now_ns: int) -> None:
        """Another member counts on a heartbeat within this interval (0: on none)."""
        if 0 < interval_ns < self.beat_at_ns - now_ns:
            self.beat_at_ns = now_ns

    def heartbeat(
        self, said: Said, fit: Callable[[], int], now_ns: int, pace_ns: Callable[[int], int]
    ) -> Heartbeat | None:
        """The heartbeat to send now; None while none is due and nothing is new. `pace_ns`: time until the next one.

        What it says of others (`fit`) is never news: they say it themselves to all who hear them.
        """
        if now_ns < self.beat_at_ns and said == self._said:
            return None
        self._said = said
        self.beat_at_ns = now_ns + pace_ns(now_ns)
        self._seq += 1
        rules = self._rules
        incarnation, *rest, overrides, hop = said
        words = (*rest, rules.interval_ns, overrides, fit(), rules.voters, hop)
        return Heartbeat(self._me, incarnation, self._process, self._seq, now_ns, rules.term_ns, *words)  # type: ignore[arg-type]


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
        and before.settings == after.settings
        and before.hop is after.hop
        and before.overrides == after.overrides
        and before.fit == after.fit
    )
