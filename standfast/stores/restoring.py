"""Puts a backup into an empty store: whole, or recognisably not yet.

Guarantees
  * It begins only where no key of the cluster exists, and every key that it writes must not exist before.
  * From its first transaction to its last the settings carry a marker instead of the cluster's id. Members refuse such
    a store and end, and nobody else writes: the first transaction holds the settings, the orders and every member's
    record, and whatever a member with an empty view may write (found the cluster, join, take an order) is guarded by
    one of these not being there.
  * Interrupted anywhere, also with outcomes unknown, it is completed by another run with the same file, or taken back
    by `undo` in one transaction. A batch that etcd carries out late changes nothing: it is guarded by the marker's
    revision and by its keys.
  * No incarnation and no epoch is ever given twice (below), so that no promise that was made before counts for
    something that comes after.
Does not guarantee that the backup is recent. Assumes that no member runs (see `member/absence.py`).

What is not restored as it was
  members      `left`, their incarnations raised by MARGIN: whoever still calls itself by an old one is unknown to every
               voter, and each member joins anew under the next one. Identities stay: a machine is known again.
  assignments  without an owner (a given up queue manager stays given up), their epochs raised by MARGIN. Epochs may
               have grown after the backup was made, and the epoch file on a queue manager's storage remembers the
               largest that was ever claimed there. A launch under a smaller epoch, or under the same one by another
               incarnation, is refused by that file. So the epoch must pass it for the queue manager to start at all;
               it may pass it by any amount, for the file only compares. Should MARGIN be too small, which takes a
               million changes of owner since the backup, then the storage refuses every launch: nothing runs twice,
               and the message names both epochs.
  settings     the ceiling of the terms is at least the term of the cluster file: voters wait it out after their start.
  orders       as they were; written even when there were none, see above.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import structs

from standfast.errors import Refused, StateError, StoreOutcomeUnknown
from standfast.model.cluster import Cluster
from standfast.model.events import Event, EventKind
from standfast.model.records import (
    ORDERS_KEY,
    SETTINGS_KEY,
    Assignment,
    Guard,
    MemberRecord,
    MemberState,
    Orders,
    Outcome,
    Phase,
    Put,
    Record,
    SettingsRecord,
    Transaction,
)
from standfast.ports import Changes, KeyValue
from standfast.stores.backup import RESTORING, Backup, record_of
from standfast.stores.ledger import Ledger, decode_record

MARGIN = 1_000_000
"""Added to epochs and incarnations: more than a cluster can have used up since any backup that is worth restoring."""
BATCH_KEYS = 100
"""Keys in one transaction; etcd's default limit is 128 operations, and the guards count against it too."""
BATCH_BYTES = 512 * 1024
"""Values in one transaction; etcd's default limit for a request is 1.5 MiB."""

