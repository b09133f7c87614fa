"""A clean stop: how long it waits, and for what."""

from standfast.model.cluster import Role
from standfast.model.events import EventKind
from standfast.model.records import MemberRecord, MemberState
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum.membership import Membership
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Effect, Leave, Transact
from standfast.sim.draws import cluster_of

GRACE_NS = 100
CLUSTER = cluster_of(3, PROFILES["fast"])


def view_of(state: MemberState = MemberState.ONLINE) -> View:
    record = MemberRecord(name="a", role=Role.DATA, incarnation=1, identity="machine", state=state)
    return View().merged(1, [("members/a", record, 1)])


def leaving_since(now_ns: int) -> Membership:
    membership = Membership(CLUSTER.member("a"), "machine", Rules(CLUSTER))
    record = view_of().members["a"].record
    membership.joined(record)
    membership.leave(now_ns, GRACE_NS)
    return membership


def step(membership: Membership, now_ns: int, *, alive: bool = False, owns: bool = False) -> list[Effect]:
    steps = membership.steps(view_of(), now_ns, alive=alive, owns=owns, in_touch=True, outwaited=True, held_ns=0)
    return list(steps)


def test_what_could_not_be_handed_over_in_time_is_to_be_stopped():
    """Found on a real cluster: without a store the owner waited for ever for a hand-over that could not be written."""
    membership = leaving_since(1000)
    assert not membership.late(1000 + GRACE_NS - 1)
    assert membership.late(1000 + GRACE_NS)


def test_a_queue_manager_that_stops_slowly_is_still_handed_over():
    """Found by reading: the end came with the slow stop's own end, before the release could be written."""
    membership = leaving_since(0)
    stopped_ns = 50 * GRACE_NS
    assert step(membership, stopped_ns, alive=True, owns=True) == []
    assert step(membership, stopped_ns + 1, owns=True) == []
    [leave] = step(membership, stopped_ns + 2)
    assert isinstance(leave, Transact)
    assert [event.kind for event in leave.transaction.events] == [EventKind.MEMBER_LEFT]


def test_without_a_store_the_end_waits_no_longer_than_the_grace_after_all_has_stopped():
    membership = leaving_since(0)
    assert step(membership, 1000, alive=True, owns=True) == []
    assert step(membership, 1000 + GRACE_NS - 1, owns=True) == []
    [end] = step(membership, 1000 + GRACE_NS, owns=True)
    assert isinstance(end, Leave)


def test_leaving_twice_prolongs_nothing():
    membership = leaving_since(0)
    membership.leave(GRACE_NS - 1, GRACE_NS)
    assert membership.late(GRACE_NS)
