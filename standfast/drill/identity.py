"""Which message is which: a run, a producer and a sequence number, written into the message itself.

A retry carries the same identity, so that a message stored twice is seen as a double, and one that was acknowledged
and is gone is seen as lost. No broker feature is relied upon for either.
"""

from typing import NamedTuple

_MARK = b"standfast-drill"
_FIELDS = 5


class Identity(NamedTuple):
    """One message of a run; both numbers start at 0."""

    producer: int
    sequence: int


def encode(run: str, identity: Identity, size_bytes: int) -> bytes:
    """The message, padded to `size_bytes` (never cut)."""
    head = b"%s %s %d %d " % (_MARK, run.encode(), identity.producer, identity.sequence)
    return head.ljust(size_bytes, b".")


def decode(run: str, payload: bytes) -> Identity | None:
    """Which message it is; None when it is not one of this run."""
    parts = payload.split(b" ", _FIELDS - 1)
    if len(parts) != _FIELDS or parts[0] != _MARK or parts[1] != run.encode():
        return None
    try:
        return Identity(int(parts[2]), int(parts[3]))
    except ValueError:
        return None
