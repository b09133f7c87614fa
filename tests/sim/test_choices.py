"""What the simulator holds against a choice, and what it does not."""

import pytest

from standfast.model.events import Event, EventKind
from standfast.quorum.behind import HOP_LOST
from standfast.sim.choices import hops_kept
from standfast.sim.machine import Machine
from standfast.sim.world import Broken
from tests.quorum.play import Play

MOVE = Event(kind=EventKind.QM_MOVING, subject="q0", fields={"owner": "a", "to": "b", "reason": HOP_LOST})


def lost_theirs(play: Play, *ids: str) -> list[Machine]:
    machines = [play.machine(name) for name in ids]
    for machine in machines:
        machine.hop_incident = 1
    return machines


def test_a_move_for_a_hop_to_who_lost_its_own_by_the_same_incident_breaks_a_promise():
    play = Play("-").settled()
    with pytest.raises(Broken):
        hops_kept(MOVE, play.store.view, lost_theirs(play, "a", "b"))


def test_the_hop_of_a_machine_whose_place_was_taken_is_not_that_of_the_member():
    """Found by the campaign: a replaced machine that was switched off without its hop counted for its successor."""
    play = Play("-").settled()
    machines = lost_theirs(play, "a", "b")
    play.die("b").namesake("b").wait(5)
    assert play.store.view.members["b"].record.identity == play.machine("b'").identity
    hops_kept(MOVE, play.store.view, [*machines, play.machine("b'")])
