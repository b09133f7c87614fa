"""Look at storage from disposable children, so that a dead mount hangs one of them and never the daemon.

Guarantees: `probe` answers within its time limit; this process makes no system call on the path. A child that hangs
gets SIGKILL and is left behind, as a process inside a dead mount may not even die of that; when too many were
left behind, everything counts as hung until one of them ends.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct, structs

from standfast.disposable import Disposable
from standfast.storage.epoch_file import Stamp

PROBE_TIMEOUT_S = 2.0
"""Longest time for one probe: a healthy NFS server answers in milliseconds, a busy one in tenths of a second."""
MOST_ABANDONED = 4
"""Hanging children left behind at the same time."""
MOST_IDLE = 2
"""Idle children kept for the next probes."""
_ANSWER_BYTES = 65_536


class ProbeState(StrEnum):
    """What a probe found."""

    OK = "ok"  # can be claimed, as far as can be seen
    MISSING = "missing"  # neither it nor its parent exists, or it is no directory
    NOT_MOUNTED = "not_mounted"  # must be a mount point and is none
    UNSAFE_MOUNT = "unsafe_mount"  # mounted with options under which data or locks are lost
    READ_ONLY = "read_only"
    FULL = "full"
    EPOCH_BROKEN = "epoch_broken"  # the epoch file is no whole stamp
    ERROR = "error"  # the file system answered with another error, or the child died
    HUNG = "hung"  # no answer in time


class Probe(Struct, frozen=True, kw_only=True):
    """The answer to one probe.

    Attributes:
        state: see ProbeState.
        free_bytes: free for this user; None when unknown.
        stamp: of the last claim of the directory; None when there was none, or it is unknown.
        took_ms: how long the answer took.
        detail: what exactly was found, for people.
    """

    state: ProbeState
    free_bytes: int | None = None
    stamp: Stamp | None = None
    took_ms: float = 0.0
    detail: str = ""


_decode = msgspec.json.Decoder(Probe).decode
_encode = msgspec.json.encode


class _Child(Disposable):
    """One disposable child that looks at directories."""

    def __init__(self, interpreter: Sequence[str]) -> None:
        super().__init__("standfast.storage.probe_child", interpreter)

    async def ask(self, path: str, *, mount: bool, fresh: bool) -> Probe:
        """Its answer; raises OSError when it has died."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.socket, _encode({"path": path, "mount": mount, "fresh": fresh}))
        packet = await loop.sock_recv(self.socket, _ANSWER_BYTES)
        if not packet:
            raise ConnectionResetError("the probing child has died")
        return _decode(packet)


class Prober:
    """Probes directories; several at once if asked so. Close it when done."""

    def __init__(self, timeout_s: float = PROBE_TIMEOUT_S, *, interpreter: Sequence[str] = (sys.executable,)) -> None:
        self._timeout_s = timeout_s
        self._interpreter = interpreter
        self._idle: list[_Child] = []
        self._abandoned: list[_Child] = []

    @property
    def abandoned(self) -> int:
        """How many hanging children are left behind."""
        self._abandoned = [child for child in self._abandoned if not child.ended()]
        return len(self._abandoned)

    async def probe(self, path: str, *, mount: bool, fresh: bool = False) -> Probe:
        """Look at one directory: whether it can be claimed, how much is free, who claimed it last. Never raises.

        `fresh`: who claimed it is asked of the server, whatever this machine has cached; the directory is written to.
        """
        began = time.monotonic()
        found = await self._ask(path, mount=mount, fresh=fresh)
        return structs.replace(found, took_ms=(time.monotonic() - began) * 1000)

    async def _ask(self, path: str, *, mount: bool, fresh: bool) -> Probe:
        if self.abandoned >= MOST_ABANDONED:
            return Probe(state=ProbeState.HUNG, detail=f"{MOST_ABANDONED} earlier probes still hang")
        child = self._idle.pop() if self._idle else _Child(self._interpreter)
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await child.ask(path, mount=mount, fresh=fresh)
        except TimeoutError:
            self._leave(child)
            return Probe(state=ProbeState.HUNG, detail=f"no answer within {self._timeout_s} s")
        except OSError as error:
            self._leave(child)
            return Probe(state=ProbeState.ERROR, detail=str(error))
        except BaseException:
            self._leave(child)
            raise
        if len(self._idle) < MOST_IDLE:
            self._idle.append(child)
        else:
            self._leave(child)
        return found

    def _leave(self, child: _Child) -> None:
        child.abandon()
        self._abandoned.append(child)

    def close(self) -> None:
        """End the children; those that hang are left to the kernel."""
        for child in self._idle:
            child.close()
        self._idle.clear()
        self._abandoned = [child for child in self._abandoned if not child.ended()]


__all__ = ["Probe", "ProbeState", "Prober"]
