"""The bearer: a process beside the daemon that has the virtual IPs of this machine, as long as the lease lasts.

Guaranteed, whatever the daemon does (hangs, is stopped, dies): at the moment at which queue managers are stopped for
want of a lease, which lies before the lease's end, connections to the addresses are reset and the addresses are
removed; none is added after that moment; none is added that another machine on the wire answers for. What the daemon no
longer wants is removed at once. A bearer that ends removes all; one that starts removes what a former one left.

Not guaranteed by this process: anything when it is killed together with the daemon, or frozen with the machine. Then
the kernel removes each address by itself: its life-time (`valid_lft`) is what was left of the lease when it was last
renewed, in whole seconds rounded up (the kernel counts no others), and was measured to be late by 0.4 s at most. So an
address may outlive the lease by two seconds then, on a machine that runs no queue manager any more (the warden, its
backstop): clients may be refused there for so long, and no message is at stake. The next owner, which asks before it
takes, sees that machine answer, and asks again until it is silent.

Assumes that the kernel removes an address within the time between the stop of queue managers and the lease's end.

One thread, one poll loop. Standard library only. What the two say to each other: JSON objects, one per packet.

=========  ==================================================================================
``lease``  stop_ns, end_ns: when to give up, and when the lease ends (CLOCK_BOOTTIME)
``want``   addresses [[address, interface]]: these and no others; ours [address]: what may be
           left of a former life and is to be removed; answered by ``state``
``quit``   give up all, and end
``state``  from the bearer, also after each change: pid, held [address],
           failed {address: [stage, detail]}, rivals {address: hardware address}
=========  ==================================================================================
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from standfast.endpoints import vip_netlink as kernel
from standfast.endpoints.vip_address import Address, Stage

SOCKET = "bearer.sock"
LOCK = "bearer.lock"
EXIT_ALREADY_RUNNING = 7
LARGEST_BYTES = 1 << 17
LINGER_NS = 5_000_000_000
"""How long a bearer without addresses and daemon waits for a daemon before it ends."""
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
_LONGEST_NS = 1_000_000_000


class Bearer:
    """The poll loop and what it knows."""

    def __init__(self, directory: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(FileNotFoundError):
            (directory / SOCKET).unlink()
        mask = os.umask(0o177)
        with short_path(directory) as near:
            self._server.bind(near)
        os.umask(mask)
        self._server.listen()
        self._server.setblocking(False)
        self._daemon: socket.socket | None = None
        self._addresses: dict[str, Address] = {}
        self._wanted: dict[str, str] = {}
        self._stop_ns = self._end_ns = 0
        self._idle_ns = boottime_ns()
        self._quitting = False

    def run(self) -> None:
        """Serve until told to quit, or until nobody needs it any more."""
        while not self._over():
            poll = select.poll()
            sources = {one.fileno(): one for one in (self._server, self._daemon) if one is not None}
            wires = {a.wire.fileno(): a for a in self._addresses.values() if a.wire is not None}
            for number in (*sources, *wires):
                poll.register(number, select.POLLIN)
            for number, _ in poll.poll(self._wait_ms()):
                if number in wires:
                    self._listen(wires[number])
                elif number in sources and sources[number] is self._server:
                    self._accept()
                elif number in sources:
                    self._hear()
            self._tick()

    def _over(self) -> bool:
        unneeded = self._daemon is None and boottime_ns() >= max(self._idle_ns + LINGER_NS, self._stop_ns)
        return self._quitting or (unneeded and not self._addresses)

    def _wait_ms(self) -> float:
        now = boottime_ns()
        due = [now + _LONGEST_NS, *(address.next_ns for address in self._addresses.values())]
        if self._addresses:
            due.append(self._stop_ns)
        return max(0, -(-(min(due) - now) // 1_000_000))

    def _tick(self) -> None:
        now = boottime_ns()
        if now >= self._stop_ns:
            self._drop(tuple(self._addresses))
            return
        news = [address.tend(now, self._stop_ns) for address in self._addresses.values()]  # each of them
        if any(news):
            self._tell()

    # ------------------------------------------------------------ orders

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            fresh = self._server.accept()[0]
            fresh.setblocking(False)
            self._hang_up()
            self._daemon = fresh
            self._tell()

    def _hang_up(self) -> None:
        if self._daemon is not None:
            self._daemon.close()
            self._daemon = None
            self._idle_ns = boottime_ns()

    def _hear(self) -> None:
        """Every order that waits; only the last one's outcome counts."""
        while self._daemon is not None:
            try:
                packet = self._daemon.recv(LARGEST_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._hang_up()
                return
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self._obey(json.loads(packet))

    def _obey(self, order: dict[str, Any]) -> None:
        match order["do"]:
            case "lease":
                self._stop_ns, self._end_ns = int(order["stop_ns"]), int(order["end_ns"])
                now = boottime_ns()
                if now < self._stop_ns:
                    for address in self._addresses.values():
                        address.renew(now, self._stop_ns)
                    self._begin(now)
            case "want":
                self._wanted = dict(order["addresses"])
                self._want(order["ours"])
                self._tell()
            case "quit":
                self._drop(tuple(self._addresses))
                self._quitting = True

    def _want(self, ours: Iterable[str]) -> None:
        self._drop([text for text in self._addresses if text not in self._wanted])
        left = {ipaddress.ip_address(text) for text in ours} - {a.address for a in self._addresses.values()}
        for one in kernel.present() if left else ():
            if one.address in left and not one.lasting:
                with contextlib.suppress(OSError):
                    kernel.remove(one.address, one.interface)
        now = boottime_ns()
        if now < self._stop_ns:
            self._begin(now)

    def _begin(self, now_ns: int) -> None:
        """Ask for what is wanted and not there: a lease may have been too short for it, and is longer now."""
        for text, interface in self._wanted.items():
            if text not in self._addresses:
                self._addresses[text] = Address(text, interface, now_ns)

    def _drop(self, texts: Iterable[str]) -> None:
        dropped = [self._addresses.pop(text) for text in texts]
        for address in dropped:
            address.give_up(boottime_ns(), self._end_ns)
        if dropped:
            self._idle_ns = boottime_ns()
            self._tell()

    # ------------------------------------------------------------ what is seen

    def _listen(self, address: Address) -> None:
        if address.wire is not None and (heard := address.wire.heard()) is not None:
            now = boottime_ns()
            news = [one.hear(*heard, now) for one in self._addresses.values()]
            if any(news):
                self._tell()

    def _tell(self) -> None:
        if self._daemon is None:
            return
        known = self._addresses.values()
        state = {
            "pid": os.getpid(),
            "held": [a.text for a in known if a.stage is Stage.HELD],
            "failed": {a.text: a.trouble for a in known if a.trouble},
            "rivals": {a.text: a.rival for a in known if a.stage is Stage.HELD and a.rival},
        }
        with contextlib.suppress(OSError):  # a daemon that does not read hears the next one, or is gone
            self._daemon.send(json.dumps(state).encode())


def boottime_ns() -> int:
    """Now, on the protocol's clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@contextlib.contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """An address of the socket short enough for the kernel's 107 bytes, however deep the directory lies."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)


def main() -> None:
    """Entry point; the argument is the run directory. Whoever holds the lock is the one bearer of it."""
    directory = Path(sys.argv[1])
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(EXIT_ALREADY_RUNNING)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    Bearer(directory).run()
