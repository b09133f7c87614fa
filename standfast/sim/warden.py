"""The warden of one machine and the queue managers it runs: lease enforced, whatever the daemon does.

Modelled on what the real one guarantees: it refuses a launch when less than the stop budget of the lease is left,
looking again at the moment the process begins; it asks everything to stop at the stop budget, kills at the kill
budget, and nothing of it lives at the lease's end. It lives on when the daemon dies.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from standfast.quorum.runs import HELD
from standfast.quorum.signals import Exited, Input, Launched, LaunchRefused, Ready, Survivor, Unhealthy
from standfast.sim.clock import Clock
from standfast.sim.storages import Storages
from standfast.sim.world import NS_PER_MS, World

REPORT_NS = 200_000
"""Longest time until the daemon hears of it."""


class Manners(Struct, kw_only=True):
    """How queue managers behave; times in nanoseconds, the others are probabilities per start.

    Attributes:
        launch_ns: longest time from the order to the moment the process begins: its storage is looked at in between.
        ready_ns: (shortest, longest) time from start to serving.
        stop_ns: likewise for a graceful stop.
        never_ready: it never serves.
        hangs: it does not stop until it is killed.
        refused: the storage refuses the launch.
        lives_ns: mean time until it crashes by itself; 0: it does not.
        fenced: one storage for all, which remembers the largest epoch that an override claimed it under.
    """

    launch_ns: int = 5 * NS_PER_MS
    ready_ns: tuple[int, int] = (20 * NS_PER_MS, 200 * NS_PER_MS)
    stop_ns: tuple[int, int] = (5 * NS_PER_MS, 100 * NS_PER_MS)
    never_ready: float = 0.0
    hangs: float = 0.0
    refused: float = 0.0
    lives_ns: int = 0
    fenced: bool = False


class Process:
    """One run of a queue manager on one machine."""

    __slots__ = (
        "epoch",
        "hangs",
        "hung",
        "incarnation",
        "killed",
        "machine",
        "member",
        "overridden",
        "qm",
        "serving",
        "stopping",
        "unseen",
    )

    def __init__(self, machine: str, member: str, incarnation: int, qm: str, epoch: int) -> None:
        self.overridden = False
        self.unseen: frozenset[str] = frozenset()
        self.machine = machine
        self.member = member
        self.incarnation = incarnation
        self.qm = qm
        self.epoch = epoch
        self.serving = self.stopping = self.killed = self.hangs = self.hung = False


class Watcher(Protocol):
    """Who checks the promises when a process begins and ends."""

    def began(self, process: Process, warden: "Warden") -> None:
        """A process exists from now on."""
        ...

    def ended(self, process: Process) -> None:
        """Nothing of it is left."""
        ...

    def renewed(self, member: str, incarnation: int, left_ns: int) -> None:
        """A member's lease lasts so much longer now."""
        ...

    def stamp(self, qm: str, *, by_override: bool) -> int:
        """The largest epoch under which its storage was claimed at all, or by an override; 0: none."""
        ...


