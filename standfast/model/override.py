"""An override: an operator's order to one data member to run without a majority. What is said of it, and what is kept.

Of one override each member says a word in its heartbeats, and keeps it on its disk. Words of one member's overrides
are ordered by number, then by stance, and the larger one always wins: told twice, late or by others, they come out
the same everywhere.
"""

from enum import StrEnum

from msgspec import Struct

from standfast.model.cluster import QueueManagerSpec

EVERY = "*"
"""In place of names: all queue managers."""
STRIDE = 1_000
"""An override's epochs begin this far above the newest known one: its member can not know what was decided since. More
decisions than that are noticed by the storage, which refuses a smaller epoch than it has seen."""


class Stance(StrEnum):
    """What is held of an override."""

    ON = "on"  # in force
    REFUSED = "refused"  # a member runs what it covers under a lease: there was a majority all along
    ENDED = "ended"  # over


_RANK = {stance: rank for rank, stance in enumerate(Stance)}


class Word(Struct, frozen=True, array_like=True):
    """What is said of one override.

    Attributes:
        member: that was ordered to run.
        number: of the order; a later one of the same member is larger.
        stance: see Stance.
        floor: the largest epoch used under it: whoever runs one of these queue managers later needs a larger one.
        queue_managers: names of those that it covers; EVERY for all.
    """

    member: str
    number: int
    stance: Stance
    floor: int
    queue_managers: tuple[str, ...]

    def covers(self, qm: str) -> bool:
        """Whether it is about this queue manager."""
        return qm in self.queue_managers or EVERY in self.queue_managers

    def replaces(self, other: "Word") -> bool:
        """Whether it is the newer of two about the same member."""
        return (self.number, _RANK[self.stance]) > (other.number, _RANK[other.stance])


class Stage(StrEnum):
    """How far a member's own override has come.

    in_force -> settling -> over     a majority is back and has taken note of who runs what
    in_force -> ending -> over       ended by an operator, refused by another member, or contradicted by the store
    settling -> over                 also when the majority is lost once more: nothing runs by the order any more
    """

    IN_FORCE = "in_force"
    SETTLING = "settling"  # everything is in the store but the end; the real lease alone counts
    ENDING = "ending"  # what runs by it is being stopped
    OVER = "over"  # nothing runs by it; the store may still have to be told


class Ending(StrEnum):
    """Why an override ended."""

    NONE = ""
    MAJORITY = "majority"  # a majority is back and holds what was decided
    OPERATOR = "operator"  # ended on the member itself
    ELSEWHERE = "elsewhere"  # ended by an operator on another member
    REFUSED = "refused"  # another member ran what it covers under a lease
    STORE = "store"  # the store has decided otherwise meanwhile
    REPLACED = "replaced"  # another machine is the member now
    TWO = "two"  # another member had an override before


CONFLICTS = frozenset({Ending.REFUSED, Ending.STORE, Ending.REPLACED, Ending.TWO})
"""Endings that mean that two sides decided: a person should look at the data."""


class Part(Struct, frozen=True, kw_only=True):
    """One queue manager under an override: what it is, and the epoch that it runs under."""

    spec: QueueManagerSpec
    epoch: int


class Override(Struct, frozen=True, kw_only=True):
    """A member's own override.

    Attributes:
        number: see Word.
        reason: by the operator.
        by: who ordered it, as the control socket knows.
        at_unix_ms: when, by the member's wall clock.
        incarnation: of the member then; what it runs claims the storage under this one or a later one.
        stage: see Stage.
        ending: why it ended; NONE before.
        whole: it covers every queue manager, those too that this member does not know.
        parts: what runs under it.
    """

    number: int
    reason: str
    by: str
    at_unix_ms: int
    incarnation: int
    stage: Stage = Stage.IN_FORCE
    ending: Ending = Ending.NONE
    whole: bool = True
    parts: tuple[Part, ...] = ()

    @property
    def floor(self) -> int:
        """See Word."""
        return max((part.epoch for part in self.parts), default=0)

    def word(self, member: str) -> Word:
        """What its member says of it."""
        names = (EVERY,) if self.whole else tuple(part.spec.name for part in self.parts)
        stance = Stance.ENDED if self.stage is Stage.OVER else Stance.ON
        return Word(member, self.number, stance, self.floor, names)


class Remembered(Struct, frozen=True, kw_only=True):
    """What a member's disk must hold before anything follows from it.

    Attributes:
        words: the newest of each member that ever had an override.
        own: its own override; None when it has none.
    """

    words: tuple[Word, ...] = ()
    own: Override | None = None


NOTHING = Remembered()
"""What a disk holds that never heard of an override."""
