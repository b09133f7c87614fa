"""The backstop: the warden's parent, which does nothing but outlive it.

Guarantees: when the warden dies, by whatever cause, every process that it started dies too, also those that detached
themselves; when somebody stops the warden (SIGSTOP), it goes on within milliseconds.
How: queue managers die by their death signal, their orphans become children of the backstop, the nearest subreaper
left, and it kills all its children until there is none; then what launches on record have in cgroups of others.
Does not guarantee: anything when warden and backstop are killed at the same instant. Main processes still die then;
detached ones are found by the next start's clean-up in their cgroup, or hold the storage's lock.

Standard library only.
"""

import contextlib
import os
import signal

from standfast.member import processes
from standfast.member import warden_kernel as kernel
from standfast.member.warden_outside import end_all
from standfast.member.warden_run_dir import RunDir


def stand_behind(warden: int, lock: int, run_dir: RunDir) -> int:
    """Watch the warden until it ends, then end all that it left; the exit code to pass on.

    Holds `lock` so that it is free only when nothing is left.
    """
    os.closerange(3, lock)
    os.closerange(lock + 1, os.sysconf("SC_OPEN_MAX"))
    kernel.set_name("sf-backstop")
    kernel.harden()
    code = _await_end(warden)
    _end_children()
    end_all(run_dir)
    return code


def _await_end(warden: int) -> int:
    while True:
        seen = os.waitid(os.P_PID, warden, os.WEXITED | os.WSTOPPED)
        if seen is not None and seen.si_code != os.CLD_STOPPED:
            return seen.si_status if seen.si_code == os.CLD_EXITED else 1
        os.kill(warden, signal.SIGCONT)


def _end_children() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in processes.children_of(os.getpid()):
                processes.kill(child)
            os.waitpid(-1, 0)
