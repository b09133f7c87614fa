"""A stage for the warden: directories, queue managers that behave or do not, and the reports in order."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

import standfast
from standfast.member import warden_client
from standfast.member.processes import start_ticks
from standfast.member.warden_client import Warden, clear
from standfast.member.warden_reports import ClaimOrder, Launched, LaunchOrder, NotUnderstood, Refused, Report
from standfast.ports import STATUS_FILE, Observed, boottime_ns

MS = 1_000_000
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
WHO = ("myself", "nobody") if os.geteuid() == 0 else ("myself",)
"""As whom the warden runs: root has cgroups, nobody has process groups only."""
PATIENCE_S = 30.0

NAUGHTY = """
import os, signal, sys, time
place, plan = sys.argv[1], sys.argv[2:]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def beat(name):
    out = os.open(f"{place}/{name}", os.O_WRONLY | os.O_CREAT)
    while True:
        os.pwrite(out, b"%d %020d" % (os.getpid(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)), 0)
        time.sleep(0.002)
if "child" in plan and not os.fork():
    beat("child")
if "detached" in plan and not os.fork():
    os.setsid()
    if not os.fork():
        beat("detached")
    os._exit(0)
if "leave" in plan:
    beats = [f"{place}/{name}" for name in plan if name != "leave"]
    while not all(os.path.exists(path) and os.path.getsize(path) for path in beats):
        time.sleep(0.002)
    os._exit(3)
beat("main")
"""
"""Ignores SIGTERM, forks a child, detaches a grandchild into its own session; all leave heartbeats."""

GRACEFUL = """
import os, signal, sys, time
place = sys.argv[1]
def bye(*_):
    open(f"{place}/bye", "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, bye)
open(f"{place}/up", "w").close()
while True:
    time.sleep(1)
"""


async def until(condition: Callable[[], object]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - other processes set no events
            await asyncio.sleep(0.002)


def alive(pid: int) -> bool:
    return start_ticks(pid) is not None


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().split()[3])


class Stage:
    """One run directory, one warden, any number of queue managers."""

    def __init__(self, root: Path, who: str) -> None:
        self.root = root
        self.run = root / "run"
        self.run.mkdir()
        self.who = who
        self.interpreter: tuple[str, ...] = (sys.executable,)
        self.python = sys.executable
        if who == "nobody":
            self.python = _python_for_nobody()
            self.interpreter = (*AS_NOBODY, self.python)
        self.reports: asyncio.Queue[Report] = asyncio.Queue()
        self.seen: list[Report] = []

    async def open(self) -> None:
        self.warden = await Warden.start(
            self.run, self.root.name, self.reports.put_nowait, interpreter=self.interpreter
        )

    def lease(self, ms: int, stop_ms: int = 200, kill_ms: int = 100) -> int:
        end_ns = boottime_ns() + ms * MS
        self.warden.lease(end_ns, stop_ms * MS, kill_ms * MS)
        return end_ns

    def place(self, qm: str) -> Path:
        path = self.root / qm
        if not path.exists():
            path.mkdir()
            path.chmod(0o777)
        return path

    def order(self, qm: str = "orders", script: str = NAUGHTY, plan: tuple[str, ...] = (), **changes) -> LaunchOrder:
        place = self.place(qm)
        fields = {
            "qm": qm,
            "epoch": 1,
            "argv": (self.python, "-I", "-S", "-c", script, str(place), *plan),
            "env": {"PATH": "/usr/bin:/bin"},
            "cwd": str(place),
            "log": str(place / "log"),
            "stop_signal": signal.SIGTERM,
            "storage": self.claim(qm),
        }
        return LaunchOrder(**(fields | changes))

    def claim(self, qm: str = "orders", **changes) -> ClaimOrder:
        fields = {"path": str(self.place(qm) / "data"), "cluster": "c1", "member": "a", "incarnation": 1}
        return ClaimOrder(**(fields | changes))

    async def report(self, kind: type) -> Report:
        """The next report of that kind; those before it are kept in `seen`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                report = await self.reports.get()
                self.seen.append(report)
                if isinstance(report, kind):
                    return report
                assert not isinstance(report, Refused | NotUnderstood), report

    async def launch_naughty(self, *plan: str, qm: str = "orders") -> Launched:
        self.warden.launch(self.order(qm, plan=plan))
        launched = await self.report(Launched)
        await until(lambda: all(self.beat(name, qm) for name in plan if name != "leave"))
        if "leave" not in plan:
            await until(lambda: self.beat("main", qm))
        return launched

    def beat(self, name: str, qm: str = "orders") -> tuple[int, int] | None:
        """Pid and last heartbeat on CLOCK_BOOTTIME of one of the naughty."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, moment = (self.place(qm) / name).read_text().split()
            return int(pid), int(moment)
        return None

    def observed(self, qm: str = "orders") -> Observed:
        """What the status command of one that is tended answered last."""
        with contextlib.suppress(FileNotFoundError):
            return msgspec.json.decode((self.place(qm) / STATUS_FILE).read_bytes(), type=Observed)
        return Observed()

    def living(self, qm: str = "orders") -> list[str]:
        beats = {name: self.beat(name, qm) for name in ("main", "child", "detached")}
        return [name for name, beat in beats.items() if beat and alive(beat[0])]

    def last_beat(self, qm: str = "orders") -> int:
        return max(beat[1] for name in ("main", "child", "detached") if (beat := self.beat(name, qm)))


def prepare(who: str) -> Stage:
    root = Path(tempfile.mkdtemp(prefix="standfast-test-"))
    stage = Stage(root, who)
    if who == "nobody":
        warden_client._ROOT = str(_copy_of_package(root))
        for path in (root, stage.run):
            os.chown(path, NOBODY, NOBODY)
    root.chmod(0o755)
    return stage


@contextlib.asynccontextmanager
async def stage_for(who: str, *, start: bool = True) -> AsyncIterator[Stage]:
    before = warden_client._ROOT
    stage = prepare(who)
    try:
        if start:
            await stage.open()
        yield stage
    finally:
        warden_client._ROOT = before
        if hasattr(stage, "warden"):
            stage.warden.close()
        await clear(stage.run)
        shutil.rmtree(stage.root)


def _copy_of_package(root: Path) -> Path:
    """What the warden imports, where nobody can read it: the checkout may be in a private place."""
    home = Path(standfast.__file__).parent
    for room in ("", "member", "storage"):
        (root / "lib" / "standfast" / room).mkdir(parents=True, exist_ok=True)
        for file in (home / room).glob("*.py"):
            shutil.copy(file, root / "lib" / "standfast" / room)
    return root / "lib"


def _python_for_nobody() -> str:
    for candidate in (sys.executable, "/usr/bin/python3"):
        # By a shell, as setpriv itself still has the rights of root when it executes something.
        trial = subprocess.run([*AS_NOBODY, "sh", "-c", '"$0" -V', candidate], check=False, capture_output=True)
        if trial.returncode == 0:
            return candidate
    raise AssertionError("no Python interpreter on this machine can be run by nobody")
