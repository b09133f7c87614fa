"""Settings changed while the cluster is at work: adopted, lived by, reckoned with; and what they guard."""

import pytest
from msgspec import structs

from standfast.model.cluster import Role
from standfast.model.messages import Heartbeat
from standfast.model.records import MemberRecord, MemberState, SettingsRecord
from standfast.model.timing import NS_PER_MS, PROFILES, Timing, lapse_ns
from standfast.model.view import Kept, View
from standfast.quorum import signals as sig
from standfast.quorum import transactions as tx
from standfast.quorum.core import Core, Identity
from standfast.quorum.grants import Grants
from standfast.quorum.hearing import Hearing
from standfast.quorum.overrides import Overrides
from standfast.quorum.rules import Rules
from standfast.quorum.settlement import Settlement
from standfast.sim.draws import cluster_of
from tests.quorum.play import TERM_S, TIMING, Play

NORMAL, CAUTIOUS = PROFILES["normal"], PROFILES["cautious"]
CLUSTER = cluster_of(3, TIMING)
WAIT_NS = lapse_ns(CAUTIOUS.term_ns)


def configure(play: Play, timing: Timing) -> sig.Configure:
    kept = play.store.view.settings
    return sig.Configure(structs.replace(play.cluster, timing=timing), kept.record.edition, "root")


def in_force(play: Play) -> SettingsRecord:
    return play.store.view.settings.record


def goes_by(play: Play, name: str) -> Rules:
    return play.machine(name).daemon.core.rules


# ------------------------------------------------------------ on a whole cluster


@pytest.mark.parametrize("timings", [(CAUTIOUS, TIMING), (NORMAL, CAUTIOUS, NORMAL, TIMING)])
def test_other_timers_stop_nothing_silence_nobody_and_settle(timings: tuple[Timing, ...]):
    play = Play("-").settled()
    for timing in timings:
        play.order(configure(play, timing)).wait(2.1 * max(timing.term_ms, in_force(play).term_ceiling_ms) / 1000)
        assert (in_force(play).timing, in_force(play).term_ceiling_ms) == (timing, timing.term_ms)
        assert {goes_by(play, name).lived for name in "abw"} == {timing}
    assert not play.said("q0")
    assert not play.said("tells")
    assert not play.said("member_")


def test_a_longer_term_and_back():
    play = Play("a_longer_term_and_back").settled()
    play.order(configure(play, NORMAL)).wait(1).order(configure(play, TIMING)).wait(4)
    assert in_force(play).term_ceiling_ms == TIMING.term_ms
    play.ends()


def test_who_was_down_during_the_change_adopts_it_and_a_death_is_found_by_the_new_term():
    play = Play("-").settled().die("b").wait(2 * TERM_S)
    play.order(configure(play, NORMAL)).wait(1).return_of("b").wait(2 * NORMAL.term_ms / 1000)
    assert goes_by(play, "b").lived == NORMAL
    play.act("-").die("a").wait(0.9 * NORMAL.term_ms / 1000)
    assert play.owner() is None
    play.wait(0.3 * NORMAL.term_ms / 1000)
    assert play.owner() == "b"


def test_a_voter_counts_its_grant_by_the_term_that_the_heartbeat_names():
    """a has not heard of a shorter term: what it is granted lasts as long as it takes it for, not as w would."""
    play = Play("-").settled()
    play.order(configure(play, CAUTIOUS)).wait(2.1 * CAUTIOUS.term_ms / 1000)
    play.cut("b>a", "w>a").order(configure(play, TIMING)).wait(2.5)
    assert (goes_by(play, "a").term_ns, goes_by(play, "w").term_ns) == (CAUTIOUS.term_ns, TIMING.term_ns)
    voter = play.machine("w")
    lapse_at_ns = voter.daemon.core.grants.lapses_at_ns("a")
    assert lapse_at_ns > voter.clock.local(play.world.now_ns) + lapse_ns(CAUTIOUS.term_ns) - CAUTIOUS.interval_ns * 1.5


