"""Just enough of an HTTP/1.1 server for health URLs (RFC 9112), bounded in every direction.

Guaranteed: a client costs at most one connection slot, MAX_HEAD bytes of requests, MAX_UNSENT bytes of answers (a
stream that is finished is as long as its last part), and IDLE_S seconds of silence; connections beyond MAX_CONNECTIONS
are closed at once, and streams beyond MAX_STREAMS are refused, so that followers leave room for probes; no input
raises. Requests have no bodies here: one that announces a body is refused and its connection closed, which leaves
nothing to smuggle in it.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

MAX_HEAD: Final = 4096
MAX_CONNECTIONS: Final = 512
MAX_STREAMS: Final = 384
MAX_UNSENT: Final = 65_536
IDLE_S: Final = 30.0
"""Longest silence of a client, and longest time for it to send one request, in seconds."""

METHODS: Final = ("GET", "HEAD", "OPTIONS")


class Answer(NamedTuple):
    """An answer; `stream` instead of a body makes it endless, or lets it come later. `kind`: its content type."""

    status: HTTPStatus
    body: bytes = b""
    stream: "Callable[[Connection], None] | None" = None
    kind: str = "application/jsonl"


class Connection(asyncio.Protocol):
    """One client.

    Args:
        answer: gives the answer to a path; called for each request.
        connections: of the same server; this one adds and removes itself.
    """

    def __init__(self, answer: Callable[[str], Answer], connections: set["Connection"]) -> None:
        self._answer = answer
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._idle: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.streams = False
        self.on_close: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a slot, or close when there is none."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._connections.add(self)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the slot."""
        del exc
        self._connections.discard(self)
        if self._idle:
            self._idle.cancel()
        if self.on_close:
            self.on_close()

    def data_received(self, data: bytes) -> None:
        """Answer every whole request, in order."""
        if self.streams:
            return  # an endless answer: whatever the client still says is not read as a request
        assert self._transport is not None
        self._head += data
        if len(self._head) > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        while not self.streams and not self._transport.is_closing():
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = rest
            self._respond(head)

    def write(self, data: bytes) -> None:
        """Send part of a stream; a client that does not read is dropped."""
        assert self._transport is not None
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort()

    def finish(self, data: bytes) -> None:
        """Send the rest of a stream, however long it is, and close; nothing if the client has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection without waiting for anything."""
        if self._transport:
            self._transport.abort()

    def _expect(self) -> None:
        """The clock for the next request runs from now on."""
        if self._idle:
            self._idle.cancel()
        self._idle = self._loop.call_later(IDLE_S, self.abort)

    def _respond(self, head: bytes) -> None:
        request = _parsed(head)
        if isinstance(request, HTTPStatus):
            self._refuse(request)
            return
        answer = self._answer(request.path)
        if answer.stream and request.method == "GET":
            self._stream(answer.stream, answer.kind)
            return
        head_only = request.method == "HEAD"
        self.write(_head(answer.status, len(answer.body), keep=request.keep) + (b"" if head_only else answer.body))
        if request.keep:
            self._expect()
        else:
            self._close()

    def _stream(self, begin: "Callable[[Connection], None]", kind: str) -> None:
        if sum(connection.streams for connection in self._connections) >= MAX_STREAMS:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self.streams = True
        assert self._idle is not None
        self._idle.cancel()
        self.write(_head(HTTPStatus.OK, None, keep=False, kind=kind))
        begin(self)

    def _refuse(self, status: HTTPStatus) -> None:
        self._head = b""
        self.write(_head(status, 0, keep=False))
        self._close()

    def _close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class _Request(NamedTuple):
    method: str
    path: str
    keep: bool


def _parsed(head: bytes) -> _Request | HTTPStatus:
    """The request, or the status that refuses it."""
    lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in {"HTTP/1.0", "HTTP/1.1"}:  # noqa: PLR2004 - method, target, version
        return HTTPStatus.BAD_REQUEST
    method, target, version = words
    if method not in METHODS:
        return HTTPStatus.METHOD_NOT_ALLOWED
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            return HTTPStatus.BAD_REQUEST
        headers[name.lower()] = value.strip().lower()
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return _Request(method, target.partition("?")[0], _keeps(version, headers))


def _keeps(version: str, headers: Mapping[str, str]) -> bool:
    said = headers.get("connection", "")
    return said == "keep-alive" if version == "HTTP/1.0" else said != "close"


def _head(status: HTTPStatus, length: int | None, *, keep: bool, kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Content-Type: {kind}", "Cache-Control: no-store"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {', '.join(METHODS)}")
    lines.append(f"Connection: {'keep-alive' if keep else 'close'}")
    return "\r\n".join([*lines, "", ""]).encode()
