"""The protocol, one rule at a time: what is done, what must come of it, and the whole transcript beside it."""

from msgspec import structs

from standfast.model.records import MemberState, Orders, Phase
from standfast.quorum import signals as sig
from standfast.quorum.voter_orders import AddMember, RemoveMember
from standfast.sim.world import NS_PER_MS
from tests.quorum.play import DOUBT_S, TERM_S, Play

INTERVAL_S = 0.1
STORE_S = 0.01
"""A few calls of the store."""


def play_until(play: Play, what: str) -> None:
    """Plays on until these words are said."""
    while not play.said(what):
        play.wait(0.001)


def test_cold_start():
    """Voters wait one term before their first grant; then leases, the founding, and the start on the preferred one."""
    play = Play("cold_start").on().wait(3 * TERM_S)
    assert play.owner() == "a"
    assert min(play.said("tells lease_regained")) >= TERM_S
    play.ends()


def test_death_of_the_owner():
    """In doubt, one term and 1 % of silence, two lapse votes; evicted and assigned in one transaction."""
    play = Play("death_of_the_owner").settled().die("a").wait(2 * TERM_S)
    assert play.owner() == "b"
    assert play.state("a") is MemberState.EVICTED
    assert max(play.said("q0 begins")) < 1.01 * TERM_S + 0.05
    play.ends()


def test_death_of_a_witness_moves_nothing():
    play = Play("death_of_a_witness").settled().die("w").wait(2 * TERM_S)
    assert play.owner() == "a"
    assert play.state("w") is MemberState.EVICTED
    assert not play.said("q0")
    play.ends()


def test_loss_of_one_link_is_no_doubt():
    play = Play("loss_of_one_link").settled().cut("ab").wait(3 * TERM_S)
    assert play.said("tells link_lost")
    assert not play.said("revision")
    assert play.owner() == "a"
    play.ends()


def test_a_deaf_member_is_told_to_go():
    """Others hear it, it hears nobody: silence would not evict it. Voters refuse it, its lease runs out."""
    play = Play("a_deaf_member_is_told_to_go").settled().cut("b>a", "w>a").wait(3 * TERM_S)
    assert play.said("member_told_to_go a")
    assert play.state("a") is MemberState.EVICTED
    assert play.owner() == "b"
    play.ends()


def test_the_word_stopped_saves_the_wait():
    """Told to go, it still reads the store: it stops, says so, and nobody waits for its lease."""
    play = Play("the_word_stopped_saves_the_wait").settled().wait(TERM_S / 2).filter("b>a", "w>a").wait(3 * TERM_S)
    (evicted,) = play.said("member_evicted a")
    assert evicted < play.said("says stopped")[0] + STORE_S
    assert evicted < 1.51 * TERM_S
    assert play.owner() == "b"
    play.ends()


def test_told_to_go_by_a_coordinator_that_dies_it_joins_anew_by_itself():
    play = Play("told_to_go_and_nobody_left_to_evict").settled().filter("b>a", "w>a")
    play_until(play, "a says stopped")
    play.die("w").heal_links().wait(4 * TERM_S)
    assert play.incarnation("a") == 2
    assert play.owner() in {"a", "b"}
    play.ends()


def test_in_doubt_and_back():
    """Heard again before its lease has lapsed: the ballot is void, and nothing has stopped."""
    play = Play("in_doubt_and_back").settled().cut("ab", "aw").wait(DOUBT_S + INTERVAL_S).heal_links().wait(TERM_S)
    assert play.said("member_in_doubt a")
    assert play.said("member_back a")
    assert not play.said("q0")
    play.ends()


def test_a_voter_refuses_after_its_vote_until_the_ballot_is_void():
    """b has not heard a for long and votes at once; when it hears a again it still refuses, until a is back."""
    play = Play("a_vote_is_kept").settled().cut("ab").wait(TERM_S).cut("aw")
    play_until(play, "b votes that the lease of a")
    play.cut("bw").heal_links("ab").wait(INTERVAL_S * 2)
    assert play.said("b refuses a: voted")
    play.heal_links().wait(2 * TERM_S)
    assert play.said("member_back a")
    assert play.said("b acknowledges a now")
    play.ends()


