"""The heartbeats of a real cluster while its machine has other things to do, and how much of the lease they leave.

    python bench/jitter.py [--seconds 15] [--profile fast ...] [--priority ordinary ...] [--load disk ...] [--note ...]

Three members on this machine, with the API; needs root. Under each load: the gaps between the heartbeats of each member
as they arrive, the time until they are acknowledged, the shortest that any lease was just before it was prolonged, and
false alarms. Loads are processes of their own, no nicer than the members; see LOADS. With the priority that daemons
ask for, and, in the profile `lan`, with the ordinary one, too.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from api import Target, cluster, requests
from ear import Ear, answers_ms, gaps_ms, least_left_ms, opened, spread_of
from figures import prose, results, save
from steadiness import ALARMS, told

from standfast.drill.endpoint import own_proxy
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, TRUST
from standfast.model.cluster import Role
from standfast.model.timing import PROFILES

SETTINGS = (("lan", "ordinary"), ("lan", "realtime"), ("fast", "realtime"), ("normal", "realtime"))
"""Profile, and priority of the daemons."""
SECONDS = 15.0
LATE = 1.5
"""A heartbeat that comes after more than so many intervals is late."""
CALM_S = 3.0
MEMORY_BYTES = 256 * 1024 * 1024
BUSY = 16
PROBERS = 4
BYTES_PER_S = 100_000_000

SPIN = "while True: pass"
SYNCS = """
import os, sys
block = os.urandom(1 << 20)
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
while True:
    for _ in range(4):
        os.write(file, block)
    os.fsync(file)
    os.lseek(file, 0, os.SEEK_SET)
"""
POUR = """
import socket, sys, time
block = b"PUB nobody 524288\\r\\n" + bytes(524288) + b"\\r\\n"
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as to:
    to.sendall(b'CONNECT {"verbose":false}\\r\\n')
    due = time.monotonic()
    while True:
        to.sendall(block)
        due = max(due + len(block) / float(sys.argv[3]), time.monotonic() - 0.1)
        time.sleep(max(due - time.monotonic(), 0))
"""
PROBE = """
import socket, sys
request = b"GET /queue-managers/orders/active HTTP/1.1\\r\\n\\r\\n"
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as to:
    while True:
        to.sendall(request)
        to.recv(4096)
