"""Who hears whom: this member's own ears, and what the others say about theirs.

Silence is judged on this member's clock. What nobody reports is taken as contact that still exists, so that one
deaf observer condemns nobody. A gap in this member's own attention (it was paused) is not held against others.
"""

from collections.abc import Collection, Iterator, Mapping

from standfast.model.messages import Heartbeat
from standfast.model.records import MemberRecord
from standfast.model.view import Kept
from standfast.quorum.rules import Rules

LISTEN_INTERVALS = 2
"""So long a voter listens for others before it acknowledges a member that was away: everybody speaks once in one."""


class Peer:
    """The newest heartbeat of one other member, when it came, since when they come, and how long the gap before was.

    `heartbeat` is None before the first.
    """

    __slots__ = ("at_ns", "gap_ns", "heard", "heartbeat", "since_ns")

    def __init__(self, now_ns: int) -> None:
        self.at_ns = self.since_ns = now_ns
        self.gap_ns = 0
        self.heard = False
        self.heartbeat: Heartbeat | None = None


class Hearing:
    """Contact between members, seen from `me` since `now_ns`."""

    __slots__ = ("_me", "_rules", "peers")

    def __init__(self, me: str, rules: Rules, now_ns: int) -> None:
        self._me = me
        self._rules = rules
        self.peers = {name: Peer(now_ns) for name in rules.names if name != me}

    def heard(self, heartbeat: Heartbeat, now_ns: int) -> Heartbeat | bool:
        """Note a heartbeat: False when it is outdated, True for the first, else the one it replaces."""
        peer = self.peers.get(heartbeat.sender)
        if peer is None:
            return False
        before = peer.heartbeat
        if before is not None and self._outdated(before, heartbeat, now_ns - peer.at_ns):
            return False
        if before is None or now_ns - peer.at_ns > self._rules.in_doubt_ns:
            peer.gap_ns = now_ns - peer.at_ns
            peer.since_ns = now_ns
        peer.heartbeat = heartbeat
        peer.at_ns = now_ns
        return True if before is None else before

    def _outdated(self, before: Heartbeat, heartbeat: Heartbeat, silence_ns: int) -> bool:
        """Whether it is older than the one seen, or from a process whose place another has taken.

        Of two processes with one name (a late datagram, a namesake) the one of the larger incarnation is the member
        as long as it is heard; else what is known of the member would change with every heartbeat.
        """
        if before.process == heartbeat.process:
            return heartbeat.seq <= before.seq
        return heartbeat.incarnation < before.incarnation and silence_ns <= self._rules.in_doubt_ns

    def adopted(self, now_ns: int) -> None:
        """Other settings are in force: who votes may differ, and a silence that was allowed may be too long now."""
        for name in self._rules.names:
            if name != self._me and name not in self.peers:
                self.peers[name] = Peer(now_ns)
        for name in [name for name in self.peers if name not in self._rules.bits]:
            del self.peers[name]
        self.forgive(now_ns)

    def pace_ns(self, now_ns: int) -> int:
        """The shortest interval that a member counts on who is heard now; the own one when none is shorter."""
        pace = self._rules.pace_ns
        oldest = now_ns - self._rules.in_doubt_ns
        for peer in self.peers.values():
            heartbeat = peer.heartbeat
            if heartbeat is not None and 0 < heartbeat.interval_ns < pace and peer.at_ns >= oldest:
                pace = heartbeat.interval_ns
        return min(pace, self._rules.interval_ns)

    def forgive(self, now_ns: int) -> None:
        """This member was not listening until now: start counting everybody's silence afresh."""
        for peer in self.peers.values():
            peer.at_ns = peer.since_ns = now_ns
            peer.gap_ns = 0

    def lately_found(self, name: str, now_ns: int) -> bool:
        """Whether this member has heard that one for no longer than the doubt time: its word may be out of date."""
        peer = self.peers.get(name)
        return peer is not None and now_ns - peer.since_ns <= self._rules.in_doubt_ns

    def listening(self, name: str, now_ns: int) -> bool:
        """Whether that member came back just now, after a term or more: it may be here before a third one is heard."""
        peer = self.peers[name]
        return peer.gap_ns > self._rules.term_ns and now_ns - peer.since_ns < LISTEN_INTERVALS * self._rules.interval_ns

    def silence_ns(self, name: str, now_ns: int) -> int:
        """How long ago this member heard that one."""
        return now_ns - self.peers[name].at_ns

    def hears(self, name: str, now_ns: int) -> bool:
        """Whether this member heard that one within the doubt time."""
        peer = self.peers.get(name)
        if peer is None:
            return name == self._me
        return peer.heartbeat is not None and now_ns - peer.at_ns <= self._rules.in_doubt_ns

    def mask(self, now_ns: int) -> int:
        """Whom this member hears, as the bit mask of a heartbeat."""
        mask = self._rules.bits.get(self._me, 0)
        oldest = now_ns - self._rules.in_doubt_ns
        for name, peer in self.peers.items():
            if peer.at_ns >= oldest and peer.heartbeat is not None:
                mask |= self._rules.bits[name]
        return mask

    def changes(self, now_ns: int) -> Iterator[tuple[str, bool]]:
        """Members that became heard (True) or unheard (False) since the last call."""
        for name, peer in self.peers.items():
            now_heard = self.hears(name, now_ns)
            if now_heard is not peer.heard:
                peer.heard = now_heard
                yield name, now_heard

    def fresh(self, name: str, now_ns: int) -> Heartbeat | None:
        """The newest heartbeat of a member that is heard now, else None."""
        return self.peers[name].heartbeat if name != self._me and self.hears(name, now_ns) else None

    def leased(self, records: Mapping[str, Kept[MemberRecord]], now_ns: int) -> dict[str, tuple[str, ...]]:
        """Members whose present incarnation says that it holds a lease, with what each is unfit for."""
        said = {name: self.fresh(name, now_ns) for name in records}
        return {
            name: heartbeat.unfit
            for name, heartbeat in said.items()
            if heartbeat and heartbeat.leased and heartbeat.incarnation == records[name].record.incarnation
        }

    def ears(self, name: str, now_ns: int) -> int | None:
        """Whom that member hears by its own fresh word (bit mask); None when it is not heard itself."""
        if name == self._me:
            return self.mask(now_ns)
        heartbeat = self.fresh(name, now_ns)
        return None if heartbeat is None else self._rules.translated(heartbeat.hears, heartbeat.voters)

    def fit(self, leased: Mapping[str, tuple[str, ...]]) -> int:
        """Those of them that could run anything, as the bit mask of a heartbeat."""
        return sum(self._rules.bits.get(name, 0) for name, unfit in leased.items() if not unfit)

    def told_of(self, now_ns: int) -> set[str]:
        """Members that this one does not hear, and that others say could run anything."""
        mask = 0
        for name in self.peers:
            heartbeat = self.fresh(name, now_ns)
            if heartbeat is not None and heartbeat.voters in (self._rules.voters, 0):
                mask |= heartbeat.fit
        bits = self._rules.bits
        return {name for name in self.peers if mask & bits.get(name, 0) and not self.hears(name, now_ns)}

    def heard_by(self, name: str, now_ns: int) -> bool:
        """Whether that member says that it hears this one."""
        ears = self.ears(name, now_ns)
        return ears is not None and bool(ears & self._rules.bits.get(self._me, 0))

    def contacts(self, name: str, now_ns: int, gone: Collection[str] = ()) -> tuple[int, int]:
        """How many members are in two-way contact with `name`, and how many hear it at least; itself included.

        A member whose word is not fresh counts as hearing it, unless it is this member itself that misses it. One that
        is `gone` grants nothing; it counts only when it is known to hear a majority itself, and so can join again.
        """
        bit = self._rules.bits.get(name, 0)
        own_ears = self.ears(name, now_ns)
        two_way = heard_by = 1
        for other in self._rules.names:
            if other == name:
                continue
            ears = self.ears(other, now_ns)
            if other in gone and (ears is None or ears.bit_count() < self._rules.majority):
                continue
            if ears is not None and not ears & bit:
                continue
            heard_by += 1
            if own_ears is None or own_ears & self._rules.bits[other]:
                two_way += 1
        return two_way, heard_by

    def heard_among(self, name: str, names: Collection[str], now_ns: int) -> int:
        """How many of these hear that one, itself included; one whose word is not fresh counts as hearing it."""
        bit = self._rules.bits.get(name, 0)
        said = (self.ears(other, now_ns) for other in names if other != name)
        return 1 + sum(ears is None or bool(ears & bit) for ears in said)

    def incarnation_heard(self, name: str, incarnation: int, now_ns: int) -> bool:
        """Whether what is heard of that member comes from this very incarnation, not from a later start of it."""
        heartbeat = self.fresh(name, now_ns)
        return heartbeat is not None and heartbeat.incarnation == incarnation
