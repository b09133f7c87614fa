"""A whole cluster on this machine: its nodes, brought up and taken down together."""

import contextlib
import functools
import shutil
from collections.abc import Iterable
from pathlib import Path

from standfast.clusterfile import load
from standfast.errors import MachineError
from standfast.lab import plan
from standfast.lab.network import Network
from standfast.lab.node import Node
from standfast.lab.reach import Reach, queue_manager
from standfast.model.cluster import Cluster


class Lab(Reach):
    """The lab in `directory`; made by `plan.plan`. Raises ClusterFileError when there is none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        cluster = load(self.directory / plan.CLUSTER_FILE)
        self.network = _network(self.directory, cluster)
        """Of its own, when its members live in network namespaces."""
        self.nodes = {
            spec.name: Node(self.directory, spec.name, functools.partial(self.inside, spec.name))
            for spec in cluster.members
        }
        super().__init__(cluster, {name: node.socket for name, node in self.nodes.items()})

    def inside(self, name: str) -> tuple[str, ...]:
        """What to put before a command to run it on a member's machine, or on that for clients (`network.CLIENT`).

        Nothing in a lab on loopback addresses. Raises UsageError for an unknown name.
        """
        return self.network.inside(name) if self.network else ()

    def up(self, names: Iterable[str] = ()) -> None:
        """Start the nodes that do not run (all, or those named)."""
        if self.network:
            self.network.up()
        for name in names or self.nodes:
            if self.nodes[name].pid is None:
                self.nodes[name].start()

    def down(self) -> None:
        """Stop all nodes: cleanly, then those that do not end in time, and what the dead left behind, by force."""
        for node in self.nodes.values():
            node.ask_to_stop()
        for node in self.nodes.values():
            with contextlib.suppress(MachineError):
                node.await_stop()
        self.kill()

    def kill(self) -> None:
        """Kill all nodes, and end the network of its own with everything in it."""
        for node in self.nodes.values():
            node.kill()
        if self.network:
            self.network.remove()

    def failures(self, names: Iterable[str]) -> list[str]:
        """Those of the nodes that were started here and ended by themselves with an error."""
        return [failure for name in names if (failure := self.nodes[name].failure)]

    def remove(self) -> None:
        """Delete everything of it; its nodes must not run."""
        shutil.rmtree(self.directory)


def _network(directory: Path, cluster: Cluster) -> Network | None:
    try:
        prefix = (directory / plan.NAMESPACES).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    return Network(prefix, {spec.name: spec.addresses[0] for spec in cluster.members})


__all__ = ["Lab", "queue_manager"]
