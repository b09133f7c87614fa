"""The control socket: a Unix socket on which a member answers its operators.

Guarantees: only users who may open the socket file reach it (mode 0600, or 0660 with a group; the file has that mode
before the first connection is possible); who asked is known from the kernel, not from what the client says; a bad,
oversized or unknown request, a client that hangs up or never reads, and an error in the handler end at most their own
connection. Does not guarantee that an order is carried out: the answer says what became of it.
"""

import asyncio
import contextlib
import grp
import logging
import os
import socket
import struct
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct, structs

from standfast.errors import AlreadyRunning, MachineError, Refused, StandfastError
from standfast.member.control_protocol import (
    ORDERS,
    VERSION,
    End,
    EventLine,
    Events,
    Failed,
    Hello,
    Request,
    Response,
)

MAX_REQUEST_BYTES = 1024 * 1024
"""Longest line that a client may send; names are short."""
MAX_CONNECTIONS = 64
"""More at once are told to come back: a forgotten loop of status calls must not eat the daemon's files."""
MAX_NAME = 200
"""Longest name of somebody on whose behalf a client asks."""
MAX_PATH_BYTES = 107
"""The kernel's limit for the path of a Unix socket (sun_path, unix(7))."""

_PEER = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid
_log = logging.getLogger(__name__)


NOBODY = 2**32 - 1
"""The kernel's word for a login uid that is not set."""


class Actor(Struct, frozen=True):
    """Who asked, as the kernel knows it. Not resolved to a user name: that lookup may wait for a network.

    Attributes:
        pid: of the process.
        uid: of its user.
        gid: of its group.
        on_behalf: for whom it says that it asks; empty: for itself.
        login_uid: of the user who logged in, whom `sudo` does not change (proc(5), loginuid); None: unknown.
    """

    pid: int
    uid: int
    gid: int
    on_behalf: str = ""
    login_uid: int | None = None

    def __str__(self) -> str:
        """For logs and events."""
        login = f", logged in as uid {self.login_uid}" if self.login_uid not in {None, self.uid} else ""
        return self.on_behalf or f"uid {self.uid}{login} (pid {self.pid})"


