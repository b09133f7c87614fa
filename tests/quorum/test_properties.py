"""Properties against naive twins: the lease, the grants, the view, the timing."""

from hypothesis import given
from hypothesis import strategies as st

from standfast.model.cluster import Role
from standfast.model.messages import Refusal
from standfast.model.records import MemberRecord, MemberState
from standfast.model.timing import PROFILES, Timing, TimingError, lapse_ns
from standfast.model.view import Kept, View
from standfast.quorum.grants import Grants
from standfast.quorum.lease import Lease
from standfast.quorum.overrides import Overrides
from standfast.quorum.rules import Rules
from standfast.sim.draws import cluster_of

TERM = 1_000
FAR = 1 << 60


# ------------------------------------------------------------ lease


@given(
    st.sampled_from([3, 5, 7]),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10_000), st.integers(1, 5_000)), max_size=40),
)
def test_the_lease_is_what_a_majority_acknowledged(members: int, acks: list[tuple[int, int, int]]):
    """The twin keeps everything and looks for the latest end that enough voters cover, the member itself included."""
    rules = Rules(cluster_of(members, PROFILES["fast"]))
    lease, heard = Lease(rules), {}
    for voter, sent_ns, term_ns in acks:
        name, before = rules.names[voter % (members - 1)], lease.end_ns
        grew = lease.acknowledged(name, sent_ns, term_ns)
        heard.setdefault(name, []).append(sent_ns + term_ns)
        ends = [max(all_of_one) for all_of_one in heard.values()]
        covered = [end for end in ends if 1 + sum(other >= end for other in ends) >= members // 2 + 1]
        assert lease.end_ns == max(covered, default=0)
        assert grew is (lease.end_ns > before)


# ------------------------------------------------------------ grants


def kept(state: MemberState, revision: int, incarnation: int = 1) -> Kept[MemberRecord]:
    record = MemberRecord(name="x", role=Role.DATA, incarnation=incarnation, identity="x", state=state)
    return Kept(record, revision)


def voter(now_ns: int = 0) -> Grants:
    grants = Grants(now_ns, TERM, Overrides("v"))
    grants.speaks_until_ns = FAR
    grants.bind({}, now_ns, TERM)
    return grants


moments = st.lists(st.tuples(st.integers(0, 700), st.sampled_from(["ack", "vote", "doubt", "back"])), max_size=60)


@given(moments)
def test_between_a_vote_and_the_next_record_nothing_is_granted_and_no_grant_lasts_beyond_a_vote(steps):
    grants, now, revision, state = voter(), lapse_ns(TERM), 1, MemberState.ONLINE
    last_grant, voted = 0, -1
    for wait, act in steps:
        now += wait
        if act == "ack":
            refusal = grants.answer("x", 1, kept(state, revision), now, TERM)
            assert (refusal is Refusal.VOTED) is (voted == revision)
            if refusal is Refusal.NONE:
                last_grant = now
        elif act == "vote" and state is MemberState.IN_DOUBT:
            if grants.vote("x", revision, now):
                voted = revision
                assert now >= last_grant + lapse_ns(TERM) or not last_grant
        elif act in {"doubt", "back"}:
            revision += 1
            state = MemberState.IN_DOUBT if act == "doubt" else MemberState.ONLINE


def test_after_a_start_nothing_is_granted_or_voted_for_a_term_and_without_a_read():
    grants = Grants(0, TERM, Overrides("v"))
    grants.speaks_until_ns = FAR
    assert grants.answer("x", 1, kept(MemberState.ONLINE, 1), lapse_ns(TERM), TERM) is Refusal.RESTARTING
    grants.bind({"x": kept(MemberState.IN_DOUBT, 7)}, 0, TERM)
    assert grants.answer("x", 1, kept(MemberState.IN_DOUBT, 7), lapse_ns(TERM) - 1, TERM) is Refusal.RESTARTING
    assert not grants.vote("x", 7, lapse_ns(TERM) - 1)
    assert grants.answer("x", 1, kept(MemberState.IN_DOUBT, 7), lapse_ns(TERM), TERM) is Refusal.VOTED
    assert grants.answer("x", 1, kept(MemberState.ONLINE, 8), lapse_ns(TERM), TERM) is Refusal.NONE


def test_who_is_not_confirmed_as_the_voter_of_its_name_says_nothing():
    grants = voter()
    grants.speaks_until_ns = 2 * TERM
    assert grants.answer("x", 1, kept(MemberState.ONLINE, 1), 2 * TERM - 1, TERM) is Refusal.NONE
    assert grants.answer("x", 1, kept(MemberState.ONLINE, 1), 2 * TERM, TERM) is Refusal.RESTARTING
    assert not grants.vote("y", 5, 2 * TERM)


def test_who_takes_anothers_place_waits_two_terms_and_is_bound_by_a_read_after_the_first():
    grants, now = voter(), 5 * TERM
    grants.take_over(now)
    grants.bind({"x": kept(MemberState.IN_DOUBT, 3)}, now + lapse_ns(TERM) - 1, TERM)
    assert not grants.settled(FAR)
    grants.bind({"x": kept(MemberState.IN_DOUBT, 9)}, now + lapse_ns(TERM), TERM)
    assert not grants.ready(now + 2 * lapse_ns(TERM) - 1)
    assert grants.ready(now + 2 * lapse_ns(TERM))
    assert grants.outwaited(now + 2 * lapse_ns(TERM))
    assert not voter().outwaited(FAR)
    assert grants.answer("x", 1, kept(MemberState.IN_DOUBT, 9), now + 2 * lapse_ns(TERM), TERM) is Refusal.VOTED


def test_a_ballot_is_refused_only_by_who_voted_for_it():
    grants, now = voter(), lapse_ns(TERM)
    for state, refusal in {
        MemberState.ONLINE: Refusal.NONE,
        MemberState.IN_DOUBT: Refusal.NONE,
        MemberState.EVICTING: Refusal.TOLD_TO_GO,
        MemberState.EVICTED: Refusal.TOLD_TO_GO,
        MemberState.LEFT: Refusal.TOLD_TO_GO,
    }.items():
        assert grants.answer("x", 1, kept(state, 2), now, TERM) is refusal
        assert grants.answer("x", 2, kept(state, 2), now, TERM) is Refusal.UNKNOWN


# ------------------------------------------------------------ view

changes = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 30)).map(
        lambda pair: (
            f"members/{pair[0]}",
            MemberRecord(name=pair[0], role=Role.DATA, incarnation=pair[1], identity=pair[0], state=MemberState.ONLINE),
            pair[1],
        )
    ),
    max_size=12,
)


