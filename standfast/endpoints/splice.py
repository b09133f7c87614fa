"""Two TCP connections joined into one, on the level of transports: no task, and one buffer that all of them share.

What arrives is read into that buffer, and the kernel takes it from there at once; only what it does not take is copied.
A buffer for each read would be mapped and unmapped by the C library each time: that took twice the processor's time of
all the rest (`bench/proxy.py`).

Guaranteed: each direction stops reading when the other side takes no more (MAX_UNSENT bytes wait at most, and one
read); the end of one direction is passed on and the other stays open; when one connection breaks, so does the other;
Nagle's delay is off. Bytes are passed on in order or not at all: nothing is sent again over another connection.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

MAX_UNSENT: Final = 262_144
READ_BYTES: Final = 262_144
"""Most that is read at once."""

_LINGER_NONE: Final = struct.pack("ii", 1, 0)
_KEEPALIVE: Final = (  # a silent peer is given up after a minute
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


def shared_buffer() -> memoryview:
    """For all ends of one event loop: what was read is gone from it before the loop reads again."""
    return memoryview(bytearray(READ_BYTES))


class End(asyncio.BufferedProtocol):
    """One of two joined connections; reads nothing until it is joined.

    Args:
        buffer: the loop's, see `shared_buffer`.
        made: called when it is connected.
        lost: called when it is no more.

    Attributes:
        transport: of the connection, once it is made.
        other: the end that it is joined to.
        finished: the peer will send nothing more.
        gone: the connection is no more.
    """

    def __init__(
        self,
        buffer: memoryview,
        made: "Callable[[End], None] | None" = None,
        lost: "Callable[[End], None] | None" = None,
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None
        self.finished = False
        self.gone = False
        self._buffer = buffer
        self._socket = -1
        self._made = made
        self._lost = lost

    @property
    def alive(self) -> bool:
        """Whether it can be joined and written to."""
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket up and wait to be joined."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()
        # Before Python 3.11.4 it reads all the same: the reader is added when this method has returned.
        asyncio.get_running_loop().call_soon(self._hold)
        transport.set_write_buffer_limits(high=MAX_UNSENT)
        sock = transport.get_extra_info("socket")
        self._socket = sock.fileno()
        for level, option, value in ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *_KEEPALIVE):
            sock.setsockopt(level, option, value)
        if self._made:
            self._made(self)

    def _hold(self) -> None:
        if self.other is None and self.alive:
            assert self.transport is not None
            self.transport.resume_reading()
            self.transport.pause_reading()

    def join(self, other: "End") -> None:
        """From now on what one reads the other sends. Both must be alive."""
        self.other, other.other = other, self
        for end in (self, other):
            assert end.alive
            assert end.transport is not None
            end.transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - there is one
        """Where the loop reads into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        assert self.other is not None
        taken = self.other.taken(self._buffer[:nbytes])
        if taken < nbytes:
            self._peer().write(bytes(self._buffer[taken:nbytes]))

    def taken(self, data: memoryview) -> int:
        """How many of these bytes the kernel took at once: none while others wait, or on an error.

        An error is left to the transport, which meets it again and ends the connection.
        """
        # A socket that is closing may have given its number to another one.
        if self.alive and self.transport is not None and not self.transport.get_write_buffer_size():
            with contextlib.suppress(OSError):
                return os.write(self._socket, data)
        return 0

    def eof_received(self) -> bool:
        """Pass the end of this direction on; both directions ended closes both."""
        self.finished = True
        assert self.other is not None
        if self.other.finished:
            self._peer().close()
            return False
        if self.other.alive:
            self._peer().write_eof()
        return True

    def pause_writing(self) -> None:
        """This side takes no more: the other one stops reading."""
        if self.other and self.other.alive:
            self._peer().pause_reading()

    def resume_writing(self) -> None:
        """This side takes more again."""
        if self.other and self.other.alive:
            self._peer().resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Break the other one too; after a clean end, what was read is still sent."""
        self.gone = True
        if self.other:
            if exc is None:
                self._peer().close()
            else:
                self.other.reset()
        if self._lost:
            self._lost(self)

    def reset(self) -> None:
        """Break it at once, visibly for the peer (RST), and with it the other one."""
        for end in (self, self.other):
            if end and end.transport and not end.gone:
                sock = end.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
                end.transport.abort()

    def _peer(self) -> asyncio.Transport:
        assert self.other is not None
        assert self.other.transport is not None
        return self.other.transport
