"""Fencing: who may still write is switched off before what it ran is started elsewhere."""

from msgspec import structs

from standfast.model.cluster import FenceWhen, FencingSpec
from standfast.model.records import Assignment, MemberState, Phase
from standfast.quorum import signals as sig
from standfast.quorum.conclusion import adopt
from standfast.quorum.distribution import Distribution
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate
from standfast.sim.storages import Fencers
from tests.quorum.play import TERM_S, Play

MS = 1_000_000
SPEC = FencingSpec(command=("/fence",), members={"a": {}, "b": {}})


def play(name: str, when: FenceWhen = FenceWhen.UNPROVEN, disk: str = "none", **fencers: float) -> Play:
    """Machines that die go on holding their storages until they are switched off."""
    given = Fencers(**{"sticks": 1.0} | fencers, takes_ns=(300 * MS,) * 2, timeout_ns=1000 * MS)
    return Play(name, disk=disk, fencing=structs.replace(SPEC, when=when), fencers=given).settled()


def test_a_storage_that_is_still_held_is_freed_by_fencing_who_held_it():
    scene = play("fenced_for_its_storage").die("a").wait(4 * TERM_S)
    assert scene.owner() == "b"
    assert scene.store.view.members["a"].record.fenced == 1
    scene.ends()


def test_nobody_is_fenced_when_the_storage_is_free():
    scene = play("not_fenced", sticks=0.0).die("a").wait(3 * TERM_S)
    assert scene.owner() == "b"
    assert not scene.said("is to be switched off")


def test_a_member_that_stopped_by_itself_and_said_so_is_not_fenced():
    scene = play("its_word_is_enough", FenceWhen.ALWAYS, disk="all").cut("ab", "aw").wait(3 * TERM_S)
    assert scene.owner() == "b"
    assert scene.said("says stopped")
    assert not scene.said("is to be switched off")


def test_a_storage_that_can_not_tell_is_waited_for_with_fencing_always():
    scene = play("fenced_always", FenceWhen.ALWAYS, tells=False).die("a").wait(4 * TERM_S)
    assert scene.owner() == "b"
    assert scene.said("is to be switched off") < scene.said("q0 begins under epoch 2")


def test_an_override_that_has_not_started_it_does_not_forget_whom_to_fence():
    """Found by the simulator: what c was ordered to run was its own afterwards, and d was not suspected any more."""
    scene = play("adopted_by_an_override")
    kept, me = scene.store.view.assignments["q0"], scene.store.view.members["b"]
    assert kept.record.owner == "a"

    def suspected(*, serving: bool) -> tuple[str, ...]:
        (put,) = adopt(kept, me, 1_001, serving=serving, suspects=("a",)).puts
        assert isinstance(put.record, Assignment)
        return put.record.unproven

    assert suspected(serving=False) == ("a",)
    assert suspected(serving=True) == ()


def test_who_was_evicted_is_fenced_though_it_was_halted_in_between():
    scene = play("halted_and_fenced", FenceWhen.ALWAYS)
    scene.machine("b").take(sig.FitnessChanged(("q0",)))
    scene.wait(TERM_S).die("a").wait(3 * TERM_S)
    assert scene.store.view.members["a"].record.state is MemberState.EVICTED
    scene.configure(q0={"halted": True}).wait(TERM_S)
    assert scene.assignments["q0"].phase is Phase.HALTED
    scene.machine("b").take(sig.FitnessChanged(()))
    scene.configure(q0={"halted": False}).wait(2 * TERM_S)
    assert scene.owner() == "b"
    assert scene.said("is to be switched off") < scene.said("q0 begins under epoch 2")
    scene.ends()


def test_who_was_evicted_is_to_be_fenced_though_it_was_given_up_in_between():
    """Found by the campaign: it was starting when its owner went, all others had failed; then another one came."""
    scene = play("-", FenceWhen.ALWAYS)
    scene.die("a").wait(1.5 * TERM_S)
    view, lost = scene.store.view, scene.store.view.assignments["q0"]
    gone = structs.replace(view.members["a"].record, state=MemberState.EVICTED)
    tried = structs.replace(lost.record, owner="a", phase=Phase.STARTING, failed_on=("b",))
    records = [("members/a", gone, 900), ("assignments/q0", tried, 900)]
    (step,) = Distribution(Overrides("b")).steps(view.merged(900, records), {"b": Candidate("b", ())})
    (put,) = step.transaction.puts
    assert (put.record.phase, put.record.unproven) == (Phase.GIVEN_UP, ("a",))


def test_when_fencing_fails_it_waits_until_an_operator_has_looked():
    scene = play("fencing_fails", FenceWhen.ALWAYS, fails=1.0).die("a").wait(5 * TERM_S)
    assert scene.owner() is None
    assert scene.said("tells fencing_failed") or scene.said("fencing_failed q0")
    scene.around.storages.let_go("a")
    scene.order(sig.ConfirmFenced("a", "operator")).wait(2 * TERM_S)
    assert scene.owner() == "b"
    scene.ends()


def test_only_who_was_evicted_can_be_confirmed():
    scene = play("confirmed_by_mistake").order(sig.ConfirmFenced("a", "operator")).wait(0.1)
    assert scene.world.coverage["order: not_evicted"] == 1
    assert scene.state("a") is MemberState.ONLINE
