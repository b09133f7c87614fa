"""A whole cluster on this machine, and waiting for it to be as it should."""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from standfast.clusterfile import load
from standfast.errors import MachineError, Unreachable
from standfast.lab import plan
from standfast.lab.node import Node
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import QueueManagerReport, StatusReport
from standfast.model.records import MemberState, Phase

POLL_S = 0.02
SETTLE_S = 60.0
"""Longest wait for a state that a healthy machine reaches in seconds."""


class Lab:
    """The lab in `directory`; made by `plan.plan`. Raises ClusterFileError when there is none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.cluster = load(self.directory / plan.CLUSTER_FILE)
        self.nodes = {spec.name: Node(self.directory, spec.name) for spec in self.cluster.members}

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

    async def anyone(self) -> ControlClient:
        """A client for the first node that answers; to be entered. Raises Unreachable."""
        for node in self.nodes.values():
            if await node.knows():
                return ControlClient(node.socket, SETTLE_S)
        raise Unreachable("No node of the lab answers. Start it: standfast lab up")

    async def until(
        self, good: Callable[[StatusReport], bool], seen_by: Iterable[str] = (), within_s: float = SETTLE_S
    ) -> StatusReport:
        """Wait until every one of these nodes (or any node at all) reports a state that is `good`.

        Raises MachineError with what they said last.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        wanted = tuple(seen_by)
        while True:
            reports = [report for name in wanted or self.nodes if (report := await self.nodes[name].knows())]
            fine = [report for report in reports if good(report)]
            if fine and (not wanted or len(fine) == len(wanted)):
                return fine[0]
            if loop.time() >= until:
                said = "; ".join(f"{report.answered_by}: {_brief(report)}" for report in reports) or "nobody answers"
                raise MachineError(f"The lab did not become as it should within {within_s:g} s: {said}")
            await asyncio.sleep(POLL_S)

    async def until_running(self, qm: str, on: str | None = None, epoch: int = 0) -> QueueManagerReport:
        """Wait until a queue manager runs (on that node, under that epoch or a later one)."""

        def good(report: StatusReport) -> bool:
            found = queue_manager(report, qm)
            ours = found is not None and on in (None, found.owner) and found.epoch >= epoch
            return bool(ours and found and found.phase is Phase.RUNNING and found.target is None)

        found = queue_manager(await self.until(good), qm)
        assert found is not None
        return found

    async def until_whole(self) -> StatusReport:
        """Wait until every node runs, is online, and hears all others."""

        def good(report: StatusReport) -> bool:
            limit_ms = report.timing.interval_ms * report.timing.in_doubt_after
            return all(
                m.state is MemberState.ONLINE and m.heard_ms is not None and m.heard_ms <= limit_ms
                for m in report.members
            )

        return await self.until(good, seen_by=self.nodes)


def queue_manager(report: StatusReport, qm: str) -> QueueManagerReport | None:
    """The report on one queue manager; None while the cluster does not know it."""
    return next((one for one in report.queue_managers if one.name == qm), None)


def _brief(report: StatusReport) -> str:
    members = ", ".join(f"{m.name} {m.state or 'never joined'}" for m in report.members)
    managers = ", ".join(f"{q.name} {q.phase} on {q.owner}" for q in report.queue_managers)
    return f"{members}; {managers}"
