"""The member's dealings with the store: what it keeps, and what it asks for again."""

from standfast.model.records import ORDERS_KEY, Guard, Orders, Outcome, Put, Transaction
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum.desk import Desk
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Transact
from standfast.sim.draws import cluster_of

CLUSTER = cluster_of(3, PROFILES["fast"])

FREEZE = Transact("order:1", Transaction(guards=(Guard(ORDERS_KEY, 0),), puts=(Put(ORDERS_KEY, Orders(frozen=True)),)))


def frozen_at(revision: int) -> Desk:
    desk = Desk(Rules(CLUSTER), 0)
    list(desk.reads(0))
    assert desk.admit(FREEZE, 0)
    desk.ended("order:1", Outcome.COMMITTED, revision, 1)
    return desk


def test_a_read_answered_before_a_commit_does_not_take_the_commit_back():
    desk = frozen_at(7)
    desk.was_read(View(revision=6), 2)
    assert desk.view.orders.record.frozen
    assert desk.view.revision == 6


def test_a_read_answered_after_a_commit_is_taken_as_it_is():
    desk = frozen_at(7)
    thawed = View().merged(9, [(ORDERS_KEY, Orders(), 8)])
    desk.was_read(thawed, 2)
    assert desk.view == thawed


def test_what_was_not_committed_is_not_asked_for_again_before_a_read_or_an_interval():
    desk = Desk(Rules(CLUSTER), 0)
    list(desk.reads(0))
    assert desk.admit(FREEZE, 0)
    assert not desk.admit(FREEZE, 0)
    desk.ended("order:1", Outcome.UNKNOWN, 0, 1)
    interval_ns = CLUSTER.timing.interval_ns
    assert not desk.admit(FREEZE, interval_ns)
    assert desk.admit(FREEZE, interval_ns + 1)
