"""Tells systemd how the daemon is (sd_notify(3)): a datagram to the socket named in NOTIFY_SOCKET, if there is one."""

import contextlib
import os
import socket


class Notifier:
    """Silent when the daemon was not started by systemd."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def environment(self) -> dict[str, str]:
        """What another process needs to speak to systemd in this one's place."""
        address = self._address
        return {"NOTIFY_SOCKET": "@" + address[1:] if address.startswith("\0") else address} if address else {}

    def tell(self, *assignments: str) -> None:
        """Send assignments such as `READY=1`, `STATUS=...`, `WATCHDOG=1`, `STOPPING=1`."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect(self._address)
            out.send("\n".join(assignments).encode())
