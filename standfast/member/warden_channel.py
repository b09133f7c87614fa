"""The warden's end of the conversation with the daemon: one connection at a time, never waited for.

Standard library only.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from standfast.member.warden_protocol import LARGEST_BYTES, packet_socket
from standfast.member.warden_run_dir import RunDir

_PRIVATE = 0o177


class Channel:
    """A listening socket and the newest connection made to it."""

    def __init__(self, run_dir: RunDir, first: socket.socket) -> None:
        """Listen, for this user only; `first` is a connection that exists already; raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            run_dir.socket.unlink()
        self.server = packet_socket()
        mask = os.umask(_PRIVATE)
        with run_dir.socket_address() as address:
            self.server.bind(address)
        os.umask(mask)
        self.server.listen()
        self.server.setblocking(False)
        self._daemon: socket.socket | None = first
        first.setblocking(False)

    @property
    def connected(self) -> bool:
        """Whether a daemon is there, as far as known."""
        return self._daemon is not None

    def fileno(self) -> int:
        """Descriptor of the connection; -1 when there is none."""
        return self._daemon.fileno() if self._daemon else -1

    def accept(self) -> None:
        """Replace the connection by the one that waits."""
        with contextlib.suppress(OSError):
            fresh = self.server.accept()[0]
            fresh.setblocking(False)
            self.hang_up()
            self._daemon = fresh

    def hang_up(self) -> None:
        """Close the connection; its descriptor must not be polled any more."""
        if self._daemon is not None:
            self._daemon.close()
            self._daemon = None

    def send(self, report: Mapping[str, Any]) -> None:
        """Send at once; a daemon that does not take it is cut off, and learns the state when it comes back.

        The descriptor stays open until `receive` finds the end, so that its number is not given to another meanwhile.
        """
        if self._daemon is None:
            return
        try:
            self._daemon.send(json.dumps(report).encode())
        except OSError:
            with contextlib.suppress(OSError):
                self._daemon.shutdown(socket.SHUT_RDWR)

    def receive(self, obey: Callable[[Mapping[str, Any]], None]) -> bool:
        """Hand one packet on; False when the connection has ended. What cannot be understood is answered by `error`."""
        assert self._daemon is not None, "only an open connection is polled"
        try:
            packet = self._daemon.recv(LARGEST_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not packet:
            return False
        try:
            obey(json.loads(packet))
        except (KeyError, TypeError, ValueError) as error:
            self.send({"report": "error", "detail": repr(error)})
        return True
