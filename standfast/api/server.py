"""The API's process: it listens, admits so many, watches the idle, and ends when the daemon does.

Why a process of its own: a heartbeat that is late by the time of a burst of TLS handshakes, or of a JSON document of
megabytes, is an eviction. Here such things cost a process that is less urgent than the daemon, has bounded memory, and
speaks to it only through the control socket, whose answers take milliseconds.

Guarantees: at most MAX_CONNECTIONS are open, an idle one is closed after IDLE_S, a handshake that is not over within
HANDSHAKE_S too; nothing that is sent raises beyond its own connection; the process ends when its standard input does.
Does not guarantee that everybody is served: who opens all connections at once keeps others out, from this process only.
"""

import asyncio
import logging
import ssl
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from standfast.api import limits
from standfast.api.application import application
from standfast.api.desk import Desk
from standfast.api.peers import learn
from standfast.endpoints.listener import listening
from standfast.errors import StandfastError
from standfast.member.control_protocol import OrderResult, TellRefused
from standfast.tokens import TokenFile
from standfast.trust import ssl_guest_context

SWEEP_S = 1.0
_log = logging.getLogger(__name__)


async def serve(
    *, cluster: str, member: str, address: str, port: int, socket: Path, trust: Path, state_dir: Path
) -> None:
    """Serve until standard input ends.

    Args:
        cluster: its name.
        member: which one this is.
        address: to listen on.
        port: likewise.
        socket: the member's control socket.
        trust: directory with its certificates.
        state_dir: of the member, with the tokens.

    Raises MachineError when the port is taken, KeyFileError.
    """
    desk = Desk(cluster, member, socket, TokenFile(state_dir))
    guests = Guests(application(desk))
    listener = listening("The API", address, port)
    await guests.open(listener, ssl_guest_context(trust))
    _log.info("the API of member %s listens on https://%s:%d", member, address, port)
    work = [asyncio.create_task(one) for one in (desk.hub.run(), learn(desk, trust), _tell(desk), guests.sweep())]
    over = asyncio.create_task(_input_ends())
    try:
        done, _ = await asyncio.wait({*work, over}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*work, over):
            task.cancel()
        await guests.close()


class Guests:
    """All connections of the server."""

    def __init__(self, made: web.Application) -> None:
        made.middlewares.insert(0, self._noting())
        self._runner = web.AppRunner(
            made,
            handle_signals=False,
            access_log=None,
            keepalive_timeout=limits.IDLE_S,
            lingering_time=1.0,
            auto_decompress=False,
        )
        self._served: set[object] = set()
        self._idle_since_s: dict[Any, float] = {}
        self._server: asyncio.Server | None = None

    async def open(self, listener: Any, tls: ssl.SSLContext) -> None:
        """Listen."""
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol, sock=listener, ssl=tls, ssl_handshake_timeout=limits.HANDSHAKE_S, ssl_shutdown_timeout=1.0
        )

    async def close(self) -> None:
        """Drop every connection."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            connection.force_close()
        await self._runner.cleanup()

    async def sweep(self) -> None:
        """Close, for ever, who has sent no whole request for long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s, open_ = loop.time(), self._connections()
            self._idle_since_s = {one: self._idle_since_s.get(one, now_s) for one in open_ if one not in self._served}
            for connection, since_s in self._idle_since_s.items():
                if now_s - since_s > limits.IDLE_S:
                    connection.force_close()

    def _connections(self) -> list[Any]:
        return list(self._runner.server.connections) if self._runner.server else []

    def _protocol(self) -> asyncio.BaseProtocol:
        """For a new connection; one too many is dropped."""
        assert self._runner.server is not None
        return _Dropped() if len(self._connections()) >= limits.MAX_CONNECTIONS else self._runner.server()

    def _noting(self) -> Any:
        """Who is being served is not idle."""

        @web.middleware
        async def note(request: web.Request, handler: Any) -> web.StreamResponse:
            self._served.add(request.protocol)
            try:
                answer: web.StreamResponse = await handler(request)
                return answer
            finally:
                self._served.discard(request.protocol)

        return note


class _Dropped(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make an end of it."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


async def _tell(desk: Desk) -> None:
    """Have the member tell of those who were not let in."""
    while True:
        await asyncio.sleep(SWEEP_S)
        waiting, desk.gate.untold = desk.gate.untold, []
        for address, why, count in waiting:
            try:
                await desk.ask(TellRefused(address=address, why=why, count=count), OrderResult, None)
            except StandfastError as error:
                _log.warning("%d refused logins from %s (%s) could not be told: %s", count, address, why, error)


async def _input_ends() -> None:
    """The daemon holds the other end, and is gone when that is."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass
