"""What became of the messages: the comparison that decides whether a promise was kept. Pure.

A message that the queue manager acknowledged and does not have is LOST. One that it has more than once is DOUBLED: the
answer to a send got lost with a connection and the load sent it again; at-least-once delivery allows that, and a count
that surprises is a hint. One that it has without an acknowledgement is nobody's mistake.
"""

from enum import StrEnum

from msgspec import Struct

from standfast.drill.identity import Identity
from standfast.drill.record import LoadRecord, Sent
from standfast.ports import Durability


class Verdict(StrEnum):
    """What a drill says at the top of its report."""

    KEPT = "kept"  # every acknowledged message is there
    BROKEN = "broken"  # a promise was broken
    NO_PROMISE = "no_promise"  # the driver's durability is NONE or UNKNOWN: nothing was promised, so nothing was kept
    UNPROVEN = "unproven"  # it could not be found out; never to be read as "kept"


class Audit(Struct, frozen=True, kw_only=True):
    """The comparison of one run.

    Attributes:
        durability: what the driver promises.
        created: messages that producers made.
        acked: of those, acknowledged.
        attempts: sends, retries included.
        stored: different messages found in the queue manager; None when it could not be read back.
        consumed: different acknowledged messages that reached a consumer.
        lost: acknowledged and not stored.
        doubled: stored more than once.
        unreadable: why it could not be read back; empty when it could.
        consumers: whether there were any; without, `consumed` says nothing.
    """

    durability: Durability
    created: int
    acked: int
    attempts: int
    stored: int | None
    consumed: int
    lost: tuple[Identity, ...]
    doubled: tuple[Identity, ...]
    unreadable: str = ""
    consumers: bool = True

    @property
    def verdict(self) -> Verdict:
        """Whether the promise of the driver was kept in this run."""
        if self.durability in (Durability.NONE, Durability.UNKNOWN):
            return Verdict.NO_PROMISE
        if self.stored is None or self.acked == 0:
            return Verdict.UNPROVEN
        return Verdict.BROKEN if self.lost else Verdict.KEPT


def audit(record: LoadRecord, durability: Durability) -> Audit:
    """Compare what was acknowledged with what is stored and what was consumed."""
    messages = all_messages(record)
    acked = [identity for identity, sent in messages if sent.acked_ns]
    stored = record.stored
    return Audit(
        durability=durability,
        created=len(messages),
        acked=len(acked),
        attempts=sum(sent.attempts for _, sent in messages),
        stored=None if stored is None else sum(1 for identity, _ in messages if _count(stored, identity)),
        consumed=sum(1 for identity in acked if _count(record.consumed, identity)),
        lost=() if stored is None else tuple(one for one in acked if not _count(stored, one)),
        doubled=() if stored is None else tuple(one for one, _ in messages if _count(stored, one) > 1),
        unreadable=record.unreadable,
        consumers=record.settings.consumers > 0,
    )


def all_messages(record: LoadRecord) -> list[tuple[Identity, Sent]]:
    """Every message of a run with its identity."""
    return [
        (Identity(producer, sequence), sent)
        for producer, row in enumerate(record.sent)
        for sequence, sent in enumerate(row)
    ]


def _count(counts: list[list[int]], identity: Identity) -> int:
    row = counts[identity.producer] if identity.producer < len(counts) else []
    return row[identity.sequence] if identity.sequence < len(row) else 0
