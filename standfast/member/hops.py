"""This member's next hops: pinged round after round, judged steadily, and told to the core.

A member without hops has nothing to look at. Where the kernel allows no pings the hop stays unknown, and a notice says
what to do: nothing is moved for what nobody could look at.
"""

import asyncio
from collections.abc import Callable

from standfast.errors import MachineError
from standfast.links.ping import Pinger
from standfast.member.report import NoticeKind
from standfast.member.reporter import Reporter
from standfast.model.cluster import Cluster
from standfast.model.messages import Hop
from standfast.quorum import signals as sig
from standfast.quorum.hop_judge import HopJudge

MS_PER_S = 1000


class Hops:
    """Of member `me`; `cluster` gives the settings in force."""

    def __init__(
        self, me: str, cluster: Callable[[], Cluster], give: Callable[[sig.Input], None], reporter: Reporter
    ) -> None:
        self._me = me
        self._cluster = cluster
        self._give = give
        self._reporter = reporter
        self._judge = HopJudge()
        self._told = Hop.NONE

    async def run(self) -> None:
        """Ping until cancelled."""
        pinger = Pinger()
        loop = asyncio.get_running_loop()
        try:
            while True:
                interval_s = self._cluster().policy.hop_interval_ms / MS_PER_S
                next_s = loop.time() + interval_s
                await self._round(pinger, interval_s)
                await asyncio.sleep(max(0.0, next_s - loop.time()))
        finally:
            pinger.close()

    async def _round(self, pinger: Pinger, within_s: float) -> None:
        cluster = self._cluster()
        hops = cluster.member(self._me).hops
        trouble = ""
        if not hops:
            self._judge = HopJudge()
        else:
            try:
                answered = await pinger.round(hops, within_s)
                self._judge.round(cluster.policy.hop_missed, cluster.policy.hop_found, answered=answered)
            except MachineError as error:
                trouble = str(error)
                self._judge = HopJudge()
        self._reporter.notice(NoticeKind.HOP_UNCHECKED, self._me, trouble)
        self._tell(self._judge.state if hops else Hop.NONE)

    def _tell(self, hop: Hop) -> None:
        if hop is not self._told:
            self._told = hop
            self._give(sig.FitnessChanged(hop=hop))
