"""What is drawn once for a run: how well its parts work, and which faults it suffers, how often, in which mood.

Swarm testing: each run draws for each fault whether it happens at all, so that a rare one is not always drowned by
the others.
"""

import random
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct, field, structs

from standfast.model.cluster import (
    NO_DISK,
    Cluster,
    DiskSpec,
    Failback,
    FenceWhen,
    FencingSpec,
    LinkLoss,
    MemberSpec,
    Policy,
    QueueManagerSpec,
    Role,
    StorageSpec,
)
from standfast.model.timing import PROFILES, Timing
from standfast.sim import groups
from standfast.sim.aims import AIMS
from standfast.sim.clock import MAX_SKEW
from standfast.sim.enrolment import NEW
from standfast.sim.network import Habits
from standfast.sim.storages import Fencers
from standfast.sim.store import Temper
from standfast.sim.themes import themes, weights
from standfast.sim.warden import Manners
from standfast.sim.world import NS_PER_MS, NS_PER_S

EMERGENCIES = 0.6
"""Of all runs with that theme, so many in which every other fault is the loss of a majority, then an override."""
MEAN_GAP_TERMS = {"calm": 12.0, "bursts": 1.5, "chaos": 0.5, "flicker": 1.0}
"""Mean time between two faults, in terms."""


DISKS = ("none", "data", "all")
"""Who sees a shared disk."""


class Mood(StrEnum):
    """How the faults come."""

    CALM = "calm"  # one at a time, mostly healed before the next
    BURSTS = "bursts"  # many within a few terms, then quiet
    CHAOS = "chaos"  # all the time
    FLICKER = "flicker"  # one cut that comes and goes, and nothing else


class Draws(Struct, kw_only=True):
    """Of one run.

    Attributes:
        cluster: members, timing, queue managers.
        mood: see Mood.
        gap_ns: mean time between two faults.
        weights: of each kind of fault.
        aims: probability, for each moment of the protocol, that a fault is aimed at it.
        skews: of the clocks, by member.
        habits: of the network.
        temper: of the store.
        manners: of the queue managers.
        clears: how often a daemon that starts ends what runs instead of going on with it.
        fencers: of storages and fence devices.
    """

    cluster: Cluster
    mood: Mood = Mood.CALM
    gap_ns: int = NS_PER_S
    weights: dict[str, float] = field(default_factory=dict)
    aims: dict[str, float] = field(default_factory=dict)
    skews: dict[str, float] = field(default_factory=dict)
    habits: Habits = field(default_factory=Habits)
    temper: Temper = field(default_factory=Temper)
    manners: Manners = field(default_factory=Manners)
    clears: float = 0.0
    fencers: Fencers = field(default_factory=Fencers)

    def told(self) -> Iterator[str]:
        """The most of it, a line each."""
        yield f"mood {self.mood}, {self.cluster.timing}"
        yield f"{self.habits}"
        yield f"{self.temper}"
        yield f"{self.manners}"
        yield "clocks " + ", ".join(f"{name} {skew:+.4f}" for name, skew in self.skews.items())


MIXES = {3: (2,), 5: (3, 3, 2, 4), 7: (4, 4, 2, 3, 5)}
"""Data members of a cluster of so many, the others being witnesses; the first is the usual mix."""


def cluster_of(members: int, timing: Timing, queue_managers: int = 2, data: int = 0) -> Cluster:
    """`data` members and the rest witnesses (0: the usual mix); all queue managers prefer `a` in turn."""
    data = data or MIXES[members][0]
    names = [*"abcdefg"[:data], *"wvuts"[: members - data]]
    roles = [Role.DATA] * data + [Role.WITNESS] * (members - data)
    return Cluster(
        name="sim",
        id="sim",
        members=tuple(
            MemberSpec(name=n, role=r, addresses=(f"127.0.0.{i}",))
            for i, (n, r) in enumerate(zip(names, roles, strict=True), 1)
        ),
        timing=timing,
        queue_managers=tuple(
            QueueManagerSpec(
                name=f"q{i}",
                kind="simulated",
                port=4000 + i,
                storage=StorageSpec(path=f"/q{i}"),
                preferred=tuple(names[(i + k) % data] for k in range(data)) if i % 3 else (),
                start_timeout_s=1.5,
                stop_timeout_s=1.0,
                restart_limit=3,
                restart_window_s=20.0,
            )
            for i in range(queue_managers)
        ),
    )


