"""What `status` knows: a report of the whole cluster as one member sees it, and what follows from it."""

from enum import StrEnum

from msgspec import Struct

from standfast.alerts.pump import SinkReport
from standfast.links.disk_io import DiskState
from standfast.member.warden_protocol import WatchdogState
from standfast.model.cluster import Role
from standfast.model.records import MemberState, Orders, Phase
from standfast.model.timing import Timing
from standfast.quorum.can_stop import Situation
from standfast.quorum.placement import ALL
from standfast.quorum.runs import RunState
from standfast.quorum.ties import Untied


class MemberReport(Struct, frozen=True, kw_only=True):
    """One member as the answering one sees it.

    Attributes:
        name: of the member.
        role: of the member.
        address: its first address.
        state: what the store holds of it; None when it never joined.
        reason: why it is in this state, a short word.
        incarnation: the newest; 0 when it never joined.
        heard_ms: milliseconds since its last heartbeat arrived here; None when never; 0 for the answering member.
        hears_us: whether it says that it hears the answering member; None when it is not heard.
        coordinator: whether the answering member takes it for the coordinator.
        leased: whether it says that it holds a lease.
        able: whether it says that its vote counts: for a term after its start it grants nobody a lease. None when it is
            not heard.
        lease_left_ms: what is left of the answering member's own lease in milliseconds; None for others.
        unfit: queue managers that it could not run now; "*" for all.
        store_leader: whether its etcd leads; None when unknown.
        quarantined: whether it is chosen for nothing while another can be.
        losses: unclean losses of its lease that are not forgotten yet.
        watchdog: how it stands with the answering member's watchdog; None for others.
        disk_ms: milliseconds since a heartbeat of it was read here on the shared disk; None when never.
        isolated_by: members that hear it no more, though the shared disk brings them newer heartbeats of it.
        hears: whom it hears by its own fresh word, itself included; None when it is not heard.
    """

    name: str
    role: Role
    address: str
    state: MemberState | None = None
    reason: str = ""
    incarnation: int = 0
    heard_ms: int | None = None
    hears_us: bool | None = None
    coordinator: bool = False
    leased: bool = False
    able: bool | None = None
    lease_left_ms: int | None = None
    unfit: tuple[str, ...] = ()
    store_leader: bool | None = None
    watchdog: WatchdogState | None = None
    quarantined: bool = False
    losses: int = 0
    disk_ms: int | None = None
    isolated_by: tuple[str, ...] = ()
    hears: tuple[str, ...] | None = None


class CopyReport(Struct, frozen=True, kw_only=True):
    """The answering member's copy of a replicated queue manager's data.

    Attributes:
        situation: what it means, a word of storage/drbd_state.py.
        role: what DRBD says: `Primary`, `Secondary` or `Unknown`.
        connection: likewise: `Connected`, `WFConnection`, `SyncTarget` and so on.
        disk: likewise, of this copy: `UpToDate`, `Inconsistent`, `Outdated` and so on.
        peer_disk: likewise, of the other one.
        percent: how far a resynchronisation has come; None when there is none.
    """

    situation: str
    role: str = ""
    connection: str = ""
    disk: str = ""
    peer_disk: str = ""
    percent: float | None = None


