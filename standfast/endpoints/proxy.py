"""The engine of `standfast proxy`: one TCP address that always leads to the member that runs a queue manager.

It may run on any machine and needs no key: it follows every data member's word (`/follow`) and forwards to the member
that says "active" under the largest epoch while its lease lasts.

Guaranteed: a connection is forwarded only while the word of its owner holds; when that is taken back, runs out, or
another owner speaks under a larger epoch, every connection to the old one is reset in the same turn of the event loop;
a client that comes while nobody is active is held, at most `hold_s`, and led to the next owner as soon as that speaks.

While the owner drains it, what is connected stays connected, and who comes is held for the next owner.

Not guaranteed: exactly-once. A request that was under way when the owner changed may or may not have been carried out,
as with any lost connection; the client's own acknowledgements decide. And this is a convenience, not a fence: what
keeps a queue manager from running twice is the lease.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from standfast.endpoints.follow import Follower, Source
from standfast.endpoints.health import Why
from standfast.endpoints.listener import listening
from standfast.endpoints.splice import End, shared_buffer

HOLD_S: Final = 30.0
"""How long a client waits for an owner, in seconds, unless told otherwise."""
REACH_S: Final = 2.0
"""Longest time for one attempt to connect to the owner, in seconds."""
AGAIN_S: Final = 0.02
"""Pause before the owner is tried again for a held client, in seconds."""
MAX_CLIENTS: Final = 4096
"""Clients at once; further ones are reset. Each takes two file descriptors."""


class Owner(NamedTuple):
    """Where connections lead."""

    member: str
    epoch: int
    address: str
    port: int


class Proxy:
    """Forwards to whichever member runs the queue manager.

    Args:
        address: to listen on.
        port: likewise; 0 takes a free one, told by `port` after `open`.
        queue_manager: which one.
        sources: every data member's health URLs.
        hold_s: how long a client is held while nobody is active, in seconds.
        changed: called with each new owner, or None when nobody is active.

    Attributes:
        owner: where connections lead now; None when nobody is active.
        followers: one for each source, for the status.
    """

    def __init__(
        self,
        *,
        address: str,
        port: int,
        queue_manager: str,
        sources: Sequence[Source],
        hold_s: float = HOLD_S,
        changed: Callable[[Owner | None], None] = lambda _: None,
    ) -> None:
        self.address = address
        self.port = port
        self.owner: Owner | None = None
        self.followers = tuple(Follower(source, queue_manager, self._reconsider) for source in sources)
        self._hold_s = hold_s
        self._changed = changed
        self._buffer = shared_buffer()
        self._active = asyncio.Event()
        self._clients: set[End] = set()
        self._upstreams: set[End] = set()  # all to the present owner
        self._attempts: set[asyncio.Task[End | None]] = set()  # likewise
        self._timer: asyncio.TimerHandle | None = None
        self._listener: socket.socket | None = None
        self._group: asyncio.TaskGroup | None = None

    @property
    def clients(self) -> int:
        """How many clients are connected, held ones included."""
        return len(self._clients)

    def open(self) -> None:
        """Listen; raises MachineError when the port is taken. Who connects is served as soon as `run` runs."""
        self._listener = listening("The proxy", self.address, self.port)
        self.port = self._listener.getsockname()[1]

    async def run(self) -> None:
        """Serve until cancelled; then every connection is reset and the port is free again."""
        assert self._listener is not None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as self._group:
                for follower in self.followers:
                    self._group.create_task(follower.run())
                server = await loop.create_server(self._client, sock=self._listener, start_serving=False)
                try:
                    await server.start_serving()
                    await loop.create_future()
                finally:
                    server.close()
        finally:
            if self._timer:
                self._timer.cancel()
            self._break()
            for client in tuple(self._clients):
                client.reset()

    # ------------------------------------------------------------ whom to follow

    def _reconsider(self) -> None:
        """Look at all words again: after each new one, and when the owner's runs out."""
        loop = asyncio.get_running_loop()
        owner, until_s = self._choice(loop.time())
        if owner is None and self._draining():
            self._active.clear()
        elif owner != self.owner:
            self._switch(owner)
        elif owner is not None:
            self._active.set()
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_at(until_s, self._reconsider) if owner else None

    def _choice(self, now_s: float) -> tuple[Owner | None, float]:
        """The active member under the largest epoch that anybody speaks of, and until when its word holds.

        A word that names a larger epoch, active or not, voids what is said under smaller ones.
        """
        words = [(f.source.member, f.word) for f in self.followers if f.word]
        words = [(member, word) for member, word in words if not word.line.active or word.until_s > now_s]
        newest = max((word.line.epoch for _, word in words), default=0)
        for member, (line, until_s) in words:
            if line.active and line.epoch == newest:
                return Owner(member, line.epoch, line.address, line.port), until_s
        return None, 0.0

    def _draining(self) -> bool:
        """Whether the owner says that it is drained: those connected to it may go on."""
        return self.owner is not None and any(
            (f.source.member, f.word.line.why, f.word.line.epoch) == (self.owner.member, Why.DRAINING, self.owner.epoch)
            for f in self.followers
            if f.word
        )

    def _switch(self, owner: Owner | None) -> None:
        self._break()
        self.owner = owner
        if owner:
            self._active.set()
        else:
            self._active.clear()
        self._changed(owner)

    def _break(self) -> None:
        """Reset all that leads to the present owner; held clients stay."""
        for attempt in self._attempts:
            attempt.cancel()
        for upstream in tuple(self._upstreams):
            upstream.reset()

    # ------------------------------------------------------------ clients

    def _client(self) -> End:
        return End(self._buffer, made=self._welcome, lost=self._clients.discard)

    def _welcome(self, client: End) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            client.reset()
            return
        assert self._group is not None
        self._clients.add(client)
        self._group.create_task(self._lead(client))

    async def _lead(self, client: End) -> None:
        """Hold the client until there is an owner that takes it, or until its patience is over."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._hold_s
        while client.alive and (left_s := deadline_s - loop.time()) > 0:
            owner = self.owner
            if owner is None or not self._active.is_set():
                await self._wait(left_s)
                continue
            upstream = await self._reached(owner, min(REACH_S, left_s))
            if upstream and client.alive:
                client.join(upstream)
                return
            if upstream:
                upstream.reset()
            elif owner == self.owner:
                await asyncio.sleep(AGAIN_S)
        client.reset()

    async def _wait(self, left_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._active.wait()

    async def _reached(self, owner: Owner, left_s: float) -> End | None:
        """A connection to the owner, or None when it does not take one or is the owner no more."""
        attempt = asyncio.create_task(self._connected(owner))
        self._attempts.add(attempt)
        try:
            await asyncio.wait({attempt}, timeout=left_s)
            if not attempt.done() or attempt.cancelled():
                return None
            upstream = attempt.result()
            return upstream if upstream and upstream.alive else None
        finally:
            self._attempts.discard(attempt)
            attempt.cancel()

    async def _connected(self, owner: Owner) -> End | None:
        def upstream() -> End:
            return End(self._buffer, made=self._upstreams.add, lost=self._upstreams.discard)

        loop = asyncio.get_running_loop()
        try:
            _, end = await loop.create_connection(upstream, owner.address, owner.port)
        except (OSError, ValueError):  # refused, unreachable, or a word that names no address
            return None
        return end
