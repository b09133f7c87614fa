"""Carries events to one sink: what waits in its outbox first, then what the feed has from the store's log.

Guarantees
  * An event counts as delivered when the sink has taken it, never before; until then it is tried again, so that it
    arrives at least once, and those of the outbox and those of the log each in their order.
  * What a sink took before it failed is not delivered to it again, but for the one event that it did not acknowledge.
  * A sink that fails or hangs costs one event's deadline, then a pause that doubles up to MAX_PAUSE_S; `wake` ends
    the pause, as when the queue manager that the sink is on runs again.
  * Nobody ever waits for a pump.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from standfast.alerts.outbox import Outbox
from standfast.alerts.sink import Door, Outgoing, Sink, door
from standfast.model.sinks import SinkSpec
from standfast.model.told import StoredEvent
from standfast.ports import boottime_ns

BATCH = 50
"""Events after which it is noted how far the sink is: so many may arrive twice after a death of whoever delivers."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.2, 10.0
CLOSE_S = 1.0
NS_PER_MS = 1_000_000

Connect = Callable[[SinkSpec, Door], Sink]
Places = Mapping[str, tuple[str, int]]


class SinkState(StrEnum):
    """How it stands with a sink on one member."""

    NEW = "new"  # nothing was to be delivered yet
    WORKING = "working"  # the last delivery succeeded
    FAILING = "failing"  # the last delivery failed; it is tried again


class SinkReport(Struct, frozen=True, kw_only=True):
    """One sink as one member sees it.

    Attributes:
        name: of the sink.
        kind: of the sink.
        state: see SinkState.
        detail: why it fails; empty when it does not.
        since_unix_ms: wall clock of the last change of state; 0: none yet.
        waiting: events that wait for it here, as far as they are known.
        delivered: events that it took from this member since the courier started.
        dropped: events that were given up because too many waited.
        took_ms: how long the last delivery took.
        reading_log: whether this member delivers the cluster's events to it from the store's log.
    """

    name: str
    kind: str
    state: SinkState = SinkState.NEW
    detail: str = ""
    since_unix_ms: int = 0
    waiting: int = 0
    delivered: int = 0
    dropped: int = 0
    took_ms: float = 0.0
    reading_log: bool = False


class Feed(Protocol):
    """Events of the store's log for one sink, if this member delivers them."""

    active: bool

    def first(self, count: int) -> list[StoredEvent]:
        """The oldest that are known and not done, at most `count`."""
        ...

    def waiting(self) -> int:
        """How many are known and not done."""
        ...

    async def done(self, events: Sequence[StoredEvent]) -> None:
        """They were delivered, or are not for this sink."""
        ...


