"""A listening TCP socket, or a sentence that says why there is none."""

import socket
from typing import Final

from standfast.errors import MachineError

BACKLOG: Final = 512
"""Connections that the kernel keeps until they are accepted."""


def listening(what: str, address: str, port: int) -> socket.socket:
    """Listen on exactly this address; port 0 takes a free one. Raises MachineError, which calls it `what`."""
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise MachineError(
            f"{what} cannot listen on {address}:{port} (TCP): {error.strerror}. See that the address is one of this "
            f"machine's and that no other program holds the port, or choose another port."
        ) from error
