"""What the proxy costs and how fast it follows. Run: python bench/proxy.py [--note ...]

Throughput of one connection into a sink, and round trips of a small message, direct and through the proxy in turns, and
the processor time that the proxy takes for them; the time from the new owner's word to the first byte from it, for a
client that waits; the health page's probes per second.
"""

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from figures import prose, save

from standfast.endpoints.follow import Source
from standfast.endpoints.health import HealthBoard, Service, Snapshot
from standfast.endpoints.proxy import Proxy
from standfast.ports import boottime_ns

HERE = "127.0.30.81"
TURNS = 20
TOTAL = 1 << 27
BLOCK = bytes(1 << 18)
SMALL = 64
TRIPS = 500
MOVES = 50
PROBES = 5000
US, MS, MB = 1e6, 1e3, 1e6


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


def throughput(port: int) -> float:
    """Bytes per second."""
    with connected(port) as sock:
        began = time.perf_counter()
        for _ in range(TOTAL // len(BLOCK)):
            sock.sendall(BLOCK)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
        return TOTAL / (time.perf_counter() - began)


def round_trips(port: int) -> list[float]:
    """Seconds for each."""
    took = []
    with connected(port) as sock:
        for _ in range(TRIPS):
            began = time.perf_counter()
            sock.sendall(BLOCK[:SMALL])
            sock.recv(SMALL)
            took.append(time.perf_counter() - began)
    return took


def processor_s(pid: int) -> float:
    """Used so far by a process of one thread, to the nanosecond: proc(5), schedstat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def in_turns(direct: int, proxied: int, proxy: int) -> dict[str, Any]:
    """Both measures on both ports, in turns; the proxy's process is `proxy`."""
    rates: dict[int, list[float]] = {direct: [], proxied: []}
    trips: dict[int, list[float]] = {direct: [], proxied: []}
    used = {"trips": 0.0, "bytes": 0.0}
    for _ in range(TURNS):
        for port in (direct, proxied):
            before = processor_s(proxy)
            trips[port] += round_trips(port)
            between = processor_s(proxy)
            rates[port].append(throughput(port))
            if port == proxied:
                used["trips"] += between - before
                used["bytes"] += processor_s(proxy) - between
    both = sorted(trips[direct]), sorted(trips[proxied])
    return {
        "direct_mb_per_s": round(statistics.median(rates[direct]) / MB),
        "proxied_mb_per_s": round(statistics.median(rates[proxied]) / MB),
        "direct_trip_us": [round(statistics.median(both[0]) * US, 1), round(both[0][len(both[0]) * 99 // 100] * US, 1)],
        "proxied_trip_us": [
            round(statistics.median(both[1]) * US, 1),
            round(both[1][len(both[1]) * 99 // 100] * US, 1),
        ],
        "processor_per_trip_us": round(used["trips"] / (TURNS * TRIPS) * US, 1),
        "processor_per_gb_s": round(used["bytes"] / (TURNS * TOTAL) * 1e9, 2),
    }


def moves(port: int, boards: list[HealthBoard], serving: int) -> list[float]:
    """For a client that waits, from the new owner's word to its first byte: median and longest, in milliseconds."""
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
    return [round(statistics.median(took) * MS, 2), round(max(took) * MS, 2)]


def probes(port: int) -> int:
    """In a second, on one connection."""
    request = b"GET /queue-managers/q/active HTTP/1.1\r\n\r\n"
    with socket.create_connection((HERE, port)) as sock:
        began = time.perf_counter()
        for _ in range(PROBES):
            sock.sendall(request)
            sock.recv(4096)
        return round(PROBES / (time.perf_counter() - began))


def measure() -> dict[str, Any]:
    """All of it."""
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
    assert processes[1].pid is not None
    try:
        return {
            **in_turns(serving, through, processes[1].pid),
            "move_ms": moves(through, boards, serving),
            "probes_per_s": probes(boards[0].port),
        }
    finally:
        for process in processes:
            process.kill()
            process.join()
        for board in boards:
            board.close()


def lines(figures: dict[str, Any]) -> list[str]:
    """The section of the page."""
    direct, proxied = (figures[f"{way}_trip_us"] for way in ("direct", "proxied"))
    rates = (
        f"{figures['direct_mb_per_s']:,} | {figures['proxied_mb_per_s']:,} | {figures['processor_per_gb_s']} s per GB"
    )
    trips = f"{direct[0]} / {direct[1]} | {proxied[0]} / {proxied[1]} | {figures['processor_per_trip_us']} us"
    return [
        "## The proxy by itself",
        "",
        f"One connection to a server that answers {SMALL} bytes with the same and swallows all else, in turns.",
        "",
        "| | direct | through the proxy | its processor time |",
        "|---|---:|---:|---:|",
        f"| round trip, microseconds, median / 99 % | {trips} |",
        f"| one stream, MB/s | {rates} |",
        "",
        *prose(
            f"""A waiting client has its first byte {figures["move_ms"][0]} ms after the owner's word, as a median, and
            {figures["move_ms"][1]} ms at most. The health URLs answer {figures["probes_per_s"]:,} probes a second on
            one connection."""
        ),
    ]


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--note", default="", help="what else is to be known of this run, such as other work beside it")
    given = parser.parse_args()
    figures = measure()
    print("\n".join(lines(figures)))
    print(f"written: {save('proxy', figures, given.note)}")


if __name__ == "__main__":
    main()
