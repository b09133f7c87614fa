"""When a change of the settings is settled: nothing is left anywhere of what was in force before it.

Guarantees: when a revision of the settings is settled,
- every lease that lasts, or may still be granted, is of a term that a member took from this revision or a later one;
- no machine speaks any more as a voter that confirmed itself for a longer term.

Rests on:
- An incarnation is one process, and a process never goes back to older settings. So once a heartbeat of the present
  incarnation told of these settings, it asks for no other term any more. Leases that it asked for before end at most
  one of the old terms later, by its own clock; 1 % more is waited for. Heartbeats that come late are harmless: their
  grants count from their sending, and a lease never moves back.
- A member that is gone holds no lease, but its machine may not know that yet and speak on for a term: it is waited out
  likewise. It joins anew only by the settings in force, which guard the transaction.
- The records of members are those of a read after the settings were written: who joined before is in it, and who joins
  after it was guarded by them.
"""

from collections.abc import Iterator

from standfast.model.records import GONE, MemberRecord
from standfast.model.timing import NS_PER_MS, lapse_ns
from standfast.model.view import View
from standfast.quorum import transactions as tx
from standfast.quorum.hearing import Hearing
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Transact

Standing = tuple[int, bool]
"""Of a member in the store: incarnation, and whether it is gone."""


class Settlement:
    """As member `me` sees it."""

    __slots__ = ("_hearing", "_me", "_revision", "_rules", "_since")

    def __init__(self, me: str, rules: Rules, hearing: Hearing) -> None:
        self._me = me
        self._rules = rules
        self._hearing = hearing
        self._revision = 0
        self._since: dict[str, tuple[Standing, int]] = {}
        """By member: its standing, and since when nothing but leases and confirmations is left of older settings."""

    def look(self, view: View, incarnation: int, now_ns: int) -> None:
        """Note who has come over to the settings in force; `incarnation`: this member's own."""
        kept = view.settings
        if kept is None or not self._rules.revision == kept.revision <= view.revision:
            self._since.clear()
            return
        if kept.revision != self._revision:
            self._revision = kept.revision
            self._since.clear()
        for name, member in view.members.items():
            standing = (member.record.incarnation, member.record.state in GONE)
            known = self._since.get(name)
            if known is not None and known[0] == standing:
                continue
            self._since.pop(name, None)
            if self._came_over(member.record, incarnation):
                self._since[name] = (standing, now_ns)

    def _came_over(self, record: MemberRecord, incarnation: int) -> bool:
        if record.state in GONE:
            return True
        if record.name == self._me:
            return record.incarnation == incarnation
        peer = self._hearing.peers.get(record.name)
        said = peer.heartbeat if peer is not None else None
        return said is not None and said.incarnation == record.incarnation and said.settings >= self._revision

    def missing(self, view: View) -> tuple[str, ...]:
        """Members of whom it is not known yet that they go by the settings in force, by name."""
        return tuple(sorted(name for name in view.members if name not in self._since))

    def settled(self, view: View, now_ns: int) -> bool:
        """Whether it is. To be asked after `look` with the same view."""
        kept = view.settings
        if kept is None or kept.revision != self._revision or self._rules.revision != self._revision:
            return False
        wait_ns = lapse_ns(kept.record.term_ceiling_ms * NS_PER_MS)
        return not self.missing(view) and all(now_ns - since >= wait_ns for _, since in self._since.values())

    def steps(self, view: View, now_ns: int) -> Iterator[Transact]:
        """Reckon no more with the longest term, once it is settled that nobody holds it.

        Any member may see that, not the coordinator alone: that one may have lost its link to somebody.
        """
        kept = view.settings
        if kept is not None and kept.record.term_ceiling_ms > kept.record.timing.term_ms and self.settled(view, now_ns):
            yield Transact("settle", tx.settle(kept))
