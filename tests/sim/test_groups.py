"""Groups of queue managers, together and apart, kept through everything that the simulator does."""

import os
from collections import Counter
from pathlib import Path

import pytest

from standfast.sim.groups import ABOUT
from standfast.sim.run import simulate
from tests.sim.sabotage import Sabotage, hunt
from tests.sim.sabotage_groups import OF_GROUPS

SEEDS = 60
QUICK = {"a strict apart counts for nothing", "a strict together counts for nothing"}
HUNTED = [s for s in OF_GROUPS if s.name in QUICK or os.environ.get("STANDFAST_HUNT") == "all"]


def test_groups_are_kept_and_every_way_of_not_holding_them_is_exercised():
    coverage: Counter[str] = Counter()
    for seed in range(20):
        outcome = simulate(seed, 3, 0.3, about=ABOUT)
        assert (seed, outcome.broken, outcome.how) == (seed, "", "")
        coverage += outcome.coverage
    for what in ("given in a strict group", "rightly down"):
        assert coverage[f"group: {what}"]
    for event in ("broken", "waits", "held"):
        assert coverage[f"event: qm_group_{event}"]


@pytest.mark.parametrize("sabotage", HUNTED, ids=lambda s: s.name)
def test_a_planted_bug_is_found(sabotage: Sabotage, tmp_path: Path):
    find = hunt(tmp_path, sabotage, SEEDS)
    assert find is not None
    print(f"{sabotage.name}: seed {find.seed}, {find.broken}")  # noqa: T201 - which seed found it, with pytest -s
