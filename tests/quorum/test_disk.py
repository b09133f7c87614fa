"""The shared disk in the protocol: what is proven through it, and what it must not change."""

import pytest

from standfast.model.cluster import Role
from standfast.model.events import EventKind
from standfast.model.messages import Ballot, Heartbeat
from standfast.model.records import MemberRecord, MemberState
from standfast.model.view import Kept
from standfast.quorum import signals as sig
from standfast.quorum.hearing import Hearing
from standfast.quorum.rules import Rules
from standfast.quorum.words import Words
from standfast.sim.draws import cluster_of
from tests.quorum.play import DOUBT_S, TERM_S, TIMING, Play

INTERVAL_S = TIMING.interval_ms / 1000
STOP_S = 0.02
SLACK_S = 0.02
"""A few calls of the store and of the disk."""


def play_until(play: Play, what: str) -> None:
    """Plays on until these words are said."""
    while not play.said(what):
        play.wait(0.001)


# ------------------------------------------------------------ what is proven


def test_an_isolated_owner_stops_at_the_word_of_the_disk_and_nobody_waits_for_its_lease():
    """The coordinator w has no disk: b reads a's word and passes it on."""
    play = Play("isolated_beside_the_disk", disk="data").settled().cut("ab", "aw").wait(2 * TERM_S)
    (evicted,) = play.said("member_evicted a")
    assert evicted < DOUBT_S + 2 * INTERVAL_S + STOP_S + SLACK_S < TERM_S
    assert play.world.coverage["evicted by: stopped"] == 1
    assert play.owner() == "b"
    assert play.store.view.members["a"].record.reason == "isolated"
    play.heal_links().wait(2 * TERM_S)
    assert play.incarnation("a") == 2
    play.ends()


def test_a_member_that_is_told_to_go_and_reads_no_store_learns_it_on_the_disk():
    """Deaf and without a store: others hear it, it hears nobody."""
    play = Play("told_to_go_on_the_disk", disk="data").settled().cut("b>a", "w>a").wait(2 * TERM_S)
    assert play.said("member_told_to_go a")
    assert play.said("member_evicted a")[0] < TERM_S
    assert play.world.coverage["evicted by: stopped"] == 1
    assert play.owner() == "b"
    play.ends()


def test_a_dead_owner_is_told_from_an_isolated_one():
    """Its last heartbeat is read on the disk after the last one over the network: that is no sign of life."""
    play = Play("dead_beside_the_disk", disk="all").settled().die("a").wait(2 * TERM_S)
    assert not play.said("member_isolated")
    assert play.store.view.members["a"].record.reason == "silent"
    assert play.world.coverage["evicted by: lapsed"] == 1
    assert play.owner() == "b"
    play.ends()


def test_with_the_disk_lost_as_well_the_lease_decides():
    play = Play("isolated_and_without_the_disk", disk="data").settled().stall("a").cut("ab", "aw").wait(2 * TERM_S)
    assert play.said("q0 has ended")[0] < play.said("votes that the lease of a")[0]
    assert play.world.coverage["evicted by: lapsed"] == 1
    assert play.owner() == "b"
    play.disk_goes_on().wait(TERM_S)
    assert play.owner() == "b"
    play.ends()


def test_once_it_has_given_its_word_it_waits_for_its_record_though_all_hear_it_again():
    """Contact is back right after the word, and the store answers nobody: a has a lease, and starts nothing."""
    play = Play("the_word_is_kept", disk="data").settled().cut("ab", "aw")
    play_until(play, "a says stopped")
    play.store.away = True
    play.heal_links().wait(TERM_S)
    assert play.machine("a").daemon.core.leased
    assert play.owner() is None
    play.store.away = False
    play.act("the store is back").wait(TERM_S)
    assert play.owner() is not None
    play.ends()


# ------------------------------------------------------------ what it must not change


def test_a_stall_of_the_disk_alone_changes_nothing():
    """Slots went back and were torn on the way: nobody says a word."""
    play = Play("disk_stalls", disk="all").settled().stall("a", "b", "w").wait(2 * TERM_S)
    play.disk_goes_on().wait(TERM_S)
    for name in "abw":
        play.around.disk.tear(name)
    play.wait(2 * TERM_S)
    assert play.world.coverage["disk: landed late"]
    play.ends()


