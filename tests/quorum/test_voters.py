"""Who votes changes by one member at a time, and only when nothing is left of the change before."""

import pytest
from msgspec import structs

from standfast.model.cluster import MemberSpec, Role
from standfast.model.events import EventKind
from standfast.model.messages import Heartbeat
from standfast.model.records import (
    ORDERS_KEY,
    SETTINGS_KEY,
    MemberRecord,
    MemberState,
    Orders,
    SettingsRecord,
    member_key,
)
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum.hearing import Hearing
from standfast.quorum.lease import Lease
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Verdict
from standfast.quorum.transactions import evict
from standfast.quorum.voter_orders import AddMember, RemoveMember, ReplaceMember
from standfast.quorum.voters import change_of_voters
from standfast.sim.draws import cluster_of

TIMING = PROFILES["fast"]
FIVE = cluster_of(5, TIMING)
UNORDERED = Orders()
D = MemberSpec(name="d", role=Role.WITNESS, addresses=("127.0.0.9",))


def view_of(cluster=FIVE, gone: str = "", orders: Orders = UNORDERED) -> View:
    settings = SettingsRecord(
        cluster_id=cluster.id,
        members=tuple(m.name for m in cluster.members),
        timing=TIMING,
        term_ceiling_ms=TIMING.term_ms,
        specs=cluster.members,
        policy=cluster.policy,
    )
    records = [
        (
            member_key(m.name),
            MemberRecord(
                name=m.name,
                role=m.role,
                incarnation=4,
                identity=m.name,
                state=MemberState.EVICTED if m.name in gone else MemberState.ONLINE,
            ),
            10 + i,
        )
        for i, m in enumerate(cluster.members)
    ]
    return View().merged(30, [(SETTINGS_KEY, settings, 5), (ORDERS_KEY, orders, 6), *records])


def judged(order, view: View, up: str = "abcvw", *, settled: bool = True, cluster=FIVE):
    return change_of_voters(order, cluster, view, up, settled=settled)


ADD, REMOVE = AddMember(D, "me"), RemoveMember("v", "me")
REPLACE = ReplaceMember("c", ("127.0.0.9",), "", "me")


@pytest.mark.parametrize(
    ("order", "gone", "up", "verdict"),
    [
        (AddMember(structs.replace(D, name="a"), "me"), "", "abcvw", Verdict.ALREADY_A_MEMBER),
        (AddMember(structs.replace(D, addresses=("127.0.0.1",)), "me"), "", "abcvw", Verdict.ADDRESS_TAKEN),
        (ADD, "", "abc", Verdict.NO_MAJORITY_THEN),  # six would need four
        (RemoveMember("x", "me"), "", "abcvw", Verdict.NO_SUCH_MEMBER),
        (REMOVE, "", "abcvw", Verdict.NOT_GONE),
        (REMOVE, "vw", "ab", Verdict.NO_MAJORITY_THEN),  # four would need three
        (REPLACE, "", "abcvw", Verdict.NOT_GONE),
        (ReplaceMember("c", ("127.0.0.1",), "", "me"), "c", "abvw", Verdict.ADDRESS_TAKEN),
        (ReplaceMember("c", (), "", "me"), "c", "abvw", Verdict.ALREADY_SO),
        (ReplaceMember("x", (), "", "me"), "c", "abvw", Verdict.NO_SUCH_MEMBER),
        (REPLACE, "cvw", "ab", Verdict.NO_MAJORITY_THEN),
    ],
)
def test_what_is_refused(order, gone, up, verdict):
    assert judged(order, view_of(gone=gone), up) is verdict


@pytest.mark.parametrize(("order", "gone"), [(ADD, ""), (REMOVE, "v"), (REPLACE, "c")])
def test_nothing_is_changed_before_the_last_change_is_settled_or_while_frozen(order, gone):
    assert judged(order, view_of(gone=gone), settled=False) is Verdict.NOT_SETTLED
    assert judged(order, view_of(gone=gone, orders=Orders(frozen=True))) is Verdict.FROZEN
    assert judged(order, View()) is Verdict.NOT_FOUNDED


