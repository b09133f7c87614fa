"""The health URLs, for load balancers and for `standfast proxy`, served from a thread of their own.

=======================================  =====================================================================
``/queue-managers/NAME/active``          200 while this member runs it, is ready, and holds the lease; 404 while it is
                                         drained there: no new clients; else 503
``/queue-managers/NAME/follow``          the same as endless JSON lines: at once, on change, and every interval
``/live``                                200 while the member's main loop turns
``/ready``                               200 while it also takes part in the cluster
``/metrics``                             for Prometheus: as the main loop knows it, and as soon as that turns
=======================================  =====================================================================

GET, HEAD and OPTIONS; 404 for a queue manager that the member does not know; the body says why in JSON.

Guaranteed: the lease is compared with the clock when the answer is made, in this thread. So however the daemon's main
loop hangs, the answer is 503, and followers are told so, from the moment at which the lease ends.

Not guaranteed: an answer while the whole process is stopped or something holds the interpreter's lock; a prober must
count no answer as "not active". An answer is true when it is made and not when it arrives. The lines are not sealed:
who may speak from a member's address may divert clients, as with any health check.
"""

import asyncio
import socket
import threading
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct

from standfast.endpoints.http import Answer, Connection
from standfast.endpoints.listener import listening
from standfast.endpoints.metrics_page import MetricsPage
from standfast.ports import boottime_ns

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_PREFIX: Final = "/queue-managers/"


class Why(StrEnum):
    """Why a queue manager is active here, or not."""

    ACTIVE = "active"
    NO_LEASE = "no_lease"
    DRAINING = "draining"  # it is about to be stopped by plan: no new clients, those that are there may go on
    NOT_READY = "not_ready"  # it runs elsewhere, or nowhere, or does not serve yet


class Service(Struct, frozen=True, kw_only=True):
    """What this member knows of one queue manager.

    Attributes:
        ready: it runs here and serves clients.
        epoch: of its assignment in this member's view, whoever owns it; a larger one voids what smaller ones say.
        address: where it serves clients when it runs here.
        port: likewise.
        draining: see Why; it is not ready then.
    """

    ready: bool
    epoch: int
    address: str
    port: int
    draining: bool = False


class Snapshot(Struct, frozen=True, kw_only=True):
    """All that the health URLs answer from. Published whole, never changed.

    Attributes:
        services: every queue manager of the cluster, by name.
        lease_end_ns: when this member's lease ends (CLOCK_BOOTTIME); 0 without one.
        alive_ns: when the main loop turned last (CLOCK_BOOTTIME).
        joined: whether the member takes part in the cluster.
    """

    services: Mapping[str, Service]
    lease_end_ns: int
    alive_ns: int
    joined: bool


class Line(Struct, frozen=True, kw_only=True):
    """One line of `/follow`, and the body of `/active`.

    Attributes:
        active: whether clients are to be sent here.
        why: the reason.
        epoch: see Service.
        address: where to, when active.
        port: likewise.
        lease_ms: how long this word is good for, rounded down; 0 when not active.
        interval_ms: the next line comes no later than this.
    """

    active: bool
    why: Why
    epoch: int
    address: str
    port: int
    lease_ms: int
    interval_ms: int


NOTHING: Final = Snapshot(services={}, lease_end_ns=0, alive_ns=0, joined=False)
_encode = msgspec.json.Encoder().encode


