"""Lost links between data members: who has to go so that all data members that stay hear each other.

Pure: `part(...) -> losses`. Guarantees: those who stay include a circle that holds a majority and a member that can be
given queue managers; none of that circle goes. Where there is no such circle, nobody goes.

A witness never goes for a lost link. It has no data that could differ, so a witness that lost one member harms nobody;
its vote still counts for all who hear it, and without it the cluster would survive less.
"""

from collections.abc import Mapping

from msgspec import Struct

from standfast.quorum.circles import circles
from standfast.quorum.ladder import Merits, Rung, decided_by, weight


class Loss(Struct, frozen=True):
    """A member that has to go: against whom of those who stay it lost, and at which rung."""

    name: str
    to: tuple[str, ...]
    by: Rung


class Parting(Struct, frozen=True):
    """`circle` stays for certain; `losses` go."""

    circle: frozenset[str]
    losses: tuple[Loss, ...]


def part(merits: Mapping[str, Merits], linked: Mapping[str, frozenset[str]], majority: int) -> Parting | None:
    """Who goes; None when nobody has to, or nobody may.

    `merits`: of all members that are online and heard; `linked`: whom each of them hears and is heard by.
    """
    data = [name for name in merits if merits[name].data]
    if all(other in linked[name] for name in data for other in data if other != name):
        return None
    weights = {
        circle: weight([merits[name] for name in circle])
        for circle in circles(tuple(merits), linked)
        if len(circle) >= majority
    }
    serving = [circle for circle in weights if any(merits[name].able for name in circle)]
    if not serving:
        return None
    best = min(serving, key=lambda circle: weights[circle])
    staying = {name for name in data if name in best}
    losses: list[Loss] = []
    for name in sorted((n for n in data if n not in best), key=lambda n: weight([merits[n]])):
        torn_from = tuple(sorted(staying - linked[name]))
        if not torn_from:
            staying.add(name)
            continue
        own = min((w for circle, w in weights.items() if name in circle), default=None)
        losses.append(Loss(name, torn_from, Rung.CIRCLE if own is None else decided_by(weights[best], own)))
    return Parting(best, tuple(losses)) if losses else None
