"""RabbitMQ for a load: persistent messages to quorum queues with publisher confirms, over AMQP 0-9-1.

Messages go to a fanout exchange of the run with two quorum queues: one for the consumers, one that keeps all for the
audit. A message is confirmed when both have synced it. `read_back` consumes the second queue without acknowledging, up
to a last message that it sends itself (a queue keeps its order); when the connection ends, all of it is in its place.
It can read some 500,000 messages.
"""

import asyncio
import secrets
import struct
from collections.abc import Awaitable, Callable

from standfast.drill.clients.base import Answered, Lost, NotConnected, Received
from standfast.drill.record import LoadSettings
from standfast.errors import UsageError
from standfast.managers import amqp
from standfast.managers.credentials import Credentials
from standfast.managers.rabbitmq import NOTED_S, login_credentials

_CHANNEL = 1
_PREFETCH = 500
_READ_PREFETCH, _READERS = 65_535, 8
"""A quorum queue gives no consumer more unacknowledged messages than this, so that several read back together."""
_BASIC, _WITH_DELIVERY_MODE, _PERSISTENT = 60, 0x1000, 2
_CHANNEL_OPEN, _CHANNEL_OPEN_OK = (20, 10), (20, 11)
_EXCHANGE_DECLARE, _EXCHANGE_DECLARE_OK, _EXCHANGE_DELETE, _EXCHANGE_DELETE_OK = (40, 10), (40, 11), (40, 20), (40, 21)
_QUEUE_DECLARE, _QUEUE_DECLARE_OK, _QUEUE_BIND, _QUEUE_BIND_OK = (50, 10), (50, 11), (50, 20), (50, 21)
_QUEUE_DELETE, _QUEUE_DELETE_OK = (50, 40), (50, 41)
_QOS, _QOS_OK, _CONSUME, _CONSUME_OK = (60, 10), (60, 11), (60, 20), (60, 21)
_PUBLISH, _ACK = (60, 40), (60, 80)
_CONFIRM, _CONFIRM_OK = (85, 10), (85, 11)
_DURABLE = b"\x02"
_MANDATORY = b"\x01"

OnConfirm = Callable[[int, bool, bool], None]
"""Delivery tag, whether it means all before it too, and whether it was stored."""
OnDelivery = Callable[[int, bytes], None]
"""Delivery tag and payload."""


