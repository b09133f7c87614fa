"""How a warden starts: lock the run directory, leave a backstop behind, rehearse a kill, then watch over.

Started by `warden_client` with three arguments: the run directory, a name for the cgroup (cluster and member), and the
descriptor of the daemon's first connection. Standard library only.
"""

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from standfast.member import processes
from standfast.member import warden_kernel as kernel
from standfast.member.processes import Cgroup
from standfast.member.warden import Warden
from standfast.member.warden_backstop import stand_behind
from standfast.member.warden_run_dir import ProcessRecord, RunDir, WardenRecord

EXIT_ALREADY_RUNNING = 7
REHEARSAL_NS = 1_000_000_000
"""Longest time for each step of the rehearsal."""
_IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
"""Only the lease, the daemon or SIGKILL end a warden: a stop of the whole service lets the daemon hand over first."""


def rehearse(cgroup: Path | None) -> bool:
    """Start a process in a cgroup below that path and kill it by the cgroup: whether all of it worked.

    Done before anything depends on it, it proves the right to do so and brings the code of a kill into memory.
    """
    if cgroup is None:
        return False
    try:
        Cgroup(cgroup).make()
        box = Cgroup(cgroup / "rehearsal").make()
    except OSError:
        return False
    child, joined = box.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            kernel.die_with_parent()
            if not joined:
                box.join()
            signal.pause()
        os._exit(1)
    arrived = processes.await_gone(lambda: not box.populated() and processes.start_ticks(child) is not None, _soon_ns())
    box.kill()
    processes.kill(child)
    _, status = os.waitpid(child, 0)
    worked = arrived and os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    worked = worked and processes.await_gone(box.populated, _soon_ns())
    box.remove()
    if not worked:
        Cgroup(cgroup).remove()
    return worked


def _soon_ns() -> int:
    return kernel.boottime_ns() + REHEARSAL_NS


def watch_over(run_dir: RunDir, lock: int, cgroup: Path | None, first: socket.socket) -> None:
    """The life of the warden proper, in the child of the backstop."""
    os.setsid()  # a signal to the backstop's group must not hit both
    kernel.set_name("sf-warden")
    kernel.become_subreaper()
    usable = cgroup if rehearse(cgroup) else None
    boot, me, parent = processes.boot_id(), ProcessRecord.of(os.getpid()), ProcessRecord.of(os.getppid())
    run_dir.record_warden(lock, WardenRecord(boot, me, parent, str(usable or "")))
    Warden(run_dir, usable, kernel.harden(), first).run()


def main() -> int:
    """Entry point: the exit code is EXIT_ALREADY_RUNNING when another warden has this run directory."""
    path, name, daemon_fd = sys.argv[1:]
    run_dir = RunDir(Path(path))
    run_dir.launched.mkdir(mode=0o700, exist_ok=True)
    lock = run_dir.open_lock()
    if lock is None:
        return EXIT_ALREADY_RUNNING
    first = socket.socket(fileno=int(daemon_fd))
    first.set_inheritable(False)
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    kernel.become_subreaper()
    warden = os.fork()
    if warden:
        return stand_behind(warden, lock, run_dir)
    own = processes.own_cgroup()
    watch_over(run_dir, lock, own / f"standfast-{name}" if own else None, first)
    return 0
