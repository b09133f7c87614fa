"""Asking a running cluster through the control sockets on this machine, and waiting for it to be as it should."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from standfast.errors import MachineError, Unreachable
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import Status
from standfast.member.report import QueueManagerReport, StatusReport
from standfast.model.cluster import Cluster
from standfast.model.records import MemberState, Phase

POLL_S = 0.02
ASK_S = 1.0
SETTLE_S = 60.0
"""Longest wait for a state that a healthy machine reaches in seconds."""


class Reach:
    """A cluster and the control sockets, by member, through which it can be asked from here."""

    def __init__(self, cluster: Cluster, sockets: Mapping[str, Path]) -> None:
        self.cluster = cluster
        self.sockets = dict(sockets)

    async def knows(self, name: str) -> StatusReport | None:
        """What a member knows; None when it does not answer."""
        try:
            async with ControlClient(self.sockets[name], ASK_S) as member:
                return await member.ask(Status(), StatusReport)
        except Unreachable:
            return None

    async def report(self, first: Iterable[str] = ()) -> StatusReport:
        """What the first member that answers knows; raises Unreachable."""
        for name in (*(n for n in first if n in self.sockets), *self.sockets):
            if report := await self.knows(name):
                return report
        tried = ", ".join(str(path) for path in self.sockets.values())
        raise Unreachable(f"No member of the cluster answers. Tried {tried}. See that one runs on this machine.")

    async def anyone(self) -> ControlClient:
        """A client for the first member that answers; to be entered. Raises Unreachable."""
        report = await self.report()
        return ControlClient(self.sockets[report.answered_by], SETTLE_S)

    async def until(
        self, good: Callable[[StatusReport], bool], seen_by: Collection[str] = (), within_s: float = SETTLE_S
    ) -> StatusReport:
        """Wait until every one of these members (or any member at all) reports a state that is `good`.

        Raises MachineError with what they said last, or with why one of them will never say it.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        wanted = tuple(seen_by) or tuple(self.sockets)
        enough = len(wanted) if seen_by else 1
        while True:
            reports = await self._reports(wanted, good, enough)
            fine = [report for report in reports if good(report)]
            if len(fine) >= enough:
                return fine[0]
            if failures := self.failures(wanted):
                raise MachineError(" ".join(failures))
            if loop.time() >= until:
                said = "; ".join(f"{report.answered_by}: {_brief(report)}" for report in reports) or "nobody answers"
                raise MachineError(f"The cluster did not become as it should within {within_s:g} s: {said}")
            await asyncio.sleep(POLL_S)

    def failures(self, names: Iterable[str]) -> list[str]:  # noqa: ARG002 - who can look at processes overrides it
        """Why members will not answer any more, as far as it can be seen from here."""
        return []

    async def _reports(
        self, names: Iterable[str], good: Callable[[StatusReport], bool], enough: int
    ) -> list[StatusReport]:
        """What these members report; when one takes long to answer, only until enough others are good."""
        asked = [asyncio.create_task(self.knows(name)) for name in names]
        reports: list[StatusReport] = []
        try:
            for answer in asyncio.as_completed(asked):
                if (report := await answer) is not None:
                    reports.append(report)
                if sum(map(good, reports)) >= enough:
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return reports

    async def until_running(self, qm: str, on: str | None = None, epoch: int = 0) -> QueueManagerReport:
        """Wait until a queue manager runs (on that member, under that epoch or a later one)."""

        def good(report: StatusReport) -> bool:
            found = queue_manager(report, qm)
            ours = found is not None and on in (None, found.owner) and found.epoch >= epoch
            return bool(ours and found and found.phase is Phase.RUNNING and found.target is None)

        found = queue_manager(await self.until(good), qm)
        assert found is not None
        return found

    async def until_whole(self) -> StatusReport:
        """Wait until every member that can be asked is online, hears all, and counts on the votes and etcds of all."""

        def good(report: StatusReport) -> bool:
            limit_ms = report.timing.interval_ms * report.timing.in_doubt_after
            if report.store.serving is not None and len(report.store.serving) < len(report.members):
                return False
            if report.store.listed not in (0, len(report.members)):
                return False
            return all(
                m.state is MemberState.ONLINE and m.able and m.heard_ms is not None and m.heard_ms <= limit_ms
                for m in report.members
            )

        return await self.until(good, seen_by=self.sockets)


def queue_manager(report: StatusReport, qm: str) -> QueueManagerReport | None:
    """The report on one queue manager; None while the cluster does not know it."""
    return next((one for one in report.queue_managers if one.name == qm), None)


def _brief(report: StatusReport) -> str:
    members = ", ".join(f"{m.name} {m.state or 'never joined'}" for m in report.members)
    managers = ", ".join(f"{q.name} {q.phase} on {q.owner}" for q in report.queue_managers)
    return f"{members}; {managers}"
