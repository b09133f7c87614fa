"""Where a machine that died may still write, nothing starts before it was switched off: in the simulator."""

import os
from collections import Counter
from pathlib import Path

import pytest

from standfast.sim.run import simulate
from tests.sim.sabotage import Sabotage, hunt
from tests.sim.sabotage_fencing import OF_FENCING

SEEDS = 60
QUICK = {"nobody is fenced before a start", "a lapsed lease counts as the word of the former owner"}
HUNTED = [s for s in OF_FENCING if s.name in QUICK or os.environ.get("STANDFAST_HUNT") == "all"]


def test_promises_hold_where_machines_are_fenced_and_every_outcome_is_exercised():
    coverage: Counter[str] = Counter()
    for seed in range(12):
        outcome = simulate(seed, 3, 1.0, about="fencing")
        assert (seed, outcome.broken, outcome.how) == (seed, "", "")
        coverage += outcome.coverage
    wanted = ("done", "refused", "timeout")
    assert all(coverage[f"fencing: {name}"] for name in wanted)
    assert coverage["storage: still held"]
    assert coverage["event: member_fenced"]
    assert coverage["event: fencing_failed"]


@pytest.mark.parametrize("sabotage", HUNTED, ids=lambda s: s.name)
def test_a_planted_bug_is_found(sabotage: Sabotage, tmp_path: Path):
    find = hunt(tmp_path, sabotage, SEEDS)
    assert find is not None
    print(f"{sabotage.name}: seed {find.seed}, {find.broken}")  # noqa: T201 - which seed found it, with pytest -s
