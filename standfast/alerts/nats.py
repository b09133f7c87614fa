"""A subject of NATS that a stream of JetStream takes: each event is acknowledged when the stream has it.

The id of the event is the ``Nats-Msg-Id``: within its window for doubles the stream itself drops those that come twice.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import nats
from nats.aio.client import Client

from standfast.alerts.cloudevents import CONTENT_TYPE
from standfast.alerts.sink import Door, Outgoing, Sink, password, tls
from standfast.model.sinks import SinkSpec


class Nats(Sink):
    """One connection."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        self._spec = spec
        self._where = where
        self._client: Client | None = None

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink."""
        client = self._client or await self._opened()
        stream = client.jetstream(timeout=self._spec.deadline_s)
        for outgoing in events:
            headers = {"Nats-Msg-Id": outgoing.event.id, "Content-Type": CONTENT_TYPE}
            await stream.publish(self._spec.target, outgoing.body, headers=headers)

    async def close(self) -> None:
        """See Sink."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _opened(self) -> Client:
        spec, where = self._spec, self._where
        given: dict[str, Any] = {}
        if spec.username:
            given = {"user": spec.username, "password": await asyncio.to_thread(password, spec)}
        context = await asyncio.to_thread(tls, spec, where)
        if context is not None:
            given["tls"] = context
        self._client = await nats.connect(
            f"{'tls' if where.secure else 'nats'}://{_bracketed(where.host)}:{where.port}",
            name=f"standfast-{where.member}",
            allow_reconnect=False,
            connect_timeout=max(1, int(spec.deadline_s)),
            error_cb=_unheard,
            **given,
        )
        return self._client


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _unheard(_: Exception) -> None:
    """What goes wrong is raised by the next call, too; the client would print it."""
