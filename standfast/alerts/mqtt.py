"""A topic of an MQTT broker: each event is one message of quality 1, acknowledged by the broker.

CloudEvents over MQTT 3.1.1 are structured JSON without a content type; that version every broker speaks.
"""

import asyncio
from collections.abc import Sequence

import aiomqtt

from standfast.alerts.sink import Door, Outgoing, Sink, password, tls
from standfast.errors import SinkError
from standfast.model.sinks import SinkSpec

SILENT = "the broker did not let us in: it may ask for a certificate, or not take ours; its log says"


class Mqtt(Sink):
    """One connection."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        self._spec = spec
        self._where = where
        self._client: aiomqtt.Client | None = None

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink. One after the other: the broker keeps the order of one connection only as far as acknowledged."""
        client = self._client or await self._opened()
        for outgoing in events:
            await client.publish(self._spec.target, outgoing.body, qos=1)

    async def close(self) -> None:
        """See Sink."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)

    async def _opened(self) -> aiomqtt.Client:
        spec, where = self._spec, self._where
        context = await asyncio.to_thread(tls, spec, where)
        client = aiomqtt.Client(
            where.host,
            where.port,
            username=spec.username or None,
            password=await asyncio.to_thread(password, spec) or None,
            tls_context=context,
            timeout=spec.deadline_s,
        )
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            if where.secure and isinstance(error.__context__, TimeoutError):
                raise SinkError(SILENT) from error  # the client does not tell why it was cut off
            raise
        self._client = client
        return client
