"""A status command for nats-server, as a user would write one: 0 it serves, 3 nobody listens, 1 anything else."""

import socket
import sys

address, port = sys.argv[1], int(sys.argv[2])
try:
    with socket.create_connection((address, port), 2) as asked:
        asked.settimeout(2)
        lines = asked.makefile("rwb")
        greeting = lines.readline()
        if not greeting.startswith(b"INFO "):
            sys.exit(f"no NATS server: {greeting!r}")
        lines.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        lines.flush()
        answer = lines.readline()
        sys.exit(0 if answer.startswith(b"PONG") else f"no PONG: {answer!r}")
except ConnectionRefusedError:
    sys.exit(3)
except OSError as error:
    sys.exit(str(error))
