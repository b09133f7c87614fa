"""A store in memory with etcd's semantics, for tests and the simulator's edges. Nothing survives the process.

One contract test runs against this and against a real etcd.
"""

import asyncio
from collections.abc import Sequence

from standfast.model.records import Guard
from standfast.ports import Changes, KeyChange, KeyValue
from standfast.stores.etcd_wire import EVENTS, check_transaction, in_order


class MemoryStore(KeyValue):
    """Keys, values and revisions in a dictionary. Revisions start at 1, as etcd's do."""

    def __init__(self) -> None:
        self._revision = 1
        self._kept: dict[str, KeyChange] = {}
        self._changed = asyncio.Event()

    async def read(self, since: int) -> Changes:
        """See KeyValue."""
        found = (c for c in self._kept.values() if c.revision > since and not c.key.startswith(EVENTS))
        return Changes(self._revision, tuple(found))

    async def transact(self, guards: Sequence[Guard], puts: Sequence[tuple[str, bytes]]) -> int | None:
        """See KeyValue; never unknown."""
        check_transaction(guards, puts)
        if any(self._revision_of(guard.key) != guard.revision for guard in guards):
            return None
        self._advance()
        self._kept |= {key: KeyChange(key, value, self._revision) for key, value in puts}
        return self._revision

    async def log(self, after: int, limit: int) -> Sequence[KeyChange]:
        """See Etcd.log: whole transactions only."""
        found = [c for c in self._kept.values() if c.revision > after and c.key.startswith(EVENTS)]
        found.sort(key=lambda change: (change.revision, change.key))
        if len(found) <= limit:
            return found
        cut = found[limit].revision
        whole = [change for change in found[:limit] if change.revision < cut]
        return whole or [change for change in found if change.revision == cut]

    async def forget(self, keys: Sequence[str]) -> None:
        """See KeyValue."""
        for key in keys:
            if not key.startswith(EVENTS):
                raise ValueError(f"Only events may be forgotten, not {key!r}.")
        held = [key for key in keys if key in self._kept]
        for key in held:
            del self._kept[key]
        if held:
            self._advance()

    async def snapshot(self) -> Changes:
        """See KeyValue."""
        return Changes(self._revision, tuple(sorted(self._kept.values(), key=in_order)))

    async def erase(self, guard: Guard) -> bool:
        """See KeyValue; never unknown."""
        if self._revision_of(guard.key) != guard.revision:
            return False
        self._kept.clear()
        self._advance()
        return True

    async def wake(self, after: int) -> None:
        """See KeyValue; waits without end."""
        while self._revision <= after:
            await self._changed.wait()

    async def close(self) -> None:
        """Nothing to close."""

    def _revision_of(self, key: str) -> int:
        kept = self._kept.get(key)
        return kept.revision if kept else 0

    def _advance(self) -> None:
        """The next revision; whoever waits for a change wakes up."""
        self._revision += 1
        self._changed.set()
        self._changed = asyncio.Event()
