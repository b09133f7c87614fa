"""Quarantine: a data member that lost its lease uncleanly too often is chosen for nothing while another can be.

How long a member has stayed since is counted by the coordinator alone, from when it first saw that; another one begins
anew, which errs on the side of caution. So no wall clock is compared.
"""

from collections.abc import Iterator

from standfast.model.records import MemberState
from standfast.model.view import View
from standfast.quorum import transactions as tx
from standfast.quorum.rules import Rules
from standfast.quorum.runs import NS_PER_S
from standfast.quorum.signals import Transact


class Quarantine:
    """Forgets losses, and clears by time, as the coordinator."""

    __slots__ = ("_rules", "_since")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._since: dict[str, tuple[int, int]] = {}
        """By member: the revision of its record, and since when it has been so."""

    def decide(self, view: View, now_ns: int) -> Iterator[Transact]:
        """What is due by time."""
        policy = self._rules.cluster.policy
        for name, kept in view.members.items():
            record = kept.record
            if record.state is not MemberState.ONLINE or not record.losses:
                self._since.pop(name, None)
                continue
            revision, since_ns = self._since.get(name, (0, 0))
            if revision != kept.revision:
                self._since[name] = (kept.revision, now_ns)
                continue
            enough_s = policy.quarantine_clear_s if record.quarantined else policy.quarantine_window_s
            if 0 < enough_s <= (now_ns - since_ns) / NS_PER_S:
                yield Transact(f"clear:{name}", tx.clear(kept, "stayed"))
