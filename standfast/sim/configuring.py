"""Operators who change the configuration of a cluster at work: its timing, and its queue managers."""

import random
from collections.abc import Callable

from msgspec import structs

from standfast.model.cluster import Cluster, QueueManagerSpec
from standfast.model.timing import Timing, TimingError
from standfast.quorum.configuration import in_force
from standfast.quorum.signals import Configure
from standfast.sim import groups
from standfast.sim.machine import Machine

FACTORS = (0.25, 0.5, 0.5, 1.0, 2.0, 2.0, 4.0)
"""The new interval, as a multiple of the first one of the run."""
OUTDATED = 0.1
HALTED = 0.7
REMOVED = 0.4
IN_HASTE = 0.15
"""How likely each is where it can be."""
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


def retimed(cluster: Cluster, timing: Timing) -> Cluster:
    """With another timing."""
    return structs.replace(cluster, timing=timing)


def with_another(cluster: Cluster, base: Cluster, rng: random.Random) -> Cluster:
    """With one queue manager halted, resumed, changed, removed, or added again; `base`: all that there are."""
    if groups.any_in(base) and rng.random() < groups.REGROUPED:
        return groups.with_groups(cluster, rng)
    queue_managers = {qm.name: qm for qm in cluster.queue_managers}
    chosen = rng.choice(base.queue_managers)
    now = queue_managers.get(chosen.name)
    if now is not None and rng.random() < (REMOVED if now.halted else IN_HASTE):
        del queue_managers[chosen.name]
    else:
        queue_managers[chosen.name] = _other(now, chosen, rng)
    return groups.aligned(structs.replace(cluster, queue_managers=tuple(queue_managers.values())))


def _other(now: QueueManagerSpec | None, base: QueueManagerSpec, rng: random.Random) -> QueueManagerSpec:
    if now is None:
        return base
    if now.halted or rng.random() < HALTED:
        return structs.replace(now, halted=not now.halted)
    return structs.replace(now, stop_timeout_s=rng.choice((0.5, 1.0, 2.0)), preferred=now.preferred[::-1])


def order_for(machine: Machine, change: Callable[[Cluster], Cluster], rng: random.Random) -> Configure | None:
    """The order by which an operator at that machine asks for this change; what he saw there may be old."""
    daemon = machine.daemon
    view = daemon.core.view if daemon is not None else None
    if daemon is None or view is None or view.settings is None:
        return None
    wanted = change(in_force(daemon.core.rules.cluster, view))
    return Configure(wanted, view.settings.record.edition - (rng.random() < OUTDATED), "operator")
