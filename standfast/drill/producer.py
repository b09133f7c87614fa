"""One producer of a load: a steady rhythm of messages, each sent until the broker acknowledges it.

Making goes on while there is no connection, so that an outage is a pile of waiting messages, as it is for a real
application that must not lose anything.

Guarantees: a message counts as acknowledged only by the broker's own answer to it, on the connection in use. What the
broker stored without our hearing of it shows as stored without an acknowledgement, never as a loss.
"""

import asyncio
from collections.abc import Callable

from standfast.drill.clients.base import Client, Connection
from standfast.drill.dial import Pace, dial
from standfast.drill.identity import Identity, encode
from standfast.drill.outbox import Outbox
from standfast.drill.record import LoadSettings
from standfast.model.timing import NS_PER_MS
from standfast.ports import boottime_ns

MS_PER_S = 1000


class Line:
    """A connection and whether it still stands; what an attempt hands to the one that dialled."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.gone = asyncio.Event()

    def send(self, token: int, payload: bytes) -> None:
        """See Connection."""
        if self.connection is not None:
            self.connection.send(token, payload)

    def close(self) -> None:
        """See Connection."""
        self.gone.set()
        if self.connection is not None:
            self.connection.close()


def pace(settings: LoadSettings, attempts: int) -> Pace:
    """How a load dials: as often as it retries."""
    return Pace(every_s=settings.retry_ms / MS_PER_S, timeout_s=settings.attempt_ms / MS_PER_S, attempts=attempts)


class Producer:
    """Makes messages and sends each until it is acknowledged; `outbox` holds what became of them."""

    def __init__(self, index: int, settings: LoadSettings, client: Client, tell: Callable[[str], None]) -> None:
        """A producer without a connection.

        Args:
            index: its number, part of each message's identity.
            settings: of the load.
            client: of the broker's protocol.
            tell: hears why an attempt to connect failed, and "" when one succeeded.
        """
        self._index, self._settings, self._client, self._tell = index, settings, client, tell
        self.outbox = Outbox(
            retry_ns=settings.retry_ms * NS_PER_MS,
            silence_ns=settings.silence_ms * NS_PER_MS,
            window=settings.window,
        )
        self.acked = 0
        self.connections = 0
        self._line: Line | None = None

    @property
    def connected(self) -> bool:
        """Whether it has a connection that it believes in."""
        return self._line is not None

    async def stay_connected(self) -> None:
        """Connect, and again whenever the connection is lost; runs until cancelled."""
        try:
            while True:
                self._line = await dial(self._attempt, pace(self._settings, self._settings.attempts), self._tell)
                self._tell("")
                self.connections += 1
                self.outbox.connected(boottime_ns())
                self._pump()
                await self._line.gone.wait()
                self._line = None
        finally:
            if self._line is not None:
                self._line.close()

    async def keep_rhythm(self, stop: asyncio.Event) -> None:
        """Make a message every `every_ms` until `stop`, then only send what waits; returns when nothing does.

        A late tick is not made up for: the load never comes in bursts of its own making.
        """
        loop = asyncio.get_running_loop()
        every_s = self._settings.every_ms / MS_PER_S
        due_s = loop.time()
        while not stop.is_set() or self.outbox.waiting:
            if not stop.is_set():
                self.outbox.create(boottime_ns())
            self._pump()
            due_s = max(due_s + every_s, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def _attempt(self) -> Line:
        line = Line()

        def answered(sequence: int, accepted: bool) -> None:
            if line is self._line and self.outbox.answered(sequence, boottime_ns(), accepted=accepted):
                self.acked += 1

        line.connection = await self._client.producer(answered, line.gone.set)
        return line

    def _pump(self) -> None:
        line, now_ns = self._line, boottime_ns()
        if line is None or line.gone.is_set():
            return
        if self.outbox.dead(now_ns):
            line.close()
            return
        for sequence in self.outbox.due(now_ns):
            identity = Identity(self._index, sequence)
            line.send(sequence, encode(self._settings.run, identity, self._settings.message_bytes))
            self.outbox.sent(sequence, now_ns)