"""
FILL = """
import mmap, os, sys
size = int(sys.argv[2])
file = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
os.ftruncate(file, 4 * size)
kept = mmap.mmap(-1, size // 2)
while True:
    for start in range(0, size // 2, mmap.PAGESIZE):
        kept[start] = 1
    for start in range(0, 4 * size, 1 << 20):
        os.pwrite(file, bytes(1 << 20), start)
"""


class Stage(NamedTuple):
    """What a load may use: the cluster, its API, and the directory of the run."""

    lab: Lab
    target: Target


@asynccontextmanager
async def running(*programs: Sequence[str]) -> AsyncIterator[None]:
    """Python programs, until the end of the context."""
    started = [await asyncio.create_subprocess_exec(sys.executable, "-c", *program) for program in programs]
    try:
        yield
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@asynccontextmanager
async def nothing(_: Stage) -> AsyncIterator[None]:
    yield


def processors(_: Stage) -> AbstractAsyncContextManager[None]:
    return running(*[(SPIN,)] * BUSY * (os.cpu_count() or 1))


def disk(stage: Stage) -> AbstractAsyncContextManager[None]:
    return running(*((SYNCS, str(stage.lab.directory / f"storm{number}")) for number in range(3)))


@asynccontextmanager
async def page(stage: Stage) -> AsyncIterator[None]:
    over = asyncio.Event()
    asking = asyncio.create_task(requests(stage.target, over))
    yield
    over.set()
    await asking


@asynccontextmanager
async def proxied(stage: Stage) -> AsyncIterator[None]:
    lab = stage.lab
    proxy = own_proxy(lab.directory / CLUSTER_FILE, lab.cluster.queue_managers[0].name)
    async with proxy as at, running((POUR, at.address, str(at.port), str(BYTES_PER_S))):
        yield


def probes(stage: Stage) -> AbstractAsyncContextManager[None]:
    members = [member for member in stage.lab.cluster.members if member.role is Role.DATA]
    return running(*((PROBE, one.addresses[0], str(one.health_port)) for one in members for _ in range(PROBERS)))


def memory(stage: Stage) -> AbstractAsyncContextManager[None]:
    """In the control group of the members, if they are in one of limited memory: see `confined`."""
    return running((FILL, str(stage.lab.directory / "filling"), str(MEMORY_BYTES)))


@asynccontextmanager
async def everything(stage: Stage) -> AsyncIterator[None]:
    async with AsyncExitStack() as opened:
        for load in (processors, disk, page, probes, proxied, memory):
            await opened.enter_async_context(load(stage))
        yield


Load = Callable[[Stage], AbstractAsyncContextManager[None]]
LOADS: dict[str, tuple[Load, str]] = {
    "nothing": (nothing, "for comparison"),
    "processors": (processors, f"{BUSY} busy loops for each processor"),
    "disk": (disk, "three programs that write 4 MiB and sync, without a pause, on the disk of etcd and queue manager"),
    "page": (page, "32 clients that ask the API for the status, each as fast as it is answered"),
    "probes": (probes, f"{PROBERS} probes of each data member's health URLs, each as fast as it is answered"),
    "proxied": (proxied, "100 MB/s through a `standfast proxy` into the queue manager"),
    "memory": (memory, "the members' control group is full: a program in it dirties page after page"),
    "everything": (everything, "all of these at once"),
}


async def under(stage: Stage, load: Load, seconds: float) -> dict[str, Any]:
    """What a load does to the heartbeats."""
    lab, timing = stage.lab, stage.lab.cluster.timing
    before = await told(lab)
    async with load(stage):
        await asyncio.sleep(CALM_S)
        ear = Ear(lab.cluster.members[0].heartbeat_port)
        ear.start()
        await asyncio.sleep(seconds)
        heard = ear.end()
    await asyncio.sleep(CALM_S)
    after = await told(lab)
    said = opened(heard, lab.cluster, lab.directory / TRUST)
    names = [member.name for member in lab.cluster.members]
    gaps = [gap for name in names for gap in gaps_ms(said, name)]
    left = min(least_left_ms(said, lab.cluster, name) for name in names)
    return {
        "gaps": spread_of(gaps),
        "late": sum(gap > LATE * timing.interval_ms for gap in gaps),
        "answers": spread_of([one for name in names for one in answers_ms(said, name)]),
        "least_left_ms": round(left, 1),
        "alarms": {str(kind): after[kind] - before[kind] for kind in ALARMS if after[kind] != before[kind]},
    }


@asynccontextmanager
async def confined(allowed_bytes: int) -> AsyncIterator[None]:
    """This process and all that it starts, in a control group that may use so much memory (version 1 or 2)."""
    root = Path("/sys/fs/cgroup")
    first = (root / "memory").is_dir()
    home = root / "memory" if first else root
    group = home / f"standfast-jitter-{os.getpid()}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(allowed_bytes))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (home / "cgroup.procs").write_text(str(os.getpid()))
        while (group / "cgroup.procs").read_text():  # noqa: ASYNC110 - the last of them are ending
            await asyncio.sleep(0.05)
        group.rmdir()


async def measure(profile: str, priority: str, loads: Sequence[str], seconds: float) -> dict[str, Any]:
    """One profile under these loads, one after the other on one cluster."""
    timing = PROFILES[profile]
    found = {}
    os.environ["STANDFAST_PRIORITY"] = priority
    async with confined(4 * MEMORY_BYTES), cluster(profile) as (lab, target, _):
        for name in loads:
            found[name] = await under(Stage(lab, target), LOADS[name][0], seconds)
            print(row(profile, priority, name, found[name]), flush=True)
    return {
        "profile": profile,
        "priority": priority,
        "interval_ms": timing.interval_ms,
        "term_ms": timing.term_ms,
        "stop_ms": timing.graceful_ms + timing.kill_ms,
        "seconds": seconds,
        "loads": found,
    }


def row(profile: str, priority: str, load: str, one: dict[str, Any]) -> str:
    """A line of the table."""
    gaps, answers = one["gaps"], one["answers"]
    alarms = ", ".join(f"{kind} {count}" for kind, count in one["alarms"].items()) or "none"
    return (
        f"| {profile}, {priority} | {load} | {gaps['n']:,} | {gaps['median']} / {gaps['p99']} / {gaps['max']} | "
        f"{one['late']} | {answers['median']} / {answers['max']} | {max(one['least_left_ms'], 0)} | {alarms} |"
    )


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of the page."""
    found = [
        "## Heartbeats under load",
        "",
        *prose(
            f"""Three members on one machine, under one load after the other. `gap`: between two heartbeats of a member
            as they arrive, by the kernel's clock: median / 99 % / longest, in milliseconds; `late`: after more than
            {LATE:g} intervals. `answered`: from the sending of a heartbeat to the arrival of its acknowledgement,
            median / longest. `left`: the shortest that a lease was just before it was prolonged; with less than the
            budget of the stop a member begins to stop its queue managers. `alarms`: doubts, evictions, lost leases,
            lost links, changes of owner: all of them false."""
        ),
        "",
        *(f"- {name}: {words}" for name, (_, words) in LOADS.items()),
        "",
    ]
    found += [
        "| profile, priority | interval | lease | budget of the stop | least left | under | room |",
        "|---|---:|---:|---:|---:|---|---:|",
        *map(headroom, figures),
        "",
        f"In milliseconds, {figures[0]['seconds']:g} s for each load. `room`: by so much it could have been worse.",
        "",
        "| profile, priority | load | n | gap | late | answered | left | alarms |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    rows = [(one["profile"], one["priority"], *load) for one in figures for load in one["loads"].items()]
    return found + [row(*one) for one in rows]


def headroom(one: dict[str, Any]) -> str:
    """A line of the table: the worst load of a profile and priority, and what it left beyond the budget of the stop."""
    load, worst = min(one["loads"].items(), key=lambda item: item[1]["least_left_ms"])
    left = worst["least_left_ms"]
    room = f"{left - one['stop_ms']:.0f}" if left > one["stop_ms"] else "none: it stopped"
    return (
        f"| {one['profile']}, {one['priority']} | {one['interval_ms']} | {one['term_ms']} | {one['stop_ms']} | "
        f"{max(left, 0):.0f} | {load} | {room} |"
    )


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--profile", action="append", choices=tuple(dict(SETTINGS)))
    parser.add_argument("--priority", action="append", choices=("realtime", "ordinary"))
    parser.add_argument("--load", action="append", choices=tuple(LOADS))
    parser.add_argument("--note", default="", help="what else is to be known of this run, such as other work beside it")
    given = parser.parse_args()
    settings = [
        (profile, priority)
        for profile, priority in SETTINGS
        if profile in (given.profile or (profile,)) and priority in (given.priority or (priority,))
    ]
    figures = measure_all(settings, given.load or tuple(LOADS), given.seconds)
    print(f"written: {save('jitter', figures, given.note)}")


def measure_all(settings: Sequence[tuple[str, str]], loads: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Each of these; those that are not measured now keep their figures of before."""
    measured = {one: asyncio.run(measure(*one, loads, seconds)) for one in settings}
    before = {(one["profile"], one["priority"]): one for one in results().get("jitter", {"figures": []})["figures"]}
    both = before | measured
    return [both[one] for one in SETTINGS if one in both]


if __name__ == "__main__":
    main()
