"""The daemon's side of the bearer: found or started, given orders without waiting, replaced when it does not answer.

Guaranteed: no call waits; the newest lease and wish are what a bearer that comes later hears first; a bearer that has
not answered a wish within ANSWER_S is killed (its addresses end by the kernel's life-time) and another one is started.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from standfast.disposable import bare_python
from standfast.endpoints.vip_bearer import LARGEST_BYTES, LOCK, short_path

ANSWER_S = 1.0
"""A bearer answers within milliseconds; one that took so long hangs."""
TRY_S = 0.02
START_S = 5.0
AGAIN_S = 0.5
_MODULE = "standfast.endpoints.vip_bearer"
_log = logging.getLogger(__name__)


class Wish(Struct, frozen=True):
    """An address and the interface for it; an empty one: that in whose net it lies."""

    address: str
    interface: str = ""


class State(Struct, frozen=True):
    """What the bearer says of itself: see there."""

    pid: int
    held: tuple[str, ...] = ()
    failed: dict[str, tuple[str, str]] = {}
    rivals: dict[str, str] = {}


_decode = msgspec.json.Decoder(State).decode


class BearerClient:
    """Of one member; nothing is started before the first wish, or the first `ours`.

    Args:
        run_dir: of the member.
        told: called with each state, and with None when the bearer is gone.
    """

    def __init__(self, run_dir: Path, told: Callable[[State | None], None]) -> None:
        self._run_dir = run_dir
        self._told = told
        self._lease: dict[str, object] | None = None
        self._wanted: tuple[Wish, ...] | None = None
        self._ours: tuple[str, ...] = ()
        self._connection: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lost = asyncio.Event()
        self._needed = asyncio.Event()
        self._asked: asyncio.TimerHandle | None = None

    def lease(self, end_ns: int, stop_ns: int) -> None:
        """The lease ends then, and queue managers are stopped for want of it then (CLOCK_BOOTTIME)."""
        self._lease = {"do": "lease", "stop_ns": stop_ns, "end_ns": end_ns}
        self._send(self._lease)

    def want(self, wanted: tuple[Wish, ...], ours: tuple[str, ...]) -> None:
        """Have these addresses and no others; `ours`: all that any queue manager of the cluster has."""
        if (wanted, ours) == (self._wanted, self._ours):
            return
        self._wanted, self._ours = wanted, ours
        if ours:
            self._needed.set()
        self._ask()

    async def run(self) -> None:
        """Keep a bearer for as long as there may be something to bear; at the end it gives up everything."""
        try:
            found = self._connected()  # that of a former life must hear of longer leases at once
            if found is None:
                await self._needed.wait()
            while True:
                try:
                    await self._meet(found)
                    found = None
                    await self._lost.wait()
                except (OSError, TimeoutError) as error:
                    _log.warning("no process for virtual IPs: %s", error)
                self._told(None)
                await asyncio.sleep(AGAIN_S)
        finally:
            self._quit()

    def close(self) -> None:
        """Let go of it: by itself it goes on until the lease ends."""
        if self._asked is not None:
            self._asked.cancel()
        if self._connection is not None:
            asyncio.get_running_loop().remove_reader(self._connection)
            self._connection.close()
            self._connection = None

    # ------------------------------------------------------------ meeting it

    async def _meet(self, found: socket.socket | None) -> None:
        """Talk to the one that lives, connected to already or not, else start one; raises OSError, TimeoutError."""
        self._lost.clear()
        connection = found or self._connected()
        if connection is None:
            self._end_hung()
            self._start()
            async with asyncio.timeout(START_S):
                while (connection := self._connected()) is None:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(TRY_S)
        self._connection = connection
        asyncio.get_running_loop().add_reader(connection, self._readable)
        if self._lease is not None:
            self._send(self._lease)
        self._ask()

    def _connected(self) -> socket.socket | None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            with short_path(self._run_dir) as near:
                made.connect(near)
        except OSError:
            made.close()
            return None
        return made

    def _start(self) -> None:
        with (self._run_dir / "bearer.log").open("ab") as log:
            self._process = subprocess.Popen(
                bare_python(_MODULE, str(self._run_dir)),
                start_new_session=True,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _end_hung(self) -> None:
        """Kill who holds the lock and takes no connection: the pid in the file is that of whoever holds it."""
        with contextlib.suppress(OSError, ValueError):
            lock = os.open(self._run_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.kill(int(os.pread(lock, 20, 0)), signal.SIGKILL)
            finally:
                os.close(lock)

    # ------------------------------------------------------------ talking

    def _ask(self) -> None:
        if self._wanted is None or self._connection is None:
            return
        addresses = [[wish.address, wish.interface] for wish in self._wanted]
        self._send({"do": "want", "addresses": addresses, "ours": list(self._ours)})
        if self._asked is None:
            self._asked = asyncio.get_running_loop().call_later(ANSWER_S, self._hangs)

    def _send(self, order: dict[str, object]) -> None:
        if self._connection is not None:
            try:
                self._connection.send(json.dumps(order).encode())
            except BlockingIOError:
                self._hangs()
            except OSError:
                self._gone()

    def _readable(self) -> None:
        while self._connection is not None:
            try:
                packet = self._connection.recv(LARGEST_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._gone()
                return
            if self._asked is not None:
                self._asked.cancel()
                self._asked = None
            self._told(_decode(packet))

    def _hangs(self) -> None:
        _log.warning("the process for virtual IPs does not answer: it is replaced")
        self._end_hung()
        self._gone()

    def _gone(self) -> None:
        self.close()
        self._asked = None
        self._lost.set()
        if self._process is not None:
            self._process.poll()

    def _quit(self) -> None:
        """Have it give up everything and end."""
        self._wanted = None
        self._send({"do": "quit"})
        self.close()
