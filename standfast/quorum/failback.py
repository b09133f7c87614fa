"""Failback: an owner hands its queue manager back to a member that the queue manager prefers, where its policy says so.

Guarantees: never against an operator, who moved it here by hand; never to a member on which it failed since an operator
last moved it, so that a queue manager that can not start there does not go to and fro; only to a member that has been
eligible without a gap for as long as the policy says.
"""

from standfast.model.cluster import Failback, QueueManagerSpec
from standfast.model.records import Assignment
from standfast.quorum.placement import Candidate
from standfast.quorum.runs import NS_PER_S

BY_HAND = "ordered"
"""The reason of an assignment that an operator made."""


class Better:
    """The member that one queue manager would rather be on, and since when; `opened`: whether its window is."""

    __slots__ = ("_name", "_since_ns")

    def __init__(self) -> None:
        self._name = ""
        self._since_ns = 0

    def due(
        self, spec: QueueManagerSpec, a: Assignment, among: dict[str, Candidate], now_ns: int, *, opened: bool
    ) -> str | None:
        """The member to hand over to now, or None."""
        name = _better(spec, a, among)
        if name != self._name:
            self._name, self._since_ns = name, now_ns
        if not name or now_ns - self._since_ns < spec.failback_after_s * NS_PER_S:
            return None
        return name if opened or spec.failback is Failback.PREFERRED else None


def _better(spec: QueueManagerSpec, a: Assignment, among: dict[str, Candidate]) -> str:
    """The first that it prefers to its owner among those that could take it; empty when there is none."""
    if spec.failback is Failback.NEVER or a.reason == BY_HAND:
        return ""
    for name in spec.preferred:
        if name == a.owner:
            return ""
        candidate = among.get(name)
        if candidate is not None and candidate.sound and candidate.takes(a) and name not in a.shunned:
            return name
    return ""
