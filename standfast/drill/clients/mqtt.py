"""MQTT 3.1.1 for a load: QoS 1 publishes, consumers with sessions that outlive their connections.

MQTT stores nothing that could be read back; what is "stored" is what a subscriber gets who was away all the time. So
`prepare` opens a session for the auditor, subscribes and leaves; `read_back` comes back to it and takes what has been
kept for it, up to a last message that it publishes to itself (a broker keeps the order of one topic).

Protocol: MQTT Version 3.1.1, OASIS Standard, chapters 2 and 3.
"""

import asyncio
import secrets
import struct
from collections.abc import Callable

from standfast.drill.clients.base import Answered, Lost, NotConnected, Received
from standfast.drill.record import LoadSettings
from standfast.errors import UsageError
from standfast.managers.credentials import Credentials, read_credentials
from standfast.managers.mosquitto import connect_packet, remaining_length

_CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _DISCONNECT = 0x20, 0x30, 0x40, 0x82, 0x90, 0xE0
_QOS1 = 0x02
_KIND = 0xF0
_IDS = 65_535
_REFUSED_LOGIN = (4, 5)
_REFUSED_SUBSCRIPTION = 0x80
_AUDITOR = "audit"

OnPacket = Callable[[int, bytes], None]
"""First byte and body of a packet."""


class MqttConnection(asyncio.Protocol):
    """The wire protocol: packets in and out, nothing else."""

    def __init__(self, hello: bytes, on_packet: OnPacket, lost: Lost) -> None:
        self._hello, self._on_packet, self._lost = hello, on_packet, lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client speaks first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Take as many whole packets as there are."""
        self._buffer += data
        while self._take():
            pass

    def connection_lost(self, _: Exception | None) -> None:
        """Tell everybody who waits."""
        self._transport = None
        if not self.ready.done():
            self.ready.set_exception(NotConnected("the connection was closed"))
            self.ready.exception()  # seen: whoever awaits it gets it too
        self._lost()

    def packet(self, kind: int, body: bytes) -> None:
        """Send at once; ignored when the connection is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes((kind,)) + remaining_length(len(body)) + body)

    def publish(self, topic: str, packet_id: int, payload: bytes) -> None:
        """One message with QoS 1."""
        self.packet(_PUBLISH | _QOS1, _string(topic) + struct.pack(">H", packet_id) + payload)

    def subscribe(self, topic: str) -> None:
        """With QoS 1; SUBACK tells the outcome."""
        self.packet(_SUBSCRIBE, struct.pack(">H", 1) + _string(topic) + b"\x01")

    def acknowledge(self, packet_id: int) -> None:
        """PUBACK for a message received."""
        self.packet(_PUBACK, struct.pack(">H", packet_id))

    def close(self) -> None:
        """Abort."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bool:
        length, start = _length(self._buffer)
        if start == 0 or len(self._buffer) < start + length:
            return False
        kind, body = self._buffer[0], bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        if kind & _KIND == _CONNACK:
            self._greeted(body[1])
        else:
            self._on_packet(kind, body)
        return True

    def _greeted(self, code: int) -> None:
        if self.ready.done():
            return
        if code == 0:
            self.ready.set_result(None)
        elif code in _REFUSED_LOGIN:
            self.ready.set_exception(UsageError(f"The queue manager refused the drill's login (CONNACK {code})."))
        else:
            self.ready.set_exception(NotConnected(f"CONNACK {code}"))


class MqttProducer:
    """Publishes with QoS 1; a packet identifier is in use until its PUBACK."""

    def __init__(self, answered: Answered, topic: str) -> None:
        self._answered, self._topic = answered, topic
        self._tokens: dict[int, int] = {}
        self._last_id = 0
        self.wire: MqttConnection | None = None

    def send(self, token: int, payload: bytes) -> None:
        """See Connection."""
        if self.wire is None:
            return
        self._last_id = self._last_id % _IDS + 1
        self._tokens[self._last_id] = token
        self.wire.publish(self._topic, self._last_id, payload)

    def on_packet(self, kind: int, body: bytes) -> None:
        """PUBACK."""
        if kind & _KIND == _PUBACK:
            token = self._tokens.pop(struct.unpack_from(">H", body)[0], None)
            if token is not None:
                self._answered(token, True)

    def close(self) -> None:
        """See Connection."""
        if self.wire is not None:
            self.wire.close()


class MqttSubscriber:
    """Receives with QoS 1 and acknowledges each message when it was taken."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self.wire: MqttConnection | None = None
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_packet(self, kind: int, body: bytes) -> None:
        """SUBACK, or a message."""
        if kind & _KIND == _SUBACK and not self.subscribed.done():
            if body[2] == _REFUSED_SUBSCRIPTION:
                self.subscribed.set_exception(UsageError("The queue manager refused the drill's subscription."))
            else:
                self.subscribed.set_result(None)
        elif kind & _KIND == _PUBLISH:
            after_topic = 2 + struct.unpack_from(">H", body)[0]
            acknowledged = bool(kind & _QOS1)
            self._received(body[after_topic + 2 * acknowledged :])
            if acknowledged and self.wire is not None:
                self.wire.acknowledge(struct.unpack_from(">H", body, after_topic)[0])

    def send(self, token: int, payload: bytes) -> None:
        """A consumer sends nothing."""
        raise AssertionError(f"a consumer was asked to send {token}: {payload!r}")

    def close(self) -> None:
        """See Connection."""
        if self.wire is not None:
            self.wire.close()


