"""Touch a shared disk through disposable children, so that a stalled disk hangs one of them and never the daemon.

Guarantees: this process makes no system call on the path; every call returns or raises DiskTrouble within the patience
given; how long a call has been under way can be read at any time (`busy_since_ns`).

Does not guarantee that what was given up did not happen: **a write that hangs may still reach the disk when the disk
comes back, long after its helper was killed**. Records carry sequences so that readers refuse it then.
"""

import asyncio
import errno
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, NamedTuple

from standfast.disposable import Disposable
from standfast.errors import KeyFileError, MachineError, StandfastError, StateError
from standfast.links.disk_child import PACKET_BYTES
from standfast.ports import boottime_ns

MOST_LEFT: Final = 4
"""Helpers left hanging at the same time; with so many, no new one is tried until one of them ends."""
_CHILD = "standfast.links.disk_child"
_READ = struct.Struct(">QII")
_OFFSET = struct.Struct(">Q")
_UNIT = struct.Struct(">II")


class DiskState(StrEnum):
    """How it stands with a shared disk, seen from one member."""

    OPENING = "opening"  # nothing is known yet
    OK = "ok"
    STALLED = "stalled"  # it does not answer
    MISSING = "missing"  # no such device or file
    NOT_A_DISK = "not_a_disk"  # neither a block device nor a plain file
    DENIED = "denied"  # no permission
    READ_ONLY = "read_only"
    BUSY = "busy"  # mounted, or part of LVM or RAID, on this machine
    UNALIGNED = "unaligned"  # it takes no direct I/O, or none in blocks of the slots' size
    TOO_SMALL = "too_small"
    IO_ERROR = "io_error"  # the kernel answered with another error
    UNFORMATTED = "unformatted"  # no header of Standfast's
    DAMAGED = "damaged"  # a header that was torn or overwritten
    OTHER_CLUSTER = "other_cluster"
    WRONG_KEY = "wrong_key"  # this cluster's, but not sealed with this key
    EXCHANGED = "exchanged"  # formatted anew, or another disk under the path, while it was opened
    NO_SLOT = "no_slot"  # the header names no slot for this member
    HELPER_LOST = "helper_lost"  # the helper process died


class _Words(NamedTuple):
    raises: type[StandfastError]
    why: str
    action: str


TROUBLES: Final[dict[DiskState, _Words]] = {
    DiskState.STALLED: _Words(MachineError, "it does not answer", "Look at the storage network and the array"),
    DiskState.MISSING: _Words(MachineError, "there is no such device or file", "See that it is attached here"),
    DiskState.NOT_A_DISK: _Words(
        MachineError, "it is neither a block device nor a plain file", "Name a device such as /dev/disk/by-id/..."
    ),
    DiskState.DENIED: _Words(MachineError, "this user may not open it", "Run as root, or give the user access"),
    DiskState.READ_ONLY: _Words(MachineError, "it can be read but not written", "Attach it writable on every member"),
    DiskState.BUSY: _Words(
        MachineError, "this machine uses it: mounted, or a part of LVM or RAID", "Choose a device of its own"
    ),
    DiskState.UNALIGNED: _Words(
        MachineError,
        "it takes no direct I/O in blocks of a slot's size",
        "Use a block device, or a file on ext4 or XFS",
    ),
    DiskState.TOO_SMALL: _Words(MachineError, "it is too small for the slots", "Attach a larger one (1 MiB is plenty)"),
    DiskState.IO_ERROR: _Words(MachineError, "the kernel reports an error", "Look at the kernel's log and the storage"),
    DiskState.UNFORMATTED: _Words(
        StateError, "it was never prepared as a shared disk", "Run `standfast disk init` once, on one member"
    ),
    DiskState.DAMAGED: _Words(
        StateError,
        "its header was overwritten or torn",
        "See who else writes to it, then `standfast disk init --force`",
    ),
    DiskState.OTHER_CLUSTER: _Words(
        StateError, "it belongs to another cluster", "See that the right disk is attached, under a stable name"
    ),
    DiskState.WRONG_KEY: _Words(
        KeyFileError, "it is this cluster's, sealed with another key", "Compare cluster.key on all members"
    ),
    DiskState.EXCHANGED: _Words(
        StateError, "it was exchanged or formatted anew just now", "See that the path names one disk only; try again"
    ),
    DiskState.NO_SLOT: _Words(
        StateError, "it has no slot for this member", "Run `standfast disk init` with the present cluster file"
    ),
    DiskState.HELPER_LOST: _Words(
        MachineError, "the helper process that touches it died", "See who killed it; the kernel's log tells of memory"
    ),
}
"""What each trouble is called, which error it becomes, and what to do."""

_ERRNO: Final[dict[int, DiskState]] = {
    errno.ENOENT: DiskState.MISSING,
    errno.ENOTDIR: DiskState.MISSING,
    errno.ENXIO: DiskState.MISSING,
    errno.ENODEV: DiskState.MISSING,
    errno.ENOMEDIUM: DiskState.MISSING,
    errno.ENOTBLK: DiskState.NOT_A_DISK,
    errno.EACCES: DiskState.DENIED,
    errno.EPERM: DiskState.DENIED,
    errno.EROFS: DiskState.READ_ONLY,
    errno.EBUSY: DiskState.BUSY,
    errno.EINVAL: DiskState.UNALIGNED,
    errno.EOPNOTSUPP: DiskState.UNALIGNED,
    errno.ENODATA: DiskState.TOO_SMALL,
}


