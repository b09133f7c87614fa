"""Real disks for tests: loop devices, and a throttle that makes one stall as a dead SAN does. Needs root."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from standfast.links.disk import DiskLink
from standfast.links.disk_io import Crew
from standfast.links.disk_layout import Layout
from standfast.links.disk_volume import Prepared, prepare
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.messages import Heartbeat
from standfast.model.timing import Timing
from standfast.ports import boottime_ns

KEY = bytes(range(32))
TIMING = Timing(interval_ms=20, in_doubt_after=10, evict_after=20, graceful_ms=100, kill_ms=50)
CGROUP_V1 = Path("/sys/fs/cgroup/blkio")
CGROUP_V2 = Path("/sys/fs/cgroup")
PATIENCE_S = 5.0


def cluster(*names: str, id_: str = "t-1") -> Cluster:
    members = tuple(
        MemberSpec(name=name, role=Role.DATA, addresses=(f"127.0.93.{number}",)) for number, name in enumerate(names, 1)
    )
    return Cluster(name="t", id=id_, members=members, timing=TIMING)


def heartbeat(sender: str, seq: int, **fields) -> Heartbeat:
    known = {"incarnation": 1, "process": 7, "sent_ns": boottime_ns(), "term_ns": TIMING.term_ns, "hears": 1}
    return Heartbeat(sender=sender, seq=seq, newest=3, able=True, leased=True, **{**known, **fields})


async def formatted(path: Path | str, of: Cluster, *, key: bytes = KEY, force: bool = False) -> Prepared:
    return await prepare(str(path), of, Layout(of.id, key), Crew(PATIENCE_S), force=force)


class Member:
    """A member with a link of its own and a box for what it hears."""

    def __init__(self, path: Path | str, of: Cluster, name: str, **options) -> None:
        self.name = name
        self.link = DiskLink(str(path), of, name, KEY, **options)
        self.heard: list[Heartbeat] = []
        self.seq = 0
        self._beating: asyncio.Task[None] | None = None

    async def start(self, *, strict: bool = True) -> "Member":
        await self.link.open(self.heard.append, strict=strict)
        return self

    def beat(self) -> "Member":
        """Send a heartbeat every interval, from the event loop that the test runs in."""
        self._beating = asyncio.create_task(self._beat())
        return self

    def quiet(self) -> None:
        if self._beating is not None:
            self._beating.cancel()

    def say(self) -> int:
        self.seq += 1
        self.link.send(heartbeat(self.name, self.seq))
        return self.seq

    async def hears(self, sender: str, seq: int = 0) -> None:
        """Until it heard something new of that member, with at least that number."""
        start = len(self.heard)
        await until(lambda: any(h.sender == sender and h.seq >= seq for h in self.heard[0 if seq else start :]))

    def stop(self) -> None:
        self.quiet()
        self.link.close()

    async def _beat(self) -> None:
        while True:
            self.say()
            await asyncio.sleep(TIMING.interval_ms / 1000)


async def until(true: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - a link tells its state when asked
            await asyncio.sleep(0.002)


@contextlib.contextmanager
def loop_device(image: Path, *, size: int = 1 << 20, options: tuple[str, ...] = ()) -> Iterator[str]:
    """A block device over a file, which is made when there is none."""
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(size)
    device = _run("losetup", "--find", "--show", *options, str(image)).strip()
    try:
        yield device
    finally:
        _run("losetup", "--detach", device)


@contextlib.contextmanager
def mounted(device: str, at: Path) -> Iterator[Path]:
    """An ext4 without a journal on a device."""
    _run("mkfs.ext4", "-q", "-O", "^has_journal", device)
    at.mkdir()
    _run("mount", device, str(at))
    try:
        yield at
    finally:
        for _ in range(100):  # a helper that was just killed may still be in a call
            if subprocess.run(["umount", str(at)], check=False, capture_output=True).returncode == 0:
                break
            time.sleep(0.02)
        else:
            _run("umount", str(at))


@contextlib.contextmanager
def frozen(at: Path) -> Iterator[None]:
    """A file system that takes no writes for a while: they hang in the kernel."""
    _run("fsfreeze", "--freeze", str(at))
    try:
        yield
    finally:
        _run("fsfreeze", "--unfreeze", str(at))


class Stall:
    """The I/O of some processes on one device stops in the kernel: the block layer lets one byte through in a second.

    It is what a dead SAN does to them: they hang in state D and do not die of SIGKILL.
    """

    def __init__(self, device: str) -> None:
        number = Path(device).stat().st_rdev
        self._device = f"{os.major(number)}:{os.minor(number)}"
        self._v1 = CGROUP_V1.is_dir()
        self._group = (CGROUP_V1 if self._v1 else CGROUP_V2) / f"disk-test-{os.getpid()}-{Path(device).name}"

    def __enter__(self) -> Self:
        if not self._v1:
            (CGROUP_V2 / "cgroup.subtree_control").write_text("+io")
        self._group.mkdir()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.lift()
        for pid in (self._group / "cgroup.procs").read_text().split():
            (self._group.parent / "cgroup.procs").write_text(pid)
        self._group.rmdir()

    def hit(self, *pids: int) -> None:
        """From now on."""
        if self._v1:
            for way in ("read", "write"):
                (self._group / f"blkio.throttle.{way}_bps_device").write_text(f"{self._device} 1")
        else:
            (self._group / "io.max").write_text(f"{self._device} rbps=1 wbps=1")
        for pid in pids:
            (self._group / "cgroup.procs").write_text(str(pid))

    def lift(self) -> None:
        """The disk is back."""
        if self._v1:
            for way in ("read", "write"):
                (self._group / f"blkio.throttle.{way}_bps_device").write_text(f"{self._device} 0")
        else:
            (self._group / "io.max").write_text(f"{self._device} rbps=max wbps=max")


def process_state(pid: int) -> str:
    """The letter in /proc: D for one that hangs in the kernel."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def other_process(path: str, name: str, *members: str) -> Iterator[subprocess.Popen[bytes]]:
    """A member in a process of its own, that sends a heartbeat every interval."""
    code = f"from tests.links.disks import serve; serve({path!r}, {name!r}, {members!r})"
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": root})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def serve(path: str, name: str, members: tuple[str, ...]) -> None:
    async def live() -> None:
        (await Member(path, cluster(*members), name).start()).beat()
        await asyncio.Event().wait()

    asyncio.run(live())


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