Values = dict[str, bytes]
_encode = msgspec.json.Encoder().encode


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: counts of this run, and the store's revision at its end.

    Attributes:
        records: of the backup.
        events: of the backup.
        written: keys that this run wrote; fewer than there are when it completed an earlier one.
        revision: of the store at the end.
    """

    records: int
    events: int
    written: int
    revision: int


async def restore(
    store: KeyValue, backup: Backup, cluster: Cluster, teller: str, progress: Callable[[int, int], None] | None = None
) -> Restored:
    """Restore, or complete a restore of the same backup; `progress` hears how many keys of how many are there.

    `teller` is the member that tells of it in the event log. Raises StateError (another cluster's backup), Refused
    (the store is not empty), and StoreError's kinds: run it again then.
    """
    _require_own(backup, cluster)
    first, rest, settings = _planned(backup, cluster)
    everything = first | {key: value for _, key, value in rest}
    held = await store.snapshot()
    there = {change.key for change in held.changes}
    if not there:
        marked = await store.transact([Guard(key, 0) for key in first], list(first.items()))
        if marked is None:
            raise _refused("Somebody wrote into the empty store at the same moment")
        there = set(first)
        written = len(first)
    else:
        marked = _begun(held, first, everything)
        written = 0
    for batch in _batches([one for one in rest if one[1] not in there]):
        guards = [Guard(SETTINGS_KEY, marked), *(Guard(key, 0) for key in batch)]
        if await store.transact(guards, list(batch.items())) is None:
            raise _refused("Another restore, or one of an earlier run that came late, writes into the store too")
        there |= set(batch)
        written += len(batch)
        if progress is not None:
            progress(len(there), len(everything))
    revision = await _finish(Ledger(store, teller), backup, settings, marked)
    records = len(backup.records)
    return Restored(records=records, events=len(backup.events), written=written, revision=revision)


async def undo(store: KeyValue) -> bool:
    """Take back what an unfinished restore wrote, all at once; False when there was nothing at all.

    Raises Refused when the store holds anything but an unfinished restore.
    """
    held = await store.snapshot()
    if not held.changes:
        return False
    if (marker := _marker(held)) is None:
        raise Refused(
            "The store does not hold an unfinished restore, so nothing was deleted. A finished one is a cluster that "
            "members may have used: it is not taken back."
        )
    if not await store.erase(Guard(SETTINGS_KEY, marker[1])):
        raise _refused("The restore was finished at the same moment")
    return True


def _require_own(backup: Backup, cluster: Cluster) -> None:
    header = backup.header
    if (header.cluster, header.cluster_id) != (cluster.name, cluster.id):
        raise StateError(
            f"The backup is of cluster {header.cluster} ({header.cluster_id}), the cluster file of {cluster.name} "
            f"({cluster.id}). Nothing was changed. Take a backup of this cluster, or the file that belongs to it."
        )


def _planned(backup: Backup, cluster: Cluster) -> tuple[Values, list[tuple[int, str, bytes]], SettingsRecord]:
    """What the first transaction writes, what the others do, and the settings as they shall be in the end.

    The others as (revision of the transaction that it was part of, key, value); 0 for records, which go together.
    """
    first: Values = {ORDERS_KEY: _encode(Orders())}
    rest: list[tuple[int, str, bytes]] = []
    settings: SettingsRecord | None = None
    for line in backup.records:
        record = record_of(line)
        if isinstance(record, SettingsRecord):
            ceiling_ms = max(record.term_ceiling_ms, cluster.timing.term_ms)
            settings = structs.replace(record, term_ceiling_ms=ceiling_ms)
            marker = structs.replace(settings, cluster_id=_marker_id(backup.checksum, record.cluster_id))
            first[line.key] = _encode(marker)
        elif isinstance(record, MemberRecord | Orders):
            first[line.key] = _encode(_made_safe(record))
        else:
            rest.append((0, line.key, _encode(_made_safe(record))))
    assert settings is not None
    rest += [(line.revision, line.key, bytes(line.value)) for line in backup.events]
    return first, rest, settings


def _made_safe(record: Record) -> Record:
    """As it may be restored; see the top of this file."""
    if isinstance(record, MemberRecord):
        incarnation = record.incarnation + MARGIN
        state = MemberState.REMOVED if record.state is MemberState.REMOVED else MemberState.LEFT
        return structs.replace(record, incarnation=incarnation, state=state, reason="restored")
    if isinstance(record, Assignment):
        resting = record.phase in (Phase.GIVEN_UP, Phase.HALTED, Phase.REMOVED)
        return structs.replace(
            record,
            epoch=record.epoch + MARGIN,
            phase=record.phase if resting else Phase.UNPLACED,
            owner=None,
            incarnation=0,
            target=None,
            told=0,
            reason=record.reason if resting else "restored",
        )
    return record


def _batches(rest: Iterable[tuple[int, str, bytes]]) -> Iterator[Values]:
    """One transaction each: records as many as fit, events as they came.

    Events of one transaction are known by its revision and ordered by their keys, so what was one becomes one again.
    """
    batch: Values = {}
    size, of = 0, 0
    for origin, key, value in rest:
        large = not origin and (len(batch) == BATCH_KEYS or size + len(value) > BATCH_BYTES)
        if batch and (large or origin != of):
            yield batch
            batch, size = {}, 0
        batch[key] = value
        size, of = size + len(value), origin
    if batch:
        yield batch


def _begun(held: Changes, first: Values, everything: Values) -> int:
    """Revision of the marker of an unfinished restore of the same backup; raises Refused for anything else."""
    marker = _marker(held)
    if marker is None:
        raise _refused(
            "The store is not empty: it holds a cluster of this name. Restore into a new etcd only; if this one is to "
            "be given up, stop all members and begin with empty data directories"
        )
    if marker[0] != first[SETTINGS_KEY]:
        raise _refused(
            "The store holds an unfinished restore of another backup. Finish that one with its own file, or take it "
            "back with `standfast store restore --undo`"
        )
    if any(everything.get(change.key) != change.value for change in held.changes):
        raise _refused(
            "The store holds an unfinished restore of this backup, and something that is not from it. Take it back "
            "with `standfast store restore --undo`, and begin again"
        )
    return marker[1]


def _marker(held: Changes) -> tuple[bytes, int] | None:
    """The settings that mark an unfinished restore, with their revision."""
    for change in held.changes:
        if change.key == SETTINGS_KEY:
            settings = decode_record(change)
            assert isinstance(settings, SettingsRecord)
            if settings.cluster_id.startswith(RESTORING):
                return change.value, change.revision
    return None


def _marker_id(checksum: str, cluster_id: str) -> str:
    return f"{RESTORING}{checksum}:{cluster_id}"


async def _finish(ledger: Ledger, backup: Backup, settings: SettingsRecord, marked: int) -> int:
    """The last transaction: from here on it is the cluster's store. Its revision."""
    fields: dict[str, str | int | float | bool | None] = {
        "made_at": backup.header.made_at,
        "was_revision": backup.header.revision,
        "records": len(backup.records),
        "events": len(backup.events),
    }
    settled = await ledger.transact(
        Transaction(
            guards=(Guard(SETTINGS_KEY, marked),),
            puts=(Put(SETTINGS_KEY, settings),),
            events=(Event(kind=EventKind.STORE_RESTORED, subject=backup.header.cluster, fields=fields),),
        )
    )
    if settled.outcome is Outcome.REFUSED:
        raise _refused("Another restore has finished, or was taken back, at the same moment")
    if settled.outcome is Outcome.UNKNOWN:
        raise StoreOutcomeUnknown(
            "Everything is restored, but whether the last step was carried out is not known. Run the same command "
            "again: it finishes what is unfinished, and is refused when nothing is."
        )
    return settled.revision


def _refused(why: str) -> Refused:
    return Refused(f"{why}. Nothing else was changed.")


__all__ = ["MARGIN", "Restored", "restore", "undo"]
