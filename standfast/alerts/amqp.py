"""A queue or address of AMQP 1.0: IBM MQ, ActiveMQ, Artemis, RabbitMQ 4 and others.

The protocol is Qpid Proton's, which does no input or output here: bytes go through asyncio's streams, so that names,
TLS and deadlines are those of all other sinks. Each event is a durable message with a CloudEvent in structured mode
(cloudevents/spec, bindings/amqp-protocol-binding.md), taken when its delivery was accepted.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from proton import Collector, Connection, Delivery, Endpoint, Event, Message, Sender, Transport

from standfast.alerts.cloudevents import CONTENT_TYPE
from standfast.alerts.sink import Door, Outgoing, Sink, password, tls
from standfast.errors import SinkError
from standfast.model.sinks import SinkSpec

CHUNK: Final = 65_536
FAILURES: Final = frozenset(
    {
        Event.CONNECTION_REMOTE_CLOSE,
        Event.SESSION_REMOTE_CLOSE,
        Event.LINK_REMOTE_CLOSE,
        Event.LINK_REMOTE_DETACH,
        Event.TRANSPORT_ERROR,
    }
)


class Amqp(Sink):
    """One connection with one session and one link."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        self._spec = spec
        self._where = where
        self._transport = Transport()
        self._connection = Connection()
        self._collector = Collector()
        self._sender: Sender | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None
        self._tags = 0

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink."""
        sender = self._sender or await self._opened()
        for outgoing in events:
            await self._until(lambda: sender.credit > 0)
            message = Message(
                body=outgoing.body,
                id=outgoing.event.id,
                content_type=CONTENT_TYPE,
                durable=True,
                inferred=True,
                subject=outgoing.event.kind,
            )
            self._tags += 1
            delivery = cast("Delivery", sender.send(message, tag=str(self._tags)))
            await self._until(lambda d=delivery: bool(d.remote_state))  # type: ignore[misc]
            if delivery.remote_state != Delivery.ACCEPTED:
                said = delivery.remote.condition or delivery.remote_state
                raise SinkError(f"the message was not accepted: {said}")
            delivery.settle()

    async def close(self) -> None:
        """See Sink. A polite end, as far as it goes without waiting."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._connection.close()
        self._push(writer)
        writer.close()
        with contextlib.suppress(OSError):  # such as what TLS says of bytes that crossed its end
            await writer.wait_closed()

    async def _opened(self) -> Sender:
        spec, where = self._spec, self._where
        context = await asyncio.to_thread(tls, spec, where)
        secret = await asyncio.to_thread(password, spec)
        self._reader, self._writer = await asyncio.open_connection(where.host, where.port, ssl=context)
        connection, transport = self._connection, self._transport
        connection.collect(self._collector)
        connection.container = spec.options.get("container", f"standfast-{where.member}")
        connection.hostname = where.host
        sasl = transport.sasl()
        sasl.allow_insecure_mechs = True  # TLS, where there is one, is beneath this layer and unknown to it
        if spec.username:
            connection.user, connection.password = spec.username, secret
            sasl.allowed_mechs("PLAIN")
        else:
            sasl.allowed_mechs("EXTERNAL ANONYMOUS" if spec.cert_file else "ANONYMOUS")
        transport.bind(connection)
        connection.open()
        session = connection.session()
        session.open()
        sender: Sender = session.sender(f"standfast-{where.member}-{spec.name}")
        sender.target.address = spec.target
        sender.source.address = spec.name
        sender.open()
        await self._until(lambda: bool(sender.state & Endpoint.REMOTE_ACTIVE))
        if sender.remote_target.address is None:
            raise SinkError(f"there is no queue or address {spec.target!r} there, or the user may not write to it")
        self._sender = sender
        return sender

    async def _until(self, true: Callable[[], bool]) -> None:
        """Move bytes both ways until it is so; raises SinkError when the other side ends something first."""
        while True:
            assert self._writer is not None
            self._push(self._writer)
            await self._writer.drain()
            self._look()
            if true():
                return
            data = await self._reader.read(CHUNK)
            if not data:
                raise SinkError("the connection was closed by the other side")
            self._transport.push(data)
            self._look()

    def _push(self, writer: asyncio.StreamWriter) -> None:
        while (count := self._transport.pending()) > 0:
            writer.write(self._transport.peek(count) or b"")
            self._transport.pop(count)

    def _look(self) -> None:
        while (event := self._collector.peek()) is not None:
            kind = event.type
            failure = _said(event) if kind in FAILURES else ""
            self._collector.pop()
            if failure:
                raise SinkError(failure)


def _said(event: Any) -> str:
    """Why something was ended, as the other side puts it."""
    for part in (event.link, event.session, event.connection):
        condition = part.remote_condition if part is not None else None
        if condition is not None:
            return f"the other side says {condition.name}: {condition.description or 'no more'}"
    condition = event.transport.condition if event.transport is not None else None
    return f"{condition.name}: {condition.description}" if condition is not None else "the other side ended the link"
