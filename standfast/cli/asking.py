"""Finding the member to ask, and asking it."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from standfast.errors import Unreachable
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import Request, Response

RUN_DIR = Path("/run/standfast")
"""Where members put their control sockets unless told otherwise."""
TIMEOUT_S = 5.0
"""Longest wait for an answer, unless told otherwise: a member answers in milliseconds, an order needs the store."""

R = TypeVar("R", bound=Response)
F = TypeVar("F", bound=Callable[..., Any])


class Asked(Struct, frozen=True):
    """Which member the command line means.

    Attributes:
        socket: path given; None to look for it.
        member: name given; empty for the only one on this machine.
        timeout_s: longest wait for each answer in seconds.
    """

    socket: Path | None
    member: str
    timeout_s: float

    def client(self) -> ControlClient:
        """A client for it; raises Unreachable, saying what was tried."""
        return ControlClient(self.path(), self.timeout_s)

    def path(self) -> Path:
        """The socket: the one given, the named member's, or the only one there is."""
        if self.socket is not None:
            return self.socket
        if self.member:
            return RUN_DIR / f"{self.member}.sock"
        found = sorted(RUN_DIR.glob("*.sock"))
        if len(found) == 1:
            return found[0]
        if not found:
            raise Unreachable(
                f"No member to ask: there is no socket in {RUN_DIR}, and neither --socket nor STANDFAST_SOCKET names "
                "one. Run this where a member runs, or give its socket."
            )
        names = ", ".join(path.stem for path in found)
        raise Unreachable(f"Several members run here: {names}. Choose one with --member NAME.")

    def ask(self, request: Request, answer: type[R]) -> R:
        """One request, one answer."""
        return asyncio.run(self._ask(request, answer))

    async def _ask(self, request: Request, answer: type[R]) -> R:
        async with self.client() as member:
            return await member.ask(request, answer)


def asking(command: F) -> F:
    """Give a command the options that choose the member; it gets them as the keyword `asked`."""

    @click.option(
        "--socket",
        type=click.Path(path_type=Path),
        envvar="STANDFAST_SOCKET",
        show_envvar=True,
        help="Control socket of the member to ask.",
    )
    @click.option("--member", "-m", "asked_member", default="", help=f"Ask this member: {RUN_DIR}/MEMBER.sock.")
    @click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        default=TIMEOUT_S,
        show_default=True,
        help="Longest wait for an answer, in seconds.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, socket: Path | None, asked_member: str, timeout_s: float, **values: Any) -> Any:
        return command(*args, asked=Asked(socket, asked_member, timeout_s), **values)

    return wrapped  # type: ignore[return-value]
