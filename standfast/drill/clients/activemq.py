"""ActiveMQ for a load: persistent messages with receipts, over STOMP.

Each message goes to two queues of the run by one send: one that keeps all for the audit, one for the consumers. The
receipt comes when both have it on the disk. `read_back` takes the messages off the first queue, up to a last one that
it sends itself (a queue keeps its order); what a broken attempt took is kept for the next one. They must be
acknowledged on the way: without, ActiveMQ 5.17 pages in the rest of a recovered queue only every 30 s.
ActiveMQ makes queues when they are used; the empty ones stay.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable

from standfast.drill.clients.base import Answered, Lost, NotConnected, Received
from standfast.drill.record import LoadSettings
from standfast.errors import UsageError
from standfast.managers import stomp
from standfast.managers.credentials import Credentials, read_credentials

_PREFETCH = 500
_TAKEN_AT_ONCE = 200
_SUBSCRIBED = "subscribed"
_LOGIN_WORDS = ("password", "SecurityException", "not authorized")

OnFrame = Callable[[stomp.Frame], None]


class StompConnection(asyncio.Protocol):
    """The wire protocol: frames in and out, nothing else."""

    def __init__(self, credentials: Credentials | None, on_frame: OnFrame, lost: Lost) -> None:
        self._credentials, self._on_frame, self._lost = credentials, on_frame, lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._refusal = ""
        self._receipts: dict[str, asyncio.Future[None]] = {}
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client speaks first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(stomp.connect_frame("standfast", self._credentials))

    def data_received(self, data: bytes) -> None:
        """Take as many whole frames as there are."""
        self._buffer += data
        try:
            while (frame := stomp.take_frame(self._buffer)) is not None:
                self._hear(frame)
        except stomp.ProtocolError as error:
            self._refuse(str(error))

    def connection_lost(self, _: Exception | None) -> None:
        """Tell everybody who waits."""
        self._transport = None
        for future in (self.ready, *self._receipts.values()):
            _fail(future, NotConnected(self._refusal or "the connection was closed"))
        self._lost()

    def write(self, frames: bytes) -> None:
        """Send at once; ignored when the connection is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames)

    async def ask(self, command: str, headers: dict[str, str], receipt: str) -> None:
        """Send a frame and wait for its receipt; raises NotConnected when it is refused or the connection breaks."""
        if self._transport is None:
            raise NotConnected("the connection was closed")
        future = self._receipts[receipt] = asyncio.get_running_loop().create_future()
        self.write(stomp.frame(command, {**headers, "receipt": receipt}))
        await future

    def publish(self, destination: str, payload: bytes, receipt: str) -> None:
        """One persistent message."""
        headers = {"destination": destination, "persistent": "true", "receipt": receipt}
        self.write(stomp.frame("SEND", headers, payload))

    def close(self) -> None:
        """Abort."""
        if self._transport is not None:
            self._transport.abort()

    def _hear(self, frame: stomp.Frame) -> None:
        if frame.command == "CONNECTED":
            if not self.ready.done():
                self.ready.set_result(None)
        elif frame.command == "ERROR":
            said = frame.headers.get("message", "") or frame.body.decode(errors="replace").partition("\n")[0]
            if not self.ready.done() and any(word in said for word in _LOGIN_WORDS):
                _fail(self.ready, UsageError(f"The queue manager refused the drill's login: {said}."))
            self._refuse(said)
        elif frame.command == "RECEIPT" and (waiting := self._receipts.pop(frame.headers.get("receipt-id", ""), None)):
            if not waiting.done():
                waiting.set_result(None)
        else:
            self._on_frame(frame)

    def _refuse(self, said: str) -> None:
        self._refusal = said
        self.close()


class StompProducer:
    """Publishes; the receipt is the token."""

    def __init__(self, answered: Answered, destination: str) -> None:
        self._answered, self._destination = answered, destination
        self.wire: StompConnection | None = None

    def send(self, token: int, payload: bytes) -> None:
        """See Connection."""
        if self.wire is not None:
            self.wire.publish(self._destination, payload, str(token))

    def on_frame(self, frame: stomp.Frame) -> None:
        """RECEIPT."""
        if frame.command == "RECEIPT":
            self._answered(int(frame.headers["receipt-id"]), True)

    def close(self) -> None:
        """See Connection."""
        if self.wire is not None:
            self.wire.close()


