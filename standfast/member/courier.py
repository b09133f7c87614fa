"""The courier: a process of its own beside the daemon, which takes events to the sinks.

Guarantees: whatever a sink, a name service, a certificate or a client library does, it happens here; the daemon writes
to a socket without waiting and starts another courier when this one hangs or dies. What the daemon was told to be taken
is in an outbox. It ends when the daemon has gone, after FLUSH_S for what still waits.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from standfast.alerts.feed import LogFeed
from standfast.alerts.outbox import Outbox
from standfast.alerts.pump import Pump, why
from standfast.alerts.registry import connect
from standfast.errors import StandfastError
from standfast.member.courier_protocol import (
    MAX_LINE,
    Begin,
    Course,
    Follow,
    Got,
    Sinks,
    Stirred,
    ToCourier,
    ToDaemon,
    Told,
    Tried,
    Try,
)
from standfast.member.logs import set_up
from standfast.member.storehouse import access
from standfast.model.cluster import Cluster
from standfast.model.sinks import SinkSpec
from standfast.ports import boottime_ns
from standfast.stores.etcd import Etcd
from standfast.stores.ledger import Ledger

OUTBOX = "outbox"
"""Directory below the state directory."""
CHECKPOINTS = ".sinks"
"""Behind the cluster's name: the room of checkpoints in the store, which no cluster's name can be."""
REPORT_EVERY_S = 1.0
FLUSH_S = 3.0
LOOK_EVERY_S = 0.02
THREADS = 128
"""For name lookups and files that may hang: a few for each sink."""
NICE = 5
NS_PER_MS = 1_000_000

_decode = msgspec.json.Decoder(ToCourier).decode
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("standfast.courier")


class Courier:
    """Of one member; `say` writes to the daemon."""

    def __init__(self, begin: Begin, say: Callable[[ToDaemon], None]) -> None:
        self._begin = begin
        self._say = say
        self._cluster: Cluster | None = None
        self._since = 0
        self._course = Course(leading=False, places={})
        self._routes: dict[str, _Route] = {}
        self._tries: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def take(self, message: ToCourier) -> None:
        """What the daemon says; never waits."""
        match message:
            case Follow():
                self._follow(message)
            case Course():
                self._steer(message)
            case Told():
                for route in self._routes.values():
                    if not (message.stored and route.pump.spec.from_log):
                        route.pump.add(message.event)
                self._say(Got(message.number))
            case Stirred():
                for route in self._routes.values():
                    if route.feed is not None:
                        route.feed.stirred()
            case Try():
                task = asyncio.get_running_loop().create_task(self._try(message))
                self._tries.add(task)
                task.add_done_callback(self._tries.discard)
            case Begin():
                pass

    async def report(self) -> None:
        """Tell the daemon how it stands, on each change and at least once a second; for ever."""
        while True:
            self._changed.clear()
            self._say(Sinks(tuple(route.pump.report() for route in self._routes.values())))
            await asyncio.sleep(REPORT_EVERY_S / 10)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_EVERY_S):
                    await self._changed.wait()

    async def close(self) -> None:
        """Deliver what waits, as far as FLUSH_S goes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while not all(route.pump.idle for route in self._routes.values()):  # noqa: ASYNC110 - many to wait for
                    await asyncio.sleep(LOOK_EVERY_S)
                for route in self._routes.values():
                    await route.outbox.flush()

    # ------------------------------------------------------------ what is in force

    def _follow(self, message: Follow) -> None:
        before = self._cluster
        self._cluster, self._since = message.cluster, message.since
        if before is not None and (before.members, before.store) != (message.cluster.members, message.cluster.store):
            self._leave()
        wanted = {sink.name: sink for sink in message.cluster.sinks}
        for name in [name for name, route in self._routes.items() if wanted.get(name) != route.pump.spec]:
            self._routes.pop(name).end()
        for name, spec in wanted.items():
            if name not in self._routes:
                self._routes[name] = self._route(spec, message.cluster)
        self._steer(self._course)
        self._changed.set()

    def _route(self, spec: SinkSpec, cluster: Cluster) -> "_Route":
        outbox = Outbox(Path(self._begin.state_dir) / OUTBOX / f"{spec.name}.log")
        outbox.load()
        return _Route(spec, outbox, cluster.name, self._begin.member, self._changed.set)

    def _steer(self, course: Course) -> None:
        """Read the log if this member leads, and no more if it does not."""
        self._course = course
        for route in self._routes.values():
            route.pump.follow(course.places)
            if route.feed is None and course.leading and route.pump.spec.from_log and self._cluster:
                route.lead(self._cluster, self._begin, lambda: self._since)
            elif route.feed is not None and not course.leading:
                route.rest()

    def _leave(self) -> None:
        """The store may be elsewhere: connect to it anew."""
        for route in self._routes.values():
            route.rest()

    async def _try(self, order: Try) -> None:
        route = self._routes.get(order.sink)
        began_ns = boottime_ns()
        detail = ""
        if route is None:
            detail = "the courier has no such sink yet"
        else:
            try:
                await route.pump.attempt(order.event)
            except Exception as error:  # noqa: BLE001 - clients raise what they like, and the operator reads it
                detail = why(error, route.pump.spec.deadline_s)
            else:
                route.pump.wake()
        took_ms = (boottime_ns() - began_ns) / NS_PER_MS
        self._say(Tried(ticket=order.ticket, detail=detail, took_ms=took_ms))