def test_an_order_made_from_an_older_edition_is_refused():
    play = Play("-").settled()
    first, second = configure(play, NORMAL), configure(play, CAUTIOUS)
    play.order(first).wait(0.1).order(second).wait(0.1)
    assert list(play.answers.values()) == [sig.Verdict.DONE, sig.Verdict.OTHER_EDITION]
    assert in_force(play).timing == NORMAL


# ------------------------------------------------------------ when a change is settled

FRESH, OLD = 9, 5
"""Revisions of the settings in force, and of those before."""


def view_of(*, incarnation: int = 1, state: MemberState = MemberState.ONLINE, revision: int = FRESH) -> View:
    """The ceiling is still that of a longer term; `incarnation` and `state` are a's."""
    record = SettingsRecord(cluster_id="sim", members=("a", "b", "w"), timing=TIMING, term_ceiling_ms=CAUTIOUS.term_ms)
    members = {
        name: Kept(MemberRecord(name=name, role=Role.DATA, incarnation=1, identity=name, state=MemberState.ONLINE), 1)
        for name in "abw"
    }
    members["a"] = Kept(structs.replace(members["a"].record, incarnation=incarnation, state=state), 2)
    return View(revision=revision, newest=FRESH, members=members, settings=Kept(record, FRESH))


def settlement(*, adopted: int = FRESH) -> tuple[Settlement, Hearing]:
    rules = Rules(CLUSTER)
    rules.adopt(CLUSTER, adopted)
    hearing = Hearing("w", rules, 0)
    return Settlement("w", rules, hearing), hearing


def says(hearing: Hearing, name: str, settings: int, seq: int = 1, incarnation: int = 1) -> None:
    hearing.heard(Heartbeat(name, incarnation, 1, seq, 0, 1, 7, FRESH, able=True, leased=True, settings=settings), seq)


def test_settled_is_a_change_a_ceilings_length_after_the_last_has_come_over():
    settled, hearing = settlement()
    says(hearing, "a", FRESH)
    says(hearing, "b", OLD)
    settled.look(view_of(), 1, 0)
    assert settled.missing(view_of()) == ("b",)
    says(hearing, "b", FRESH, seq=2)
    settled.look(view_of(), 1, 100)
    assert not settled.settled(view_of(), 99 + WAIT_NS)
    assert settled.settled(view_of(), 100 + WAIT_NS)
    [settle] = settled.steps(view_of(), 100 + WAIT_NS)
    assert settle.tag == "settle"


@pytest.mark.parametrize(
    "later",
    [view_of(incarnation=2), view_of(state=MemberState.EVICTED), view_of(incarnation=2, state=MemberState.LEFT)],
    ids=["anew", "evicted", "gone anew"],
)
def test_another_incarnation_is_waited_for_anew_and_so_is_a_machine_that_may_not_know_that_it_is_gone(later: View):
    settled, hearing = settlement()
    says(hearing, "a", FRESH)
    says(hearing, "b", FRESH)
    settled.look(view_of(), 1, 0)
    says(hearing, "a", FRESH, seq=2, incarnation=2)
    settled.look(later, 1, WAIT_NS)
    assert not settled.settled(later, 2 * WAIT_NS - 1)
    assert settled.settled(later, 2 * WAIT_NS)


def test_a_view_that_was_not_read_since_the_change_proves_nothing():
    """Who wrote the settings itself may not know who has joined before."""
    settled, hearing = settlement()
    for name in "ab":
        says(hearing, name, FRESH)
    settled.look(view_of(revision=FRESH - 1), 1, 0)
    assert not settled.settled(view_of(revision=FRESH - 1), WAIT_NS)


# ------------------------------------------------------------ voters and joiners


def test_after_a_start_a_voter_waits_for_the_ceiling_that_its_first_read_tells():
    grants = Grants(0, TIMING.term_ns, Overrides("v"))
    grants.speaks_until_ns = 1 << 62
    grants.bind({}, 1, CAUTIOUS.term_ns)
    grants.bind({}, 2, TIMING.term_ns)
    assert not grants.ready(WAIT_NS - 1)
    assert grants.ready(WAIT_NS)


