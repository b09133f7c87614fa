"""What would become of a cluster: a snapshot, played on with the real member cores and without any chance.

The machines, the network and the store are those of the simulator at their best: nothing is lost, late or slow, clocks
agree, a queue manager starts and stops at once. No rule of the protocol is written down here a second time.

The play has three parts. First every member that is heard starts as the incarnation that it is, while the cluster is
frozen, until the leases are what they were. Then the orders of the snapshot are in force again, and what was under way
comes to rest. Only then happens what is supposed, right after a heartbeat, so that the times are the longest.

Not known from a snapshot, and taken for granted: that a silent member is dead; that who hears is heard where nobody
says otherwise; that queue managers start wherever they are not known to be unfit.
"""

import random
from collections.abc import Iterator

from msgspec import structs

from standfast.member.snapshot import Snapshot
from standfast.model.messages import Hop
from standfast.model.records import ORDERS_KEY, MemberState, Orders
from standfast.model.timing import lapse_ns
from standfast.model.view import View
from standfast.quorum import signals as sig
from standfast.quorum.behind import Behind
from standfast.quorum.can_stop import Cost, Reason, Situation, weak_points
from standfast.quorum.core import Core
from standfast.quorum.placement import candidates
from standfast.quorum.rules import Rules
from standfast.quorum.runs import StopReason
from standfast.quorum.ties import Ties
from standfast.sim.chronicle import Chronicle, Deed, Line
from standfast.sim.machine import Machine
from standfast.sim.network import Network
from standfast.sim.promises import Promises
from standfast.sim.prospect import MemberEnd, Pair, Prospect, QueueManagerEnd, Supposition
from standfast.sim.store import Store, Temper
from standfast.sim.surroundings import Surroundings
from standfast.sim.warden import Manners
from standfast.sim.world import NS_PER_MS, World
from standfast.stores.etcd_settings import EtcdTuning

REST_TERMS = 5
"""The play is at rest when nothing has happened for so many terms: longer than any wait of the protocol."""
LONGEST_TERMS = 100
"""A play that is not at rest after so many terms never will be."""
WARM_UP_LAPSES = 3
"""Lapse times until every lease is held: one for the restart rule, the others to spare."""
LOOK_NS = NS_PER_MS
STOP_NS = NS_PER_MS
"""How long a queue manager takes to stop: long enough for its owner to be the one who stops it."""


def what_if(snapshot: Snapshot, supposed: Supposition) -> Prospect:
    """What would follow. Raises Broken when the cores break a promise: a defect of Standfast, not of the cluster."""
    play = Play(snapshot)
    unlike, at_rest = play.warm_up(), play.rest()
    under_way = play.begin_after_heartbeat(supposed)
    was_on = play.runs_on()
    play.strike(supposed)
    at_rest = play.rest() and at_rest
    return Prospect(
        under_way=tuple(under_way),
        story=tuple(play.chronicle.lines),
        members=tuple(play.member_ends()),
        queue_managers=tuple(play.queue_manager_ends(was_on)),
        at_rest=at_rest,
        weak_points=tuple(_weak_points(snapshot, supposed, play)),
        unlike=unlike,
    )


def _weak_points(snapshot: Snapshot, supposed: Supposition, play: "Play") -> Iterator[Reason]:
    """Members whose further loss would cost something.

    The arithmetic of can_stop takes for granted that who is up reaches everybody who is. Where that is not so, a loss
    that it finds harmless is played.
    """
    situation = play.situation()
    found = {reason.subject: reason for reason in weak_points(situation)}
    torn = any(situation.up - {end.name, *end.hears} for end in play.member_ends() if end.name in situation.up)
    for name in sorted(situation.up):
        reason = found.get(name) or (_loss(snapshot, supposed, name) if torn else None)
        if reason is not None:
            yield reason


def _loss(snapshot: Snapshot, supposed: Supposition, name: str) -> Reason | None:
    """What the loss of that member would cost after what is supposed, or None."""
    play = Play(snapshot)
    play.warm_up()
    play.rest()
    play.begin_after_heartbeat(supposed)
    play.strike(supposed)
    play.rest()
    ran = play.runs_on()
    play.strike(Supposition(lose=(name,)))
    play.rest()
    if not ran.keys() - play.runs_on().keys():
        return None
    up = play.situation().up
    if not up:
        return Reason(Cost.NO_MAJORITY, name, 0, snapshot.cluster.majority)
    return Reason(Cost.FROZEN if play.situation().frozen else Cost.NOWHERE_TO_RUN, name, 0, 1)


# ---------------------------------------------------------------- the parts, at their best


class _NoChance(random.Random):
    """The lowest of everything, and nothing that could also not happen."""

    def random(self) -> float:
        return 0.0


class _Nobody:
    """Interferes with nothing."""

    def moment(self, name: str, machine: Machine, about: str) -> None:
        """Let it be."""

    def acknowledged(self, machine: Machine, about: str) -> None:
        """Let it be."""


