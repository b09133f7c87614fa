"""Scenarios: a cluster on the simulator's stage, without chance, and the transcript of what it does.

A transcript is compared with the file of the same name in `transcripts/`. After a change that is meant, write them
anew with STANDFAST_WRITE_TRANSCRIPTS=1 and read the difference: it is the change of the protocol.
"""

import os
import random
from pathlib import Path
from typing import Any

from msgspec import structs

from standfast.model.cluster import FencingSpec, Policy
from standfast.model.records import Assignment, MemberState, Phase
from standfast.model.timing import PROFILES
from standfast.quorum import signals as sig
from standfast.quorum.configuration import in_force
from standfast.sim.draws import Draws, cluster_of, with_disk
from standfast.sim.machine import Machine
from standfast.sim.network import Habits
from standfast.sim.run import Stage
from standfast.sim.storages import Fencers
from standfast.sim.store import Temper
from standfast.sim.warden import Manners
from standfast.sim.world import NS_PER_MS, NS_PER_S, World

TRANSCRIPTS = Path(__file__).parent / "transcripts"
WRITE = "STANDFAST_WRITE_TRANSCRIPTS"
TIMING = PROFILES["fast"]
TERM_S = TIMING.term_ms / 1000
DOUBT_S = TIMING.in_doubt_ns / NS_PER_S


class NoChance(random.Random):
    """Always the middle; numbers that must differ count up."""

    def __init__(self) -> None:
        super().__init__(0)
        self._count = 0

    def random(self) -> float:
        return 0.5

    def getrandbits(self, k: int) -> int:
        self._count += 1
        return self._count

    def choice(self, seq: Any) -> Any:
        return seq[0]


