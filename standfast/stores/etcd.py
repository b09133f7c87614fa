"""The store of decisions in etcd: linearizable reads and guarded transactions, nothing else.

Guarantees
  * A read shows everything that was committed before it began, or raises.
  * A transaction is sent again only when it is certain that etcd did not and will not execute it. Otherwise
    StoreOutcomeUnknown is raised; it may then still be executed *later*, so that a read which does not show it
    proves nothing by itself: what keeps a second attempt safe is its guards.
  * An answer from another etcd cluster, or one older than what was known when it was asked for, is refused.
  * Every operation ends by its absolute deadline.
Does not guarantee: that etcd keeps what it acknowledged when a majority of its disks loses what was synced; that an
etcd restored from a backup is noticed by a process that starts afterwards (revisions are remembered in memory only).
Assumes: etcd 3.4 or newer; no other program writes below our prefix; records are never deleted while a member runs.

How a write finds its endpoint. A write sent to a member that died a moment ago costs the whole deadline and ends as
unknown. So it goes to the endpoint that answered last if that was just now; else all are asked first with a tiny
linearizable read, hedged, and the first to answer (it has just proved that it reaches a majority) gets the write.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from standfast.errors import StoreUnavailable, StoreWentBack
from standfast.model.records import Guard
from standfast.ports import Changes, KeyChange, KeyValue
from standfast.stores import etcd_wire as wire
from standfast.stores.etcd_errors import Failed, Verdict, store_error
from standfast.stores.etcd_http import Gateway, NoneAnswered, Patience, first_good
from standfast.stores.etcd_watch import Watch

DELETES_PER_TXN = 100
"""Below etcd's default of 128 operations in a transaction."""
SNAPSHOT_PAGE = 2_000
"""Keys of a snapshot that are read at once: under a megabyte, so that one page takes far less than try_s."""

_RANGE, _TXN = wire.decoder(wire.RangeAnswer), wire.decoder(wire.TxnAnswer)
_STATUS = wire.decoder(wire.StatusAnswer)


