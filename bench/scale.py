"""A large cluster: how long it takes to place everything, to take over what a dead node ran, and to be looked at.

    python bench/scale.py [--queue-managers 1000] [--on-one 300] [--members 7] [--keep]

The queue managers are small programs (fleet.py), so many of which prefer the first data member; the member with most
of them dies in the end. Measured from outside: until all of them run; what the page, the API, `standfast status` and
/metrics weigh and take; the event log and the store's database; from the death to the first answer of each elsewhere.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import cost
from figures import renewed, save
from fleet import LONGEST_S, all_run, answers, fleet
from lab_run import spread

from standfast.errors import MachineError
from standfast.lab.lab import Lab
from standfast.lab.plan import STATE, TRUST
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import Events
from standfast.model.cluster import Role
from standfast.model.timing import PROFILES
from standfast.tokens import Right, TokenFile
from standfast.trust import CA_CERTIFICATE

PART, KEYS = "scale", ("members", "queue_managers")
PROFILE, MEMBERS, QUEUE_MANAGERS, ON_ONE = "normal", 7, 1000, 300
ASKED = "b"
LOOKS = 5
IDLE_S = 20.0
LOOK_EVERY_S = 0.2
MS = 1000.0
KIB = 1024
EVENT_END = b"\n\n"


async def looked_at(ask: Callable[[], Awaitable[bytes]]) -> dict[str, float]:
    """Bytes of an answer, and its median time in milliseconds."""
    times, size = [], 0
    for _ in range(LOOKS):
        began_s = time.monotonic()
        size = len(await ask())
        times.append((time.monotonic() - began_s) * MS)
    return {"bytes": size, "ms": round(median(times), 1), "longest_ms": round(max(times), 1)}


async def looks(lab: Lab) -> dict[str, Any]:
    """What there is to look at, asked of one data member."""
    spec = lab.cluster.member(ASKED)
    token = TokenFile(lab.directory / STATE / ASKED).create("bench", Right.VIEWER, 1)
    tls = ssl.create_default_context(cafile=lab.directory / TRUST / ASKED / CA_CERTIFICATE)
    base, head = f"https://{spec.addresses[0]}:{spec.api_port}", {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), headers=head) as session:

        async def page(url: str) -> bytes:
            async with session.get(url) as answer:
                answer.raise_for_status()
                return await answer.read()

        async def first_look() -> bytes:
            async with session.get(f"{base}/api/v1/stream") as answer:
                answer.raise_for_status()
                said = b""
                while b"event: look" not in said or not said.endswith(EVENT_END):
                    said += await answer.content.readany()
                return said

        async def command(*words: str) -> bytes:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "standfast", *words, "--socket", str(lab.sockets[ASKED])),
                stdout=asyncio.subprocess.PIPE,
            )
            return (await process.communicate())[0]

        return {
            "page": await looked_at(lambda: page(f"{base}/")),
            "API: status": await looked_at(lambda: page(f"{base}/api/v1/status")),
            "page: first look over the stream": await looked_at(first_look),
            "standfast status": await looked_at(lambda: command("status")),
            "standfast status --json": await looked_at(lambda: command("status", "--json")),
            "/metrics": await looked_at(lambda: page(f"http://{spec.addresses[0]}:{spec.health_port}/metrics")),
        }


async def log_of(lab: Lab) -> dict[str, float]:
    """How many events there are, and how large the database is."""
    async with ControlClient(lab.sockets[ASKED], LONGEST_S) as member:
        events = 0
        async for line in member.events(Events()):
            events += bool(line.revision)
    store = await cost.store_numbers(lab)
    return {"events": events, "db_kib": round(store["db_bytes"] / KIB), "used_kib": round(store["used_bytes"] / KIB)}


async def first_answers(addresses: Sequence[str], ports: set[int], began_s: float) -> list[float]:
    """How long after that moment each port first answered at one of these addresses, in milliseconds."""
    found: list[float] = []
    missing = set(ports)
    while missing and time.monotonic() - began_s < LONGEST_S:
        for port in tuple(missing):
            for address in addresses:
                if await answers(address, port):
                    found.append((time.monotonic() - began_s) * MS)
                    missing.discard(port)
                    break
        await asyncio.sleep(LOOK_EVERY_S)
    return found


async def founded(lab: Lab) -> None:
    """Bring up the data members, together a majority: all of them are there when queue managers are given away."""
    lab.up(m.name for m in lab.cluster.members if m.role is Role.DATA)
    until_s = time.monotonic() + LONGEST_S
    while (report := await lab.knows(ASKED)) is None or not any(qm.owner for qm in report.queue_managers):
        if time.monotonic() > until_s:
            raise MachineError(f"Nothing was given away within {LONGEST_S:g} s.")
        await asyncio.sleep(LOOK_EVERY_S)


async def death(lab: Lab) -> dict[str, Any]:
    """The death of the other node that has most of them; what the survivors' daemons used of the processor."""
    report = await lab.report([ASKED])
    owned = Counter(qm.owner for qm in report.queue_managers)
    victim = max((m.name for m in lab.cluster.members if m.name != ASKED), key=lambda name: owned[name])
    ports = {qm.port for qm in report.queue_managers if qm.owner == victim}
    others = [m for m in lab.cluster.members if m.name != victim]
    pids = [lab.nodes[m.name].pid or 0 for m in others]
    before = [cost.cpu_s(pid) for pid in pids]
    began_s = time.monotonic()
    lab.nodes[victim].kill()
    found = await first_answers([m.clients for m in others if m.role is Role.DATA], ports, began_s)
    await all_run(lab, ASKED)
    used = [cost.cpu_s(pid) - was for pid, was in zip(pids, before, strict=True)]
    return {
        "queue_managers": len(ports),
        "answering": len(found),
        "outage": spread(found),
        "daemons_cpu_s": {"all": round(sum(used), 1), "most": round(max(used), 1)},
    }


