"""An override and its end, one rule at a time; then the return of the others in every order that there is."""

from itertools import permutations, product

import pytest

from standfast.model.events import EventKind
from standfast.model.override import Stage, Stance
from standfast.quorum import signals as sig
from tests.quorum.play import TERM_S, Play

LOST_S = 2.5 * TERM_S
"""After this every lease is over, and what was not heard counts as gone."""
INTERVAL_S = 0.1


def grant(play: Play, to: str = "a", **changes: object) -> sig.Verdict:
    """The order, and its answer."""
    order = sig.GrantOverride(cluster="sim", reason="both others burnt", by="uid 0", at_unix_ms=1_000)
    play.act(f"an operator orders {to} to run")
    play.order(sig.GrantOverride(**{name: getattr(order, name) for name in order.__struct_fields__} | changes), to)
    return list(play.answers.values())[-1]


def alone(name: str, to: str = "a", members: int = 3) -> Play:
    """Everybody else has died; `to` is ordered to run, and runs."""
    play = Play(name, members).settled()
    for machine in play.machines:
        if machine.id != to:
            play.die(machine.id)
    play.wait(LOST_S)
    assert play.owner() is None
    assert grant(play, to) is sig.Verdict.DONE
    return play.wait(TERM_S)


def by_override(play: Play) -> str | None:
    """Where q0 runs by an override."""
    process = play.promises.overridden.get("q0")
    return process.machine if process else None


def settled(play: Play, machine: str = "a") -> bool:
    """Whether its override is over, in the store too, and the queue manager is its own."""
    a = play.assignments["q0"]
    return play.machine(machine).memory.held.own is None and a.owner == machine == play.owner() and a.epoch > 1_000


# ---------------------------------------------------------------- the order


def test_one_member_runs_by_order_and_the_return_of_a_witness_ends_it_without_a_gap():
    play = alone("override")
    assert by_override(play) == "a"
    (began,) = play.said("q0 begins under epoch 1001")
    play.return_of("w").wait(5 * TERM_S)
    assert settled(play)
    assert play.said("q0 begins") == [began]
    assert play.said("qm_adopted q0") < play.said("override_ended a")
    play.ends()


def test_every_guard_that_is_bypassed_is_told_at_once_and_stored_later():
    play = alone("override_told").act("w returns")
    told = [(e.kind, e.subject, e.fields.get("guard")) for e in play.machine("a").daemon.core.ordered.story()]
    assert told == [
        (EventKind.OVERRIDE_GRANTED, "a", None),
        (EventKind.GUARD_BYPASSED, "a", "majority"),
        (EventKind.GUARD_BYPASSED, "q0", "start_record"),
        (EventKind.GUARD_BYPASSED, "q0", "data_currency"),
    ]
    for kind, subject, _ in told:
        assert play.said(f"tells {kind} {subject}")
    play.return_of("w").wait(5 * TERM_S)
    stored = [(e.kind, e.subject, e.fields.get("guard")) for e in play.promises._told.values()]
    assert set(told) < set(stored)


def test_an_order_is_refused_while_something_speaks_against_it():
    play = Play("refusals", 5).settled()
    assert grant(play, "a", cluster="other") is sig.Verdict.WRONG_CLUSTER
    assert grant(play, "w") is sig.Verdict.NOT_A_DATA_MEMBER
    assert grant(play) is sig.Verdict.MAJORITY_IN_TOUCH
    play.die("w").die("v").wait(LOST_S)
    play.die("c").cut("ab").wait(LOST_S)
    play.return_of("w").cut("bw").wait(1.0)
    assert grant(play) is sig.Verdict.DONE, "b is alive, and nobody here can know it"
    assert grant(play) is sig.Verdict.OVERRIDDEN


@pytest.mark.parametrize("heard", ["itself", "by a witness"])
def test_an_order_is_refused_while_another_data_member_is_heard_of(heard):
    play = Play("heard", 5).settled().die("v").die("c")
    play = play.die("w") if heard == "itself" else play.cut("ab")
    assert grant(play.wait(LOST_S)) is sig.Verdict.ANOTHER_HEARD


def test_a_lease_of_a_rival_is_outwaited():
    play = Play("outwaited").settled().cut("aw").wait(0.2).die("b").die("w").wait(0.4)
    assert grant(play) is sig.Verdict.RIVAL_LEASE or grant(play) is sig.Verdict.MAJORITY_IN_TOUCH
    play.wait(TERM_S)
    assert grant(play) is sig.Verdict.DONE


