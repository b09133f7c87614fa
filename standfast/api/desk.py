"""What a request is answered from: the hub, the gate, and the member itself, asked in the name of who asks."""

from pathlib import Path
from typing import TypeVar

from aiohttp import web
from msgspec import Struct

from standfast.api import limits
from standfast.api.answers import Problem
from standfast.api.gate import Gate, Principal
from standfast.api.hub import Hub
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import Request, Response
from standfast.member.report import StatusReport
from standfast.tokens import TokenFile

R = TypeVar("R", bound=Response)


class Desk:
    """Of one server; `socket`: the member's control socket."""

    def __init__(self, cluster: str, member: str, socket: Path, tokens: TokenFile) -> None:
        self.cluster = cluster
        self.member = member
        self.tokens = tokens
        self.gate = Gate(tokens)
        self.hub = Hub(socket)
        self._socket = socket

    async def ask(self, request: Request, answer: type[R], by: Principal | None) -> R:
        """The member's answer to somebody; raises what it answers instead, and Unreachable."""
        async with ControlClient(self._socket, limits.ASK_S, on_behalf=str(by) if by else "") as member:
            return await member.ask(request, answer)

    async def report(self) -> StatusReport:
        """What the member knows now."""
        return (await self.hub.look()).report


class Call(Struct, frozen=True, kw_only=True):
    """One request, understood and allowed.

    Attributes:
        desk: to answer it from.
        by: who asks; None for nobody in particular.
        path: the parts of the path that have names.
        query: what the route names of the query, each by its type.
        body: as the route names it; None when it has none.
        raw: the request itself, for answers that are streams or cookies.
    """

    desk: Desk
    by: Principal | None
    path: dict[str, str]
    query: dict[str, int | str]
    body: object
    raw: web.Request

    async def member(self) -> str:
        """The member named in the path; raises Problem when the cluster has none of that name."""
        name, report = self.path["member"], await self.desk.report()
        if name not in {member.name for member in report.members}:
            raise unknown("member", name, [member.name for member in report.members])
        return name

    async def queue_manager(self) -> str:
        """The queue manager named in the path; raises Problem when the cluster has none of that name."""
        name, report = self.path["queue_manager"], await self.desk.report()
        if name not in {qm.name for qm in report.queue_managers}:
            raise unknown("queue manager", name, [qm.name for qm in report.queue_managers])
        return name


def unknown(what: str, name: str, known: list[str]) -> Problem:
    """That there is none of that name."""
    return Problem(404, "NotFound", f"There is no {what} {name!r}: this cluster has {', '.join(known[:20]) or 'none'}.")
