"""The promises of design section 2, checked at every step that could break one; raises Broken.

1. At most one process of a queue manager exists at any instant, and only while the store names its owner.
2. Epochs only grow; nothing ever runs under a smaller one than the storage has seen; incarnations grow by one.
3. No process lives past its lease. At the instant the store says `evicted`, the lease by the member's own clock has
   ended, or the member gave its word `stopped` and nothing of it runs. The start guard would hide a lease that a voter
   broke, so this is looked at directly.
4. A queue manager gets a new owner only while no process of the old one exists. A member joins anew only while nothing
   of it runs, or as the heir of a former process of the same machine, and only if that was neither told to go nor gone:
   then each of its processes runs under the epoch that the store has for it, and within the lease; only the incarnation
   of its assignment changes, to the one that has joined.
5. Nobody who is in holds a lease for longer than voters reckon with after a restart, nor asks for one. The restart rule
   would hide it until a voter restarts, so this is looked at directly, too.
6. Under an override, the same for whoever could know of it: what runs by it needs no record, and is the only one of its
   queue manager; who decides with a majority of members of whom none could know of it (see told.py) is let be.
7. Quarantine begins with the loss that is one too many, and ends by being told so; nothing moves back that must not.
8. For a lost link nobody goes under the policy `keep`; else a majority with a data member stays online, and of two data
   members the one that runs more is not sent away for its name or priority.
9. When members lost their next hops by the same incident, nothing moves from one of them to another for it.
10. Every change of a member or an assignment is told by an event in its own transaction, and no event twice.
11. Nothing is given to a member against its strict groups: see groups.py.
"""

from typing import cast

from standfast.model.cluster import Cluster, Failback
from standfast.model.events import Event, EventKind
from standfast.model.records import (
    GONE,
    Assignment,
    MemberRecord,
    MemberState,
    Phase,
    SettingsRecord,
    Transaction,
)
from standfast.model.timing import NS_PER_MS
from standfast.model.view import View
from standfast.quorum.failback import BY_HAND
from standfast.sim import groups
from standfast.sim.choices import hops_kept, quarantine_kept, verdict_right
from standfast.sim.machine import Machine
from standfast.sim.warden import Process, Warden
from standfast.sim.world import Broken, World

ONCE = {EventKind.QM_ASSIGNED: "epoch", EventKind.MEMBER_JOINED: "incarnation", EventKind.MEMBER_EVICTED: "incarnation"}
"""Events of which there is at most one for each subject and value of that field."""