class QueueManagerReport(Struct, frozen=True, kw_only=True):
    """One queue manager as the answering member sees it.

    Attributes:
        name: of the queue manager.
        kind: of its driver.
        owner: the member that owns it, or None.
        target: the member that it is being moved to, or None.
        phase: how far its assignment has come.
        epoch: of its assignment.
        address: where its clients connect now; empty without an owner.
        port: likewise.
        since_unix_ms: wall-clock time of the last change of phase in milliseconds since 1970; None when unknown.
        reason: why it is where it is, a short word.
        failed_on: members that could not start it.
        local: state of its process on the answering member; None when that runs nothing of it.
        durability: what an acknowledgement is worth, a ports.Durability word; empty when unknown.
        outdated: members whose copy of its data may lack what an owner wrote, so that it can not start there.
        together: the group that is to run on one member with it; empty: none.
        apart: the group of which none is to run on one member with it; empty: none.
        mates: those that must be where it is.
        rivals: those that must not.
        untied: how its groups are not held, an Untied word; empty: they are.
        replicated: whether each data member has a copy of its data.
        copy: the answering member's copy; None when it has none, or has not looked yet.
    """

    name: str
    kind: str
    owner: str | None = None
    target: str | None = None
    phase: Phase = Phase.UNPLACED
    epoch: int = 0
    address: str = ""
    port: int = 0
    since_unix_ms: int | None = None
    reason: str = ""
    failed_on: tuple[str, ...] = ()
    local: RunState | None = None
    durability: str = ""
    outdated: tuple[str, ...] = ()
    together: str = ""
    apart: str = ""
    mates: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    untied: Untied = Untied.NONE
    replicated: bool = False
    copy: CopyReport | None = None


class StoreReport(Struct, frozen=True, kw_only=True):
    """The store as the answering member sees it.

    Attributes:
        reachable: whether its last read succeeded.
        leader: the member whose etcd leads; empty when unknown.
        revision: of the answering member's view.
        latency_ms: how long its last linearizable read took; None before the first one.
        version: of the etcd; empty when unknown.
        serving: members whose etcd served when the answering member looked, some seconds ago at most; None when
            unknown, as with an etcd that is not the members' own.
        listed: how many etcds count in etcd's majority; 0 when unknown.
        strangers: those of them whose member was removed, or is at another address now.
    """

    reachable: bool
    leader: str = ""
    revision: int = 0
    latency_ms: float | None = None
    version: str = ""
    serving: tuple[str, ...] | None = None
    listed: int = 0
    strangers: tuple[str, ...] = ()


class DiskReport(Struct, frozen=True, kw_only=True):
    """The shared disk as the answering member sees it.

    Attributes:
        path: where it sees it.
        reading: how reading stands.
        writing: how writing stands.
        read_ms: how long the last good read of all slots took.
        write_ms: how long the last good write took.
    """

    path: str
    reading: DiskState
    writing: DiskState
    read_ms: float = 0.0
    write_ms: float = 0.0


class NoticeKind(StrEnum):
    """What only the answering member can know and a person should see."""

    OVERRIDE = "override"  # an override is in force, or not over yet
    STORE_VERSION = "store_version"  # the etcd has known defects; see `detail`
    STORE_SERVER = "store_server"  # the etcd of a member that is up does not serve; see `detail`
    STORE_STRANGER = "store_stranger"  # etcd still counts one whose member was removed, or is elsewhere now
    STORE_FULL = "store_full"  # its quota is used up: it refuses writes until an operator makes room
    BAD_KEY = "bad_key"  # frames arrive that are not sealed with this cluster's key
    OTHER_CLUSTER = "other_cluster"  # frames of another cluster arrive
    NO_CGROUP = "no_cgroup"  # queue managers are held together by process group only
    STANDBY_UNREADY = "standby_unready"  # this member could not run the queue manager now; see `detail`
    REPLICA = "replica"  # a copy of replicated data is not in sync; `detail` says how it is and how far
    TIMING_DIFFERS = "timing_differs"  # the file's timers are not those in force
    SETTINGS_CACHE = "settings_cache"  # what was kept of the settings can not be read or written
    SETTINGS_PENDING = "settings_pending"  # members that do not go by the settings in force yet
    WATCHDOG_UNREADY = "watchdog_unready"  # the kernel's watchdog is wanted and can not be used
    WATCHDOG_RESET = "watchdog_reset"  # this machine went down while its watchdog was started
    DISK_LOST = "disk_lost"  # this member can not read or write the shared disk; see `detail`
    DISK_SLOT = "disk_slot"  # a member's slot on the shared disk is spoiled; see `detail`
    FENCING = "fencing"  # a queue manager of this member waits until a former owner is switched off
    HELD_BACK = "held_back"  # this member was evicted and waits until its links have held
    HOP_UNCHECKED = "hop_unchecked"  # this member is to ping its next hops and may not
    HOP_LOST = "hop_lost"  # none of that member's next hops answers it
    LINK_FLAPPING = "link_flapping"  # the link to the other member comes and goes
    ENDPOINT_AWAY = "endpoint_away"  # what it runs can not have its endpoint, or another machine claims it
    FILE_DIFFERS = "file_differs"  # the file's members or queue managers are not those in the store


