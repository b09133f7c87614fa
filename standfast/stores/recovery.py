"""Rebuilding the store from one survivor, when the other members' machines are lost for good.

etcd forgets its other members (`--force-new-cluster`, a flag of releases 3.4 to 3.6 for disaster recovery) and is a
majority of its own from then on; then the others are written down as evicted, because nobody is left to vote them out.

Its log does not lead to its database any more. etcd notes that an entry is committed together with the next one that it
syncs, but has the entry's effect on its disk a tenth of a second later; when it was killed and begins alone, it throws
such an entry away and keeps the effect (etcd-io/etcd #14009). Who joined by reading that log would have every later
change under another revision. Hence etcd takes a snapshot of its database here: a log that begins with one is never
read from its beginning, and who joins is sent the database.

Guarantees
  * Who joins afterwards has what the survivor has, under the same revisions.
  * The data are copied aside before anything is changed, and the copy is on stable storage.
  * Interrupted anywhere it can be begun again, or taken back by moving the copy into the place of the data.
  * The others' leases are over when they are written down as evicted: a term was waited for since they were last known
    not to answer.
  * An old machine that comes back and reaches this one finds that it was removed: its etcd ends for good (`status`
    there says `replaced`), and its identity is one that the cluster has given up.
Does not guarantee
  * That the survivor had everything: what a majority without it had decided last is forgotten. Epochs may then be given
    again; the storage's epoch file refuses those.
  * Anything when old machines come back with their old disks where they do not reach this one: a majority of the old
    members is a store of its own. Hence: lost for good, or wiped before they are switched on.
Assumes that no member runs, this one neither (the caller holds its state directory's lock).
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from standfast.errors import Refused, StateError, StoreError, StoreOutcomeUnknown
from standfast.model.cluster import Cluster, MemberSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import GONE, MemberState, Outcome, Put, Transaction, member_key
from standfast.model.timing import NS_PER_MS, lapse_ns
from standfast.model.view import View
from standfast.quorum.transactions import member_state
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_program import find_etcd, last_error, spawn, stop
from standfast.stores.etcd_settings import EtcdTuning, TlsFiles, arguments, client_url
from standfast.stores.ledger import Ledger

CONNECT_S = 2.0
"""Longest wait for a machine that may be off."""
SERVES_WITHIN_S = 60.0
"""For etcd to read its data and elect itself."""
LOOK_S = 0.2
STOP_S = 5.0
SNAPSHOT_WITHIN_S = 10.0
LOG = "etcd.recover.log"
NS_PER_S = 1_000_000_000


class Recovered(Struct, frozen=True, kw_only=True):
    """What was done.

    Attributes:
        backup: copy of the etcd data as they were before.
        revision: of the store at the end.
        given_up: members that are written down as evicted.
    """

    backup: str
    revision: int
    given_up: tuple[str, ...]


async def answering(cluster: Cluster, me: str) -> list[str]:
    """Other members on whose machines an etcd or a daemon takes connections."""

    async def answers(member: MemberSpec) -> str:
        ports = (member.store_client_port, member.store_peer_port, member.health_port)
        open_ = await asyncio.gather(*(_connects(member.addresses[0], port) for port in ports))
        return member.name if any(open_) else ""

    return [name for name in await asyncio.gather(*(answers(m) for m in cluster.members if m.name != me)) if name]


async def _connects(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


class Recovery:
    """Of member `me`, the survivor; `tell` hears what is being done."""

    def __init__(
        self, cluster: Cluster, me: str, state_dir: Path, *, tls: TlsFiles | None, tell: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._me = cluster.member(me)
        self._data_dir = state_dir / "etcd"
        self._log = state_dir / LOG
        self._tls = tls
        self._tell = tell

    async def run(self, stamp: str) -> Recovered:
        """Do all of it; `stamp` names the copy. Raises Refused, StateError, MachineError and StoreError's kinds."""
        if not any((self._data_dir / "member" / "wal").glob("*.wal")):
            raise StateError(
                f"There are no etcd data in {self._data_dir}: this member has nothing to rebuild the store from. Use "
                f"another survivor; if there is none, `standfast store restore` a backup into a new store."
            )
        if others := await answering(self._cluster, self._me.name):
            raise Refused(
                f"The machine of {', '.join(others)} answers. Nothing was changed. While others of the store live, "
                f"wait for a majority of them, or switch them off for good: their data would contradict these."
            )
        began = asyncio.get_running_loop().time()
        backup = self._data_dir.with_name(f"etcd.before-recover-{stamp}")
        self._tell(f"copying the data aside, to {backup}")
        await asyncio.to_thread(_copy, self._data_dir, backup)
        self._tell("starting etcd as a cluster of one")
        program = find_etcd()
        settings = arguments(
            self._cluster,
            self._me,
            self._data_dir,
            "existing",
            tls=self._tls,
            tuning=EtcdTuning(),
            force_new_cluster=True,
        )
        known = self._snapshots()
        process = await spawn(program, settings, self._log)
        context = self._tls.client_context() if self._tls else None
        store = Etcd(self._cluster.name, [client_url(self._me, secure=self._tls is not None)], tls=context)
        try:
            await self._serves(process, store)
            recovered = await self._give_up_the_others(Ledger(store, self._me.name), began, str(backup))
            await self._has_a_snapshot(known, str(backup))
            return recovered
        finally:
            await store.close()
            await stop(process, STOP_S)

    async def _serves(self, process: asyncio.subprocess.Process, store: Etcd) -> None:
        until = asyncio.get_running_loop().time() + SERVES_WITHIN_S
        while True:
            try:
                await store.read(0)
            except StoreError as error:
                if process.returncode is not None or asyncio.get_running_loop().time() > until:
                    raise StateError(
                        f"etcd does not serve alone: {last_error(self._log) or error}. Its log is {self._log}. To take "
                        f"everything back, move the copy of the data into the place of {self._data_dir}."
                    ) from error
                await asyncio.sleep(LOOK_S)
            else:
                return

    def _snapshots(self) -> set[Path]:
        """Those that etcd has made of its data: a log without one begins with the cluster itself."""
        return set((self._data_dir / "member" / "snap").glob("*.snap"))

    async def _has_a_snapshot(self, known: set[Path], backup: str) -> None:
        """Wait until etcd has made one that was not known before. Raises StateError."""
        until = asyncio.get_running_loop().time() + SNAPSHOT_WITHIN_S
        while self._snapshots() <= known:
            if asyncio.get_running_loop().time() > until:
                raise StateError(
                    f"etcd made no snapshot of its data within {SNAPSHOT_WITHIN_S:g} s, without which others must not "
                    f"join: they would have other data. Its log is {self._log}. Run the same command again, or, to "
                    f"take everything back, move {backup} into the place of {self._data_dir}."
                )
            await asyncio.sleep(LOOK_S)

    async def _give_up_the_others(self, ledger: Ledger, began: float, backup: str) -> Recovered:
        view = await ledger.read(View())
        if view.settings is None or view.settings.record.cluster_id != self._cluster.id:
            raise StateError(
                f"What etcd holds here is not cluster {self._cluster.name} ({self._cluster.id}). Look at --state-dir "
                f"and at the cluster file. Nothing was changed but that etcd is alone now; its data before: {backup}."
            )
        ceiling_ns = max(view.settings.record.term_ceiling_ms * NS_PER_MS, self._cluster.timing.term_ns)
        left_s = began + lapse_ns(ceiling_ns) / NS_PER_S - asyncio.get_running_loop().time()
        if left_s > 0:
            self._tell(f"waiting {left_s:.1f} s until no lease can last any more")
            await asyncio.sleep(left_s)
        gone = [k for name, k in view.members.items() if name != self._me.name and k.record.state not in GONE]
        told = tuple(kept.record.name for kept in gone)
        parts = [member_state(k, MemberState.EVICTED, EventKind.MEMBER_EVICTED, "recovered") for k in gone]
        own = view.members.get(self._me.name)
        puts = [put for part in parts for put in part.puts]
        guards = [guard for part in parts for guard in part.guards]
        if own is not None:
            puts.append(Put(member_key(self._me.name), own.record))
        recovered = Event(
            kind=EventKind.STORE_RECOVERED, subject=self._me.name, fields={"given_up": ",".join(told), "backup": backup}
        )
        events = (*(event for part in parts for event in part.events), recovered)
        self._tell(f"giving up {', '.join(told) or 'nobody'}")
        settled = await ledger.transact(Transaction(guards=tuple(guards), puts=tuple(puts), events=events))
        if settled.outcome is not Outcome.COMMITTED:
            raise StoreOutcomeUnknown("Whether the others were given up is not known: run the same command again.")
        return Recovered(backup=backup, revision=settled.revision, given_up=told)


def _copy(source: Path, target: Path) -> None:
    """Copy a directory, durably; raises StateError."""
    try:
        shutil.copytree(source, target)
        for file in (*target.rglob("*"), target, target.parent):
            handle = os.open(file, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        raise StateError(
            f"{source} can not be copied to {target}: {error.strerror}. Nothing was changed. Make room there."
        ) from error


__all__ = ["Recovered", "Recovery", "answering"]
