"""A stand-in for a queue manager: each line that a client sends is appended and synced, and only then acknowledged.

`serve FILE ADDRESS PORT` is started as a queue manager of kind `command`, and `ask ADDRESS PORT` says by its exit code
whether it serves; `send ADDRESS,ADDRESS PORT` sends numbers, one after the other, to whichever address answers, and
prints each that was acknowledged, and when.
"""

import os
import socket
import sys
import threading
import time

ANSWER_S = 1.0
PAUSE_S = 0.02
"""Between two numbers: the processors of these machines are for the members, too."""
QUESTION = b"?\n"


def serve(file: str, address: str, port: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    writing = threading.Lock()

    def attend(client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            for line in lines:
                with writing:  # who only asks waits for writes, too
                    if line != QUESTION:
                        os.write(handle, line)
                        os.fsync(handle)
                client.sendall(b"ok\n")

    with socket.create_server((address, int(port))) as server:
        while True:
            client, _ = server.accept()
            threading.Thread(target=attend, args=(client,), daemon=True).start()


def ask(address: str, port: str) -> None:
    with socket.create_connection((address, int(port)), ANSWER_S) as server, server.makefile("rb") as answers:
        server.sendall(QUESTION)
        sys.exit(answers.readline() != b"ok\n")


def send(addresses: str, port: str) -> None:
    number = 0
    while True:
        for address in addresses.split(","):
            try:
                with (
                    socket.create_connection((address, int(port)), ANSWER_S) as server,
                    server.makefile("rb") as answers,
                ):
                    # A frozen server is waited for, a dead machine is not.
                    server.settimeout(None)
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
                        server.setsockopt(socket.IPPROTO_TCP, option, 1)
                    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)
                    while True:
                        number += 1
                        server.sendall(b"%d\n" % number)
                        if answers.readline() != b"ok\n":
                            break
                        print(number, time.monotonic(), flush=True)  # noqa: T201
                        time.sleep(PAUSE_S)
            except OSError:
                time.sleep(0.05)


if __name__ == "__main__":
    {"serve": serve, "ask": ask, "send": send}[sys.argv[1]](*sys.argv[2:])
