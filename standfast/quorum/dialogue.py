"""What a member makes of the messages of others: it answers heartbeats, and counts what acknowledgements grant it."""

from standfast.model.messages import Ack, Heartbeat, Refusal
from standfast.quorum.adoption import Adoption
from standfast.quorum.desk import Desk
from standfast.quorum.grants import Grants
from standfast.quorum.hearing import Hearing
from standfast.quorum.lease import Lease
from standfast.quorum.membership import Membership
from standfast.quorum.overrides import Overrides
from standfast.quorum.signals import Effect, Send
from standfast.quorum.voice import Voice, same
from standfast.quorum.words import Words


class Dialogue:
    """Of member `me` with all others."""

    __slots__ = (
        "_adoption",
        "_desk",
        "_grants",
        "_greeted",
        "_hearing",
        "_lease",
        "_me",
        "_membership",
        "_overrides",
        "_voice",
        "_words",
    )

    def __init__(
        self,
        me: str,
        *,
        desk: Desk,
        membership: Membership,
        hearing: Hearing,
        grants: Grants,
        lease: Lease,
        adoption: Adoption,
        voice: Voice,
        words: Words,
        overrides: Overrides,
    ) -> None:
        self._me = me
        self._desk = desk
        self._membership = membership
        self._hearing = hearing
        self._grants = grants
        self._lease = lease
        self._adoption = adoption
        self._voice = voice
        self._words = words
        self._overrides = overrides
        self._greeted: dict[str, int] = {}
        """By member: the process of it that was greeted last."""

    def acknowledged(self, ack: Ack, now_ns: int, out: list[Effect]) -> bool:
        """Take an answer; whether the lease got longer by it."""
        if ack.incarnation != self._membership.incarnation:
            return False
        if ack.refusal in (Refusal.UNKNOWN, Refusal.TOLD_TO_GO):
            self._desk.want_soon(now_ns)
        if ack.refusal is not Refusal.NONE:
            return False
        if not self._lease.acknowledged(ack.sender, ack.sent_ns, ack.term_ns):
            return False
        out.append(self._adoption.lease_moved())
        return True

    def heard(self, heartbeat: Heartbeat, now_ns: int, out: list[Effect], *, leased: bool) -> bool:
        """Take and answer a heartbeat; whether anything in it is new that decisions rest on.

        `leased`: whether this member has all the acknowledgements that it needs.
        """
        before = self._hearing.heard(heartbeat, now_ns)
        if before is False:
            return self._greet(heartbeat, now_ns)
        self._words.heard(heartbeat)
        view = self._desk.view
        if heartbeat.incarnation:
            refusal = self._refusal(heartbeat, now_ns)
            ack = Ack(self._me, heartbeat.incarnation, heartbeat.sent_ns, heartbeat.term_ns, refusal)
            out.append(Send(heartbeat.sender, ack))
        if heartbeat.newest > view.newest:
            self._desk.want()
        self._voice.keep_pace(heartbeat.interval_ns, now_ns)
        if not leased:
            self._ask_again(before, heartbeat, now_ns)
        return not isinstance(before, Heartbeat) or not same(before, heartbeat)

    def _refusal(self, heartbeat: Heartbeat, now_ns: int) -> Refusal:
        """Why it is not acknowledged; a grant is noted."""
        sender = heartbeat.sender
        if not self._overrides.aware(sender, heartbeat.overrides):
            return Refusal.UNAWARE
        return self._grants.answer(
            sender,
            heartbeat.incarnation,
            self._desk.view.members.get(sender),
            now_ns,
            heartbeat.term_ns,
            listening=self._hearing.listening(sender, now_ns),
        )

    def _greet(self, heartbeat: Heartbeat, now_ns: int) -> bool:
        """A member was restarted so soon that nobody missed it: let it hear this one at once, not an interval later."""
        if heartbeat.incarnation or self._greeted.get(heartbeat.sender) == heartbeat.process:
            return False
        self._greeted[heartbeat.sender] = heartbeat.process
        self._voice.hurry(now_ns)
        return True

    def _ask_again(self, before: Heartbeat | bool, heartbeat: Heartbeat, now_ns: int) -> None:
        """A voter that did not know this incarnation has read of it now: ask it for a grant at once."""
        own = self._membership.own(self._desk.view)
        if own is not None and isinstance(before, Heartbeat) and before.newest < own.revision <= heartbeat.newest:
            self._voice.hurry(now_ns)
