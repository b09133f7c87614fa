"""A member's own standing: its incarnation, joining, leaving, and its word that nothing of it runs.

Guarantees: it joins by the settings in the store, as a voter that they have at this address and in this role, and only
while nothing of an earlier incarnation runs here, or as its heir: when all that runs was started by a former process on
this machine, under epochs that the store still gives to this member, whose record says neither that it must go nor that
it has gone. It takes over its own name at once only on the same machine (the same state directory), otherwise when the
old incarnation has been evicted or has left; once it has said `stopped` for a ballot, it starts nothing and votes for
nothing before its record has a newer revision. Told to go, and with its word given, it joins anew by itself: of the
members left there may be none to evict it. Removed from the settings, or replaced at another address, it ends.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from standfast.model.cluster import MemberSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import BALLOT, GONE, MemberRecord, MemberState
from standfast.model.timing import NS_PER_MS
from standfast.model.view import Kept, View
from standfast.quorum import transactions as tx
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Effect, Leave, LeaveReason, Tell, Transact


class Identity(Struct, frozen=True, kw_only=True):
    """Who this member is.

    Attributes:
        name: in the cluster file.
        machine: random, kept in the state directory: tells the same machine from a namesake.
        process: random, one for each start of the daemon.
    """

    name: str
    machine: str
    process: int


class Membership:
    """Of the member `home`, as the cluster file of this machine has it; `machine`: identity of its state directory."""

    __slots__ = (
        "_end_by_ns",
        "_grace_ns",
        "_home",
        "_rules",
        "_stop_by_ns",
        "_told_held",
        "ended",
        "heir",
        "incarnation",
        "leaving",
        "machine",
        "me",
        "stopped_word",
    )

    def __init__(self, home: MemberSpec, machine: str, rules: Rules) -> None:
        self._home = home
        self.me = home.name
        self._rules = rules
        self.machine = machine
        """Identity of its state directory."""
        self.incarnation = 0
        self.stopped_word = 0
        """The ballot for which it said that nothing of it runs; 0: none."""
        self.heir = False
        """A former process of this machine left something running; it joins as the heir of that one."""
        self.leaving = False
        self.ended = False
        """The core has asked the daemon to end."""
        self._grace_ns = self._stop_by_ns = self._end_by_ns = 0
        self._told_held = 0

    def own(self, view: View) -> Kept[MemberRecord] | None:
        """Its record when it is this incarnation's, else None."""
        kept = view.members.get(self.me)
        return kept if kept is not None and kept.record.incarnation == self.incarnation else None

    def may_stay(self, view: View) -> bool:
        """Whether this incarnation may run queue managers, as far as the store says."""
        kept = self.own(view)
        return kept is not None and kept.record.state in (MemberState.ONLINE, MemberState.IN_DOUBT)

    def heir_of(self, view: View) -> Kept[MemberRecord] | None:
        """Before it has joined: the record of the former process whose queue managers it may go on with, or None."""
        kept = view.members.get(self.me)
        if not self.heir or self.incarnation or kept is None or kept.record.identity != self.machine:
            return None
        return kept if kept.record.state in (MemberState.ONLINE, MemberState.IN_DOUBT) else None

    def may_keep(self, view: View) -> bool:
        """Whether what runs here may run on, as far as the store says: started by this process or a former one."""
        return self.may_stay(view) or self.heir_of(view) is not None

    def span(self, view: View) -> range:
        """The incarnations whose assignments are this process's."""
        kept = self.own(view) or self.heir_of(view)
        if kept is None:
            return range(self.incarnation, self.incarnation + 1)
        return range(kept.record.first, kept.record.incarnation + 1)

    def standing(self, view: View, now_ns: int) -> dict[str, Any]:
        """What the keeper must know of it: fields of a Standing."""
        return {
            "incarnation": self.incarnation,
            "span": self.span(view),
            "may_stay": self.may_stay(view),
            "may_keep": self.may_keep(view),
            "sworn_off": self.sworn_off(view),
            "leaving": self.leaving,
            "late": self.late(now_ns),
        }

    def must_go(self, view: View) -> bool:
        """Whether this incarnation was told to go: another coordinator must end it."""
        kept = self.own(view)
        return kept is not None and kept.record.state is MemberState.EVICTING

    def stranger(self, view: View) -> bool:
        """Whether another machine counts as the member of its name: others must end that one before it can join."""
        kept = view.members.get(self.me)
        return kept is not None and kept.record.state not in GONE and kept.record.identity != self.machine

    def sworn_off(self, view: View) -> bool:
        """Whether its word `stopped` is still in force."""
        kept = view.members.get(self.me)
        return kept is not None and kept.revision <= self.stopped_word

    def speaks(self, view: View) -> bool:
        """Whether it is the voter of its name, as far as the store says; its word `stopped` ends that too."""
        kept = self.own(view)
        return kept is not None and kept.record.state not in GONE and kept.revision > self.stopped_word

    def joined(self, record: MemberRecord) -> None:
        """Its join was committed with this record. The view may show a later one, even of another machine."""
        self.incarnation = record.incarnation
        self.stopped_word = 0

    def leave(self, now_ns: int, grace_ns: int) -> None:
        """Hand over and end.

        The store gets `grace_ns` twice: from now on to take note of where to hand over, or all is just stopped; and
        from when nothing runs any more, however long a queue manager took to stop, to take note of that.
        """
        if not self.leaving:
            self.leaving = True
            self._grace_ns = grace_ns
            self._stop_by_ns = self._end_by_ns = now_ns + grace_ns

    def late(self, now_ns: int) -> bool:
        """Whether it is leaving and what it could not arrange to hand over must be stopped now."""
        return self.leaving and now_ns >= self._stop_by_ns

    def steps(
        self,
        view: View,
        now_ns: int,
        *,
        alive: bool,
        owns: bool,
        in_touch: bool,
        outwaited: bool,
        overridden: bool = False,
        carried: bool = False,
        held_ns: int = 0,
    ) -> Iterator[Effect]:
        """What is to do, as an effect or none.

        `alive`: a process may exist; `owns`: assignments; `in_touch`: in two-way contact with a majority; `outwaited`:
        it has waited out the machine whose place it took; `overridden`: what runs, runs by an override, and nothing by
        its record in the store; `carried`: it is an heir, and all that runs is this member's; `held_ns`: how long it is
        held back, if nothing changes.
        """
        kept = view.members.get(self.me)
        if self.ended:
            return
        if carried and in_touch and (alive or not self.leaving):
            yield self._join(view, outwaited=outwaited, heir=True)
        if alive:
            self._end_by_ns = now_ns + self._grace_ns
            return
        if kept is not None and self._namesake(kept.record):
            yield Tell(Event(kind=EventKind.NAMESAKE, subject=self.me))
            yield self._end(LeaveReason.NAMESAKE)
        elif (dismissed := self._dismissed(kept)) is not None:
            yield self._end(dismissed)
        elif self.leaving:
            yield from self._leave(view, now_ns, owns=owns)
        elif in_touch and not carried and self._may_join(kept, overridden=overridden):
            if held_ns:
                yield from self._held_back(kept, held_ns)
            else:
                yield self._join(view, outwaited=outwaited)

    def _join(self, view: View, *, outwaited: bool, heir: bool = False) -> Transact:
        join = tx.join(self.me, self._home.role, self.machine, view, self._rules, outwaited=outwaited, heir=heir)
        return Transact("join", join)

    def _held_back(self, kept: Kept[MemberRecord] | None, held_ns: int) -> Iterator[Effect]:
        """Tell it once for each time that it was evicted."""
        if kept is not None and self._told_held < kept.record.incarnation:
            self._told_held = kept.record.incarnation
            fields: dict[str, str | int | float | bool | None] = {
                "reason": kept.record.reason,
                "evictions": kept.record.evictions,
                "settle_ms": held_ns // NS_PER_MS,
            }
            yield Tell(Event(kind=EventKind.MEMBER_HELD_BACK, subject=self.me, fields=fields))

    def _namesake(self, record: MemberRecord) -> bool:
        return 0 < self.incarnation < record.incarnation and record.identity != self.machine

    def _dismissed(self, kept: Kept[MemberRecord] | None) -> LeaveReason | None:
        """Why this machine can not be the member any more; None when it can, or can become one once it is added."""
        if not self._rules.revision:
            return None
        if self.me in self._rules.bits:
            here = _place(self._rules.cluster.member(self.me)) == _place(self._home)
            return None if here else LeaveReason.ELSEWHERE
        mine = kept is not None and kept.record.identity == self.machine
        return LeaveReason.REMOVED if mine else None

    def _may_join(self, kept: Kept[MemberRecord] | None, *, overridden: bool) -> bool:
        if not self._rules.revision or self.me not in self._rules.bits:
            return False
        if kept is None or kept.record.state in GONE:
            return True
        if kept.record.identity != self.machine:
            return False
        given = overridden or kept.revision <= self.stopped_word
        told_to_go = kept.record.state is MemberState.EVICTING and given
        return kept.record.incarnation != self.incarnation or told_to_go

    def _leave(self, view: View, now_ns: int, *, owns: bool) -> Iterator[Effect]:
        if now_ns < self._end_by_ns:
            if owns:
                return
            if self.may_stay(view):
                kept = view.members[self.me]
                self.stopped_word = max(self.stopped_word, kept.revision)
                leave = tx.member_state(kept, MemberState.LEFT, EventKind.MEMBER_LEFT, "stopped")
                yield Transact("leave", leave)
                return
        yield self._end(LeaveReason.ORDERED)

    def _end(self, reason: LeaveReason) -> Leave:
        self.ended = True
        return Leave(reason)

    def swear_off(self, view: View, *, alive: bool, leased: bool, called: int) -> None:
        """Give the word `stopped` for an open ballot against this incarnation once nothing runs.

        `called`: a ballot that it knows from others alone and must stop for; 0: none.
        """
        kept = self.own(view)
        if kept is None or alive:
            return
        due = kept.record.state is MemberState.EVICTING or (kept.record.state in BALLOT and not leased)
        self.stopped_word = max(self.stopped_word, called, kept.revision if due else 0)


def _place(spec: MemberSpec) -> tuple[object, ...]:
    """What the others go by to reach it, and what it may do."""
    ports = (spec.heartbeat_port, spec.store_client_port, spec.store_peer_port, spec.health_port)
    return spec.addresses, ports, spec.role
