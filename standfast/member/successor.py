"""A daemon's successor: a new process of the same command, loaded and waiting, that takes over when this one ends.

Guarantees: the old daemon goes on untouched until the new one has read its files and says that it is ready; it is then
told its turn and begins when the old process is gone, which holds every lock until then. If the new one ends before,
does not get ready in time, or is sent away, nothing has changed. What is left of the old daemon's time goes by without
the start of an interpreter, so that the gap is the same however slow the machine is.

Does not guarantee that the new one then succeeds: for that case the warden ends what runs with the lease, as after any
loss of the daemon.
"""

import asyncio
import contextlib
import os
import select
import socket
import subprocess
import sys

import msgspec
from msgspec import Struct

from standfast import __version__
from standfast.errors import MachineError
from standfast.member.warden_protocol import OLDEST, VERSION

SUCCEEDS = "STANDFAST_SUCCEEDS"
"""Environment variable of the new process: descriptor of its connection to the old one."""
LOADED_S = 30.0
"""Longest time until it is ready; nobody waits for it meanwhile."""
ENDED_S = 5.0
"""Longest time until one that was sent away has ended, and until the old process is gone when it said that it goes."""
_GO = b"go"
_MS_PER_S = 1000
_LARGEST_BYTES = 4096


class Ready(Struct, frozen=True, kw_only=True):
    """The new process's word.

    Attributes:
        release: of Standfast.
        oldest_warden: the oldest version of the warden's protocol that it can go on with.
        newest_warden: the newest one.
    """

    release: str
    oldest_warden: int
    newest_warden: int

    def fits(self, warden: int) -> bool:
        """Whether it can take over a warden of this version."""
        return self.oldest_warden <= warden <= self.newest_warden


class Successor:
    """Made by `load`; then either told `go`, or sent away."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, ready: Ready) -> None:
        self.pid = process.pid
        self.ready = ready
        self._process = process
        self._connection = connection

    @classmethod
    async def load(cls, more: dict[str, str]) -> "Successor":
        """Start it and wait until it is ready; `more` for its environment. Raises MachineError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220 - returns once the interpreter was executed
                [sys.executable, *sys.orig_argv[1:]],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **more, SUCCEEDS: str(theirs.fileno())},
            )
        ours.setblocking(False)
        try:
            async with asyncio.timeout(LOADED_S):
                said = await asyncio.get_running_loop().sock_recv(ours, _LARGEST_BYTES)
            return cls(process, ours, msgspec.json.decode(said, type=Ready))
        except (OSError, TimeoutError, msgspec.MsgspecError) as error:
            ours.close()
            code = await _ended(process)
            raise MachineError(
                f"The new daemon did not get ready ({error or 'no word in time'}; exit code {code}), so the old one "
                f"goes on. What the new one had to say is in the log of the old one."
            ) from error
        except BaseException:
            ours.close()
            process.kill()
            raise

    def go(self) -> None:
        """Its turn, as soon as this process is gone. Raises MachineError when it has ended meanwhile."""
        if self._process.poll() is not None:
            raise MachineError("The new daemon has ended before its turn, so the old one goes on: see its log.")
        self._connection.send(_GO)

    async def send_away(self) -> None:
        """It is not needed: it ends."""
        self._connection.close()
        await _ended(self._process)


async def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return await asyncio.to_thread(process.wait, ENDED_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return await asyncio.to_thread(process.wait)


def await_turn() -> bool:
    """For a process that may be a successor: say that it is ready and wait; whether to go on. Blocks.

    Raises MachineError when the old process, having said that it ends, does not.
    """
    descriptor = os.environ.pop(SUCCEEDS, "")
    if not descriptor:
        return True
    predecessor = os.pidfd_open(os.getppid())
    ready = Ready(release=__version__, oldest_warden=OLDEST, newest_warden=VERSION)
    with socket.socket(fileno=int(descriptor)) as connection, contextlib.closing(os.fdopen(predecessor)) as gone:
        connection.send(msgspec.json.encode(ready))
        if connection.recv(_LARGEST_BYTES) != _GO:
            return False
        poll = select.poll()
        poll.register(gone, select.POLLIN)
        if not poll.poll(ENDED_S * _MS_PER_S):
            raise MachineError("The old daemon said that it ends, and has not: stop it, and start this member again.")
    return True
