"""Real cuts under load: members in network namespaces, packets dropped by nftables, clients on a machine of their own.

`Stage.cut` is one scenario: clients publish and consume through `standfast proxy`; the test cuts, looks and heals; then
every message is accounted for, and what clients missed is measured.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from standfast.drill.audit import Verdict as Kept
from standfast.drill.audit import all_messages, audit
from standfast.drill.endpoint import Endpoint, own_proxy
from standfast.drill.outage import Fault, impacts, outages
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadRecord, LoadSettings, Tick
from standfast.drill.summary import shortest_outage_ns
from standfast.lab.lab import Lab
from standfast.lab.network import CLIENT, Network, Way, both_ways
from standfast.lab.plan import CLUSTER_FILE
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import EventLine, Events, StatusReport
from standfast.model.events import EventKind
from standfast.model.timing import NS_PER_MS, lapse_ns
from standfast.ports import Durability, boottime_ns
from tests.real.running import QM, Running, planned, up

STEADY_S = 0.3
"""Load before the first cut and after the last member is back."""
START_MS = 800
"""For the decision, the start of the queue manager and the clients' way back to it, on a busy machine."""


NO_QUARANTINE = {"#quarantine_after = 3": "quarantine_after = 0"}
"""The same members lose their leases again and again, in one test after the other."""


class Measured(Struct, kw_only=True):
    """What clients saw of one scenario.

    Attributes:
        outage_ms: the longest time without service that began after the first cut and before the last healing.
        healing_ms: the longest one from the last healing on, or what was left of one then.
        moves: by how much the epoch grew.
        acked: acknowledged messages, none of which is missing.
        doubled: stored more than once.
    """

    outage_ms: float = 0.0
    healing_ms: float = 0.0
    moves: int = 0
    acked: int = 0
    doubled: int = 0


