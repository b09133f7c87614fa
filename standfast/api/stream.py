"""Server-sent events (WHATWG HTML, section 9.2): the look as it changes, and each event.

Guarantees: a follower is told the newest look first of all, then whatever is new, and something every SILENCE_S so that
both ends notice a dead connection; one that takes nothing for STALLED_S is dropped.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web

from standfast.api import limits
from standfast.api.answers import Problem
from standfast.api.hub import Hub, Message

SILENCE_S = 10.0
RETRY_MS = 1000
"""After so long a browser connects again."""


async def stream(request: web.Request, hub: Hub) -> web.StreamResponse:
    """Serve one follower until it is gone. Raises Problem when there are too many."""
    try:
        with hub.following() as follower:
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await answer.prepare(request)
            await _send(answer, f"retry: {RETRY_MS}\n\n".encode())
            async with contextlib.aclosing(_with_pulse(follower.messages())) as messages:
                async for message in messages:
                    await _send(answer, b": still here\n\n" if message is None else _framed(message))
    except OverflowError:
        why = f"{limits.MAX_STREAMS} follow this member already. Close a page, or ask another member."
        raise Problem(503, "Busy", why, {"Retry-After": "10"}) from None
    except (ConnectionError, TimeoutError):
        pass  # it is gone, or takes nothing
    return answer


async def _send(answer: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(limits.STALLED_S):
        await answer.write(data)


async def _with_pulse(messages: AsyncGenerator[Message, None]) -> AsyncGenerator[Message | None, None]:
    """The messages, and None whenever there was none for long."""
    waiting = asyncio.ensure_future(anext(messages))
    try:
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=SILENCE_S)
            if not done:
                yield None
                continue
            yield waiting.result()
            waiting = asyncio.ensure_future(anext(messages))
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def _framed(message: Message) -> bytes:
    """JSON has no raw line breaks, so that one data line holds it."""
    name, body = message
    return b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"
