"""A whole cluster on this machine: its nodes, brought up and taken down together."""

import contextlib
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
        """Stop all nodes: cleanly, then those that do not end in time, and what the dead left behind, by force."""
        for node in self.nodes.values():
            node.ask_to_stop()
        for node in self.nodes.values():
            with contextlib.suppress(MachineError):
                node.await_stop()
        self.kill()

    def kill(self) -> None:
        """Kill all nodes."""
        for node in self.nodes.values():
            node.kill()

    def failures(self, names: Iterable[str]) -> list[str]:
        """Those of the nodes that were started here and ended by themselves with an error."""
        return [failure for name in names if (failure := self.nodes[name].failure)]

    def remove(self) -> None:
        """Delete everything of it; its nodes must not run."""
        shutil.rmtree(self.directory)


__all__ = ["Lab", "queue_manager"]
