"""What all machines of a run share, and who interferes with them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from standfast.model.cluster import Cluster
from standfast.model.timing import lapse_ns
from standfast.quorum import signals as sig
from standfast.sim.disk import Disk
from standfast.sim.network import Network
from standfast.sim.storages import Storages
from standfast.sim.store import Store
from standfast.sim.told import Told
from standfast.sim.warden import Watcher
from standfast.sim.world import World

if TYPE_CHECKING:
    from standfast.sim.machine import Machine


class Interferer(Protocol):
    """Who aims faults at moments of the protocol."""

    def moment(self, name: str, machine: "Machine", about: str) -> None:
        """Something is about to be done by the machine; it may be paused, cut off or dead after this call."""
        ...

    def acknowledged(self, machine: "Machine", about: str) -> None:
        """An acknowledgement was just sent; called very often."""
        ...


class Surroundings:
    """What all machines share."""

    def __init__(self, world: World, cluster: Cluster, network: Network, store: Store) -> None:
        self.world = world
        self.cluster = cluster
        self.network = network
        self.store = store
        self.disk = Disk(world, cluster)
        self.storages = Storages(world)
        self.clears = 0.0
        """How often a daemon that starts ends what runs, as when the warden is of another version."""
        self.interferer: Interferer
        self.watcher: Watcher
        self.told = Told(world, [m.name for m in cluster.members], cluster.majority, lapse_ns(cluster.timing.term_ns))
        self.answered: Callable[[sig.Answer], None] = lambda _: None