class Scene:
    """One scenario while it is played; `measured` is filled in at its end."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.measured = Measured()
        self.cut_ns = 0
        """When the first cut was about to be made; every later message may have been lost."""
        self.healed_ns = 0

    def cut(self, ways: Iterable[Way]) -> None:
        self.begin()
        self._network.cut(ways)

    def begin(self) -> None:
        """What is measured begins now, though nothing is cut."""
        self.cut_ns = self.cut_ns or boottime_ns()

    def between(self, ones: Iterable[str], others: Iterable[str]) -> None:
        """Cut everything between two sets of members, both ways."""
        others = list(others)
        self.cut([way for one in ones for other in others for way in both_ways(one, other)])

    def isolate(self, name: str, *, clients: bool = True) -> None:
        self.cut(self._network.around(name, clients=clients))

    def mute(self, name: str) -> None:
        """It hears everybody, and nobody hears it."""
        self.cut([way for way in self._network.around(name) if way[0] == name])

    def deafen(self, name: str) -> None:
        """Everybody hears it, and it hears nobody."""
        self.cut([way for way in self._network.around(name) if way[1] == name])

    def heal(self, ways: Iterable[Way] | None = None) -> None:
        """These ways, or all."""
        self.healed_ns = boottime_ns()
        self._network.heal(ways)


class Stage(Running):
    """A cluster in namespaces, with what tests of cuts do to it."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        assert lab.network is not None
        self.network = lab.network
        self.witnesses = [name for name in lab.nodes if name not in self.data]

    def others(self, *names: str) -> list[str]:
        """All members but these."""
        return [name for name in self.lab.nodes if name not in names]

    def endpoint(self) -> contextlib.AbstractAsyncContextManager[Endpoint]:
        """What clients connect to: a proxy on their own machine."""
        return own_proxy(self.lab.directory / CLUSTER_FILE, QM, self.lab.inside(CLIENT))

    @contextlib.asynccontextmanager
    async def clients(self) -> AsyncIterator[LoadProcess]:
        """Load through the endpoint, from where clients are; entered when messages flow."""
        ticks: list[Tick] = []
        inside = self.lab.inside(CLIENT)
        async with self.endpoint() as endpoint:
            settings = LoadSettings(
                kind="nats",
                address=endpoint.address,
                port=endpoint.port,
                attempts=endpoint.attempts,
                run=f"c{secrets.token_hex(4)}",
            )
            async with LoadProcess(settings, ticks.append, inside) as load:
                while not any(tick.acked for tick in ticks):  # noqa: ASYNC110 - ticks come from another process
                    await asyncio.sleep(0.02)
                await asyncio.sleep(STEADY_S)
                yield load

    @contextlib.asynccontextmanager
    async def scene(self, keep: Callable[[str, object], None]) -> AsyncIterator[Scene]:
        """Play a scenario under load; at its end all is healed and whole, and accounted for.

        `keep` takes what was measured, for the table at the end of the run.
        """
        scene = Scene(self.network)
        before = await self.queue_manager()
        async with self.clients() as load:
            try:
                yield scene
            finally:
                scene.heal()
            await self.lab.until_whole()
            after = await self.queue_manager()
            await asyncio.sleep(STEADY_S)
            record = await load.finish()
        scene.measured = _measured(record, scene, after.epoch - before.epoch)
        keep("members", len(self.lab.nodes))
        for name in Measured.__struct_fields__:
            keep(name, getattr(scene.measured, name))

    # ------------------------------------------------------------ what is so

    async def until_silent(self, name: str, *seen_by: str, terms: float = 2.0) -> None:
        """Wait until these members have not heard one for so long: all that its silence brings has happened."""

        def good(report: StatusReport) -> bool:
            heard_ms = next(m.heard_ms for m in report.members if m.name == name)
            return heard_ms is None or heard_ms > terms * report.timing.term_ms

        await self.lab.until(good, seen_by=seen_by)

    @contextlib.asynccontextmanager
    async def nothing_moves(self) -> AsyncIterator[None]:
        """In the block no owner changes, nothing is started, and nobody is doubted."""
        owner = await self.owner()
        before, pid = await self.placing(), self.process(owner)
        async with self.telling() as told:
            yield
        assert told == []
        assert (await self.placing(), self.process(owner)) == (before, pid)

    async def notices(self, name: str, *kinds: EventKind) -> list[EventLine]:
        """What a member alone has seen, such as the loss of a link."""
        async with ControlClient(self.lab.sockets[name], 5.0) as member:
            lines = [line async for line in member.events(Events(0, follow=False))]
        return [line for line in lines if not line.revision and line.kind in kinds]


def takeover_ms(cluster: Stage, detection_ms: float = 0.0) -> float:
    """Longest time without service when an owner is lost: its lease lapses, another one starts."""
    return detection_ms + lapse_ns(cluster.term_ns) / NS_PER_MS + START_MS


def hiccup_ms(cluster: Stage) -> float:
    """One lease. What is shorter is no takeover: packets that were lost and sent again, or a busy machine."""
    return cluster.term_ns / NS_PER_MS


def _measured(record: LoadRecord, scene: Scene, moves: int) -> Measured:
    """Every message accounted for; raises AssertionError when one is missing."""
    checked = audit(record, Durability.SYNCED)
    assert checked.verdict is Kept.KEPT, checked.verdict
    away = outages(
        (sent for _, sent in all_messages(record)),
        record.began_ns,
        record.ended_ns,
        shortest_outage_ns(record.settings),
    )
    faults = [Fault(label="cut", at_ns=scene.cut_ns), Fault(label="healed", at_ns=scene.healed_ns)]
    cut, healed = impacts(faults, away)
    assert healed.ended
    return Measured(
        outage_ms=round(cut.longest_ns / NS_PER_MS, 1),
        healing_ms=round(healed.longest_ns / NS_PER_MS, 1),
        moves=moves,
        acked=checked.acked,
        doubled=len(checked.doubled),
    )


async def staged(directory: Path, data: str, witnesses: Iterable[str], **settings: Any) -> Stage:
    """A cluster in namespaces that is whole and runs its queue manager."""
    settings = {"profile": "fast", **settings}
    lab = planned(directory, NO_QUARANTINE, data=data, witnesses=witnesses, namespaces=True, **settings)
    return await up(lab, Stage)
