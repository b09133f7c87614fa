"""What this server knows of its member, got once for all who ask: the newest look, and the events as they come.

Guarantees: however many ask, and however often, the member is asked for its status by one connection, at most every
LOOK_EVERY_S, and at most for LOOK_SHARE of its time; its log is followed by one more. A follower that takes too long is
dropped, and holds up nobody.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import msgspec

from standfast.api import limits, telling
from standfast.api.answers import Failure, Happened, Look
from standfast.errors import StandfastError
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import EventLine, Events, Status
from standfast.member.report import StatusReport
from standfast.member.turns import Takeover, takeovers

AGAIN_S = 0.5
"""Pause before a member that does not answer is asked again."""
TOLD_AT_ONCE = 300
"""Newest events that a new follower is sent."""
TURNS = 60
"""Newest takeovers that followers see."""

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)
Message = tuple[str, bytes]
"""The name of a server-sent event, and its JSON."""


class Follower:
    """One who follows: the newest look, and each event."""

    def __init__(self) -> None:
        self._news: dict[str, bytes] = {}
        self._events: deque[bytes] = deque(maxlen=limits.EVENTS_KEPT)
        self._stirred = asyncio.Event()

    def give(self, name: str, body: bytes) -> None:
        """Something new; of all but events only the newest counts."""
        if name == "happened":
            self._events.append(body)
        else:
            self._news[name] = body
        self._stirred.set()

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Each new thing, for ever."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._events:
                yield "happened", self._events.popleft()
            news, self._news = self._news, {}
            for name, body in news.items():
                yield name, body


class Hub:
    """Of one server. `socket`: the member's control socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._followers: set[Follower] = set()
        self._wanted = asyncio.Event()
        self._asking = asyncio.Lock()
        self._look: Look | None = None
        self._looked_s = float("-inf")
        self._took_s: deque[float] = deque(maxlen=8)
        self._member: ControlClient | None = None
        self._lines: deque[EventLine] = deque(maxlen=limits.EVENTS_KEPT)
        self._count = 0

    async def run(self) -> None:
        """Follow the member until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._watch())

    # ------------------------------------------------------------ asked

    async def look(self) -> Look:
        """The cluster now, or a moment ago. Raises Unreachable, or what the member answers."""
        async with self._asking:
            if self._look is None or asyncio.get_running_loop().time() - self._looked_s >= self._pause_s():
                await self._ask()
            assert self._look is not None
            return self._look

    def events(self, after: int = 0) -> list[Happened]:
        """Those seen after that number, oldest first."""
        first = self._count - len(self._lines) + 1
        lines = list(self._lines)
        return [telling.happened(first + i, line) for i, line in enumerate(lines) if first + i > after]

    def turns(self) -> list[Takeover]:
        """Takeovers, moves and restarts, oldest first."""
        return takeovers(self._lines)

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """A follower, given the newest of everything. Raises OverflowError when there are too many."""
        if len(self._followers) >= limits.MAX_STREAMS:
            raise OverflowError
        follower = Follower()
        for event in self.events()[-TOLD_AT_ONCE:]:
            follower.give("happened", _encode(event))
        follower.give("turns", _encode(self.turns()[-TURNS:]))
        self._followers.add(follower)
        self._wanted.set()
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    # ------------------------------------------------------------ following the member

    def _pause_s(self) -> float:
        """By the shortest of the last times: the longer ones tell of this process, which yields to all others."""
        return max(limits.LOOK_EVERY_S, min(self._took_s, default=0.0) / limits.LOOK_SHARE)

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        member = self._member or await ControlClient(self._socket, limits.ASK_S).__aenter__()
        self._member = None
        began_s = loop.time()
        try:
            report = await member.ask(Status(), StatusReport)
        except BaseException:
            await member.__aexit__()
            raise
        self._member, self._looked_s = member, loop.time()
        self._took_s.append(self._looked_s - began_s)
        self._look = telling.look(report)

    async def _watch(self) -> None:
        """While somebody follows, look again and again."""
        while True:
            await self._wanted.wait()
            try:
                body = "look", _encode(await self.look())
            except StandfastError as error:
                body = "trouble", _encode(Failure(error=type(error).__name__, message=str(error)))
            self._tell(*body)
            if not self._followers:
                self._wanted.clear()
            await asyncio.sleep(self._pause_s())

    async def _follow(self) -> None:
        """The log from its beginning, then each event; what was seen before a break is not told twice."""
        revision = 0
        while True:
            try:
                async with (
                    ControlClient(self._socket, limits.ASK_S) as member,
                    aclosing(member.events(Events(since=revision, follow=True))) as lines,
                ):
                    async for line in lines:
                        revision = max(revision, line.revision)
                        self._add(line)
            except StandfastError as error:
                _log.info("the member's events can not be followed: %s", error)
            await asyncio.sleep(AGAIN_S)

    def _add(self, line: EventLine) -> None:
        self._lines.append(line)
        self._count += 1
        if not self._followers:
            return
        self._tell("happened", _encode(telling.happened(self._count, line)))
        if line.kind.startswith("qm_"):
            self._tell("turns", _encode(self.turns()[-TURNS:]))

    def _tell(self, name: str, body: bytes) -> None:
        for follower in self._followers:
            follower.give(name, body)
