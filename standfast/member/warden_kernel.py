"""What the warden asks of the Linux kernel that Python's standard library does not offer.

Standard library only. Sources: prctl(2), clone(2), mlockall(2), timerfd_create(2), sched(7), proc(5).
"""

import contextlib
import ctypes
import mmap
import os
import resource
import signal
import time
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc_keeping_lock = ctypes.PyDLL(None, use_errno=True)
"""The same, without giving up the interpreter's lock: a fork must have it on both sides."""
_libc_keeping_lock.syscall.restype = ctypes.c_long

_SYS_CLONE3 = 435  # the same on every architecture
_CLONE_INTO_CGROUP = 0x2_0000_0000

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29
_PR_SET_CHILD_SUBREAPER = 36
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_TFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_TFD_TIMER_ABSTIME = 1
_NS_PER_S = 1_000_000_000
_REALTIME_PRIORITY = 20
"""Above every ordinary process, below the kernel's own threads."""
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_OOM_NEVER = "-1000"
ORDINARY_OOM_SCORE = _OOM_SCORE.read_text().strip()
ORDINARY_TIMER_SLACK_NS = 50_000
"""The kernel's default for all that nobody gave another."""


def boottime_ns() -> int:
    """Now on the protocol's clock, which counts suspended time."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, value: int | bytes) -> None:
    argument = ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_ulong(value)
    zero = ctypes.c_ulong(0)
    _checked(_libc.prctl(option, argument, zero, zero, zero))


def become_subreaper() -> None:
    """Orphaned descendants become this process's children instead of init's; raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """SIGKILL for this process when its parent dies; the caller then checks that the parent still lives."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def set_name(name: str) -> None:
    """Name shown by `ps` and `top`, 15 bytes at most."""
    _prctl(_PR_SET_NAME, name.encode())


class _CloneArguments(ctypes.Structure):
    """Struct clone_args of clone3."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


def fork_into(cgroup: int) -> int:
    """Fork a child that is born in the cgroup whose directory that descriptor is; 0 in the child; raises OSError.

    Moving a process instead makes the kernel wait for all processors, which takes some 20 ms. For processes of one
    thread only: Python's own state is told of the fork as `os.fork` tells it, the C library's is not.
    """
    arguments = _CloneArguments(flags=_CLONE_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=cgroup)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(_libc_keeping_lock.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    failed = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(failed, os.strerror(failed))
    return pid


class Privileges(NamedTuple):
    """What the kernel allowed, each a help and none a need.

    Attributes:
        memory_locked: pages once used stay in memory, so that no swap device can delay a kill.
        priority: `realtime`, `raised` or `ordinary`.
        oom_exempt: the out-of-memory killer spares the process.
    """

    memory_locked: bool
    priority: str
    oom_exempt: bool


def harden() -> Privileges:
    """Take what is allowed of locked memory, priority and exemption; children fall back to ordinary priority."""
    locked = _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
    oom_exempt = True
    try:
        _OOM_SCORE.write_text(_OOM_NEVER)
    except OSError:
        oom_exempt = False
    # The daemon's own limit is inherited, and would end a warden that has much to do.
    hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    resource.setrlimit(resource.RLIMIT_RTTIME, (hard, hard))
    return Privileges(memory_locked=locked, priority=raise_priority(_REALTIME_PRIORITY), oom_exempt=oom_exempt)


def raise_priority(realtime: int) -> str:
    """Of this thread, as far as the kernel allows: see `Privileges.priority`. What it starts is ordinary again."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(realtime))
        return "realtime"
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "raised"
    return "ordinary"


def lower_priority(niceness: int) -> None:
    """Of this thread: ordinary, as nice as it was."""
    os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, niceness)


def soften() -> None:
    """In a child: give up what it inherited of `harden`, the exemption and timers without slack.

    Since Linux 6.12 the timers of a real-time program have no slack, and what it starts has none either: a runtime
    that sleeps for microseconds at a time, such as Go's, then wakes two or three times as often, for nothing.
    """
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text(ORDINARY_OOM_SCORE)
    with contextlib.suppress(OSError):
        _prctl(_PR_SET_TIMERSLACK, ORDINARY_TIMER_SLACK_NS)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class BootTimer:
    """A descriptor that becomes readable at a moment of CLOCK_BOOTTIME: also right after a suspension."""

    def __init__(self) -> None:
        self._fd = _checked(_libc.timerfd_create(time.CLOCK_BOOTTIME, _TFD_FLAGS))

    def fileno(self) -> int:
        """For poll."""
        return self._fd

    def arm(self, at_ns: int | None) -> None:
        """Fire once at that moment, at once when it has passed, never for None; forgets what was armed before."""
        at = 0 if at_ns is None else max(at_ns, 1)
        spec = _TimerSpec(_Timespec(0, 0), _Timespec(*divmod(at, _NS_PER_S)))
        _checked(_libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None))


def wake_on_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return readable


class SharedMoment:
    """A moment in nanoseconds in memory shared with forked children: the parent moves it, all see it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._cell = ctypes.c_int64.from_buffer(self._memory)

    def set(self, moment_ns: int) -> None:
        """One aligned store of 8 bytes: no reader sees half of it."""
        self._cell.value = moment_ns

    def get(self) -> int:
        """The moment as last set."""
        return self._cell.value