def test_a_restarted_voter_is_bound_by_the_ballot_that_it_finds():
    """b voted, restarted and forgot: it refuses everybody for a term, and a for as long as that ballot is open."""
    play = Play("a_restarted_voter_is_bound").settled().cut("ab").wait(TERM_S).cut("aw")
    play_until(play, "b votes that the lease of a")
    play.restart("b").wait(0.02)
    grants = play.machine("b").daemon.core.grants
    assert grants._promises == {"a": play.store.view.members["a"].revision}
    play.wait(2 * TERM_S)
    assert play.said("b refuses w: restarting")
    assert play.owner() == "b"
    play.ends()


def test_planned_move():
    play = Play("planned_move").settled().order(sig.Move("q0", "b")).wait(TERM_S)
    assert play.owner() == "b"
    assert play.said("q0 begins")[0] < 0.1
    play.ends()


def test_the_target_dies_during_the_move():
    """The owner gives up the move, which is an event, and starts it again itself."""
    play = Play("the_target_dies_during_the_move").settled()
    play.draws.manners.stop_ns = (600 * NS_PER_MS,) * 2
    play.order(sig.Move("q0", "b")).wait(0.01).die("b").wait(3 * TERM_S)
    assert play.said("qm_move_abandoned q0")
    assert play.owner() == "a"
    play.ends()


def test_drain_and_undrain():
    """It hands over, and takes nothing back by itself."""
    play = Play("drain").settled().order(sig.Drain("a", on=True)).wait(TERM_S).order(sig.Drain("a", on=False)).wait(1)
    assert play.owner() == "b"
    assert play.store.view.orders.record == Orders()
    play.ends()


def test_leave():
    """It hands over first, and nobody waits for a lease."""
    play = Play("leave").settled().order(sig.LeaveCluster(), by="a").wait(TERM_S)
    assert play.owner() == "b"
    assert play.state("a") is MemberState.LEFT
    assert play.said("q0 begins")[0] < 0.1
    play.ends()


def test_a_crash_is_restarted_in_place_without_the_store():
    play = Play("restart_in_place_without_the_store").settled()
    play.store.away = True
    play.crash("q0").wait(TERM_S)
    assert play.owner() == "a"
    play.store.away = False
    play.wait(2 * TERM_S)
    assert play.assignments["q0"].epoch == 1
    assert play.assignments["q0"].phase is Phase.RUNNING
    play.ends()


def test_the_store_is_away_and_the_queue_manager_goes_on():
    play = Play("store_away").settled()
    play.store.away = True
    play.act("the store is away").wait(10 * TERM_S)
    assert play.owner() == "a"
    assert not play.said("q0")
    play.ends()


def test_a_crash_loop_is_moved_then_given_up():
    """Three restarts in place, then another member; when all have failed it waits for an operator."""
    play = Play("crash_loop").settled().crash("q0", loop_on="a").wait(4)
    assert play.owner() == "b"
    play.crash("q0", loop_on="b").wait(6)
    assert play.assignments["q0"].phase in {Phase.GIVEN_UP, Phase.RUNNING, Phase.STARTING}
    play.ends()


def test_a_restart_that_ends_what_runs_releases_it():
    """The same machine takes its name at once, under the next incarnation; nobody waits for a lease."""
    play = Play("quick_restart").settled().restart("a", clear=True).wait(2 * TERM_S)
    assert play.incarnation("a") == 2
    assert play.said("qm_released q0")
    assert play.owner() is not None
    assert not play.said("member_evicted")
    play.ends()


def test_an_empty_disk_waits_for_the_eviction():
    """It is another machine, so the old one's lease must lapse; then it waits two terms more before it votes."""
    play = Play("empty_disk").settled().die("b", lose_disk=True).wait(0.05).return_of("b").wait(6 * TERM_S)
    (evicted,) = play.said("member_evicted b")
    (joined,) = play.said("member_joined b")
    assert joined > evicted > TERM_S - INTERVAL_S
    assert play.said("b acknowledges a now")[0] > joined + 2 * TERM_S
    play.ends()