class DiskTrouble(Exception):  # noqa: N818 - a situation
    """The disk cannot be used now, or as it is: a state of TROUBLES, and what exactly was met."""

    def __init__(self, state: DiskState, detail: str = "") -> None:
        super().__init__(state, detail)
        self.state = state
        self.detail = detail

    def error(self, path: str) -> StandfastError:
        """The same as the error for an operator."""
        words = TROUBLES[self.state]
        detail = f" ({self.detail})" if self.detail else ""
        return words.raises(f"The shared disk {path} cannot be used: {words.why}{detail}. {words.action}.")


class Facts(NamedTuple):
    """What the kernel says of an open disk.

    Attributes:
        block: logical block size in bytes: the least that can be written, and at once.
        size: of the whole, in bytes.
        device: whether it is a block device.
    """

    block: int
    size: int
    device: bool


class Hand:
    """One helper with one open file. One call at a time; after DiskTrouble(STALLED) it is of no more use.

    Attributes:
        busy_since_ns: when the call under way began (CLOCK_BOOTTIME); 0 when none is.
    """

    def __init__(self, patience_s: float) -> None:
        self.busy_since_ns = 0
        self._patience_s = patience_s
        self._child = Disposable(_CHILD)

    @property
    def pid(self) -> int:
        """Of the helper."""
        return self._child.pid

    async def open(self, path: str, *, write: bool, exclusive: bool = False, create: bool = False) -> Facts:
        """Open the disk; `exclusive` refuses a device that is in use here, `create` makes a new file."""
        asked = {"path": path, "write": write, "exclusive": exclusive, "create": create}
        (answer,) = await self._ask(b"o" + json.dumps(asked).encode())
        return Facts(**json.loads(answer[1:]))

    async def read(self, offset: int, length: int, unit: int) -> dict[int, bytes]:
        """The units that changed since this helper's last read, by number, without trailing zeros."""
        return dict(_units(await self._ask(b"r" + _READ.pack(offset, length, unit))))

    async def write(self, offset: int, content: bytes) -> None:
        """Write whole blocks; returns when they are on the disk."""
        await self._ask(b"w" + _OFFSET.pack(offset) + content)

    def left(self) -> Disposable | None:
        """End the helper: None when it is gone, or the child when it hangs and must be left behind."""
        if not self.busy_since_ns:
            self._child.close()
        else:
            self._child.abandon()
        return None if self._child.ended() else self._child

    async def _ask(self, packet: bytes) -> list[bytes]:
        """The answers, none of which is an error; raises DiskTrouble. Stays busy when given up."""
        assert not self.busy_since_ns
        self.busy_since_ns = boottime_ns()
        try:
            async with asyncio.timeout(self._patience_s):
                answers = await self._exchange(packet)
        except TimeoutError:
            raise DiskTrouble(DiskState.STALLED, f"no answer within {self._patience_s:g} s") from None
        except OSError as error:
            self.busy_since_ns = 0
            raise DiskTrouble(DiskState.HELPER_LOST, error.strerror or "") from error
        self.busy_since_ns = 0
        if answers[-1].startswith(b"!"):
            fault = json.loads(answers[-1][1:])
            raise DiskTrouble(_ERRNO.get(fault["errno"], DiskState.IO_ERROR), fault["text"])
        return answers

    async def _exchange(self, packet: bytes) -> list[bytes]:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._child.socket, packet)
        answers: list[bytes] = []
        while not answers or answers[-1][:1] == b"+":
            answer = await loop.sock_recv(self._child.socket, PACKET_BYTES)
            if not answer:
                raise ConnectionResetError(errno.ECONNRESET, "it ended without an answer")
            answers.append(answer)
        return answers


def _units(answers: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """The units in the answers to a read, by number."""
    for answer in answers:
        at = 1
        while at < len(answer):
            number, length = _UNIT.unpack_from(answer, at)
            at += _UNIT.size + length
            yield number, answer[at - length : at]


class Crew:
    """Gives out hands, and remembers the helpers that had to be left hanging.

    Args:
        patience_s: how long a hand waits for one answer of the disk.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._left: list[Disposable] = []

    @property
    def left_behind(self) -> int:
        """How many helpers hang, killed, until the kernel lets go of them."""
        self._left = [child for child in self._left if not child.ended()]
        return len(self._left)

    @contextmanager
    def hand(self) -> Iterator[Hand]:
        """A new helper for the time of the block; raises DiskTrouble when too many hang already."""
        if self.left_behind >= MOST_LEFT:
            raise DiskTrouble(DiskState.STALLED, f"{MOST_LEFT} helpers hang in it already")
        hand = Hand(self._patience_s)
        try:
            yield hand
        finally:
            child = hand.left()
            if child is not None:
                self._left.append(child)


__all__ = ["MOST_LEFT", "TROUBLES", "Crew", "DiskState", "DiskTrouble", "Facts", "Hand"]
