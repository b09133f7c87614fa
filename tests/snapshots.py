"""Snapshots of clusters that are well, to be changed by tests."""

from msgspec import structs

from standfast.member.snapshot import Heard, Snapshot
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.records import (
    ORDERS_KEY,
    SETTINGS_KEY,
    Assignment,
    MemberRecord,
    MemberState,
    Orders,
    Phase,
    Record,
    SettingsRecord,
    assignment_key,
    member_key,
    spec_key,
)
from standfast.model.timing import PROFILES
from standfast.model.view import View

INCARNATION = 3
EPOCH = 7


def cluster_of(names: str = "abw", **qm_values) -> Cluster:
    """Members of one letter each, from `u` on witnesses; one queue manager `orders`."""
    roles = {name: Role.WITNESS if name >= "u" else Role.DATA for name in names}
    spec = QueueManagerSpec(name="orders", kind="nats", port=4222, storage=StorageSpec(path="/o"), **qm_values)
    return Cluster(
        name="shop",
        id="shop-1",
        members=tuple(
            MemberSpec(name=name, role=role, addresses=(f"127.0.90.{i}",))
            for i, (name, role) in enumerate(roles.items(), 1)
        ),
        timing=PROFILES["fast"],
        queue_managers=(spec,),
    )


def snapshot_of(cluster: Cluster, owner: str | None = "a", **values) -> Snapshot:
    """All members online, leased and hearing each other; `orders` runs on its owner, or is not placed."""
    names = tuple(sorted(member.name for member in cluster.members))
    records: list[tuple[str, Record]] = [(member_key(m.name), record_of(m)) for m in cluster.members]
    for spec in cluster.queue_managers:
        assignment = Assignment(qm=spec.name, epoch=EPOCH)
        if owner is not None:
            assignment = structs.replace(assignment, phase=Phase.RUNNING, owner=owner, incarnation=INCARNATION)
        records += [(spec_key(spec.name), spec), (assignment_key(spec.name), assignment)]
    settings = SettingsRecord(
        cluster_id=cluster.id, members=names, timing=cluster.timing, term_ceiling_ms=cluster.timing.term_ms
    )
    records.append((SETTINGS_KEY, settings))
    view = View().merged(len(records), ((key, record, i) for i, (key, record) in enumerate(records, 1)))
    heard = {name: Heard(hears=names, incarnation=INCARNATION, leased=True) for name in names}
    return Snapshot(
        taken_by=names[-1], at_unix_ms=0, cluster=cluster, view=view, heard=heard, store_leader=names[-1], **values
    )


def record_of(member: MemberSpec) -> MemberRecord:
    """Of one that is online."""
    return MemberRecord(
        name=member.name,
        role=member.role,
        incarnation=INCARNATION,
        identity=f"machine {member.name}",
        state=MemberState.ONLINE,
        reason="joined",
    )


def written(snapshot: Snapshot, key: str, record: Record) -> Snapshot:
    """The snapshot after a record was written."""
    revision = snapshot.view.revision + 1
    return structs.replace(snapshot, view=snapshot.view.merged(revision, [(key, record, revision)]))


def ordered(snapshot: Snapshot, orders: Orders) -> Snapshot:
    """The snapshot under these orders."""
    return written(snapshot, ORDERS_KEY, orders)


def said(snapshot: Snapshot, name: str, **changes) -> Snapshot:
    """The snapshot with another word of one member."""
    return structs.replace(snapshot, heard={**snapshot.heard, name: structs.replace(snapshot.heard[name], **changes)})


def silent(snapshot: Snapshot, *names: str) -> Snapshot:
    """The snapshot after these were heard by nobody for long enough."""
    heard = {
        name: structs.replace(word, hears=tuple(other for other in word.hears if other not in names))
        for name, word in snapshot.heard.items()
        if name not in names
    }
    return structs.replace(snapshot, heard=heard)
