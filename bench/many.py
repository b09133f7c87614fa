"""Hundreds of queue managers on one member, taken over by the other at once when it dies.

    python bench/many.py [--queue-managers 200] [--at-once 20] [--profile fast] [--kills 1] [--json FILE]

Each is a small program that accepts connections and says a word, run by the driver `command`, on a lab of two data
members and a witness. Measured, from outside: from the death of the node with all of them to the first answer of each;
the longest time between two heartbeats of each surviving member meanwhile, as they pass the loopback device (needs
root; else not measured); what the survivor's daemon and warden used of the processor.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from cost import cpu_s
from ear import Ear, gaps_ms, opened
from figures import save
from fleet import LONGEST_S, all_run, answers, fleet
from lab_run import spread

from standfast.lab.lab import Lab
from standfast.lab.plan import RUN, TRUST
from standfast.member.warden_run_dir import RunDir
from standfast.model.timing import PROFILES

MS = 1000.0
LOOK_EVERY_S = 0.02


async def first_answers(address: str, ports: list[int], began_s: float) -> dict[int, float]:
    """For each port, how long after that moment it first answered, in milliseconds."""
    found: dict[int, float] = {}
    while len(found) < len(ports) and time.monotonic() - began_s < LONGEST_S:
        for port in ports:
            if port in found:
                continue
            if await answers(address, port):
                found[port] = (time.monotonic() - began_s) * MS
        await asyncio.sleep(LOOK_EVERY_S)
    return found


async def takeover(lab: Lab) -> dict[str, Any]:
    """The death of the node that runs all of them."""
    cluster = lab.cluster
    (owner,) = {qm.owner or "" for qm in (await all_run(lab, "w")).queue_managers}
    other = "ab".replace(owner, "")
    ports = [spec.port for spec in cluster.queue_managers]
    survivor = cluster.member(other)
    record = RunDir(lab.directory / RUN / other).warden()
    pids = {"daemon": lab.nodes[other].pid, "warden": record.warden.pid if record is not None else None}
    before = {name: cpu_s(pid) if pid else 0.0 for name, pid in pids.items()}
    ear = Ear(survivor.heartbeat_port) if os.geteuid() == 0 else None
    if ear is not None:
        ear.start()
    began_s = time.monotonic()
    lab.nodes[owner].kill()
    found = await first_answers(survivor.clients, ports, began_s)
    used = {name: (cpu_s(pid) if pid else 0.0) - before[name] for name, pid in pids.items()}
    said = opened(ear.end(), cluster, lab.directory / TRUST) if ear is not None else []
    by_member = {member.name: gaps_ms(said, member.name) for member in cluster.members if member.name != owner}
    return {
        "answering": len(found),
        "outage": spread(list(found.values())),
        "last_ms": round(max(found.values(), default=0.0), 1),
        "longest_heartbeat_gap_ms": {name: round(max(gaps), 1) for name, gaps in by_member.items() if gaps},
        "cpu_s": {name: round(value, 2) for name, value in used.items()},
    }


async def measure(count: int, at_once: int | None, profile: str, kills: int) -> dict[str, Any]:
    """So many deaths, each of the node that runs all of them."""
    with tempfile.TemporaryDirectory(prefix="standfast-many-") as directory:
        lab = fleet(Path(directory), 3, count, profile, first=count, at_once=at_once)
        try:
            began_s = time.monotonic()
            lab.up()
            await all_run(lab, "w")
            first_ms = (time.monotonic() - began_s) * MS
            rounds = []
            for _ in range(kills):
                rounds.append(await takeover(lab))
                lab.up()
                await lab.until_whole()
                await all_run(lab, "w")
            return {
                "queue_managers": count,
                "starts_at_once": at_once,
                "profile": profile,
                "term_ms": PROFILES[profile].term_ms,
                "cores": os.cpu_count(),
                "load_before": round(os.getloadavg()[0], 1),
                "from_nothing_to_all_running_ms": round(first_ms, 1),
                "takeovers": rounds,
            }
        finally:
            lab.kill()


def lines(figures: dict[str, Any]) -> list[str]:
    """The section of docs/measured.md."""
    found = [
        "## Hundreds taken over at once",
        "",
        f"{figures['queue_managers']} small programs, run by the driver `command`, on one data member, which dies;",
        f"profile `{figures['profile']}`, lease {figures['term_ms']} ms. From its death to the first answer elsewhere,",
        f"in seconds. The machine's load was {figures['load_before']} on {figures['cores']} cores when it began.",
        "",
        "| answered | median | last | longest heartbeat gap, ms | processor: daemon, warden, in s |",
        "|---:|---:|---:|---|---|",
    ]
    for one in figures["takeovers"]:
        gaps = ", ".join(f"{name} {gap}" for name, gap in one["longest_heartbeat_gap_ms"].items()) or "not measured"
        median, last = one["outage"].get("median", 0) / MS, one["last_ms"] / MS
        used = one["cpu_s"]
        found.append(
            f"| {one['answering']} | {median:.1f} | {last:.1f} | {gaps} | {used['daemon']:.1f}, {used['warden']:.1f} |"
        )
    return found


def main() -> None:
    """Measure, print a line for each takeover; with --json write it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queue-managers", type=int, default=200)
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--profile", choices=tuple(PROFILES), default="fast")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the figures for docs/measured.md")
    given = parser.parse_args()
    found = asyncio.run(measure(given.queue_managers, given.at_once, given.profile, given.kills))
    print(
        f"{given.queue_managers} queue managers, {given.at_once or 'default'} starts at once, profile {given.profile}, "
        f"term {found['term_ms']} ms, load {found['load_before']}; "
        f"first start of all {found['from_nothing_to_all_running_ms'] / MS:.1f} s"
    )
    print(f"{'answering':>9} {'median':>9} {'last':>9} {'longest heartbeat gap':>28} {'CPU s daemon, warden':>22}")
    for one in found["takeovers"]:
        gaps = ", ".join(f"{name} {gap} ms" for name, gap in one["longest_heartbeat_gap_ms"].items()) or "not measured"
        used = one["cpu_s"]
        print(
            f"{one['answering']:>9} {one['outage'].get('median', 0) / MS:>7.2f} s {one['last_ms'] / MS:>7.2f} s "
            f"{gaps:>28} {used['daemon']:>12.2f}, {used['warden']:.2f}"
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.keep:
        save("many", found)


if __name__ == "__main__":
    main()
