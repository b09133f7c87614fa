"""Every timer of the protocol, in one value that is validated as a whole.

All of them follow from one heartbeat interval (the habit of sanlock's timeouts)::

    t = 0                 last heartbeat that a majority acknowledged
    in_doubt_ns           silence after which others call the member in doubt
    term - stop budget    the member begins to stop its queue managers by itself
    term - kill budget    whatever still runs is killed
    term                  the lease ends: nothing runs any more
    lapse(term)           voters may vote: 1 % later, for clocks whose rates differ
"""

from typing import Any

from msgspec import Struct, structs

NS_PER_MS = 1_000_000
DRIFT_DIVISOR = 100
"""Clock rates of two machines differ by less than one part in this many (1 %)."""

_LIMITS: dict[str, tuple[int, int]] = {
    "interval_ms": (10, 60_000),
    "in_doubt_after": (2, 100),
    "evict_after": (4, 200),
    "graceful_ms": (10, 600_000),
    "kill_ms": (10, 600_000),
}


class TimingError(ValueError):
    """A set of timers that cannot keep the promises; the message says which rule it breaks."""


def lapse_ns(term_ns: int) -> int:
    """How long a voter counts a grant, in nanoseconds: the term and 1 % for drifting clocks."""
    return term_ns + -(-term_ns // DRIFT_DIVISOR)


class Timing(Struct, frozen=True, kw_only=True):
    """Heartbeat interval and all that follows from it; raises TimingError when inconsistent.

    Attributes:
        interval_ms: time between two heartbeats of a member.
        in_doubt_after: missed heartbeats until a member is in doubt.
        evict_after: missed heartbeats until it may be evicted; the term is this many intervals.
        graceful_ms: budget for the graceful stop of queue managers when the lease runs out.
        kill_ms: budget after it for SIGKILL and the release of storage.
    """

    interval_ms: int
    in_doubt_after: int
    evict_after: int
    graceful_ms: int
    kill_ms: int

    def __post_init__(self) -> None:
        """Refuse each inconsistent set with a sentence."""
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise TimingError(f"{name} = {value} is out of range: choose {low} to {high}.")
        if self.evict_after < self.in_doubt_after + 2:
            raise TimingError(
                f"evict_after = {self.evict_after} leaves no time between doubt and eviction: choose at "
                f"least in_doubt_after + 2 = {self.in_doubt_after + 2}."
            )
        spare_ms = self.term_ms - self.graceful_ms - self.kill_ms
        if spare_ms < 2 * self.interval_ms:
            raise TimingError(
                f"graceful_ms + kill_ms = {self.graceful_ms + self.kill_ms} of a term of {self.term_ms} ms "
                f"leaves {spare_ms} ms for heartbeats: one late heartbeat would stop every queue manager. "
                f"Leave at least two intervals ({2 * self.interval_ms} ms)."
            )

    @property
    def term_ms(self) -> int:
        """Length of a lease in milliseconds."""
        return self.interval_ms * self.evict_after

    @property
    def interval_ns(self) -> int:
        """Time between two heartbeats in nanoseconds."""
        return self.interval_ms * NS_PER_MS

    @property
    def term_ns(self) -> int:
        """Length of a lease in nanoseconds."""
        return self.term_ms * NS_PER_MS

    @property
    def in_doubt_ns(self) -> int:
        """Silence after which a member is no longer heard, in nanoseconds."""
        return self.interval_ns * self.in_doubt_after

    @property
    def kill_ns(self) -> int:
        """How long before the lease ends SIGKILL is sent, in nanoseconds."""
        return self.kill_ms * NS_PER_MS

    @property
    def stop_ns(self) -> int:
        """How long before the lease ends the stop begins, in nanoseconds."""
        return (self.graceful_ms + self.kill_ms) * NS_PER_MS

    def timeline(self) -> list[tuple[int, str]]:
        """What happens when after the last acknowledged heartbeat: (milliseconds, sentence)."""
        return [
            (0, "last heartbeat that a majority acknowledged"),
            (self.interval_ms * self.in_doubt_after, "others no longer hear the member: in doubt"),
            (self.term_ms - self.graceful_ms - self.kill_ms, "it begins to stop its queue managers by itself"),
            (self.term_ms - self.kill_ms, "what still runs is killed"),
            (self.term_ms, "its lease ends; nothing of it runs"),
            (lapse_ns(self.term_ns) // NS_PER_MS, "voters vote, it is evicted, another member starts"),
        ]


PROFILES: dict[str, Timing] = {
    "lan": Timing(interval_ms=40, in_doubt_after=3, evict_after=10, graceful_ms=60, kill_ms=50),
    "fast": Timing(interval_ms=100, in_doubt_after=3, evict_after=8, graceful_ms=150, kill_ms=100),
    "normal": Timing(interval_ms=250, in_doubt_after=4, evict_after=10, graceful_ms=750, kill_ms=250),
    "cautious": Timing(interval_ms=1000, in_doubt_after=5, evict_after=15, graceful_ms=5000, kill_ms=1000),
}
DEFAULT_PROFILE = "normal"


def timing(profile: str = DEFAULT_PROFILE, **changes: Any) -> Timing:
    """A profile with single values changed; raises TimingError for an unknown name or a bad set."""
    base = PROFILES.get(profile)
    if base is None:
        raise TimingError(f"timing profile {profile!r} is unknown: choose one of {', '.join(PROFILES)}.")
    unknown = sorted(set(changes) - set(_LIMITS))
    if unknown:
        raise TimingError(f"timing has no value {unknown[0]!r}: it has {', '.join(_LIMITS)}.")
    return structs.replace(base, **changes)
