"""False alarms: a cluster that nothing happens to, while every processor of the machine is kept busy.

    python bench/steadiness.py [--minutes 10] [--profile fast] [--beside WHAT]

Counts doubts, evictions, lost leases and changes of owner; all should be 0. All three members share this machine.
`--beside`: something else keeps every processor busy already, for as long; it is named in the figures.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from figures import renewed, save

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


async def measure(profile: str, minutes: float, beside: str = "") -> dict[str, Any]:
    """How often each alarm was told in that time; `beside`: what keeps the processors busy, if it does not itself."""
    with tempfile.TemporaryDirectory(prefix="standfast-steady-") as directory:
        plan(Path(directory), name="steady", profile=profile)
        lab = Lab(Path(directory))
        hogs: list[asyncio.subprocess.Process] = []
        try:
            lab.up()
            await lab.until_whole()
            await lab.until_running("orders")
            before = await told(lab)
            hogs = [await busy() for _ in range(0 if beside else os.cpu_count() or 1)]
            idle_s = await idle(60 * minutes)
            after = await told(lab)
        finally:
            for hog in hogs:
                hog.kill()
                await hog.wait()
            lab.kill()
    load = f"{beside or 'a busy loop on each processor'}; {idle_s / (60 * minutes * (os.cpu_count() or 1)):.0%} idle"
    alarms = {str(kind): after[kind] - before[kind] for kind in ALARMS}
    return {"profile": profile, "minutes": minutes, "load": load, **alarms}


async def idle(seconds: float) -> float:
    """Wait, and say for how many seconds of that time the processors, all together, were idle (proc(5), stat)."""
    before = idle_ticks()
    await asyncio.sleep(seconds)
    return (idle_ticks() - before) / os.sysconf("SC_CLK_TCK")


def idle_ticks() -> int:
    first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    return sum(map(int, first.split()[4:6]))


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
    parser.add_argument("--beside", default="")
    given = parser.parse_args()
    found = asyncio.run(measure(given.profile, given.minutes, given.beside))
    print("  ".join(f"{name} {value}" for name, value in found.items()))
    save("steadiness", renewed("steadiness", [found], ("profile",)))


if __name__ == "__main__":
    main()
