"""Attends the queue managers of this member: writes their configuration, has them launched, asks whether they serve.

It decides nothing: launches, stops and kills are the core's orders, carried out by the warden; what is seen goes back
to the core. Storage is touched only by the launched process itself and by the prober's disposable child.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from standfast.errors import StandfastError
from standfast.managers.registry import driver
from standfast.member.warden_reports import ClaimOrder, LaunchOrder
from standfast.model.cluster import Cluster, QueueManagerSpec
from standfast.ports import Launch, NotReady, Place, QueueManager, boottime_ns
from standfast.quorum import signals as sig

NS_PER_S = 1_000_000_000
FIRST_POLLS = 200
POLL_S = 0.005
"""Pause between two questions to a starting queue manager, for the first FIRST_POLLS of them."""
SLOW_POLL_S = 0.1
"""Pause after that: a queue manager that takes longer than a second is not hurried by asking."""
ASK_TIMEOUT_S = 5.0
"""How long a queue manager may take to answer one question."""
HEALTH_EVERY_S = 1.0
HEALTH_FAILURES = 3
"""Unanswered questions in a row after which a serving queue manager counts as unresponsive."""


_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8"}


class Hands(Protocol):
    """What carries the orders out: the warden."""

    def launch(self, order: LaunchOrder) -> None:
        """Start a queue manager; the answer comes as a report."""
        ...

    def stop(self, qm: str) -> None:
        """Ask it to stop gracefully."""
        ...

    def kill(self, qm: str) -> None:
        """Kill every process of it."""
        ...


class Attendant:
    """Of one member. `give` takes inputs for the core; it must not be called from within an effect."""

    def __init__(
        self, cluster: Cluster, me: str, run_dir: Path, hands: Hands, give: Callable[[sig.Input], None]
    ) -> None:
        self._cluster_id = cluster.id
        self._me = me
        self._address = cluster.member(me).clients
        self._run_dir = run_dir
        self._hands = hands
        self._give = give
        self._specs: dict[str, QueueManagerSpec] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}

    def place(self, spec: QueueManagerSpec) -> Place:
        """Where a queue manager runs on this member."""
        return Place(
            name=spec.name,
            data_dir=Path(spec.storage.path),
            run_dir=self._run_dir / "queue-managers" / spec.name,
            address=self._address,
            port=spec.port,
            options=spec.options,
        )

    def launch(self, spec: QueueManagerSpec, epoch: int, incarnation: int) -> None:
        """Have it started under this epoch."""
        place = self.place(spec)
        try:
            launch = driver(spec.kind).launch(place)
            write_files(place.run_dir, launch.files)
        except (StandfastError, OSError) as error:
            code = type(error).__name__
            asyncio.get_running_loop().call_soon(self._give, sig.LaunchRefused(spec.name, epoch, code))
            return
        self._specs[spec.name] = spec
        self._hands.launch(self._order(spec, epoch, incarnation, place, launch))

    def _order(self, spec: QueueManagerSpec, epoch: int, incarnation: int, place: Place, launch: Launch) -> LaunchOrder:
        claim = ClaimOrder(
            kind=spec.storage.kind,
            path=spec.storage.path,
            mount=spec.storage.mount,
            cluster=self._cluster_id,
            member=self._me,
            incarnation=incarnation,
            make=launch.also_writes,
            wait_until_ns=boottime_ns() + int(spec.start_timeout_s * NS_PER_S),
        )
        return LaunchOrder(
            qm=spec.name,
            epoch=epoch,
            argv=launch.argv,
            env={**_environment(), **launch.env},
            cwd=str(place.run_dir),
            log=str(place.run_dir / "output.log"),
            stop_signal=launch.stop_signal,
            storage=claim,
        )

    def stop(self, qm: str) -> None:
        """Ask it to stop gracefully."""
        self._forget(qm)
        self._hands.stop(qm)

    def kill(self, qm: str) -> None:
        """Kill every process of it."""
        self._forget(qm)
        self._hands.kill(qm)

    def launched(self, qm: str, epoch: int) -> None:
        """The warden reports its process: ask it until it serves, then keep asking."""
        spec = self._specs[qm]
        self._give(sig.Launched(qm, epoch))
        self._forget(qm)
        watch = self._watch(driver(spec.kind), self.place(spec), epoch)
        self._watches[qm] = asyncio.get_running_loop().create_task(watch)

    def refused(self, qm: str, epoch: int, code: str) -> None:
        """The warden or the storage refused the start."""
        self._give(sig.LaunchRefused(qm, epoch, code))

    def exited(self, qm: str, epoch: int, code: str) -> None:
        """The warden reports that nothing of it is left."""
        self._forget(qm)
        self._give(sig.Exited(qm, epoch, code))

    async def close(self) -> None:
        """Stop asking."""
        watches = list(self._watches.values())
        for qm in list(self._watches):
            self._forget(qm)
        await asyncio.gather(*watches, return_exceptions=True)

    def _forget(self, qm: str) -> None:
        watch = self._watches.pop(qm, None)
        if watch is not None:
            watch.cancel()

    async def _watch(self, manager: QueueManager, place: Place, epoch: int) -> None:
        polls = 0
        while not await _serves(manager, place):
            polls += 1
            await asyncio.sleep(POLL_S if polls < FIRST_POLLS else SLOW_POLL_S)
        self._give(sig.Ready(place.name, epoch))
        failures = 0
        while failures < HEALTH_FAILURES:
            await asyncio.sleep(HEALTH_EVERY_S)
            failures = 0 if await _serves(manager, place) else failures + 1
        self._give(sig.Unhealthy(place.name, epoch, "no_answer"))


async def _serves(manager: QueueManager, place: Place) -> bool:
    try:
        await manager.ready(place, ASK_TIMEOUT_S)
    except NotReady:
        return False
    return True


def _environment() -> dict[str, str]:
    """What every queue manager gets, whatever the daemon was started with."""
    return {name: os.environ.get(name, default) for name, default in _ENVIRONMENT.items()}


def write_files(run_dir: Path, files: dict[str, str]) -> None:
    """Write generated configuration, readable by its owner only; raises OSError."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        file = run_dir / name
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