# ---------------------------------------------------------------- its course


def test_it_outlives_the_daemon_and_the_machine():
    play = alone("override_restarts").restart("a").wait(TERM_S)
    assert by_override(play) == "a"
    play.die("a").wait(TERM_S).return_of("a").wait(TERM_S)
    assert by_override(play) == "a"
    play.return_of("w").wait(6 * TERM_S)
    assert settled(play)
    play.ends()


def test_a_paused_daemon_has_nothing_left_that_runs_when_its_term_is_over():
    play = alone("override_paused")
    play.machine("a").pause()
    play.wait(TERM_S)
    assert by_override(play) is None
    play.machine("a").resume()
    assert by_override(play.wait(TERM_S)) == "a"


def test_the_rival_that_returns_first_gets_a_lease_and_starts_nothing():
    play = alone("rival_first", "b")
    assert by_override(play) == "b"
    play.return_of("a").wait(5 * TERM_S)
    assert play.machine("a").daemon.core.leased
    assert settled(play, "b")
    play.ends()


def test_a_rival_that_was_only_cut_off_is_told_before_it_gets_a_lease():
    """It owns the queue manager by the store, and its daemon knows no restart."""
    play = Play("rival_was_cut_off").settled().cut("ab", "aw").die("w").wait(LOST_S)
    assert grant(play, "b") is sig.Verdict.DONE
    play.wait(TERM_S).heal_links().wait(4 * TERM_S)
    assert play.said("a notes that the override of b is on")
    assert settled(play, "b")
    play.ends()


def test_two_who_were_cut_off_from_each_other_too_listen_first():
    """All links come back at once: rival and witness could agree within a millisecond, the ordered one speaks later."""
    play = Play("all_links_back_at_once").settled().filter("ab", "aw", "bw").wait(LOST_S)
    assert grant(play, "b") is sig.Verdict.DONE
    play.wait(TERM_S).heal_links().wait(4 * TERM_S)
    assert play.said("w refuses a: listening")
    assert settled(play, "b")
    play.ends()


def test_who_was_told_keeps_to_it_though_the_ordered_member_is_gone_again():
    play = alone("told_and_cut_off").return_of("w").wait(TERM_S / 2)
    play.cut("aw", "ab").return_of("b").wait(6 * TERM_S)
    assert play.machine("w").memory.held.words[0].stance is Stance.ON
    assert play.machine("b").memory.held.words[0].stance is Stance.ON, "from the witness"
    assert play.machine("b").daemon.core.leased
    assert play.owner() is None
    assert by_override(play) == "a"
    play.heal_links().wait(6 * TERM_S)
    assert settled(play)
    play.ends()


def test_an_operator_ends_what_others_keep_to_for_a_machine_that_is_gone_for_good():
    play = alone("gone_for_good").return_of("w").wait(TERM_S / 2).die("a").return_of("b").wait(4 * TERM_S)
    assert play.owner() is None
    play.act("an operator answers for it that a is off").order(sig.EndOverride("a"), "w").wait(4 * TERM_S)
    assert play.owner() == "b"
    assert play.assignments["q0"].epoch > 1_001, "its storage has seen the epoch of the override"
    play.ends()


def test_a_majority_out_of_reach_decides_alone_and_the_ordered_one_yields():
    """What the operator has to exclude: here two run for a while, and only their storage can keep them apart."""
    play = Play("majority_out_of_reach").settled().cut("ab", "aw", "bw").wait(LOST_S)
    assert grant(play, "b") is sig.Verdict.DONE
    play.wait(TERM_S).heal_links("aw").wait(4 * TERM_S)
    assert (play.owner(), by_override(play)) == ("a", "b")
    play.heal_links().wait(4 * TERM_S)
    assert play.said("tells override_conflict b")
    assert by_override(play) is None
    play.wait(10 * TERM_S)
    assert play.owner() is not None
    play.ends()


def test_ended_where_it_was_ordered_it_stops_first_and_says_so_then():
    play = alone("ended_by_an_operator").return_of("w").wait(TERM_S / 2).order(sig.EndOverride("a"), "a")
    play.wait(4 * TERM_S)
    assert play.said("q0 has ended")[-1] < play.said("tells override_ended a")[0]
    assert play.owner() == "a"
    play.ends()


