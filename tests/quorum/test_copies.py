"""Copies of replicated data: who may start on which, and when an owner may write on without its peer."""

from standfast.quorum import signals as sig
from standfast.quorum.signals import Verdict
from tests.quorum.play import TERM_S, Play


def outdated(play: Play) -> tuple[str, ...]:
    return play.assignments["q0"].outdated


def verdicts(play: Play) -> list[Verdict]:
    return list(play.answers.values())


def test_a_lost_copy_is_outdated_in_the_store_before_writes_go_on_and_not_eligible_until_it_is_back():
    play = Play("a_copy_is_lost", copies=True).settled()
    play.cut("ab").wait(TERM_S)
    assert outdated(play) == ("b",)
    play.order(sig.Move("q0", "b")).wait(TERM_S)
    assert Verdict.TARGET_OUTDATED in verdicts(play)
    play.die("a").wait(4 * TERM_S)
    assert play.owner() is None
    play.return_of("a").wait(4 * TERM_S)
    assert play.owner() == "a"
    play.heal_links().wait(2 * TERM_S)
    assert outdated(play) == ()
    play.order(sig.Move("q0", "b")).wait(TERM_S)
    assert play.owner() == "b"
    play.ends()


def test_an_owner_without_a_majority_keeps_its_writes_frozen_and_the_other_copy_takes_over():
    play = Play("an_owner_is_cut_off", copies=True).settled()
    assert play.replicas is not None
    play.cut("ab", "aw").wait(0.05)
    frozen_at = play.replicas.written["q0"]
    play.wait(0.8 * TERM_S)
    assert play.owner() in {"a", None}
    assert play.replicas.written["q0"] == frozen_at
    play.wait(2 * TERM_S)
    assert play.owner() == "b"
    assert outdated(play) == ("a",)
    play.ends()


def test_only_the_owner_says_what_is_outdated_and_never_its_own_copy():
    play = Play("", copies=True).settled()
    for by, copy in (("b", "a"), ("w", "a"), ("a", "a"), ("a", "w"), ("a", "x")):
        play.order(sig.Outdate("q0", copy), by=by).wait(0.1)
    owner, own, none = Verdict.NOT_THE_OWNER, Verdict.OWN_COPY, Verdict.NO_SUCH_MEMBER
    assert verdicts(play) == [owner, owner, own, none, none]
    assert outdated(play) == ()


def test_what_an_older_look_found_does_not_make_a_copy_current():
    play = Play("").settled()
    play.order(sig.Outdate("q0", "b"), by="a").wait(0.1)
    seen = play.store.view.assignments["q0"].revision
    play.order(sig.Outdate("q0", "b"), by="a").wait(0.1)
    play.order(sig.Refresh("q0", "b", seen), by="a").wait(0.1)
    assert outdated(play) == ("b",)
    play.order(sig.Refresh("q0", "b", play.store.view.assignments["q0"].revision), by="a").wait(0.1)
    assert outdated(play) == ()
