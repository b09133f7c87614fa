"""What an owner must know of its member at one moment to decide about its queue managers."""

from collections.abc import Callable

from standfast.model.messages import Hop
from standfast.model.view import View
from standfast.quorum.placement import Candidate
from standfast.quorum.ties import Ties


class Standing:
    """What the keeper must know of its member at one moment.

    Attributes:
        now_ns: the moment, on the member's clock.
        view: of the store.
        incarnation: of the member; 0 before it has joined.
        span: the incarnations whose assignments are this process's.
        lease_end_ns: when its lease ends.
        may_stay: its record is this incarnation's, and online or in doubt.
        called_off: others know of a ballot against it, and it has lost them: what runs is stopped, nothing starts.
        may_keep: what runs here may run on: `may_stay`, or it is yet to join as the heir of a former process.
        sworn_off: it gave its word that nothing will start before its record changes.
        leaving: the daemon is to end.
        late: it is, and what no other member was found for by now is stopped.
        hop: how it stands with its next hop.
    """

    __slots__ = (
        "_candidates",
        "_find",
        "_ties",
        "called_off",
        "hop",
        "incarnation",
        "late",
        "lease_end_ns",
        "leaving",
        "may_keep",
        "may_stay",
        "now_ns",
        "span",
        "sworn_off",
        "view",
    )

    def __init__(
        self,
        now_ns: int,
        view: View,
        find: Callable[[], dict[str, Candidate]],
        *,
        incarnation: int,
        span: range,
        lease_end_ns: int,
        may_stay: bool,
        called_off: bool,
        may_keep: bool,
        sworn_off: bool,
        leaving: bool,
        late: bool,
        hop: Hop,
    ) -> None:
        self.now_ns = now_ns
        self.view = view
        self._find = find
        self._candidates: dict[str, Candidate] | None = None
        self._ties: Ties | None = None
        self.incarnation = incarnation
        self.span = span
        self.lease_end_ns = lease_end_ns
        self.may_stay = may_stay
        self.called_off = called_off
        self.may_keep = may_keep
        self.sworn_off = sworn_off
        self.leaving = leaving
        self.late = late
        self.hop = hop

    @property
    def candidates(self) -> dict[str, Candidate]:
        """Members that could take a queue manager; found when first asked for."""
        if self._candidates is None:
            self._candidates = self._find()
        return self._candidates

    @property
    def ties(self) -> Ties:
        """The groups of queue managers; found when first asked for."""
        if self._ties is None:
            self._ties = Ties(self.view)
        return self._ties