class _Outside(Store):
    """A store on machines of its own, within reach of every member."""

    def serves(self, machine: str) -> bool:  # noqa: ARG002 - wherever it is asked from
        return not self.away


class Actor(Machine):
    """A machine on which a member goes on as what it was; what it does is written down."""

    def __init__(self, around: Surroundings, name: str, chronicle: Chronicle) -> None:
        super().__init__(around, name, name, 0.0, Manners(ready_ns=(0, 0), stop_ns=(STOP_NS, STOP_NS)))
        self._chronicle = chronicle
        self._do |= {sig.Stop: self._stop, sig.Tell: self._tell}
        self.beats = 0
        """Heartbeats sent."""

    def go_on(self, snapshot: Snapshot) -> None:
        """Start the daemon as the incarnation that it says it is; as a newcomer if the store knows of none such."""
        said, kept = snapshot.heard.get(self.name), snapshot.view.members.get(self.name)
        self.power_on()
        self.start()
        assert self.daemon is not None
        if kept is not None and (said is None or said.incarnation == kept.record.incarnation):
            self.daemon.core.membership.joined(kept.record)
        if said is not None:
            self.take(sig.FitnessChanged(said.unfit, said.hop))

    def _broadcast(self, effect: sig.Broadcast) -> None:
        self.beats += 1
        super()._broadcast(effect)

    def _stop(self, effect: sig.Stop) -> None:
        assert self.daemon is not None
        run = self.daemon.core.keeper.runs.get(effect.qm)
        why = StopReason.NONE if run is None else run.stop_reason
        self._chronicle.note(Deed.STOPS, effect.qm, self.name, why=why)
        self.warden.stop(effect.qm)

    def _tell(self, effect: sig.Tell) -> None:
        self._chronicle.told(effect.event, self.name)


# ---------------------------------------------------------------- the play