def test_three_are_the_fewest_and_one_of_them_runs_queue_managers():
    three, one = cluster_of(3, TIMING), cluster_of(5, TIMING, data=2)
    assert judged(RemoveMember("w", "me"), view_of(three, "w"), "ab", cluster=three) is Verdict.TOO_FEW_MEMBERS
    lonely = structs.replace(one, members=tuple(m for m in one.members if m.name != "b"))
    assert judged(RemoveMember("a", "me"), view_of(lonely, "a"), "uvw", cluster=lonely) is Verdict.LAST_DATA_MEMBER


def test_one_more_is_written_under_the_guard_of_the_settings():
    change = judged(ADD, view_of())
    assert [(g.key, g.revision) for g in change.guards] == [(SETTINGS_KEY, 5)]
    (put,) = change.puts
    assert put.record.members == ("a", "b", "c", "w", "v", "d")
    assert put.record.specs[-1] == D
    assert put.record.edition == 1
    assert [(e.kind, e.subject) for e in change.events] == [(EventKind.MEMBER_ADDED, "d")]


def test_one_less_is_guarded_by_its_record_which_keeps_its_incarnation():
    change = judged(REMOVE, view_of(gone="v", orders=Orders(drained=("v", "a"))))
    assert {g.key: g.revision for g in change.guards} == {SETTINGS_KEY: 5, member_key("v"): 14, ORDERS_KEY: 6}
    puts = {put.key: put.record for put in change.puts}
    assert "v" not in puts[SETTINGS_KEY].members
    assert (puts[member_key("v")].state, puts[member_key("v")].incarnation) == (MemberState.REMOVED, 4)
    assert puts[ORDERS_KEY].drained == ("a",)


def test_another_machine_at_another_address_is_the_same_voter():
    change = judged(REPLACE, view_of(gone="c"))
    assert {g.key for g in change.guards} == {SETTINGS_KEY, member_key("c")}
    (put,) = change.puts
    assert put.record.members == tuple(m.name for m in FIVE.members)
    assert {s.name: s.addresses for s in put.record.specs}["c"] == ("127.0.0.9",)


def test_an_eviction_is_guarded_by_the_settings_under_which_its_votes_were_counted():
    rules = Rules(FIVE)
    rules.adopt(FIVE, 5)
    kept = view_of().members["v"]
    assert (SETTINGS_KEY, 5) in {(g.key, g.revision) for g in evict(kept, rules, (), {}).guards}


def test_only_voters_count_for_a_lease():
    rules = Rules(cluster_of(3, TIMING))
    lease = Lease(rules)
    assert not lease.acknowledged("d", 0, TIMING.term_ns)
    assert lease.acknowledged("b", 0, TIMING.term_ns)
    rules.adopt(FIVE, 7)
    lease.adopted()
    assert not lease.acknowledged("d", 5, TIMING.term_ns)
    assert not lease.acknowledged("b", 5, TIMING.term_ns)  # three of five are needed now
    assert lease.acknowledged("c", 5, TIMING.term_ns)


def beat(sender: str, hears: int, voters: int) -> Heartbeat:
    return Heartbeat(sender, 1, 1, 1, 0, TIMING.term_ns, hears, 5, able=True, leased=True, voters=voters)


def test_whom_a_sender_hears_is_read_by_the_set_that_it_counts_over():
    three, four = cluster_of(3, TIMING), cluster_of(3, TIMING)
    four = structs.replace(four, members=(*four.members, D))
    rules, older = Rules(three), Rules(three)
    hearing = Hearing("a", rules, 0)
    hears_b = older.bits["a"] | older.bits["b"]
    hearing.heard(beat("b", hears_b, older.voters), 1)
    rules.adopt(four, 9)
    hearing.adopted(2)
    hearing.heard(structs.replace(beat("b", hears_b, older.voters), seq=2), 3)
    ears = hearing.ears("b", 3)
    assert {name for name, bit in rules.bits.items() if ears & bit} == {"a", "b", "d"}  # of d it says nothing
    hearing.heard(structs.replace(beat("b", 1, 12345), seq=3), 4)
    assert hearing.ears("b", 4) is None  # a set that was never known here