class Warden:
    """Of one machine. `report` hands an input to whichever daemon lives there now."""

    def __init__(
        self,
        world: World,
        machine: str,
        clock: Clock,
        *,
        budgets_ns: tuple[int, int],
        manners: Manners,
        watcher: Watcher,
        report: Callable[[Input], None],
        storages: Storages,
    ) -> None:
        self.machine = machine
        self.clock = clock
        self.manners = manners
        self.lease_end_ns = 0
        """As last told, on the machine's clock."""
        self.lease_incarnation = 0
        """Whose lease that is."""
        self.processes: dict[str, Process] = {}
        self.connection = 0
        """Counts the daemons that were connected to it: what is on the way to an earlier one is lost."""
        self.loops: set[str] = set()
        """Queue managers that crash at every start here."""
        self.frozen_until_ns = 0
        """World time until which it is stopped itself."""
        self._launching: dict[str, Process] = {}
        self._world = world
        self._stop_ns, self.kill_ns = budgets_ns
        self._watcher = watcher
        self._report = report
        self._storages = storages
        self._armed = False

    # ------------------------------------------------------------ orders

    def hold(self, end_ns: int, stop_ns: int, kill_ns: int, incarnation: int) -> None:
        """The lease of that incarnation ends then; stop and kill that long before it."""
        # Another incarnation's lease may be a shorter one.
        earlier = end_ns - stop_ns < self.lease_end_ns - self._stop_ns
        self.lease_end_ns = end_ns
        self.lease_incarnation = incarnation
        self._stop_ns, self.kill_ns = stop_ns, kill_ns
        if earlier and self._armed:
            self._world.at(self._due(self._stop_ns), self._enforce)

    def launch(
        self, member: str, incarnation: int, qm: str, epoch: int, *, overridden: bool, unseen: frozenset[str]
    ) -> None:
        """Start a process, after a look at lease and storage; refuse it otherwise.

        `overridden`: an override orders it; `unseen`: see `Told.unseen`.
        """
        process = self._launching[qm] = Process(self.machine, member, incarnation, qm, epoch)
        process.overridden, process.unseen = overridden, unseen
        self._world.after(self._world.between(0, self.manners.launch_ns), self._begin, process)

    def _begin(self, process: Process) -> None:
        world = self._world
        if self._launching.get(process.qm) is not process:
            return
        if self.frozen_until_ns > world.now_ns:
            world.at(self.frozen_until_ns, self._begin, process)
            return
        del self._launching[process.qm]
        refusal = self._refusal(process)
        if refusal:
            world.coverage[f"launch refused: {refusal}"] += 1
            world.say(self.machine, f"warden refuses {process.qm}: {refusal}")
            self._tell(LaunchRefused(process.qm, process.epoch, refusal))
            return
        self._storages.claim(process.qm, process.member, overridden=process.overridden, unseen=process.unseen)
        self.processes[process.qm] = process
        world.say(self.machine, f"{process.qm} begins under epoch {process.epoch}")
        self._watcher.began(process, self)
        self._tell(Launched(process.qm, process.epoch))
        self._fate(process)
        self._arm()

    def _refusal(self, process: Process) -> str:
        if self.clock.local(self._world.now_ns) >= self.lease_end_ns - self._stop_ns:
            return "lease_short"
        if process.qm in self.processes:
            return "already_running"
        # A storage for each machine alone: then an override only is ever behind it.
        seen = self._watcher.stamp(process.qm, by_override=not process.overridden)
        if process.epoch < seen and (process.overridden or self.manners.fenced):
            return "epoch_larger"
        if self._storages.locked(process.qm, process.member):
            return HELD
        return "storage_error" if self._world.chance(self.manners.refused) else ""

    def _fate(self, process: Process) -> None:
        """Draw what becomes of a process by itself."""
        world, manners = self._world, self.manners
        ready_ns = world.between(*manners.ready_ns)
        process.hangs = world.chance(manners.hangs)
        if process.qm in self.loops:
            world.after(world.between(0, ready_ns * 2), self.crash, process)
        elif manners.lives_ns:
            world.after(int(world.rng.expovariate(1.0) * manners.lives_ns), self._die, process)
        if world.chance(manners.never_ready):
            world.coverage["queue manager: never ready"] += 1
        else:
            world.after(ready_ns, self._ready, process)

    def _ready(self, process: Process) -> None:
        if self.processes.get(process.qm) is process and not process.stopping:
            process.serving = True
            self._tell(Ready(process.qm, process.epoch))

    def stop(self, qm: str) -> None:
        """Ask it to stop; a launch that has not begun yet is dropped."""
        if self._dropped(qm):
            return
        process = self.processes.get(qm)
        if process is None or process.stopping:
            return
        process.stopping = True
        process.serving = False
        if process.hangs:
            self._world.coverage["queue manager: stop hangs"] += 1
            return
        self._world.after(self._world.between(*self.manners.stop_ns), self._end, process, "exit_0")

    def kill(self, qm: str) -> None:
        """Kill every process of it."""
        if self._dropped(qm):
            return
        process = self.processes.get(qm)
        if process is None or process.killed:
            return
        process.killed = process.stopping = True
        process.serving = False
        self._world.coverage["queue manager: killed"] += 1
        self._world.after(self._world.between(0, self.kill_ns // 4), self._end, process, "signal_9")

    def _dropped(self, qm: str) -> bool:
        dropped = self._launching.pop(qm, None)
        if dropped is not None:
            self._tell(LaunchRefused(qm, dropped.epoch, "killed"))
        return dropped is not None

    # ------------------------------------------------------------ ends

    def crash(self, process: Process) -> None:
        """It ends by itself."""
        if self.processes.get(process.qm) is process:
            self._world.coverage["queue manager: crashed"] += 1
            self._end(process, "signal_11")

    def _die(self, process: Process) -> None:
        if self.manners.lives_ns:
            self.crash(process)

    def hang(self, qm: str) -> None:
        """It stops answering though it lives."""
        process = self.processes.get(qm)
        if process is not None and process.serving:
            process.serving = False
            process.hung = True
            self._world.coverage["queue manager: hung"] += 1
            self._tell(Unhealthy(qm, process.epoch, "no_answer"))

    def _end(self, process: Process, code: str) -> None:
        if self.processes.get(process.qm) is not process:
            return
        del self.processes[process.qm]
        self._world.say(self.machine, f"{process.qm} has ended ({code})")
        self._watcher.ended(process)
        self._tell(Exited(process.qm, process.epoch, code))

    def vanish(self) -> None:
        """The machine dies, and everything on it."""
        self._launching.clear()
        for process in list(self.processes.values()):
            del self.processes[process.qm]
            self._watcher.ended(process)

    def attach(self) -> tuple[Survivor, ...]:
        """A daemon starts and takes this warden over: what runs, or is about to."""
        self.connection += 1
        about_to = [Survivor(p.qm, p.epoch, executed=False) for p in self._launching.values()]
        return (*about_to, *(Survivor(p.qm, p.epoch, ending=p.stopping) for p in self.processes.values()))

    def clear(self) -> int:
        """A daemon starts: kill what is left of the former one. Returns when nothing is left, in world time."""
        self.connection += 1
        self._launching.clear()
        for qm in list(self.processes):
            self.kill(qm)
        return self._world.now_ns + (self.kill_ns // 4 + 1 if self.processes else 0)

    def _tell(self, given: Input) -> None:
        self._world.after(self._world.between(0, REPORT_NS), self._arrive, given, self.connection)

    def _arrive(self, given: Input, connection: int) -> None:
        if connection == self.connection:
            self._report(given)

    def attend(self, qm: str) -> None:
        """A new daemon asks a process that it found whether it serves."""
        process = self.processes.get(qm)
        if process is not None and process.serving:
            self._tell(Ready(qm, process.epoch))
        elif process is not None and process.hung:
            self._tell(Unhealthy(qm, process.epoch, "no_answer"))

    # ------------------------------------------------------------ the lease

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._world.at(self._due(self._stop_ns), self._enforce)

    def _due(self, before_ns: int) -> int:
        return max(self.clock.world(self.lease_end_ns - before_ns), self.frozen_until_ns)

    def _enforce(self) -> None:
        """Stop what runs when the stop budget is reached, kill it when the kill budget is; then look again."""
        world = self._world
        if not self.processes:
            self._armed = False
            return
        if world.now_ns < self.frozen_until_ns:
            world.at(self.frozen_until_ns, self._enforce)
            return
        left_ns = self.lease_end_ns - self.clock.local(world.now_ns)
        if left_ns > self._stop_ns:
            world.at(self._due(self._stop_ns), self._enforce)
            return
        for qm, process in list(self.processes.items()):
            if left_ns <= self.kill_ns and not process.killed:
                world.coverage["warden: kills at the lease's end"] += 1
                self.kill(qm)
            elif not process.stopping:
                world.coverage["warden: stops before the lease's end"] += 1
                self.stop(qm)
        self._armed = left_ns > self.kill_ns
        if self._armed:
            world.at(self._due(self.kill_ns), self._enforce)