STATUS: Final = {
    Why.ACTIVE: HTTPStatus.OK,
    Why.DRAINING: HTTPStatus.NOT_FOUND,  # what HAProxy's `http-check disable-on-404` takes for it
    Why.NO_LEASE: HTTPStatus.SERVICE_UNAVAILABLE,
    Why.NOT_READY: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What `/active` answers for each reason."""


class HealthBoard:
    """The listener and the snapshot that it answers from.

    Args:
        address: to listen on, numeric.
        port: likewise; 0 takes a free one.
        interval_ns: longest time between two lines of `/follow`: the heartbeat interval.
        stale_after_ns: `/live` answers 503 when the main loop's stamp is older than this.
    """

    def __init__(self, *, address: str, port: int, interval_ns: int, stale_after_ns: int) -> None:
        self.address = address
        self.port = port
        self._interval_ns = interval_ns
        self._stale_after_ns = stale_after_ns
        self._snapshot = NOTHING
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing: asyncio.Event
        self._connections: set[Connection] = set()
        self._followers: dict[str, set[_Follower]] = {}
        self.metrics: MetricsPage | None = None

    def retimed(self, interval_ns: int, stale_after_ns: int) -> None:
        """Other timers are in force from now on."""
        self._interval_ns = interval_ns
        self._stale_after_ns = stale_after_ns

    def start(self) -> None:
        """Listen; raises MachineError when the port is taken. `port` then tells which."""
        listener = listening("The health page", self.address, self.port)
        self.port = listener.getsockname()[1]
        if self.metrics is not None:
            self.metrics.begin()
        self._closing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop, listener), name="health", daemon=True)
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Answer from this snapshot from now on; followers of what changed hear it at once. Never blocks."""
        before, self._snapshot = self._snapshot, snapshot
        if not self._loop:
            return
        was_leased, is_leased = (boottime_ns() < shown.lease_end_ns for shown in (before, snapshot))
        changed = set[str]()
        if before.services is not snapshot.services:  # most of the time only the lease has moved
            changed = {name for name, service in snapshot.services.items() if before.services.get(name) != service}
            changed |= before.services.keys() - snapshot.services.keys()
        if was_leased != is_leased:
            changed |= snapshot.services.keys()
        if changed:
            self._loop.call_soon_threadsafe(self._tell, changed)

    def close(self) -> None:
        """Drop every client and end the thread; a second call does nothing."""
        loop, self._loop = self._loop, None
        if loop and self._thread:
            loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def line(self, name: str) -> Line | None:
        """What is true of a queue manager now; None when it is unknown."""
        snapshot = self._snapshot
        service = snapshot.services.get(name)
        if service is None:
            return None
        left_ns = max(0, snapshot.lease_end_ns - boottime_ns())
        active = service.ready and left_ns > 0
        return Line(
            active=active,
            why=_why(service, active=active, leased=left_ns > 0),
            epoch=service.epoch,
            address=service.address,
            port=service.port,
            lease_ms=left_ns // _NS_PER_MS if active else 0,
            interval_ms=self._interval_ns // _NS_PER_MS,
        )

    # ------------------------------------------------------------ in the thread

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        loop.run_until_complete(self._serve(listener))
        loop.close()

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self._answer, self._connections), sock=listener)
        await self._closing.wait()
        server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # lets the aborted ones close their sockets

    def _answer(self, path: str) -> Answer:
        if path == "/live":
            return self._vital(joined=True)
        if path == "/ready":
            return self._vital(joined=self._snapshot.joined)
        if path == "/metrics" and self.metrics is not None:
            return Answer(HTTPStatus.OK, b"", self.metrics.serve, self.metrics.kind)
        name, _, what = path.removeprefix(_PREFIX).partition("/")
        line = self.line(name) if path.startswith(_PREFIX) else None
        if line is None or what not in {"active", "follow"}:
            return Answer(HTTPStatus.NOT_FOUND, b'{"why":"unknown"}\n')
        status = STATUS[line.why] if what == "active" or line.active else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, _encode(line) + b"\n", partial(self._follow, name) if what == "follow" else None)

    def _vital(self, *, joined: bool) -> Answer:
        silent_ns = boottime_ns() - self._snapshot.alive_ns
        live = silent_ns <= self._stale_after_ns
        status = HTTPStatus.OK if live and joined else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"live": live, "joined": self._snapshot.joined, "silent_ms": silent_ns // _NS_PER_MS}
        return Answer(status, _encode(body) + b"\n")

    def _follow(self, name: str, connection: Connection) -> None:
        followers = self._followers.setdefault(name, set())
        follower = _Follower(self, name, connection)
        followers.add(follower)

        def forget() -> None:
            follower.stop()
            followers.discard(follower)

        connection.on_close = forget
        follower.tell()

    def _tell(self, names: set[str]) -> None:
        for name in names:
            for follower in tuple(self._followers.get(name, ())):
                follower.tell()


def _why(service: Service, *, active: bool, leased: bool) -> Why:
    if active:
        return Why.ACTIVE
    if not leased:
        return Why.NO_LEASE
    return Why.DRAINING if service.draining else Why.NOT_READY


class _Follower:
    """One `/follow` stream: a line now and whenever told, at the lease's end, and at least every interval."""

    def __init__(self, board: HealthBoard, name: str, connection: Connection) -> None:
        self._board = board
        self._name = name
        self._connection = connection
        self._timer: asyncio.TimerHandle | None = None

    def tell(self) -> None:
        """Send what is true now and set the clock for the next line."""
        line = self._board.line(self._name)
        if line is None:
            self._connection.abort()  # the queue manager is no more; a new request answers 404
            return
        self.stop()
        wait_ms = min(line.interval_ms, line.lease_ms + 1) if line.active else line.interval_ms
        self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self.tell)
        self._connection.write(_encode(line) + b"\n")

    def stop(self) -> None:
        """No further line by itself."""
        if self._timer:
            self._timer.cancel()
