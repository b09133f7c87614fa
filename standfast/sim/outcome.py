"""What came of one run."""

from collections import Counter

from msgspec import Struct, field


class Outcome(Struct, kw_only=True):
    """What came of one run.

    Attributes:
        seed: of the run.
        members: of the cluster.
        simulated_s: virtual time.
        broken: the promise that was broken; empty when all held.
        how: in which way.
        coverage: how often each thing happened.
        lines: what happened, when it was asked for: (nanoseconds, who, what).
        setting: what was drawn for it, a line each.
        states: the last states, a line each.
    """

    seed: int
    members: int
    simulated_s: float
    broken: str = ""
    how: str = ""
    coverage: Counter[str] = field(default_factory=Counter)
    lines: list[tuple[int, str, str]] | None = None
    setting: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
