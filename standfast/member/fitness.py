"""Whether this member could run each queue manager now: its storage and its program are looked at all the time.

Storage is probed by a disposable child only. A queue manager whose storage can not be used here is never placed here.
"""

import asyncio
from collections.abc import Callable

from standfast.errors import StandfastError
from standfast.managers.registry import driver
from standfast.member.control_protocol import NoticeKind
from standfast.member.reporter import Reporter
from standfast.model.cluster import QueueManagerSpec
from standfast.model.view import View
from standfast.ports import Place
from standfast.quorum import signals as sig
from standfast.storage.probe import Prober, ProbeState

EVERY_S = 5.0
"""Pause between two rounds of probes."""


class Fitness:
    """Of one member; `place` says where a queue manager would run here."""

    def __init__(
        self,
        place: Callable[[QueueManagerSpec], Place],
        view: Callable[[], View],
        give: Callable[[sig.Input], None],
        reporter: Reporter,
    ) -> None:
        self._place = place
        self._view = view
        self._give = give
        self._reporter = reporter
        self._unfit: tuple[str, ...] = ()

    async def run(self) -> None:
        """Probe round after round, until cancelled."""
        prober = Prober()
        try:
            while True:
                unfit = tuple(
                    [name for name, kept in self._view().specs.items() if not await self._fit(prober, kept.record)]
                )
                if unfit != self._unfit:
                    self._unfit = unfit
                    self._give(sig.FitnessChanged(unfit))
                await asyncio.sleep(EVERY_S)
        finally:
            prober.close()

    async def _fit(self, prober: Prober, spec: QueueManagerSpec) -> bool:
        trouble = self._program_trouble(spec) or await self._storage_trouble(prober, spec)
        self._reporter.notice(NoticeKind.STORAGE_UNREADY, spec.name, trouble)
        return not trouble

    def _program_trouble(self, spec: QueueManagerSpec) -> str:
        try:
            driver(spec.kind).launch(self._place(spec))
        except StandfastError as error:
            return str(error)
        return ""

    async def _storage_trouble(self, prober: Prober, spec: QueueManagerSpec) -> str:
        probe = await prober.probe(spec.storage.path, mount=spec.storage.mount)
        return "" if probe.state is ProbeState.OK else probe.state
