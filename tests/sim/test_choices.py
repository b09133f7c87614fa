"""What the simulator holds against a choice, and what it does not."""

import contextlib
import random

import pytest
from msgspec import structs

from standfast.model.events import Event, EventKind
from standfast.model.override import Override, Remembered, Stance
from standfast.quorum import signals as sig
from standfast.quorum.behind import HOP_LOST
from standfast.sim.choices import hops_kept
from standfast.sim.flicker import in_step
from standfast.sim.machine import Machine
from standfast.sim.storages import Fencers, Storages
from standfast.sim.told import Told, former
from standfast.sim.world import Broken, World
from tests.quorum.play import TERM_S, Play

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


@pytest.mark.parametrize(("overridden", "joined", "kept"), [("", "a/0", False), ("a", "a/0", True), ("", "a'/0", True)])
def test_whose_machine_need_not_be_fenced_though_it_holds_the_storage(overridden: str, joined: str, kept: bool):
    """Found by the campaign: who ran it by an override that nobody could know of; and who was replaced since.

    Two that ran would have been told apart as the case that no override covers; one that runs after a death was not.
    """
    storages = Storages(World(0, tell=False))
    storages.fencers, storages.joined = Fencers(sticks=1.0, tells=False), lambda _: joined
    storages.died("a", "a/0", {"q0": overridden})
    with contextlib.nullcontext() if kept else pytest.raises(Broken):
        storages.claim("q0", "b", overridden=False, unseen=frozenset("a"))


@pytest.mark.parametrize(
    ("interval_ms", "period_ms", "so"), [(1000, 1000, True), (1000, 510, True), (250, 1000, False)]
)
def test_a_cut_in_step_with_the_heartbeats_silences_for_longer_than_it_lasts(
    interval_ms: int, period_ms: int, so: bool
):
    """Found by the campaign: cut for a fifth of each second, each heartbeat of a second fell into it."""
    assert in_step(interval_ms, period_ms) is so


@pytest.mark.parametrize("stance", Stance)
def test_whose_override_was_refused_may_be_voted_out_before_it_has_heard_of_that(stance: Stance):
    """Found by the campaign: nothing that it runs is started until it has stopped, and nobody has to spare it."""
    play = Play("-").settled()
    ordered, other = play.machine("a").memory, play.machine("b").memory
    own = Override(number=1, reason="", by="operator", at_unix_ms=0, incarnation=1)
    ordered.held = Remembered(own=own)
    other.held = Remembered(words=(structs.replace(own.word("a"), stance=stance),))
    assert ordered.spared(play.machines) is (stance is not Stance.REFUSED)


def test_an_override_that_was_lost_with_its_disk_stays_unknown_when_its_member_is_ordered_again():
    """Found by the campaign: of the second one others had heard; what the first had used, nobody could know."""
    told = Told(World(random.Random(0), tell=False), ["a", "b", "w"], majority=2, lapse_ns=1)
    told.granted("b")
    told.lost("b")
    told.granted("b")
    assert former("b") in told.unseen("a")
    told.answered_for("b")
    assert not told.unseen("a")


def test_an_operator_who_is_not_believed_has_answered_for_nobody():
    """Found by the campaign: the override of a was ended on w, which refuses that."""
    play = Play("-").settled().die("b").cut("aw").wait(3 * TERM_S)
    play.order(sig.GrantOverride(cluster="sim", reason="b burnt", by="operator", at_unix_ms=1), by="a").wait(TERM_S)
    assert play.around.told.unseen("b") == {"a"}
    play.order(sig.EndOverride("a"), by="w")
    assert play.around.told.unseen("b") == {"a"}
