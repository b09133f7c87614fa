"""Tells of each queue manager that this member took over how long that took, from the doubt to the first answer.

Made from the cluster's log, where the doubt and the decision stand of which another member told. Guarantees nothing:
when the store does not answer, it is not told, and `qm_running` has what the owner measured itself. Many at once cost
one reading of the log's end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from standfast.errors import StoreError
from standfast.member.journal import line_of
from standfast.member.turns import Takeover, takeovers
from standfast.model.events import Event, EventKind
from standfast.model.told import StoredEvent

GATHER_S = 0.1
"""Pause in which others may begin to run, too."""
BACK = 2_000
"""Transactions before the first of them in which doubt and decision are looked for."""
PAGE = 500

History = Callable[[int, int], Awaitable[list[StoredEvent]]]
_log = logging.getLogger(__name__)


class Timekeeper:
    """Of one member. `history`: see Ledger; `tell` takes what this member alone tells."""

    def __init__(self, history: History, tell: Callable[[Event], None]) -> None:
        self._history = history
        self._tell = tell
        self._begun: dict[str, StoredEvent] = {}
        self._work: asyncio.Task[None] | None = None

    def told(self, event: StoredEvent) -> None:
        """This member has written an event to the log; those of starts, with their times, are what counts."""
        if event.kind != EventKind.QM_RUNNING or "start_ms" not in event.fields:
            return
        self._begun[event.subject] = event
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._tell_all())

    async def _tell_all(self) -> None:
        while self._begun:
            await asyncio.sleep(GATHER_S)
            begun, self._begun = self._begun, {}
            try:
                found = takeovers(map(line_of, await self._since(min(event.revision for event in begun.values()))))
            except StoreError as error:
                _log.info("how long takeovers took is not told: %s", error)
                continue
            for takeover in found:
                event = begun.get(takeover.qm)
                if event is not None and takeover.epoch == event.fields.get("epoch") and _counts(takeover):
                    self._tell(_event(takeover))

    async def _since(self, revision: int) -> list[StoredEvent]:
        found: list[StoredEvent] = []
        after = max(0, revision - BACK)
        while page := await self._history(after, PAGE):
            found += page
            after = page[-1].revision
        return found


def _counts(takeover: Takeover) -> bool:
    """Not a first start, a restart in place, or a move: of these other events tell."""
    return takeover.was not in {None, takeover.owner} and not takeover.planned and takeover.took_ms is not None


def _event(takeover: Takeover) -> Event:
    took_ms, noticed_ms = takeover.took_ms or 0.0, takeover.noticed_ms
    noticed = {} if noticed_ms is None else {"noticed_ms": noticed_ms}
    return Event(
        kind=EventKind.QM_TAKEN_OVER,
        subject=takeover.qm,
        fields={
            "epoch": takeover.epoch,
            "owner": takeover.owner,
            "was": takeover.was,
            "reason": takeover.why,
            **noticed,
            "took_ms": round(took_ms, 1),
            "total_ms": round((noticed_ms or 0) + took_ms, 1),
        },
    )