class AmqpConnection(asyncio.Protocol):
    """The wire protocol on one channel: methods and messages in and out, nothing else."""

    def __init__(self, credentials: Credentials, lost: Lost) -> None:
        self._login, self._lost = amqp.Login(credentials), lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._refusal = ""
        self._expected: tuple[int, int] = _CHANNEL_OPEN_OK
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tag: int | None = None
        self._left = 0
        self._payload = bytearray()
        self.on_confirm: OnConfirm = lambda _, __, ___: None
        self.on_delivery: OnDelivery = lambda _, __: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client speaks first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(amqp.PROTOCOL_HEADER)

    def data_received(self, data: bytes) -> None:
        """Take as many whole frames as there are."""
        self._buffer += data
        try:
            while (frame := amqp.take_frame(self._buffer)) is not None:
                self._hear(frame)
        except amqp.ProtocolError as error:
            self._refuse(str(error))
        except amqp.Refused as error:
            if error.login:
                self._fail(UsageError(f"The queue manager refused the drill's login: {error}."))
            self._refuse(str(error))

    def connection_lost(self, _: Exception | None) -> None:
        """Tell everybody who waits."""
        self._transport = None
        self._fail(NotConnected(self._refusal or "the connection was closed"))
        self._lost()

    def write(self, frames: bytes) -> None:
        """Send at once; ignored when the connection is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames)

    async def opened(self) -> None:
        """Return when the channel is open; raises NotConnected, UsageError."""
        await self._answer

    async def call(self, which: tuple[int, int], expected: tuple[int, int], *arguments: bytes) -> None:
        """A method that the broker answers; raises NotConnected when it is refused or the connection breaks."""
        self._expected, self._answer = expected, asyncio.get_running_loop().create_future()
        if self._transport is None:
            raise NotConnected("the connection was closed")
        self.write(amqp.method(_CHANNEL, which, *arguments))
        await self._answer

    def publish(self, exchange: str, key: str, payload: bytes) -> None:
        """One persistent message; it comes back, and the connection ends, when there is no queue for it."""
        publish = amqp.method(_CHANNEL, _PUBLISH, b"\0\0", amqp.short(exchange), amqp.short(key), _MANDATORY)
        self.write(publish + _content(payload))

    def acknowledge(self, tag: int) -> None:
        """A delivery was taken."""
        self.write(amqp.method(_CHANNEL, _ACK, struct.pack(">QB", tag, 0)))

    def close(self) -> None:
        """Abort."""
        if self._transport is not None:
            self._transport.abort()

    def _hear(self, frame: amqp.Frame) -> None:
        if frame.channel == 0:
            if frame.kind == amqp.HEARTBEAT:
                return
            if not self._login.done or frame.method == amqp.CLOSE:
                self.write(self._login.answer(frame))
                if self._login.done:
                    self.write(amqp.method(_CHANNEL, _CHANNEL_OPEN, amqp.short("")))
        elif frame.kind == amqp.METHOD:
            self._hear_method(frame)
        elif self._tag is not None:
            self._hear_content(frame)

    def _hear_method(self, frame: amqp.Frame) -> None:
        arguments = frame.arguments
        match frame.method:
            case which if which == self._expected and not self._answer.done():
                self._answer.set_result(None)
            case (60, 80 | 120) as which:
                tag, bits = arguments.number(">Q"), arguments.number(">B")
                self.on_confirm(tag, bool(bits & 1), which == _ACK)
            case (60, 60):
                arguments.short()
                self._tag = arguments.number(">Q")
            case (20, 40):
                code, said = arguments.number(">H"), arguments.short()
                self._refuse(f"{code} {said}")
            case (60, 50):
                self._refuse("the queues of this run are gone")
            case (60, 30):
                self._refuse("the broker ended the consumer")

    def _hear_content(self, frame: amqp.Frame) -> None:
        if frame.kind == amqp.HEADER:
            self._left = amqp.Reader(frame.body, 4).number(">Q")
            self._payload.clear()
        else:
            self._payload += frame.body
            self._left -= len(frame.body)
        if self._left == 0 and self._tag is not None:
            tag, self._tag = self._tag, None
            self.on_delivery(tag, bytes(self._payload))

    def _refuse(self, said: str) -> None:
        self._refusal = said
        self.close()

    def _fail(self, reason: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(reason)
            self._answer.exception()  # seen: whoever awaits it gets it too


class RabbitProducer:
    """Publishes; the broker counts what it confirms from 1 on each channel."""

    def __init__(self, wire: AmqpConnection, exchange: str, answered: Answered) -> None:
        self._wire, self._exchange, self._answered = wire, exchange, answered
        self._tokens: dict[int, int] = {}
        self._last_tag = 0
        wire.on_confirm = self._confirmed

    def send(self, token: int, payload: bytes) -> None:
        """See Connection."""
        self._last_tag += 1
        self._tokens[self._last_tag] = token
        self._wire.publish(self._exchange, "", payload)

    def close(self) -> None:
        """See Connection."""
        self._wire.close()

    def _confirmed(self, tag: int, multiple: bool, stored: bool) -> None:
        # Tags are handed out in order, so that the oldest stand first.
        tags = [one for one in self._tokens if one <= tag] if multiple else [tag]
        for one in tags:
            token = self._tokens.pop(one, None)
            if token is not None:
                self._answered(token, stored)


class RabbitConsumer:
    """Receives and acknowledges each message when it was taken."""

    def __init__(self, wire: AmqpConnection, received: Received) -> None:
        self._wire, self._received = wire, received
        wire.on_delivery = self._delivered

    def send(self, token: int, payload: bytes) -> None:
        """A consumer sends nothing."""
        raise AssertionError(f"a consumer was asked to send {token}: {payload!r}")

    def close(self) -> None:
        """See Connection."""
        self._wire.close()

    def _delivered(self, tag: int, payload: bytes) -> None:
        self._received(payload)
        self._wire.acknowledge(tag)


class RabbitClient:
    """The client of one run; see the module's docstring."""

    consumer_attempts = 8

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._credentials = login_credentials(settings.user, settings.password_file)
        self._declared_at = 0.0
        self._exchange = f"standfast-drill-{settings.run}"
        self._consumed, self._kept = f"{self._exchange}-consumed", f"{self._exchange}-kept"

    async def prepare(self) -> None:
        """See Client. Returns when a crash would find the queues again, see `NOTED_S`; a further attempt waits less."""
        quorum, none = amqp.table({"x-queue-type": "quorum"}), amqp.table({})
        name = amqp.short(self._exchange)
        wire = await self._open(lambda: None)
        try:
            await wire.call(
                _EXCHANGE_DECLARE, _EXCHANGE_DECLARE_OK, b"\0\0", name, amqp.short("fanout"), _DURABLE, none
            )
            for queue in map(amqp.short, (self._consumed, self._kept)):
                await wire.call(_QUEUE_DECLARE, _QUEUE_DECLARE_OK, b"\0\0", queue, _DURABLE, quorum)
                await wire.call(_QUEUE_BIND, _QUEUE_BIND_OK, b"\0\0", queue, name, amqp.short(""), b"\0", none)
        finally:
            wire.close()
        loop = asyncio.get_running_loop()
        self._declared_at = self._declared_at or loop.time()
        await asyncio.sleep(self._declared_at + NOTED_S - loop.time())

    async def producer(self, answered: Answered, lost: Lost) -> RabbitProducer:
        """See Client."""
        wire = await self._open(lost)
        producer = RabbitProducer(wire, self._exchange, answered)
        await _or_close(wire, wire.call(_CONFIRM, _CONFIRM_OK, b"\0"))
        return producer

    async def consumer(self, index: int, received: Received, lost: Lost) -> RabbitConsumer:  # noqa: ARG002
        """See Client. All share one queue, whatever their index: each message goes to one of them."""
        wire = await self._open(lost)
        consumer = RabbitConsumer(wire, received)
        await _or_close(wire, self._consume(wire, self._consumed, _PREFETCH))
        return consumer

    async def read_back(self) -> list[bytes]:
        """See Client. What is not acknowledged stays: each attempt reads everything."""
        end = secrets.token_bytes(16)
        ended = asyncio.Event()
        found: list[bytes] = []

        def delivered(_: int, payload: bytes) -> None:
            found.append(payload)
            if payload == end:
                ended.set()

        wire = await self._open(ended.set)
        wire.on_delivery = delivered
        try:
            wire.publish("", self._kept, end)
            for _ in range(_READERS):
                await self._consume(wire, self._kept, _READ_PREFETCH)
            await ended.wait()
        finally:
            wire.close()
        if end not in found[-1:]:
            raise NotConnected(f"the connection broke after {len(found)} messages")
        return found

    async def discard(self) -> None:
        """See Client."""
        wire = await self._open(lambda: None)
        try:
            for queue in map(amqp.short, (self._consumed, self._kept)):
                await wire.call(_QUEUE_DELETE, _QUEUE_DELETE_OK, b"\0\0", queue, b"\0")
            await wire.call(_EXCHANGE_DELETE, _EXCHANGE_DELETE_OK, b"\0\0", amqp.short(self._exchange), b"\0")
        finally:
            wire.close()

    async def _consume(self, wire: AmqpConnection, queue: str, prefetch: int) -> None:
        await wire.call(_QOS, _QOS_OK, struct.pack(">IHB", 0, prefetch, 0))
        await wire.call(_CONSUME, _CONSUME_OK, b"\0\0", amqp.short(queue), amqp.short(""), b"\0", amqp.table({}))

    async def _open(self, lost: Lost) -> AmqpConnection:
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: AmqpConnection(self._credentials, lost), self._settings.address, self._settings.port
        )
        await _or_close(wire, wire.opened())
        return wire


async def _or_close(wire: AmqpConnection, work: Awaitable[None]) -> None:
    try:
        await work
    except BaseException:
        wire.close()
        raise


def _content(payload: bytes) -> bytes:
    """Header and body of a persistent message, which must fit into one frame."""
    header = struct.pack(">HHQHB", _BASIC, 0, len(payload), _WITH_DELIVERY_MODE, _PERSISTENT)
    return amqp.frame(amqp.HEADER, _CHANNEL, header) + amqp.frame(amqp.BODY, _CHANNEL, payload)
