"""Datagrams between machines: lost, late, doubled, overtaken, and cut in either direction.

A cut lets nothing pass, connections to the store included; or it is one for datagrams alone (a firewall, a link of
their own), so that a member that nobody hears may still read and write the store.
"""

from typing import Protocol

from msgspec import Struct

from standfast.model.cluster import Cluster
from standfast.quorum.signals import Received
from standfast.sim.world import World


class Habits(Struct, kw_only=True):
    """How well the network works; times in nanoseconds, the others are probabilities per datagram.

    Attributes:
        base_ns: shortest delay.
        jitter_ns: added to it, evenly drawn.
        loss: it never arrives.
        double: it arrives twice, the second copy after up to `spike_ns`.
        spike: it arrives after up to `spike_ns`, overtaken by others.
        spike_ns: see above.
    """

    base_ns: int = 100_000
    jitter_ns: int = 200_000
    loss: float = 0.0
    double: float = 0.0
    spike: float = 0.0
    spike_ns: int = 0


class Node(Protocol):
    """A machine on the network."""

    id: str
    name: str

    def receive(self, given: Received) -> None:
        """A datagram has arrived."""
        ...


class Network:
    """All machines by name (two may share one: a namesake) and the directed pairs that are cut."""

    __slots__ = ("_jitter_ns", "_odd", "_random", "_sure_ns", "_world", "cut", "filtered", "habits", "nodes")

    def __init__(self, world: World, cluster: Cluster) -> None:
        self._world = world
        self._random = world.rng.random
        self.nodes: dict[str, list[Node]] = {m.name: [] for m in cluster.members}
        self.cut: set[tuple[str, str]] = set()
        """Pairs (from, to) of machine ids between which nothing passes in that direction."""
        self.filtered: set[tuple[str, str]] = set()
        """Pairs between which no datagram passes, though connections work."""
        self.behave(Habits())

    def behave(self, habits: Habits) -> None:
        """Work like this from now on."""
        self.habits = habits
        self._odd = habits.loss + habits.double + habits.spike
        self._sure_ns = habits.base_ns
        self._jitter_ns = habits.jitter_ns

    def send(self, source: str, to: str, given: Received) -> None:
        """Send from the machine `source` to every machine named `to`."""
        world = self._world
        for node in self.nodes.get(to, ()):
            if self.cut and (source, node.id) in self.cut:
                continue
            if self.filtered and (source, node.id) in self.filtered:
                continue
            draw = self._random()
            if draw < self._odd:
                self._send_oddly(draw, node, given)
                continue
            world.at(world.now_ns + self._sure_ns + int(draw * self._jitter_ns), node.receive, given)

    def _send_oddly(self, draw: float, node: Node, given: Received) -> None:
        world, habits = self._world, self.habits
        if draw < habits.loss:
            world.coverage["network: lost"] += 1
            return
        late_ns = self._sure_ns + int(self._random() * habits.spike_ns)
        if draw < habits.loss + habits.double:
            world.coverage["network: doubled"] += 1
            world.after(self._sure_ns, node.receive, given)
        else:
            world.coverage["network: delayed"] += 1
        world.after(late_ns, node.receive, given)

    def in_touch(self, one: str, other: str) -> bool:
        """Whether a connection between two machines works, which needs both directions."""
        return one == other or ((one, other) not in self.cut and (other, one) not in self.cut)
