"""Turns the core's effects into deeds and what happens into the core's inputs. Decides nothing.

Guarantees: inputs are taken one after the other, each with the time at which it is taken; effects are carried out in
the order given, before the next input. The warden hears of a longer lease before anything is launched under it. The
health page knows that a queue manager is to stop before it is told to. After an error that nobody foresaw no input is
taken any more: what the core and the world know of each other could differ from then on, so the member ends.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from standfast.endpoints.health import Service, Snapshot
from standfast.member.attendant import Attendant
from standfast.member.fencer import Fencer
from standfast.member.journal import Journal
from standfast.member.memory import Memory
from standfast.member.scribe import Scribe
from standfast.member.shared_disk import SharedDisk
from standfast.model.cluster import Cluster
from standfast.model.messages import Message
from standfast.model.timing import Timing
from standfast.model.view import View
from standfast.ports import Link, boottime_ns
from standfast.quorum import signals as sig
from standfast.quorum.core import Core
from standfast.quorum.runs import RunState

NS_PER_S = 1e9
_CHANGES = frozenset({sig.Launch, sig.Attend, sig.Stop, sig.Kill})
"""Effects that change what clients may be told of a queue manager."""
_LEADING = _CHANGES | {sig.Transact}
"""Effects before which endpoints must know where they lead: a release lets another member take them."""

_FREQUENT = frozenset({sig.Received, sig.SeenOnDisk})
"""Inputs after which nothing is shown anew unless one of those effects follows."""
_QUIET = _FREQUENT | {sig.Woke}
"""Inputs that tell nothing of queue managers: what is shown of them stays, unless the view is another one."""


class LeaseKeeper(Protocol):
    """Who enforces the lease's end when this process can not: the warden."""

    def lease(self, end_ns: int, stop_ns: int, kill_ns: int) -> None:
        """The lease ends at `end_ns`; stop and kill that long before it."""
        ...


class Board(Protocol):
    """Who shows clients where to go: the health page."""

    def publish(self, snapshot: Snapshot) -> None:
        """Answer from this from now on."""
        ...


