"""False alarms: a cluster that nothing happens to, while every processor of the machine is kept busy.

    python bench/steadiness.py [--minutes 10] [--profile fast] [--json FILE]

Counts doubts, evictions, lost leases and changes of owner; all should be 0. All three members share this machine.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from standfast.lab.lab import Lab
from standfast.lab.plan import plan
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import Events
from standfast.model.events import EventKind
from standfast.model.timing import PROFILES

ALARMS = (
    EventKind.MEMBER_IN_DOUBT,
    EventKind.MEMBER_EVICTED,
    EventKind.LEASE_LOST,
    EventKind.LINK_LOST,
    EventKind.QM_ASSIGNED,
)


async def measure(profile: str, minutes: float) -> dict[str, Any]:
    """How often each alarm was told in that time."""
    with tempfile.TemporaryDirectory(prefix="standfast-steady-") as directory:
        plan(Path(directory), name="steady", profile=profile)
        lab = Lab(Path(directory))
        hogs: list[asyncio.subprocess.Process] = []
        try:
            lab.up()
            await lab.until_whole()
            await lab.until_running("orders")
            before = await told(lab)
            hogs = [await busy() for _ in range(os.cpu_count() or 1)]
            await asyncio.sleep(60 * minutes)
            after = await told(lab)
        finally:
            for hog in hogs:
                hog.kill()
                await hog.wait()
            lab.kill()
    return {"profile": profile, "minutes": minutes, **{str(kind): after[kind] - before[kind] for kind in ALARMS}}


async def busy() -> asyncio.subprocess.Process:
    """A process that keeps a processor busy."""
    return await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")


async def told(lab: Lab) -> Counter[str]:
    """Events of every kind so far: stored ones once, local ones of every member."""
    found: Counter[str] = Counter()
    for number, socket in enumerate(lab.sockets.values()):
        async with ControlClient(socket, 10.0) as member:
            async for line in member.events(Events()):
                if number == 0 or not line.revision:
                    found[line.kind] += 1
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--profile", default="fast", choices=tuple(PROFILES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(measure(given.profile, given.minutes))
    print("  ".join(f"{name} {value}" for name, value in found.items()))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
