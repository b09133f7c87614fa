"""What a daemon says that it did not say before: counted, told in the transcript, and a moment for faults to aim at."""

from collections.abc import Iterator

from msgspec import Struct

from standfast.model.messages import Ack, Heartbeat, Refusal, Vote
from standfast.quorum.core import Core


class News(Struct, frozen=True):
    """One thing that is new.

    Attributes:
        counts: what a campaign counts.
        words: for the transcript; empty for none.
        moment: at which faults may aim; empty for none.
        about: whom the moment is about.
    """

    counts: tuple[str, ...]
    words: str = ""
    moment: str = ""
    about: str = ""


class Speech:
    """Of one life of a daemon."""

    def __init__(self) -> None:
        self._votes: tuple[Vote, ...] = ()
        self._stopped = 0
        self._refused: dict[str, Refusal] = {}
        """Whom it refuses to acknowledge at present, and why."""

    def heartbeat(self, heartbeat: Heartbeat, core: Core) -> Iterator[News]:
        """What is new in this heartbeat of that core."""
        if heartbeat.votes == self._votes and heartbeat.stopped == self._stopped:
            return
        for vote in heartbeat.votes:
            if vote not in self._votes:
                words = f"votes that the lease of {vote.member} has lapsed, ballot {vote.ballot}"
                yield News(("lapse vote",), words, "vote", vote.member)
        if heartbeat.stopped and heartbeat.stopped != self._stopped:
            counts: tuple[str, ...] = ("word: stopped",)
            own = core.membership.own(core.view)
            if own is not None and own.revision < heartbeat.stopped:
                counts += ("word: stopped, for a ballot read on the disk",)
            yield News(counts, f"says stopped, ballot {heartbeat.stopped}", "stopped", heartbeat.sender)
        self._votes, self._stopped = heartbeat.votes, heartbeat.stopped

    def acknowledgement(self, ack: Ack, to: str) -> Iterator[News]:
        """What is new in this answer."""
        if ack.refusal is Refusal.NONE:
            if self._refused.pop(to, None) is not None:
                yield News((), f"acknowledges {to} now")
            return
        known = self._refused.get(to)
        self._refused[to] = ack.refusal
        yield News((f"refusal: {ack.refusal}",), "" if known is ack.refusal else f"refuses {to}: {ack.refusal}")
