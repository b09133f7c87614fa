"""What clients miss when real members are really cut apart: the tests of tests/real/cuts, and their table.

    python bench/cuts.py

Members in network namespaces, packets dropped by nftables, clients on a machine of their own. Needs root.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from figures import HERE, pair, save
from lab_run import spread

FLAPPING_S = "60"


def measure() -> list[dict[str, Any]]:
    """Every scenario, as the tests measured it; CalledProcessError when a promise was broken."""
    with tempfile.TemporaryDirectory(prefix="standfast-bench-") as directory:
        found = Path(directory) / "outages"
        environment = {**os.environ, "STANDFAST_OUTAGES": str(found), "STANDFAST_FLAPPING_S": FLAPPING_S}
        command = [sys.executable, "-m", "pytest", "-q", "tests/real/cuts"]
        subprocess.run(command, cwd=HERE.parent, env=environment, check=True)
        return [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of docs/measured.md."""
    found = [
        "## Real cuts",
        "",
        "Members in network namespaces, packets dropped by nftables, a NATS JetStream server that syncs every write;",
        "clients publish and consume through `standfast proxy` on a machine of their own. `cut`: the longest time",
        "without service until the healing; `healed`: from the healing on. No acknowledged message was lost in any.",
        "Timers are half of those of `normal` (lease 1.25 s); with a shared disk `normal`, with virtual IPs `fast`.",
        "",
        "| members | scenario | cut | healed | moves | acknowledged | doubled |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        times = f"{one['outage_ms']:.0f} | {one['healing_ms']:.0f} | {one['moves']}"
        found.append(f"| {one['members']} | {one['scenario']} | {times} | {one['acked']} | {one['doubled']} |")
    moved = [one["outage_ms"] for one in figures if one["moves"] == 1]
    unmoved = [one["outage_ms"] for one in figures if not one["moves"]]
    found += [
        "",
        f"Median and maximum of those that moved it once: {pair(spread(moved))}; not at all: {pair(spread(unmoved))}.",
    ]
    return found


if __name__ == "__main__":
    print(f"written: {save('cuts', measure())}")
