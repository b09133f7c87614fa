"""One run: build a cluster, let faults loose on it, then heal a majority and demand progress."""

import random
from collections.abc import Iterator

from msgspec import structs

from standfast.model.cluster import Failback, MemberSpec, Role
from standfast.model.messages import Hop
from standfast.model.records import MemberState, Phase
from standfast.model.timing import Timing
from standfast.quorum import signals as sig
from standfast.quorum.hold import LONGEST_TERMS
from standfast.sim import groups
from standfast.sim.aims import Aims
from standfast.sim.draws import Draws, Mood, draw
from standfast.sim.faults import Faults
from standfast.sim.flicker import Flicker
from standfast.sim.machine import Machine
from standfast.sim.network import Habits, Network
from standfast.sim.outcome import Outcome
from standfast.sim.promises import Promises
from standfast.sim.replicas import Replicas, replicated
from standfast.sim.store import Store, Temper
from standfast.sim.surroundings import Surroundings
from standfast.sim.warden import Manners
from standfast.sim.world import NS_PER_MS, NS_PER_S, Broken, World

LOOK_EVERY_TERMS = 0.5
PROGRESS_TERMS = 30
PROGRESS_S = 20
"""Time allowed from the healing until everything serves: this many terms and seconds (the latter for slow starts)."""
SETTLED_TERMS = 5
SETTLED_S = 3
"""Time from the power to when everything serves, on a good day: this many terms and seconds."""
STAY_TERMS = 6
"""How long it must then stay as it is."""
QUIET_REVISIONS = 6
"""Changes of the store that are still allowed in that time, beside one for each machine whose losses are forgotten."""


FATES = ("dead", "cut off", "deaf", "mute", "torn", "well")
"""What may become of the machines that are not needed when the others are healed.

One at most is torn: cut off from some of the others. It must be a member. Not provided for are a namesake, whose word
would pass for the member's, and that nobody knows whom those hear whom it does not hear itself.
"""
STARTS_AT_ONCE = (0, 1, 1, 2)
"""Queue managers that one member may start at one moment; 0: all."""


