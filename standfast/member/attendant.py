"""Attends the queue managers of this member: writes their configuration, has them launched, asks whether they serve.

It decides nothing: launches, stops and kills are the core's orders, carried out by the warden; what is seen goes back
to the core. Storage is touched only by the launched process itself and by the prober's disposable child.
"""

import asyncio
import contextlib
import logging
import os
from enum import Enum
from pathlib import Path
from typing import Protocol

from standfast.errors import ClusterFileError, StandfastError
from standfast.managers.registry import driver
from standfast.member import minder
from standfast.member.fitness import known_version
from standfast.member.inbox import Inbox
from standfast.member.warden_reports import ClaimOrder, LaunchOrder, TendedOrder
from standfast.model.cluster import Cluster, QueueManagerSpec
from standfast.ports import STATUS_FILE, Launch, NotReady, Place, QueueManager, Tended, boottime_ns
from standfast.quorum import signals as sig

NS_PER_S = 1_000_000_000
MS_PER_S = 1000
CLAIM_SHARE = 0.75
"""Of the time for a start, what it may wait for the storage's lock: who holds it is told before the time is over."""
PAUSES_S = ((30, 0.001), (200, 0.005))
"""Up to so many questions to a starting queue manager: the pause after each; a quick broker is up in a few ms."""
SLOW_PAUSE_S = 0.1
"""Pause after that: a queue manager that takes longer than a second is not hurried by asking."""
CROWD_S = 0.005
"""For each other one that starts at the same time, at least this much pause more."""
ASK_TIMEOUT_S = 5.0
"""How long a queue manager may take to answer one question."""
HEALTH_EVERY_S = 1.0
ASKED_PER_S = 200
"""Questions a second to all that serve here together: where more of them do, each is asked less often."""
HEALTH_FAILURES = 3
"""Unanswered questions in a row after which a serving queue manager counts as unresponsive."""


EXIT_WORDS = {f"exit_{code}": word for code, word in minder.WORDS.items()}
"""What a minder means by its exit code."""