def draw_timing(rng: random.Random) -> Timing:
    """Mostly a profile; else a set of its own, checked like any other."""
    name = rng.choices(["fast", "normal", "cautious", "own"], [11, 4, 1, 4])[0]
    if name in PROFILES:
        return PROFILES[name]
    interval_ms = rng.choice([20, 50, 80, 150])
    doubt = rng.randint(2, 5)
    evict = doubt + rng.randint(4, 8)
    return Timing(
        interval_ms=interval_ms,
        in_doubt_after=doubt,
        evict_after=evict,
        graceful_ms=max(10, interval_ms * (evict - 4) // 3),
        kill_ms=max(10, interval_ms * (evict - 4) // 4),
    )


def draw(rng: random.Random, members: int, timing: Timing | None, about: str = "") -> Draws:
    """Everything for one run; `about`: its theme, drawn when there is none."""
    timing = timing or draw_timing(rng)
    data = rng.choice(MIXES[members]) if len(MIXES[members]) > 1 else 0
    cluster = _choices(rng, cluster_of(members, timing, rng.choice([1, 2, 2, 2, 3, 4]), data))
    mood = rng.choices(list(Mood), [2, 2, 2, 1])[0]
    term_ns = timing.term_ns
    skews = {m.name: rng.choice([-MAX_SKEW, MAX_SKEW, rng.uniform(-MAX_SKEW, MAX_SKEW)]) for m in cluster.members}
    if mood is Mood.FLICKER:
        still = tuple(structs.replace(qm, failback=Failback.NEVER) for qm in cluster.queue_managers)
        cluster = structs.replace(cluster, queue_managers=still)
        return Draws(cluster=cluster, mood=mood, skews=skews)
    chosen = groups.THEMES if about == groups.ABOUT else frozenset({about}) if about else themes(rng)
    drawn = Draws(
        cluster=cluster,
        mood=mood,
        gap_ns=int(term_ns * MEAN_GAP_TERMS[mood] * rng.choice([0.5, 1, 2])),
        weights=weights(rng, chosen),
        aims={name: rng.choice([0, 0, 0.02, 0.1, 0.4]) * scale for name, scale in AIMS.items()},
        skews=skews,
        habits=_habits(rng, term_ns),
        temper=_temper(rng, term_ns),
        manners=_manners(rng),
        clears=rng.choice([0, 0, 0.2, 1]),
    )
    drawn.cluster = with_disk(cluster, rng.choice(DISKS))
    if "fencing" in chosen:
        _fencing(rng, drawn)
    if "override" in chosen and rng.random() < EMERGENCIES:
        drawn.weights |= {"override": sum(drawn.weights.values()) or 1.0}
    return drawn


def _fencing(rng: random.Random, drawn: Draws) -> None:
    """Machines that die hold on to their storages, and every data member can be switched off."""
    term_ns, when = drawn.cluster.timing.term_ns, rng.choice(list(FenceWhen))
    fenced: dict[str, dict[str, str]] = {name: {} for name in (*"abcdefg", *NEW)}
    spec = FencingSpec(command=("/fence",), when=when, members=fenced)
    drawn.cluster = structs.replace(drawn.cluster, fencing=spec)
    drawn.fencers = Fencers(
        sticks=rng.choice([0.5, 1.0]),
        tells=when is FenceWhen.UNPROVEN,
        takes_ns=(term_ns // 10, int(term_ns * rng.choice([0.2, 2]))),
        fails=rng.choice([0, 0.4]),
        hangs=rng.choice([0, 0, 0.2]),
        timeout_ns=term_ns * 3,
    )


def with_disk(cluster: Cluster, seen_by: str) -> Cluster:
    """The cluster with a shared disk as one of DISKS says."""
    if seen_by == "none":
        return cluster
    witness = {"data": NO_DISK, "all": "/disk"}[seen_by]
    members = tuple(m if m.role is Role.DATA else structs.replace(m, disk=witness) for m in cluster.members)
    return structs.replace(cluster, disk=DiskSpec(path="/disk"), members=members)


def _choices(rng: random.Random, cluster: Cluster) -> Cluster:
    """What the cluster file leaves to its owner: who goes, when a member is quarantined, what moves back by itself."""
    term_s = cluster.timing.term_ms / 1000
    policy = Policy(
        quarantine_after=rng.choice([0, 1, 2, 3]),
        quarantine_window_s=term_s * rng.choice([5, 50]),
        quarantine_clear_s=term_s * rng.choice([0, 0, 1]),
        link_loss=rng.choice(list(LinkLoss)),
        hop_interval_ms=max(1, cluster.timing.term_ms // 4),
        hop_missed=2,
        hop_found=4,
    )
    specs = tuple(
        structs.replace(
            spec,
            failback=rng.choice(list(Failback)) if spec.preferred else Failback.NEVER,
            failback_after_s=term_s * rng.choice([0, 0.5, 3]),
        )
        for spec in cluster.queue_managers
    )
    hops = rng.choice([(), ("10.0.0.254",)])
    ranked = tuple(structs.replace(m, priority=rng.choice([0, 1]), hops=hops) for m in cluster.members)
    return structs.replace(cluster, members=ranked, policy=policy, queue_managers=specs)


def _habits(rng: random.Random, term_ns: int) -> Habits:
    """Half of the runs have a good network."""
    if rng.choice([True, False]):
        return Habits()
    return Habits(
        jitter_ns=rng.choice([200_000, 2 * NS_PER_MS, 20 * NS_PER_MS]),
        loss=rng.choice([0, 0.01, 0.1, 0.3]),
        double=rng.choice([0, 0.05]),
        spike=rng.choice([0, 0.01, 0.1]),
        spike_ns=int(term_ns * rng.choice([0.05, 0.5, 1.5])),
    )


def _temper(rng: random.Random, term_ns: int) -> Temper:
    """Half of the runs have a store whose answers can be trusted."""
    temper = Temper(
        latency_ns=rng.choice([1, 1, 1, 3, 30]) * NS_PER_MS,
        deadline_ns=int(term_ns * rng.choice([0.2, 0.5, 1.0])),
        election_ns=(term_ns // 4, int(term_ns * rng.choice([0.5, 1, 2]))),
    )
    if rng.choice([True, False]):
        return temper
    temper.lost_request = rng.choice([0, 0.02, 0.1])
    temper.lost_answer = rng.choice([0, 0.02, 0.1])
    temper.late = rng.choice([0, 0.05, 0.2])
    temper.late_ns = int(term_ns * rng.choice([0.3, 2]))
    temper.stale = rng.choice([0, 0.2, 0.6])
    return temper


def _manners(rng: random.Random) -> Manners:
    return Manners(
        launch_ns=rng.choice([1, 1, 5, 20]) * NS_PER_MS,
        ready_ns=rng.choice([(10 * NS_PER_MS, 50 * NS_PER_MS), (50 * NS_PER_MS, 1000 * NS_PER_MS)]),
        stop_ns=rng.choice([(2 * NS_PER_MS, 20 * NS_PER_MS), (50 * NS_PER_MS, 800 * NS_PER_MS)]),
        never_ready=rng.choice([0, 0, 0.02, 0.1]),
        hangs=rng.choice([0, 0, 0.1, 0.5]),
        refused=rng.choice([0, 0, 0.05, 0.2]),
        lives_ns=rng.choice([0, 0, 60 * NS_PER_S, 10 * NS_PER_S]),
        fenced=rng.choice([True, True, False]),
    )
