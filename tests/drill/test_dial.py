"""Dialling while an endpoint moves: fast in each of the three ways in which it can be away."""

import asyncio
import time

import pytest

from standfast.drill.clients.base import NotConnected
from standfast.drill.dial import Pace, dial
from standfast.errors import UsageError

PACE = Pace(every_s=0.02, timeout_s=5.0, attempts=8)


class Stub:
    """A stand-in for a connection."""

    def __init__(self, number: int) -> None:
        self.number, self.closed = number, False

    def send(self, token: int, payload: bytes) -> None: ...

    def close(self) -> None:
        self.closed = True


class Endpoint:
    """A stand-in for an endpoint: attempts by number, each with a fate."""

    def __init__(self, *fates: object) -> None:
        self.fates, self.made, self.began = list(fates), [], 0

    async def connect(self) -> Stub:
        number, self.began = self.began, self.began + 1
        fate = self.fates[min(number, len(self.fates) - 1)]
        if isinstance(fate, BaseException):
            raise fate
        if isinstance(fate, asyncio.Event):
            await fate.wait()
        self.made.append(Stub(number))
        return self.made[-1]


async def test_a_refused_port_is_tried_again_at_the_pace_and_not_faster() -> None:
    endpoint, failures, began = Endpoint(*[ConnectionRefusedError()] * 5, None), [], time.monotonic()
    got = await dial(endpoint.connect, PACE, failures.append)
    assert (got.number, len(failures)) == (5, 5)
    assert 5 * PACE.every_s <= time.monotonic() - began < 1


async def test_attempts_that_hang_do_not_delay_one_that_would_succeed() -> None:
    never, began = asyncio.Event(), time.monotonic()
    got = await dial(Endpoint(never, never, None).connect, PACE, lambda _: None)
    assert got.number == 2
    assert time.monotonic() - began < 1


async def test_an_attempt_that_is_held_wins_as_soon_as_it_is_let_through() -> None:
    opened, never = asyncio.Event(), asyncio.Event()
    endpoint = Endpoint(opened, never)
    asyncio.get_running_loop().call_later(0.1, opened.set)
    assert (await dial(endpoint.connect, PACE, lambda _: None)).number == 0
    assert endpoint.began <= PACE.attempts


async def test_no_more_attempts_are_under_way_than_allowed() -> None:
    endpoint = Endpoint(asyncio.Event())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await dial(endpoint.connect, Pace(every_s=0.01, timeout_s=5, attempts=3), lambda _: None)
    assert endpoint.began == 3


async def test_a_second_winner_is_closed() -> None:
    opened = asyncio.Event()
    endpoint = Endpoint(opened)
    asyncio.get_running_loop().call_later(0.1, opened.set)
    got = await dial(endpoint.connect, PACE, lambda _: None)
    assert [one for one in endpoint.made if not one.closed] == [got]
    assert len(endpoint.made) > 1


async def test_a_refused_login_ends_the_dialling() -> None:
    with pytest.raises(UsageError):
        await dial(Endpoint(NotConnected("x"), UsageError("wrong")).connect, PACE, lambda _: None)
