"""A status command for nats-server, as a user would write one: 0 it serves, 3 nobody listens, 1 anything else.

Arguments: address, port, and how long to wait for a listener, in seconds (default: not at all).
"""

import socket
import sys
import time


def asked(address: str, port: int, until_s: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection((address, port), 2)
        except ConnectionRefusedError:
            if time.monotonic() >= until_s:
                sys.exit(3)
            time.sleep(0.02)


try:
    patience_s = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    with asked(sys.argv[1], int(sys.argv[2]), time.monotonic() + patience_s) as connection:
        connection.settimeout(2)
        lines = connection.makefile("rwb")
        greeting = lines.readline()
        if not greeting.startswith(b"INFO "):
            sys.exit(f"no NATS server: {greeting!r}")
        lines.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        lines.flush()
        answer = lines.readline()
        sys.exit(0 if answer.startswith(b"PONG") else f"no PONG: {answer!r}")
except OSError as error:
    sys.exit(str(error))