class _Route:
    """One sink: its outbox, its pump and, while this member leads, its feed."""

    def __init__(self, spec: SinkSpec, outbox: Outbox, cluster: str, member: str, changed: Callable[[], None]) -> None:
        self.outbox = outbox
        self.feed: LogFeed | None = None
        self.pump = Pump(
            spec,
            connect,
            outbox,
            cluster=cluster,
            member=member,
            now_ms=lambda: time.time_ns() // NS_PER_MS,
            changed=changed,
        )
        self._pumping = asyncio.get_running_loop().create_task(self.pump.run())
        self._reading: asyncio.Task[None] | None = None

    def lead(self, cluster: Cluster, begin: Begin, since: Callable[[], int]) -> None:
        """Read the log for it."""
        try:
            way = access(cluster, begin.member, Path(begin.trust_dir))
        except StandfastError as error:
            _log.error("the log can not be read for sink %s: %s", self.pump.spec.name, error)
            return
        store = Etcd(cluster.name, **way)
        marks = Etcd(f"{cluster.name}{CHECKPOINTS}", **way)
        self.feed = LogFeed(
            self.pump.spec.name,
            Ledger(store, begin.member).history,
            marks,
            by=f"{begin.member}.{os.getpid()}",
            since=since,
            stir=self.pump.stir,
        )
        self.pump.feed = self.feed
        self._reading = asyncio.get_running_loop().create_task(_read(self.feed, store, marks))

    def rest(self) -> None:
        """Another member leads."""
        self.feed = self.pump.feed = None
        if self._reading is not None:
            self._reading.cancel()

    def end(self) -> None:
        """It is no sink any more, or another one; what waits in its outbox stays there."""
        self.rest()
        self._pumping.cancel()
        self.outbox.close()


async def _read(feed: LogFeed, store: Etcd, marks: Etcd) -> None:
    try:
        await feed.run()
    finally:
        await store.close()
        await marks.close()


async def serve(link: socket.socket) -> None:
    """From Begin to the daemon's end."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="lookup"))
    reader, writer = await asyncio.open_connection(sock=link, limit=MAX_LINE)
    begin = _decode(await reader.readline())
    assert isinstance(begin, Begin)
    set_up(begin.member, begin.log_format)
    courier = Courier(begin, lambda message: writer.write(_encode(message) + b"\n"))
    reporting = loop.create_task(courier.report())
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            courier.take(_decode(line))
    reporting.cancel()
    await courier.close()


def main() -> None:
    """`python -m standfast.member.courier FD`."""
    os.nice(NICE)
    asyncio.run(_served(socket.socket(fileno=int(sys.argv[1]))))


async def _served(link: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):  # of a whole group: the daemon has still to tell how it ends
        loop.add_signal_handler(number, lambda: None)
    await serve(link)
    os._exit(0)  # threads that hang in a name lookup or on a dead disk are not waited for


if __name__ == "__main__":
    main()
