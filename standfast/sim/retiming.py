"""Operators who change the timing of a cluster at work, to shorter terms and longer ones."""

import random

from msgspec import structs

from standfast.model.timing import Timing, TimingError
from standfast.quorum.signals import Configure
from standfast.sim.machine import Machine

FACTORS = (0.25, 0.5, 0.5, 1.0, 2.0, 2.0, 4.0)
"""The new interval, as a multiple of the first one of the run."""
OUTDATED = 0.1
SHORTER = (0.25, 0.25, 0.5)


def another(rng: random.Random, base: Timing, factors: tuple[float, ...]) -> Timing:
    """Timers around those of the run, so that it stays about as long: mostly all of them in proportion."""
    factor = rng.choice(factors)
    scaled = {name: max(10, round(getattr(base, name) * factor)) for name in ("interval_ms", "graceful_ms", "kill_ms")}
    changed = scaled | {"evict_after": max(base.in_doubt_after + 2, base.evict_after + rng.choice((-2, 0, 0, 3)))}
    for values in (changed, scaled):
        try:
            return structs.replace(base, **values)
        except TimingError:
            continue
    return base


def order_for(machine: Machine, timing: Timing, rng: random.Random) -> Configure | None:
    """The order by which an operator at that machine asks for this timing; what he saw of the settings may be old."""
    daemon = machine.daemon
    kept = daemon.core.view.settings if daemon is not None else None
    if daemon is None or kept is None:
        return None
    wanted = structs.replace(kept.record.in_force(daemon.core.rules.cluster), timing=timing)
    return Configure(wanted, kept.record.edition - (rng.random() < OUTDATED), "operator")
