"""What the proxy costs and how fast it follows. Run: python bench/proxy.py

Throughput of one connection into a sink, and round trips of a small message, direct and through the proxy; the time
from the new owner's word to the first byte from it, for a client that waits; the health page's probes per second.
"""

import asyncio
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable

from standfast.endpoints.follow import Source
from standfast.endpoints.health import HealthBoard, Service, Snapshot
from standfast.endpoints.proxy import Proxy
from standfast.ports import boottime_ns

HERE = "127.0.30.81"
TOTAL = 1 << 30
BLOCK = bytes(1 << 18)
SMALL = 64
TRIPS = 5000
MOVES = 50
PROBES = 5000


def serve(listener: socket.socket) -> None:
    """Greet each client, echo what is small, swallow the rest."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=swallow, args=(client,), daemon=True).start()


def swallow(client: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(b"!")
    while data := client.recv(1 << 18):
        if len(data) == SMALL:
            client.sendall(data)
    client.close()


def published(board: HealthBoard, port: int, *, active: bool, epoch: int) -> None:
    service = Service(ready=active, epoch=epoch, address=HERE, port=port)
    board.publish(
        Snapshot(services={"q": service}, lease_end_ns=boottime_ns() + 10**12, alive_ns=boottime_ns(), joined=True)
    )


def forward(ports: list[int], told: "multiprocessing.SimpleQueue[int]") -> None:
    async def run() -> None:
        sources = [Source(str(port), HERE, port) for port in ports]
        proxy = Proxy(address=HERE, port=0, queue_manager="q", sources=sources)
        proxy.open()
        told.put(proxy.port)
        await proxy.run()

    asyncio.run(run())


def connected(port: int) -> socket.socket:
    sock = socket.create_connection((HERE, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert sock.recv(1) == b"!"
    return sock


def throughput(port: int) -> str:
    with connected(port) as sock:
        began = time.perf_counter()
        for _ in range(TOTAL // len(BLOCK)):
            sock.sendall(BLOCK)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
        return f"{TOTAL / (time.perf_counter() - began) / 1e6:8.0f} MB/s"


def round_trip(port: int) -> str:
    took = []
    with connected(port) as sock:
        for _ in range(TRIPS):
            began = time.perf_counter()
            sock.sendall(BLOCK[:SMALL])
            sock.recv(SMALL)
            took.append(time.perf_counter() - began)
    return f"{statistics.median(took) * 1e6:8.1f} us median {sorted(took)[TRIPS * 99 // 100] * 1e6:8.1f} us p99"


def moves(port: int, boards: list[HealthBoard], serving: int) -> str:
    took = []
    for epoch in range(2, MOVES + 2):
        old, new = boards[epoch % 2], boards[(epoch + 1) % 2]
        published(old, serving, active=False, epoch=epoch - 1)
        time.sleep(0.02)
        with socket.create_connection((HERE, port)) as held:
            time.sleep(0.02)
            began = time.perf_counter()
            published(new, serving, active=True, epoch=epoch)
            assert held.recv(1) == b"!"
            took.append(time.perf_counter() - began)
    return f"{statistics.median(took) * 1e3:8.2f} ms median {max(took) * 1e3:8.2f} ms max"


def probes(port: int) -> str:
    request = b"GET /queue-managers/q/active HTTP/1.1\r\n\r\n"
    with socket.create_connection((HERE, port)) as sock:
        began = time.perf_counter()
        for _ in range(PROBES):
            sock.sendall(request)
            sock.recv(4096)
        return f"{PROBES / (time.perf_counter() - began):8.0f} probes/s on one connection"


def main() -> None:
    told: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()
    listener = socket.create_server((HERE, 0), backlog=128)
    serving = listener.getsockname()[1]
    processes = [multiprocessing.Process(target=serve, args=(listener,), daemon=True)]
    processes[0].start()
    boards = [HealthBoard(address=HERE, port=0, interval_ns=10**8, stale_after_ns=10**12) for _ in range(2)]
    for board in boards:
        board.start()
        published(board, serving, active=False, epoch=1)
    published(boards[0], serving, active=True, epoch=1)
    processes.append(multiprocessing.Process(target=forward, args=([b.port for b in boards], told), daemon=True))
    processes[1].start()
    through = told.get()
    measures: list[tuple[str, Callable[[int], str]]] = [("sink, 1 GiB", throughput), (f"{SMALL}-byte echo", round_trip)]
    for name, measure in measures:
        print(f"{name:14} direct  {measure(serving)}")
        print(f"{name:14} proxied {measure(through)}")
    print(f"{'owner changes':14} held client answered after {moves(through, boards, serving)}")
    print(f"{'health page':14} {probes(boards[0].port)}")
    for process in processes:
        process.kill()
        process.join()
    for board in boards:
        board.close()


if __name__ == "__main__":
    main()