class Play(Stage):
    """`a`, `b` (and `c`) may run `q0`, and prefer it in that order; `w` (and `v`) are witnesses.

    `policy`, `fencing`: of the cluster; `copies`: each has a copy of the data; `fencers`: of its storages and fence
    devices; `spec`: what differs in the queue managers; `each`: in single ones, by name.
    """

    def __init__(
        self,
        name: str,
        members: int = 3,
        queue_managers: int = 1,
        *,
        disk: str = "none",
        policy: Policy | None = None,
        copies: bool = False,
        fencing: FencingSpec | None = None,
        fencers: Fencers | None = None,
        each: dict[str, dict[str, Any]] | None = None,
        **spec: Any,
    ) -> None:
        cluster = with_disk(cluster_of(members, TIMING, queue_managers), disk)
        preferring = tuple(
            structs.replace(qm, **{"preferred": tuple("abcd"), **spec, **(each or {}).get(qm.name, {})})
            for qm in cluster.queue_managers
        )
        draws = Draws(
            cluster=structs.replace(
                cluster,
                queue_managers=preferring,
                policy=policy or cluster.policy,
                fencing=fencing or cluster.fencing,
            ),
            fencers=fencers or Fencers(),
            habits=Habits(base_ns=200_000, jitter_ns=0),
            temper=Temper(latency_ns=1 * NS_PER_MS, deadline_ns=400 * NS_PER_MS),
            manners=Manners(ready_ns=(50 * NS_PER_MS,) * 2, stop_ns=(20 * NS_PER_MS,) * 2),
        )
        super().__init__(World(NoChance(), tell=True), draws, copies=copies)
        self.name = name
        self._began_ns = 0

    # ------------------------------------------------------------ acts

    def on(self) -> "Play":
        """Everything is switched on, the daemons a few milliseconds apart."""
        for i, machine in enumerate(self.machines):
            machine.power_on()
            self.world.after(i * 3 * NS_PER_MS, machine.start)
        return self

    def settled(self) -> "Play":
        """Everything serves; the transcript begins here."""
        self.on().wait(4 * TERM_S)
        assert all(a.phase is Phase.RUNNING for a in self.assignments.values())
        self.world.lines = []
        self._began_ns = self.world.now_ns
        return self

    def wait(self, seconds: float) -> "Play":
        """Let time pass."""
        self.run(round(seconds * NS_PER_S))
        return self

    def act(self, what: str) -> "Play":
        """A heading in the transcript."""
        self.world.say("", f"-- {what}")
        return self

    def cut(self, *pairs: str) -> "Play":  # type: ignore[override]
        """`cut("ab", "a>w")`: nothing passes between a and b, nor from a to w."""
        self.act("cut " + " ".join(pairs))
        self.network.cut |= _pairs(pairs)
        return self

    def filter(self, *pairs: str) -> "Play":
        """No datagram passes; the store is reached all the same."""
        self.act("no datagrams " + " ".join(pairs))
        self.network.filtered |= _pairs(pairs)
        return self

    def heal_links(self, *pairs: str) -> "Play":
        """Everything passes again between these, or everywhere."""
        self.act("heal " + (" ".join(pairs) or "everything"))
        healed = _pairs(pairs) if pairs else self.network.cut | self.network.filtered
        self.network.cut -= healed
        self.network.filtered -= healed
        return self

    def stall(self, *machines: str) -> "Play":
        """The shared disk hangs for these."""
        self.act("the disk hangs for " + " ".join(machines))
        self.around.disk.stuck |= {*machines}
        return self

    def disk_goes_on(self) -> "Play":
        """It serves everybody again; what hung lands now."""
        self.act("the disk goes on")
        self.around.disk.unstick(set(self.around.disk.stuck))
        return self

    def die(self, machine: str, *, lose_disk: bool = False) -> "Play":
        """The machine dies."""
        self.act(f"{machine} dies" + (" and loses its disk" if lose_disk else ""))
        self.machine(machine).power_off(lose_disk=lose_disk)
        return self

    def return_of(self, machine: str) -> "Play":
        """A machine that died is back."""
        self.act(f"{machine} is back")
        self.machine(machine).power_on()
        self.machine(machine).start_store()
        self.machine(machine).start()
        return self

    def restart(self, machine: str, *, clear: bool = False) -> "Play":
        """The daemon alone dies and starts again at once; with `clear` it ends what runs."""
        self.act(f"the daemon of {machine} restarts" + (" and ends what runs" if clear else ""))
        self.machine(machine).kill_daemon()
        self.machine(machine).start(clear)
        return self

    def namesake(self, name: str) -> "Play":
        """Another machine of that name starts; its id is NAME'."""
        self.act(f"another machine named {name} starts")
        twin = Machine(self.around, name + "'", name, 0.0, self.draws.manners)
        self.machines.append(twin)
        self.network.nodes[name].append(twin)
        twin.power_on()
        twin.start()
        return self

    def enrol(self, name: str) -> "Play":
        """A machine with a cluster file that has it already is switched on; it is no member yet."""
        self.act(f"a machine for a member {name} is switched on")
        self.faults.new_machine(name)
        return self.return_of(name)

    def order(self, order: sig.Order, by: str = "w") -> "Play":
        """An operator's order."""
        self.faults.order(order, self.machine(by))
        return self

    def configure(self, by: str = "w", **each: dict[str, Any]) -> "Play":
        """An operator changes queue managers: these fields of each of these."""
        now, kept = in_force(self.cluster, self.store.view), self.store.view.settings
        assert kept is not None
        specs = tuple(structs.replace(spec, **each.get(spec.name, {})) for spec in now.queue_managers)
        wanted = structs.replace(now, queue_managers=specs)
        return self.order(sig.Configure(wanted, kept.record.edition, "operator"), by)

    def crash(self, qm: str, *, loop_on: str = "") -> "Play":
        """A queue manager ends by itself; with `loop_on` at every start on that machine from now on."""
        self.act(f"{qm} crashes" + (f", and will on {loop_on}" if loop_on else ""))
        if loop_on:
            self.machine(loop_on).warden.loops.add(qm)
        process = self.promises.running[qm]
        self.machine(process.machine).warden.crash(process)
        return self

    # ------------------------------------------------------------ what is

    @property
    def assignments(self) -> dict[str, Assignment]:
        """As the store has them."""
        return {qm: kept.record for qm, kept in self.store.view.assignments.items()}

    def owner(self, qm: str = "q0") -> str | None:
        """Where it runs, by its process; None when nowhere."""
        process = self.promises.running.get(qm)
        return process.machine if process else None

    def state(self, member: str) -> MemberState:
        """Of a member, in the store."""
        return self.store.view.members[member].record.state

    def incarnation(self, member: str) -> int:
        """Of a member, in the store."""
        return self.store.view.members[member].record.incarnation

    def said(self, what: str) -> list[float]:
        """When a line with these words was told, in seconds since the beginning."""
        assert self.world.lines is not None
        return [(at - self._began_ns) / NS_PER_S for at, who, told in self.world.lines if what in f"{who} {told}"]

    def ends(self) -> None:
        """Compare the transcript with its file."""
        assert self.world.lines is not None
        lines = [
            f"\n{told}" if not who else f"{(at - self._began_ns) / NS_PER_S:8.3f}  {who:<6}{told}"
            for at, who, told in self.world.lines
        ]
        text = "\n".join(lines).strip("\n") + "\n"
        path = TRANSCRIPTS / f"{self.name}.txt"
        if os.environ.get(WRITE):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")


def _pairs(pairs: tuple[str, ...]) -> set[tuple[str, str]]:
    found = set()
    for pair in pairs:
        one, arrow, other = pair.partition(">")
        if arrow:
            found.add((one, other))
        else:
            found |= {(pair[0], pair[1]), (pair[1], pair[0])}
    return found
