"""Asks a member over its control socket. What the member refuses arrives as the exception that it raised.

Guarantees: every wait for an answer has the caller's deadline; nothing is asked twice. Does not guarantee that an
order whose answer did not come was not carried out: ask for the status to find out.
"""

import asyncio
import errno
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from standfast import errors
from standfast.errors import StandfastError, Unreachable
from standfast.member.control_protocol import End, EventLine, Events, Failed, Hello, Request, Response, Welcome

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""Longest line that is accepted: the status of thousands of queue managers, with room."""

R = TypeVar("R", bound=Response)

_ENCODER = msgspec.json.Encoder()
_RESPONSES: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)
_ERRORS: dict[str, type[StandfastError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, StandfastError)
}


class ControlClient:
    """Asks the member behind a socket. Use as `async with ControlClient(path, timeout_s) as member`.

    Args:
        path: of the socket.
        timeout_s: longest wait for each answer in seconds; following events waits for ever.
        on_behalf: for whom it asks, see Hello.
    """

    def __init__(self, path: Path, timeout_s: float, on_behalf: str = "") -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._on_behalf = on_behalf
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.welcome = Welcome(0, "", "")

    async def __aenter__(self) -> Self:
        """Connect and say hello. Raises Unreachable, or what the member answers."""
        try:
            async with asyncio.timeout(self._timeout_s):
                connected = await asyncio.open_unix_connection(self._path, limit=MAX_RESPONSE_BYTES)
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            raise Unreachable(_why_not(self._path, error)) from None
        self._reader, self._writer = connected
        if self._writer.get_extra_info("peername") is None:  # its queue is full: asyncio takes that for connected
            self._writer.close()
            raise self._silent()
        try:
            self.welcome = await self.ask(Hello(on_behalf=self._on_behalf), Welcome)
        except BaseException:
            self._writer.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        assert self._writer is not None
        self._writer.close()

    async def ask(self, request: Request, answer: type[R]) -> R:
        """The member's answer, of that class. Raises Unreachable, or what the member answers instead."""
        self._send(request)
        got = await self._receive(self._timeout_s)
        if not isinstance(got, answer):
            raise Unreachable(f"The member behind {self._path} answered {type(got).__name__}, which was not asked for.")
        return got

    async def events(self, request: Events) -> AsyncGenerator[EventLine, None]:
        """Event lines, to the end of the log or, when followed, until the caller stops."""
        self._send(request)
        while True:
            got = await self._receive(None if request.follow else self._timeout_s)
            if isinstance(got, End):
                return
            if not isinstance(got, EventLine):
                raise Unreachable(f"The member behind {self._path} answered {type(got).__name__} instead of events.")
            yield got

    def _send(self, request: Request) -> None:
        assert self._writer is not None
        self._writer.write(_ENCODER.encode(request) + b"\n")

    async def _receive(self, timeout_s: float | None) -> Response:
        assert self._reader is not None
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._reader.readline()
        except TimeoutError:
            raise self._silent() from None
        except (OSError, ValueError):
            line = b""
        if not line.endswith(b"\n"):
            raise Unreachable(f"The member behind {self._path} ended the connection. See its log, and ask again.")
        try:
            got = _RESPONSES.decode(line)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Unreachable(f"What answers on {self._path} is not understood: {error}.") from None
        if isinstance(got, Failed):
            raise _ERRORS.get(got.error, StandfastError)(got.message)
        return got

    def _silent(self) -> Unreachable:
        return Unreachable(
            f"The member behind {self._path} did not answer within {self._timeout_s:g} s: it is overloaded or stopped. "
            "Look at its process and its log."
        )


def _why_not(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return f"There is no control socket {path}: no member runs here, or it has another --run-dir."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"You may not open {path}: use sudo, or join the group that owns it."
    if error.errno == errno.ECONNREFUSED:
        return f"Nobody listens on {path}: the member has died. Start it, and see its log."
    return f"{path} can not be opened: {error.strerror}."
