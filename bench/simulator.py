"""How many hours a minute of wall-clock time simulates: by profile, members and processes; plain and compiled.

    python bench/simulator.py [--compiled] [--keep]

Every run has faults all the time, at the rate of its profile's lease, so that an hour under `cautious` holds as many as
a tenth of one under `fast`. --compiled: also the compiled copy (compiled.py), which is made when there is none.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import compiled
from figures import save

SEEDS, MINUTES = 4, 4.0
SIZES = (
    *((3, profile, 1) for profile in ("lan", "fast", "normal", "cautious")),
    *((members, "normal", jobs) for members in (3, 5, 7) for jobs in (1, 2) if (members, jobs) != (3, 1)),
)
"""Members, profile, processes."""
S_PER_H, S_PER_MIN = 3600, 60


def run(root: Path, members: int, profile: str, jobs: int) -> dict[str, Any]:
    """Some seeds, on that tree."""
    words = ["sim", "--seeds", str(SEEDS), "--minutes", str(MINUTES), "--members", str(members), "--json"]
    words += ["--profile", profile, "--jobs", str(jobs)]
    began_s = time.monotonic()
    command = [sys.executable, "-m", "standfast", *words]
    done = subprocess.run(command, cwd=root, env=compiled.environment(root), capture_output=True, check=True)
    wall_s, told = time.monotonic() - began_s, json.loads(done.stdout)
    return {
        "members": members,
        "profile": profile,
        "jobs": jobs,
        "core": "compiled" if root == compiled.PLACE else "plain",
        "simulated_h": round(told["simulated_s"] / S_PER_H, 2),
        "hours_per_minute": round(told["simulated_s"] / S_PER_H / (wall_s / S_PER_MIN), 1),
        "hours_per_core_minute": round(told["simulated_s"] / S_PER_H / (told["cpu_s"] / S_PER_MIN), 1),
        "times_real_time": told["speed"],
        "broken": len(told["broken"]),
        "load": round(os.getloadavg()[0], 1),
    }


def measure(*, with_compiled: bool) -> list[dict[str, Any]]:
    """Each size, and the same with the compiled core."""
    roots = [compiled.ROOT]
    if with_compiled:
        compiled.ready()
        roots.append(compiled.PLACE)
    return [run(root, *size) for size in SIZES for root in roots]


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of the page."""
    found = [
        "## Simulator",
        "",
        "Faults all the time, more of them the shorter the lease. Simulated hours for a minute of one core, and for a",
        "minute by the clock, beside whatever else this machine did (its load is given). `compiled`: `make campaign`",
        "runs a copy of the tree whose core went through mypyc, after it has seen that both decide alike.",
        "",
        "| members | profile | core | processes | hours per core minute | hours per minute | load | broken |",
        "|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    found += [
        f"| {one['members']} | {one['profile']} | {one['core']} | {one['jobs']} | {one['hours_per_core_minute']} | "
        f"{one['hours_per_minute'] or '-'} | {one['load'] or '-'} | {one['broken']} |"
        for one in figures
    ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the figures for the page")
    given = parser.parse_args()
    found = measure(with_compiled=given.compiled)
    print(*lines(found), sep="\n")
    if given.keep:
        save("simulator", found)


if __name__ == "__main__":
    main()
