"""Carries the core's reads and transactions to the store and brings back what became of them.

Guarantees: every read and every transaction ends in exactly one input, whatever the store does; nothing is repeated.
What it can not make sense of, and a store that belongs to another cluster, ends the member.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from standfast.errors import StoreError, StoreFatal, StoreFull
from standfast.member.inbox import Inbox
from standfast.member.journal import Journal
from standfast.model.events import Event, EventKind
from standfast.model.records import Outcome, Transaction
from standfast.model.told import StoredEvent
from standfast.model.view import View
from standfast.ports import KeyValue, boottime_ns
from standfast.quorum import signals as sig
from standfast.stores.backup import RESTORING
from standfast.stores.ledger import Ledger, Settled

NS_PER_MS = 1e6
NS_PER_S = 1_000_000_000
WAKE_PAUSE_S = 1.0
"""Pause after a watch that could not be had; reads go on meanwhile, so that only speed is lost."""
KEEP_EVENTS = 10_000
TRIM_EVERY_S = 600.0
LOST_AFTER_S = 5.0
"""How long the store must have failed before that is an event: an election of its leader is none."""
LOOK_EVERY_S = 1.0
TOLD_WITHIN_S = 1.0
"""How long at most who gave an order waits until that stands in the log."""
STORE = "store"
"""Subject of events about it."""
MANY = frozenset({"place", "begin", "note", "release", "aim", "tie", "inherit"})
"""Transactions of which there may be one for each queue manager at one moment, by the first part of their tag."""
AT_ONCE = 8
"""How many of those are under way together. More would not be faster, and a thousand at once would all miss their
deadlines, and those of reads with them: each would need a connection of its own. The others overtake them."""

_log = logging.getLogger(__name__)


class Scribe:
    """Of one member.

    Args:
        cluster_id: of the cluster file; a store founded by another one is not used.
        ledger: where to read and write.
        store: the same store, for its watch.
        journal: hears of what was stored.
        view: gives the core's view at the moment of asking.
        inbox: where inputs for the core go.
    """

    def __init__(
        self,
        cluster_id: str,
        ledger: Ledger,
        store: KeyValue,
        journal: Journal,
        *,
        view: Callable[[], View],
        inbox: Inbox,
    ) -> None:
        self._cluster_id = cluster_id
        self._inbox = inbox
        self._journal = journal
        self._ledger = ledger
        self._store = store
        self._view = view
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._read_done = asyncio.Event()
        self.read_ms: float | None = None
        """How long the last linearizable read took, in milliseconds."""
        self.on_read: Callable[[float], None] = lambda _: None
        """Called with how long each read took, in milliseconds."""
        self.trouble = ""
        """Why the last call failed; empty when it did not."""
        self.full = False
        """Whether the last write was refused because the store's quota is used up."""
        self._troubled_ns = 0
        self._told_lost = False

    def read(self) -> None:
        """Start a linearizable read."""
        self._spawn(self._read())

    def transact(self, tag: str, transaction: Transaction) -> None:
        """Start a transaction, those in MANY in the order in which they were given."""
        self._spawn(
            self._in_turn(tag, transaction) if tag.partition(":")[0] in MANY else self._transact(tag, transaction)
        )

    async def tell(self, event: Event) -> None:
        """Put an event into the store's log that goes with no change there, so that every member can show it.

        Returns when it is there, or after TOLD_WITHIN_S; it is then on its way. Where the store does not take it, it
        is told as one of this member alone. Never raises.
        """
        if self.trouble or self.full:
            self._journal.told(event)
            return
        task = self._spawn(self._tell(event))
        await asyncio.wait({task}, timeout=TOLD_WITHIN_S)

    async def _tell(self, event: Event) -> None:
        events: tuple[StoredEvent, ...] = ()
        try:
            events = (await self._ledger.transact(Transaction(guards=(), puts=(), events=(event,)))).events
        except StoreError as error:
            self._failed(error)
        finally:  # also when this member ends meanwhile
            if events:
                self._journal.stored(events)
            else:
                self._journal.told(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._inbox.fail(error)

    async def _read(self) -> None:
        began = boottime_ns()
        self._read_done.clear()
        known = self._view()
        try:
            view = await self._ledger.read(known)
        except StoreError as error:
            self._failed(error)
            self._inbox.give(sig.ReadFailed())
            return
        self._require_ours(view)
        self.read_ms = (boottime_ns() - began) / NS_PER_MS
        self.on_read(self.read_ms)
        self._answered()
        self._inbox.give(sig.ViewRead(view))
        self._read_done.set()
        if view.newest > known.newest:
            self._journal.stir()

    def _require_ours(self, view: View) -> None:
        """Raises StoreFatal when the store holds another cluster's records."""
        founded = view.settings.record.cluster_id if view.settings is not None else self._cluster_id
        if founded.startswith(RESTORING):
            raise StoreFatal(
                "A restore of the store was begun and not finished. Finish it (`standfast store restore FILE`, with "
                "the same file), or take it back (`standfast store restore --undo`); then start this member."
            )
        if founded != self._cluster_id:
            raise StoreFatal(
                f"The store holds a cluster of the same name but with another id ({founded}, not {self._cluster_id}). "
                f"Give this cluster another name, or another etcd in [store] endpoints."
            )

    async def _in_turn(self, tag: str, transaction: Transaction) -> None:
        async with self._turns:
            await self._transact(tag, transaction)

    async def _transact(self, tag: str, transaction: Transaction) -> None:
        try:
            settled = await self._ledger.transact(transaction)
        except StoreError as error:
            self._failed(error)
            settled = Settled(Outcome.UNKNOWN)
        else:
            self.full = False
        self._journal.stored(settled.events)
        self._inbox.give(sig.Transacted(tag, settled.outcome, settled.revision))

    def _failed(self, error: StoreError) -> None:
        """Tell the log once for each time of trouble. A full store still answers reads: that does not end this one."""
        if isinstance(error, StoreFull):
            if not self.full:
                _log.error("store: %s", error)
                self._journal.told(Event(kind=EventKind.STORE_FULL, subject=STORE))
            self.full = True
            return
        if not self.trouble or isinstance(error, StoreFatal):
            log = _log.error if isinstance(error, StoreFatal) else _log.warning
            log("store: %s", error)
        if not self.trouble:
            self._troubled_ns = boottime_ns()
        self.trouble = str(error)

    def _answered(self) -> None:
        if self.trouble:
            _log.info("store: it answers again")
        self.trouble = ""
        if self._told_lost:
            self._told_lost = False
            self._journal.told(Event(kind=EventKind.STORE_BACK, subject=STORE))

    async def tell_trouble(self) -> None:
        """Tell of a store that has failed for long; for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            lasting_ns = boottime_ns() - self._troubled_ns
            if self.trouble and not self._told_lost and lasting_ns >= LOST_AFTER_S * NS_PER_S:
                self._told_lost = True
                self._journal.told(Event(kind=EventKind.STORE_LOST, subject=STORE, fields={"detail": self.trouble}))

    async def watch(self) -> None:
        """Tell the core whenever the store may have changed; for ever."""
        while True:
            try:
                await self._store.wake(self._view().revision)
            except StoreError:
                await asyncio.sleep(WAKE_PAUSE_S)
                continue
            self._read_done.clear()
            self._inbox.give(sig.StoreStirred())
            # Until it has been read, the same change would wake again at once.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAKE_PAUSE_S):
                    await self._read_done.wait()

    async def trim(self, acting: Callable[[], bool]) -> None:
        """Keep the event log short while this member is the coordinator; for ever."""
        while True:
            await asyncio.sleep(TRIM_EVERY_S)
            if acting():
                try:
                    await self._ledger.trim(KEEP_EVENTS)
                except StoreError as error:
                    self._failed(error)

    async def close(self) -> None:
        """Let go of what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