class Notice(Struct, frozen=True):
    """One such thing: about whom, and a detail such as a number or a version."""

    kind: NoticeKind
    subject: str = ""
    detail: str = ""


class StatusReport(Struct, frozen=True, kw_only=True, tag_field="is", tag="status"):
    """Everything that `standfast status` shows.

    Attributes:
        cluster: name of the cluster.
        answered_by: the member that answered.
        at_unix_ms: its wall-clock time in milliseconds since 1970.
        timing: the timers in force.
        members: all voters, by name.
        queue_managers: all of them, by name.
        store: the etcd.
        orders: what operators told the cluster.
        notices: what else a person should see.
        disk: the shared disk; None when the answering member sees none.
        sinks: where events go, as the answering member's courier sees them.
    """

    cluster: str
    answered_by: str
    at_unix_ms: int
    timing: Timing
    members: tuple[MemberReport, ...]
    queue_managers: tuple[QueueManagerReport, ...]
    store: StoreReport
    orders: Orders = Orders()
    notices: tuple[Notice, ...] = ()
    disk: DiskReport | None = None
    sinks: tuple[SinkReport, ...] = ()


# ---------------------------------------------------------------- what a report means


def is_up(report: StatusReport, member: MemberReport) -> bool:
    """Whether a member counts: online in the store and heard within the doubt time (or the answering one itself)."""
    in_doubt_ms = report.timing.interval_ms * report.timing.in_doubt_after
    heard = member.name == report.answered_by or (member.heard_ms is not None and member.heard_ms <= in_doubt_ms)
    return heard and member.state is MemberState.ONLINE


def situation(report: StatusReport) -> Situation:
    """What `can_stop` wants to know, from a status. A member that was just started does not hold up anybody's lease."""
    up = {member.name: member for member in report.members if is_up(report, member) and member.able is not False}
    able = {
        qm.name: frozenset(
            name
            for name, member in up.items()
            if member.role is Role.DATA
            and name not in report.orders.drained
            and name not in {*qm.failed_on, *qm.outdated}
            and not {qm.name, ALL} & set(member.unfit)
        )
        for qm in report.queue_managers
        if qm.phase is not Phase.HALTED
    }
    serving = report.store.serving
    stores = None if serving is None else {m.name for m in report.members if is_up(report, m)} & {*serving}
    return Situation(
        members=tuple(member.name for member in report.members),
        up=frozenset(up),
        stores=None if stores is None else frozenset(stores),
        able=able,
        owners={qm.name: qm.owner for qm in report.queue_managers if qm.owner},
        frozen=report.orders.frozen,
        rank=rank(report),
        coordinator=next((m.name for m in report.members if m.coordinator), ""),
        store_leader=report.store.leader,
        store_servers=report.store.listed,
        hears={m.name: frozenset(m.hears) for m in report.members if m.hears is not None},
        mates={qm.name: frozenset(qm.mates) for qm in report.queue_managers if qm.mates},
        rivals={qm.name: frozenset(qm.rivals) for qm in report.queue_managers if qm.rivals},
    )


def rank(report: StatusReport) -> tuple[str, ...]:
    """Names in coordinator order: the drained last, else witnesses first, each by name."""
    drained = report.orders.drained
    return tuple(m.name for m in sorted(report.members, key=lambda m: (m.name in drained, m.role is Role.DATA, m.name)))
