"""How long each member has been well, as seen by one member; and from it how often it was evicted in a row.

Kept in memory only: whoever has not watched for long enough forgets nothing, so that a change of the coordinator makes
a member wait longer, never shorter.
"""

from standfast.model.records import MemberRecord
from standfast.quorum.rules import Rules

FORGET_TERMS = 512
"""A member that was well for so long has its earlier evictions forgotten: 21 minutes of the profile `normal`."""


class Calm:
    """Of all members."""

    __slots__ = ("_before_ns", "_last_ns", "_rules")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._last_ns: dict[str, int] = {}
        self._before_ns: dict[str, int] = {}

    def trouble(self, name: str, now_ns: int) -> None:
        """Something is the matter with that member now."""
        last_ns = self._last_ns.get(name)
        if last_ns is not None and now_ns - last_ns > self._rules.term_ns:
            self._before_ns[name] = now_ns - last_ns
        self._last_ns[name] = now_ns

    def evictions(self, record: MemberRecord) -> int:
        """The number of its eviction in a row, if it goes now."""
        forgotten = self._before_ns.get(record.name, 0) >= FORGET_TERMS * self._rules.term_ns
        return 1 if forgotten else record.evictions + 1