def test_the_first_in_rank_with_an_empty_disk_leaves_its_own_eviction_to_others():
    """Found by the simulator: it was able, so it coordinated; it judges all but itself, and never got in again."""
    play = Play("the_first_in_rank_with_an_empty_disk").settled().order(sig.Freeze(on=True), by="a").wait(0.1)
    play.die("w", lose_disk=True).return_of("w").wait(3 * TERM_S).order(sig.Freeze(on=False), by="a").wait(3 * TERM_S)
    assert play.store.view.members["w"].record.identity == "w/1"
    play.ends()


def test_a_namesake_neither_joins_nor_votes():
    play = Play("namesake").settled().namesake("b").wait(3 * TERM_S)
    assert play.incarnation("b") == 1
    assert not play.said("revision")
    assert not play.machine("b'").daemon.core.grants.ready(play.machine("b'").clock.local(play.world.now_ns))
    play.ends()


def test_a_namesake_that_took_the_place_ends_the_other():
    play = Play("namesake_takes_the_place").settled().namesake("b").cut("ba", "bw").wait(3 * TERM_S)
    assert play.store.view.members["b"].record.identity == "b'/0"
    play.heal_links().wait(TERM_S)
    assert play.said("b leaves (namesake)")
    play.ends()


def test_death_of_the_coordinator_and_then_of_the_owner():
    """In a cluster of five the next in rank acts."""
    play = Play("death_of_the_coordinator", members=5).settled().die("v").die("a").wait(2 * TERM_S)
    assert play.said("w asks to evict:a")
    assert play.owner() == "b"
    play.ends()


def test_two_coordinators_are_harmless():
    """The witnesses do not hear each other, so both act: each step happens once."""
    play = Play("two_coordinators", members=5).settled().cut("wv").wait(TERM_S).die("a").wait(2 * TERM_S)
    assert play.said("w asks to evict:a")
    assert play.said("v asks to evict:a")
    assert len(play.said("member_evicted a")) == 1
    assert play.owner() == "b"
    play.ends()


def test_a_deaf_coordinator_stands_back():
    """w is heard but hears nobody: it is no longer able, so the next in rank acts."""
    play = Play("a_deaf_coordinator_stands_back").settled().filter("a>w", "b>w").wait(2 * TERM_S)
    assert play.said("a asks to doubt:w")
    play.ends()


def test_a_mute_member_does_not_join_again_and_again():
    """b hears all and is heard by none: once evicted it waits until somebody hears it."""
    play = Play("a_mute_member_stays_out").settled().filter("b>a", "b>w").wait(6 * TERM_S)
    assert play.state("b") is MemberState.EVICTED
    assert play.incarnation("b") == 1
    play.heal_links().wait(TERM_S)
    assert play.incarnation("b") == 2
    play.ends()


def test_frozen_nothing_is_taken_over_until_thawed():
    play = Play("freeze").settled().order(sig.Freeze(on=True)).wait(0.1).die("a").wait(3 * TERM_S)
    assert play.owner() is None
    assert play.assignments["q0"].owner == "a"
    play.order(sig.Freeze(on=False)).wait(TERM_S)
    assert play.owner() == "b"
    play.ends()


def test_nothing_is_told_twice_after_an_outcome_that_is_unknown():
    """The note is committed and its answer lost: the assignment says how many events the store has."""
    play = Play("told_once").settled().crash("q0")
    play.store.temper.lost_answer = 1.0
    play.wait(TERM_S)
    play.store.temper.lost_answer = 0.0
    play.wait(2 * TERM_S)
    assert play.world.coverage["event: qm_failed"] == 1
    assert play.world.coverage["event: qm_running"] == 2
    play.ends()


def test_the_majority_is_lost_and_everything_stops_in_time():
    play = Play("majority_lost").settled().die("b").die("w").wait(2 * TERM_S)
    assert play.owner() is None
    assert play.said("q0 has ended")[0] < TERM_S
    play.return_of("w").wait(4 * TERM_S)
    assert play.owner() == "a"
    play.ends()


