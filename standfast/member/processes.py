"""Processes as the warden and its cleaners see them: children, process groups, cgroups.

A queue manager's processes are held together by a cgroup (version 2) where one can be made, which the kernel kills as
a whole; else by the warden being the subreaper of all its descendants: whoever loses its parent becomes the
warden's own child, so that killing all children again and again reaches everything.

Nothing here reads `cmdline`, `environ` or `fd` of a process: these wait for the memory lock of a process that may be
stuck on a hung mount. Standard library only.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from standfast.member.warden_kernel import fork_into

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_KILL_PAUSE_S = 0.001
"""Between two looks at processes that were killed and are about to be gone."""


def boot_id() -> str:
    """Tells this boot of the machine from all others."""
    return _BOOT_ID.read_text().strip()


def children_of(pid: int) -> list[int]:
    """The children of a single-threaded process, dead ones that were not reaped included.

    Complete when asked by the process itself: only its own waiting removes a child from the list.
    """
    try:
        handle = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY)
    except OSError:
        return _children_by_scan(pid)
    try:
        parts = []
        while part := os.read(handle, 65_536):
            parts.append(part)
    finally:
        os.close(handle)
    return [int(child) for child in b"".join(parts).split()]


def _children_by_scan(pid: int) -> list[int]:
    """The same for kernels without CONFIG_PROC_CHILDREN: every process's parent is looked at."""
    return [other for other, fields in _all_stats() if int(fields[1]) == pid]


def _all_stats() -> list[tuple[int, list[str]]]:
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [(pid, fields) for pid in pids if (fields := _stat(pid))]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on (state, ppid, pgrp, session, ...); empty: no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()


def start_ticks(pid: int) -> int | None:
    """When the process was started, in clock ticks since boot: with the pid it names one process; None: not alive."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def members_of(sessions: Iterable[int]) -> dict[int, int]:
    """Living processes of these sessions: session by pid."""
    wanted = set(sessions)
    return {pid: int(fields[3]) for pid, fields in _all_stats() if int(fields[3]) in wanted and fields[0] not in "ZX"}


def kill(pid: int) -> None:
    """SIGKILL to the process and to its process group, unless that is the caller's own; gone ones are no error.

    The group is killed as a whole: none of it can fork away meanwhile.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(pid)
        if group != os.getpgid(0):
            os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


class Cgroup:
    """One cgroup of version 2 holding all processes of one queue manager."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> "Cgroup":
        """Make it, or take up one that exists; raises OSError."""
        self.path.mkdir(exist_ok=True)
        return self

    def join(self) -> None:
        """Move the calling process into it; raises OSError."""
        (self.path / "cgroup.procs").write_text("0")

    def fork(self) -> tuple[int, bool]:
        """Fork: the pid (0 in the child), and whether the child is in it; else it must `join`. Raises OSError."""
        with contextlib.suppress(OSError):
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return fork_into(handle), True
            finally:
                os.close(handle)
        return os.fork(), False

    def watch(self) -> int:
        """A descriptor on which poll reports POLLPRI when the last process has gone."""
        return os.open(self.path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)

    def populated(self) -> bool:
        """Whether a living process is in it or below it."""
        with contextlib.suppress(FileNotFoundError):
            return "populated 1" in (self.path / "cgroup.events").read_text()
        return False

    def pids(self) -> list[int]:
        """Its processes, those of cgroups below it included."""
        found = []
        for box in (self.path, *self.path.rglob("*/")):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in (box / "cgroup.procs").read_text().split()]
        return found

    def kill(self) -> None:
        """SIGKILL to every process in it and below, at once."""
        try:
            # Opened without O_CREAT: a kernel before 5.14 has no such file.
            handle = os.open(self.path / "cgroup.kill", os.O_WRONLY)
        except FileNotFoundError:
            self.kill_each()
            return
        try:
            os.write(handle, b"1")
        finally:
            os.close(handle)

    def kill_each(self) -> None:
        """The same for kernels before 5.14: frozen first, so that none can fork away; SIGKILL ends frozen ones too."""
        with contextlib.suppress(OSError):
            (self.path / "cgroup.freeze").write_text("1")
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            (self.path / "cgroup.freeze").write_text("0")

    def remove(self) -> None:
        """Remove it and those below; one that is still in use stays and is taken up by the next launch."""
        with contextlib.suppress(OSError):
            for box in sorted(self.path.rglob("*/"), reverse=True):
                box.rmdir()
            self.path.rmdir()


def own_cgroup() -> Path | None:
    """Directory of this process's cgroup of version 2, or None where there is none. Format: cgroups(7)."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return cgroup_at(line[len("0::") :])
    return None


def cgroup_at(group: str) -> Path | None:
    """Directory of the cgroup of version 2 with that path, there or not; None where there are none.

    Found by the mount table, as hybrid layouts have it elsewhere than in /sys/fs/cgroup. Format: proc(5).
    """
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[0] == "cgroup2":
            root, mount_point = left.split()[3:5]
            return Path(mount_point) / group.removeprefix(root.rstrip("/")).lstrip("/")
    return None


def await_gone(alive: Callable[[], bool], until_ns: int) -> bool:
    """Whether `alive` became false before that moment of CLOCK_BOOTTIME; asked every millisecond."""
    while alive():
        if time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= until_ns:
            return False
        time.sleep(_KILL_PAUSE_S)
    return True
