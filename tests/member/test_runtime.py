"""The runtime between core and world: the order of things, and what becomes of errors that nobody foresaw."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from standfast.endpoints.health import Snapshot
from standfast.member.journal import Journal
from standfast.member.runtime import Runtime
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.records import Assignment
from standfast.model.view import Kept, View
from standfast.quorum import signals as sig
from standfast.quorum.runs import Run, RunState, StopReason

SPEC = QueueManagerSpec(name="q", kind="nats", port=1, storage=StorageSpec(path="/q"))
CLUSTER = Cluster(
    name="c",
    id="1",
    members=tuple(MemberSpec(name=n, role=Role.DATA, addresses=(f"127.0.0.{i}",)) for i, n in enumerate("abc", 1)),
    queue_managers=(SPEC,),
)


class StandInCore:
    """Serves one queue manager, and answers each input with what `script` says; an exception is raised."""

    me = "a"
    wake_at_ns = 1 << 62

    def __init__(self, script: list[list[sig.Effect] | Exception], incarnation: int = 1) -> None:
        assignment = Assignment(qm="q", epoch=1, owner="a", incarnation=1)
        self.view = View(assignments={"q": Kept(assignment, 1)}, specs={"q": Kept(SPEC, 1)})
        self.run = Run(SPEC, assignment, 0)
        self.run.enter(RunState.SERVING, 0)
        self.keeper = SimpleNamespace(runs={"q": self.run}, alive=bool(incarnation))
        self.lease = SimpleNamespace(held_ns=1 << 62)
        self.ordered = SimpleNamespace(binding=False)
        self.membership = SimpleNamespace(incarnation=incarnation, may_keep=lambda _: True)
        self.steps = 0
        self._script = iter(script)

    def step(self, now_ns: int, given: sig.Input) -> list[sig.Effect]:
        self.steps += 1
        effects = next(self._script, [])
        if isinstance(effects, Exception):
            raise effects
        if any(isinstance(effect, sig.Stop) for effect in effects):
            self.run.begin_stop(StopReason.LEASE, now_ns, 1)
        return effects


def runtime_of(core: StandInCore, happened: list[str]) -> Runtime:
    class Board:
        def publish(self, snapshot: Snapshot) -> None:
            happened.append(f"ready {snapshot.services['q'].ready}")

    class Attendant:
        def stop(self, qm: str, drain_s: float) -> None:
            happened.append("stop")

    made: Any = Runtime(CLUSTER, core, Journal("a"), Board())  # type: ignore[arg-type]
    made.attendant = Attendant()
    return made


@pytest.mark.parametrize("given", [sig.Woke(), sig.Received(None)])  # type: ignore[arg-type]
async def test_clients_are_turned_away_before_the_queue_manager_is_told_to_stop(given: sig.Input) -> None:
    happened: list[str] = []
    runtime_of(StandInCore([[sig.Stop("q")]]), happened).give(given)
    assert happened == ["ready False", "stop"]


@pytest.mark.parametrize("where", ["core", "deed"])
async def test_after_an_error_that_nobody_foresaw_the_member_ends_and_takes_no_more_inputs(where: str) -> None:
    """An effect that was not carried out would leave the core waiting for what never comes."""
    core = StandInCore([ZeroDivisionError()] if where == "core" else [[sig.Kill("q")]])
    runtime = runtime_of(core, [])  # this attendant can not kill
    runtime.give(sig.Woke())
    with pytest.raises((ZeroDivisionError, AttributeError)):
        await asyncio.wait_for(runtime.left, 1)
    runtime.give(sig.Woke())
    assert core.steps == 1


async def test_a_member_that_never_joined_ends_at_once() -> None:
    runtime = runtime_of(StandInCore([], incarnation=0), [])
    await runtime.leave()
    assert runtime.left.result() is sig.LeaveReason.ORDERED


async def test_what_clients_are_told_follows_the_view_and_overrides_though_nothing_but_time_passes() -> None:
    """At every step of the clock it is only looked at anew when one of these is another."""
    happened: list[str] = []
    core = StandInCore([])
    runtime = runtime_of(core, happened)
    runtime.give(sig.Woke())
    core.view = View(
        assignments={"q": Kept(Assignment(qm="q", epoch=2, owner="b", incarnation=1), 2)}, specs=core.view.specs
    )
    runtime.give(sig.Woke())
    core.ordered.binding = True
    runtime.give(sig.Woke())
    runtime.give(sig.Woke())
    assert happened == ["ready True", "ready False", "ready True", "ready True"]