class StompConsumer:
    """Receives, and acknowledges when messages were taken: each `every`-th, and with it those before it."""

    def __init__(self, received: Received, every: int = 1) -> None:
        self._received, self._every = received, every
        self._taken = 0
        self.wire: StompConnection | None = None

    def on_frame(self, frame: stomp.Frame) -> None:
        """MESSAGE."""
        if frame.command != "MESSAGE":
            return
        self._received(frame.body)
        self._taken += 1
        if self._taken % self._every == 0 and self.wire is not None:
            self.wire.write(stomp.frame("ACK", {"id": frame.headers["ack"]}))

    def send(self, token: int, payload: bytes) -> None:
        """A consumer sends nothing."""
        raise AssertionError(f"a consumer was asked to send {token}: {payload!r}")

    def close(self) -> None:
        """See Connection."""
        if self.wire is not None:
            self.wire.close()


class ActiveMqClient:
    """The client of one run; see the module's docstring."""

    consumer_attempts = 8

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._credentials = read_credentials(settings.user, settings.password_file)
        queue = f"/queue/standfast.drill.{settings.run}"
        self._kept, self._consumed = f"{queue}.kept", f"{queue}.consumed"
        self._found: list[bytes] = []

    async def prepare(self) -> None:
        """See Client. Nothing to make: only whether it lets the drill in."""
        (await self._open(lambda _: None, lambda: None)).close()

    async def producer(self, answered: Answered, lost: Lost) -> StompProducer:
        """See Client. The queue for the audit first: what a broken send left in one of them only is there then."""
        producer = StompProducer(answered, f"{self._kept},{self._consumed}")
        producer.wire = await self._open(producer.on_frame, lost)
        return producer

    async def consumer(self, index: int, received: Received, lost: Lost) -> StompConsumer:  # noqa: ARG002
        """See Client. All share one queue, whatever their index: each message goes to one of them."""
        return await self._subscribe(self._consumed, StompConsumer(received), lost, _PREFETCH)

    async def read_back(self) -> list[bytes]:
        """See Client."""
        end = await self._take_all(self._kept, self._found.append, _TAKEN_AT_ONCE)
        if end not in self._found[-1:]:
            raise NotConnected(f"the connection broke after {len(self._found)} messages")
        return self._found

    async def discard(self) -> None:
        """See Client. Takes what is there."""
        for queue in (self._kept, self._consumed):
            await self._take_all(queue, lambda _: None, 1)

    async def _take_all(self, queue: str, take: Received, every: int) -> bytes:
        """Take everything off a queue, up to a message of its own, which it gives; or until the connection breaks."""
        end, ended = secrets.token_bytes(16), asyncio.Event()

        def received(payload: bytes) -> None:
            take(payload)
            if payload == end:
                ended.set()

        taker = await self._subscribe(queue, StompConsumer(received, every), ended.set, _PREFETCH)
        try:
            assert taker.wire is not None
            taker.wire.publish(queue, end, "end")
            await ended.wait()
            with contextlib.suppress(NotConnected):
                await taker.wire.ask("DISCONNECT", {}, "bye")  # what was acknowledged has been heard then
        finally:
            taker.close()
        return end

    async def _subscribe(self, queue: str, consumer: StompConsumer, lost: Lost, prefetch: int) -> StompConsumer:
        consumer.wire = await self._open(consumer.on_frame, lost)
        headers = {
            "id": "1",
            "destination": queue,
            "ack": "client",
            "activemq.prefetchSize": str(prefetch),
        }
        await _or_close(consumer.wire, consumer.wire.ask("SUBSCRIBE", headers, _SUBSCRIBED))
        return consumer

    async def _open(self, on_frame: OnFrame, lost: Lost) -> StompConnection:
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: StompConnection(self._credentials, on_frame, lost), self._settings.address, self._settings.port
        )
        await _or_close(wire, wire.ready)
        return wire


async def _or_close(wire: StompConnection, work: Awaitable[None]) -> None:
    try:
        await work
    except BaseException:
        wire.close()
        raise


def _fail(future: "asyncio.Future[None]", reason: Exception) -> None:
    if not future.done():
        future.set_exception(reason)
        future.exception()  # seen: whoever awaits it gets it too
