"""What a terminal and a member say to each other over the control socket.

One JSON object a line, ended by a newline, in each direction; `do` names the request, `is` the answer. A connection
starts with `hello`; each request gets one answer, in order, except `events`, which gets any number of `event` lines
and then `end` (never, when it follows). Values carry states and reasons as enums and short words: sentences are made
by whoever shows them. Unknown keys are ignored, so that a newer side may say more.
"""

from enum import StrEnum

from msgspec import Struct, field

from standfast.member.snapshot import Snapshot
from standfast.member.warden_protocol import WatchdogState
from standfast.model.cluster import Role
from standfast.model.records import MemberState, Orders, Phase
from standfast.model.timing import Timing
from standfast.quorum.can_stop import Safety, Situation
from standfast.quorum.placement import ALL
from standfast.quorum.runs import RunState
from standfast.quorum.signals import Verdict

VERSION = 1
"""Grows when a side that knows only the older one could no longer make sense of the other."""

# ---------------------------------------------------------------- requests


class Hello(Struct, frozen=True, tag_field="do", tag="hello"):
    """Always first: the version that the client speaks."""

    version: int = VERSION


class Status(Struct, frozen=True, tag_field="do", tag="status"):
    """What the member knows now; answered by StatusReport."""


class Events(Struct, frozen=True, tag_field="do", tag="events"):
    """The event log after a revision of the store, oldest first; answered by EventLine, then End.

    Attributes:
        since: only what was written after this revision; 0 for all that is kept.
        follow: go on with each new event as it comes, without an End.
    """

    since: int = 0
    follow: bool = False


class Move(Struct, frozen=True, tag_field="do", tag="move"):
    """Run a queue manager on another member; answered by OrderResult."""

    qm: str
    to: str


class Drain(Struct, frozen=True, tag_field="do", tag="drain"):
    """Let a member run nothing; answered by OrderResult."""

    member: str


class Undrain(Struct, frozen=True, tag_field="do", tag="undrain"):
    """Let a drained member run queue managers again; answered by OrderResult."""

    member: str


class CanStop(Struct, frozen=True, tag_field="do", tag="can_stop"):
    """Whether a member may be stopped now; answered by SafetyReport."""

    member: str


class TakeSnapshot(Struct, frozen=True, tag_field="do", tag="snapshot"):
    """What the member knows, with all that the deciders need; answered by Snapshot."""


class Freeze(Struct, frozen=True, tag_field="do", tag="freeze"):
    """Suspend takeovers and moves; answered by OrderResult."""


class Thaw(Struct, frozen=True, tag_field="do", tag="thaw"):
    """Resume takeovers and moves; answered by OrderResult."""


ORDERS = (Move, Drain, Undrain, Freeze, Thaw)
"""Requests that change something."""
Request = Hello | Status | Events | Move | Drain | Undrain | CanStop | Freeze | Thaw | TakeSnapshot

# ---------------------------------------------------------------- answers


class Welcome(Struct, frozen=True, tag_field="is", tag="welcome"):
    """Who answers, and the version that it speaks."""

    version: int
    cluster: str
    member: str


class OrderResult(Struct, frozen=True, tag_field="is", tag="order_result"):
    """How an order ended. Done means that it stands in the store, not that it is carried out."""

    verdict: Verdict


class SafetyReport(Struct, frozen=True, tag_field="is", tag="safety"):
    """The answer to CanStop."""

    safety: Safety


class EventLine(Struct, frozen=True, kw_only=True, tag_field="is", tag="event"):
    """One line of the event log.

    Attributes:
        revision: of the store at which it was written; 0 for one that only the telling member holds.
        at_unix_ms: wall-clock time at the member that wrote it, in milliseconds since 1970 UTC.
        teller: the member that wrote it.
        kind: name of an EventKind; a text, because a newer member may tell of kinds unknown here.
        subject: the member or queue manager that it is about.
        fields: details, see the catalogue.
    """

    revision: int
    at_unix_ms: int
    teller: str
    kind: str
    subject: str
    fields: dict[str, str | int | float | bool | None] = field(default_factory=dict)


class End(Struct, frozen=True, tag_field="is", tag="end"):
    """No more events; the next request may ask from this revision."""

    revision: int


class Failed(Struct, frozen=True, tag_field="is", tag="failed"):
    """The request could not be answered.

    Attributes:
        error: name of a class in errors.py.
        message: what happened, why, and what to do next.
    """

    error: str
    message: str


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
        watchdog: how it stands with the answering member's watchdog; None for others.
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
    """

    reachable: bool
    leader: str = ""
    revision: int = 0
    latency_ms: float | None = None
    version: str = ""
    serving: tuple[str, ...] | None = None


class NoticeKind(StrEnum):
    """What only the answering member can know and a person should see."""

    STORE_VERSION = "store_version"  # the etcd has known defects; see `detail`
    STORE_SERVER = "store_server"  # the etcd of a member that is up does not serve; see `detail`
    STORE_FULL = "store_full"  # its quota is used up: it refuses writes until an operator makes room
    BAD_KEY = "bad_key"  # frames arrive that are not sealed with this cluster's key
    OTHER_CLUSTER = "other_cluster"  # frames of another cluster arrive
    NO_CGROUP = "no_cgroup"  # queue managers are held together by process group only
    STORAGE_UNREADY = "storage_unready"  # a probe of a storage path failed or hangs
    TIMING_DIFFERS = "timing_differs"  # the file's timers are not those in force
    WATCHDOG_UNREADY = "watchdog_unready"  # the kernel's watchdog is wanted and can not be used
    WATCHDOG_RESET = "watchdog_reset"  # this machine went down while its watchdog was started
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


Response = Welcome | OrderResult | SafetyReport | EventLine | End | Failed | StatusReport | Snapshot

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
            and name not in qm.failed_on
            and not {qm.name, ALL} & set(member.unfit)
        )
        for qm in report.queue_managers
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
    )
