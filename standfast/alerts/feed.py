"""Events of the store's log for one sink: read by the member that delivers, from the sink's checkpoint on.

Guarantees: no event is passed over, whoever delivers and whenever it dies: the checkpoint moves on only over events
that the sink took, in a transaction guarded by its last change. Who takes over claims the checkpoint first; the former
one sees that at its next write and stops. So what may come twice is one batch.
Does not guarantee: events that were trimmed from the log before they were read; the newest 10,000 are kept.
Assumes: a sink that is new begins with the settings that brought it (`since`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct, structs

from standfast.errors import StoreError
from standfast.model.records import Guard
from standfast.model.told import StoredEvent
from standfast.ports import KeyValue

PAGE = 200
AGAIN_S = 2.0
"""Pause after the store did not answer, or somebody else claimed the checkpoint."""
LOOK_S = 10.0
"""How long at most until the log is read again, should no watch have told of news."""

History = Callable[[int, int], Awaitable[list[StoredEvent]]]
_log = logging.getLogger(__name__)


class Checkpoint(Struct, frozen=True, kw_only=True):
    """How far a sink has come, in the store.

    Attributes:
        revision: all events up to this one were delivered.
        id: of the last of them.
        by: process that delivers now.
    """

    revision: int
    id: str = ""
    by: str = ""


_decode = msgspec.json.Decoder(Checkpoint).decode
_encode = msgspec.json.Encoder().encode


class LogFeed:
    """Of one sink on one member.

    Args:
        sink: its name.
        history: reads events after a revision, at most so many, whole transactions.
        marks: where checkpoints are kept; a room of the store of their own.
        by: names this process.
        since: revision from which a sink without a checkpoint begins.
        stir: called when there is more.
    """

    def __init__(
        self,
        sink: str,
        history: History,
        marks: KeyValue,
        *,
        by: str,
        since: Callable[[], int],
        stir: Callable[[], None],
    ) -> None:
        self._key = f"checkpoints/{sink}"
        self._history = history
        self._marks = marks
        self._by = by
        self._since = since
        self._stir = stir
        self._events: list[StoredEvent] = []
        self._mark = Checkpoint(revision=0)
        self._guard = 0
        self._read_to = 0
        self._news = asyncio.Event()
        self.active = False
        """Whether this member has claimed the checkpoint."""

    def first(self, count: int) -> list[StoredEvent]:
        """See pump.Feed. Whole transactions where they fit: a checkpoint names a revision."""
        taken = self._events[:count]
        if len(taken) < len(self._events) and taken:
            cut = self._events[len(taken)].revision
            whole = [event for event in taken if event.revision < cut]
            taken = whole or [event for event in self._events if event.revision == cut]
        return taken

    def waiting(self) -> int:
        """See pump.Feed."""
        return len(self._events)

    def stirred(self) -> None:
        """The store has changed."""
        self._news.set()

    async def done(self, events: Sequence[StoredEvent]) -> None:
        """See pump.Feed. When the store can not be told, the events stay delivered here; a successor repeats them."""
        gone = {event.id for event in events}
        self._events = [event for event in self._events if event.id not in gone]
        self._news.set()  # there is room for more
        # A checkpoint names a revision: a transaction of which something is left is not behind it yet.
        left = self._events[0].revision if self._events else None
        whole = [event for event in events if event.revision != left]
        if whole:
            await self._write(structs.replace(self._mark, revision=whole[-1].revision, id=whole[-1].id))

    async def run(self) -> None:
        """Claim, then read on and on, until cancelled."""
        try:
            while True:
                try:
                    await self._claim()
                    while self.active:
                        await self._read()
                except StoreError as error:
                    _log.debug("log for %s: %s", self._key, error)
                self._rest()
                await asyncio.sleep(AGAIN_S)
        finally:
            self._rest()

    def _rest(self) -> None:
        self.active = False
        self._events = []

    async def _claim(self) -> None:
        changes = await self._marks.read(0)
        held = next((change for change in changes.changes if change.key == self._key), None)
        if held is None:
            self._mark, self._guard = Checkpoint(revision=self._since()), 0
        else:
            self._mark, self._guard = _decode(held.value), held.revision
        if self._mark.revision > changes.revision:  # the store is another one than that in which it was written
            self._mark = structs.replace(self._mark, revision=0)
        self.active = await self._write(structs.replace(self._mark, by=self._by))
        self._read_to = self._mark.revision

    async def _write(self, mark: Checkpoint) -> bool:
        """Move the checkpoint on; False, and no more active, when somebody else has, or when that is not known."""
        try:
            revision = await self._marks.transact([Guard(self._key, self._guard)], [(self._key, _encode(mark))])
        except StoreError as error:
            _log.debug("checkpoint %s: %s", self._key, error)
            revision = None
        if revision is None:
            self._rest()
            self._news.set()
            return False
        self._mark, self._guard = mark, revision
        return True

    async def _read(self) -> None:
        self._news.clear()
        page = await self._history(self._read_to, PAGE) if len(self._events) < PAGE else []
        if not self.active:
            return
        if page:
            self._events += page
            self._read_to = page[-1].revision
            self._stir()
            return
        try:
            async with asyncio.timeout(LOOK_S):
                await self._news.wait()
        except TimeoutError:
            return


__all__ = ["Checkpoint", "History", "LogFeed"]
