"""Queue managers added, changed, halted and removed in a running cluster; what is written, told and refused."""

import pytest
from msgspec import structs

from standfast.model.cluster import Cluster
from standfast.model.events import EventKind
from standfast.model.records import Phase, Transaction
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum import signals as sig
from standfast.quorum import transactions as tx
from standfast.quorum.configuration import MOST_CHANGES, configuration, differences, in_force
from standfast.quorum.overrides import Overrides
from standfast.sim.draws import cluster_of
from tests.quorum.play import TERM_S, Play

CLUSTER = cluster_of(3, PROFILES["fast"], 2)


def view_of(cluster: Cluster = CLUSTER) -> View:
    founding = tx.found(cluster, View())
    return View().merged(5, [(put.key, put.record, 5) for put in founding.puts])


def after(view: View, transaction: Transaction) -> View:
    revision = view.revision + 1
    return view.merged(revision, [(put.key, put.record, revision) for put in transaction.puts])


def with_qm(view: View, name: str, **changes) -> Cluster:
    """What is in force, with one queue manager changed."""
    now = in_force(CLUSTER, view)
    specs = (structs.replace(qm, **changes) if qm.name == name else qm for qm in now.queue_managers)
    return structs.replace(now, queue_managers=tuple(specs))


def without(view: View, name: str) -> Cluster:
    now = in_force(CLUSTER, view)
    return structs.replace(now, queue_managers=tuple(qm for qm in now.queue_managers if qm.name != name))


def applied(view: View, wanted: Cluster) -> Transaction | sig.Verdict:
    return configuration(sig.Configure(wanted, view.settings.record.edition, "root"), CLUSTER, view, Overrides("w"))


def kinds(transaction: Transaction) -> list[EventKind]:
    return [event.kind for event in transaction.events]


def test_a_change_is_one_transaction_guarded_by_the_settings_and_tells_who_and_what():
    change = applied(view_of(), with_qm(view_of(), "q0", port=5000, options={"password": "secret"}))
    assert ("settings", 5) in {(guard.key, guard.revision) for guard in change.guards}
    assert kinds(change) == [EventKind.SETTINGS_CHANGED, EventKind.QM_CHANGED]
    told = change.events[0].fields
    assert (told["edition"], told["by"]) == (1, "root")
    assert "q0.port 4000 -> 5000" in told["change"]
    assert "secret" not in str(change.events)


def test_one_that_was_removed_comes_back_with_its_epoch_and_whom_to_fence():
    view = view_of()
    view = view.merged(
        6, [("assignments/q0", structs.replace(view.assignments["q0"].record, epoch=7, unproven=("a",)), 6)]
    )
    view = after(view, applied(view, with_qm(view, "q0", halted=True)))
    assert view.assignments["q0"].record.phase is Phase.HALTED
    view = after(view, applied(view, without(view, "q0")))
    assert "q0" not in {**view.specs, **view.assignments}
    assert View().merged(view.revision, reversed([*view.records(), ("specs/q0", CLUSTER.queue_managers[0], 5)])) == view
    back = applied(view, structs.replace(CLUSTER, queue_managers=CLUSTER.queue_managers))
    assert EventKind.QM_ADDED in kinds(back)
    view = after(view, back)
    again = view.assignments["q0"].record
    assert (again.epoch, again.phase, again.unproven) == (7, Phase.UNPLACED, ("a",))
    assert view.removed == {}


@pytest.mark.parametrize("halted", [False, True])
def test_what_runs_or_may_run_is_not_removed(halted: bool):
    view = view_of()
    owned = structs.replace(view.assignments["q0"].record, owner="a", phase=Phase.RUNNING)
    spec = structs.replace(view.specs["q0"].record, halted=halted)
    view = view.merged(6, [("assignments/q0", owned, 6), ("specs/q0", spec, 6)])
    assert applied(view, without(view, "q0")) is sig.Verdict.NOT_HALTED


def test_what_is_not_changed_this_way_and_what_is_too_much_is_refused():
    view = view_of()
    now = in_force(CLUSTER, view)
    assert applied(view, structs.replace(now, members=now.members[:2])) is sig.Verdict.MEMBERS_DIFFER
    assert applied(view, now) is sig.Verdict.ALREADY_SO
    assert configuration(sig.Configure(now, 0, "x"), CLUSTER, View(), Overrides("w")) is sig.Verdict.NOT_FOUNDED
    one = now.queue_managers[0]
    many = tuple(structs.replace(one, name=f"n{i}") for i in range(MOST_CHANGES + 1))
    assert applied(view, structs.replace(now, queue_managers=now.queue_managers + many)) is sig.Verdict.TOO_MANY_CHANGES
    fits = applied(view, structs.replace(now, queue_managers=now.queue_managers + many[1:]))
    assert len(fits.guards) + len(fits.puts) + 2 * len(fits.events) <= 2 * 128


def test_differences_are_told_by_key():
    wanted = structs.replace(with_qm(view_of(), "q1", halted=True), timing=PROFILES["normal"])
    told = [*differences(in_force(CLUSTER, view_of()), wanted)]
    assert "timing.interval_ms 100 -> 250" in told
    assert "q1.halted False -> True" in told


def test_halted_and_resumed_and_its_owner_lost_meanwhile():
    """The owner stops it and gives it up; whoever dies, nobody takes it; then it is placed again."""
    play = Play("halted_and_resumed").settled()
    play.configure(q0={"halted": True}).wait(0.3)
    assert (play.owner(), play.assignments["q0"].phase) == (None, Phase.HALTED)
    play.order(sig.Move("q0", "b")).die("a").wait(2 * TERM_S)
    assert [*play.answers.values()][-1] is sig.Verdict.HALTED
    assert play.owner() is None
    play.configure(q0={"halted": False}).wait(0.5)
    assert play.owner() == "b"
    play.ends()
