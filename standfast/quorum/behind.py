"""Since when this member has lost its next hop while another one has its own: then it hands over what it runs.

Guarantees: nothing is handed over before the difference has lasted for as long as another member may need to notice a
loss of its own, and to tell of it. When all lost theirs at one moment (a gateway that they share), nobody moves.
"""

from collections.abc import Mapping

from standfast.model.messages import Hop
from standfast.model.timing import NS_PER_MS
from standfast.quorum.placement import Candidate
from standfast.quorum.rules import Rules

HOP_LOST = "hop_lost"
"""The reason of a move away from a member without its hop."""
NEWS_TERMS = 2
"""How long the news of another member's loss may take to arrive."""


class Behind:
    """Of member `me`."""

    __slots__ = ("_me", "_rules", "_since_ns")

    def __init__(self, me: str, rules: Rules) -> None:
        self._me = me
        self._rules = rules
        self._since_ns: int | None = None

    @property
    def wait_ns(self) -> int:
        """How long the difference must last, in nanoseconds."""
        policy = self._rules.cluster.policy
        return (policy.hop_missed + 1) * policy.hop_interval_ms * NS_PER_MS + NEWS_TERMS * self._rules.term_ns

    def forgive(self) -> None:
        """This member was not listening until now: count afresh."""
        self._since_ns = None

    def due(self, hop: Hop, candidates: Mapping[str, Candidate], now_ns: int) -> bool:
        """Whether to hand over now; `hop`: this member's own. Call it at every step."""
        ahead = hop is Hop.LOST and any(c.reached for name, c in candidates.items() if name != self._me)
        if not ahead:
            self._since_ns = None
            return False
        if self._since_ns is None:
            self._since_ns = now_ns
        return now_ns - self._since_ns >= self.wait_ns
