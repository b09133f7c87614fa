"""Quarantine and failback: when a member is chosen for nothing, and when a queue manager moves back by itself."""

import pytest

from standfast.model.cluster import Failback, Policy
from standfast.model.records import Assignment
from standfast.model.view import Kept, View
from standfast.quorum import signals as sig
from standfast.quorum.placement import Candidate, place
from standfast.quorum.ties import Ties
from standfast.sim.draws import cluster_of
from tests.quorum.play import TERM_S, TIMING, Play

TWICE = Policy(quarantine_after=2, quarantine_window_s=60 * TERM_S)
SPEC = cluster_of(3, TIMING).queue_managers[1]


def lose(play: Play, name: str, times: int = 1) -> Play:
    """The machine dies, is evicted and comes back, so many times."""
    for _ in range(times):
        play.die(name).wait(3 * TERM_S).return_of(name).wait(4 * TERM_S)
    return play


def quarantined(play: Play, name: str = "a") -> bool:
    return play.store.view.members[name].record.quarantined


def test_a_member_that_was_lost_too_often_is_refused_as_a_target_until_an_operator_clears_it():
    play = lose(Play("quarantine", policy=TWICE).settled(), "a", times=2)
    assert quarantined(play)
    play.order(sig.Move("q0", "a")).wait(TERM_S)
    assert play.owner() == "b"
    play.order(sig.Clear("a")).wait(TERM_S).order(sig.Move("q0", "a")).wait(TERM_S)
    assert not quarantined(play)
    assert play.owner() == "a"
    play.ends()


def test_a_member_in_quarantine_is_better_than_none():
    play = lose(Play("", policy=TWICE).settled(), "a", times=2)
    play.die("b").wait(3 * TERM_S)
    assert quarantined(play)
    assert play.owner() == "a"


def test_losses_are_forgotten_by_who_stays_and_quarantine_is_cleared_by_time_where_the_policy_says_so():
    play = lose(Play("", policy=TWICE).settled(), "a").wait(TWICE.quarantine_window_s)
    assert play.store.view.members["a"].record.losses == 0
    forgiving = Policy(quarantine_after=1, quarantine_clear_s=10 * TERM_S)
    play = lose(Play("", policy=forgiving).settled(), "a")
    assert quarantined(play)
    assert not quarantined(play.wait(11 * TERM_S))


def test_a_clean_stop_and_a_witness_count_no_loss():
    play = Play("", policy=TWICE).settled()
    play.order(sig.LeaveCluster(), by="a").wait(3 * TERM_S)
    play.machine("a").start()
    lose(play.wait(3 * TERM_S), "w")
    assert all(kept.record.losses == 0 for kept in play.store.view.members.values())


@pytest.mark.parametrize(
    ("failback", "owner"), [(Failback.NEVER, "b"), (Failback.PREFERRED, "a"), (Failback.WINDOW, "b")]
)
def test_whether_it_moves_back_to_the_member_that_it_prefers(failback: Failback, owner: str):
    play = lose(Play("", failback=failback, failback_after_s=5 * TERM_S).settled(), "a")
    assert play.owner() == "b"
    assert play.wait(6 * TERM_S).owner() == owner


def test_within_its_window_it_moves_back():
    play = lose(Play("failback", failback=Failback.WINDOW, failback_after_s=0).settled(), "a")
    assert play.owner() == "b"
    play.act("the window opens").machine("b").take(sig.FailbackWindows(frozenset({"q0"})))
    assert play.wait(2 * TERM_S).owner() == "a"
    play.ends()


def test_it_never_moves_back_against_the_operator_who_moved_it():
    play = Play("", failback=Failback.PREFERRED, failback_after_s=0).settled()
    play.order(sig.Move("q0", "b")).wait(10 * TERM_S)
    assert play.owner() == "b"


def test_it_never_moves_back_to_where_it_failed_until_an_operator_moved_it_there():
    """Else a queue manager that can not start on the member that it prefers would go to and fro for ever."""
    play = Play("", failback=Failback.PREFERRED, failback_after_s=0).settled().crash("q0", loop_on="a").wait(4 * TERM_S)
    assert play.owner() == "b"
    play.machine("a").warden.loops.clear()
    assert play.wait(10 * TERM_S).owner() == "b"
    play.order(sig.Move("q0", "a")).wait(2 * TERM_S)
    lose(play, "a")
    assert play.wait(2 * TERM_S).owner() == "a"


def test_quarantine_decides_before_preference_and_load():
    worse, better = Candidate("a", (), quarantined=True), Candidate("b", ())
    better.load = 100
    view = View(specs={SPEC.name: Kept(SPEC, 1)}, assignments={SPEC.name: Kept(Assignment(qm=SPEC.name), 1)})
    chosen = place(SPEC, {"a": worse, "b": better}, Ties(view))
    assert chosen is better
