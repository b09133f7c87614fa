"""The simulator itself: promises hold on clean seeds, a run can be replayed, a campaign leaves nothing unexercised."""

import subprocess
import sys
from collections import Counter

import pytest

from standfast.model.timing import PROFILES
from standfast.sim.coverage import RARE, missed
from standfast.sim.run import simulate
from standfast.sim.themes import THEMES
from standfast.sim.transcript import text_of

CHUNK = 25


@pytest.mark.parametrize("first", range(0, 150, CHUNK))
def test_every_promise_holds_with_three_members(first: int):
    found = [simulate(seed, 3, 1.0) for seed in range(first, first + CHUNK)]
    assert [(o.seed, o.broken, o.how) for o in found if o.broken] == []


@pytest.mark.parametrize("members", [5, 7])
@pytest.mark.parametrize("first", range(0, 30, 15))
def test_every_promise_holds_with_more_members(members: int, first: int):
    found = [simulate(seed, members, 1.0) for seed in range(first, first + 15)]
    assert [(o.seed, o.broken, o.how) for o in found if o.broken] == []


def test_a_campaign_exercises_every_rule():
    coverage: Counter[str] = Counter()
    for about, seeds in (*((theme, 12) for theme in THEMES), ("override", 20), ("", 40)):
        for seed in range(2000, 2000 + seeds):
            coverage += simulate(seed, 3, 1.0, PROFILES["fast"], about=about).coverage
    for seed in range(1000, 1016):
        coverage += simulate(seed, 5, 1.0, PROFILES["fast"]).coverage
    assert {*missed(coverage)} <= RARE


def test_a_seed_gives_the_same_run_event_by_event_in_another_process():
    program = (
        "from standfast.sim.run import simulate; from standfast.sim.transcript import text_of;"
        "print(text_of(simulate(5, 5, 0.3, tell=True), 'again'), end='')"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout == text_of(simulate(5, 5, 0.3, tell=True), "again")


def test_telling_changes_nothing():
    assert simulate(3, 3, 0.5).coverage == simulate(3, 3, 0.5, tell=True).coverage
