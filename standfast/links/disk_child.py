"""The disposable child that touches a shared disk: one open file, direct and synchronous I/O, a packet for each answer.

It may hang in any call for as long as the disk does; nobody waits for it then. It decides nothing and knows nothing of
clusters. Standard library only.

Asked, one packet each (numbers big endian)::

    b"o" + JSON {"path", "write", "exclusive", "create"}   open; answers b"=" + JSON {"block", "size", "device"}
    b"r" + u64 offset, u32 length, u32 unit                answers b"+" or, at last, b"." with the units that changed
                                                           since the last time, for each: u32 number, u32 length, and
                                                           the bytes without trailing zeros
    b"w" + u64 offset + bytes                              write; answers b"." when it is on the disk

and instead of any answer b"!" + JSON {"errno", "text"}.
"""

import contextlib
import errno
import fcntl
import json
import mmap
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE_BLOCK = 4096
"""Alignment for a plain file, whose device may want 512 or 4096: enough for both."""
PACKET_BYTES = 1 << 17

_BLKROGET = 0x125E  # linux/fs.h: whether a block device is read-only
_BLKSSZGET = 0x1268  # likewise: its logical block size
_READ = struct.Struct(">QII")
_OFFSET = struct.Struct(">Q")
_UNIT = struct.Struct(">II")
_PRIVATE = 0o600


class _Disk:
    """The file and an aligned buffer; every method raises OSError."""

    def __init__(self) -> None:
        self._fd = -1
        self._page = mmap.mmap(-1, FILE_BLOCK)
        self._seen: dict[int, bytes] = {}

    def answers(self, packet: bytes) -> Iterator[bytes]:
        """Everything to send back for one packet."""
        what, rest = packet[:1], packet[1:]
        if what == b"o":
            yield b"=" + json.dumps(self._open(**json.loads(rest))).encode()
            return
        if what == b"r":
            yield from _packed(self._changed(*_READ.unpack(rest)))
            return
        assert what == b"w"
        self._write(_OFFSET.unpack_from(rest)[0], rest[_OFFSET.size :])
        yield b"."

    def _open(self, *, path: str, write: bool, exclusive: bool, create: bool) -> dict[str, Any]:
        device = not create and _is_device(path)
        flags = os.O_DIRECT | os.O_SYNC | os.O_CLOEXEC | (os.O_RDWR if write else os.O_RDONLY)
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        elif exclusive and device:
            flags |= os.O_EXCL  # the kernel refuses it for what is mounted, or part of LVM or RAID
        try:
            self._fd = os.open(path, flags, _PRIVATE)
        except PermissionError as error:
            if write and _readable(path):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS)) from error
            raise
        if write and device and self._number(_BLKROGET):  # root may open it all the same
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if create:
            _sync(Path(path).parent)
        block = self._number(_BLKSSZGET) if device else FILE_BLOCK
        return {"block": block, "size": os.lseek(self._fd, 0, os.SEEK_END), "device": device}

    def _number(self, request: int) -> int:
        """What the kernel answers to one of its questions about block devices."""
        answer = bytearray(4)
        fcntl.ioctl(self._fd, request, answer)
        return int.from_bytes(answer, sys.byteorder)

    def _changed(self, offset: int, length: int, unit: int) -> Iterator[bytes]:
        view = self._buffer(length)
        if os.preadv(self._fd, [view], offset) < length:
            raise OSError(errno.ENODATA, "it ends too early")
        for number, start in enumerate(range(0, length, unit)):
            content = bytes(view[start : start + unit]).rstrip(b"\0")
            if self._seen.get(number) != content:
                self._seen[number] = content
                yield _UNIT.pack(number, len(content)) + content

    def _write(self, offset: int, content: bytes) -> None:
        view = self._buffer(len(content))
        view[:] = content
        if os.pwritev(self._fd, [view], offset) < len(content):
            raise OSError(errno.ENOSPC, "only a part was written")

    def _buffer(self, length: int) -> memoryview:
        """That many bytes at an address that direct I/O accepts."""
        if len(self._page) < length:
            self._page = mmap.mmap(-1, length)
        return memoryview(self._page)[:length]


def _packed(units: Iterator[bytes]) -> Iterator[bytes]:
    """As few packets as hold them: each one wakes the daemon."""
    packet = b""
    for unit in units:
        if len(packet) + len(unit) >= PACKET_BYTES:
            yield b"+" + packet
            packet = b""
        packet += unit
    yield b"." + packet


def _is_device(path: str) -> bool:
    """A block device, or else a plain file: anything else could block for ever when opened."""
    mode = os.stat(path).st_mode  # noqa: PTH116 - one call, one errno
    if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
        raise OSError(errno.ENOTBLK, os.strerror(errno.ENOTBLK))
    return stat.S_ISBLK(mode)


def _readable(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _sync(directory: Path) -> None:
    """Make a new name in it last."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> None:
    """Serve the socket whose descriptor is the argument, until the other end is closed."""
    disk = _Disk()
    with socket.socket(fileno=int(sys.argv[1])) as master, contextlib.suppress(ConnectionError):
        while packet := master.recv(PACKET_BYTES):
            try:
                for answer in disk.answers(packet):
                    master.send(answer)
            except ConnectionError:
                raise
            except OSError as error:
                master.send(b"!" + json.dumps({"errno": error.errno or 0, "text": error.strerror or ""}).encode())
