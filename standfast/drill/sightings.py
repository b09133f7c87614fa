"""Who really runs a queue manager: its processes as the kernel shows them, on every node of a lab.

Guarantees: two processes of one queue manager that live for longer than the pause between two looks are seen. It is
the drill's own witness: it trusts neither the daemons nor the store.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from standfast.drill.summary import Ownership
from standfast.member.warden_run_dir import RunDir
from standfast.ports import boottime_ns

LOOK_EVERY_S = 0.01


class Overlap(Struct, frozen=True):
    """Two nodes ran the same queue manager at this moment (CLOCK_BOOTTIME)."""

    members: tuple[str, ...]
    at_ns: int


class Sightings:
    """Looks at one queue manager. `run_dirs`: of each member's warden, by name."""

    def __init__(self, qm: str, run_dirs: Mapping[str, Path]) -> None:
        self._qm = qm
        self._run_dirs = {name: RunDir(path) for name, path in run_dirs.items()}
        self._since: dict[str, int] = {}
        self.spans: list[Ownership] = []
        self.overlaps: list[Overlap] = []

    async def run(self) -> None:
        """Look, for ever; `close` when it was cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Look once."""
        now_ns = boottime_ns()
        alive = {name for name, run_dir in self._run_dirs.items() if self._main(run_dir)}
        for name in alive - self._since.keys():
            self._since[name] = now_ns
        for name in self._since.keys() - alive:
            self.spans.append(Ownership(name, self._since.pop(name), now_ns))
        if len(alive) > 1:
            self.overlaps.append(Overlap(tuple(sorted(alive)), now_ns))

    def close(self) -> None:
        """End the spans that still run."""
        now_ns = boottime_ns()
        self.spans += [Ownership(name, since, now_ns) for name, since in self._since.items()]
        self._since.clear()

    async def until_gone(self, member: str, within_s: float) -> int | None:
        """When it was first not seen on that member any more; None when it is still there after `within_s`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while member in self._since:
            if loop.time() >= until:
                return None
            await asyncio.sleep(LOOK_EVERY_S)
        return boottime_ns()

    def process(self, member: str) -> int | None:
        """Main process of the queue manager on that member of this machine; None when it is not there."""
        run_dir = self._run_dirs.get(member)
        return self._main(run_dir) if run_dir else None

    def _main(self, run_dir: RunDir) -> int | None:
        launches = (record for record in run_dir.launches() if record.qm == self._qm)
        return next((r.main.pid for r in launches if r.main.alive() and _runs(r.main.pid, run_dir)), None)


def _runs(pid: int, run_dir: RunDir) -> bool:
    """Whether it runs a program of its own.

    Not yet, when it is the warden's child that still waits for its storage: the warden's program, and no lock held. No
    more, when it ends: the kernel takes its memory, and with it its command line, before it closes its files and so
    lets go of its lock (do_exit in kernel/exit.c); without memory it executes nothing.
    """
    try:
        entries = list(Path(f"/proc/{pid}/fdinfo").iterdir())
    except OSError:
        return False
    held = []
    for entry in entries:
        with contextlib.suppress(OSError):  # one that was closed meanwhile, as at the end of a start that was refused
            held.append(entry.read_bytes())
    command = _command(pid)
    if not held or not command:
        return False
    watch = run_dir.warden()
    if watch is None or command != _command(watch.warden.pid):
        return True
    return any(b"\nlock:" in entry for entry in held)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
