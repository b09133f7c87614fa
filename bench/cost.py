"""What a member costs while nothing happens: processor, memory, disk and datagrams, by members and queue managers.

    python bench/cost.py [--seconds 30] [--members 3 ...] [--queue-managers 1 ...] [--profile normal] [--json FILE]

The queue managers are small programs (fleet.py). Processor and memory come from /proc, for each part of a member by
itself; what the store does from etcd's own metrics; datagrams from the members'. Nobody asks for a status meanwhile.
"""

import argparse
import asyncio
import json
import os
import re
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import aiohttp
from fleet import all_run, fleet, numbers

from standfast.cli.store_door import PATIENCE
from standfast.lab.lab import Lab
from standfast.lab.plan import TRUST
from standfast.lab.processes import tree
from standfast.member.storehouse import access
from standfast.model.cluster import Role
from standfast.model.timing import PROFILES
from standfast.stores.etcd_http import Gateway
from standfast.stores.etcd_wire import METRICS

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KIB_PER_MIB = 1024
SECONDS_PER_HOUR = 3600
SETTLE_S = 12.0
"""From when all run until it is measured: the first examinations, and two rounds of probes, are over."""
PARTS = ("daemon", "api", "warden", "probers", "etcd", "queue managers")
STORE = {
    "written": "etcd_mvcc_put_total",
    "transactions": "etcd_mvcc_txn_total",
    "ranges": "etcd_mvcc_range_total",
    "proposals": "etcd_server_proposals_committed_total",
    "db_bytes": "etcd_mvcc_db_total_size_in_bytes",
    "used_bytes": "etcd_mvcc_db_total_size_in_use_in_bytes",
}


def kind_of(pid: int, daemon: int) -> str:
    """Which part of a member a process is."""
    if pid == daemon:
        return "daemon"
    name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    if name in ("etcd", "sf-warden", "sf-backstop"):
        return name.removeprefix("sf-").replace("backstop", "warden")
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    if b"standfast.api" in words:
        return "api"
    return "probers" if any(b"standfast." in word for word in words) else "queue managers"


def cpu_s(pid: int) -> float:
    """Processor seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mib(pid: int, kind: str) -> float:
    """`Rss`: all that is resident; `Pss`: pages that processes share are divided among them (proc(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / KIB_PER_MIB


def disk_bytes(pid: int) -> int:
    """What it has sent towards the disk so far."""
    text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    found = re.search(r"^write_bytes: (\d+)$", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def parts_of(lab: Lab, name: str) -> dict[int, str]:
    """The processes of a member."""
    pid = lab.nodes[name].pid
    assert pid is not None
    return {one: kind_of(one, pid) for one in tree([pid])}


async def store_numbers(lab: Lab) -> dict[str, float]:
    """Of the etcd of a data member, as it tells them; all have the same content."""
    gateway = Gateway(**access(lab.cluster, "a", lab.directory / TRUST / "a"), patience=PATIENCE)
    try:
        until = asyncio.get_running_loop().time() + PATIENCE.operation_s
        return numbers(await gateway.page(gateway.endpoints[0], METRICS, until), STORE)
    finally:
        await gateway.close()


async def datagrams(lab: Lab) -> float:
    """Sent by all members so far."""
    sent = 0.0
    async with aiohttp.ClientSession() as session:
        for member in lab.cluster.members:
            async with session.get(f"http://{member.addresses[0]}:{member.health_port}/metrics") as answer:
                named = {"sent": 'standfast_datagrams_total{what="sent"}'.replace("{", r"\{").replace("}", r"\}")}
                sent += numbers(await answer.text(), named)["sent"]
    return sent


async def idle(lab: Lab, seconds: float) -> dict[str, Any]:
    """What it costs for so long, from now on."""
    sent, store = await datagrams(lab), await store_numbers(lab)
    parts = {name: parts_of(lab, name) for name in lab.nodes}
    before = {pid: cpu_s(pid) for pids in parts.values() for pid in pids}
    written = {pid: disk_bytes(pid) for pids in parts.values() for pid, kind in pids.items() if kind == "etcd"}
    began_s = asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    took_s = asyncio.get_running_loop().time() - began_s
    alive = set(tree([node.pid or 0 for node in lab.nodes.values()]))
    used = {pid: 100 * (cpu_s(pid) - was) / took_s for pid, was in before.items() if pid in alive}
    disk = sum(disk_bytes(pid) - was for pid, was in written.items()) / len(written)
    later = await store_numbers(lab)
    beyond_s = asyncio.get_running_loop().time() - began_s
    hourly = {
        f"{name}_per_hour": round((later[name] - store[name]) * SECONDS_PER_HOUR / beyond_s)
        for name in ("written", "transactions", "ranges", "proposals")
    }
    roles = {role: [m.name for m in lab.cluster.members if m.role is role] for role in Role}
    return {
        "members": len(lab.nodes),
        "queue_managers": len(lab.cluster.queue_managers),
        "seconds": round(took_s),
        "parts": {str(role): summed([parts[name] for name in names], used) for role, names in roles.items()},
        "datagrams_per_member_s": round((await datagrams(lab) - sent) / beyond_s / len(lab.nodes), 1),
        "store": {
            "db_bytes": round(later["db_bytes"]),
            "used_bytes": round(later["used_bytes"]),
            "disk_bytes_per_hour": round(disk * SECONDS_PER_HOUR / took_s),
            **hourly,
        },
    }


def summed(members: list[dict[int, str]], used: dict[int, float]) -> dict[str, dict[str, float]]:
    """The mean of these members, by part."""
    found: dict[str, dict[str, float]] = {}
    for part in PARTS:
        pids = [[pid for pid, kind in one.items() if kind == part and pid in used] for one in members]
        if any(pids):
            found[part] = {
                "cpu_percent": round(fmean(sum(used[pid] for pid in one) for one in pids), 2),
                "rss_mib": round(fmean(sum(memory_mib(pid, "Rss") for pid in one) for one in pids), 1),
                "pss_mib": round(fmean(sum(memory_mib(pid, "Pss") for pid in one) for one in pids), 1),
            }
    return found


async def measure(members: int, count: int, profile: str, seconds: float) -> dict[str, Any]:
    """One cluster, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="standfast-cost-") as directory:
        lab = fleet(Path(directory), members, count, profile, api=True)
        try:
            lab.up()
            await all_run(lab)
            await asyncio.sleep(SETTLE_S + 2 * PROFILES[profile].term_ms / 1000)
            return {"profile": profile, **await idle(lab, seconds)}
        finally:
            lab.kill()


def shown(one: dict[str, Any]) -> list[str]:
    """A line for each role."""
    head = f"{one['profile']:8} {one['members']} members, {one['queue_managers']:>5} queue managers"
    store = ", ".join(f"{name} {value}" for name, value in one["store"].items())
    lines = [f"{head}: {one['datagrams_per_member_s']} datagrams/s; store: {store}"]
    for role, parts in one["parts"].items():
        told = "  ".join(f"{part} {v['cpu_percent']} % {v['rss_mib']}/{v['pss_mib']} MiB" for part, v in parts.items())
        lines.append(f"    {role:8} {told}")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--members", type=int, action="append", choices=(3, 5, 7))
    parser.add_argument("--queue-managers", type=int, action="append")
    parser.add_argument("--profile", action="append", choices=tuple(PROFILES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    for profile in given.profile or ("normal",):
        for members in given.members or (3,):
            for count in given.queue_managers or (1,):
                found.append(asyncio.run(measure(members, count, profile, given.seconds)))
                print(*shown(found[-1]), sep="\n", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
