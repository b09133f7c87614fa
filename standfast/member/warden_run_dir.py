"""The run directory of a member, as far as it concerns the warden: who runs, on record for whoever cleans up later.

============================  =======================================================
``warden.lock``               locked for as long as a warden or its backstop lives; holds their WardenRecord
``warden.sock``               where a restarted daemon finds the warden again
``warden.log``                what the warden has to say when it dies of an error
``launched/QM.json``          LaunchRecord of the newest launch of that queue manager
============================  =======================================================

A record is believed only within the boot that wrote it, and a pid only with its start time. Standard library only.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from standfast.member.processes import boot_id, start_ticks


class ProcessRecord(NamedTuple):
    """One process: a pid and when it was started, which together are never reused within a boot."""

    pid: int
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord":
        """The record of a living process."""
        return cls(pid, start_ticks(pid) or 0)

    def alive(self) -> bool:
        """Whether that very process still lives."""
        return start_ticks(self.pid) == self.started_ticks


class WardenRecord(NamedTuple):
    """Who watches: the warden, its backstop, and the cgroup below which it keeps queue managers (empty: none)."""

    boot: str
    warden: ProcessRecord
    backstop: ProcessRecord
    cgroup: str


class LaunchRecord(NamedTuple):
    """What was launched: the main process, which leads its session, its cgroup, and what is outside of that.

    Empty: none.
    """

    boot: str
    qm: str
    main: ProcessRecord
    cgroup: str
    outside: tuple[str, ...] = ()
    """Fields of a `minder_plan.Outside`."""


class RunDir:
    """Paths and records below one directory, which must be local and this member's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "warden.lock"
        self.log = path / "warden.log"
        self.socket = path / "warden.sock"
        self.launched = path / "launched"

    def open_lock(self) -> int | None:
        """The descriptor that holds the lock, or None when another process holds it; raises OSError."""
        handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    @contextlib.contextmanager
    def socket_address(self) -> Iterator[str]:
        """An address of the socket short enough for the kernel's 107 bytes, however deep the directory lies."""
        handle = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{handle}/{self.socket.name}"
        finally:
            os.close(handle)

    def record_launch(self, qm: str, cgroup: str, outside: tuple[str, ...] = ()) -> None:
        """Record the calling process as the main process of a queue manager; raises OSError."""
        record = LaunchRecord(boot_id(), qm, ProcessRecord.of(os.getpid()), cgroup, outside)
        _replace(self.launched / f"{qm}.json", json.dumps(record))

    def launches(self) -> list[LaunchRecord]:
        """Launches of this boot that are on record; what can not be read names nothing and is left out."""
        found = []
        for file in sorted(self.launched.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                boot, qm, main, cgroup, *more = json.loads(file.read_bytes())
                found.append(LaunchRecord(boot, qm, ProcessRecord(*main), cgroup, tuple(more[0] if more else ())))
        return [record for record in found if record.boot == boot_id()]

    def forget_launches(self) -> None:
        """Drop all launches from the record, once nothing of them runs; raises OSError."""
        for file in self.launched.glob("*.json"):
            file.unlink(missing_ok=True)

    def record_warden(self, lock: int, record: WardenRecord) -> None:
        """Write who watches into the locked file; raises OSError."""
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(record).encode(), 0)

    def warden(self) -> WardenRecord | None:
        """Who watches or last watched in this boot; None when nothing readable says so."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            boot, warden, backstop, cgroup = json.loads(self.lock.read_bytes())
            if boot == boot_id():
                return WardenRecord(boot, ProcessRecord(*warden), ProcessRecord(*backstop), cgroup)
        return None


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)
