"""The stream over which etcd tells that something has changed: opened once, and listened to again and again.

Opening one costs a handshake of TLS at both ends, and a watch that is not open hears nothing. A thousand queue managers
on their way are thousands of changes within seconds, each of which ended the watch until now.

Guarantees: `wake` returns for every change after the revision given that the endpoint tells of, once or more often; at
the latest after watch_s. Does not guarantee that it is told: a stream that was cut silently is noticed when it is
opened anew, after OPEN_S. It carries no authority: who is woken reads.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable

import aiohttp
import msgspec

from standfast.stores import etcd_wire as wire
from standfast.stores.etcd_errors import Failed, Verdict, store_error
from standfast.stores.etcd_http import Gateway, Patience

OPEN_S = 60.0
"""So long one stream is listened to at most."""
_LINE = wire.decoder(wire.WatchLine)
_KEPT_BYTES = 65_536
"""A message that is longer than this tells of changes; what is in it is not looked at."""
_REVISION = re.compile(rb'"revision":"(\d+)"')


class Watch:
    """Of one client of the store; `admit` raises Failed for an answer from another etcd cluster."""

    def __init__(
        self, gateway: Gateway, prefix: bytes, patience: Patience, admit: Callable[[str, wire.Header], None]
    ) -> None:
        self._gateway = gateway
        self._prefix = prefix
        self._patience = patience
        self._admit = admit
        self._stream: _Stream | None = None

    async def wake(self, after: int) -> None:
        """See KeyValue; raises StoreUnavailable or StoreFatal when no endpoint lets us watch."""
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + self._patience.watch_s
        failures: list[Failed] = []
        stream = self._stream
        if stream is None or now_s() >= stream.until_s or after < stream.since:
            await self.close()
        endpoints = [self._stream.endpoint] if self._stream is not None else []
        for endpoint in (*endpoints, *self._gateway.order()):
            try:
                async with asyncio.timeout_at(until_s):
                    stream = self._stream or await self._open(endpoint, after, until_s)
                    while stream.told <= after:
                        await stream.hear()
            except TimeoutError:
                return
            except Failed as failed:
                failures.append(failed)
                await self.close()
                # A watch says only in words that its token is refused.
                self._gateway.forget_token()
            else:
                return
        raise store_error("watching", failures)

    async def _open(self, endpoint: str, after: int, until_s: float) -> "_Stream":
        """A stream that has confirmed the watch; raises Failed."""
        loop = asyncio.get_running_loop()
        held = contextlib.AsyncExitStack()
        try:
            request = wire.watch_request(self._prefix, after)
            content = await held.enter_async_context(self._gateway.stream(endpoint, wire.WATCH, request, until=until_s))
            stream = _Stream(endpoint, content, held, after, self._admit)
            stream.until_s = loop.time() + OPEN_S
            try:
                async with asyncio.timeout(self._patience.try_s):
                    await stream.hear()
            except TimeoutError as error:
                raise Failed(endpoint, Verdict.ELSEWHERE, "the watch was not confirmed in time") from error
        except BaseException:
            await held.aclose()
            raise
        self._stream = stream
        return stream

    async def close(self) -> None:
        """Listen no more; a later call opens another stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(Failed):
                await stream.held.aclose()


class _Stream:
    """One open stream.

    Attributes:
        endpoint: who tells.
        held: what it holds open.
        since: the revision after which it tells of every change.
        told: the newest revision that it told of; 0 before the first.
        until_s: when it has been listened to for long enough, on the loop's clock.
    """

    def __init__(
        self,
        endpoint: str,
        content: aiohttp.StreamReader,
        held: contextlib.AsyncExitStack,
        since: int,
        admit: Callable[[str, wire.Header], None],
    ) -> None:
        self.endpoint = endpoint
        self.held = held
        self.since = since
        self.told = 0
        self.until_s = 0.0
        self._content = content
        self._admit = admit
        self._begun = b""
        self._long = False

    async def hear(self) -> None:
        """Take the next piece of what is told; raises Failed when the stream ends, or says that it does."""
        try:
            data = await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise Failed(self.endpoint, Verdict.ELSEWHERE, f"the watch was cut: {error}") from error
        if not data:
            raise Failed(self.endpoint, Verdict.ELSEWHERE, "the watch was cut")
        *lines, rest = (self._begun + data).split(b"\n")
        for line in lines:
            if not self._long:
                self._judge(line)
            self._long = False  # its end
        self._begun = rest
        if self._long:
            self._begun = b""
        elif len(rest) > _KEPT_BYTES:
            self._told_at_length(rest)

    def _told_at_length(self, begun: bytes) -> None:
        """A message too long to be kept: its header comes first, and its end is waited for by nobody."""
        found = _REVISION.search(begun)
        if found is None:
            raise Failed(self.endpoint, Verdict.ELSEWHERE, "the watch says what etcd would not, at length")
        self._begun, self._long, self.told = b"", True, max(self.told, int(found[1]))

    def _judge(self, line: bytes) -> None:
        """Raise Failed unless the line confirms the watch or tells of changes."""
        try:
            said = _LINE.decode(line)
        except msgspec.MsgspecError as error:
            raise Failed(self.endpoint, Verdict.ELSEWHERE, f"the watch says what etcd would not: {error}") from error
        if said.result is None:
            why = said.error.message if said.error else "nothing"
            raise Failed(self.endpoint, Verdict.ELSEWHERE, f"the watch was refused: {why}")
        self._admit(self.endpoint, said.result.header)
        # Compacted means: more has changed than etcd remembers.
        if said.result.canceled and not said.result.compact_revision:
            raise Failed(self.endpoint, Verdict.ELSEWHERE, f"the watch was ended: {said.result.cancel_reason}")
        if said.result.canceled:
            self.until_s = 0.0
        if not said.result.created or said.result.canceled:
            self.told = max(self.told, said.result.header.revision, said.result.compact_revision)


__all__ = ["Watch"]