class Stage:
    """A cluster in a world: what a run, or a scenario, plays on; `copies`: its data are replicated, not shared."""

    def __init__(self, world: World, draws: Draws, *, copies: bool = False) -> None:
        self.world = world
        self.draws = draws
        self.cluster = draws.cluster
        self.machines: list[Machine] = []
        self.network = Network(self.world, draws.cluster)
        self.network.behave(draws.habits)
        self.promises = Promises(self.world, self.cluster, self.machines)
        self.store = Store(self.world, self.network, draws.cluster, self.promises.committed)
        self.store.temper = draws.temper
        around = self.around = Surroundings(self.world, draws.cluster, self.network, self.store)
        for member in draws.cluster.members:
            machine = Machine(around, member.name, member.name, draws.skews.get(member.name, 0.0), draws.manners)
            self.machines.append(machine)
            self.network.nodes[member.name].append(machine)
        self.faults = Faults(around, self.machines, draws.weights, draws.gap_ns)
        aims = Aims(self.faults, draws.aims)
        around.clears = draws.clears
        around.interferer = aims
        self.replicas = Replicas(world, self.cluster, self.network, self.machines, self.promises) if copies else None
        around.watcher = self.replicas or self.promises
        around.answered = self._answered
        storages = around.storages
        storages.fencers, storages.switch_off, storages.joined = (
            draws.fencers,
            self.faults.switch_off,
            self.store.identity,
        )
        self.store.aim = aims.committed
        self.answers: dict[int, sig.Verdict] = {}

    def machine(self, machine_id: str) -> Machine:
        """The machine of that id."""
        return next(m for m in self.machines if m.id == machine_id)

    def power_on(self, within_ns: int) -> None:
        """Switch everything on, the daemons at moments of their own."""
        for machine in self.machines:
            machine.power_on()
            self.world.after(self.world.between(0, within_ns), machine.start)

    def run(self, span_ns: int) -> None:
        """Let time pass; raises Broken."""
        end_ns = self.world.now_ns + span_ns
        step_ns = int(self.cluster.timing.term_ns * LOOK_EVERY_TERMS)
        while self.world.now_ns < end_ns:
            self.world.run_until(min(end_ns, self.world.now_ns + step_ns))
            self.promises.look()

    def flicker(self, span_ns: int) -> None:
        """Let everything start, then one cut come and go for that long; raises Broken when anything flaps with it."""
        self.run(SETTLED_TERMS * self.cluster.timing.term_ns + SETTLED_S * NS_PER_S)
        flicker = Flicker(self.faults)
        flicker.begin()
        self.run(span_ns)
        flicker.judge()

    def _answered(self, answer: sig.Answer) -> None:
        self.answers[answer.ticket] = answer.verdict
        if self.replicas is not None:
            self.replicas.answered(answer)

    def states(self) -> Iterator[str]:
        """What everybody knows now, a line each."""
        view = self.store.view
        yield from (f"store: {kept.record} @{kept.revision}" for kept in view.members.values())
        yield from (f"store: {kept.record} @{kept.revision}" for kept in view.assignments.values())
        yield f"cut: {' '.join(f'{a}>{b}' for a, b in sorted(self.network.cut)) or 'nothing'}"
        yield f"filtered: {' '.join(f'{a}>{b}' for a, b in sorted(self.network.filtered)) or 'nothing'}"
        for machine in self.machines:
            yield machine.state()

    # ------------------------------------------------------------ progress

    def heal(self) -> set[str]:
        """End all faults for a majority with a data member, drawn; the rest is dead, cut off or well. Who is well."""
        rng, world = self.world.rng, self.world
        self.faults.on = False
        self.network.behave(Habits())
        self.store.temper = Temper(deadline_ns=self.cluster.timing.term_ns // 2)
        self.store.away = False
        self.around.storages.fencers = structs.replace(self.draws.fencers, fails=0.0, hangs=0.0)
        voters = self.faults.voters
        home = [m for m in self.machines if m.id == m.name and m.name in {v.name for v in voters.members}]
        known = [m.name for m in home if not self.faults.foreign(m)]
        data = [m.name for m in home if voters.member(m.name).role is Role.DATA]
        core = self._startable(rng.choice([name for name in data if name in known] or data), data)
        rest = [name for name in known if name not in core]
        rng.shuffle(rest)
        # One whose name another machine has now joins when the others have evicted that one: it does not count there.
        core |= set(rest[: voters.majority - len(core & {*known})])
        servers = {*self.store.servers}
        spare = [name for name in rest if name in servers and name not in core]
        core |= set(spare[: max(0, self.store.majority - len(core & servers))])
        well = set(core)
        self.network.cut.clear()
        self.network.filtered.clear()
        if rng.choice([True, False]):
            self.around.disk.unstick({m.id for m in self.machines})
        torn = False
        for machine in self.machines:
            if machine.id in core or (machine not in home and machine.id == machine.name):
                continue
            fate = rng.choice(FATES) if machine.id == machine.name else "dead"
            if fate == "torn" and (self.faults.foreign(machine) or torn):
                fate = "dead"
            world.say("fault", f"{machine.id} is {fate} from now on")
            world.coverage[f"fate of the rest: {fate}"] += 1
            around = self.faults.around_of(machine.id)
            if fate == "dead":
                machine.power_off()
            elif fate == "well":
                well.add(machine.id)
            elif fate == "torn":
                torn = True
                well.add(machine.id)
                for name in rng.sample(sorted(core), rng.randint(1, len(core) - 1)):
                    self.network.cut |= self.faults.both(machine.id, name)
            else:
                self.network.cut |= {p for p in around if fate == "cut off" or p[fate == "deaf"] == machine.id}
                machine.resume()
        for machine in home:
            machine.manners = Manners()
            if machine.powered:
                machine.warden.manners = machine.manners
                machine.warden.loops.clear()
            if machine.id in well:
                self._mend(machine, voters.member(machine.name))
        world.say("fault", "healed: " + " ".join(sorted(well)))
        return well

    def _startable(self, one: str, data: list[str]) -> set[str]:
        """That one, and whoever else is needed for everything to start."""
        return {one} if self.replicas is None else {one} | self.replicas.needed({one}, data)

    def _mend(self, machine: Machine, spec: MemberSpec) -> None:
        if machine.file.member(machine.name) != spec:
            machine.power_off(lose_disk=True)
            self.faults.install(machine, spec)
        self.faults.revive(machine)
        machine.start_store()
        machine.resume()
        machine.start()
        machine.hop_incident = 0
        machine.hop = Hop.NONE if machine.hop is Hop.NONE else Hop.FOUND
        self.world.after(1, machine.take, sig.FitnessChanged((), machine.hop))
        self.world.after(1, machine.take, sig.FailbackWindows(frozenset()))

    def demand_progress(self, well: set[str]) -> None:
        """Every queue manager serves on a member that is well, within a bounded time, and stays there."""
        world, term_ns = self.world, self._longest_term_ns()
        until_ns = world.now_ns + PROGRESS_TERMS * term_ns + PROGRESS_S * NS_PER_S
        self.run(self.faults.echo_ns)
        missing = ["everything"]
        while missing and world.now_ns < until_ns:
            self.run(term_ns)
            missing = self._missing(well)
            if missing:
                self._operate(well)
        if missing:
            raise Broken("progress", f"not served by {sorted(well)} in time: {'; '.join(missing)}")
        self.run(self._failback_ns())
        owners = self._owners()
        revision = self.store.view.revision
        self.run(STAY_TERMS * term_ns)
        missing = self._missing(well)
        if self.store.view.revision > revision + QUIET_REVISIONS + len(self.machines):
            raise Broken("quiet", f"{self.store.view.revision - revision} changes though nothing happens any more")
        if missing or owners != self._owners():
            raise Broken("progress", f"did not stay: {owners} became {self._owners()}, {'; '.join(missing)}")

    def _longest_term_ns(self) -> int:
        settings = self.store.view.settings
        ceiling_ns = settings.record.term_ceiling_ms * NS_PER_MS if settings is not None else 0
        return max(self.cluster.timing.term_ns, ceiling_ns)

    def _unsettled(self, well: set[str]) -> Iterator[str]:
        """What is left of a change of the settings, if somebody is there to see that nothing must be."""
        settings = self.store.view.settings
        assert settings is not None
        record = settings.record
        daemons = [m.daemon for m in self.machines if m.id in well and m.daemon is not None]
        seen = any(not daemon.core.settlement.missing(self.store.view) for daemon in daemons)
        if seen and record.term_ceiling_ms != record.timing.term_ms:
            yield f"voters reckon with {record.term_ceiling_ms} ms, in force are {record.timing.term_ms} ms"
        for machine in self.machines:
            rules = machine.daemon.core.rules if machine.daemon is not None and machine.id in well else None
            if rules is not None and (rules.revision != settings.revision or rules.lived != record.timing):
                yield f"{machine.id} goes by revision {rules.revision}, lives by {rules.lived}"

    def _failback_ns(self) -> int:
        """How long until what moves back by itself has done so: joined, cleared, eligible for long enough, moved."""
        waits_s = [spec.failback_after_s for spec in self.cluster.queue_managers if spec.failback is not Failback.NEVER]
        held = any(kept.record.state is MemberState.EVICTED for kept in self.store.view.members.values())
        wait_s = max(waits_s, default=0) + self.cluster.policy.quarantine_clear_s + PROGRESS_S
        return int(wait_s * NS_PER_S) + (LONGEST_TERMS * self._longest_term_ns() if held and waits_s else 0)

    def _owners(self) -> dict[str, str | None]:
        return {qm: kept.record.owner for qm, kept in self.store.view.assignments.items()}

    def _missing(self, well: set[str]) -> list[str]:
        missing = [*self._unsettled(well), *groups.untold(self.store.view)]
        torn = {name for pair in self.network.cut if well.issuperset(pair) for name in pair}
        data = [
            name
            for name, kept in self.store.view.members.items()
            if kept.record.role is Role.DATA
            and name in (well if kept.record.state is MemberState.ONLINE else well - torn)
        ]
        for held in self.store.view.specs.values():
            spec, kept = held.record, self.store.view.assignments.get(held.record.name)
            process = self.promises.running.get(spec.name)
            if spec.halted:
                if process is not None or kept is None or kept.record.phase is not Phase.HALTED:
                    missing.append(f"{spec.name} is to be halted, is {kept}, runs: {process is not None}")
                continue
            if kept is not None and process is None and groups.rightly_down(spec.name, self.store.view, data):
                self.world.coverage["group: rightly down"] += 1
            elif kept is None or process is None or not process.serving or process.machine not in well:
                missing.append(f"{spec.name} is {kept.record if kept else 'unknown'}, runs: {process is not None}")
            elif kept.record.phase is not Phase.RUNNING:
                missing.append(f"{spec.name} runs but the store says {kept.record.phase}")
        return missing

    def _operate(self, well: set[str]) -> None:
        """What an operator does after the trouble: thaw, undrain, clear, move what was given up."""
        view, faults = self.store.view, self.faults
        voters = self.faults.voters
        data = [m for m in self.machines if m.id in well and voters.member(m.name).role is Role.DATA]
        by = self.world.rng.choice([m for m in self.machines if m.id in well])
        if by.daemon is None:
            by.start()
        faults.relieve(well, by)
        if view.orders.record.frozen:
            faults.order(sig.Freeze(on=False), by)
        for machine in data:
            if machine.name in view.orders.record.drained:
                faults.order(sig.Drain(machine.name, on=False), by)
            if machine.name in view.members and view.members[machine.name].record.quarantined:
                faults.order(sig.Clear(machine.name), by)
        for qm, kept in view.assignments.items():
            if kept.record.phase in (Phase.GIVEN_UP, Phase.UNPLACED) and kept.record.failed_on:
                faults.order(sig.Move(qm, self.world.rng.choice(data).name), by)


def simulate(
    seed: int,
    members: int,
    minutes: float,
    timing: Timing | None = None,
    *,
    about: str = "",
    tell: bool = False,
    copies: bool = False,
) -> Outcome:
    """One run from its seed; what it finds is in the outcome.

    `about`: its theme, see themes.py; `copies`: data are replicated, not shared.
    """
    draws = draw(random.Random(f"{seed}/{members}"), members, timing, about)
    if not copies and draws.mood is not Mood.FLICKER:
        draws.cluster = groups.drawn(draws.cluster, random.Random(f"{seed}/{members}/groups"), about)
    limit = random.Random(f"{seed}/{members}/starts").choice(STARTS_AT_ONCE)
    draws.cluster = structs.replace(draws.cluster, policy=structs.replace(draws.cluster.policy, starts_at_once=limit))
    world = World(f"{seed}/{members}/run", tell=tell)
    stage = Stage(world, replicated(draws) if copies else draws, copies=copies)
    world.coverage[f"mood: {draws.mood}"] += 1
    data = sum(member.role is Role.DATA for member in draws.cluster.members)
    world.coverage[f"mix: {data}+{members - data}"] += 1
    outcome = Outcome(seed=seed, members=members, simulated_s=0.0, coverage=world.coverage, lines=world.lines)
    try:
        stage.power_on(draws.cluster.timing.term_ns * 2)
        if draws.mood is Mood.FLICKER:
            stage.flicker(int(minutes * 60 * NS_PER_S))
        else:
            stage.faults.begin(bursts=draws.mood is Mood.BURSTS)
            if draws.mood is Mood.CALM:
                # While everybody still runs the same: only then do the last rungs of the ladder decide.
                stage.faults.later(SETTLED_TERMS * draws.cluster.timing.term_ns, stage.faults.do, "lose link")
            stage.run(int(minutes * 60 * NS_PER_S))
        stage.demand_progress(stage.heal())
    except Broken as broken:
        outcome.broken, outcome.how = broken.promise, broken.how
    outcome.simulated_s = world.now_ns / NS_PER_S
    if tell:
        outcome.setting = list(draws.told())
        outcome.states = list(stage.states())
    return outcome
