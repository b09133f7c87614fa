"""A queue or exchange of AMQP 0.9.1, as of RabbitMQ: each event is a durable message, confirmed by the broker.

A message that leads to no queue comes back (``mandatory``) and counts as not taken: a queue of that name must exist.
"""

import asyncio
from collections.abc import Sequence

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from yarl import URL

from standfast.alerts.cloudevents import CONTENT_TYPE
from standfast.alerts.sink import Door, Outgoing, Sink, password, tls
from standfast.errors import SinkError
from standfast.model.sinks import SinkSpec


class Amqp091(Sink):
    """One connection with one channel."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        self._spec = spec
        self._where = where
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink."""
        exchange = self._exchange or await self._opened()
        try:
            for outgoing in events:
                message = aio_pika.Message(
                    outgoing.body,
                    message_id=outgoing.event.id,
                    content_type=CONTENT_TYPE,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    app_id="standfast",
                    type=outgoing.event.kind,
                )
                await exchange.publish(message, self._spec.target, mandatory=True)
        except aio_pika.exceptions.DeliveryError as error:
            raise SinkError(f"no queue took it: is there a queue {self._spec.target!r}? {error}") from error

    async def close(self) -> None:
        """See Sink."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _opened(self) -> AbstractExchange:
        spec, where = self._spec, self._where
        context = await asyncio.to_thread(tls, spec, where)
        url = URL.build(
            scheme="amqps" if where.secure else "amqp",
            host=where.host,
            port=where.port,
            user=spec.username or None,
            password=await asyncio.to_thread(password, spec) or None,
            path="/" + spec.options.get("vhost", "/").replace("/", "%2F"),
            query={"auth": "external"} if spec.cert_file and not spec.username else {},
            encoded=True,
        )
        self._connection = await aio_pika.connect(url, ssl_context=context, timeout=spec.deadline_s)
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        name = spec.options.get("exchange", "")
        self._exchange = await channel.get_exchange(name) if name else channel.default_exchange
        return self._exchange