def test_a_hand_over_to_a_member_that_the_owner_does_not_hear():
    """Found on a real cluster: the witness took the order, and the owner dropped a target that it does not hear.

    The owner goes by the word of those who hear it.
    """
    play = Play("hand_over_to_an_unheard_member").settled().cut("ab").wait(TERM_S)
    play.order(sig.Move("q0", "b")).wait(TERM_S)
    assert play.owner() == "b"
    play.order(sig.Drain("b", on=True)).wait(TERM_S)
    assert play.owner() == "a"
    assert not play.said("qm_move_abandoned")
    play.ends()


def test_a_coordinator_that_does_not_hear_the_one_that_could_take_over():
    """Found by thinking of the former: a and c are lost, and v, which acts, hears of b only through w."""
    play = Play("heir_known_by_hearsay", members=5).settled()
    play.order(sig.Drain("c", on=True)).wait(TERM_S).cut("vb").wait(TERM_S).die("a").wait(2 * TERM_S)
    assert play.said("v asks to evict:a")
    assert play.owner() == "b"
    play.ends()


def test_the_dead_do_not_vouch_for_an_owner():
    """Found by the simulator: w was dead and evicted, and still counted as one that may hear the owner.

    So the owner, left with c alone, stopped, and nobody took over. And c, which hears it, grants it on: two voters are
    too few, so that a doubt which does not end becomes an order to go, and c refuses it.
    """
    play = Play("the_dead_do_not_vouch", members=5).settled().die("w").wait(2 * TERM_S)
    assert play.state("w") is MemberState.EVICTED
    play.cut("ab", "av").wait(3 * TERM_S)
    assert play.said("member_told_to_go a")
    assert play.state("a") is MemberState.EVICTED
    assert play.owner() == "b"
    play.ends()


def test_one_more_member_joins_and_counts():
    """Its machine waits until the settings have it; the others adopt them, and three of four are needed then."""
    play = Play("one_more_member").settled()
    play.enrol("x").wait(TERM_S)
    assert "x" not in play.store.view.members
    play.order(AddMember(play.machine("x").file.member("x"), "operator")).wait(3 * TERM_S)
    assert play.state("x") is MemberState.ONLINE
    assert {m.daemon.core.rules.majority for m in play.machines} == {3}
    play.die("x").wait(2 * TERM_S).die("b").wait(2 * TERM_S)
    assert play.owner() is None
    play.ends()


def test_a_removed_member_ends_and_two_of_three_are_a_majority_again():
    play = Play("a_removed_member").settled()
    play.enrol("x").order(AddMember(play.machine("x").file.member("x"), "operator")).wait(4 * TERM_S)
    assert play.state("x") is MemberState.ONLINE
    play.order(RemoveMember("x", "operator")).wait(0.1)
    assert play.state("x") is MemberState.ONLINE, "it may hold a lease"
    play.die("x").wait(2 * TERM_S).order(RemoveMember("x", "operator")).wait(2 * TERM_S)
    assert play.state("x") is MemberState.REMOVED
    play.return_of("x").wait(TERM_S)
    assert play.said("x leaves (removed)")
    play.die("b").wait(2 * TERM_S)
    assert play.owner() == "a"
    play.ends()


def test_a_change_of_the_voters_waits_until_everybody_goes_by_the_one_before():
    """b can not read the store: as long as it may count by three voters, there are no five."""
    play = Play("a_change_waits").settled()
    for name in "xy":
        play.enrol(name)
    x, y = (play.machine(name).file.member(name) for name in "xy")
    y = structs.replace(y, addresses=("127.1.2.3",))
    play.act("b stands still").machine("b").pause()
    play.order(AddMember(x, "operator")).wait(0.05).order(AddMember(y, "operator")).wait(0.05)
    assert play.answers[2] is sig.Verdict.NOT_SETTLED
    assert len(play.store.view.settings.record.members) == 4
    play.ends()
