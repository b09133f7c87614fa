"""Replicated data: promises 2 and 4 hold through all faults, and the simulator finds what would break them."""

import os
from collections import Counter
from pathlib import Path

import pytest

from standfast.sim.run import simulate
from tests.sim.sabotage import Sabotage, hunt
from tests.sim.sabotage_copies import OF_COPIES

SEEDS = 60
LONG_HUNTS = frozenset({"who is no owner any more says what is outdated"})
HUNTED = [s for s in OF_COPIES if s.name not in LONG_HUNTS or os.environ.get("STANDFAST_HUNT") == "all"]


def test_promises_hold_where_data_are_replicated_and_every_rule_is_exercised():
    coverage: Counter[str] = Counter()
    for members, seeds in ((3, 7), (5, 1)):
        for seed in range(seeds):
            outcome = simulate(seed, members, 1.0, copies=True)
            assert (seed, outcome.broken, outcome.how) == (seed, "", "")
            coverage += outcome.coverage
    wanted = ("written", "written alone", "frozen", "resynchronised")
    assert all(coverage[f"replica: {name}"] for name in wanted)
    assert coverage["event: copy_outdated"]
    assert coverage["event: copy_current"]


@pytest.mark.parametrize("sabotage", HUNTED, ids=lambda s: s.name)
def test_a_planted_bug_is_found(sabotage: Sabotage, tmp_path: Path):
    find = hunt(tmp_path, sabotage, SEEDS)
    assert find is not None
    print(f"{sabotage.name}: seed {find.seed}, {find.broken}")  # noqa: T201 - which seed found it, with pytest -s
