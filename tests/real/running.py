"""A real cluster on this machine for tests: watched without a pause, and audited.

Two witnesses of its own: the kernel's processes (`Sightings`, in a thread, so that nothing a test does makes it look
away) and the whole event log. Neither asks the daemons what they think they do.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from standfast.drill.acts import LATE_MS
from standfast.drill.chronicle import Chronicle
from standfast.drill.sightings import LOOK_EVERY_S, Sightings
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, RUN, plan
from standfast.lab.processes import signal_all, stop, tree
from standfast.lab.reach import SETTLE_S
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import EventLine, OrderResult, Request
from standfast.member.report import MemberReport, QueueManagerReport
from standfast.member.warden_run_dir import ProcessRecord, RunDir
from standfast.model.cluster import Role
from standfast.model.events import EventKind
from standfast.model.records import MemberState
from standfast.model.timing import NS_PER_MS
from standfast.ports import boottime_ns
from standfast.quorum.signals import Verdict

QM = "orders"
BRISK = {'profile = "normal"': 'profile = "normal"\ninterval_ms = 125\ngraceful_ms = 375\nkill_ms = 125'}
"""Half of `normal`: patient enough for a busy machine, and tests wait half as long."""


class Watch:
    """Looks at the processes of one queue manager from a thread of its own."""

    def __init__(self, sightings: Sightings) -> None:
        self.sightings = sightings
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.sightings.look()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


class Running:
    """A lab that is up, with what tests do to it and ask of it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.data = [m.name for m in lab.cluster.members if m.role is Role.DATA]
        self.witness = next(m.name for m in lab.cluster.members if m.role is Role.WITNESS)
        self.sightings = Sightings(QM, {name: lab.directory / RUN / name for name in self.data})
        self.watch = Watch(self.sightings)
        self.term_ns = lab.cluster.timing.term_ns

    # ------------------------------------------------------------ who

    async def queue_manager(self) -> QueueManagerReport:
        """As it runs; waits until it does."""
        return await self.lab.until_running(QM)

    async def owner(self) -> str:
        owner = (await self.queue_manager()).owner
        assert owner is not None
        return owner

    async def placing(self) -> tuple[str | None, int]:
        """Its owner and epoch, once it runs."""
        found = await self.queue_manager()
        return found.owner, found.epoch

    def other(self, owner: str) -> str:
        """The other data member."""
        return next(name for name in self.data if name != owner)

    async def member(self, name: str) -> MemberReport:
        """What the cluster holds of a member, as another one that is up sees it."""
        report = await self.lab.report(first=[node for node in self.lab.nodes if node != name])
        return next(m for m in report.members if m.name == name)

    def process(self, member: str) -> int:
        """The queue manager's main process on that member."""
        pid = self.lab.nodes[member].queue_manager_pid(QM)
        assert pid is not None
        return pid

    def warden(self, member: str) -> ProcessRecord:
        record = RunDir(self.lab.directory / RUN / member).warden()
        assert record is not None
        return record.warden

    def etcd(self, member: str) -> int | None:
        """The etcd process of a member; None while there is none."""
        pid = self.lab.nodes[member].pid
        found = [one for one in tree([pid] if pid else []) if _command(one) == "etcd"]
        return found[0] if found else None

    # ------------------------------------------------------------ acts

    async def order(self, order: Request, by: str | None = None) -> Verdict:
        client = ControlClient(self.lab.sockets[by], 10.0) if by else await self.lab.anyone()
        async with client as member:
            return (await member.ask(order, OrderResult)).verdict

    async def back(self, *names: str) -> None:
        """Start these nodes (all that are down if none is named) and wait until the cluster is whole."""
        self.lab.up(names)
        await self.lab.until_whole()
        await self.queue_manager()

    @contextlib.contextmanager
    def stopped(self, *pids: int) -> Iterator[None]:
        """SIGSTOP to processes, SIGCONT at the end to those that still live."""
        stop(pids)
        try:
            yield
        finally:
            signal_all(pids, signal.SIGCONT)

    async def until_gone(self, member: str, within_s: float = 30.0) -> int:
        """When the queue manager's process on that member was first seen to be gone (CLOCK_BOOTTIME)."""
        gone_ns = await self.sightings.until_gone(member, within_s)
        assert gone_ns is not None, f"{QM} still runs on {member}"
        return next(span.to_ns for span in reversed(self.sightings.spans) if span.member == member)

    async def assert_gone_with_lease(self, member: str, last_heartbeat_before_ns: int) -> None:
        """The queue manager ends within one term of the last heartbeat that can have been acknowledged."""
        gone_ns = await self.until_gone(member)
        late_ms = (gone_ns - last_heartbeat_before_ns - self.term_ns) / NS_PER_MS
        assert late_ms <= LATE_MS, f"{QM} outlived the lease of {member} by {late_ms} ms"

    # ------------------------------------------------------------ the log

    async def log(self) -> list[EventLine]:
        """Every stored event."""
        return await Chronicle(self.lab, QM).whole_log()

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncIterator[list[EventLine]]:
        """A list that holds, after the block, the events that were stored in it."""
        before, new = len(await self.log()), []
        yield new
        new += (await self.log())[before:]

    async def until_told(self, good: Callable[[EventLine], bool]) -> EventLine:
        """The first stored event that is `good`, from now on or before."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                for line in await self.log():
                    if good(line):
                        return line
                await asyncio.sleep(LOOK_EVERY_S)

    # ------------------------------------------------------------ the audit

    async def audit(self) -> None:
        """What must hold after every test, whatever it did."""
        assert self.sightings.overlaps == []
        log = await self.log()
        assert Chronicle(self.lab, QM).breaches(log) == []
        assert _once_each(log) == []
        await self.lab.until_whole()
        assert all(m.state is MemberState.ONLINE for m in (await self.lab.report()).members)

    def down(self) -> None:
        """Stop it cleanly; nothing of it may be left."""
        self.lab.down()
        self.watch.end()
        assert self.sightings.overlaps == []
        assert processes_in(self.lab.directory) == {}


def _once_each(log: list[EventLine]) -> list[str]:
    """Events that can happen once only and stand in the log twice, in different transactions."""
    once = {
        EventKind.MEMBER_JOINED: "incarnation",
        EventKind.MEMBER_EVICTED: "incarnation",
        EventKind.MEMBER_LEFT: "incarnation",
        EventKind.QM_ASSIGNED: "epoch",
        EventKind.QM_STARTING: "epoch",
        EventKind.CLUSTER_FOUNDED: "",
    }
    told = Counter((line.kind, line.subject, line.fields.get(once[line.kind])) for line in log if line.kind in once)
    found = [str(key) for key, times in told.items() if times > 1]
    measured = Counter((line.subject, *line.fields.values()) for line in log if line.kind == EventKind.QM_RUNNING)
    return found + [f"{key} was told twice" for key, times in measured.items() if times > 1]


def processes_in(directory: Path) -> dict[int, str]:
    """Living processes that were started for something below a directory, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                told = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(directory) in told or str((entry / "cwd").readlink()).startswith(str(directory)):
                    found[int(entry.name)] = told
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    except OSError:
        return ""


