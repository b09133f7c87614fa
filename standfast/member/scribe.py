"""Carries the core's reads and transactions to the store and brings back what became of them.

Guarantees: every read and every transaction ends in exactly one input, whatever the store does; nothing is repeated.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from standfast.errors import StoreError, StoreFatal
from standfast.member.journal import Journal
from standfast.model.records import Outcome, Transaction
from standfast.model.view import View
from standfast.ports import KeyValue, boottime_ns
from standfast.quorum import signals as sig
from standfast.stores.ledger import Ledger, Settled

NS_PER_MS = 1e6
WAKE_PAUSE_S = 1.0
"""Pause after a watch that could not be had; reads go on meanwhile, so that only speed is lost."""
KEEP_EVENTS = 10_000
TRIM_EVERY_S = 600.0

_log = logging.getLogger(__name__)


class Scribe:
    """Of one member. `view` gives the core's view at the moment of asking; `give` takes inputs for the core."""

    def __init__(
        self,
        ledger: Ledger,
        store: KeyValue,
        journal: Journal,
        view: Callable[[], View],
        give: Callable[[sig.Input], None],
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._store = store
        self._view = view
        self._give = give
        self._tasks: set[asyncio.Task[None]] = set()
        self._read_done = asyncio.Event()
        self.read_ms: float | None = None
        """How long the last linearizable read took, in milliseconds."""
        self.trouble = ""
        """Why the last call failed; empty when it did not."""

    def read(self) -> None:
        """Start a linearizable read."""
        self._spawn(self._read())

    def transact(self, tag: str, transaction: Transaction) -> None:
        """Start a transaction."""
        self._spawn(self._transact(tag, transaction))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        began = boottime_ns()
        self._read_done.clear()
        try:
            view = await self._ledger.read(self._view())
        except StoreError as error:
            self._failed(error)
            self._give(sig.ReadFailed())
            return
        self.read_ms = (boottime_ns() - began) / NS_PER_MS
        self.trouble = ""
        self._give(sig.ViewRead(view))
        self._read_done.set()

    async def _transact(self, tag: str, transaction: Transaction) -> None:
        try:
            settled = await self._ledger.transact(transaction)
        except StoreError as error:
            self._failed(error)
            settled = Settled(Outcome.UNKNOWN)
        self._journal.stored(settled.events)
        self._give(sig.Transacted(tag, settled.outcome, settled.revision))

    def _failed(self, error: StoreError) -> None:
        text = str(error)
        if text != self.trouble:
            log = _log.error if isinstance(error, StoreFatal) else _log.warning
            log("store: %s", text)
        self.trouble = text

    async def watch(self) -> None:
        """Tell the core whenever the store may have changed; for ever."""
        while True:
            try:
                await self._store.wake(self._view().revision)
            except StoreError:
                await asyncio.sleep(WAKE_PAUSE_S)
                continue
            self._read_done.clear()
            self._give(sig.StoreStirred())
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