class Promises:
    """Of one run; `machines` are all that ever were."""

    def __init__(self, world: World, cluster: Cluster, machines: list[Machine]) -> None:
        self._world = world
        self._cluster = cluster
        self._machines = machines
        self._stamps: dict[str, int] = {}
        self._told: dict[int, Event] = {}
        self._once: set[tuple[object, ...]] = set()
        self.running: dict[str, Process] = {}
        """The one process of each queue manager that runs."""
        self.overridden: dict[str, Process] = {}
        """The one that runs by an override."""
        self._claims: dict[str, int] = {}
        self.view = View()
        """The newest state of the store."""

    # ------------------------------------------------------------ processes

    def began(self, process: Process, warden: Warden) -> None:
        """A process exists from now on."""
        qm = process.qm
        self._alone(process)
        if process.epoch < self._stamps.get(qm, 0) and not process.unseen:
            raise Broken("epochs grow", f"{qm} runs under {process.epoch}, its storage has seen {self._stamps[qm]}")
        if warden.clock.local(self._world.now_ns) >= warden.lease_end_ns:
            raise Broken("lease", f"{qm} begins on {process.machine} after the lease has ended")
        if process.overridden:
            self._stamps[qm] = self._claims[qm] = process.epoch
            self.overridden[qm] = process
            self._world.coverage["process began by an override"] += 1
            return
        if qm not in self.view.assignments:
            raise Broken("removed", f"{qm} begins on {process.machine} though it is no queue manager any more")
        a = self.view.assignments[qm].record
        mine = (a.owner, a.epoch) == (process.member, process.epoch) and self._ordered_by(process, a)
        if not mine or a.phase not in (Phase.STARTING, Phase.RUNNING):
            raise Broken(
                "start guard",
                f"{qm} begins on {process.machine} for {process.member}/{process.incarnation} under {process.epoch}, "
                f"but the store says {a.phase}, {a.owner}/{a.incarnation}, {a.epoch}",
            )
        gone = self.view.members[process.member].record
        if gone.state in GONE and gone.incarnation == process.incarnation:
            raise Broken("start guard", f"{qm} begins on {process.machine}, whose member is {gone.state}")
        self._stamps[qm] = process.epoch
        self.running[qm] = process
        self._world.coverage["process began"] += 1

    def _alone(self, process: Process) -> None:
        """Nothing else of its queue manager runs, but by an override that it could not know of, or the other way."""
        for other in (self.running.get(process.qm), self.overridden.get(process.qm)):
            if other is None:
                continue
            blind = other.machine in process.unseen or process.machine in other.unseen
            if other.overridden is process.overridden or not blind:
                raise Broken("one owner", f"{process.qm} runs on {other.machine} and now on {process.machine} too")
            self._world.coverage["override: two, where nobody could know"] += 1

    def stamp(self, qm: str, *, by_override: bool) -> int:
        """The largest epoch under which its storage was claimed at all, or by an override; 0: none."""
        return (self._claims if by_override else self._stamps).get(qm, 0)

    def _ordered_by(self, process: Process, a: Assignment) -> bool:
        """Whether the incarnation that ordered the start is the owner, or one whose heir the owner is."""
        record = self.view.members[process.member].record
        heir = a.incarnation == record.incarnation and record.identity == self._home(process).identity
        return process.incarnation == a.incarnation or (heir and record.first <= process.incarnation < a.incarnation)

    def _home(self, process: Process) -> Machine:
        return next(m for m in self._machines if m.id == process.machine)

    def ended(self, process: Process) -> None:
        """Nothing of it is left."""
        for table in (self.running, self.overridden):
            if table.get(process.qm) is process:
                del table[process.qm]
        self._outlived(process, self._home(process).warden)

    def renewed(self, member: str, incarnation: int, left_ns: int) -> None:
        """A member's lease lasts so much longer now."""
        settings, kept = self.view.settings, self.view.members.get(member)
        if settings is None or kept is None or kept.record.incarnation != incarnation or kept.record.state in GONE:
            return
        if left_ns > settings.record.term_ceiling_ms * NS_PER_MS:
            raise Broken(
                "term ceiling",
                f"the lease of {member}/{incarnation} lasts {left_ns} ns more, "
                f"voters reckon with {settings.record.term_ceiling_ms} ms",
            )

    def look(self) -> None:
        """Look at what still runs: none of it may have outlived its lease."""
        for process in (*self.running.values(), *self.overridden.values()):
            self._outlived(process, self._home(process).warden)

    def _outlived(self, process: Process, warden: Warden) -> None:
        late_ns = warden.clock.local(self._world.now_ns) - warden.lease_end_ns
        if late_ns > 0:
            raise Broken("lease", f"{process.qm} on {process.machine} outlived the lease by {late_ns} ns")

    # ------------------------------------------------------------ the store

    def committed(self, transaction: Transaction, before: View, after: View) -> None:
        """A transaction has changed the store from `before` to `after`."""
        self.view = after
        world = self._world
        for event in transaction.events:
            self._tell(event)
        if world.lines is not None:
            told = ", ".join(f"{e.kind} {e.subject}" for e in transaction.events) or "no event"
            world.say("store", f"revision {after.revision}: {told}")
        subjects = {event.subject for event in transaction.events}
        adopted = any(event.kind is EventKind.QM_ADOPTED for event in transaction.events)
        for put in transaction.puts:
            room, _, name = put.key.partition("/")
            if room == "members":
                held = before.members.get(name)
                record = cast("MemberRecord", put.record)
                self._member(held.record if held else None, record, transaction)
                if held and record.incarnation > held.record.incarnation:
                    self._joined(held.record, record, before)
            elif room == "assignments" and (held_a := before.assignments.get(name) or before.removed.get(name)):
                self._assignment(held_a.record, cast("Assignment", put.record), adopted=adopted)
                if not adopted:
                    groups.kept(held_a.record, cast("Assignment", put.record), after, world)
            elif isinstance(put.record, SettingsRecord) and before.settings is not None:
                self._settings(before.settings.record, put.record)
                continue
            else:
                continue
            if name not in subjects:
                raise Broken("every change is told", f"revision {after.revision} changes {put.key} without an event")

    def _settings(self, before: SettingsRecord, after: SettingsRecord) -> None:
        self._voters(before, after)
        if after.term_ceiling_ms != before.term_ceiling_ms:
            way = "lowered" if after.term_ceiling_ms < before.term_ceiling_ms else "raised"
            self._world.coverage[f"settings: term ceiling {way}"] += 1
        for machine in self._machines:
            daemon = machine.daemon
            if daemon is None:
                continue
            incarnation, now_ns = daemon.core.membership.incarnation, machine.clock.local(self._world.now_ns)
            self.renewed(machine.name, incarnation, daemon.core.lease.end_ns - now_ns)
            self.renewed(machine.name, incarnation, daemon.core.rules.term_ns)

    def _voters(self, before: SettingsRecord, after: SettingsRecord) -> None:
        """One voter more or less at a time; who may hold a lease votes."""
        was, are = {*before.members}, {*after.members}
        if was != are:
            self._world.coverage[f"voters: {len(was)} -> {len(are)}"] += 1
        if len(was ^ are) > 1:
            raise Broken("one voter at a time", f"{sorted(was)} becomes {sorted(are)}")
        for name, kept in self.view.members.items():
            if kept.record.state not in GONE and name not in are:
                raise Broken("who holds a lease votes", f"{name} is {kept.record.state} and no voter")

    def _tell(self, event: Event) -> None:
        self._world.coverage[f"event: {event.kind}"] += 1
        if id(event) in self._told:
            raise Broken("told once", f"{event.kind} {event.subject} {event.fields} is in the log twice")
        self._told[id(event)] = event
        if event.kind is EventKind.QM_MOVING:
            self._world.coverage[f"moving: {event.fields['reason']}"] += 1
            hops_kept(event, self.view, self._machines)
        field = ONCE.get(event.kind)
        if field is not None:
            key = (event.kind, event.subject, event.fields[field])
            if key in self._once:
                raise Broken("told once", f"{event.kind} {event.subject} {event.fields} is told by two transactions")
            self._once.add(key)

    def _member(self, before: MemberRecord | None, after: MemberRecord, transaction: Transaction) -> None:
        was = before.incarnation if before else 0
        state = before.state if before else "absent"
        self._world.coverage[f"member: {state} -> {after.state}"] += 1
        if after.incarnation not in (was, was + 1):
            raise Broken("incarnations grow", f"{after.name} goes from {was} to {after.incarnation}")
        if before is not None and after.overridden > before.overridden:
            self._settled(after.name)
        settings = self.view.settings
        policy = settings.record.policy if settings is not None else None
        quarantine_kept(before, after, transaction, policy or self._cluster.policy)
        if after.state is MemberState.EVICTING and state is not MemberState.EVICTING:
            told = next(e for e in transaction.events if e.kind is EventKind.MEMBER_TOLD_TO_GO)
            self._world.coverage[f"told to go: {after.reason}"] += 1
            verdict_right(after, told, self.view, self._cluster, self._world)
        if after.state is MemberState.EVICTED and state is not MemberState.EVICTED:
            proof = next(e.fields["proof"] for e in transaction.events if e.kind is EventKind.MEMBER_EVICTED)
            self._world.coverage[f"evicted by: {proof}"] += 1
            self._evicted(after, stopped=proof == "stopped")

    def _settled(self, member: str) -> None:
        """The store holds the end of its override: what it runs counts like any other from here on."""
        for qm, process in list(self.overridden.items()):
            if process.member == member:
                del self.overridden[qm]
                process.overridden = False
                self._alone(process)
                self.running[qm] = process

    def _joined(self, before: MemberRecord, after: MemberRecord, view: View) -> None:
        """Anew, when nothing of it runs; or as the heir of a former process, of exactly what that one ran."""
        if not after.since:
            if before.state not in GONE:
                self._no_process(after.name, before.incarnation, "its member joined anew")
            return
        self._world.coverage["member: joined as heir"] += 1
        alike = before.identity == after.identity and before.first == after.since
        if not alike or before.state not in (MemberState.ONLINE, MemberState.IN_DOUBT):
            raise Broken("inheritance", f"{after} is no heir of {before}")
        for process in self.running.values():
            if process.member == after.name:
                a, home = view.assignments[process.qm].record, self._home(process)
                self._outlived(process, home.warden)
                same = (a.owner, a.epoch, home.identity) == (after.name, process.epoch, after.identity)
                if not same or a.incarnation < after.since:
                    raise Broken("inheritance", f"{after} inherits {process.qm} under {process.epoch}, but {a}")

    def _evicted(self, record: MemberRecord, *, stopped: bool) -> None:
        """Its lease has ended on its own clock, or it gave its word; nothing of it runs."""
        self._no_process(record.name, record.incarnation, "it was evicted")
        if stopped:
            return
        for machine in self._machines:
            if machine.name == record.name and machine.memory.overridden:
                if machine.memory.spared(self._machines) and not machine.memory.free:
                    raise Broken("voted out", f"{record.name} is evicted though a majority could know of its override")
            elif machine.name == record.name:
                wardens = [*machine.past, machine.warden] if machine.powered else machine.past
                for warden in wardens:
                    self._lapsed(record, warden)
                self._believed(record, machine)

    def _lapsed(self, record: MemberRecord, warden: Warden) -> None:
        left_ns = warden.lease_end_ns - warden.clock.local(self._world.now_ns)
        if record.first <= warden.lease_incarnation <= record.incarnation and left_ns > 0:
            raise Broken(
                "eviction after the lease",
                f"{record.name}/{record.incarnation} is evicted while its lease on {warden.machine} lasts "
                f"{left_ns} ns more",
            )

    def _believed(self, record: MemberRecord, machine: Machine) -> None:
        if machine.daemon is None or machine.daemon.core.membership.incarnation != record.incarnation:
            return
        left_ns = machine.daemon.core.lease.end_ns - machine.clock.local(self._world.now_ns)
        if left_ns > 0:
            raise Broken(
                "eviction after the lease",
                f"{record.name}/{record.incarnation} is evicted while it counts on its lease for {left_ns} ns more",
            )

    def _assignment(self, before: Assignment, after: Assignment, *, adopted: bool) -> None:
        self._world.coverage[f"assignment: {before.phase} -> {after.phase}"] += 1
        if after.target is not None and after.reason == "failback":
            spec = self.view.specs[after.qm].record
            self._world.coverage["failback"] += 1
            if spec.failback is Failback.NEVER or after.target in after.shunned or before.reason == BY_HAND:
                raise Broken("failback", f"{after.qm} moves back to {after.target}, which it must not: {before}")
        if after.epoch < before.epoch:
            raise Broken("epochs grow", f"{after.qm} goes from epoch {before.epoch} to {after.epoch}")
        if after.phase is Phase.REMOVED and after.qm in self.running:
            raise Broken("removed", f"{after.qm} is removed while it runs on {self.running[after.qm].machine}")
        if (after.owner, after.incarnation, after.epoch) != (before.owner, before.incarnation, before.epoch):
            process = self.running.get(after.qm)
            if self._adopts(before, after, process):
                self._world.coverage["assignment: adopted"] += 1
                return
            if process is not None:
                raise Broken("new owner", f"{after.qm} goes to {after.owner} while it runs on {process.machine}")
            if after.owner is not None and after.epoch <= before.epoch and not adopted:
                raise Broken("epochs grow", f"{after.qm} goes to {after.owner} under the epoch {after.epoch} again")

    def _adopts(self, before: Assignment, after: Assignment, process: Process | None) -> bool:
        """Whether the owner's present incarnation takes on what it inherited, and nothing else changes."""
        kept = self.view.members.get(after.owner or "")
        if kept is None or (after.owner, after.epoch, after.phase) != (before.owner, before.epoch, before.phase):
            return False
        if process is not None:
            same = (process.member, process.epoch, self._home(process).identity)
            if same != (after.owner, after.epoch, kept.record.identity):
                return False
        return kept.record.first <= before.incarnation < after.incarnation == kept.record.incarnation

    def _no_process(self, member: str, incarnation: int, because: str) -> None:
        for process in self.running.values():
            if process.member == member and process.incarnation <= incarnation:
                raise Broken("nothing runs", f"{process.qm} runs on {process.machine} though {because}")
