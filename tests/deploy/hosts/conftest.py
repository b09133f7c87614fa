"""Three machines with the package installed, brought up by what docs/install.md says and nothing else."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.hosts import roots
from tests.deploy.hosts.host import Host, network, run

ADDRESSES = {"a": "10.86.0.1", "b": "10.86.0.2", "w": "10.86.0.3"}
PAGE = (roots.ROOT / "docs/install.md").read_text()
SETTLED_S = 90


def told(heading: str) -> list[str]:
    """The commands in the blocks below a heading of docs/install.md."""
    part = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert part, heading
    return re.findall(r"^```sh\n(.*?)^```$", part[1], re.DOTALL | re.MULTILINE)


def here(script: str) -> str:
    """With the addresses of these machines instead of the page's."""
    for name, address in ADDRESSES.items():
        script = re.sub(rf"\b{name}=10\.0\.0\.\d", f"{name}={address}", script)
    return script


@pytest.fixture(scope="session")
def package() -> Path:
    """Built from this checkout, as `make deb` does."""
    return roots.ROOT / run(roots.ROOT / "scripts/deb.sh").strip()


@pytest.fixture(scope="session")
def newer(package: Path) -> Path:
    """The same under a larger version."""
    version = f"{package.name.split('_')[1]}+upgrade"
    return roots.ROOT / run(roots.ROOT / "scripts/deb.sh", version).strip()


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="session")
def installed(package: Path, room: Path) -> Path:
    return roots.installed(package, room)


def placed(placing: tuple[str, int]) -> bool:
    return placing[0] != ""


class Cluster:
    """Three machines and what the whole says of itself."""

    def __init__(self, hosts: dict[str, Host]) -> None:
        self.hosts = hosts

    def status(self, name: str = "w") -> dict[str, Any]:
        result = self.hosts[name].do("standfast", "status", "--json", check=False)
        return json.loads(result.stdout) if result.returncode == 0 else {}

    def placing(self, name: str = "w") -> tuple[str, int]:
        """Owner and epoch of the queue manager, once it runs and each member could do its part; ("", 0) before."""
        seen = self.status(name)
        qms, members = seen.get("queue_managers", []), seen.get("members", [])
        able = [m["role"] == "witness" or (m["leased"] and not m["unfit"]) for m in members if m["state"] == "online"]
        whole = able == [True] * len(self.hosts)
        if whole and len(qms) == 1 and qms[0]["phase"] == "running":
            return qms[0]["owner"], qms[0]["epoch"]
        return "", 0

    def settled(self, accept: Callable[[tuple[str, int]], bool] = placed, name: str = "w") -> tuple[str, int]:
        """Wait until the cluster is whole and this is true of it."""
        until = time.monotonic() + SETTLED_S
        while not accept(placing := self.placing(name)):
            assert time.monotonic() < until, self.status(name)
            time.sleep(0.1)
        return placing

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for it."""
        until = time.monotonic() + SETTLED_S
        while not true():
            assert time.monotonic() < until, self.status()
            time.sleep(0.1)

    def incarnation(self, name: str) -> int:
        """Of a member, as the witness sees it."""
        return next((m["incarnation"] for m in self.status().get("members", []) if m["name"] == name), 0)

    def main_pid(self, name: str) -> str:
        return self.hosts[name].do("systemctl", "show", "--value", "--property=MainPID", "standfast").stdout.strip()

    def journal(self, name: str) -> str:
        """What its daemon and systemd said last."""
        return (
            self.hosts[name].do("journalctl", "--no-pager", "-n", "40", "-o", "short-precise", "-u", "standfast").stdout
        )

    def broker(self, name: str) -> str:
        return self.hosts[name].do("pidof", "mosquitto", check=False).stdout.strip()


@pytest.fixture(scope="session")
def cluster(package: Path, installed: Path, room: Path) -> Iterator[Cluster]:
    """Brought up by the page's own commands. Copying is cp instead of scp, the mount is of this machine's memory."""
    shared = room / "shared"
    shared.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", shared)
    hosts: dict[str, Host] = {}
    with network(f"sf{os.getpid()}") as net:
        try:
            for name, address in ADDRESSES.items():
                hosts[name] = Host(name, address, lower=installed, room=room, shared=shared, net=net)
                hosts[name].boot()
            desk(room)
            for name, host in hosts.items():
                host.put(package, f"/root/{package.name}")
                host.put(room / f"shop/hosts/{name}.tar", f"/root/{name}.tar")
                if name != "w":
                    host.sh(mounting(told("On the data machines")[0]))
                host.sh("cd /root\n" + told("On each machine")[0].replace("NAME=a", f"NAME={name}"))
            cluster = Cluster(hosts)
            cluster.settled()
            yield cluster
        finally:
            for host in hosts.values():
                host.remove()
            run("umount", shared)


def desk(room: Path) -> None:
    """`standfast init` as the page has it, with a lease that a busy machine does not lose."""
    command = f"{sys.executable} -m standfast init --profile cautious"
    script = here(told("On your desk")[0]).replace("standfast init", command)
    subprocess.run(["sh", "-euc", script], cwd=room, check=True, env={**os.environ, "PYTHONPATH": str(roots.ROOT)})


def mounting(script: str) -> str:
    """The page's commands for the storage, with a mount of what is at /srv/shared in the place of an NFS server."""
    script, count = re.subn(
        r"^echo '.*' >>", "echo '/srv/shared /shared none bind,nofail 0 0' >>", script, flags=re.MULTILINE
    )
    assert count == 1
    return script.replace("apt-get install -y mosquitto\n", "")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was measured, line by line."""
    passed = terminalreporter.stats.get("passed", ())
    if lines := [text for report in passed if report.when == "call" for _, text in report.user_properties]:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)