class Runtime:
    """Of one member; `start` once the parts are open."""

    def __init__(self, cluster: Cluster, core: Core, journal: Journal, board: Board) -> None:
        self.core = core
        self.link: Link
        self.disk: SharedDisk | None = None
        """The shared disk, where this member sees one."""
        self.scribe: Scribe
        self.attendant: Attendant
        self.warden: LeaseKeeper
        self.memory: Memory
        self.left: asyncio.Future[sig.LeaveReason] = asyncio.get_running_loop().create_future()
        """Done when the core has ended: why; or the error after which it must not go on."""
        self.on_adopted: Callable[[Cluster], None] = lambda _: None
        """Called when other settings are in force: who the members are, and how often they speak."""
        self.on_message: Callable[[Message], None] = lambda _: None
        """Called with each message from another member; must be quick."""
        self.on_retimed: Callable[[Timing], None] = lambda _: None
        """Called when the lease is lived by other timers; the warden has been told."""
        self.on_step: Callable[[], None] = lambda: None
        """Called after a step that may change where endpoints lead, before its effects are carried out."""
        self.on_lease: Callable[[int, int], None] = lambda _end_ns, _stop_ns: None
        """Called when the lease has moved, after the warden was told: its end, and how long before it all stops."""
        self._fencer = Fencer(cluster.fencing, self.give)
        self._home = cluster.member(core.me)
        self._others = [m.name for m in cluster.members if m.name != core.me]
        self.journal = journal
        self._board = board
        self._inputs: deque[sig.Input] = deque()
        self._held: deque[sig.Input] | None = None
        self._busy = False
        self._closed = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ns = 0
        self._services: dict[str, Service] = {}
        self._shown: tuple[View | None, bool] = (None, False)
        """Of which view, and whether under an override, that is what is shown."""
        self._tickets = 0
        self._answers: dict[int, asyncio.Future[sig.Verdict]] = {}
        self._deeds: dict[type, Callable[..., None]] = {
            sig.Send: lambda e: self.link.send(e.to, e.message),
            sig.Broadcast: self._broadcast,
            sig.Read: lambda _: self.scribe.read(),
            sig.Transact: lambda e: self.scribe.transact(e.tag, e.transaction),
            sig.LeaseMoved: self._lease_moved,
            sig.Adopted: self._adopted,
            sig.Retimed: lambda e: self.on_retimed(e.timing),
            sig.Launch: self._launch,
            sig.Attend: self._attend,
            sig.Fence: lambda e: self._fencer.fence(e.member),
            sig.Stop: self._stop,
            sig.Kill: lambda e: self.attendant.kill(e.qm),
            sig.Remember: lambda e: self.memory.keep(e.remembered),
            sig.Tell: lambda e: self.journal.told(e.event),
            sig.Answer: self._answer,
            sig.Leave: self._leave,
        }

    def give(self, given: sig.Input) -> None:
        """Take an input; one that comes while effects are carried out waits its turn, one after the end is dropped."""
        if self._held is not None and type(given) is not sig.Woke:
            self._held.append(given)
            return
        if self._held is not None:
            self._inputs, self._held = self._held, None
        self._inputs.append(given)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inputs and not self._closed:
                self._take(self._inputs.popleft())
        except Exception as error:  # noqa: BLE001 - whatever it is, `left` carries it to where it ends the daemon
            self.fail(error)
        finally:
            self._busy = False

    def first(self, given: sig.Input | None) -> None:
        """What the core is to hear first of all, if anything; what comes after it waits for the first `Woke`, too."""
        if given is not None:
            self._held = deque([given])

    def fail(self, error: BaseException) -> None:
        """A part is broken in a way that nobody foresaw, or for good: the member must end, the warden with it."""
        self.close()
        if not self.left.done():
            self.left.set_exception(error)

    def receive(self, message: Message) -> None:
        """A message from another member."""
        self.on_message(message)
        self.give(sig.Received(message))

    async def order(self, order: sig.Order) -> sig.Verdict:
        """Give an operator's order and wait for how it ends."""
        self._tickets += 1
        answer: asyncio.Future[sig.Verdict] = asyncio.get_running_loop().create_future()
        self._answers[self._tickets] = answer
        self.give(sig.Ordered(self._tickets, order))
        return await answer

    async def leave(self) -> None:
        """Hand over and end. A member that never joined has nothing to hand over, and perhaps no store to ask."""
        if self.core.membership.incarnation or self.core.ordered.binding or self.core.keeper.alive:
            await self.order(sig.LeaveCluster())
        else:
            self._leave(sig.Leave(sig.LeaveReason.ORDERED))

    def _take(self, given: sig.Input) -> None:
        before = self.core.lease.held_ns
        effects = self.core.step(boottime_ns(), given)
        changed = any(type(effect) in _CHANGES for effect in effects)
        if type(given) not in _FREQUENT or changed:
            self._look(anew=changed or type(given) not in _QUIET)
            self._publish()
        elif self.core.lease.held_ns != before:
            self._publish()
        if type(given) not in _FREQUENT or any(type(effect) in _LEADING for effect in effects):
            self.on_step()
        for effect in effects:
            self._deeds[type(effect)](effect)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._closed:
            return
        wake_ns = self.core.wake_at_ns
        if self._alarm is not None and self._alarm_ns == wake_ns:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_ns = wake_ns
        delay_s = max(0, wake_ns - boottime_ns()) / NS_PER_S
        self._alarm = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.give(sig.Woke())

    def _look(self, *, anew: bool) -> None:
        """What is to be shown of queue managers, of whom there may be thousands: looked at when it may be different."""
        shown, binding = self._shown, self.core.ordered.binding
        if anew or shown[0] is not self.core.view or shown[1] is not binding:
            self._shown = self.core.view, binding
            self._services = self._known_services()

    def _known_services(self) -> dict[str, Service]:
        core, address = self.core, self._home.clients
        services = {}
        for qm, kept in core.view.assignments.items():
            shown, epoch, port = self._services.get(qm), kept.record.epoch, core.view.specs[qm].record.port
            if shown is None or shown.ready or shown.draining or shown.epoch != epoch or shown.port != port:
                shown = Service(ready=False, epoch=epoch, address=address, port=port)
            services[qm] = shown
        for qm, run in core.keeper.runs.items():
            known = services.get(qm)
            if core.ordered.binding or (known is not None and known.epoch == run.epoch):
                ready = run.state is RunState.SERVING
                services[qm] = Service(
                    ready=ready, epoch=run.epoch, address=address, port=run.spec.port, draining=run.draining
                )
        return services

    def _publish(self) -> None:
        core = self.core
        self._board.publish(
            Snapshot(
                services=self._services,
                lease_end_ns=core.lease.held_ns,
                alive_ns=boottime_ns(),
                joined=core.membership.may_keep(core.view) or core.ordered.binding,
            )
        )

    def _lease_moved(self, effect: sig.LeaseMoved) -> None:
        self.warden.lease(effect.end_ns, effect.stop_ns, effect.kill_ns)
        self.on_lease(effect.end_ns, effect.stop_ns)

    def _adopted(self, effect: sig.Adopted) -> None:
        self._others = [m.name for m in effect.cluster.members if m.name != self.core.me]
        self.on_adopted(effect.cluster)

    def _broadcast(self, effect: sig.Broadcast) -> None:
        for name in self._others:
            self.link.send(name, effect.heartbeat)
        if self.disk is not None:
            self.disk.send(effect.heartbeat)

    def _launch(self, effect: sig.Launch) -> None:
        core = self.core
        self.attendant.launch(
            core.keeper.runs[effect.qm].spec, effect.epoch, core.ordered.claimant, fences=effect.fences
        )

    def _stop(self, effect: sig.Stop) -> None:
        run = self.core.keeper.runs.get(effect.qm)
        self.attendant.stop(effect.qm, run.spec.drain_s if run is not None and run.draining else 0.0)

    def _attend(self, effect: sig.Attend) -> None:
        spec = self.core.view.specs[effect.qm].record
        self.attendant.attend(spec, effect.epoch, serving=effect.serving)

    def _answer(self, effect: sig.Answer) -> None:
        answer = self._answers.pop(effect.ticket, None)
        if answer is not None and not answer.done():
            answer.set_result(effect.verdict)

    def _leave(self, effect: sig.Leave) -> None:
        if not self.left.done():
            self.left.set_result(effect.reason)

    def close(self) -> None:
        """Take no more inputs."""
        self._closed = True
        self._fencer.close()
        if self._alarm is not None:
            self._alarm.cancel()