# ---------------------------------------------------------------- every order of return

HOW = ("revived", "healed", "revived apart", "healed apart")
"""A machine that was dead comes back, or one that was cut off from everybody; apart: without a way to the ordered
member at first."""


def returns(members: int) -> list[tuple[tuple[str, str], ...]]:
    """All orders in which all others return, each in every way; of five members two ways, or there were too many."""
    others = [name for name in ("b", "w") if members == 3] or ["b", "c", "w", "v"]
    ways = HOW if members == 3 else HOW[1:3]
    return [
        tuple(zip(order, how, strict=True))
        for order in permutations(others)
        for how in product(ways, repeat=len(others))
    ]


def play_return(order: tuple[tuple[str, str], ...], pause_s: float, members: int) -> Play:
    """Everybody but `a` is gone; `a` runs by order; the others return as the order says."""
    play = Play("return", members).settled()
    for name, how in order:
        if how.startswith("revived"):
            play.die(name)
        else:
            play.network.cut |= {(name, m.id) for m in play.machines} | {(m.id, name) for m in play.machines}
    play.wait(LOST_S)
    assert grant(play) is sig.Verdict.DONE
    play.wait(TERM_S)
    here = {"a"}
    for name, how in order:
        far = {"a"} if how.endswith("apart") else set()
        here.add(name)
        healed = {(x, y) for x in here for y in here if name in (x, y) and not far & {x, y}}
        play.network.cut -= healed
        play.network.cut |= {pair for other in far for pair in ((name, other), (other, name))}
        if how.startswith("revived"):
            play.return_of(name)
        play.wait(pause_s)
    play.heal_links().wait(8 * TERM_S)
    return play


@pytest.mark.parametrize("pause_s", [0.0, 0.03, INTERVAL_S, TERM_S, 3 * TERM_S])
def test_three_members_return_in_every_order_and_every_way(pause_s):
    """Where every majority has somebody whom the ordered member reaches, nothing runs twice (checked at every step)."""
    for order in returns(3):
        play = play_return(order, pause_s, 3)
        assert play.owner() is not None, order
        assert play.machine("a").memory.held.own is None, order
        if not all(how.endswith("apart") for _, how in order):
            assert settled(play), order
            assert not play.said("override_conflict"), order


def test_five_members_return_in_every_order():
    for order in returns(5)[::5]:
        play = play_return(order, TERM_S, 5)
        assert play.machine("a").memory.held.own is None, order
        if sum(how.endswith("apart") for _, how in order) < 3:
            assert settled(play), order
        assert play.owner() is not None, order


def test_an_order_is_refused_while_a_process_may_still_be_there():
    """Its lease is long over, but the warden has not said that it has ended."""
    play = Play("still_there").settled()
    play.machine("a").warden._report = lambda _: None
    play.die("b").die("w").wait(LOST_S)
    assert grant(play) is sig.Verdict.STILL_RUNNING


def test_the_stages_and_stances_are_those_of_their_tables():
    assert [*Stage] == ["in_force", "settling", "ending", "over"]
    assert [*Stance] == ["on", "refused", "ended"]


def test_a_told_voter_acknowledges_nobody_who_is_not_told():
    """The voter heard of it and the rival did not: no lease for the rival, be it heard ever so long."""
    play = alone("told_voter").return_of("w").wait(TERM_S / 2).cut("aw", "ab").return_of("b")
    play.machine("b").daemon.core._hear_of_overrides = lambda _: None
    play.wait(4 * TERM_S)
    assert play.said("w refuses b: unaware")
    assert not play.machine("b").daemon.core.leased


def test_a_restarted_daemon_refuses_for_what_it_is_about_to_inherit():
    """Found by the simulator: a heard of b's override between its start and its join, and said that it knew of it.

    What a had been running all along, under a lease, counted as nothing of it until it was inherited; so b took it.
    """
    play = Play("override_refused_by_an_heir").settled().cut("ab", "aw", "bw").wait(LOST_S)
    assert grant(play, "b") is sig.Verdict.DONE
    play.wait(TERM_S).heal_links("aw").wait(4 * TERM_S)
    assert play.owner() == "a"
    play.heal_links().restart("a").wait(5 * TERM_S)
    assert play.owner() == "a"
    assert by_override(play) is None
    assert not play.said("qm_adopted q0")
    play.ends()