def test_a_ballot_on_the_disk_does_not_stop_a_member_in_contact():
    """It reads of it late, and the store tells nobody that it is void: a hears all and goes on."""
    play = Play("late_ballot", disk="data").settled().stall("a").cut("ab", "aw")
    play_until(play, "member_in_doubt a")
    play.wait(STOP_S / 4).store.away = True
    play.heal_links().wait(2 * INTERVAL_S).disk_goes_on().wait(TERM_S)
    assert play.said("a reads on the disk: b knows of ballot")
    assert not play.said("q0")
    assert play.owner() == "a"
    play.ends()


def test_an_isolated_member_that_runs_nothing_is_not_hurried():
    """Its word would save nobody's wait, and it may be back before its lease has lapsed."""
    play = Play("isolated_follower", disk="data").settled().cut("ab", "bw").wait(DOUBT_S + 3 * INTERVAL_S)
    assert play.said("b reads on the disk: a knows of ballot")
    play.heal_links().wait(TERM_S)
    assert play.said("member_back b")
    assert play.incarnation("b") == 1
    play.ends()


def test_while_frozen_nobody_need_stop_for_a_ballot():
    play = Play("frozen_beside_the_disk", disk="all").settled().cut("ab", "aw")
    play_until(play, "member_in_doubt a")
    play.order(sig.Freeze(on=True)).wait(2 * INTERVAL_S)
    assert not play.said("says stopped")
    assert play.said("q0 has ended") == []
    play.heal_links().order(sig.Freeze(on=False)).wait(TERM_S)
    assert play.owner() == "a"
    play.ends()


# ------------------------------------------------------------ words


RULES = Rules(cluster_of(3, TIMING))


def beat(sender: str, seq: int = 1, **fields) -> Heartbeat:
    return Heartbeat(sender, 1, 7, seq, 0, TIMING.term_ns, 0b111, 5, able=True, leased=True, **fields)


def record_a(revision: int, incarnation: int = 1) -> Kept[MemberRecord]:
    record = MemberRecord(
        name="a", role=Role.DATA, incarnation=incarnation, identity="a", state=MemberState.IN_DOUBT, reason=""
    )
    return Kept(record, revision)


def words(me: str) -> Words:
    return Words(me, RULES, Hearing(me, RULES, 0))


@pytest.mark.parametrize(("revision", "incarnation", "proven"), [(9, 1, True), (9, 2, False), (11, 1, False)])
def test_a_word_proves_for_its_incarnation_and_its_ballot_alone(revision: int, incarnation: int, *, proven: bool):
    known = words("w")
    known.heard(beat("b", ballots=(Ballot("a", 1, 9, stopped=True),)))
    assert known.stopped(record_a(revision, incarnation)) is proven


@pytest.mark.parametrize(
    ("own", "ballot", "age_ns", "called"),
    [
        (record_a(8), Ballot("a", 1, 9), 0, 9),
        (record_a(9), Ballot("a", 1, 9), 0, 9),
        (record_a(10), Ballot("a", 1, 9), 0, 0),  # void: the record is newer
        (record_a(8, 2), Ballot("a", 1, 9), 0, 0),  # against another incarnation
        (record_a(8), Ballot("b", 1, 9), 0, 0),
        (record_a(8), Ballot("a", 1, 9), TIMING.in_doubt_ns + 1, 0),  # nobody would read the answer
    ],
)
def test_whom_a_ballot_on_the_disk_calls_off(own: Kept[MemberRecord], ballot: Ballot, age_ns: int, called: int):
    known = words("a")
    known.read(beat("b", ballots=(ballot,)), 1)
    assert known.call(own, 1 + age_ns) == called


def test_a_member_that_is_no_more_in_the_cluster_is_not_listened_to():
    known = words("a")
    assert not known.read(beat("z"), 1)
    assert known.mask(1) == 0


def test_isolation_is_told_when_it_begins():
    play = Play("", disk="all").settled().cut("ab", "aw").wait(TERM_S / 2)
    assert len(play.said(f"tells {EventKind.MEMBER_ISOLATED} a")) == len("bw")
