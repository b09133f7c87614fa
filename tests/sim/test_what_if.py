"""What would follow, played with the real cores: every story of design 3.4, and where the play begins."""

import itertools

import pytest
from msgspec import structs

from standfast.model.cluster import LinkLoss, Policy
from standfast.model.events import EventKind
from standfast.model.messages import Hop
from standfast.model.records import MemberState, Orders, Phase, assignment_key
from standfast.model.timing import NS_PER_MS, lapse_ns
from standfast.quorum.can_stop import Cost
from standfast.quorum.runs import StopReason
from standfast.sim import what_if as module
from standfast.sim.chronicle import Deed
from standfast.sim.prospect import Prospect, Supposition
from standfast.sim.what_if import what_if
from tests.snapshots import EPOCH, INCARNATION, cluster_of, ordered, said, silent, snapshot_of, written

THREE, FIVE = cluster_of("abw"), cluster_of("abcvw")
TIMING = THREE.timing
LAPSE_MS = lapse_ns(TIMING.term_ns) / NS_PER_MS
STOP_MS = TIMING.term_ms - TIMING.graceful_ms - TIMING.kill_ms
SLACK_MS = 10
"""What messages and the store take in the play."""


def lose(*names: str) -> Supposition:
    return Supposition(lose=names)


def between(these: str, those: str) -> Supposition:
    pairs = itertools.product(these, those)
    return Supposition(cut=tuple(way for a, b in pairs for way in ((a, b), (b, a))))


def to(these: str, those: str) -> Supposition:
    return Supposition(cut=tuple(itertools.product(those, these)))


def at_ms(prospect: Prospect, kind, subject: str) -> float:
    """When that happened, which it did once."""
    (line,) = [line for line in prospect.story if (line.kind, line.subject) == (kind, subject)]
    return line.at_ms


def kinds(prospect: Prospect) -> set[object]:
    return {line.kind for line in prospect.story}


def states(prospect: Prospect) -> dict[str, MemberState | None]:
    return {end.name: end.state for end in prospect.members}


def runs_on(prospect: Prospect) -> str | None:
    (end,) = prospect.queue_managers
    return end.runs_on


# ---------------------------------------------------------------- the stories of design 3.4


def test_nothing_supposed_nothing_happens():
    prospect = what_if(snapshot_of(THREE), Supposition())
    assert (prospect.story, prospect.under_way, prospect.unlike) == ((), (), ())
    assert prospect.all_run
    assert prospect.survives_one_more


def test_the_owner_is_lost_the_other_takes_over_when_the_lease_has_lapsed():
    prospect = what_if(snapshot_of(THREE), lose("a"))
    (end,) = prospect.queue_managers
    assert (end.was_on, end.runs_on, end.epoch, end.phase) == ("a", "b", EPOCH + 1, Phase.RUNNING)
    assert (
        at_ms(prospect, EventKind.MEMBER_IN_DOUBT, "a") <= TIMING.interval_ms * (TIMING.in_doubt_after + 1) + SLACK_MS
    )
    evicted = at_ms(prospect, EventKind.MEMBER_EVICTED, "a")
    assert TIMING.term_ms < evicted <= LAPSE_MS + SLACK_MS
    assert evicted <= at_ms(prospect, Deed.STARTS, "orders") <= evicted + SLACK_MS
    assert [reason.cost for reason in prospect.weak_points] == [Cost.NO_MAJORITY] * 2


def test_the_witness_is_lost_and_the_owner_goes_on():
    prospect = what_if(snapshot_of(THREE), lose("w"))
    assert runs_on(prospect) == "a"
    assert not kinds(prospect) & {*Deed} - {Deed.LOST}
    assert states(prospect)["w"] is MemberState.EVICTED
    assert not prospect.survives_one_more


def test_two_are_lost_and_the_one_that_is_left_stops_by_itself():
    prospect = what_if(snapshot_of(THREE), lose("b", "w"))
    assert not prospect.all_run
    assert not prospect.survives_one_more
    (stop,) = [line for line in prospect.story if line.kind is Deed.STOPS]
    assert (stop.by, stop.fields["why"]) == ("a", StopReason.LEASE)
    assert stop.at_ms == pytest.approx(STOP_MS, abs=SLACK_MS)
    assert at_ms(prospect, Deed.ENDED, "orders") < TIMING.term_ms
    assert EventKind.MEMBER_EVICTED not in kinds(prospect)