class Etcd(KeyValue):
    """One Standfast cluster's keys in etcd.

    Args:
        cluster: name of the Standfast cluster; part of every key.
        endpoints: addresses of etcd members, nearest first.
        tls: context for https; None for plain http.
        username: for an etcd with authentication; empty means none.
        password: for it.
        patience: the timers.
        etcd_cluster: id of the etcd cluster, if known from an earlier life; else that of the first answer is taken.
    """

    def __init__(
        self,
        cluster: str,
        endpoints: Sequence[str],
        *,
        tls: ssl.SSLContext | None = None,
        username: str = "",
        password: str = "",
        patience: Patience | None = None,
        etcd_cluster: int | None = None,
    ) -> None:
        self._keys = wire.Keys(cluster)
        self._patience = patience or Patience()
        self._gateway = Gateway(endpoints, tls=tls, username=username, password=password, patience=self._patience)
        self._watch = Watch(self._gateway, self._keys.root, self._patience, self._admit_cluster)
        self._etcd_cluster = etcd_cluster
        self._highest = 0

    @property
    def etcd_cluster(self) -> int | None:
        """Id of the etcd cluster that answered; None before the first answer."""
        return self._etcd_cluster

    @property
    def keys(self) -> wire.Keys:
        """Where this cluster's keys are."""
        return self._keys

    def follow(self, endpoints: Sequence[str]) -> None:
        """Use these endpoints from now on, nearest first; raises ValueError for none."""
        self._gateway.follow(endpoints)

    # ------------------------------------------------------------ the port

    async def read(self, since: int) -> Changes:
        """Linearizable: all records changed after revision `since`. Raises StoreError's kinds but OutcomeUnknown."""
        answer = await self._ask("reading", wire.range_request(self._keys.records, since), at_least=since)
        return Changes(answer.header.revision, tuple(map(self._keys.change, answer.kvs)))

    async def transact(self, guards: Sequence[Guard], puts: Sequence[tuple[str, bytes]]) -> int | None:
        """Write all `puts` if all `guards` hold: the new revision, or None when refused.

        Raises StoreOutcomeUnknown when it may have happened, or may yet; ValueError for what wire.check_transaction
        refuses.
        """
        wire.check_transaction(guards, puts)
        answer = await self._write("writing", wire.txn_request(self._keys, guards, puts))
        return answer.header.revision if answer.succeeded else None

    async def log(self, after: int, limit: int) -> Sequence[KeyChange]:
        """Events changed after revision `after`, oldest first, whole transactions only.

        At most `limit`, except that the oldest transaction comes whole even when it alone is larger: a caller that
        continues after the last revision it got misses nothing.
        """
        ask = wire.log_request(self._keys.events, after, limit=limit + 1)
        pairs = self._oldest_first(await self._ask("reading events", ask))
        if len(pairs) <= limit:
            return pairs
        cut = pairs[-1].revision
        whole = [pair for pair in pairs if pair.revision < cut]
        if whole:
            return whole
        return self._oldest_first(
            await self._ask("reading events", wire.log_request(self._keys.events, cut - 1, until=cut))
        )

    async def forget(self, keys: Sequence[str]) -> None:
        """Delete keys below `events/`; raises ValueError for any other before anything is deleted."""
        for key in keys:
            if not key.startswith(wire.EVENTS):
                raise ValueError(f"Only events may be forgotten, not {key!r}.")
        for start in range(0, len(keys), DELETES_PER_TXN):
            await self._write("trimming", wire.delete_request(self._keys, keys[start : start + DELETES_PER_TXN]))

    async def snapshot(self) -> Changes:
        """Every key as it was at the revision of the first page; raises StoreFatal when that is compacted meanwhile."""
        answer = await self._ask("reading everything", wire.page_request(self._keys, b"", 0, SNAPSHOT_PAGE))
        revision, pairs = answer.header.revision, [*answer.kvs]
        while answer.more:
            page = wire.page_request(self._keys, pairs[-1].key, revision, SNAPSHOT_PAGE)
            answer = await self._ask("reading everything", page, at_least=revision)
            pairs += answer.kvs
        return Changes(revision, tuple(sorted(map(self._keys.change, pairs), key=wire.in_order)))

    async def erase(self, guard: Guard) -> bool:
        """See KeyValue."""
        return (await self._write("erasing", wire.erase_request(self._keys, guard))).succeeded

    async def wake(self, after: int) -> None:
        """Return when a record or event has changed after revision `after`, and at the latest after watch_s.

        Raises StoreUnavailable or StoreFatal when no endpoint lets us watch. Carries no authority.
        """
        await self._watch.wake(after)

    async def close(self) -> None:
        """Close all connections."""
        await self._watch.close()
        await self._gateway.close()

    # ------------------------------------------------------------ preflight

    async def versions(self) -> dict[str, str | None]:
        """Server version by endpoint; None where nothing answered within try_s."""
        until = asyncio.get_running_loop().time() + self._patience.try_s

        async def version(endpoint: str) -> str | None:
            try:
                status = await self._gateway.call(endpoint, wire.STATUS, {}, _STATUS, write=False, until=until)
            except Failed as failed:
                if failed.verdict is Verdict.FATAL:
                    raise store_error("asking for the version", [failed]) from failed
                return None
            return status.version

        found = await asyncio.gather(*map(version, self._gateway.endpoints))
        return dict(zip(self._gateway.endpoints, found, strict=True))

    # ------------------------------------------------------------ reads

    async def _ask(self, doing: str, request: dict[str, Any], *, at_least: int = 0) -> wire.RangeAnswer:
        """A linearizable range within operation_s."""
        until = asyncio.get_running_loop().time() + self._patience.operation_s
        _, answer = await self._hedged(doing, request, until, at_least)
        return answer

    async def _hedged(
        self, doing: str, request: dict[str, Any], until: float, at_least: int = 0
    ) -> tuple[str, wire.RangeAnswer]:
        """The first good answer to a linearizable range and who gave it, round after round until the deadline."""

        async def attempt(endpoint: str) -> tuple[str, wire.RangeAnswer]:
            # Compared with what was known when it was asked for: a later answer may overtake this one rightly.
            floor = max(self._highest, at_least)
            soon = min(until, asyncio.get_running_loop().time() + self._patience.try_s)
            answer = await self._gateway.call(endpoint, wire.RANGE, request, _RANGE, write=False, until=soon)
            self._admit(endpoint, answer.header, floor)
            return endpoint, answer

        while True:
            try:
                return await first_good(self._gateway.order(), attempt, self._patience.hedge_s)
            except NoneAnswered as none:
                may_come_good = any(failed.raises is StoreUnavailable for failed in none.failures)
                if not may_come_good or not await self._paused(until):
                    raise store_error(doing, none.failures) from none

    # ------------------------------------------------------------ writes

    async def _write(self, doing: str, request: dict[str, Any]) -> wire.TxnAnswer:
        """A transaction, executed at most once."""
        until = asyncio.get_running_loop().time() + self._patience.operation_s
        while True:
            endpoint = await self._gateway.fresh() or await self._prove(doing, until)
            floor = self._highest
            try:
                answer = await self._gateway.call(endpoint, wire.TXN, request, _TXN, write=True, until=until)
                self._admit(endpoint, answer.header, floor)
            except Failed as failed:
                self._gateway.distrust(endpoint)
                certainly_not_executed = failed.raises is StoreUnavailable
                if not certainly_not_executed or not await self._paused(until):
                    raise store_error(doing, [failed]) from failed
            else:
                return answer

    async def _prove(self, doing: str, until: float) -> str:
        """An endpoint that has just reached a majority of our etcd cluster, with time left to answer a write."""
        last_moment = until - self._patience.try_s
        endpoint, _ = await self._hedged(doing, {"key": self._keys.root}, last_moment)
        return endpoint

    # ------------------------------------------------------------ judging answers

    def _admit(self, endpoint: str, header: wire.Header, floor: int) -> None:
        """Refuse, with Failed, an answer from another etcd or older than `floor`; remember what it teaches."""
        self._admit_cluster(endpoint, header)
        if header.revision < floor:
            why = f"answered with revision {header.revision}, but revision {floor} has been seen"
            raise Failed(endpoint, Verdict.ELSEWHERE, why, StoreWentBack)
        self._highest = max(self._highest, header.revision)
        self._gateway.trust(endpoint)

    def _admit_cluster(self, endpoint: str, header: wire.Header) -> None:
        if self._etcd_cluster is None:
            self._etcd_cluster = header.cluster_id
        if header.cluster_id != self._etcd_cluster:
            why = f"belongs to etcd cluster {header.cluster_id:x}, not to {self._etcd_cluster:x} as known before"
            raise Failed(endpoint, Verdict.FATAL, why)

    async def _paused(self, until: float) -> bool:
        """Pause before another round; False when the deadline leaves no time for one."""
        pause_s = self._patience.pause_s
        if asyncio.get_running_loop().time() + pause_s >= until:
            return False
        await asyncio.sleep(pause_s)
        return True

    def _oldest_first(self, answer: wire.RangeAnswer) -> list[KeyChange]:
        """In order of change; keys changed by the same transaction by name (etcd leaves their order open)."""
        return sorted(map(self._keys.change, answer.kvs), key=lambda change: (change.revision, change.key))
