"""The disposable child that tries storage out for `standfast verify storage`: one JSON object in, one out.

It may hang in any call on a dead mount; whoever asks has a deadline, and leaves it behind. Locks that it holds, and
handles that it keeps open, end with it: killing it is how the death of a holder is tried. Standard library only.

Asked: {"do": NAME, ...arguments}; answers: {"ok": true, ...} or {"errno": NUMBER, "error": TEXT}.
All files lie in the folder `.standfast-verify` of the directory; arguments are never paths.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from standfast.storage.mounts import MOUNTINFO, mount_of

FOLDER = ".standfast-verify"
REQUEST_BYTES = 65_536
BOXES = ("box-leader", "box-partner", "box-none")
HEADER_BYTES = 72
"""Of a message: its length in 8 hexadecimal digits, and its SHA-256 in 64."""
BLOCK = 4096
POLL_S = 0.003
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid
_MODE = 0o660


class Hands:
    """What this child holds: the folder, a lock file, a kept handle."""

    def __init__(self) -> None:
        self.folder = Path()
        self._lock: int | None = None
        self._kept: int | None = None

    # ------------------------------------------------------------ the place

    def begin(self, path: str, *, clean: bool) -> dict[str, Any]:
        """Use this directory; what it is, and by whom it is used. With `clean`: nothing of an earlier time is left."""
        directory = Path(path).resolve(strict=True)
        self.folder = directory / FOLDER
        self.folder.mkdir(mode=0o770, exist_ok=True)
        # Made by whoever comes first: a name that was looked for in vain stays unknown to an NFS client for a minute.
        for box in BOXES:
            os.close(os.open(self.folder / box, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
        if clean:
            self.clear(keep=True)
        mount = mount_of(str(directory), MOUNTINFO.read_text())
        facts = os.statvfs(directory)
        return {
            "mount": mount._asdict() if mount else None,
            "free_bytes": facts.f_bavail * facts.f_frsize,
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "host": socket.gethostname(),
        }

    def clear(self, *, keep: bool) -> dict[str, Any]:
        """Delete what was made; the boxes and the folder too, unless they are kept."""
        for path in self.folder.iterdir():
            if keep and path.name in BOXES:
                continue
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        if not keep:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
        return {}

    def post(self, box: str, message: dict[str, Any]) -> dict[str, Any]:
        """Write a message into a box, in place: a reader sees it whole, or sees that it is not."""
        raw = json.dumps(message).encode()
        raw = f"{len(raw):08x}{hashlib.sha256(raw).hexdigest()}".encode() + raw
        self._write(f"box-{box}", raw)
        return {}

    def peek(self, box: str) -> dict[str, Any]:
        """The message in a box, or None. The file is opened anew: only that asks an NFS server for news."""
        try:
            raw = (self.folder / f"box-{box}").read_bytes()
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ESTALE}:
                return {"message": None}
            raise
        if len(raw) < HEADER_BYTES:
            return {"message": None}
        body = raw[HEADER_BYTES : HEADER_BYTES + int(raw[:8], 16)]
        whole = hashlib.sha256(body).hexdigest().encode() == raw[8:HEADER_BYTES]
        return {"message": json.loads(body) if whole else None}

    def _write(self, name: str, raw: bytes) -> None:
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            os.pwrite(handle, raw, 0)
            os.fsync(handle)
        finally:
            os.close(handle)

    # ------------------------------------------------------------ integrity

    def write(self, seed: str, blocks: int, parity: int | None) -> dict[str, Any]:
        """Write blocks that can be told apart, all or every other one, and sync."""
        handle = os.open(self.folder / "pattern", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            for number in range(blocks):
                if parity is None or number % 2 == parity:
                    os.pwrite(handle, _block(seed, number), number * BLOCK)
            os.fsync(handle)
        finally:
            os.close(handle)
        return {}

    def compare(self, even: str, odd: str, blocks: int) -> dict[str, Any]:
        """How many blocks are not as they were written, and the first of them."""
        bad, first = 0, None
        with (self.folder / "pattern").open("rb") as file:
            for number in range(blocks):
                if file.read(BLOCK) != _block(odd if number % 2 else even, number):
                    bad, first = bad + 1, number if first is None else first
        return {"bad": bad, "first": first}

    def count(self, rounds: int) -> dict[str, Any]:
        """Add one to a shared number under the lock, again and again."""
        for _ in range(rounds):
            self.wait("posix", 60.0)
            try:
                handle = os.open(self.folder / "counter", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
                try:
                    value = int(os.pread(handle, 12, 0) or 0)
                    os.pwrite(handle, f"{value + 1:012d}".encode(), 0)
                    os.fsync(handle)
                finally:
                    os.close(handle)
            finally:
                self.unlock()
        return {}

    def counted(self) -> dict[str, Any]:
        """The shared number."""
        return {"value": int((self.folder / "counter").read_text())}

    # ------------------------------------------------------------ locks

    def lock(self, kind: str) -> dict[str, Any]:
        """Try to take the exclusive lock once, and keep it."""
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            if kind == "flock":
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                fcntl.fcntl(handle, fcntl.F_OFD_SETLK if kind == "ofd" else fcntl.F_SETLK, request)
        except OSError as error:
            os.close(handle)
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                return {"got": False}
            raise
        self._lock = handle
        return {"got": True}

    def wait(self, kind: str, patience_s: float) -> dict[str, Any]:
        """Try until it is taken; how long that took, None: it was not."""
        began = time.monotonic()
        while time.monotonic() < began + patience_s:
            if self.lock(kind)["got"]:
                return {"waited_s": time.monotonic() - began}
            time.sleep(POLL_S)
        return {"waited_s": None}

    def unlock(self) -> dict[str, Any]:
        """Give it back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        return {}

    # ------------------------------------------------------------ time

    def latency(self, writes: int) -> dict[str, Any]:
        """Percentiles of a write of 4 KiB with fsync, in milliseconds."""
        took = []
        handle = os.open(self.folder / f"latency-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            os.pwrite(handle, bytes(BLOCK * 16), 0)
            os.fsync(handle)
            for number in range(writes):
                began = time.perf_counter()
                os.pwrite(handle, _block("latency", number), number % 16 * BLOCK)
                os.fsync(handle)
                took.append((time.perf_counter() - began) * 1000)
        finally:
            os.close(handle)
        took.sort()
        at = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
        return {name: took[int(share * len(took))] for name, share in at.items()} | {"max_ms": took[-1]}

    def clock(self) -> dict[str, Any]:
        """How far the server's clock is ahead of this machine's, by a new file's time; `fuzz_ms`: give or take."""
        path = self.folder / f"clock-{os.getpid()}"
        path.unlink(missing_ok=True)
        before = time.time()
        path.touch()
        stamp, after = path.stat().st_mtime, time.time()
        return {"ahead_ms": (stamp - (before + after) / 2) * 1000, "fuzz_ms": (after - before) * 500 + _TICK_MS}

    # ------------------------------------------------------------ handles

    def keep(self) -> dict[str, Any]:
        """Open a file and keep it open."""
        self._kept = os.open(self.folder / "handle", os.O_RDONLY | os.O_CLOEXEC)
        return {"text": os.pread(self._kept, 64, 0).decode()}

    def reread(self) -> dict[str, Any]:
        """Read by the handle that was kept: what it says, or ESTALE."""
        assert self._kept is not None
        try:
            return {"text": os.pread(self._kept, 64, 0).decode(), "stale": False}
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            return {"text": "", "stale": True}
        finally:
            os.close(self._kept)
            self._kept = None

    def replace(self, text: str) -> dict[str, Any]:
        """Put another file in its place, by renaming, as the epoch file is."""
        self._write("handle.new", text.encode())
        (self.folder / "handle.new").rename(self.folder / "handle")
        return {}

    def see(self, text: str, patience_s: float) -> dict[str, Any]:
        """Open it anew until it says that; how long that took, None: it never did."""
        began = time.monotonic()
        while time.monotonic() < began + patience_s:
            with contextlib.suppress(OSError):  # a name in the cache may be of a file that is gone
                if (self.folder / "handle").read_text() == text:
                    return {"seen_s": time.monotonic() - began}
            time.sleep(POLL_S)
        return {"seen_s": None}


_TICK_MS = 4.0
"""A kernel stamps files by its last tick: up to this much earlier."""
DO: dict[str, Callable[..., dict[str, Any]]] = {
    name: method for name, method in vars(Hands).items() if callable(method) and not name.startswith("_")
}


def _block(seed: str, number: int) -> bytes:
    return hashlib.sha256(f"{seed}/{number}".encode()).digest() * (BLOCK // 32)


def main() -> None:
    """Do what is asked for on the socket whose descriptor is the argument."""
    hands = Hands()
    with socket.socket(fileno=int(sys.argv[1])) as asker:
        while packet := asker.recv(REQUEST_BYTES):
            asked = json.loads(packet)
            try:
                answer = {"ok": True, **DO[asked.pop("do")](hands, **asked)}
            except OSError as error:
                answer = {"ok": False, "errno": error.errno or 0, "error": f"{error.strerror} ({error.filename})"}
            asker.send(json.dumps(answer).encode())