# ---------------------------------------------------------------- making and asking


async def started(directory: Path, edits: Mapping[str, str] | None = None, **settings: Any) -> Running:
    """A cluster of a, b and w that is whole and runs its queue manager; `edits` to its file: what becomes what."""
    return await up(planned(directory, edits, **settings))


def planned(directory: Path, edits: Mapping[str, str] | None = None, **settings: Any) -> Lab:
    """The same, not started."""
    plan(directory, **{"profile": "normal", **settings})
    edit(directory, {**({} if "profile" in settings else BRISK), **(edits or {})})
    return Lab(directory)


def edit(directory: Path, edits: Mapping[str, str]) -> None:
    """Change the cluster file of a lab; each text must be there once."""
    file = directory / CLUSTER_FILE
    text = file.read_text()
    for old, new in edits.items():
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    file.write_text(text)


R = TypeVar("R", bound=Running)


async def up(lab: Lab, kind: type[R] = Running) -> R:  # type: ignore[assignment]
    running = kind(lab)
    try:
        lab.up()
        await lab.until_whole()
        await running.queue_manager()
    except BaseException:
        lab.kill()
        running.watch.end()
        raise
    return running


def lasting(make: Coroutine[Any, Any, R]) -> Iterator[R]:
    """For a fixture that several tests share, each with an event loop of its own."""
    running = asyncio.run(make)
    try:
        yield running
    except BaseException:
        running.lab.kill()
        raise
    running.down()


async def until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    """For what the kernel tells nobody: look until it is so."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK_EVERY_S)


def standfast(*arguments: object, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """The command, as a user runs it, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "standfast", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


@contextlib.contextmanager
def proxy(lab: Lab, qm: str = QM) -> Iterator[int]:
    """`standfast proxy`; its port. What it says goes to a file: nobody reads it in time."""
    told = lab.directory / "proxy.log"
    with told.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "standfast", "proxy", "--listen", "127.0.0.1:0", "--queue-manager", qm),
                *("--file", str(lab.directory / CLUSTER_FILE)),
            ],
            stderr=log,
        )
    try:
        until_s = time.monotonic() + SETTLE_S
        while not (lines := told.read_text().splitlines()):
            assert time.monotonic() < until_s
            time.sleep(LOOK_EVERY_S)
        yield int(lines[0].rsplit(":", 1)[1])
    finally:
        process.kill()
        process.wait()


def now_ns() -> int:
    return boottime_ns()
