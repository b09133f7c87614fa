"""Planted bugs: the simulator must find each one, and nothing in the unmodified core on the same seeds.

Pairs are planted where a second guard would hide the first; `why_pair` says which.
"""

from pathlib import Path

import pytest

from tests.sim.sabotage import SABOTAGES, Sabotage, hunt

SEEDS = 200


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda s: s.name)
def test_a_planted_bug_is_found(sabotage: Sabotage, tmp_path: Path):
    find = hunt(tmp_path, sabotage, SEEDS)
    assert find is not None
    print(f"{sabotage.name}: seed {find.seed}, {find.broken}")  # noqa: T201 - which seed found it, with pytest -s


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda s: s.name)
def test_every_pair_says_what_would_hide_it(sabotage: Sabotage):
    assert (len(sabotage.edits) > 1) is bool(sabotage.why_pair)


def test_the_core_without_sabotage_passes_the_same_seeds(tmp_path: Path):
    assert hunt(tmp_path, Sabotage("none", ()), 60) is None
