"""Tends the copies of replicated queue managers on this member: has DRBD and the store agree.

Guarantees
- A copy is said to be current only by the owner, for a look at DRBD that began after the record had the revision by
  which the order is guarded (see quorum/copies.py).
- What is primary here and must not be is released: nothing of the queue manager runs here, and no claim is under way.
- Frozen writes of a member that lost its queue manager are ended only when the store calls its copy outdated: none of
  them was ever acknowledged, and they will be overwritten.
The daemon itself touches no device: a disposable child does (storage/drbd_hand.py).
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Container

from standfast.member.report import CopyReport, NoticeKind
from standfast.member.reporter import Reporter
from standfast.model.cluster import QueueManagerSpec
from standfast.model.records import Assignment
from standfast.model.view import Kept, View
from standfast.quorum import signals as sig
from standfast.quorum.core import Core
from standfast.storage.drbd_config import peer_of
from standfast.storage.drbd_hand import DrbdTrouble, Hand
from standfast.storage.drbd_state import STARTABLE, Replica, Situation, situation

EVERY_S = 1.0
RELEASE_S = 30.0
QUIET = frozenset({Situation.IN_SYNC})
"""Situations that need no person."""

_log = logging.getLogger(__name__)


class Replication:
    """Of one data member. `running`: queue managers of which something may run here."""

    def __init__(
        self,
        core: Core,
        order: Callable[[sig.Order], Awaitable[sig.Verdict]],
        reporter: Reporter,
        *,
        running: Callable[[], Container[str]],
    ) -> None:
        self._core = core
        self._order = order
        self._reporter = reporter
        self._running = running
        self.changed: Callable[[], None] = lambda: None
        self._hands: dict[str, Hand] = {}
        self._troubles: dict[str, str] = {}
        self._copies: dict[str, CopyReport] = {}
        reporter.copies = self._copies.get
        self._stirred = asyncio.Event()

    def trouble(self, qm: str) -> str:
        """Why it could not start on this member's copy; empty when it could."""
        return self._troubles.get(qm, "not looked at yet")

    def look_again(self) -> None:
        """Something has changed: look now."""
        self._stirred.set()

    async def told(self, qm: str, *, back: bool) -> sig.Verdict:
        """The kernel has lost the peer's copy, and waits until the store says so; or it is `back`, and is looked at."""
        kept = self._core.view.specs.get(qm)
        if kept is None or not kept.record.storage.replicated:
            return sig.Verdict.NO_SUCH_QUEUE_MANAGER
        self.look_again()
        if back:
            return sig.Verdict.DONE
        return await self._order(sig.Outdate(qm, peer_of(self._core.rules.cluster, self._core.me)))

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                self._stirred.clear()
                specs = [kept.record for kept in self._core.view.specs.values() if kept.record.storage.replicated]
                await asyncio.gather(*(self._tend(spec) for spec in specs))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._stirred.wait()
        finally:
            for hand in self._hands.values():
                hand.close()

    async def _tend(self, spec: QueueManagerSpec) -> None:
        qm, storage = spec.name, spec.storage
        hand = self._hands.setdefault(qm, Hand())
        view = self._core.view  # before the look: a refresh is guarded by what was known here
        try:
            replica = await hand.state(storage.minor)
            self._say(qm, replica)
            await self._act(hand, spec, replica, view)
        except DrbdTrouble as trouble:
            self._troubled(qm, str(trouble))
            self._copies.pop(qm, None)
            self._reporter.notice(NoticeKind.REPLICA, qm, str(trouble))

    def _say(self, qm: str, replica: Replica | None) -> None:
        now = situation(replica)
        self._copies[qm] = _copy(now, replica)
        startable = replica is not None and replica.disk in STARTABLE
        self._troubled(qm, "" if startable else f"its copy is {now}")
        percent = f" {replica.percent:.0f} %" if replica is not None and replica.percent is not None else ""
        self._reporter.notice(NoticeKind.REPLICA, qm, "" if now in QUIET else f"{now}{percent}")

    def _troubled(self, qm: str, trouble: str) -> None:
        if self._troubles.get(qm) != trouble:
            self._troubles[qm] = trouble
            self.changed()

    async def _act(self, hand: Hand, spec: QueueManagerSpec, replica: Replica | None, view: View) -> None:
        kept = view.assignments.get(spec.name)
        if replica is None or kept is None:
            return
        me, peer = self._core.me, peer_of(self._core.rules.cluster, self._core.me)
        a = kept.record
        if self._mine(a):
            await self._agree(replica, kept, peer)
        elif replica.role == "Primary" and spec.name not in self._running():
            if replica.frozen and me in a.outdated:
                await hand.ask("thaw", within_s=RELEASE_S, resource=spec.name)
            arguments = {"resource": spec.name, "minor": spec.storage.minor, "path": spec.storage.path}
            await hand.ask("release", within_s=RELEASE_S, **arguments)

    def _mine(self, a: Assignment) -> bool:
        return (a.owner, a.incarnation) == (self._core.me, self._core.membership.incarnation)

    async def _agree(self, replica: Replica, kept: Kept[Assignment], peer: str) -> None:
        """Have the store say of the peer's copy what this owner sees of it."""
        a = kept.record
        if replica.in_sync and peer in a.outdated:
            verdict = await self._order(sig.Refresh(a.qm, peer, kept.revision))
            _log.info("copy of %s on %s is in sync again: %s", a.qm, peer, verdict)
        elif replica.role == "Primary" and replica.peer_disk not in {"UpToDate", "DUnknown"} and peer not in a.outdated:
            # Known to DRBD and not to the store: it was outdated under an override, or before this cluster was.
            await self._order(sig.Outdate(a.qm, peer))


def _copy(now: Situation, replica: Replica | None) -> CopyReport:
    if replica is None:
        return CopyReport(situation=now)
    return CopyReport(
        situation=now,
        role=replica.role,
        connection=replica.connection,
        disk=replica.disk,
        peer_disk=replica.peer_disk,
        percent=replica.percent,
    )


__all__ = ["Replication"]
