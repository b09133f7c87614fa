"""Whether this member could run each queue manager now: all that it needs is looked at all the time.

Storage is probed by a disposable child only. Guarantees: a queue manager whose storage, program or options can not be
used here, whose port is taken, for which there is too little memory or room, or whose version may not follow that of
its last owner, is never placed here, from the first moment on: until the first look is done this member is unfit for
all. So it is while `hindrance` gives a reason, such as a required watchdog that is missing, and while it could not run
so many that a heartbeat can not name them: a datagram that is too long for the kernel would make it silent.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from standfast.endpoints.registry import endpoint_obstacles
from standfast.errors import StandfastError
from standfast.managers.registry import driver
from standfast.member import readiness
from standfast.member.listeners import Listeners, listeners
from standfast.member.readiness import Trouble, Why
from standfast.member.report import NoticeKind
from standfast.member.reporter import Reporter
from standfast.member.stamps import Stamps
from standfast.model.cluster import Cluster, QueueManagerSpec
from standfast.model.events import Event, EventKind
from standfast.model.view import View
from standfast.ports import Place, QueueManager
from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL
from standfast.storage.probe import MOST_IDLE, Prober, ProbeState

EVERY_S = 5.0
"""Pause between two rounds of probes."""
SHARE = 0.01
"""Of one core, what looking at very many queue managers may take here: the pauses grow with them, to half a minute for
a thousand. The children that look take about as much."""
AT_ONCE = 4
"""Queue managers that are looked at side by side: one whose program or storage is slow delays no other for long."""
EXAMINE_EVERY_S = 60.0
"""How long an examination counts that found nothing in the way: it runs programs, which cost more than a probe."""
MOST_NAMED_BYTES = 16_384
"""What the names of queue managers that this member could not run may take of a heartbeat, which is one datagram."""
UNKNOWN = "unknown"
"""What a driver says of a version that it can not know."""


class Fitness:
    """Of one data member; `place` says where a queue manager would run here, `told` hears of each change.

    `copy` says why a queue manager could not start on this member's copy of replicated data. Those of the cluster file
    are looked at from the start, those of the store as soon as it is known.
    """

    def __init__(
        self,
        cluster: Cluster,
        place: Callable[[QueueManagerSpec], Place],
        view: Callable[[], View],
        give: Callable[[sig.Input], None],
        reporter: Reporter,
        *,
        hindrance: Callable[[], str],
        told: Callable[[Event], None] = lambda _: None,
        copy: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._from_file = {spec.name: spec for spec in cluster.queue_managers}
        self._place = place
        self._view = view
        self._give = give
        self._reporter = reporter
        self._hindrance = hindrance
        self._told = told
        self._copy = copy
        self.stamps: Stamps | None = None
        """Hears who claimed each directory last."""
        self._probing = asyncio.Semaphore(MOST_IDLE)
        self._unready: dict[str, Why] = {}
        self._stirred = asyncio.Event()
        self._unfit: tuple[str, ...] = (ALL,)
        self._versions: dict[str, str] = {}
        """Of the programs on this machine, by queue manager, as of the last examination; empty: unknown."""
        self._listeners: Listeners = {}
        self._available_mb: int | None = None
        self._sound: dict[str, tuple[QueueManagerSpec, float]] = {}
        """Queue managers whose examination found nothing in the way, and when (seconds of the event loop)."""

    def look_again(self) -> None:
        """Something has changed: look now."""
        self._stirred.set()

    async def run(self) -> None:
        """Probe round after round, until cancelled."""
        self._give(sig.FitnessChanged(self._unfit))
        prober = Prober()
        try:
            while True:
                self._stirred.clear()
                began_s = time.process_time()
                unfit = await self._round(prober)
                if self._hindrance() or sum(map(len, unfit)) > MOST_NAMED_BYTES:
                    unfit = (ALL,)
                if unfit != self._unfit:
                    self._unfit = unfit
                    self._give(sig.FitnessChanged(unfit))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(EVERY_S, (time.process_time() - began_s) / SHARE)):
                        await self._stirred.wait()
        finally:
            prober.close()

    async def _round(self, prober: Prober) -> tuple[str, ...]:
        """Look at all of them, several at once; names of those that this member could not run."""
        turns, specs = asyncio.Semaphore(AT_ONCE), self._specs()
        self._listeners, self._available_mb = listeners(), readiness.available_mb()

        async def look(spec: QueueManagerSpec) -> bool:
            async with turns:
                return await self._fit(prober, spec)

        fit = await asyncio.gather(*map(look, specs))
        return tuple(spec.name for spec, able in zip(specs, fit, strict=True) if not able)

    def _specs(self) -> list[QueueManagerSpec]:
        view = self._view()
        if view.settings is None:
            return list(self._from_file.values())
        return [kept.record for kept in view.specs.values()]

    async def _fit(self, prober: Prober, spec: QueueManagerSpec) -> bool:
        storage = await self._storage_trouble(prober, spec)  # first: a missing program must not hide a rival
        trouble = await self._program_trouble(spec) or storage or self._room_trouble(spec)
        detail = trouble.detail if trouble is not None else ""
        self._reporter.notice(NoticeKind.STANDBY_UNREADY, spec.name, detail)
        if trouble is not None and self._unready.get(spec.name) is not trouble.why:
            self._unready[spec.name] = trouble.why
            fields: dict[str, str | int | float | bool | None] = {"detail": detail, "why": str(trouble.why)}
            self._told(Event(kind=EventKind.STANDBY_UNREADY, subject=spec.name, fields=fields))
        elif trouble is None and self._unready.pop(spec.name, None) is not None:
            self._told(Event(kind=EventKind.STANDBY_READY, subject=spec.name))
        return trouble is None

    async def _program_trouble(self, spec: QueueManagerSpec) -> Trouble | None:
        place = self._place(spec)
        try:
            manager = driver(spec.kind)
            if problems := manager.problems(place):
                return Trouble(Why.PROGRAM, " ".join(problems))
            manager.launch(place)
            if found := await self._obstacles(spec, manager, place):
                return Trouble(Why.PROGRAM, found)
            found = await endpoint_obstacles(spec.endpoints)
        except (StandfastError, OSError) as error:
            return Trouble(Why.PROGRAM, str(error))
        return Trouble(Why.ENDPOINT, found) if found else self._version_trouble(spec)

    async def _obstacles(self, spec: QueueManagerSpec, manager: QueueManager, place: Place) -> str:
        now_s = asyncio.get_running_loop().time()
        known, at_s = self._sound.get(spec.name, (None, 0.0))
        if known == spec and now_s < at_s + EXAMINE_EVERY_S:
            return ""
        found = " ".join(remark.text for remark in await manager.examine(place) if remark.severe)
        self._versions[spec.name] = await known_version(manager, place)
        if found:
            self._sound.pop(spec.name, None)
        else:
            self._sound[spec.name] = (spec, now_s)
        return found

    def _version_trouble(self, spec: QueueManagerSpec) -> Trouble | None:
        """A program that may not follow the last owner's; it is looked at again soon, as somebody may be mending it."""
        kept = self._view().assignments.get(spec.name)
        last = kept.record.version if kept is not None and not self._here(spec.name) else ""
        found = readiness.version_trouble(spec.version_rule, self._versions.get(spec.name, ""), last)
        if not found:
            return None
        self._sound.pop(spec.name, None)
        return Trouble(Why.VERSION, found)

    def _here(self, qm: str) -> bool:
        """Whether something of it may run on this machine, so that it has its port and its memory already."""
        return self.stamps is not None and self.stamps.here(qm)

    def _room_trouble(self, spec: QueueManagerSpec) -> Trouble | None:
        """What it would need of the machine, unless it has it already."""
        if self._here(spec.name):
            return None
        if found := readiness.port_trouble(self._place(spec), self._listeners):
            return Trouble(Why.PORT, found)
        found = readiness.memory_trouble(spec, self._available_mb)
        return Trouble(Why.MEMORY, found) if found else None

    async def _storage_trouble(self, prober: Prober, spec: QueueManagerSpec) -> Trouble | None:
        if spec.storage.replicated:  # mounted by who starts it, and nowhere else
            stale = self._copy(spec.name)
            return Trouble(Why.COPY, stale) if stale else None
        runs = self.stamps is not None and self.stamps.matter(spec.name)
        try:
            async with self._probing:
                probe = await prober.probe(spec.storage.path, mount=spec.storage.mount, fresh=runs)
        except OSError as error:  # no child could be started
            return Trouble(Why.STORAGE, f"{ProbeState.ERROR}: {error.strerror}")
        if self.stamps is not None and probe.stamp is not None:
            self.stamps.seen(spec.name, probe.stamp)
        if probe.state is not ProbeState.OK:
            return Trouble(Why.STORAGE, f"{probe.state}: {probe.detail or spec.storage.path}")
        found = readiness.disk_trouble(spec, probe.free_bytes)
        return Trouble(Why.STORAGE, f"{ProbeState.FULL}: {found}") if found else None


async def known_version(manager: QueueManager, place: Place) -> str:
    """Of the program on this machine, as its driver tells it; empty when it does not."""
    try:
        found = await manager.version(place)
    except StandfastError:
        return ""
    return "" if found == UNKNOWN else found
