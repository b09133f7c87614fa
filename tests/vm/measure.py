"""Figures of replicated storage, measured again and again: `make bench-vm`, or python -m tests.vm.measure [--rounds 3].

A JSON object a line: synced writes on the bare disk and on DRBD; for how long nothing is acknowledged when the power of
the standby is cut, and when the owner's is.
"""

import argparse
import statistics
from collections.abc import Callable

from tests.vm import figures
from tests.vm.cluster import QM, Cluster
from tests.vm.machines import Lab, Machine
from tests.vm.replicated import BARE, replicated, up
from tests.vm.waiting import until

WRITES = """
import os, sys, time
handle = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
def a_second(n):
    began = time.monotonic()
    for i in range(n):
        os.pwrite(handle, b"z" * 4096, 4096 * (i % 500))
    return n / (time.monotonic() - began)
a_second(200)
print(*(round(a_second(500)) for _ in range(7)))
"""
"""One after the other, the next only when the one before is on the disk."""
HELD_S = 400.0
"""Who dies again and again is held back, the longer the oftener, for up to five minutes of the profile `normal`."""


def spread(what: str, unit: str, values: list[float]) -> None:
    """Note their median and extremes."""
    named = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    figures.note(what, rounds=len(values), **{f"{name}_{unit}": value for name, value in named.items()})


def writes(on: Machine, folder: str) -> list[float]:
    """Synced writes each second, seven times."""
    return [float(word) for word in on.python(WRITES, f"{folder}/measured").split()]


def bare(lab: Lab) -> None:
    """On the disk below, without DRBD."""
    one = lab.machines[0]
    one.sh(f"mkfs.ext4 -q -F {BARE}; mkdir -p /mnt/bare; mount {BARE} /mnt/bare")
    spread("bare disk: synced writes of 4 KiB", "each_s", writes(one, "/mnt/bare"))
    one.sh("umount /mnt/bare")


def cut(cluster: Cluster, who: Callable[[tuple[str, str]], str]) -> float:
    """Cut that member's power, in the middle of writes: the pause that this makes. All is well afterwards."""
    victim = cluster.machines[name := who(cluster.pair())]
    before = max(cluster.acked())
    victim.power_off()
    until("its copy is outdated", lambda: cluster.queue_manager()["outdated"] == [name])
    until("numbers are acknowledged again", lambda: max(cluster.acked()) > before + 50)
    took_s = cluster.longest_pause_s(before)
    victim.power_on()
    up(victim.ready())
    cluster.start(name)
    until("its copy is current again", lambda: not cluster.queue_manager()["outdated"])
    until("it is a member again", lambda: cluster.member(name).get("leased"), HELD_S)
    return took_s


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    rounds = arguments.parse_args().rounds
    lab = Lab()
    try:
        lab.power_on()
        bare(lab)
        cluster = replicated(lab)
        owner = cluster.machines[str(cluster.owner())]
        spread("DRBD: synced writes of 4 KiB", "each_s", writes(owner, f"/data/{QM}"))
        cluster.send()
        until("numbers are acknowledged", cluster.acked)
        frozen = [cut(cluster, lambda pair: pair[1]) for _ in range(rounds)]
        spread("DRBD: writes frozen when the standby's power is cut", "s", frozen)
        away = [cut(cluster, lambda pair: pair[0]) for _ in range(rounds)]
        spread("DRBD: no acknowledgement after the owner's power is cut", "s", away)
        cluster.audit(str(cluster.owner()))
    finally:
        lab.close()
    for line in figures.lines():
        print(line)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()
