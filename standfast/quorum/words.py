"""Words of others that stay true however late they come, and what the shared disk tells beside them.

The disk brings the same heartbeats as the network, but perhaps old ones. So nothing of them counts as contact: no
lease, no doubt and no rank rests on it. What counts is

- `stopped`: an incarnation that said so for a ballot starts nothing before its record has a newer revision. That is as
  true later as it was, so that a member also passes on what it read of others (`ballots` of its heartbeats): the
  coordinator may have no disk.
- an open ballot: a member that has lost the others and can not read the store learns by it that it must stop. If the
  ballot is void meanwhile, it stops earlier than it had to, which harms nobody.
- that a member lives whom the network brings no more.
"""

from collections.abc import Iterator

from standfast.model.events import Event, EventKind
from standfast.model.messages import Ballot, Heartbeat
from standfast.model.records import BALLOT, MemberRecord
from standfast.model.view import Kept, View
from standfast.quorum.hearing import Hearing
from standfast.quorum.rules import Rules


class Words:
    """What member `me` knows by the word of the others."""

    __slots__ = ("_hearing", "_isolated", "_me", "_read", "_rules", "_stopped")

    def __init__(self, me: str, rules: Rules, hearing: Hearing) -> None:
        self._me = me
        self._rules = rules
        self._hearing = hearing
        self._stopped: dict[str, tuple[int, int]] = {}
        """By member: the newest incarnation that gave its word `stopped`, and the newest ballot that it was for."""
        self._read: dict[str, tuple[Heartbeat, int]] = {}
        """By member: its newest heartbeat on the shared disk, and when that was read."""
        self._isolated: set[str] = set()

    def heard(self, heartbeat: Heartbeat) -> None:
        """Note what stays true of a heartbeat, whichever way it came."""
        if heartbeat.stopped:
            self._learn(heartbeat.sender, heartbeat.incarnation, heartbeat.stopped)
        for ballot in heartbeat.ballots:
            if ballot.stopped:
                self._learn(ballot.member, ballot.incarnation, ballot.revision)

    def _learn(self, member: str, incarnation: int, ballot: int) -> None:
        word = (incarnation, ballot)
        if word > self._stopped.get(member, (0, 0)):
            self._stopped[member] = word

    def read(self, heartbeat: Heartbeat, now_ns: int) -> bool:
        """Note a heartbeat of the shared disk; whether anything in it may lead to a decision."""
        if heartbeat.sender not in self._hearing.peers:
            return False
        before = self._read.get(heartbeat.sender)
        self._read[heartbeat.sender] = heartbeat, now_ns
        self.heard(heartbeat)
        if before is None:
            return True
        words = (heartbeat.stopped, heartbeat.ballots)
        return words != (before[0].stopped, before[0].ballots) or any(b.member == self._me for b in heartbeat.ballots)

    def stopped(self, kept: Kept[MemberRecord]) -> bool:
        """Whether that very incarnation gave its word for that very ballot."""
        return self._stopped.get(kept.record.name) == (kept.record.incarnation, kept.revision)

    def ballots(self, view: View) -> tuple[Ballot, ...]:
        """What to say of open ballots. While the cluster is frozen nobody takes over, so nobody need stop for it."""
        if view.orders.record.frozen:
            return ()
        return tuple(
            Ballot(name, kept.record.incarnation, kept.revision, self._read_stopped(kept))
            for name, kept in view.members.items()
            if kept.record.state in BALLOT
        )

    def _read_stopped(self, kept: Kept[MemberRecord]) -> bool:
        heartbeat, _ = self._read.get(kept.record.name, (None, 0))
        return heartbeat is not None and (heartbeat.incarnation, heartbeat.stopped) == (
            kept.record.incarnation,
            kept.revision,
        )

    def call(self, own: Kept[MemberRecord], now_ns: int) -> int:
        """The newest ballot against this incarnation that anybody names on the disk now; 0: none, or an older one.

        `own`: this member's record, as far as it knows.
        """
        newest = 0
        for name, (heartbeat, _) in self._read.items():
            for ballot in heartbeat.ballots:
                if (
                    ballot.member == self._me
                    and ballot.incarnation == own.record.incarnation
                    and ballot.revision >= max(own.revision, newest)
                    and self._fresh(name, now_ns)
                ):
                    newest = ballot.revision
        return newest

    def _fresh(self, name: str, now_ns: int) -> bool:
        return now_ns - self._read[name][1] <= self._rules.in_doubt_ns

    def read_ns(self, name: str) -> int | None:
        """When a heartbeat of that member was last read on the disk, in nanoseconds; None: never."""
        found = self._read.get(name)
        return None if found is None else found[1]

    def isolated(self, name: str, now_ns: int) -> bool:
        """Whether that member lives by the disk alone.

        The last heartbeat of a dead one is read later on the disk than over the network: only one that the network did
        not bring tells that it lives.
        """
        peer = self._hearing.peers.get(name)
        if peer is None or name not in self._read or not self._fresh(name, now_ns) or self._hearing.hears(name, now_ns):
            return False
        last, newest = peer.heartbeat, self._read[name][0]
        return last is None or last.process != newest.process or newest.seq > last.seq

    def mask(self, now_ns: int) -> int:
        """Whom this member knows to live by the disk alone, as a bit mask."""
        return sum(self._rules.bits.get(name, 0) for name in self._read if self.isolated(name, now_ns))

    def news(self, now_ns: int) -> Iterator[Event]:
        """Whom this member finds isolated, since the last call."""
        for name in self._found_isolated(now_ns):
            yield Event(kind=EventKind.MEMBER_ISOLATED, subject=name, fields={"seen_by": self._me})

    def isolated_by(self, name: str, now_ns: int) -> tuple[str, ...]:
        """Who says that the member lives by the disk alone: this one, or others that are heard."""
        bit, me = self._rules.bits.get(name, 0), (self._me,) if self.isolated(name, now_ns) else ()
        said = {other: self._hearing.fresh(other, now_ns) for other in self._hearing.peers}
        counted = {other: h for other, h in said.items() if h is not None and h.voters in (self._rules.voters, 0)}
        return (*me, *(other for other, heartbeat in counted.items() if heartbeat.isolated & bit))

    def _found_isolated(self, now_ns: int) -> list[str]:
        now_isolated = {name for name in self._read if self.isolated(name, now_ns)}
        found, self._isolated = now_isolated - self._isolated, now_isolated
        return sorted(found)
