"""A child process that may hang in the kernel for ever, and the socket to it: nobody ever waits for it.

What can hang on dead storage is done by such a child. Guarantees: its end of the socket is the only thing that it
shares with this process; when this process is gone, the child reads the end of the socket and ends too, at the latest
when the kernel lets go of it. A child inside a dead mount or device ignores even SIGKILL until then: it is killed and
left behind.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import standfast

_CLOSE_S = 0.2
_STUB = "import importlib, sys; sys.path.append(sys.argv.pop(1)); importlib.import_module(sys.argv.pop(1)).main()"
_ROOT = str(Path(standfast.__file__).parent.parent)


def bare_python(module: str, *arguments: str, interpreter: Sequence[str] = (sys.executable,)) -> tuple[str, ...]:
    """The command that runs `main()` of a module that imports nothing but the standard library, found or not."""
    return (*interpreter, "-I", "-S", "-c", _STUB, _ROOT, module, *arguments)


class Disposable:
    """One child that runs `main()` of a module, which imports nothing but the standard library.

    Args:
        module: its full name; `sys.argv[1]` is the descriptor of its end of the socket (packets keep their bounds).
        interpreter: the Python that runs it, with arguments.

    Attributes:
        socket: this end, non-blocking.
    """

    def __init__(self, module: str, interpreter: Sequence[str] = (sys.executable,)) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                bare_python(module, str(theirs.fileno()), interpreter=interpreter),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def abandon(self) -> None:
        """Kill it and do not wait."""
        self.socket.close()
        self._process.kill()

    def ended(self) -> bool:
        """Whether it is gone; reaps it then."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End a child that was answering."""
        self.abandon()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_S)


__all__ = ["Disposable", "bare_python"]