@pytest.mark.parametrize("cut", [between("a", "b"), to("b", "a"), to("a", "b")], ids=["both ways", "a>b", "b>a"])
def test_the_link_between_the_data_members_is_cut_and_nobody_has_to_go(cut):
    prospect = what_if(snapshot_of(THREE), cut)
    assert runs_on(prospect) == "a"
    assert kinds(prospect) == {Deed.CUT, EventKind.LINK_LOST}


def test_after_a_cut_a_further_loss_costs_more_than_arithmetic_knows():
    prospect = what_if(snapshot_of(THREE), between("a", "b"))
    assert [(reason.subject, reason.cost) for reason in prospect.weak_points] == [("w", Cost.NO_MAJORITY)]


def test_the_owner_is_isolated_and_has_stopped_before_the_other_starts():
    prospect = what_if(snapshot_of(THREE), between("a", "bw"))
    assert runs_on(prospect) == "b"
    assert at_ms(prospect, Deed.ENDED, "orders") < TIMING.term_ms < at_ms(prospect, Deed.STARTS, "orders")
    assert states(prospect)["a"] is MemberState.EVICTED


def test_an_owner_that_hears_nobody_is_told_to_go():
    prospect = what_if(snapshot_of(THREE), to("a", "bw"))
    assert EventKind.MEMBER_TOLD_TO_GO in kinds(prospect)
    assert runs_on(prospect) == "b"


@pytest.mark.parametrize(("few", "many", "owner"), [("cv", "abw", "a"), ("ab", "cvw", "c")], ids=["3+2", "2+3"])
def test_five_members_part_and_the_majority_runs_everything(few, many, owner):
    prospect = what_if(snapshot_of(FIVE), between(few, many))
    assert runs_on(prospect) == owner
    assert {name for name, state in states(prospect).items() if state is MemberState.EVICTED} == set(few)
    assert {end.name for end in prospect.members if end.leased} == set(many)


@pytest.mark.parametrize(("owner", "stays"), [("a", "a"), ("b", "b")])
def test_under_evict_the_incumbent_stays_when_the_data_members_lose_each_other(owner, stays):
    evict = structs.replace(THREE, policy=Policy(link_loss=LinkLoss.EVICT))
    prospect = what_if(snapshot_of(evict, owner=owner), between("a", "b"))
    assert runs_on(prospect) == stays
    assert [name for name, state in states(prospect).items() if state is MemberState.EVICTED] == [
        name for name in "ab" if name != stays
    ]


@pytest.mark.parametrize(("without", "ends_on"), [("a", "b"), ("b", "a"), ("ab", "a")])
def test_a_lost_hop_moves_what_runs_there_and_nothing_when_all_lost_theirs(without, ends_on):
    members = tuple(structs.replace(m, hops=("10.0.0.254",) if m.name in "ab" else ()) for m in THREE.members)
    snapshot = snapshot_of(structs.replace(THREE, members=members))
    for name in "ab":
        snapshot = said(snapshot, name, hop=Hop.FOUND)
    prospect = what_if(snapshot, Supposition(fail_hop=tuple(without)))
    assert runs_on(prospect) == ends_on
    assert prospect.all_run
    assert {line.subject for line in prospect.story if line.kind is EventKind.HOP_LOST} == set(without)


# ---------------------------------------------------------------- what else decides


@pytest.mark.parametrize(
    "unable",
    [lambda s: ordered(s, Orders(drained=("b",))), lambda s: said(s, "b", unfit=("orders",))],
    ids=["drained", "unfit"],
)
def test_a_member_that_can_not_take_it_does_not(unable):
    prospect = what_if(unable(snapshot_of(THREE)), lose("a"))
    assert runs_on(prospect) is None
    assert not prospect.all_run


def test_with_an_outdated_copy_the_loss_of_the_only_current_one_is_a_weak_point_of_five():
    snapshot = snapshot_of(FIVE)
    known = snapshot.view.assignments["orders"].record
    stale = written(snapshot, assignment_key("orders"), structs.replace(known, outdated=("b", "c")))
    prospects = {name: what_if(seen, lose("v")).weak_points for name, seen in (("well", snapshot), ("stale", stale))}
    assert prospects["well"] == ()
    assert [(reason.subject, reason.cost) for reason in prospects["stale"]] == [("a", Cost.NOWHERE_TO_RUN)]


