"""What a data member says of a queue manager, followed from afar: the client side of `/follow`.

Guaranteed: a word counts for the lease that came with it, from its arrival, on this machine's monotonic clock, and
not a moment longer, whatever becomes of the stream; a stream that falls silent is dropped and asked for again.

Not guaranteed: that a word is true. It was, when it was said; that it takes time to arrive makes a lease look longer
here by just that time. What keeps a queue manager from running twice is the lease itself, not this.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from standfast.endpoints.health import Line

RETRY_S: Final = 0.1
"""Pause between two attempts to reach a member, in seconds."""
CONNECT_S: Final = 2.0
"""Longest time for a member to accept the connection and to begin its answer, in seconds."""
SILENT_INTERVALS: Final = 4
"""A stream without a line for so many of its intervals is dead."""
LEAST_SILENCE_S: Final = 0.5
"""And never sooner than this, in seconds, however short the interval."""

_MAX_LINE: Final = 4096
_MAX_PORT: Final = 65_535
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)  # what reading and decoding a line raises
_decode: Final = msgspec.json.Decoder(Line).decode


class Source(NamedTuple):
    """Where a data member's health URLs are."""

    member: str
    host: str
    port: int


class Word(NamedTuple):
    """The newest line of a member.

    `until_s` is when an active one has run out, on the event loop's clock.
    """

    line: Line
    until_s: float


class StreamError(Exception):
    """The stream cannot be used; the message says why."""


class Follower:
    """Follows one member.

    Args:
        source: the member.
        queue_manager: which one.
        heard: called after each change of `word`.

    Attributes:
        word: the newest; None when the member is not heard and its last word is of no use.
        trouble: why it is not heard, for people; empty while it is.
    """

    def __init__(self, source: Source, queue_manager: str, heard: Callable[[], None]) -> None:
        self.source = source
        self.word: Word | None = None
        self.trouble = "not asked yet"
        self._queue_manager = queue_manager
        self._heard = heard

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._stream()
            except (OSError, StreamError, *_UNREADABLE) as error:
                self.trouble = str(error) or type(error).__name__
            if self.word and not self.word.line.active:
                self.word = None  # an active word counts until it runs out; another one only while it is renewed
                self._heard()
            await asyncio.sleep(RETRY_S)

    async def _stream(self) -> None:
        async with asyncio.timeout(CONNECT_S) as clock:
            reader, writer = await asyncio.open_connection(self.source.host, self.source.port, limit=_MAX_LINE)
            try:
                path = f"/queue-managers/{self._queue_manager}/follow"
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.source.host}\r\n\r\n".encode())
                status = await reader.readline()
                if status.split(b" ")[1:2] != [b"200"]:
                    raise StreamError(f"it answered {status.decode('latin-1').strip()!r}")
                while (await reader.readline()).strip():
                    pass
                while raw := await reader.readline():
                    line = self._hear(raw)
                    clock.reschedule(asyncio.get_running_loop().time() + _patience_s(line))
                raise StreamError("it ended the stream")
            finally:
                writer.transport.abort()

    def _hear(self, raw: bytes) -> Line:
        line = _decode(raw)
        if line.active and not 0 < line.port <= _MAX_PORT:
            raise StreamError(f"it named port {line.port}")
        self.word = Word(line, asyncio.get_running_loop().time() + line.lease_ms / 1000)
        self.trouble = ""
        self._heard()
        return line


def _patience_s(line: Line) -> float:
    return max(LEAST_SILENCE_S, SILENT_INTERVALS * line.interval_ms / 1000)
