"""Giving queue managers away: asked again and again while they are on their way, and never by what was true before."""

from collections.abc import Callable

import pytest

from standfast.model.cluster import Role
from standfast.model.override import Stance, Word
from standfast.model.records import Assignment, MemberRecord, MemberState, Phase
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum.distribution import Distribution
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate
from standfast.sim.draws import cluster_of

CLUSTER = cluster_of(3, PROFILES["fast"], queue_managers=5)


def member(name: str, incarnation: int = 1, state: MemberState = MemberState.ONLINE) -> tuple[str, MemberRecord]:
    record = MemberRecord(name=name, role=Role.DATA, incarnation=incarnation, identity=name, state=state)
    return f"members/{name}", record


class Scene:
    """Two members that could run everything, and nothing that runs."""

    def __init__(self) -> None:
        self.overrides = Overrides("w")
        records = [member("a"), member("b")]
        records += [(f"specs/{spec.name}", spec) for spec in CLUSTER.queue_managers]
        records += [(f"assignments/{spec.name}", Assignment(qm=spec.name)) for spec in CLUSTER.queue_managers]
        self.view = View().merged(1, [(key, record, 1) for key, record in records])
        self.unfit: tuple[str, ...] = ()
        self.who = ("a", "b")
        self.load = 0

    def now(self, key: str, record: MemberRecord | Assignment) -> None:
        revision = self.view.revision + 1
        self.view = self.view.merged(revision, [(key, record, revision)])

    def candidates(self) -> dict[str, Candidate]:
        found = {name: Candidate(name, self.unfit if name == "a" else ()) for name in self.who}
        found[self.who[-1]].load = self.load
        return found


def unfit(scene: Scene) -> None:
    scene.unfit = ("q1", "q2")


def alone(scene: Scene) -> None:
    scene.who = ("b",)


def loaded(scene: Scene) -> None:
    scene.load = 3


def given(scene: Scene) -> None:
    scene.now("assignments/q0", Assignment(qm="q0", owner="a", incarnation=1, epoch=1, phase=Phase.ASSIGNED))


def joined_anew(scene: Scene) -> None:
    scene.now(*member("a", incarnation=2))


def overridden(scene: Scene) -> None:
    word = Word(member="a", number=1, stance=Stance.ON, floor=1, queue_managers=("q3",))
    scene.overrides.learn([word], lambda _: False)


@pytest.mark.parametrize("happens", [unfit, alone, loaded, given, joined_anew, overridden])
def test_whatever_changes_it_is_worked_out_anew(happens: Callable[[Scene], None]) -> None:
    """The same steps are given again only while all that they follow from is the same."""
    scene = Scene()
    asked = Distribution(scene.overrides)
    before = list(asked.steps(scene.view, scene.candidates()))
    assert list(asked.steps(scene.view, scene.candidates())) == before
    happens(scene)
    after = list(asked.steps(scene.view, scene.candidates()))
    assert after == list(Distribution(scene.overrides).steps(scene.view, scene.candidates()))
    assert after != before


def test_who_is_asked_after_it_sees_the_same_loads_each_time() -> None:
    scene = Scene()
    asked, loads = Distribution(scene.overrides), []
    for _ in range(2):
        among = scene.candidates()
        list(asked.steps(scene.view, among))
        loads.append({name: candidate.load for name, candidate in among.items()})
    assert loads[0] == loads[1]
    assert sum(loads[0].values()) == len(CLUSTER.queue_managers)
