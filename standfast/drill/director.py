"""Plays acts on a cluster while a load runs through one endpoint, and makes a result of what was seen.

What is watched, each by its own eyes: the load's clients (acknowledgements), the processes (who really runs), the
cluster's event log (why and when). Any of them can show a promise broken; all of them go into the result.
"""

import asyncio
import os
import platform
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from standfast import __version__
from standfast.drill.acts import Act
from standfast.drill.chronicle import Chronicle
from standfast.drill.endpoint import Endpoint
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadRecord, LoadSettings, Tick
from standfast.drill.result import DrillResult
from standfast.drill.sightings import Sightings
from standfast.drill.stage import Stage
from standfast.drill.summary import Circumstances, summarise
from standfast.errors import StandfastError
from standfast.lab.lab import Lab
from standfast.lab.reach import Reach
from standfast.managers.registry import driver
from standfast.ports import Place


class Rhythm(Struct, frozen=True, kw_only=True):
    """Of the load and of the acts.

    Attributes:
        every_ms: a message is published this often.
        retry_ms: what failed is tried again after this time.
        steady_s: load without a fault before the first act, between two, and after the last.
        user: to log in to the queue manager with; empty for none.
        password_file: goes with `user`.
    """

    every_ms: int = 5
    retry_ms: int = 20
    steady_s: float = 1.5
    user: str = ""
    password_file: str = ""


class Director:
    """Of one drill on a cluster that runs.

    Args:
        reach: the cluster.
        qm: the queue manager.
        run_dirs: of the members on this machine, to see their processes.
        endpoint: opens the address and port that clients use, for the time of the drill.
        rhythm: of load and acts.
        inside: what to put before a command to run it where clients are.

    Attributes:
        stage: where the acts are played.
        chronicle: the cluster's own account.
        ticks: of the load, newest last.
        act: what is being played, for a live view; None between acts.
        begun: every act so far, the present one included.
    """

    def __init__(
        self,
        reach: Reach,
        qm: str,
        run_dirs: Mapping[str, Path],
        endpoint: Callable[[], AbstractAsyncContextManager[Endpoint]],
        rhythm: Rhythm | None = None,
        *,
        inside: Sequence[str] = (),
    ) -> None:
        self._reach = reach
        self._spec = next(spec for spec in reach.cluster.queue_managers if spec.name == qm)
        self._endpoint = endpoint
        self._rhythm = rhythm or Rhythm()
        self._inside = inside
        self.stage = Stage(reach, qm, Sightings(qm, run_dirs))
        self.chronicle = Chronicle(reach, qm)
        self.ticks: list[Tick] = []
        self.act: Act | None = None
        self.begun: list[Act] = []

    async def play(self, acts: Sequence[Act]) -> DrillResult:
        """Play all acts; raises MachineError when cluster or load can not be used at all."""
        began_at = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        await self._reach.until_running(self.stage.qm)
        watching = [asyncio.create_task(one) for one in (self.stage.sightings.run(), self.chronicle.run())]
        try:
            record = await self._loaded(acts)
            log = await self.chronicle.whole_log()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        self.stage.sightings.close()
        self.stage.breaches += self.chronicle.breaches(log)
        self._judge_overlaps()
        return summarise(record, await self._circumstances(began_at))

    async def _loaded(self, acts: Sequence[Act]) -> LoadRecord:
        async with self._endpoint() as endpoint:
            settings = LoadSettings(
                kind=self._spec.kind,
                address=endpoint.address,
                port=endpoint.port,
                attempts=endpoint.attempts,
                run=f"drill{secrets.token_hex(4)}",
                every_ms=self._rhythm.every_ms,
                retry_ms=self._rhythm.retry_ms,
                user=self._rhythm.user,
                password_file=self._rhythm.password_file,
            )
            async with LoadProcess(settings, self.ticks.append, self._inside) as load:
                await self._until_flowing()
                await asyncio.sleep(self._rhythm.steady_s)
                for act in acts:
                    await self._play_one(act)
                    await asyncio.sleep(self._rhythm.steady_s)
                await self._reach.until_running(self.stage.qm)
                return await load.finish()

    async def _play_one(self, act: Act) -> None:
        self.act = act
        self.begun.append(act)
        try:
            await act.play(self.stage)
        except StandfastError as error:
            self.stage.breaches.append(f"{act.title}: {error}")
            if isinstance(self._reach, Lab):
                self._reach.up()
        self.act = None

    async def _until_flowing(self) -> None:
        while not any(tick.acked for tick in self.ticks):  # noqa: ASYNC110 - ticks come from the load's process
            await asyncio.sleep(0.01)

    def _judge_overlaps(self) -> None:
        overlaps = self.stage.sightings.overlaps
        if overlaps:
            names = " and ".join(overlaps[0].members)
            self.stage.breaches.append(f"{self.stage.qm} ran on {names} at once, seen {len(overlaps)} times.")

    async def _circumstances(self, began_at: str) -> Circumstances:
        manager = driver(self._spec.kind)
        report = await self._reach.report()
        timing = self._reach.cluster.timing
        return Circumstances(
            cluster=self._reach.cluster.name,
            queue_manager=self.stage.qm,
            began_at=began_at,
            durability=manager.durability,
            durability_note=manager.durability_note,
            faults=tuple(self.chronicle.explained(self.stage.faults)),
            owners=tuple(self.stage.sightings.spans),
            members=tuple(m.name for m in self._reach.cluster.members),
            breaches=tuple(self.stage.breaches),
            environment={
                "standfast": __version__,
                self._spec.kind: await manager.version(Place.of(self._spec, Path(), "")),
                "etcd": report.store.version,
                "python": platform.python_version(),
                "kernel": platform.release(),
                "processors": str(os.cpu_count()),
                "members": str(len(self._reach.cluster.members)),
                "heartbeat": f"{timing.interval_ms} ms",
                "lease": f"{timing.term_ms} ms",
                "load": f"a message every {self._rhythm.every_ms} ms, a retry every {self._rhythm.retry_ms} ms",
            },
        )