def test_a_frozen_cluster_takes_nothing_over():
    prospect = what_if(ordered(snapshot_of(THREE), Orders(frozen=True)), lose("a"))
    assert runs_on(prospect) is None
    assert states(prospect)["a"] is MemberState.ONLINE


def test_preference_decides_among_all_who_can_not_who_is_first():
    prospect = what_if(snapshot_of(cluster_of("abcvw", preferred=("a", "c", "b"))), lose("a"))
    assert runs_on(prospect) == "c"


def test_a_store_of_its_own_is_not_lost_with_members():
    """The embedded store must elect a leader first when its leader is lost."""
    inside, outside = (what_if(snapshot_of(THREE, store_outside=outside), lose("w")) for outside in (False, True))
    assert at_ms(outside, EventKind.MEMBER_EVICTED, "w") < at_ms(inside, EventKind.MEMBER_EVICTED, "w")


# ---------------------------------------------------------------- where the play begins


def test_what_was_under_way_comes_to_rest_before_anything_supposed_happens():
    snapshot = silent(snapshot_of(THREE), "b")
    prospect = what_if(snapshot, lose("w"))
    assert EventKind.MEMBER_EVICTED in {line.kind for line in prospect.under_way}
    assert runs_on(prospect) is None


def test_what_was_not_placed_goes_where_it_is_preferred_and_not_to_who_is_first_heard():
    for wanted in "ab":
        prospect = what_if(snapshot_of(cluster_of("abw", preferred=(wanted,)), owner=None), Supposition())
        assert runs_on(prospect) == wanted
        assert {line.kind for line in prospect.under_way} >= {EventKind.QM_ASSIGNED, Deed.STARTS}


def test_who_is_not_heard_by_the_asked_member_lives_if_another_one_hears_him():
    """Asked is b, which a does not reach; the witness hears both."""
    snapshot = snapshot_of(THREE)
    heard = {name: word for name, word in said(snapshot, "b", hears=("b", "w")).heard.items() if name != "a"}
    prospect = what_if(structs.replace(snapshot, heard=heard, taken_by="b"), Supposition())
    assert {end.name: end.hears for end in prospect.members} == {"a": ("w",), "b": ("w",), "w": ("a", "b")}
    assert runs_on(prospect) == "a"


def test_who_hears_whom_begins_as_it_is_in_the_snapshot():
    prospect = what_if(said(snapshot_of(THREE), "b", hears=("b", "w")), Supposition())
    assert {end.name: end.hears for end in prospect.members} == {"a": ("b", "w"), "b": ("w",), "w": ("a", "b")}


@pytest.mark.parametrize(("says", "becomes"), [(INCARNATION, INCARNATION), (0, INCARNATION + 1)])
def test_a_member_goes_on_as_what_it_is_and_joins_when_it_has_not_yet(says, becomes):
    prospect = what_if(said(snapshot_of(THREE), "b", incarnation=says), Supposition())
    assert {end.name: end.incarnation for end in prospect.members}["b"] == becomes


def test_the_store_begins_with_the_leader_that_it_has():
    led_by_w = snapshot_of(THREE)
    led_by_a = structs.replace(led_by_w, store_leader="a")
    asked, waited = (what_if(snapshot, lose("w")) for snapshot in (led_by_a, led_by_w))
    assert at_ms(asked, EventKind.MEMBER_IN_DOUBT, "w") < at_ms(waited, EventKind.MEMBER_IN_DOUBT, "w")


def test_a_lease_that_the_snapshot_does_not_explain_is_told():
    assert what_if(said(snapshot_of(THREE), "b", leased=False), Supposition()).unlike == ("b",)


def test_a_play_that_does_not_come_to_rest_ends_all_the_same(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_TERMS", 1)
    assert not what_if(snapshot_of(THREE), Supposition()).at_rest


@pytest.mark.parametrize("rests", [(True, False), (False, True)], ids=["not afterwards", "not even before"])
def test_a_play_without_an_end_is_no_good_news(monkeypatch, rests):
    answers = iter(rests)
    monkeypatch.setattr(module.Play, "rest", lambda _: next(answers))
    prospect = what_if(snapshot_of(THREE), Supposition())
    assert not prospect.at_rest
    assert not prospect.all_run


def test_the_same_question_has_the_same_answer():
    first, second = (what_if(snapshot_of(FIVE), between("ab", "cv")) for _ in range(2))
    assert first == second
