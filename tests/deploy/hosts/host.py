"""A machine of its own: a Debian root with systemd as process 1, in namespaces, and a network between several of them.

The kernel is shared, everything else is real: units, mounts, cgroups, packages. Needs root, cgroups of version 2
somewhere on this machine, and overlayfs.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

BOOTED_S = 60
_BOOT = Path(__file__).with_name("boot.sh")
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


class Host:
    """One machine. Its disk outlives `kill` and `boot`; `shared` of the caller is mounted at /srv/shared."""

    def __init__(self, name: str, address: str, *, lower: Path, room: Path, shared: Path, net: str) -> None:
        self.name = name
        self.address = address
        self._net = f"{net}-{name}"
        self._room = room / name
        self._shared = shared
        self.root = self._room / "root"
        for part in ("upper", "work", "root"):
            (self._room / part).mkdir(parents=True)
        layers = f"lowerdir={lower},upperdir={self._room}/upper,workdir={self._room}/work"
        run("mount", "-t", "overlay", "-o", layers, "overlay", str(self.root))
        self._process: subprocess.Popen[bytes] | None = None
        run("ip", "netns", "add", self._net)
        link = f"{name}{os.getpid()}"
        run("ip", "-n", net, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self._net)
        run("ip", "-n", net, "link", "set", link, "master", "br0", "up")
        for words in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            run("ip", "-n", self._net, *words.split())

    def boot(self) -> None:
        """Return when all units of the boot have been started, or have failed."""
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        with (self._room / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self._net}", "sh", _BOOT, self.root, self.name, self._shared],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + BOOTED_S
        wait = ("systemctl", "is-system-running", "--wait")
        while self.do(*wait, check=False).stdout.strip() not in {"running", "degraded"}:
            assert time.monotonic() < until, (self._room / "console.log").read_text()[-2000:]
            time.sleep(0.1)

    def _init(self) -> int:
        """Process 1 of the machine, as this one sees it."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def do(self, *words: object, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """A command on it; its output is in the result, and in what is raised."""
        into = ["nsenter", "-t", str(self._init()), "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--net", "--"]
        command = [*into, "/usr/bin/env", "-i", _PATH, "HOME=/root", *map(str, words)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
        assert not check or result.returncode == 0, f"{self.name}: {words}: {result.stdout}{result.stderr}"
        return result

    def sh(self, script: str) -> str:
        """A script on it; its output."""
        return self.do("sh", "-euc", script).stdout

    def put(self, file: Path, path: str) -> None:
        """Copy a file there."""
        shutil.copy(file, self.root / path.lstrip("/"))

    def power_off(self) -> None:
        """As an operator does it."""
        assert self._process is not None
        self.do("systemctl", "poweroff", "--no-block")
        self._process.wait(timeout=90)

    def kill(self) -> None:
        """As a power cut does it; nothing when it does not run."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init(), signal.SIGKILL)
            self._process.wait(timeout=30)

    def remove(self) -> None:
        """With its disk."""
        self.kill()
        run("ip", "netns", "delete", self._net)
        run("umount", "--lazy", str(self.root))


@contextlib.contextmanager
def network(name: str) -> Iterator[str]:
    """A bridge in a network namespace of its own; its name."""
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        run("ip", "-n", name, "link", "set", "br0", "up")
        yield name
    finally:
        run("ip", "netns", "delete", name)


def run(*words: object, timeout: float = 900) -> str:
    """A command here; its output."""
    result = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, timeout=timeout)
    assert result.returncode == 0, f"{words}: {result.stdout[-3000:]}{result.stderr[-3000:]}"
    return result.stdout
