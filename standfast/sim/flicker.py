"""One cut that comes and goes, and nothing else: whatever its rhythm, nothing may flap with it.

Bounds, from its beginning to its end: a queue manager changes its owner once at most, and twice more for each time that
members who are held back longest may have come and gone again; a member is evicted a few times at most, for it is held
back the longer the oftener it went; of each link a few events are told at most, and a few more for each time that it
may have been quiet.
"""

from collections import Counter
from enum import StrEnum

from standfast.model.cluster import Role
from standfast.model.events import EventKind
from standfast.quorum.arbiter import Grounds
from standfast.quorum.hold import LONGEST_TERMS
from standfast.quorum.link_news import QUIET_TERMS
from standfast.sim.faults import Faults
from standfast.sim.world import NS_PER_S, Broken

MOST_EVICTIONS = 3
"""Of one member: the first for silence costs nothing, then it must hold for longer than the cut pauses."""
MOST_DOUBTS = 4
"""For each member; after its third loss it counts as flapping, and may be quiet for a while by chance."""
MOST_TOLD = 5
"""Of one link at one of its ends: two losses, two healings, and that it flaps."""
IN_STEP = 0.05
"""Shares of the period by which the interval of heartbeats may miss it and still be in step with it for long."""
LINK_EVENTS = (EventKind.LINK_LOST, EventKind.LINK_HEALED, EventKind.LINK_FLAPPING)


class Shape(StrEnum):
    """Of the cut."""

    LINK = "link"  # between two members, mostly data members
    ONE_WAY = "one way"  # of one link, or all from or to one member
    MEMBER = "member"  # all links of one
    SPLIT = "split"


def in_step(interval_ns: int, period_ns: int) -> bool:
    """Whether each of many heartbeats in a row may fall into the cut, however short that is."""
    times = round(interval_ns / period_ns)
    return times > 0 and abs(interval_ns - times * period_ns) < IN_STEP * period_ns


class Flicker:
    """Of one run, on the links of `faults`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._world = faults.world
        self._cluster = faults.around.cluster
        self._began_ns = 0
        self._short = False
        """It never lasts for a term, and pauses for long enough to be noticed."""
        self._brief = False
        """It never lasts until a member that comes and goes is doubted."""
        self._in_step = False
        self._before: Counter[str] = Counter()
        self._epochs: dict[str, int] = {}
        self._incarnations: dict[str, int] = {}

    def begin(self) -> None:
        """From now on."""
        rng, world = self._world.rng, self._world
        view = self._faults.around.store.view
        self._began_ns = world.now_ns
        self._before = Counter(world.coverage)
        self._epochs = {qm: kept.record.epoch for qm, kept in view.assignments.items()}
        self._incarnations = {name: kept.record.incarnation for name, kept in view.members.items()}
        shape = rng.choice(list(Shape))
        term_ns = self._faults.term_ns
        period_ns = rng.choice([NS_PER_S, NS_PER_S, int(rng.uniform(0.5, 6.0) * term_ns)])
        cut_ns = int(period_ns * rng.uniform(0.2, 0.8))
        if rng.choice([True, False]):
            cut_ns = int(self._cluster.timing.in_doubt_ns * 1.4)
            period_ns = max(NS_PER_S, 2 * cut_ns)
        world.coverage[f"flicker: {shape}"] += 1
        world.say("fault", f"flicker: {shape}, cut for {cut_ns / NS_PER_S:.3f} of {period_ns / NS_PER_S:.3f} s")
        timing = self._cluster.timing
        self._short = cut_ns < term_ns and period_ns - cut_ns > 2 * timing.interval_ns
        self._brief = cut_ns < (timing.in_doubt_ns + 3 * term_ns) // 4 - 2 * timing.interval_ns
        self._in_step = in_step(timing.interval_ns, period_ns)
        world.coverage["flicker: in step with heartbeats"] += self._in_step
        self._again(self._pairs(shape), cut_ns, period_ns)

    def _again(self, pairs: set[tuple[str, str]], cut_ns: int, period_ns: int) -> None:
        self._faults.cut(pairs, cut_ns)
        self._faults.later(period_ns, self._again, pairs, cut_ns, period_ns)

    def _pairs(self, shape: Shape) -> set[tuple[str, str]]:
        rng, faults = self._world.rng, self._faults
        names = [m.name for m in self._cluster.members]
        data = [m.name for m in self._cluster.members if m.role is Role.DATA]
        one, other = rng.sample(names, 2)
        match shape:
            case Shape.LINK:
                return faults.both(*rng.choice([(one, other), rng.sample(data, 2), rng.sample(data, 2)]))
            case Shape.ONE_WAY:
                mute = {(one, name) for name in names if name != one}
                return rng.choice([{(one, other)}, mute, {(name, me) for me, name in mute}])
            case Shape.MEMBER:
                return faults.around_of(one)
            case Shape.SPLIT:
                side = set(rng.sample(names, rng.randint(1, len(names) - 1)))
                return {pair for a in side for b in names if b not in side for pair in faults.both(a, b)}

    def judge(self) -> None:
        """Now, at its end; raises Broken. Of cuts in step with the heartbeats nothing is promised."""
        if self._in_step:
            return
        view = self._faults.around.store.view
        returns = (self._world.now_ns - self._began_ns) // (LONGEST_TERMS * self._faults.term_ns)
        for qm, epoch in self._epochs.items():
            changes = view.assignments[qm].record.epoch - epoch
            if changes > 1 + 2 * returns:
                raise Broken("nothing flaps", f"{qm} changed its owner {changes} times")
        for name, incarnation in self._incarnations.items():
            times = view.members[name].record.incarnation - incarnation
            if times > MOST_EVICTIONS + returns:
                raise Broken("nothing flaps", f"{name} was taken back {times} times")
        if self._short and self._since(f"told to go: {Grounds.TORN}"):
            raise Broken("nothing flaps", "a member went for a link that was never lost for a term")
        members = len(self._cluster.members)
        quiets = 1 + (self._world.now_ns - self._began_ns) // (QUIET_TERMS * self._faults.term_ns)
        told = sum(self._since(f"event: {kind}") for kind in LINK_EVENTS)
        if told > MOST_TOLD * members * (members - 1) * quiets:
            raise Broken("nothing flaps", f"{told} events of links were told")
        doubts = self._since(f"event: {EventKind.MEMBER_IN_DOUBT}")
        if self._brief and doubts > MOST_DOUBTS * members:
            raise Broken("nothing flaps", f"{doubts} doubts about members that were never silent for long")

    def _since(self, what: str) -> int:
        """How often that was counted since the beginning."""
        return self._world.coverage[what] - self._before[what]
