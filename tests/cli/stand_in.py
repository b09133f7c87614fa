"""A stand-in for the daemon, the reports that it gives, and the terminal that talks to it."""

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result

from standfast.cli.main import main
from standfast.member.control_protocol import EventLine, Hello, Status, Welcome
from standfast.member.report import MemberReport, QueueManagerReport, StatusReport, StoreReport
from standfast.model.cluster import Role
from standfast.model.records import MemberState, Phase
from standfast.model.timing import PROFILES

NOW_MS = 1_795_362_001_123
"""A Sunday in November 2026."""


def member_report(name: str, **changes) -> MemberReport:
    """One that is well."""
    values = {
        "role": Role.WITNESS if name.startswith("w") else Role.DATA,
        "address": f"127.0.60.{ord(name[0]) % 10}",
        "state": MemberState.ONLINE,
        "reason": "joined",
        "incarnation": 3,
        "heard_ms": 120,
        "hears_us": True,
        "leased": True,
        **changes,
    }
    return MemberReport(name=name, **values)


def qm_report(name: str, owner: str | None = "a", **changes) -> QueueManagerReport:
    """One that runs."""
    values = {
        "kind": "nats",
        "phase": Phase.RUNNING,
        "epoch": 7,
        "address": "127.0.60.1",
        "port": 4222,
        "since_unix_ms": NOW_MS - 11_520_000,
        "durability": "synced",
        **changes,
    }
    return QueueManagerReport(name=name, owner=owner, **values)


def status_report(**changes) -> StatusReport:
    """A healthy cluster of two data members and a witness."""
    values = {
        "cluster": "shop",
        "answered_by": "b",
        "at_unix_ms": NOW_MS,
        "timing": PROFILES["normal"],
        "members": (
            member_report("a"),
            member_report("b", heard_ms=0, lease_left_ms=2_312),
            member_report("w", coordinator=True, store_leader=True, heard_ms=87),
        ),
        "queue_managers": (qm_report("orders"),),
        "store": StoreReport(reachable=True, leader="w", revision=1423, latency_ms=1.83, version="3.6.11"),
        **changes,
    }
    return StatusReport(**values)


class StandIn:
    """A stand-in for the daemon: answers by the class of the request, keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[type, object] = {Hello: Welcome(1, "shop", "b"), Status: status_report()}
        self.asked: list[object] = []
        self.log: list[EventLine] = []

    async def handle(self, request, actor):
        self.asked.append(request)
        answer = self.answers[type(request)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def events(self, request, actor):
        self.asked.append(request)
        for line in self.log:
            if line.revision > request.since:
                yield line
        if request.follow:
            await asyncio.Event().wait()


class Terminal:
    """Runs commands against the stand-in."""

    def __init__(self, member: StandIn, socket: Path) -> None:
        self.member = member
        self.socket = socket

    def __call__(self, *words: str, width: int = 80, asking: bool = True) -> Result:
        env = {"COLUMNS": str(width), "STANDFAST_SOCKET": str(self.socket) if asking else None, "TZ": "UTC"}
        return CliRunner().invoke(main, list(words), env=env)
