"""Joining: whose incarnation a join gives, and what fits into its transaction."""

from standfast.model.cluster import Role
from standfast.model.records import Assignment, MemberRecord, MemberState, Outcome, Phase
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum import signals as sig
from standfast.quorum import transactions as tx
from standfast.quorum.core import Core, Identity
from standfast.quorum.distribution import all_failed
from standfast.quorum.placement import Candidate
from standfast.quorum.rules import Rules
from standfast.sim.draws import cluster_of

CLUSTER = cluster_of(3, PROFILES["fast"])
RULES = Rules(CLUSTER)


def member(name: str, incarnation: int, identity: str, state: MemberState = MemberState.ONLINE) -> MemberRecord:
    return MemberRecord(name=name, role=Role.DATA, incarnation=incarnation, identity=identity, state=state)


def test_an_answer_to_a_join_that_is_overtaken_gives_no_other_machines_incarnation():
    """The join was committed as 2, then evicted, then a namesake joined as 3; this process read that before it heard
    of its own commit. It is 2, and that is past: it must never count as 3.
    """
    core = Core(Identity(name="b", machine="mine", process=1), CLUSTER, 0)
    core.desk.admit(sig.Transact("join", tx.join("b", Role.DATA, "mine", View(), RULES, outwaited=True)), 0)
    core.step(1, sig.Woke())
    core.step(2, sig.ViewRead(View().merged(9, [("members/b", member("b", 3, "another"), 9)])))
    effects = core.step(3, sig.Transacted("join", Outcome.COMMITTED, 2))
    assert core.membership.incarnation == 1
    assert sig.Leave(sig.LeaveReason.NAMESAKE) in effects


def test_a_join_releases_what_fits_into_one_transaction_and_the_rest_is_orphaned():
    owned = [
        (f"assignments/q{i}", Assignment(qm=f"q{i}", epoch=1, phase=Phase.RUNNING, owner="b", incarnation=1), 3)
        for i in range(200)
    ]
    view = View().merged(3, [("members/b", member("b", 1, "mine"), 2), *owned])
    join = tx.join("b", Role.DATA, "mine", view, RULES, outwaited=True)
    assert len(join.puts) + len(join.events) <= 128
    after = view.merged(4, [(put.key, put.record, 4) for put in join.puts])
    assert all(after.orphaned(kept.record) for kept in after.assignments.values())


def test_a_machine_in_the_place_of_another_says_so_until_it_has_waited_it_out():
    view = View().merged(3, [("members/b", member("b", 1, "other", MemberState.EVICTED), 2)])
    first = tx.join("b", Role.DATA, "mine", view, RULES, outwaited=True).puts[0]
    assert first.record.replaced
    restarted = view.merged(4, [(first.key, first.record, 4)])
    assert tx.join("b", Role.DATA, "mine", restarted, RULES, outwaited=False).puts[0].record.replaced
    assert not tx.join("b", Role.DATA, "mine", restarted, RULES, outwaited=True).puts[0].record.replaced


def test_nothing_is_given_up_while_nobody_is_there_to_be_asked():
    assert not all_failed(("a",), {})
    assert not all_failed(("a",), {"a": Candidate("a", ()), "b": Candidate("b", ())})
    assert all_failed(("a", "b"), {"a": Candidate("a", ()), "b": Candidate("b", ())})
