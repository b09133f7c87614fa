"""The ordered comparison: of members that can not all stay, who stays. The first rung that differs decides.

Recite it from LADDER. Circles of members are compared by the sums over their members; two single members are circles
of one. The name comes last, so that there is always a difference.
"""

from collections.abc import Callable, Collection
from enum import StrEnum

from msgspec import Struct


class Rung(StrEnum):
    """What decides."""

    MAJORITY = "hears_a_majority"  # a rung of its own: who does not hear one goes, whatever else it has
    CIRCLE = "larger_circle"  # more members that all hear each other
    CHECKS = "checks_pass"  # it could be given queue managers, and its next hop answers
    DATA = "current_data"  # for how many queue managers it could start, on current data
    RUNS = "runs_now"  # how many it runs
    PRIORITY = "priority"  # as configured
    NAME = "name"  # the first by name


class Merits(Struct, frozen=True, kw_only=True):
    """Of one member that hears a majority.

    Attributes:
        name: of the member.
        data: whether it is a data member.
        able: whether it could be given queue managers now.
        checks: whether its checks pass; False for a witness, which has none.
        current: how many queue managers it could start on current data; 0 for a witness.
        runs: how many it owns.
        priority: as configured.
    """

    name: str
    data: bool
    able: bool
    checks: bool
    current: int
    runs: int
    priority: int


LADDER: tuple[tuple[Rung, Callable[[Merits], int]], ...] = (
    (Rung.CIRCLE, lambda _: 1),
    (Rung.CHECKS, lambda merits: merits.checks),
    (Rung.DATA, lambda merits: merits.current),
    (Rung.RUNS, lambda merits: merits.runs),
    (Rung.PRIORITY, lambda merits: merits.priority),
)
"""Larger sums stay; the rung above them (MAJORITY) is a condition, the one below (NAME) is the order of names."""

Weight = tuple[tuple[int, ...], tuple[str, ...]]


def weight(circle: Collection[Merits]) -> Weight:
    """By which circles are compared: the smaller one stays."""
    sums = tuple(-sum(map(measure, circle)) for _, measure in LADDER)
    return sums, tuple(sorted(merits.name for merits in circle))


def decided_by(one: Weight, other: Weight) -> Rung:
    """The rung at which two different circles differ first."""
    for (rung, _), left, right in zip(LADDER, one[0], other[0], strict=True):
        if left != right:
            return rung
    return Rung.NAME