class Play:
    """A snapshot on the simulator's stage."""

    def __init__(self, snapshot: Snapshot) -> None:
        cluster = snapshot.cluster
        self._snapshot = snapshot
        self._world = World(0, tell=False)
        self._world.rng = _NoChance(0)
        self._term_ns = cluster.timing.term_ns
        self._quiet_ns = REST_TERMS * self._term_ns
        if any(member.hops for member in cluster.members):
            self._quiet_ns += Behind("", Rules(cluster)).wait_ns
        self._network = Network(self._world, cluster)
        actors: list[Machine] = []
        self._promises = Promises(self._world, cluster, actors)
        self.chronicle = Chronicle(self._world, self._promises)
        store = _Outside if snapshot.store_outside else Store
        self._store = store(self._world, self._network, cluster, self.chronicle.committed)
        election_ns = EtcdTuning().election_ms * NS_PER_MS
        self._store.temper = Temper(election_ns=(election_ns, election_ns))
        around = Surroundings(self._world, cluster, self._network, self._store)
        around.interferer, around.watcher = _Nobody(), self.chronicle
        self._actors = {m.name: Actor(around, m.name, self.chronicle) for m in cluster.members}
        actors += self._actors.values()
        for name, actor in self._actors.items():
            self._network.nodes[name].append(actor)

    # ------------------------------------------------------------ the three parts

    def warm_up(self) -> tuple[str, ...]:
        """Let everybody who lives hold the lease that it held; those of whom the snapshot says otherwise."""
        snapshot, living = self._snapshot, _living(self._snapshot)
        self._store.up = set(living)
        if snapshot.store_leader in self._store.up:
            self._store.leader = snapshot.store_leader
        self._network.cut = set(_silences(snapshot, living))
        orders = snapshot.view.orders.record
        self._write(self._loaded(), structs.replace(orders, frozen=True))
        for name in living:
            self._actors[name].go_on(snapshot)
        self._world.run_until(WARM_UP_LAPSES * lapse_ns(self._term_ns))
        self._write(self._store.view, orders)
        self.chronicle.begin()
        for actor in self._living():
            actor.take(sig.StoreStirred())
        heard = snapshot.heard
        return tuple(a.name for a in self._living() if a.name in heard and _core(a).leased is not heard[a.name].leased)

    def rest(self) -> bool:
        """Let time pass until nothing happens any more; whether that came about."""
        until_ns = self._world.now_ns + LONGEST_TERMS * self._term_ns
        while self._world.now_ns < until_ns:
            quiet_until_ns = self.chronicle.last_ns + self._quiet_ns
            if self._world.now_ns >= quiet_until_ns:
                return True
            self._world.run_until(min(quiet_until_ns, until_ns))
            self._promises.look()
        return False

    def begin_after_heartbeat(self, supposed: Supposition) -> list[Line]:
        """Wait until the first whom it strikes has a fresh lease, and count from there; what happened until then."""
        struck = [*supposed.lose, *supposed.fail_hop, *(name for pair in supposed.cut for name in pair)]
        owners = {process.member for process in self._promises.running.values()}
        struck.sort(key=lambda name: name not in owners)
        first = self._actors[struck[0]] if struck else None
        if first is not None and first.daemon is not None:
            beats = first.beats
            while first.beats == beats:
                self._world.run_until(self._world.now_ns + LOOK_NS)
        return self.chronicle.begin()

    def strike(self, supposed: Supposition) -> None:
        """What is supposed happens."""
        for name in supposed.lose:
            self.chronicle.note(Deed.LOST, name)
            self._actors[name].power_off()
        for name in supposed.fail_hop:
            self._actors[name].take(sig.FitnessChanged(hop=Hop.LOST))
        for source, to in supposed.cut:
            self.chronicle.note(Deed.CUT, source, to=to)
            self._network.cut.add((source, to))

    def _loaded(self) -> View:
        """The snapshot's view, with the identities that the simulator's machines have."""
        view = self._snapshot.view
        members = {}
        for name, kept in view.members.items():
            record = structs.replace(kept.record, identity=self._actors[name].identity)
            members[name] = structs.replace(kept, record=record)
        return View().merged(view.revision, structs.replace(view, members=members).records())

    def _write(self, view: View, orders: Orders) -> None:
        revision = view.revision + 1
        self._store.view = self._promises.view = view.merged(revision, [(ORDERS_KEY, orders, revision)])

    def _living(self) -> list[Actor]:
        return [actor for actor in self._actors.values() if actor.daemon is not None]

    # ------------------------------------------------------------ the end

    def runs_on(self) -> dict[str, str]:
        """By queue manager: on whom it serves now."""
        return {qm: process.member for qm, process in self._promises.running.items() if process.serving}

    def member_ends(self) -> Iterator[MemberEnd]:
        """What became of the members, by name."""
        for name, actor in sorted(self._actors.items()):
            kept = self._store.view.members.get(name)
            now_ns = actor.clock.local(self._world.now_ns) if actor.daemon else 0
            yield MemberEnd(
                name=name,
                role=self._snapshot.cluster.member(name).role,
                alive=actor.daemon is not None,
                incarnation=kept.record.incarnation if kept is not None else 0,
                state=kept.record.state if kept is not None else None,
                leased=actor.daemon is not None and _core(actor).leased,
                hears=tuple(
                    other
                    for other in sorted(self._actors)
                    if other != name and actor.daemon is not None and _core(actor).hearing.hears(other, now_ns)
                ),
            )

    def queue_manager_ends(self, was_on: dict[str, str]) -> Iterator[QueueManagerEnd]:
        """What became of the queue managers, by name; `was_on`: where they served before."""
        runs_on = self.runs_on()
        for qm, kept in sorted(self._store.view.assignments.items()):
            yield QueueManagerEnd(
                name=qm,
                was_on=was_on.get(qm),
                runs_on=runs_on.get(qm),
                owner=kept.record.owner,
                epoch=kept.record.epoch,
                phase=kept.record.phase,
            )

    def situation(self) -> Situation:
        """What is left: members that are online and hold a lease, and what each of them could run."""
        view = self._store.view
        ties = Ties(view)
        leased = {actor.name: _core(actor).unfit for actor in self._living() if _core(actor).leased}
        able = candidates(view, leased, {actor.name: _core(actor).hop for actor in self._living()}).values()
        return Situation(
            members=tuple(self._actors),
            up=frozenset(n for n in leased if n in view.members and view.members[n].record.state is MemberState.ONLINE),
            able={
                qm: frozenset(c.name for c in able if c.takes(kept.record) and c.name not in kept.record.failed_on)
                for qm, kept in view.assignments.items()
            },
            owners={qm: kept.record.owner for qm, kept in view.assignments.items() if kept.record.owner},
            frozen=view.orders.record.frozen,
            mates={qm: frozenset(found) for qm in view.specs if (found := ties.mates(qm))},
            rivals={qm: frozenset(found) for qm in view.specs if (found := ties.rivals(qm))},
        )


def _core(actor: Machine) -> Core:
    assert actor.daemon is not None
    return actor.daemon.core


def _living(snapshot: Snapshot) -> list[str]:
    """Members that are heard by the one who took the snapshot, or by one whom it hears."""
    heard_of = {name for said in snapshot.heard.values() for name in said.hears}
    return [m.name for m in snapshot.cluster.members if m.name in snapshot.heard or m.name in heard_of]


def _silences(snapshot: Snapshot, living: list[str]) -> Iterator[Pair]:
    """Pairs (from, to) between which nothing passes: the hearer says so; if its word is unknown, the other one does."""
    heard = snapshot.heard
    for source in living:
        for to in living:
            hearer, other = (to, source) if to in heard else (source, to)
            if hearer in heard and other not in heard[hearer].hears:
                yield source, to
