"""How soon an isolated owner is replaced when the disk lives, whatever timing, clocks and phases are drawn."""

import random

import pytest

from standfast.sim.clock import MAX_SKEW
from standfast.sim.draws import Draws, cluster_of, draw_timing, with_disk
from standfast.sim.run import Stage
from standfast.sim.warden import Manners
from standfast.sim.world import NS_PER_MS, World

STOP_NS = 20 * NS_PER_MS
SLACK_NS = 60 * NS_PER_MS
"""Calls of the store and of the disk, datagrams, and what the warden takes to report."""


def stage_of(seed: int, members: int, seen_by: str) -> Stage:
    rng = random.Random(f"disk {seed}/{members}")
    draws = Draws(
        cluster=with_disk(cluster_of(members, draw_timing(rng)), seen_by),
        manners=Manners(ready_ns=(STOP_NS, STOP_NS), stop_ns=(STOP_NS // 2, STOP_NS)),
    )
    draws.skews = {m.name: rng.uniform(-MAX_SKEW, MAX_SKEW) for m in draws.cluster.members}
    return Stage(World(rng, tell=False), draws)


@pytest.mark.parametrize("seen_by", ["data", "all"])
@pytest.mark.parametrize("members", [3, 5])
def test_an_isolated_owner_is_proven_stopped_before_its_lease_has_lapsed(members: int, seen_by: str):
    """Doubt, two looks at the disk each way with a heartbeat's phase, the stop: never the rest of the term."""
    for seed in range(12):
        stage = stage_of(seed, members, seen_by)
        timing, world = stage.cluster.timing, stage.world
        stage.power_on(timing.term_ns)
        stage.run(6 * timing.term_ns)
        process = stage.promises.running["q0"]
        stage.run(world.between(0, timing.interval_ns))
        stage.network.cut |= stage.faults.around_of(process.machine)
        cut_ns, bound_ns = world.now_ns, timing.in_doubt_ns + 3 * timing.interval_ns + STOP_NS + SLACK_NS
        while stage.promises.running.get("q0") in (process, None):
            assert world.now_ns - cut_ns < bound_ns, (seed, timing)
            stage.run(NS_PER_MS)
        assert stage.promises.running["q0"].member != process.member
        assert world.coverage["evicted by: stopped"] == 1