def printable(name: str) -> str:
    """A name from outside as it may stand in logs and events."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:MAX_NAME])


class Handler(Protocol):
    """What the member does with requests. Raise a StandfastError to refuse: the client raises the same class."""

    async def handle(self, request: Request, actor: Actor) -> Response:
        """Answer everything but Events; Hello is answered with Welcome."""
        ...

    def events(self, request: Events, actor: Actor) -> AsyncGenerator[EventLine, None]:
        """Events after request.since; ends by itself unless request.follow."""
        ...


class ControlServer:
    """Listens on a Unix socket and passes each request to the handler.

    Args:
        path: of the socket; its directory must exist.
        handler: answers.
        group: name of the group that may use it besides the owner; None for the owner alone.
    """

    def __init__(self, path: Path, handler: Handler, group: str | None = None) -> None:
        self._path = path
        self._handler = handler
        self._group = group
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. Raises AlreadyRunning when somebody answers there, MachineError when the path can not be used."""
        listener = _listener(self._path, self._group)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_REQUEST_BYTES)

    async def close(self) -> None:
        """Stop listening, end every connection and remove the socket; a second call does nothing."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            if len(self._serving) > MAX_CONNECTIONS:
                busy = f"The member serves {MAX_CONNECTIONS} control connections already. Try again in a moment."
                await _send(writer, Failed("Refused", busy))
            else:
                await self._converse(reader, writer, _actor(writer))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client hung up, or the member ends
        finally:
            self._serving.discard(task)
            writer.transport.abort() if self._server is None else writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actor: Actor) -> None:
        """Answer line after line until the client hangs up or says something that can not be parted into lines."""
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # longer than the limit: where it ends is not known
                await _send(writer, Failed("UsageError", f"A request is at most {MAX_REQUEST_BYTES} bytes long."))
                return
            if not line.endswith(b"\n"):
                return
            actor = await self._answer(line, reader, writer, actor)

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actor: Actor
    ) -> Actor:
        """One request; whatever the handler raises becomes an answer. Returns who asks from then on."""
        try:
            request = _REQUESTS.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            await _send(writer, Failed("UsageError", f"The member does not understand the request: {error}."))
            return actor
        if isinstance(request, Hello) and request.on_behalf:
            actor = structs.replace(actor, on_behalf=printable(request.on_behalf))
        try:
            if isinstance(request, Events) and request.follow:
                await self._follow(request, reader, writer, actor)
            elif isinstance(request, Events):
                await self._stream(request, writer, actor)
            else:
                await _send(writer, await self._checked(request, actor))
        except StandfastError as error:
            await _send(writer, Failed(type(error).__name__, str(error)))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - one request's bug must not cost the others their socket
            _log.exception("control request failed", extra={"request": type(request).__name__, "actor": str(actor)})
            unforeseen = "The member met an error that nobody foresaw. Its log has the details; please report them."
            await _send(writer, Failed("StandfastError", unforeseen))
        return actor

    async def _checked(self, request: Request, actor: Actor) -> Response:
        if isinstance(request, Hello) and request.version != VERSION:
            raise Refused(
                f"The member speaks version {VERSION} of the control protocol, this client version {request.version}. "
                "Use the `standfast` that is installed with the member."
            )
        level = logging.INFO if isinstance(request, ORDERS) else logging.DEBUG
        _log.log(level, "control request", extra={"request": type(request).__name__, "actor": str(actor)})
        return await self._handler.handle(request, actor)

    async def _stream(self, request: Events, writer: asyncio.StreamWriter, actor: Actor) -> None:
        """All events asked for; a client that does not read holds up nobody but itself."""
        revision = request.since
        async with contextlib.aclosing(self._handler.events(request, actor)) as events:
            async for event in events:
                await _send(writer, event)
                revision = max(revision, event.revision)
        await _send(writer, End(revision))

    async def _follow(
        self, request: Events, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actor: Actor
    ) -> None:
        """Stream until the client hangs up: without events, nothing else would notice that it did."""
        stream = asyncio.ensure_future(self._stream(request, writer, actor))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({stream, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ConnectionResetError("the follower hung up")
            stream.result()
        finally:
            stream.cancel()
            gone.cancel()
            await asyncio.gather(stream, gone, return_exceptions=True)


_ENCODER = msgspec.json.Encoder()
_REQUESTS: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


async def _send(writer: asyncio.StreamWriter, response: Response) -> None:
    writer.write(_ENCODER.encode(response) + b"\n")
    await writer.drain()


def _actor(writer: asyncio.StreamWriter) -> Actor:
    """Who is at the other end (SO_PEERCRED, unix(7))."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, uid, gid = _PEER.unpack(raw)
    return Actor(pid, uid, gid, login_uid=_login_uid(pid))


def _login_uid(pid: int) -> int | None:
    """Of a process that may be gone already; None also where nobody logged in, as for a service."""
    try:
        found = int(Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if found == NOBODY else found


def _listener(path: Path, group: str | None) -> socket.socket:
    """A bound socket whose file has its final owner and mode; nobody can connect before `listen`."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise MachineError(
            f"The path of the control socket, {path}, is longer than the {MAX_PATH_BYTES} bytes that the kernel "
            "allows. Choose a shorter --run-dir."
        )
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        if group is None:
            path.chmod(0o600)
        else:
            os.chown(path, -1, _gid(group))
            path.chmod(0o660)
    except OSError as error:
        listener.close()
        raise MachineError(
            f"The control socket {path} can not be made: {error.strerror}. See that its directory exists and may be "
            "written by this user, and that the user may give files to the group."
        ) from None
    except MachineError:
        listener.close()
        path.unlink()
        raise
    return listener


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise MachineError(f"There is no group {group} on this machine: create it, or choose another one.") from None


def _clear(path: Path) -> None:
    """Remove what a dead daemon left; raises when somebody lives there, or when it is not a socket at all."""
    if not path.exists():
        return
    if not path.is_socket():
        raise MachineError(f"{path} is in the way of the control socket and is no socket. Look at it and move it away.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # somebody listens, with a full queue
        raise AlreadyRunning(f"A member answers on {path} already. Stop it first, or choose another --run-dir.")
