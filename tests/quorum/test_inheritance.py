"""A restart of the daemon alone: what runs goes on, or is ended when there is any doubt about whose it is."""

import pytest

from standfast.model.records import MemberState, Phase
from standfast.quorum import signals as sig
from standfast.quorum.core import Core, Identity
from standfast.quorum.runs import RunState
from standfast.sim.store import Client
from standfast.sim.world import NS_PER_MS
from tests.quorum.play import TERM_S, Play

STEP_S = 0.001


def play_until(play: Play, what: str) -> None:
    while not play.said(what):
        play.wait(STEP_S)


def holding(play: Play, tag: str) -> Play:
    """The store holds the transaction of this tag back."""
    transact = play.store.transact

    def hold(client: Client, effect: sig.Transact) -> None:
        play.store.hold_next = effect.tag == tag
        transact(client, effect)

    play.store.transact = hold
    return play


def test_a_restart_of_the_daemon_moves_nothing():
    """The heir takes the next incarnation, adopts the assignment under its old epoch, and asks for a lease anew."""
    play = Play("restart_of_the_daemon").settled()
    process, epoch = play.promises.running["q0"], play.assignments["q0"].epoch
    play.restart("a").wait(2 * TERM_S)
    assert play.promises.running["q0"] is process
    assert play.incarnation("a") == 2
    found = play.assignments["q0"]
    assert (found.epoch, found.incarnation, found.phase) == (epoch, 2, Phase.RUNNING)
    assert not play.said("qm_released")
    play.ends()


def test_a_daemon_that_stays_away_loses_its_queue_managers_with_the_lease():
    play = Play("a_daemon_that_stays_away").settled().act("the daemon of a dies")
    play.machine("a").kill_daemon()
    play.wait(2 * TERM_S)
    assert play.said("q0 has ended")[0] < TERM_S
    assert play.owner() == "b"
    play.ends()


def test_a_daemon_that_is_back_too_late_stops_what_it_found():
    """Its lease is over before it could join: the former incarnation is evicted, and it joins with nothing."""
    play = Play("a_daemon_that_is_back_too_late").settled().filter("ab", "aw").wait(0.3 * TERM_S)
    play.restart("a").wait(2 * TERM_S)
    assert play.owner() == "b"
    assert play.state("a") is MemberState.EVICTED
    play.heal_links().wait(2 * TERM_S)
    assert play.store.view.members["a"].record.since == 0
    play.ends()


def test_told_to_go_it_inherits_nothing():
    """What runs is ended first; then it joins anew, and is an heir of nobody."""
    play = Play("told_to_go_it_inherits_nothing").settled().cut("b>a", "w>a")
    play_until(play, "member_told_to_go a")
    play.heal_links().restart("a").wait(7 * TERM_S)
    assert play.said("q0 has ended")[0] < play.said("member_joined a")[0]
    assert play.store.view.members["a"].record.since == 0
    assert play.owner() is not None
    play.ends()


def test_a_release_that_the_former_process_asked_for_is_void():
    """q1 has failed for good, and its release is on the way when the daemon dies: the heir adopts q1 before that."""
    play = Play("a_late_release_is_void", queue_managers=2).settled()
    holding(play, "release:q1").crash("q1", loop_on="a")
    play_until(play, "a asks to release:q1")
    play.machine("a").warden.loops.clear()
    play.restart("a")
    play_until(play, "qm_kept q1")
    play.act("the store carries out the release").store.let_go()
    play.wait(TERM_S)
    assert play.assignments["q1"].owner == "a"
    assert play.assignments["q1"].epoch == 1
    play.ends()


def test_what_ended_while_no_daemon_lived_is_told_and_started_again():
    play = Play("ended_unwatched", queue_managers=2).settled().act("the daemon of a dies")
    play.machine("a").kill_daemon()
    play.crash("q1").wait(0.01)
    play.machine("a").start()
    play.wait(TERM_S)
    assert play.said("qm_failed q1")
    assert play.assignments["q1"].phase is Phase.RUNNING
    assert play.assignments["q1"].epoch == 1
    play.ends()


@pytest.mark.parametrize(("epoch", "may"), [(1, True), (2, False)])
def test_what_runs_under_another_epoch_than_the_stores_is_stopped_and_keeps_the_member_from_joining(epoch, may):
    """No rule of the protocol leads there; a store that was tampered with may."""
    play = Play("unused").settled()
    machine = play.machine("a")
    now_ns = machine.clock.local(play.world.now_ns)
    core = Core(Identity(name="a", machine=machine.identity, process=9), play.cluster, now_ns)
    core.step(now_ns, sig.Inherited((sig.Survivor("q0", epoch),), now_ns + play.cluster.timing.term_ns))
    for other in ("b", "w"):
        heartbeat = play.machine(other).daemon.core.hearing
        said = play.machine("a").daemon.core.hearing.peers[other].heartbeat
        assert heartbeat is not None
        core.step(now_ns, sig.Received(said))
    effects = core.step(now_ns + NS_PER_MS, sig.ViewRead(play.store.view))
    joins = [e.transaction.puts[0].record for e in effects if isinstance(e, sig.Transact)]
    assert core.keeper.runs["q0"].state is (RunState.SERVING if may else RunState.STOPPING)
    assert [record.since for record in joins] == ([1] if may else [])


def test_what_the_store_does_not_know_at_all_is_killed():
    play = Play("unused").settled()
    core = Core(Identity(name="a", machine="a/0", process=9), play.cluster, 0)
    core.step(0, sig.Inherited((sig.Survivor("stranger", 1),), play.cluster.timing.term_ns))
    assert sig.Kill("stranger") in core.step(1, sig.ViewRead(play.store.view))
    assert core.keeper.alive
    core.step(2, sig.Exited("stranger", 1, "signal_9"))
    assert not core.keeper.alive