def test_who_takes_anothers_place_waits_for_what_that_one_may_have_granted_since():
    """The other speaks on for a term, and may grant one that came into force only then."""
    grants = Grants(0, TIMING.term_ns, Overrides("v"))
    grants.speaks_until_ns = 1 << 62
    grants.bind({}, 0, TIMING.term_ns)
    grants.take_over(0)
    first_ns = lapse_ns(TIMING.term_ns)
    grants.bind({}, first_ns, CAUTIOUS.term_ns)
    assert not grants.ready(first_ns + WAIT_NS - 1)
    assert grants.ready(first_ns + WAIT_NS)


def core_b(now_ns: int = 0) -> Core:
    """As good as in touch with the others."""
    core = Core(Identity(name="b", machine="mine", process=1), CLUSTER, now_ns)
    for name in "aw":
        heartbeat = Heartbeat(name, 1, 1, 1, now_ns, TIMING.term_ns, 7, 0, able=False, leased=True)
        core.step(now_ns, sig.Received(heartbeat))
    return core


def joins(effects: list[sig.Effect]) -> list[sig.Transact]:
    return [effect for effect in effects if isinstance(effect, sig.Transact) and effect.tag == "join"]


def founded(timing: Timing, at: int) -> View:
    founding = tx.found(structs.replace(CLUSTER, timing=timing), View())
    return View().merged(at, [(put.key, put.record, at) for put in founding.puts])


def test_a_member_joins_only_by_the_settings_in_the_store_and_they_guard_it():
    core = core_b()
    assert joins(core.step(1, sig.ViewRead(View()))) == []
    (join,) = joins(core_b().step(1, sig.ViewRead(founded(NORMAL, 7))))
    assert ("settings", 7) in {(guard.key, guard.revision) for guard in join.transaction.guards}


def test_settings_that_a_member_has_but_written_it_does_not_go_by_before_it_has_read_them():
    core = core_b()
    core.step(1, sig.ViewRead(founded(TIMING, 7)))
    order = sig.Configure(structs.replace(CLUSTER, timing=CAUTIOUS), 0, "root")
    (asked,) = [e for e in core.step(2, sig.Ordered(1, order)) if isinstance(e, sig.Transact) and "conf" in e.tag]
    core.step(3, sig.Transacted(asked.tag, sig.Outcome.COMMITTED, 8))
    assert (core.view.settings.revision, core.rules.term_ns) == (8, TIMING.term_ns)
    core.step(4, sig.ViewRead(core.view.merged(8, [])))
    assert core.rules.term_ns == CAUTIOUS.term_ns


def test_a_longer_budget_counts_only_when_the_lease_is_long_enough_for_it():
    """Else the change itself would stop what runs: its budget is longer than the whole lease."""
    rules = Rules(CLUSTER)
    core = core_b()
    core.step(1, sig.ViewRead(founded(TIMING, 7)))
    core.lease.end_ns = TIMING.term_ns
    core.leased = True
    effects = core.step(2, sig.ViewRead(founded(CAUTIOUS, 8)))
    assert not any(isinstance(effect, sig.Retimed) for effect in effects)
    assert (core.rules.term_ns, core.rules.stop_ns) == (CAUTIOUS.term_ns, rules.stop_ns)
    core.lease.end_ns = CAUTIOUS.term_ns
    moved = [effect for effect in core.step(3, sig.Woke()) if isinstance(effect, sig.LeaseMoved)]
    assert moved == [sig.LeaseMoved(CAUTIOUS.term_ns, CAUTIOUS.stop_ns, CAUTIOUS.kill_ns)]


def test_a_ceiling_is_never_below_a_term_in_force():
    kept = Kept(view_of().settings.record, FRESH)
    longer = tx.configure(kept, structs.replace(kept.record, timing=CAUTIOUS), {}).puts[0].record
    assert longer.term_ceiling_ms * NS_PER_MS == CAUTIOUS.term_ns
    shorter = tx.configure(Kept(longer, FRESH), structs.replace(longer, timing=TIMING), {}).puts[0].record
    assert shorter.term_ceiling_ms * NS_PER_MS == CAUTIOUS.term_ns
    assert tx.settle(Kept(shorter, FRESH)).puts[0].record.term_ceiling_ms * NS_PER_MS == TIMING.term_ns
