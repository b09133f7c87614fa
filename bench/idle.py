"""What a member costs while nothing happens: processor time and memory, with its warden and without its etcd.

python bench/idle.py [--seconds 60] [--profile fast --profile normal] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from standfast.lab.lab import Lab
from standfast.lab.plan import plan
from standfast.lab.processes import tree
from standfast.model.timing import PROFILES

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KIB_PER_MIB = 1024
KINDS = {"etcd": "etcd", "sf-warden": "warden", "nats-server": "queue manager"}


def kind_of(pid: int, daemon: int) -> str:
    """Which part of a member a process is."""
    if pid == daemon:
        return "daemon"
    name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    return KINDS.get(name, "helpers")


def cpu_s(pid: int) -> float:
    """Processor seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mib(pid: int, kind: str) -> float:
    """`Rss`: all that is resident; `Pss`: pages that processes share are divided among them (proc(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / KIB_PER_MIB


async def measure(profile: str, seconds: float) -> dict[str, Any]:
    """Percent of a core and MiB, by member and part."""
    with tempfile.TemporaryDirectory(prefix="standfast-idle-") as directory:
        plan(Path(directory), name="idle", profile=profile)
        lab = Lab(Path(directory))
        try:
            lab.up()
            await lab.until_whole()
            await lab.until_running("orders")
            await asyncio.sleep(2 * PROFILES[profile].term_ms / 1000)
            parts = {
                name: {pid: kind_of(pid, node.pid or 0) for pid in tree([node.pid or 0])}
                for name, node in lab.nodes.items()
            }
            before = {pid: cpu_s(pid) for pids in parts.values() for pid in pids}
            await asyncio.sleep(seconds)
            return {name: summed(pids, before, seconds) for name, pids in parts.items()}
        finally:
            lab.kill()


def summed(pids: dict[int, str], before: dict[int, float], seconds: float) -> dict[str, dict[str, float]]:
    """Of one member, by part."""
    found: dict[str, dict[str, float]] = {}
    for pid, kind in pids.items():
        part = found.setdefault(kind, {"cpu_percent": 0.0, "rss_mib": 0.0, "pss_mib": 0.0})
        part["cpu_percent"] = round(part["cpu_percent"] + 100 * (cpu_s(pid) - before[pid]) / seconds, 2)
        part["rss_mib"] = round(part["rss_mib"] + memory_mib(pid, "Rss"), 1)
        part["pss_mib"] = round(part["pss_mib"] + memory_mib(pid, "Pss"), 1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--profile", action="append", choices=tuple(PROFILES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = {profile: asyncio.run(measure(profile, given.seconds)) for profile in given.profile or ("fast", "normal")}
    for profile, members in found.items():
        for name, parts in members.items():
            shown = "  ".join(
                f"{part} {v['cpu_percent']} % {v['rss_mib']}/{v['pss_mib']} MiB" for part, v in parts.items()
            )
            print(f"{profile:9} {name:3} {shown}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
