"""The simulator itself: promises hold, a run can be replayed, a campaign leaves nothing unexercised or untold."""

import subprocess
import sys
from collections import Counter

import pytest

from standfast.model.event_fields import wrong
from standfast.model.events import Event, EventKind
from standfast.model.timing import PROFILES
from standfast.sim import machine, promises
from standfast.sim.coverage import RARE, missed
from standfast.sim.run import simulate
from standfast.sim.themes import THEMES
from standfast.sim.transcript import text_of

FAST = PROFILES["fast"]
PLANS = (
    *((3, theme, 12) for theme in THEMES),
    (3, "override", 20),
    (3, "", 40),
    (5, "", 16),
)
"""Members, theme, seeds."""


@pytest.mark.parametrize(("members", "seeds"), [(3, 40), (5, 12), (7, 12)])
def test_every_promise_holds_with_drawn_timings(members: int, seeds: int):
    found = [simulate(seed, members, 1.0) for seed in range(seeds)]
    assert [(o.seed, o.broken, o.how) for o in found if o.broken] == []


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> list[tuple[EventKind, list[str]]]:
    """What events of the runs lacked, by what the catalogue says of them."""
    found: list[tuple[EventKind, list[str]]] = []

    def look(event: Event) -> None:
        if amiss := wrong(event.kind, event.fields):
            found.append((event.kind, amiss))

    of_log, of_member = promises.Promises._tell, machine.Machine._tell
    monkeypatch.setattr(promises.Promises, "_tell", lambda self, event: (look(event), of_log(self, event)))
    monkeypatch.setattr(machine.Machine, "_tell", lambda self, effect: (look(effect.event), of_member(self, effect)))
    return found


def test_a_campaign_keeps_every_promise_exercises_every_rule_and_tells_what_the_catalogue_says(untold):
    coverage: Counter[str] = Counter()
    broken = []
    for members, about, seeds in PLANS:
        for seed in range(2000, 2000 + seeds):
            outcome = simulate(seed, members, 1.0, FAST, about=about)
            coverage += outcome.coverage
            if outcome.broken:
                broken.append((members, about, seed, outcome.broken, outcome.how))
    assert broken == []
    assert {*missed(coverage)} <= RARE
    assert untold == []


def test_a_seed_gives_the_same_run_event_by_event_in_another_process():
    program = (
        "from standfast.sim.run import simulate; from standfast.sim.transcript import text_of;"
        "print(text_of(simulate(5, 5, 0.3, tell=True), 'again'), end='')"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout == text_of(simulate(5, 5, 0.3, tell=True), "again")


def test_telling_changes_nothing():
    assert simulate(3, 3, 0.5).coverage == simulate(3, 3, 0.5, tell=True).coverage
