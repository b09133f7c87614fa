"""A whole cluster on this machine: its nodes, brought up and taken down together."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from standfast.clusterfile import load
from standfast.errors import MachineError
from standfast.lab import plan
from standfast.lab.node import Node
from standfast.lab.reach import Reach, queue_manager


class Lab(Reach):
    """The lab in `directory`; made by `plan.plan`. Raises ClusterFileError when there is none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        cluster = load(self.directory / plan.CLUSTER_FILE)
        self.nodes = {spec.name: Node(self.directory, spec.name) for spec in cluster.members}
        super().__init__(cluster, {name: node.socket for name, node in self.nodes.items()})

    def up(self, names: Iterable[str] = ()) -> None:
        """Start the nodes that do not run (all, or those named)."""
        for name in names or self.nodes:
            if self.nodes[name].pid is None:
                self.nodes[name].start()

    def down(self) -> None:
        """Stop all nodes: cleanly, then those that do not end in time by force."""
        for node in self.nodes.values():
            node.ask_to_stop()
        for node in self.nodes.values():
            try:
                node.await_stop()
            except MachineError:
                node.kill()

    def kill(self) -> None:
        """Kill all nodes."""
        for node in self.nodes.values():
            node.kill()

    def remove(self) -> None:
        """Delete everything of it; its nodes must not run."""
        shutil.rmtree(self.directory)


__all__ = ["Lab", "queue_manager"]
