"""Plays acts on a lab while a load runs through one endpoint, and makes a result of what was seen.

What is watched, each by its own eyes: the load's clients (acknowledgements), the processes (who really runs), the
cluster's event log (why and when). Any of them can show a promise broken; all of them go into the result.
"""

import asyncio
import os
import platform
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from standfast import __version__
from standfast.drill.acts import Act, Stage
from standfast.drill.chronicle import Chronicle
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadRecord, LoadSettings, Tick
from standfast.drill.result import DrillResult
from standfast.drill.sightings import Sightings
from standfast.drill.summary import Circumstances, summarise
from standfast.errors import MachineError, StandfastError
from standfast.lab.lab import Lab
from standfast.lab.plan import RUN
from standfast.managers.registry import driver
from standfast.model.cluster import Role

STEADY_S = 1.5
"""Load without a fault before the first act, between two, and after the last."""
PROXY_START_S = 10.0


class Director:
    """Of one drill on a lab that is up.

    Attributes:
        stage: where the acts are played.
        chronicle: the cluster's own account.
        ticks: of the load, newest last.
        act: what is being played, for a live view; None between acts.
    """

    def __init__(self, lab: Lab, *, every_ms: int = 5, retry_ms: int = 20, steady_s: float = STEADY_S) -> None:
        self._lab = lab
        self._spec = lab.cluster.queue_managers[0]
        self._every_ms, self._retry_ms, self._steady_s = every_ms, retry_ms, steady_s
        run_dirs = {m.name: lab.directory / RUN / m.name for m in lab.cluster.members if m.role is Role.DATA}
        self.stage = Stage(lab, self._spec.name, Sightings(self._spec.name, run_dirs))
        self.chronicle = Chronicle(lab, self._spec.name)
        self.ticks: list[Tick] = []
        self.act: Act | None = None

    async def play(self, acts: Sequence[Act]) -> DrillResult:
        """Play all acts; raises MachineError when the lab or the load can not be used at all."""
        began_at = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        await self._lab.until_running(self.stage.qm)
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
        async with self._proxy() as port:
            settings = LoadSettings(
                kind=self._spec.kind,
                address="127.0.0.1",
                port=port,
                run=f"drill{secrets.token_hex(4)}",
                every_ms=self._every_ms,
                retry_ms=self._retry_ms,
            )
            async with LoadProcess(settings, self.ticks.append) as load:
                await self._until_flowing()
                await asyncio.sleep(self._steady_s)
                for act in acts:
                    await self._play_one(act)
                    await asyncio.sleep(self._steady_s)
                await self._lab.until_running(self.stage.qm)
                return await load.finish()

    async def _play_one(self, act: Act) -> None:
        self.act = act
        try:
            await act.play(self.stage)
        except StandfastError as error:
            self.stage.breaches.append(f"{act.title}: {error}")
            self._lab.up()
        self.act = None

    async def _until_flowing(self) -> None:
        while not any(tick.acked for tick in self.ticks):  # noqa: ASYNC110 - ticks come from the load's process
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def _proxy(self) -> AsyncIterator[int]:
        """The endpoint: `standfast proxy` as any client machine would run it; yields its port."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "standfast", "proxy", "--listen", "127.0.0.1:0"),
            *("--queue-manager", self.stage.qm, "--file", str(self._lab.directory / "cluster.toml")),
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(PROXY_START_S):
                line = (await process.stderr.readline()).decode()
            if "listening on" not in line:
                raise MachineError(f"The drill's proxy did not start: {line.strip()}")
            drain = asyncio.create_task(process.stderr.read())
            yield int(line.rsplit(":", 1)[1])
            drain.cancel()
        finally:
            process.kill()
            await process.wait()

    def _judge_overlaps(self) -> None:
        overlaps = self.stage.sightings.overlaps
        if overlaps:
            names = " and ".join(overlaps[0].members)
            self.stage.breaches.append(f"{self.stage.qm} ran on {names} at once, seen {len(overlaps)} times.")

    async def _circumstances(self, began_at: str) -> Circumstances:
        manager = driver(self._spec.kind)
        report = await self._lab.until(lambda _: True)
        timing = self._lab.cluster.timing
        return Circumstances(
            cluster=self._lab.cluster.name,
            queue_manager=self.stage.qm,
            began_at=began_at,
            durability=manager.durability,
            durability_note=manager.durability_note,
            faults=tuple(self.chronicle.explained(self.stage.faults)),
            owners=tuple(self.stage.sightings.spans),
            members=tuple(m.name for m in self._lab.cluster.members),
            breaches=tuple(self.stage.breaches),
            environment={
                "standfast": __version__,
                self._spec.kind: await manager.version(),
                "etcd": report.store.version,
                "python": platform.python_version(),
                "kernel": platform.release(),
                "processors": str(os.cpu_count()),
                "members": str(len(self._lab.cluster.members)),
                "heartbeat": f"{timing.interval_ms} ms",
                "lease": f"{timing.term_ms} ms",
                "load": f"a message every {self._every_ms} ms, a retry every {self._retry_ms} ms",
            },
        )