@given(changes, changes)
def test_merging_into_a_view_knows_no_order_and_twice_is_once(one, other):
    both = View().merged(5, one).merged(9, other)
    assert both == View().merged(9, other).merged(5, one)
    assert both == both.merged(9, one) == both.merged(3, other)
    assert both.revision == 9
    newest = {}
    for key, _, revision in [*one, *other]:
        newest[key] = max(newest.get(key, 0), revision)
    assert {f"members/{name}": k.revision for name, k in both.members.items()} == newest


# ------------------------------------------------------------ timing


@given(
    interval_ms=st.integers(0, 70_000),
    in_doubt_after=st.integers(0, 120),
    evict_after=st.integers(0, 220),
    graceful_ms=st.integers(0, 700_000),
    kill_ms=st.integers(0, 700_000),
)
def test_a_set_of_timers_is_in_order_or_refused(**values: int):
    try:
        timing = Timing(**values)
    except TimingError:
        in_range = (
            10 <= values["interval_ms"] <= 60_000
            and 2 <= values["in_doubt_after"] <= 100
            and 4 <= values["evict_after"] <= 200
            and all(10 <= values[name] <= 600_000 for name in ("graceful_ms", "kill_ms"))
        )
        term = values["interval_ms"] * values["evict_after"]
        spare = term - values["graceful_ms"] - values["kill_ms"]
        early = values["evict_after"] >= values["in_doubt_after"] + 2
        assert not (in_range and early and spare >= 2 * values["interval_ms"])
        return
    assert timing.in_doubt_ns + 2 * timing.interval_ns <= timing.term_ns
    assert 0 < timing.kill_ns < timing.stop_ns <= timing.term_ns - 2 * timing.interval_ns
    assert lapse_ns(timing.term_ns) * 100 >= timing.term_ns * 101
    assert [at for at, _ in timing.timeline()][2:] == sorted(at for at, _ in timing.timeline()[2:])