class MqttClient:
    """The client of one run; see the module's docstring."""

    consumer_attempts = 1
    """A second connection of the same session would throw out the first."""

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._credentials: Credentials | None = read_credentials(settings.user, settings.password_file)
        self._topic = f"standfast/drill/{settings.run}"
        self._kept: list[bytes] = []

    async def prepare(self) -> None:
        """See Client. A session keeps messages only from its first subscription on: all must be there before them."""
        for name in self._names():
            (await self._subscribe(name, lambda _: None, lambda: None)).close()

    async def producer(self, answered: Answered, lost: Lost) -> MqttProducer:
        """See Client. Without a session: what the connection's end left open is sent again by the load."""
        producer = MqttProducer(answered, self._topic)
        producer.wire = await self._open("", producer.on_packet, lost, clean=True)
        return producer

    async def consumer(self, index: int, received: Received, lost: Lost) -> MqttSubscriber:
        """See Client. Each has a session of its own: each message goes to all of them."""
        return await self._subscribe(_consumer(index), received, lost)

    async def read_back(self) -> list[bytes]:
        """See Client. What a broken attempt took off the session is kept for the next one."""
        end = secrets.token_bytes(16)
        ended = asyncio.Event()

        def received(payload: bytes) -> None:
            self._kept.append(payload)
            if payload == end:
                ended.set()

        auditor = await self._subscribe(_AUDITOR, received, ended.set)
        try:
            assert auditor.wire is not None
            auditor.wire.publish(self._topic, 1, end)
            await ended.wait()
        finally:
            auditor.close()
        if end not in self._kept[-1:]:
            raise NotConnected(f"the connection broke after {len(self._kept)} messages")
        return self._kept

    async def discard(self) -> None:
        """See Client. A clean session under the same identifier ends the lasting one."""
        for name in self._names():
            wire = await self._open(self._identifier(name), lambda _, __: None, lambda: None, clean=True)
            wire.packet(_DISCONNECT, b"")
            wire.close()

    async def _subscribe(self, name: str, received: Received, lost: Lost) -> MqttSubscriber:
        subscriber = MqttSubscriber(received)

        def ended() -> None:
            if not subscriber.subscribed.done():
                subscriber.subscribed.set_exception(NotConnected("the connection was closed"))
                subscriber.subscribed.exception()  # seen: whoever awaits it gets it too
            lost()

        wire = await self._open(self._identifier(name), subscriber.on_packet, ended, clean=False)
        subscriber.wire = wire
        try:
            wire.subscribe(self._topic)
            await subscriber.subscribed
        except BaseException:
            wire.close()
            raise
        return subscriber

    def _names(self) -> list[str]:
        return [_AUDITOR, *(_consumer(index) for index in range(self._settings.consumers))]

    def _identifier(self, name: str) -> str:
        return f"standfast-{self._settings.run}-{name}"

    async def _open(self, identifier: str, on_packet: OnPacket, lost: Lost, *, clean: bool) -> MqttConnection:
        hello = connect_packet(identifier, self._credentials, clean=clean)
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: MqttConnection(hello, on_packet, lost), self._settings.address, self._settings.port
        )
        try:
            await wire.ready
        except BaseException:
            wire.close()
            raise
        return wire


def _consumer(index: int) -> str:
    return f"consumer{index}"


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _length(buffer: bytearray) -> tuple[int, int]:
    """Length of a packet's rest, and where it begins; (0, 0) while the header is incomplete."""
    length = 0
    for position, byte in enumerate(buffer[1:5]):
        length |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return length, position + 2
    return 0, 0
