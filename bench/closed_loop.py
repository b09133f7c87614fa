"""A client that publishes as fast as it is answered, to one broker by several ways in turn, in a process of its own.

Input: an Order as JSON; output: what each turn took, as Turns. It speaks as the drill's clients do and retries nothing.
Every message has to be acknowledged; the broker keeps all of them, and they are removed at the end.
"""

import asyncio
import sys
import time

import msgspec
from msgspec import Struct

from standfast.drill.clients.base import Client, Connection, NotConnected
from standfast.drill.clients.registry import client
from standfast.drill.identity import Identity, encode
from standfast.drill.record import LoadSettings

WAIT_S = 120.0
"""For a broker that is still starting."""
AGAIN_S = 0.1


class Order(Struct, frozen=True, kw_only=True):
    """What to do: `rounds` times, for each of `turns` (an index of `ways`; the first is another one in each round):

    `singles` messages one at a time, then `many` with the settings' window of them in flight.
    """

    ways: list[LoadSettings]
    turns: list[int]
    rounds: int
    singles: int
    many: int


class Turn(Struct, frozen=True, kw_only=True):
    """What was measured in one turn.

    Attributes:
        way: index of the way.
        per_s: acknowledged messages in a second, with the window full.
        times_us: from a send to its acknowledgement, one message at a time.
        busy: processor seconds that this client used for each second of the rate; near 1 it is the client's own pace.
    """

    way: int
    per_s: float
    times_us: list[int]
    busy: float


class Window:
    """A producer's side: sends the next message for each answer, so that always `width` are in flight."""

    def __init__(self, settings: LoadSettings, broker: Client) -> None:
        self._settings, self._broker = settings, broker
        self._connection: Connection | None = None
        self._last = self._left = self._next = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Connect, as soon as the broker lets it in."""
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    await self._broker.prepare()
                    self._connection = await self._broker.producer(self._answered, self._lost)
                except (NotConnected, OSError):
                    await asyncio.sleep(AGAIN_S)
                else:
                    return

    async def publish(self, count: int, width: int) -> None:
        """Until so many messages are acknowledged; raises NotConnected when the connection ends before."""
        self._over = asyncio.get_running_loop().create_future()
        self._left, self._last = count, self._next + count
        for _ in range(min(width, count)):
            self._send()
        await self._over

    async def turn(self, way: int, order: Order) -> Turn:
        """One turn."""
        times_us = []
        for _ in range(order.singles):
            began = time.perf_counter_ns()
            await self.publish(1, 1)
            times_us.append((time.perf_counter_ns() - began) // 1000)
        began_s, used_s = time.perf_counter(), time.process_time()
        await self.publish(order.many, self._settings.window)
        lasted_s = time.perf_counter() - began_s
        busy = (time.process_time() - used_s) / lasted_s
        return Turn(way=way, per_s=order.many / lasted_s, times_us=times_us, busy=busy)

    async def close(self) -> None:
        """Abort the connection and remove the messages."""
        assert self._connection is not None
        self._connection.close()
        await self._broker.discard()

    def _send(self) -> None:
        assert self._connection is not None
        settings = self._settings
        payload = encode(settings.run, Identity(0, self._next), settings.message_bytes)
        self._connection.send(self._next, payload)
        self._next += 1

    def _answered(self, _: int, accepted: bool) -> None:
        assert accepted, "the broker refused a message"
        self._left -= 1
        if self._left == 0:
            self._over.set_result(None)
        elif self._next < self._last:
            self._send()

    def _lost(self) -> None:
        if not self._over.done():
            self._over.set_exception(NotConnected("the connection ended"))


async def turns(order: Order) -> list[list[Turn]]:
    """All rounds."""
    windows = [Window(settings, client(settings)) for settings in order.ways]
    for window in windows:
        await window.open()
    found = []
    for number in range(order.rounds):
        first = number % len(order.turns)
        found.append([await windows[way].turn(way, order) for way in (*order.turns[first:], *order.turns[:first])])
    for window in windows:
        await window.close()
    return found


if __name__ == "__main__":
    told = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(turns(told))) + b"\n")
