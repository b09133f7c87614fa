"""One command run by a minder: a child in its own process group, whose end and last words are waited for by poll.

Guarantees: starting it does not wait for the program to be executed, so that a program on a hung mount hangs this child
only. Standard library only.
"""

import contextlib
import os
import pwd
import signal
from collections.abc import Mapping, Sequence
from typing import NoReturn

from standfast.member import warden_kernel as kernel

EXIT_NO_EXEC = 127
"""As of a shell: the program could not be executed."""
EXIT_NO_USER = 126
"""The user named does not exist here, or may not be become."""
SIGNAL_BASE = 128
"""As of a shell: added to the number of the signal that ended a process."""
KEPT_BYTES = 4096
"""How much of the end of its output is kept."""


class Command:
    """A running or ended command.

    Attributes:
        pid: of its process, which leads a process group.
        pipe: descriptor of its output when that is kept; -1 otherwise, and once it is at its end.
        code: its exit code, 128 + n after signal n; None while it runs.
        until_ns: when it is killed, on CLOCK_BOOTTIME; None: never.
        late: whether it was.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        user: str = "",
        keeps_lock: bool = False,
        listen: bool = False,
        until_ns: int | None = None,
    ) -> None:
        """Fork it: with the storage's lock, or without any descriptor of its parent; raises OSError."""
        self.code: int | None = None
        self.until_ns = until_ns
        self.late = False
        self._said = b""
        self.pipe, theirs = os.pipe() if listen else (-1, -1)
        minder = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, env, user, theirs, minder, keeps_lock=keeps_lock)
        # Both sides do it, as neither knows who comes first: the group must exist before it can be killed.
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)
        if listen:
            os.close(theirs)
            os.set_blocking(self.pipe, False)

    def read(self) -> None:
        """Take what it has printed since."""
        with contextlib.suppress(BlockingIOError):
            while self.pipe >= 0:
                part = os.read(self.pipe, KEPT_BYTES)
                if not part:
                    self.close()
                self._said = (self._said + part)[-KEPT_BYTES:]

    def ended(self, status: int) -> None:
        """It was reaped with this wait status. What its children still print does not count."""
        code = os.waitstatus_to_exitcode(status)
        self.code = code if code >= 0 else SIGNAL_BASE - code
        self.read()
        self.close()

    @property
    def output(self) -> str:
        """The end of what it printed."""
        return self._said.decode(errors="replace").strip()

    def kill(self) -> None:
        """SIGKILL to its process group."""
        self.late = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the pipe."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1


def _become(
    argv: Sequence[str], env: Mapping[str, str], user: str, out: int, minder: int, *, keeps_lock: bool
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)
        if out >= 0:
            os.dup2(out, 1)
            os.dup2(out, 2)
        if not keeps_lock:
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        environment = {**env, **_turn_into(user)} if user else env
        # After the change of user, which makes the kernel forget it.
        kernel.die_with_parent()
        if os.getppid() == minder:
            os.execvpe(argv[0], list(argv), environment)  # noqa: S606 - no shell is wanted
    except KeyError:
        _complain(f"user {user!r} does not exist on this machine", EXIT_NO_USER)
    except PermissionError as error:
        _complain(f"{argv[0]}: {error.strerror}", EXIT_NO_USER)
    except OSError as error:
        _complain(f"{argv[0]}: {error.strerror}", EXIT_NO_EXEC)
    finally:
        os._exit(EXIT_NO_EXEC)


def _turn_into(user: str) -> dict[str, str]:
    """Become that user; what its environment says of it. Raises KeyError, PermissionError."""
    entry = pwd.getpwnam(user)
    if os.geteuid() != entry.pw_uid:
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    return {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user}


def _complain(sentence: str, code: int) -> NoReturn:
    os.write(2, f"standfast: {sentence}\n".encode())
    os._exit(code)
