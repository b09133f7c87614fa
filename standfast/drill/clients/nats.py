"""NATS JetStream for a load: a stream with file storage, publishes confirmed by PubAck, a durable pull consumer.

The stream keeps every message of the run (no limits, no `Nats-Msg-Id`, so no deduplication by the server): what was
stored twice is there twice. Protocol: docs.nats.io/reference/reference-protocols/nats-protocol; JetStream API subjects
and fields: the `jetstream_api` schemas of github.com/nats-io/jsm.go.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from standfast.drill.clients.base import Answered, Lost, NotConnected, Received
from standfast.drill.record import LoadSettings
from standfast.errors import UsageError
from standfast.managers.credentials import Credentials, read_credentials
from standfast.managers.nats import connect_command

_BATCH = 500
_ACK_WAIT_NS = 1_000_000_000  # a consumer that lost its connection gets its unacknowledged messages back this soon
_READER_IDLE_NS = 60_000_000_000  # the server forgets a reader that went away
_OFFERED = b"$JS.ACK."

OnMessage = Callable[[bytes, bytes, bytes], None]
"""Subject, reply subject (may be empty) and payload; the payload is empty for a status without one."""


class _ApiError(Struct, frozen=True):
    code: int = 0
    description: str = ""


class _ApiAnswer(Struct, frozen=True):
    error: _ApiError | None = None


class NatsConnection(asyncio.Protocol):
    """The wire protocol: frames in and out, nothing else."""

    def __init__(self, credentials: Credentials | None, on_message: OnMessage, lost: Lost) -> None:
        self._credentials, self._on_message, self._lost = credentials, on_message, lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._refusal = ""
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self._numbers = itertools.count()
        self._requests: dict[bytes, asyncio.Future[bytes]] = {}
        self._greeted = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def inbox(self) -> str:
        """Prefix of the subjects on which answers to this connection arrive."""
        return self._inbox

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server speaks first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take as many whole frames as there are."""
        self._buffer += data
        while self._take():
            pass

    def connection_lost(self, _: Exception | None) -> None:
        """Tell everybody who waits."""
        self._transport = None
        reason = NotConnected(self._refusal or "the connection was closed")
        waiting: list[asyncio.Future[Any]] = [self.ready, *self._requests.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(reason)
                future.exception()  # seen: whoever awaits it gets it too
        self._lost()

    def write(self, frames: bytes) -> None:
        """Send at once; ignored when the connection is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames)

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        """One message."""
        self.write(b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(payload), payload))

    async def ask(self, subject: str, fields: dict[str, Any]) -> bytes:
        """A request to the JetStream API; raises NotConnected when it is refused or the connection breaks."""
        reply = f"{self._inbox}.r{next(self._numbers)}"
        future = asyncio.get_running_loop().create_future()
        self._requests[reply.encode()] = future
        self.publish(f"$JS.API.{subject}", msgspec.json.encode(fields), reply)
        try:
            answer: bytes = await future
        finally:
            del self._requests[reply.encode()]
        error = msgspec.json.decode(answer, type=_ApiAnswer).error if answer else _ApiError(503, "JetStream is off")
        if error is not None:
            raise NotConnected(f"{subject}: {error.description}")
        return answer

    def close(self) -> None:
        """Abort."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        verb, *words = bytes(self._buffer[:end]).split()
        if verb in (b"MSG", b"HMSG"):
            return self._take_message(verb, words, end + 2)
        del self._buffer[: end + 2]
        if verb == b"INFO" and not self._greeted:
            self._greeted = True
            self.write(connect_command(self._credentials) + b"SUB %s.* 1\r\nPING\r\n" % self._inbox.encode())
        elif verb == b"PING":
            self.write(b"PONG\r\n")
        elif verb == b"PONG" and not self.ready.done():
            self.ready.set_result(None)
        elif verb == b"-ERR":
            self._refuse(b" ".join(words).decode(errors="replace"))
        return True

    def _take_message(self, verb: bytes, words: list[bytes], start: int) -> bool:
        """MSG subject sid [reply] size, HMSG subject sid [reply] header-size size; then the bytes."""
        size = int(words[-1])
        if len(self._buffer) < start + size + 2:
            return False
        headers = int(words[-2]) if verb == b"HMSG" else 0
        payload = bytes(self._buffer[start + headers : start + size])
        del self._buffer[: start + size + 2]
        reply = words[2] if len(words) == (5 if headers else 4) else b""
        request = self._requests.get(words[0])
        if request is None:
            self._on_message(words[0], reply, payload)
        elif not request.done():
            request.set_result(payload)
        return True

    def _refuse(self, said: str) -> None:
        self._refusal = said
        if "authorization" in said.lower() and not self.ready.done():
            self.ready.set_exception(UsageError(f"The queue manager refused the drill's login: {said}."))


class NatsProducer:
    """Publishes; the token is the last part of the subject that the PubAck comes back on."""

    def __init__(self, wire: NatsConnection, subject: str) -> None:
        self._wire, self._subject = wire, subject

    def send(self, token: int, payload: bytes) -> None:
        """See Connection."""
        self._wire.publish(self._subject, payload, f"{self._wire.inbox}.{token}")

    def close(self) -> None:
        """See Connection."""
        self._wire.close()


class NatsConsumer:
    """Pulls batch after batch from a durable consumer and acknowledges each message."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._wire: NatsConnection | None = None
        self._subject = ""
        self._left = 0

    def start(self, wire: NatsConnection, stream: str, name: str) -> None:
        """Ask for the first batch."""
        self._wire, self._subject = wire, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
        self._pull()

    def on_message(self, _: bytes, reply: bytes, payload: bytes) -> None:
        """A message; or a status (no reply subject): the pull ended, and a new connection must set all up again."""
        if not reply.startswith(_OFFERED):
            self.close()
            return
        self._received(payload)
        assert self._wire is not None
        self._wire.publish(reply.decode(), b"+ACK")
        self._left -= 1
        if self._left == 0:
            self._pull()

    def send(self, token: int, payload: bytes) -> None:
        """A consumer sends nothing."""
        raise AssertionError(f"a consumer was asked to send {token}: {payload!r}")

    def close(self) -> None:
        """See Connection."""
        if self._wire is not None:
            self._wire.close()

    def _pull(self) -> None:
        if self._wire is not None:
            self._left = _BATCH
            self._wire.publish(self._subject, msgspec.json.encode({"batch": _BATCH}), f"{self._wire.inbox}.m")


class NatsClient:
    """The client of one run; see the module's docstring."""

    consumer_attempts = 8

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._credentials = read_credentials(settings.user, settings.password_file)
        self._stream = f"STANDFAST-DRILL-{settings.run}"
        self._subject = f"standfast.drill.{settings.run}"

    async def prepare(self) -> None:
        """See Client."""
        await self._once(f"STREAM.CREATE.{self._stream}", self._stream_fields())

    async def producer(self, answered: Answered, lost: Lost) -> NatsProducer:
        """See Client."""

        def on_message(subject: bytes, _: bytes, payload: bytes) -> None:
            accepted = bool(payload) and msgspec.json.decode(payload, type=_ApiAnswer).error is None
            answered(int(subject.rpartition(b".")[2]), accepted)

        return NatsProducer(await self._open(on_message, lost), self._subject)

    async def consumer(self, index: int, received: Received, lost: Lost) -> NatsConsumer:  # noqa: ARG002
        """See Client. All share one durable consumer, whatever their index: each message goes to one of them."""
        consumer = NatsConsumer(received)
        wire = await self._open(consumer.on_message, lost)
        name = "consumers"
        config = {"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all", "ack_wait": _ACK_WAIT_NS}
        await _or_close(wire, f"CONSUMER.CREATE.{self._stream}.{name}", self._consumer_fields(config))
        consumer.start(wire, self._stream, name)
        return consumer

    async def read_back(self) -> list[bytes]:
        """See Client. A reader of its own, from the first message to the last that was there when it began."""
        found: list[bytes] = []
        ended = asyncio.Event()

        def on_message(_: bytes, reply: bytes, payload: bytes) -> None:
            if reply.startswith(_OFFERED):
                found.append(payload)
            # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
            if not reply.startswith(_OFFERED) or reply.endswith(b".0"):
                ended.set()

        wire = await self._open(on_message, ended.set)
        config = {"ack_policy": "none", "deliver_policy": "all", "inactive_threshold": _READER_IDLE_NS}
        try:
            info = msgspec.json.decode(await wire.ask(f"STREAM.INFO.{self._stream}", {}))
            expected = info["state"]["messages"]
            if expected:
                made = await wire.ask(f"CONSUMER.CREATE.{self._stream}", self._consumer_fields(config))
                name = msgspec.json.decode(made)["name"]
                wire.publish(
                    f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{name}",
                    msgspec.json.encode({"batch": expected}),
                    f"{wire.inbox}.m",
                )
                await ended.wait()
        finally:
            wire.close()
        if len(found) < expected:
            raise NotConnected(f"the connection broke after {len(found)} of {expected} messages")
        return found

    async def discard(self) -> None:
        """See Client."""
        await self._once(f"STREAM.DELETE.{self._stream}", {})

    async def _open(self, on_message: OnMessage, lost: Lost) -> NatsConnection:
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: NatsConnection(self._credentials, on_message, lost), self._settings.address, self._settings.port
        )
        try:
            await wire.ready
        except BaseException:
            wire.close()
            raise
        return wire

    async def _once(self, subject: str, fields: dict[str, Any]) -> None:
        wire = await self._open(lambda _, __, ___: None, lambda: None)
        try:
            await wire.ask(subject, fields)
        finally:
            wire.close()

    def _stream_fields(self) -> dict[str, Any]:
        return {
            "name": self._stream,
            "subjects": [self._subject],
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "num_replicas": 1,
        }

    def _consumer_fields(self, config: dict[str, Any]) -> dict[str, Any]:
        return {"stream_name": self._stream, "config": config}


async def _or_close(wire: NatsConnection, subject: str, fields: dict[str, Any]) -> None:
    try:
        await wire.ask(subject, fields)
    except BaseException:
        wire.close()
        raise
