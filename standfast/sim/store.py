"""The store: linearizable, with revisions, guarded transactions and an event log; as ambiguous as a real one.

What it models: latency of every call; a store process on each member's machine, of which a connected majority is
needed; elections; transactions whose answer is lost, whether they happened or not, or happen later than the caller
gave up; outages and slowness of the store alone; answers to reads that are older than the newest state (though never
older than what that client has seen: the client refuses those).

What it must not model: a stale answer to a read before the reader votes and grants, or while it has no lease. Design
3.2 rests on the first read after a start being linearizable, and a voter without a lease on its reads.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from standfast.model.cluster import Cluster
from standfast.model.records import Outcome, Transaction
from standfast.model.view import View
from standfast.quorum.core import Core
from standfast.quorum.signals import Input, ReadFailed, Transact, Transacted, ViewRead
from standfast.sim.network import Network
from standfast.sim.world import NS_PER_MS, World

HISTORY = 30
"""Views kept for stale answers."""


class Temper(Struct, kw_only=True):
    """How well the store works; times in nanoseconds, the others are probabilities per call.

    Attributes:
        latency_ns: one way, longest; the shortest is a third of it.
        deadline_ns: after which a caller gives up.
        election_ns: (shortest, longest) time without a leader after the loss of one.
        lost_request: a call never arrives.
        lost_answer: a call is carried out, its answer never arrives.
        late: a transaction is carried out up to `late_ns` after its caller gave up.
        late_ns: see above.
        stale: a later read is answered from an older state.
    """

    latency_ns: int = 1 * NS_PER_MS
    deadline_ns: int = 500 * NS_PER_MS
    election_ns: tuple[int, int] = (200 * NS_PER_MS, 600 * NS_PER_MS)
    lost_request: float = 0.0
    lost_answer: float = 0.0
    late: float = 0.0
    late_ns: int = 0
    stale: float = 0.0


class Client(Protocol):
    """A daemon that calls the store; answers reach it only while it lives. `seen`: revision of its newest read."""

    core: Core
    machine: str
    seen: int

    def give(self, given: Input) -> None:
        """An answer."""
        ...


Committed = Callable[[Transaction, View, View], None]


class Store:
    """One store; `machines` have a store process each, `up` those whose process runs now."""

    def __init__(self, world: World, network: Network, cluster: Cluster, committed: Committed) -> None:
        self._world = world
        self._network = network
        self.servers = [m.name for m in cluster.members]
        """Machines whose store process counts: of each voter, once it was taken in."""
        self._committed = committed
        self.temper = Temper()
        self.view = View()
        self.up: set[str] = set(self.servers)
        self.away = False
        """An outage of the store alone."""
        self.leader: str | None = cluster.rank[0]
        self.aim: Callable[[str, str], None] = lambda _machine, _tag: None
        """Told of each commit (machine that asked, tag) before the answer leaves."""
        self.hold_next = False
        """The next transaction is not carried out before `let_go`; its caller gives up meanwhile."""
        self._held: Transact | None = None
        self._electing = False
        self._history: deque[View] = deque([self.view], maxlen=HISTORY)

    # ------------------------------------------------------------ servers

    @property
    def majority(self) -> int:
        """How many of its servers are a majority."""
        return len(self.servers) // 2 + 1

    def identity(self, member: str) -> str:
        """Which machine has joined as that member; empty for none."""
        kept = self.view.members.get(member)
        return kept.record.identity if kept is not None else ""

    def begin(self, machine: str) -> None:
        """The store process of a machine runs; a majority must take it in before it counts."""
        self.up.add(machine)
        self._take_in(machine)

    def _take_in(self, machine: str) -> None:
        if machine in self.servers or machine not in self.up or not self._listed(machine):
            return
        if self._led() and not self.away:
            self.servers.append(machine)
        else:
            self._world.after(self.temper.election_ns[1], self._take_in, machine)

    def _listed(self, name: str) -> bool:
        settings = self.view.settings
        return settings is not None and name in settings.record.members

    def _enrol(self) -> None:
        """Who votes has changed: the processes of the others do not count any more."""
        self.servers = [name for name in self.servers if self._listed(name)]
        for machine in sorted(self.up - {*self.servers}):
            self._take_in(machine)

    # ------------------------------------------------------------ reach

    def _peers(self, machine: str) -> int:
        return sum(1 for other in self.servers if other in self.up and self._network.in_touch(machine, other))

    def _led(self) -> bool:
        leader = self.leader
        if leader is not None and leader in self.up and leader in self.servers and self._peers(leader) >= self.majority:
            return True
        if not self._electing:
            self._electing = True
            self.leader = None
            self._world.coverage["store: election"] += 1
            low, high = self.temper.election_ns
            self._world.after(self._world.between(low, high), self._elect)
        return False

    def _elect(self) -> None:
        able = [m for m in self.servers if m in self.up and self._peers(m) >= self.majority]
        if not able:
            self._world.after(self.temper.election_ns[0], self._elect)
            return
        self._electing = False
        self.leader = self._world.rng.choice(able)
        self._world.say("store", f"{self.leader} leads")

    def serves(self, machine: str) -> bool:
        """Whether a call from that machine gets through now."""
        if self.away or not self._led():
            return False
        touch, leader = self._network.in_touch, self.leader
        assert leader is not None
        return any(touch(machine, other) and touch(other, leader) for other in self.servers if other in self.up)

    def _latency(self) -> int:
        longest = self.temper.latency_ns
        return longest // 3 + int(self._world.rng.random() * (longest - longest // 3))

    # ------------------------------------------------------------ reads

    def read(self, client: Client) -> None:
        """A linearizable read, or a stale one where that is allowed."""
        deadline_ns = self._world.now_ns + self.temper.deadline_ns
        if self._world.chance(self.temper.lost_request + self.temper.lost_answer):
            self._world.at(deadline_ns, client.give, ReadFailed())
            return
        self._world.after(self._latency(), self._read, client, deadline_ns)

    def _read(self, client: Client, deadline_ns: int) -> None:
        if not self.serves(client.machine):
            self._world.at(max(deadline_ns, self._world.now_ns), client.give, ReadFailed())
            return
        view = self.view
        if self.temper.stale and client.core.able and client.core.leased and self._world.chance(self.temper.stale):
            view = self._world.rng.choice([v for v in self._history if v.revision >= client.seen] or [view])
            self._world.coverage["store: stale answer"] += view is not self.view
        self._world.after(self._latency(), self._answer_read, client, view, deadline_ns)

    def _answer_read(self, client: Client, view: View, deadline_ns: int) -> None:
        if self._world.now_ns > deadline_ns or not self.serves(client.machine):
            self._world.at(max(deadline_ns, self._world.now_ns), client.give, ReadFailed())
            return
        if view.revision < client.seen:
            self._world.coverage["store: answer went back, refused"] += 1
            client.give(ReadFailed())
            return
        client.seen = view.revision
        client.give(ViewRead(view))

    # ------------------------------------------------------------ transactions

    def transact(self, client: Client, effect: Transact) -> None:
        """Carry out a transaction once; its answer, or none, reaches the client."""
        world, temper = self._world, self.temper
        deadline_ns = world.now_ns + temper.deadline_ns
        draw = world.rng.random()
        if self.hold_next:
            self.hold_next = False
            self._held = effect
            world.at(deadline_ns, self._unknown, client, effect.tag)
        elif draw < temper.lost_request:
            world.coverage["store: request lost"] += 1
            world.at(deadline_ns, self._unknown, client, effect.tag)
        elif draw < temper.lost_request + temper.late:
            world.coverage["store: late"] += 1
            world.at(deadline_ns, self._unknown, client, effect.tag)
            world.at(deadline_ns + world.between(0, temper.late_ns), self._late, effect)
        else:
            world.after(self._latency(), self._transact, client, effect, deadline_ns)

    def _unknown(self, client: Client, tag: str) -> None:
        self._world.coverage["store: outcome unknown"] += 1
        client.give(Transacted(tag, Outcome.UNKNOWN))

    def let_go(self) -> None:
        """Carry out the transaction that was held back, if there is one."""
        if self._held is not None:
            held, self._held = self._held, None
            self._late(held)

    def _late(self, effect: Transact) -> None:
        revision = self._commit(effect.transaction) if self._led() and not self.away else None
        if revision is not None:
            self._world.coverage["store: committed late"] += 1
            self._world.say("store", f"{effect.tag} committed late, as revision {revision}")

    def _transact(self, client: Client, effect: Transact, deadline_ns: int) -> None:
        world = self._world
        if not self.serves(client.machine):
            world.at(max(deadline_ns, world.now_ns), self._unknown, client, effect.tag)
            return
        revision = self._commit(effect.transaction)
        if revision is not None:
            self.aim(client.machine, effect.tag)
        if world.chance(self.temper.lost_answer):
            world.coverage["store: answer lost"] += 1
            world.at(max(deadline_ns, world.now_ns), self._unknown, client, effect.tag)
            return
        world.after(self._latency(), self._answer, client, effect.tag, revision, deadline_ns)

    def _answer(self, client: Client, tag: str, revision: int | None, deadline_ns: int) -> None:
        if self._world.now_ns > deadline_ns or not self.serves(client.machine):
            self._world.at(max(deadline_ns, self._world.now_ns), self._unknown, client, tag)
        elif revision is None:
            self._world.coverage["store: refused"] += 1
            client.give(Transacted(tag, Outcome.REFUSED))
        else:
            client.give(Transacted(tag, Outcome.COMMITTED, revision))

    def _commit(self, transaction: Transaction) -> int | None:
        """The new revision, or None when a guard does not hold."""
        held = self.view
        revisions = {key: revision for key, _, revision in held.records()}
        if any(revisions.get(guard.key, 0) != guard.revision for guard in transaction.guards):
            return None
        revision = held.revision + 1
        self.view = held.merged(revision, [(put.key, put.record, revision) for put in transaction.puts])
        self._history.append(self.view)
        if self.view.settings is not held.settings:
            self._enrol()
        self._committed(transaction, held, self.view)
        return revision
