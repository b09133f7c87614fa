"""The page for Prometheus on the health port: looked up in the daemon's main loop, written in a thread of its own.

Guaranteed: however many ask, the main loop is asked at most once in FRESH_S seconds, for a look alone; who asks in
between gets the same text. A client that gets no answer in time, or does not read it, is dropped.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from standfast.endpoints.http import Connection

FRESH_S: Final = 1.0
"""How long a text is good for."""
ANSWER_S: Final = 5.0
"""How long a client waits, and is waited for."""


class MetricsPage:
    """One page.

    Args:
        kind: its content type.
        look: what there is to tell; called in the main loop.
        write: the text of that; called in any thread, by one at a time.
    """

    def __init__(self, kind: str, look: Callable[[], Any], write: Callable[[Any], bytes]) -> None:
        self.kind = kind
        self._look = look
        self._write = write
        self._main: asyncio.AbstractEventLoop
        self._text = b""
        self._at_s = -FRESH_S
        self._waiting: list[Connection] = []
        self._writing: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Called in the main loop, before the first client."""
        self._main = asyncio.get_running_loop()

    def serve(self, connection: Connection) -> None:
        """Answer a client; called in the thread of the health page."""
        loop = asyncio.get_running_loop()
        connection.on_close = loop.call_later(ANSWER_S, connection.abort).cancel
        if loop.time() - self._at_s < FRESH_S:
            connection.finish(self._text)
            return
        self._waiting.append(connection)
        if self._writing is None:
            asked = loop.create_future()
            self._writing = loop.create_task(self._answer(asked))
            with contextlib.suppress(RuntimeError):  # the main loop has ended
                self._main.call_soon_threadsafe(self._ask, loop, asked)

    def _ask(self, loop: asyncio.AbstractEventLoop, asked: asyncio.Future[Any]) -> None:
        """In the main loop."""
        found = self._look()

        def take() -> None:
            if not asked.done():
                asked.set_result(found)

        with contextlib.suppress(RuntimeError):  # the health page has ended
            loop.call_soon_threadsafe(take)

    async def _answer(self, asked: asyncio.Future[Any]) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                self._text = await asyncio.to_thread(self._write, await asked)
            self._at_s = asyncio.get_running_loop().time()
            for connection in self._waiting:
                connection.finish(self._text)
        except TimeoutError:
            for connection in self._waiting:
                connection.abort()
        finally:
            self._waiting, self._writing = [], None
