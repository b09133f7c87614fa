"""Machines in an AWS that runs here: instances that are launched, replaced, and looked at from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.hosts import roots
from tests.deploy.hosts.conftest import Cluster
from tests.deploy.hosts.host import Host, run

SUBNETS = 3
MOUNT = """#!/bin/sh
# A stand-in for NFS, which not every kernel has: mount.nfs4 SERVER:PATH TARGET [options]
echo "$*" >>/var/log/mount.nfs4
exec mount --bind "/srv/shared${1#*:}" "$2"
"""
SERVES_S = 60
TOLD_S = 300


class Region:
    """Machines, and the AWS that they are in. `outages_ms`: what a client missed, by what was done."""

    def __init__(self, template: str, image: Path, room: Path, shared: Path, net: str) -> None:
        self._at: dict[str, Any] = {"lower": image, "room": room, "shared": shared, "net": net}
        self.hosts: dict[str, Host] = {}
        self._lives = 0
        self._acknowledged = room / "acknowledged"
        room.mkdir()
        run("ip", "-n", net, "link", "set", "lo", "up")
        for address in (*(f"10.86.{number}.1/24" for number in range(SUBNETS)), "169.254.169.254/32"):
            run("ip", "-n", net, "address", "add", address, "dev", "br0")
        self._inside = ("nsenter", f"--net=/run/netns/{net}")
        run(*self._inside, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        self._cloud = subprocess.Popen(
            [*self._inside, sys.executable, "-m", "tests.standins.cloud", net, roots.ROOT / "deploy/aws" / template],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=roots.ROOT,
        )
        self._answer()

    def _answer(self) -> Any:
        assert self._cloud.stdout is not None
        return json.loads(self._cloud.stdout.readline())

    def ask(self, *command: str) -> Any:
        """One command of the AWS, and its answer."""
        assert self._cloud.stdin is not None
        self._cloud.stdin.write(json.dumps(command) + "\n")
        self._cloud.stdin.flush()
        return self._answer()

    @property
    def cluster(self) -> Cluster:
        """What the machines say of it."""
        return Cluster(self.hosts)

    # ------------------------------------------------------------ instances

    def launch(self, member: str) -> None:
        """The machine of the instance that the member's group has now, up to the end of its boot."""
        instance = self.ask("instance", member)
        self._lives += 1
        at = {**self._at, "room": self._at["room"] / str(self._lives)}
        host = self.hosts[member] = Host(member, instance["address"], **at)
        gateway = instance["address"].rpartition(".")[0] + ".1"
        inside = ("ip", "-n", f"{self._at['net']}-{member}")
        run(*inside, "link", "set", "eth0", "address", instance["mac"])
        run(*inside, "route", "add", "default", "via", gateway)
        host.boot()
        # The one line that is not the template's: where this AWS is.
        told = instance["user_data"].replace("\nEND\n", f"\nENDPOINT=http://{gateway}:5000\nEND\n")
        (host.root / "root/user-data").write_text(told)

    def begin(self, member: str) -> None:
        """As cloud-init does at an instance's first boot; returns when CloudFormation was told."""
        self.hosts[member].do("sh", "/root/user-data", timeout=TOLD_S)

    def replace(self, member: str) -> None:
        """Whatever became of its machine: the group has the next one, with an empty disk and the same user data."""
        self.hosts[member].remove()
        self.ask("terminate", member)
        self.ask("let_go", member)
        self.launch(member)
        self.begin(member)

    def close(self) -> None:
        """All of it."""
        for host in self.hosts.values():
            host.remove()
        self._cloud.kill()
        self._cloud.wait()

    # ------------------------------------------------------------ clients

    @contextmanager
    def client(self, *addresses: str) -> Iterator[None]:
        """A client outside of the machines, which goes on all the time."""
        words = ("1883", "standfast", self.ask("password")["password"], *addresses)
        program = (sys.executable, Path(__file__).with_name("client.py"))
        with self._acknowledged.open("wb") as out:
            process = subprocess.Popen([*self._inside, *program, *words], stdout=out)
        try:
            self.served_since(now_ns())
            yield
        finally:
            process.kill()
            process.wait()

    def served_since(self, moment_ns: int) -> float:
        """Wait for a message that was acknowledged well after that; the longest pause since then, in milliseconds."""
        until = time.monotonic() + SERVES_S
        while True:
            times = [int(line) for line in self._acknowledged.read_text().splitlines()]
            before = [one for one in times if one <= moment_ns][-1:] or [moment_ns]
            after = [one for one in times if one > moment_ns]
            pauses = [b - a for a, b in zip(before + after, after, strict=False)]
            if len(after) > 20:
                return max(pauses) / 1e6
            assert time.monotonic() < until, "no message was acknowledged"
            time.sleep(0.05)


def now_ns() -> int:
    """On the client's clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def load() -> str:
    """How busy this machine is: the average of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"
