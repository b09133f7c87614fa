"""One machine and the daemon on it: carries out the effects of the real member core, and gives it what happens.

A daemon may be paused between any two effects; what happens meanwhile waits. It may die at any moment with all it
knows; the machine may die with it, and come back with its state directory or with an empty disk.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from standfast.model.messages import Ack, Heartbeat, Hop, Refusal
from standfast.model.timing import NS_PER_MS
from standfast.quorum import signals as sig
from standfast.quorum.core import Core, Identity
from standfast.sim.clock import Clock
from standfast.sim.life import INBOX, Daemon
from standfast.sim.memory import Memory
from standfast.sim.speech import News
from standfast.sim.surroundings import Surroundings
from standfast.sim.warden import Manners, Warden


class Machine:
    """A machine by its `id`; `name` is the member's, the same as that of another machine for a namesake."""

    def __init__(self, around: Surroundings, machine_id: str, name: str, skew: float, manners: Manners) -> None:
        self.id = machine_id
        self.name = name
        self.skew = skew
        self.disk = 0  # how often it got an empty disk: part of its identity
        self.powered = False
        self.daemon: Daemon | None = None
        self.manners = manners
        self.hop = Hop.FOUND if any(m.name == name and m.hops for m in around.cluster.members) else Hop.NONE
        self.hop_incident = 0  # in which it lost its hop; 0: it has not
        self.clock: Clock
        self.warden: Warden
        self.past: list[Warden] = []  # of earlier lives of the machine: what leases they knew counts on
        self._around = around
        self._world = around.world
        self.memory = Memory(self, around)
        self.file = around.cluster
        """What its cluster file says; it stays so, whatever the settings become."""
        self._power_on_count = 0
        self._do: dict[type, Callable[[Any], None]] = {
            sig.Broadcast: self._broadcast,
            sig.Send: self._send,
            sig.LeaseMoved: self._lease_moved,
            sig.Adopted: self._adopted,
            sig.Retimed: lambda _: self._world.coverage.update(["settings: lived by"]),
            sig.Read: self._read,
            sig.Transact: self._transact,
            sig.Launch: self._launch,
            sig.Fence: self._fence,
            sig.Attend: lambda e: self.warden.attend(e.qm),
            sig.Stop: lambda e: self.warden.stop(e.qm),
            sig.Kill: lambda e: self.warden.kill(e.qm),
            sig.Remember: lambda e: self.memory.keep(e.remembered),
            sig.Tell: self._tell,
            sig.Answer: self._answer,
            sig.Leave: self._leave,
        }

    @property
    def identity(self) -> str:
        """Of its state directory."""
        return f"{self.id}/{self.disk}"

    def state(self) -> str:
        """What it knows and runs now, in a line."""
        if self.daemon is None:
            return f"{self.id}: no daemon, machine {'on' if self.powered else 'off'}"
        core, now_ns = self.daemon.core, self.clock.local(self._world.now_ns)
        runs = ", ".join(f"{qm} {run.state} under {run.epoch}" for qm, run in core.keeper.runs.items())
        words = [
            f"incarnation {core.membership.incarnation}",
            f"lease {(core.lease.end_ns - now_ns) // NS_PER_MS} ms",
            f"revision {core.view.revision}",
            *(["paused"] if self.daemon.paused else []),
            *(["able"] if core.able else []),
            f"runs {runs or 'nothing'}",
        ]
        return f"{self.id}: " + ", ".join(words)

    # ------------------------------------------------------------ power and life

    def power_on(self) -> None:
        """Start the machine; its daemon and its store process follow by `start`."""
        world, timing = self._world, self._around.cluster.timing
        self.powered = True
        self._power_on_count += 1
        self.clock = Clock(world.now_ns, world.between(1, 10**12), self.skew)
        power = self._power_on_count
        self.warden = Warden(
            world,
            self.id,
            self.clock,
            budgets_ns=(timing.stop_ns, timing.kill_ns),
            manners=self.manners,
            watcher=self._around.watcher,
            report=lambda given: self._reported(power, given),
            storages=self._around.storages,
        )
        self._around.storages.let_go(self.name)
        world.say(self.id, f"machine on, identity {self.identity}")

    def power_off(self, lose_disk: bool = False) -> None:
        """The machine dies at once, with everything on it; it may come back with an empty disk."""
        was, self.disk = self.identity, self.disk + lose_disk
        if lose_disk:
            self.memory.lose()
        if self.powered:
            self._world.say(self.id, "machine dies")
            self.kill_daemon()
            self.powered = False
            ran = {qm: self.id if process.overridden else "" for qm, process in self.warden.processes.items()}
            self._around.storages.died(self.name, was, ran)
            self.warden.vanish()
            self.past.append(self.warden)
            self._around.store.up.discard(self.id)

    def start(self, clear: bool = False) -> None:
        """Start a daemon: it takes over what a former one runs, or (`clear`) ends that first."""
        if self.powered and self.daemon is None:
            clear = clear or self.memory.held.own is not None or self._world.chance(self._around.clears)
            survivors = () if clear else self.warden.attach()
            if not survivors:
                ready_ns = self.warden.clear()
                if ready_ns > self._world.now_ns or self.warden.processes:
                    self._world.at(ready_ns, self.start, True)
                    return
            world = self._world
            identity = Identity(name=self.name, machine=self.identity, process=world.rng.getrandbits(63))
            core = Core(identity, self.file, self.clock.local(world.now_ns), remembered=self.memory.held)
            daemon = self.daemon = Daemon(self, core)
            daemon.disk = self._around.disk.end_for(self.id, self.name, identity.process, daemon)
            world.say(self.id, "daemon starts")
            if survivors:
                self._inherit(survivors)
            self.take(sig.FitnessChanged(hop=self.hop))

    def _inherit(self, survivors: tuple[sig.Survivor, ...]) -> None:
        names = ", ".join(f"{s.qm} under epoch {s.epoch}" for s in survivors)
        self._world.coverage["daemon: found what runs"] += 1
        self._world.say(self.id, f"finds {names}")
        self.take(sig.Inherited(survivors, self.warden.lease_end_ns))

    def start_store(self) -> None:
        """Its store process runs again."""
        if self.powered and self.id in self._around.network.nodes:
            self._around.store.begin(self.id)

    def kill_daemon(self) -> None:
        """The daemon dies with all it knows; the warden lives on."""
        if self.daemon is not None:
            self._world.say(self.id, "daemon dies")
            self.daemon = None

    def pause(self) -> None:
        """Stop the daemon (SIGSTOP)."""
        if self.daemon is not None and not self.daemon.paused:
            self._world.say(self.id, "daemon paused")
            self.daemon.paused = True

    def resume(self) -> None:
        """Let a paused daemon go on where it was."""
        daemon = self.daemon
        if daemon is None or not daemon.paused:
            return
        self._world.say(self.id, "daemon resumed")
        daemon.paused = False
        held, daemon.held = daemon.held, deque()
        self._carry_out(held)
        while self.daemon is daemon and not daemon.paused and daemon.inbox:
            self.take(daemon.inbox.popleft())
        if self.daemon is daemon and not daemon.paused:
            self.take(sig.Woke())

    def next_hop(self, hop: Hop, incident: int) -> None:
        """Its hop is lost by an incident, or returns after it; who lost it before stays by that one."""
        if self.hop is not Hop.NONE and self.hop_incident in {0, incident}:
            self.hop, self.hop_incident = hop, incident if hop is not Hop.FOUND else 0
            self.take(sig.FitnessChanged(hop=hop))

    # ------------------------------------------------------------ inputs

    def receive(self, given: sig.Received) -> None:
        """A datagram has arrived."""
        daemon = self.daemon
        if daemon is None or (daemon.paused and len(daemon.inbox) >= INBOX):
            return
        self.take(given)

    def _reported(self, power: int, given: sig.Input) -> None:
        if power == self._power_on_count:
            self.take(given)

    def take(self, given: sig.Input) -> None:
        """Step the core, or keep the input for the end of a pause."""
        daemon = self.daemon
        if daemon is None:
            return
        if daemon.paused:
            daemon.inbox.append(given)
            return
        core = daemon.core
        if type(given) is sig.Received and type(given.message) is Heartbeat:
            self._around.told.heard(self.id, given.message)
        elif type(given) is sig.SeenOnDisk:
            self._around.told.heard(self.id, given.heartbeat)
        effects = core.step(self.clock.local(self._world.now_ns), given)
        if effects:
            self._carry_out(deque(effects))
        wake_ns = core.wake_at_ns
        if not daemon.alarm_ns or wake_ns < daemon.alarm_ns:
            daemon.alarm_ns = wake_ns
            self._world.at(self.clock.world(wake_ns), self._alarm, daemon, wake_ns)

    def _alarm(self, daemon: Daemon, alarm_ns: int) -> None:
        if self.daemon is not daemon or daemon.alarm_ns != alarm_ns:
            return
        daemon.alarm_ns = 0
        wake_ns = daemon.core.wake_at_ns
        if wake_ns > alarm_ns:
            daemon.alarm_ns = wake_ns
            self._world.at(self.clock.world(wake_ns), self._alarm, daemon, wake_ns)
        else:
            self.take(sig.Woke())

    # ------------------------------------------------------------ effects

    def _carry_out(self, effects: deque[sig.Effect]) -> None:
        daemon, do = self.daemon, self._do
        while effects:
            if daemon is None or self.daemon is not daemon:
                return
            if daemon.paused:
                daemon.held.extend(effects)
                return
            effect = effects.popleft()
            do[type(effect)](effect)

    def _broadcast(self, effect: sig.Broadcast) -> None:
        daemon, heartbeat = self.daemon, effect.heartbeat
        assert daemon is not None
        self._note(daemon.speech.heartbeat(heartbeat, daemon.core))
        self._around.told.sent(self.id, heartbeat)
        given = sig.Received(heartbeat)
        send = self._around.network.send
        for name in daemon.core.rules.names:
            if name != self.name:
                send(self.id, name, given)
        if daemon.disk is not None:
            daemon.disk.send(heartbeat)

    def _send(self, effect: sig.Send) -> None:
        message = effect.message
        if isinstance(message, Ack):
            assert self.daemon is not None
            self._note(self.daemon.speech.acknowledgement(message, effect.to))
            if message.refusal is Refusal.NONE:
                self._around.interferer.acknowledged(self, effect.to)
        self._around.network.send(self.id, effect.to, sig.Received(message))

    def _note(self, news: Iterable[News]) -> None:
        """What is new in what goes out now; faults aim right behind it."""
        for said in news:
            for count in said.counts:
                self._world.coverage[count] += 1
            if said.words:
                self._world.say(self.id, said.words)
            if said.moment:
                self._world.at(self._world.now_ns, self._around.interferer.moment, said.moment, self, said.about)

    def _lease_moved(self, effect: sig.LeaseMoved) -> None:
        assert self.daemon is not None
        core = self.daemon.core
        # What an override prolongs is nobody's lease.
        incarnation = 0 if core.ordered.binding else core.membership.incarnation
        self.warden.hold(effect.end_ns, effect.stop_ns, effect.kill_ns, incarnation)
        if incarnation:
            left_ns = effect.end_ns - self.clock.local(self._world.now_ns)
            self._around.watcher.renewed(self.name, incarnation, left_ns)

    def _adopted(self, effect: sig.Adopted) -> None:
        self._world.coverage["settings: adopted"] += 1
        self._world.say(self.id, f"goes by settings {effect.revision}, a term of {effect.cluster.timing.term_ms} ms")
        self._around.interferer.moment("adopted", self, self.name)

    def _read(self, _: sig.Read) -> None:
        assert self.daemon is not None
        self._around.store.read(self.daemon)

    def _transact(self, effect: sig.Transact) -> None:
        daemon = self.daemon
        assert daemon is not None
        kind, _, about = effect.tag.partition(":")
        self._world.say(self.id, f"asks to {effect.tag}")
        self._around.interferer.moment(f"ask {kind}", self, about)
        if self.daemon is not daemon:
            return
        if daemon.paused:
            daemon.held.append(effect)
            return
        self._around.store.transact(daemon, effect)

    def _launch(self, effect: sig.Launch) -> None:
        daemon = self.daemon
        assert daemon is not None
        self._around.interferer.moment("launch", self, effect.qm)
        if self.daemon is not daemon:
            return
        if daemon.paused:
            daemon.held.append(effect)
            return
        self._world.say(self.id, f"orders the launch of {effect.qm} under epoch {effect.epoch}")
        core = daemon.core
        self.warden.launch(
            self.name,
            core.membership.incarnation,
            effect.qm,
            effect.epoch,
            overridden=core.ordered.binding,
            unseen=self._around.told.unseen(self.id),
        )

    def _fence(self, effect: sig.Fence) -> None:
        assert self.daemon is not None
        self._around.storages.attempt(effect.member, self.daemon.give)

    def _tell(self, effect: sig.Tell) -> None:
        self._world.coverage[f"event: {effect.event.kind}"] += 1
        self._world.say(self.id, f"tells {effect.event.kind} {effect.event.subject}")

    def _answer(self, effect: sig.Answer) -> None:
        self._world.coverage[f"order: {effect.verdict}"] += 1
        self._around.answered(effect)

    def _leave(self, effect: sig.Leave) -> None:
        self._world.coverage[f"leave: {effect.reason}"] += 1
        self._world.say(self.id, f"leaves ({effect.reason})")
        self.daemon = None
        self._around.interferer.moment(f"left {effect.reason}", self, self.name)


__all__ = ["Daemon", "Machine", "Surroundings"]
