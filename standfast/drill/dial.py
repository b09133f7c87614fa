"""Connecting as fast as is sensible while an endpoint moves from one machine to another.

During a takeover an attempt can meet a refused port (fails at once), a machine that is gone (the kernel repeats the SYN
after a second), or a proxy that holds the connection until there is an owner. One attempt at a time is slow in one of
these cases whatever its timeout. So attempts are staggered: every `every_s` another one starts beside those under way,
the first to succeed wins, the others are dropped (the way of Happy Eyeballs, RFC 8305).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from standfast.drill.clients.base import Connection, NotConnected

C = TypeVar("C", bound=Connection)


class Pace(Struct, frozen=True, kw_only=True):
    """How to dial.

    Attributes:
        every_s: time between the starts of two attempts.
        timeout_s: how long one attempt may take.
        attempts: how many may be under way at once.
    """

    every_s: float
    timeout_s: float
    attempts: int


async def dial(connect: Callable[[], Awaitable[C]], pace: Pace, failed: Callable[[str], None]) -> C:
    """The first connection that succeeds, however long that takes; `failed` hears why each other attempt did not.

    Raises what `connect` raises other than NotConnected and OSError: a refused login will not mend itself.
    """
    under_way: set[asyncio.Task[C]] = set()
    try:
        while True:
            slot = asyncio.get_running_loop().time() + pace.every_s
            if len(under_way) < pace.attempts:
                under_way.add(asyncio.create_task(_attempt(connect, pace.timeout_s)))
            winner = await _first(under_way, slot, failed)
            if winner is not None:
                return winner
    finally:
        await _drop(under_way)


async def _attempt(connect: Callable[[], Awaitable[C]], timeout_s: float) -> C:
    try:
        async with asyncio.timeout(timeout_s):
            return await connect()
    except TimeoutError:
        raise NotConnected(f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise NotConnected(error.strerror or str(error)) from error


async def _first(under_way: set[asyncio.Task[C]], until: float, failed: Callable[[str], None]) -> C | None:
    """A connection made before the loop's time `until`; attempts that failed are taken out of the set."""
    loop = asyncio.get_running_loop()
    while under_way and (left_s := until - loop.time()) > 0:
        done, _ = await asyncio.wait(under_way, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            under_way.discard(task)
            try:
                return task.result()
            except NotConnected as error:
                failed(str(error))
    await asyncio.sleep(until - loop.time())
    return None


async def _drop(under_way: set[asyncio.Task[C]]) -> None:
    for task in under_way:
        task.cancel()
    for outcome in await asyncio.gather(*under_way, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            outcome.close()
