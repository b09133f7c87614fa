"""A snapshot: what one member knows, with all that the deciders of design 3.4 need, as a value that fits into a file.

It holds no secrets: the options of queue managers and the way to an external store are left out. The file is the
member's answer to the control request `snapshot`, one JSON object; FORMAT says how to read it.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Struct, field, structs

from standfast import __version__
from standfast.errors import UsageError
from standfast.model.cluster import Cluster, FencingSpec, QueueManagerSpec, StoreSpec
from standfast.model.messages import Hop
from standfast.model.override import Stance
from standfast.model.view import Kept, View
from standfast.quorum.core import Core

FORMAT = 1
"""Grows when a reader of the older one could no longer make sense of a snapshot."""
TAG = "snapshot"
_AGAIN = "Take a new one: standfast snapshot > FILE"


class Heard(Struct, frozen=True, kw_only=True):
    """A member by its own fresh word.

    Attributes:
        hears: whom it hears, itself included.
        incarnation: that it says it is; 0 before it has joined.
        leased: whether it holds a lease.
        unfit: queue managers that it could not run now; "*" for all.
        hop: how it stands with its next hop.
    """

    hears: tuple[str, ...]
    incarnation: int
    leased: bool
    unfit: tuple[str, ...] = ()
    hop: Hop = Hop.NONE


class Snapshot(Struct, frozen=True, kw_only=True, tag_field="is", tag=TAG):
    """The cluster as one member knows it.

    Attributes:
        format: see FORMAT.
        made_by: the release of Standfast.
        taken_by: the member.
        at_unix_ms: its wall-clock time in milliseconds since 1970.
        cluster: members, roles, timing and queue managers, without secrets.
        view: of the store, without secrets.
        heard: members that it hears, and itself, by name; who is missing is silent.
        store_leader: the member whose etcd leads; empty when unknown.
        store_outside: whether the store runs elsewhere, so that it is not lost with members.
        store_reachable: whether its last read of the store succeeded; if not, the view may be old.
        overrides: members of which it knows that they run without a majority, or have done so and not settled it.
    """

    format: int = FORMAT
    made_by: str = __version__
    taken_by: str
    at_unix_ms: int
    cluster: Cluster
    view: View
    heard: dict[str, Heard] = field(default_factory=dict)
    store_leader: str = ""
    store_outside: bool = False
    store_reachable: bool = True
    overrides: tuple[str, ...] = ()


def take(core: Core, now_ns: int, at_unix_ms: int, store_leader: str) -> Snapshot:
    """What this core knows at `now_ns` on its own clock."""
    cluster, view = core.rules.cluster, core.view
    bare = structs.replace(
        cluster,
        store=StoreSpec(),
        fencing=FencingSpec(),
        sinks=(),
        queue_managers=tuple(map(_without_options, cluster.queue_managers)),
    )
    specs = {qm: Kept(_without_options(kept.record), kept.revision) for qm, kept in view.specs.items()}
    heard = {spec.name: said for spec in cluster.members if (said := _heard(core, spec.name, now_ns)) is not None}
    return Snapshot(
        taken_by=core.me,
        at_unix_ms=at_unix_ms,
        cluster=bare,
        view=structs.replace(view, specs=specs),
        heard=heard,
        store_leader=store_leader,
        store_outside=bool(cluster.store.endpoints),
        store_reachable=core.desk.ok,
        overrides=tuple(word.member for word in core.overrides.words if word.stance is not Stance.ENDED),
    )


def _without_options(spec: QueueManagerSpec) -> QueueManagerSpec:
    return structs.replace(spec, options={}, endpoints=())


def heard_by(core: Core, name: str, now_ns: int) -> tuple[str, ...] | None:
    """Whom a member hears by its own fresh word, itself included; None when it is not heard itself."""
    ears = core.hearing.ears(name, now_ns)
    return None if ears is None else tuple(other for bit, other in enumerate(core.rules.names) if ears >> bit & 1)


def _heard(core: Core, name: str, now_ns: int) -> Heard | None:
    hears = heard_by(core, name, now_ns)
    if hears is None:
        return None
    if name == core.me:
        return Heard(
            hears=hears, incarnation=core.membership.incarnation, leased=core.leased, unfit=core.unfit, hop=core.hop
        )
    said = core.hearing.fresh(name, now_ns)
    assert said is not None
    return Heard(hears=hears, incarnation=said.incarnation, leased=said.leased, unfit=said.unfit, hop=said.hop)


# ---------------------------------------------------------------- files


class _Head(Struct, rename={"is_": "is"}):
    """What tells snapshots from other files, whatever else changed between releases."""

    is_: str
    format: int
    made_by: str


def read_snapshot(text: bytes, name: str) -> Snapshot:
    """A snapshot from the content of the file `name`; raises UsageError when it is none, or not for this release."""
    try:
        head = msgspec.json.decode(text, type=_Head)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no snapshot, or was cut short: {error}. {_AGAIN}") from None
    if head.is_ != TAG:
        raise UsageError(f"{name} is no snapshot: it says that it is {head.is_!r}. {_AGAIN}")
    if head.format != FORMAT:
        raise UsageError(
            f"{name} is a snapshot of format {head.format}, made by Standfast {head.made_by}; this is Standfast "
            f"{__version__}, which reads format {FORMAT}. Read it there, or take a new one with this release."
        )
    try:
        snapshot = msgspec.json.decode(text, type=Snapshot)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}, made by Standfast {head.made_by}, can not be read: {error}. {_AGAIN}") from None
    if problems := "; ".join(_problems(snapshot)):
        raise UsageError(f"{name} contradicts itself: {problems}. {_AGAIN}")
    return snapshot


def _problems(snapshot: Snapshot) -> Iterator[str]:
    """Where the parts do not fit together; a snapshot may have been edited by hand."""
    names, view = {member.name for member in snapshot.cluster.members}, snapshot.view
    if len(names) != len(snapshot.cluster.members) or len(names) % 2 == 0:
        yield "its members are not an odd number of different names"
    owners = {kept.record.owner for kept in view.assignments.values()} - {None}
    hearers = {name for said in snapshot.heard.values() for name in said.hears}
    for what, found in (
        ("the store", {*view.members}),
        ("assignments", owners),
        ("who is heard", {*snapshot.heard}),
        ("who hears whom", hearers),
        ("who took it", {snapshot.taken_by}),
    ):
        if strangers := ", ".join(sorted(map(str, found - names))):
            yield f"{what} names {strangers}, of whom the cluster knows nothing"
    if owners - {*view.members}:
        yield "a queue manager is owned by a member that never joined"
    if {*view.assignments} != {*view.specs}:
        yield "not every queue manager has both a specification and an assignment"
    if any(name != kept.record.name for table in (view.members, view.specs) for name, kept in table.items()):
        yield "a record is filed under another name"
    if any(qm != kept.record.qm for qm, kept in view.assignments.items()):
        yield "an assignment is filed under another name"
    if any(revision > view.revision for _, _, revision in view.records()):
        yield "a record is newer than the store"