_log = logging.getLogger(__name__)
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
    """Of one member."""

    def __init__(self, cluster: Cluster, me: str, run_dir: Path, hands: Hands, inbox: Inbox) -> None:
        self._cluster_id = cluster.id
        self._me = me
        self._address = cluster.member(me).clients
        self._run_dir = run_dir
        self._hands = hands
        self._inbox = inbox
        self._hurry_s = cluster.timing.graceful_ms / MS_PER_S
        self._fence_after_s = cluster.fencing.after_s
        self._tended: set[str] = set()
        self._starting = 0
        self._specs: dict[str, QueueManagerSpec] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._drains: dict[str, asyncio.TimerHandle] = {}

    def place(self, spec: QueueManagerSpec) -> Place:
        """Where a queue manager runs on this member."""
        return Place.of(spec, self._run_dir / "queue-managers" / spec.name, self._address)

    def launch(self, spec: QueueManagerSpec, epoch: int, incarnation: int, *, fences: bool = False) -> None:
        """Have it started under this epoch; `fences`: see signals.Launch."""
        place = self.place(spec)
        try:
            launch = _prepared(driver(spec.kind), place)
        except (StandfastError, OSError) as error:
            _log.warning("%s can not be started here: %s", spec.name, error)
            code = type(error).__name__
            asyncio.get_running_loop().call_soon(self._inbox.give, sig.LaunchRefused(spec.name, epoch, code))
            return
        self._specs[spec.name] = spec
        (self._tended.add if launch.tended else self._tended.discard)(spec.name)
        wait_s = self._fence_after_s if fences else CLAIM_SHARE * spec.start_timeout_s
        until_ns = boottime_ns() + int(wait_s * NS_PER_S)
        self._hands.launch(self._order(place, launch, (spec, epoch, incarnation), until_ns))

    def _order(
        self, place: Place, launch: Launch, wanted: tuple[QueueManagerSpec, int, int], until_ns: int
    ) -> LaunchOrder:
        spec, epoch, incarnation = wanted
        claim = ClaimOrder(
            kind=spec.storage.kind,
            path=spec.storage.path,
            mount=spec.storage.mount,
            minor=spec.storage.minor,
            filesystem=spec.storage.filesystem,
            cluster=self._cluster_id,
            member=self._me,
            incarnation=incarnation,
            make=launch.also_writes,
            wait_until_ns=until_ns,
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
            tended=self._tending(spec, place, launch.tended) if launch.tended else None,
        )

    def _tending(self, spec: QueueManagerSpec, place: Place, how: Tended) -> TendedOrder:
        return TendedOrder(
            how=how,
            stop_s=spec.stop_timeout_s,
            hurry_s=self._hurry_s,
            status_file=str(place.run_dir / STATUS_FILE),
        )

    def stop(self, qm: str, drain_s: float = 0.0) -> None:
        """Ask it to stop gracefully, once it has been drained for so long. The warden does not wait for that."""
        self._forget(qm)
        if drain_s > 0:
            self._drains[qm] = asyncio.get_running_loop().call_later(drain_s, self._hands.stop, qm)
        else:
            self._hands.stop(qm)

    def kill(self, qm: str) -> None:
        """Kill every process of it."""
        self._forget(qm)
        self._hands.kill(qm)

    def attend(self, spec: QueueManagerSpec, epoch: int, *, serving: bool) -> None:
        """A former process had it launched: ask it as if this one had."""
        self._specs[spec.name] = spec
        self._ask(spec, epoch, serving=serving)

    def launched(self, qm: str, epoch: int) -> None:
        """The warden reports its process: ask it until it serves, then keep asking."""
        if qm in self._specs:
            self._ask(self._specs[qm], epoch, serving=False)
        self._inbox.give(sig.Launched(qm, epoch))

    def _ask(self, spec: QueueManagerSpec, epoch: int, *, serving: bool) -> None:
        self._forget(spec.name)
        watch = self._watch(driver(spec.kind), self.place(spec), epoch, serving=serving)
        task = self._watches[spec.name] = asyncio.get_running_loop().create_task(watch)
        task.add_done_callback(self._watched)

    def _watched(self, watch: asyncio.Task[None]) -> None:
        if not watch.cancelled() and (error := watch.exception()) is not None:
            self._inbox.fail(error)

    def refused(self, qm: str, epoch: int, code: str) -> None:
        """The warden or the storage refused the start."""
        self._inbox.give(sig.LaunchRefused(qm, epoch, code))

    def exited(self, qm: str, epoch: int, code: str) -> None:
        """The warden reports that nothing of it is left."""
        self._forget(qm)
        self._inbox.give(sig.Exited(qm, epoch, EXIT_WORDS.get(code, code) if qm in self._tended else code))

    async def close(self) -> None:
        """Stop asking."""
        watches = list(self._watches.values())
        for qm in list(self._watches):
            self._forget(qm)
        await asyncio.gather(*watches, return_exceptions=True)

    def _forget(self, qm: str) -> None:
        for under_way in (self._watches.pop(qm, None), self._drains.pop(qm, None)):
            if under_way is not None:
                under_way.cancel()

    async def _watch(self, manager: QueueManager, place: Place, epoch: int, *, serving: bool) -> None:
        if not serving:
            await self._until_it_serves(manager, place)
        self._inbox.give(sig.Ready(place.name, epoch))
        if not serving and (version := await known_version(manager, place)):
            self._inbox.give(sig.Versioned(place.name, epoch, version))
        failures = 0
        while failures < HEALTH_FAILURES:
            await asyncio.sleep(max(HEALTH_EVERY_S, len(self._watches) / ASKED_PER_S))
            failures = failures + 1 if await _answer(manager, place) is Answer.NONE else 0
        self._inbox.give(sig.Unhealthy(place.name, epoch, "no_answer"))

    async def _until_it_serves(self, manager: QueueManager, place: Place) -> None:
        """Ask until it answers; the more start at once, the less often each of them is asked."""
        asked = 0
        self._starting += 1
        try:
            while await _answer(manager, place) is not Answer.SERVES:
                asked += 1
                await asyncio.sleep(max(_pause_s(asked), CROWD_S * (self._starting - 1)))
        finally:
            self._starting -= 1


def _pause_s(asked: int) -> float:
    return next((pause_s for most, pause_s in PAUSES_S if asked <= most), SLOW_PAUSE_S)


class Answer(Enum):
    """What came of one question."""

    SERVES = "serves"
    NONE = "none"
    NOT_ASKED = "not_asked"
    """This member could not ask, for lack of its password file for example: held against no queue manager."""


async def _answer(manager: QueueManager, place: Place) -> Answer:
    try:
        await manager.ready(place, ASK_TIMEOUT_S)
    except NotReady:
        return Answer.NONE
    except StandfastError as error:
        _log.warning("%s can not be asked whether it serves: %s", place.name, error)
        return Answer.NOT_ASKED
    return Answer.SERVES


def _prepared(manager: QueueManager, place: Place) -> Launch:
    """How to start it, its files written. Raises StandfastError, OSError."""
    if problems := manager.problems(place):
        raise ClusterFileError(" ".join(problems))
    launch = manager.launch(place)
    # An answer from a former life must not count.
    files = {**launch.files, STATUS_FILE: "{}"} if launch.tended else launch.files
    write_files(place.run_dir, files)
    return launch


def _environment() -> dict[str, str]:
    """What every queue manager gets: the little that programs need, as the daemon has it, and nothing else of it."""
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