async def measure(members: int, count: int, on_one: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of scale, and those of cost at the same size."""
    with tempfile.TemporaryDirectory(prefix="standfast-scale-") as directory:
        lab = fleet(Path(directory), members, count, PROFILE, first=on_one, api=True)
        try:
            load = round(os.getloadavg()[0], 1)
            began_s = time.monotonic()
            await founded(lab)
            lab.up()
            await all_run(lab, ASKED)
            placed_s = time.monotonic() - began_s
            cpu = sum(cost.cpu_s(node.pid or 0) for node in lab.nodes.values())
            await asyncio.sleep(cost.SETTLE_S)
            at_rest = await cost.idle(lab, IDLE_S)
            found: dict[str, Any] = {
                "members": members,
                "queue_managers": count,
                "profile": PROFILE,
                "term_ms": PROFILES[PROFILE].term_ms,
                "load_before": load,
                "cores": os.cpu_count(),
                "from_nothing_to_all_running_s": round(placed_s, 1),
                "daemons_cpu_s": round(cpu, 1),
                "looks": await looks(lab),
                "log": await log_of(lab),
            }
            print(json.dumps(found), flush=True)
            found["death"] = await death(lab)
            found["log_after"] = await log_of(lab)
            return found, {"profile": PROFILE, **at_rest}
        finally:
            lab.kill()


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of the page."""
    found = [
        "## Many queue managers in one cluster",
        "",
        "Small programs on a cluster whose members all run on this machine. `placed`: from nothing, with the start of",
        "etcd and members, until all of them run. Then the data member with most of them dies: from its death to",
        "the first answers elsewhere, in seconds. Processor: of all surviving daemons, and of the one that used most.",
        "",
        "| members | queue managers | placed, s | died with | answered | median | last | processor, s | load before |",
        "|---:|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for one in figures:
        dead, cpu = one["death"], one["death"]["daemons_cpu_s"]
        found.append(
            f"| {one['members']} | {one['queue_managers']:,} | {one['from_nothing_to_all_running_s']} | "
            f"{dead['queue_managers']} | {dead['answering']} | {dead['outage'].get('median', 0) / MS:.1f} | "
            f"{dead['outage'].get('max', 0) / MS:.1f} | {cpu['all']}; {cpu['most']} | {one['load_before']} |"
        )
    found += [
        "",
        "Looking at it meanwhile, and what the log of events and the store have become by then, and after it:",
        "",
    ]
    names = list(figures[0]["looks"])
    found += [
        f"| queue managers | {' | '.join(names)} | events | database, KiB |",
        f"|---:|{'---|' * (len(names) + 2)}",
    ]
    for one in figures:
        cells = [f"{look['bytes'] / KIB:,.0f} KiB, {look['ms']:,.0f} ms" for look in one["looks"].values()]
        before, after = one["log"], one["log_after"]
        cells.append(f"{before['events']:,}; {after['events']:,} | {before['db_kib']:,}; {after['db_kib']:,}")
        found.append(f"| {one['queue_managers']:,} | {' | '.join(cells)} |")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=MEMBERS, choices=(3, 5, 7))
    parser.add_argument("--queue-managers", type=int, default=QUEUE_MANAGERS)
    parser.add_argument("--on-one", type=int, default=ON_ONE)
    parser.add_argument("--keep", action="store_true", help="keep the figures for the page")
    given = parser.parse_args()
    found, at_rest = asyncio.run(measure(given.members, given.queue_managers, given.on_one))
    print(json.dumps(found, indent=1))
    print(*cost.shown(at_rest), sep="\n")
    if given.keep:
        save(PART, renewed(PART, [found], KEYS))
        save(cost.PART, renewed(cost.PART, [at_rest], cost.KEYS))


if __name__ == "__main__":
    main()
