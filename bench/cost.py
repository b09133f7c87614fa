"""What a member costs while nothing happens: processor, memory, disk and datagrams, by members and queue managers.

    python bench/cost.py [--seconds 30] [--members 3 ...] [--queue-managers 1 ...] [--profile normal] [--keep]

The queue managers are small programs (fleet.py). Processor and memory come from /proc, for each part of a member by
itself; what the store does from etcd's own metrics; datagrams from the members'. Nobody asks for a status meanwhile.
--keep puts the rows into bench/results/, beside those of other sizes.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import re
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import aiohttp
from figures import renewed, save
from fleet import all_run, fleet, numbers

from standfast.cli.store_door import PATIENCE
from standfast.lab.lab import Lab
from standfast.lab.plan import TRUST
from standfast.lab.processes import tree
from standfast.member.storehouse import access
from standfast.model.cluster import Role
from standfast.model.timing import PROFILES
from standfast.stores.etcd_errors import Failed
from standfast.stores.etcd_http import Gateway
from standfast.stores.etcd_wire import METRICS

PART, KEYS = "cost", ("profile", "members", "queue_managers")
SIZES = (
    *((profile, 3, 1) for profile in ("lan", "fast")),
    *(("normal", members, count) for members in (3, 5, 7) for count in (1, 100)),
    ("normal", 3, 1000),
)
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
    """What an etcd tells: the largest of all that answer, as they have the same content; of reads the sum."""
    gateway = Gateway(**access(lab.cluster, "b", lab.directory / TRUST / "b"), patience=PATIENCE)
    until, told = asyncio.get_running_loop().time() + PATIENCE.operation_s, []
    try:
        for endpoint in gateway.endpoints:
            with contextlib.suppress(Failed):
                told.append(numbers(await gateway.page(endpoint, METRICS, until), STORE))
    finally:
        await gateway.close()
    return {name: (sum if name == "ranges" else max)(one[name] for one in told) for name in STORE}


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


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of the page."""
    parts = [part for part in PARTS if part != "queue managers"]
    found = [
        "## Cost of a member while nothing happens",
        "",
        "Percent of one core, and resident memory in MiB, shared pages divided among those who share them (PSS).",
        "Means of the members of a role. The queue managers are small programs whose port is asked every second; they",
        "are not counted. `warden`: with its backstop; `probers`: the children that look at storage. The target is 1 %",
        "and 80 MiB without etcd, and without the API, which is optional.",
        "",
        f"| profile | members | queue managers | role | {' | '.join(parts)} | all but etcd and API |",
        f"|---|---:|---:|---|{'---:|' * (len(parts) + 1)}",
    ]
    for one in figures:
        for role, costs in one["parts"].items():
            cells = [f"{c['cpu_percent']} %, {c['pss_mib']:.0f}" if (c := costs.get(part)) else "" for part in parts]
            own = [costs[part] for part in ("daemon", "warden", "probers") if part in costs]
            total = f"{sum(c['cpu_percent'] for c in own):.1f} %, {sum(c['pss_mib'] for c in own):.0f}"
            head = f"| {one['profile']} | {one['members']} | {one['queue_managers']} | {role} |"
            found.append(f"{head} {' | '.join(cells)} | {total} |")
    found += [
        "",
        "What the network and the store have to do: datagrams that one member sends; of one etcd, what it keeps",
        "and writes to its disk; reads of all of them. Nothing is put while nothing happens: what goes to disk then",
        "is etcd's own.",
        "",
        "| profile | members | queue managers | datagrams/s | store, KiB | in use | disk, KiB/h | puts/h | reads/h |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in figures:
        store, head = one["store"], f"| {one['profile']} | {one['members']} | {one['queue_managers']} |"
        sizes = [store[name] / KIB_PER_MIB for name in ("db_bytes", "used_bytes", "disk_bytes_per_hour")]
        cells = [f"{one['datagrams_per_member_s']}", *(f"{size:,.0f}" for size in sizes)]
        cells += [f"{store['written_per_hour']:,}", f"{store['ranges_per_hour']:,}"]
        found.append(f"{head} {' | '.join(cells)} |")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--members", type=int, action="append", choices=(3, 5, 7))
    parser.add_argument("--queue-managers", type=int, action="append")
    parser.add_argument("--profile", action="append", choices=tuple(PROFILES))
    parser.add_argument("--keep", action="store_true", help="keep the figures for the page")
    given = parser.parse_args()
    sizes = itertools.product(given.profile or ("normal",), given.members or (3,), given.queue_managers or (1,))
    for profile, members, count in sizes:
        found = asyncio.run(measure(members, count, profile, given.seconds))
        print(*shown(found), sep="\n", flush=True)
        if given.keep:
            save(PART, renewed(PART, [found], KEYS))


if __name__ == "__main__":
    main()