class Pump:
    """Of one sink on one member.

    Args:
        spec: of the sink.
        connect: makes the connection.
        outbox: what this member tells by itself.
        cluster: name of the cluster.
        member: this one.
        now_ms: wall clock, for reports.
        changed: called after each change of state.
    """

    def __init__(
        self,
        spec: SinkSpec,
        connect: Connect,
        outbox: Outbox,
        *,
        cluster: str,
        member: str,
        now_ms: Callable[[], int],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.spec = spec
        self._connect = connect
        self._outbox = outbox
        self.feed: Feed | None = None
        """What it tells for the cluster, while this member does; None otherwise."""
        self._cluster = cluster
        self._member = member
        self._now_ms = now_ms
        self._changed = changed
        self._places: Places = {}
        self._sink: Sink | None = None
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._state = SinkState.NEW
        self._detail = ""
        self._since_ms = 0
        self._failing_ns = 0
        self._delivered = 0
        self._took_ms = 0.0

    # ------------------------------------------------------------ from outside

    def add(self, event: StoredEvent) -> None:
        """One more to deliver from here."""
        if self.spec.takes(event.kind, event.severity):
            self._outbox.add(event)
            self._news.set()

    def stir(self) -> None:
        """The feed may have more."""
        self._news.set()

    def wake(self) -> None:
        """Try again at once: what was down may be up."""
        self._hurry.set()

    def follow(self, places: Places) -> None:
        """Where queue managers run now; the one that the sink is on having moved is a reason to try at once."""
        before, self._places = self._places.get(self.spec.queue_manager), places
        if self.spec.queue_manager and places.get(self.spec.queue_manager) not in {before, None}:
            self.wake()

    def report(self) -> SinkReport:
        """How it stands."""
        return SinkReport(
            name=self.spec.name,
            kind=self.spec.kind,
            state=self._state,
            detail=self._detail or self._outbox.trouble,
            since_unix_ms=self._since_ms,
            waiting=self._outbox.pending + (self.feed.waiting() if self.feed else 0),
            delivered=self._delivered,
            dropped=self._outbox.dropped,
            took_ms=self._took_ms,
            reading_log=self.feed is not None and self.feed.active,
        )

    @property
    def failing_s(self) -> float:
        """For how long it has failed; 0 when it does not."""
        return (boottime_ns() - self._failing_ns) / (1000 * NS_PER_MS) if self._failing_ns else 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing waits that this member has to deliver."""
        return not self._outbox.pending and not (self.feed and self.feed.waiting())

    async def attempt(self, event: StoredEvent) -> None:
        """Deliver one event over a connection of its own; raises what that raises, TimeoutError after the deadline."""
        sink = self._connect(self.spec, door(self.spec, self._places, self._member))
        try:
            async with asyncio.timeout(self.spec.deadline_s):
                await sink.deliver([Outgoing(event, self._cluster)])
        finally:
            await _closed(sink)

    # ------------------------------------------------------------ its task

    async def run(self) -> None:
        """Deliver whatever comes, until cancelled."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                self._news.clear()
                self._hurry.clear()
                local, feed = self._outbox.first(BATCH), self.feed
                logged = feed.first(BATCH) if feed and not local else []
                if not local and not logged:
                    await self._news.wait()
                    continue
                taken: list[StoredEvent] = []
                failure: Exception | None = None
                try:
                    await self._deliver(local or logged, taken)
                except Exception as error:  # noqa: BLE001 - clients raise what they like; it is told, and tried again
                    failure = error
                if taken and local:
                    self._outbox.done([event.id for event in taken])
                elif taken and feed:
                    await feed.done(taken)
                pause_s = FIRST_PAUSE_S if taken else pause_s
                if failure is not None:
                    await self._failed(failure)
                    await self._rest(pause_s)
                    pause_s = min(MAX_PAUSE_S, pause_s * 2)
        finally:
            await self._disconnect()

    async def _deliver(self, events: Sequence[StoredEvent], taken: list[StoredEvent]) -> None:
        """One after the other, each within the deadline; `taken` grows with what need not be delivered any more."""
        for event in events:
            if self.spec.takes(event.kind, event.severity):
                began_ns = boottime_ns()
                async with asyncio.timeout(self.spec.deadline_s):
                    where = door(self.spec, self._places, self._member)
                    if self._sink is None:
                        self._sink = self._connect(self.spec, where)
                    await self._sink.deliver([Outgoing(event, self._cluster)])
                self._delivered += 1
                self._took_ms = (boottime_ns() - began_ns) / NS_PER_MS
                self._failing_ns = 0
                self._enter(SinkState.WORKING, "")
            taken.append(event)

    async def _failed(self, error: Exception) -> None:
        await self._disconnect()
        self._failing_ns = self._failing_ns or boottime_ns()
        self._enter(SinkState.FAILING, why(error, self.spec.deadline_s))

    def _enter(self, state: SinkState, detail: str) -> None:
        if state is not self._state:
            self._since_ms = self._now_ms()
        changed, self._state, self._detail = (state, detail) != (self._state, self._detail), state, detail
        if changed:
            self._changed()

    async def _rest(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s * random.uniform(0.8, 1.2)):  # noqa: S311 - to spread attempts
                await self._hurry.wait()

    async def _disconnect(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            await _closed(sink)


async def _closed(sink: Sink) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_S):
            await sink.close()


def why(error: BaseException, deadline_s: float) -> str:
    """One line for a person."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no acknowledgement within {deadline_s:g} s"
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{' '.join(str(error).split())[:400] or type(error).__name__}"
