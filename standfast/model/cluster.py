"""What a cluster file says: the members, the queue managers and the timing. Written once, the same everywhere."""

from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from standfast.model.choices import Tie, VersionRule
from standfast.model.sinks import SinkSpec
from standfast.model.timing import PROFILES, Timing

NO_DISK = "none"
"""Stands for the path of the shared disk at a member that does not see it."""


API_PORT = 7404
"""What `standfast init` writes as api_port. The default is none: no release opens a port of an older file."""


class Role(StrEnum):
    """What a member may do."""

    DATA = "data"
    WITNESS = "witness"


class WatchdogMode(StrEnum):
    """Whether a member uses the kernel's watchdog."""

    OFF = "off"
    AUTOMATIC = "automatic"  # when it can be used
    REQUIRED = "required"  # the member runs nothing without it


class LinkLoss(StrEnum):
    """What to do when two data members lost each other and both are in touch with a majority."""

    KEEP = "keep"  # nobody has to go: right for storage that all of them share
    EVICT = "evict"  # the one that loses the comparison is evicted: for data that are copied from one to the other


class MemberSpec(Struct, frozen=True, kw_only=True):
    """One machine of the cluster.

    Attributes:
        name: unique in the cluster; letters, digits and dashes.
        role: `data` members may run queue managers, `witness` members only vote.
        addresses: one address per heartbeat link; the first also serves the store and the health page.
        client_address: where its queue managers listen; the first address when empty.
        heartbeat_port: UDP port of the heartbeats.
        store_client_port: TCP port of its etcd for members.
        store_peer_port: TCP port of its etcd for its peers.
        health_port: TCP port of the health URLs.
        api_port: TCP port of the API and its page, on the first address; 0: this member serves none.
        watchdog: whether a kernel watchdog resets the machine when its lease ends and something still runs.
        watchdog_device: the device for it.
        disk: where it sees the shared disk; empty: at the cluster's path if it is a data member, `none`: nowhere.
        priority: of two members that are equal in all else the one with the larger number stays.
        hops: IP addresses of the next hops of its clients' network, any of which must answer pings; none: no check.
    """

    name: str
    role: Role
    addresses: tuple[str, ...]
    client_address: str = ""
    heartbeat_port: int = 7400
    store_client_port: int = 7401
    store_peer_port: int = 7402
    health_port: int = 7403
    watchdog: WatchdogMode = WatchdogMode.OFF
    watchdog_device: str = "/dev/watchdog"
    disk: str = ""
    priority: int = 0
    hops: tuple[str, ...] = ()
    api_port: int = 0

    @property
    def clients(self) -> str:
        """The address that clients of its queue managers connect to."""
        return self.client_address or self.addresses[0]


class Failback(StrEnum):
    """Whether a queue manager moves back by itself to a member that it prefers."""

    NEVER = "never"
    PREFERRED = "preferred"  # as soon as that member has been eligible for failback_after_s
    WINDOW = "window"  # likewise, but only within failback_window


REPLICATED = frozenset({"drbd"})
"""Kinds of storage of which each data member has a copy of its own."""


class StorageSpec(Struct, frozen=True, kw_only=True):
    """Where a queue manager keeps its data.

    Attributes:
        kind: `directory` (shared or plain), or `drbd` (a copy on each of two data members).
        path: the directory.
        mount: whether the path must be a mount point; a missing mount then refuses the start.
        disk: drbd: the block device below it, the same name on both members.
        minor: drbd: number of the device /dev/drbdN.
        port: drbd: TCP port of the replication.
        filesystem: drbd: what is on it.
    """

    kind: str = "directory"
    path: str
    mount: bool = False
    disk: str = ""
    minor: int = 0
    port: int = 0
    filesystem: str = "ext4"

    @property
    def replicated(self) -> bool:
        """Whether each data member has a copy of its own, which may lack what the owner wrote."""
        return self.kind in REPLICATED


VIP = "vip"
"""The kind of an endpoint that is an address of the machine that runs the queue manager."""


class EndpointSpec(Struct, frozen=True, kw_only=True):
    """What clients of a queue manager connect to, wherever it runs.

    Attributes:
        kind: such as `vip`.
        options: settings of the kind, which refuses those that it does not know.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


class QueueManagerSpec(Struct, frozen=True, kw_only=True):
    """One queue manager to keep available.

    Attributes:
        name: unique in the cluster; letters, digits and dashes.
        kind: which driver runs it, such as `nats` or `mosquitto`.
        port: TCP port on which clients reach it, on whichever member runs it.
        storage: where its data are.
        preferred: data members in order of preference; the others follow by name.
        start_timeout_s: longest time from its start until it must answer, in seconds.
        stop_timeout_s: longest time for a graceful stop that nothing hurries, in seconds.
        restart_limit: restarts in place within restart_window_s before it is moved.
        restart_window_s: the window in which restarts are counted, in seconds.
        failback: whether it moves back by itself to a member that it prefers to its owner.
        failback_after_s: how long that member must have been eligible without a gap, in seconds.
        failback_window: the daily window for it as "HH:MM-HH:MM" in the owner's local time.
        options: settings of the driver; the driver refuses those that it does not know.
        halted: it is stopped and stays so until an operator wants it again.
        endpoints: what leads its clients to it.
        drain_s: how long before a planned stop no new clients are led to it, while those that are there may go on.
        together: name of a group that is to run on one member; empty: of none.
        together_rule: how much that counts, the same throughout the group.
        apart: name of a group of which no two are to run on one member; empty: of none.
        apart_rule: how much that counts, the same throughout the group.
        min_memory_mb: a member with less memory available is not chosen for it; 0: no matter.
        min_disk_mb: likewise with less free where its data are.
        version_rule: which versions of its program a member may have to be chosen, compared with the last owner's.
    """

    name: str
    kind: str
    port: int
    storage: StorageSpec
    preferred: tuple[str, ...] = ()
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 30.0
    restart_limit: int = 3
    restart_window_s: float = 60.0
    failback: Failback = Failback.NEVER
    failback_after_s: float = 60.0
    failback_window: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    halted: bool = False
    endpoints: tuple[EndpointSpec, ...] = ()
    drain_s: float = 0.0
    together: str = ""
    together_rule: Tie = Tie.STRICT
    apart: str = ""
    apart_rule: Tie = Tie.STRICT
    min_memory_mb: int = 0
    min_disk_mb: int = 16
    version_rule: VersionRule = VersionRule.NOT_OLDER


class StoreSpec(Struct, frozen=True, kw_only=True):
    """The etcd behind the cluster.

    Attributes:
        endpoints: addresses of an etcd that exists already; empty means one supervised etcd per member.
        username: for an existing etcd with authentication; empty means none.
        password_file: file with the password for it.
        ca_file: for an existing etcd with https: who signed its certificate; empty means the system's authorities.
        cert_file: for an existing etcd that asks for client certificates; empty means none.
        key_file: of that certificate.
    """

    endpoints: tuple[str, ...] = ()
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class Policy(Struct, frozen=True, kw_only=True):
    """How the cluster decides where safety leaves it a choice.

    Attributes:
        quarantine_after: unclean losses of a data member within the window until it is in quarantine: it is chosen for
            nothing as long as another member can be; 0: never.
        quarantine_window_s: a member that stayed for so long has its earlier losses forgotten, in seconds.
        quarantine_clear_s: time after which a member that stays is out of quarantine by itself, in seconds; 0: only an
            operator clears it.
        link_loss: see LinkLoss.
        hop_interval_ms: pause between two pings of a member's next hops, in milliseconds.
        hop_missed: rounds of pings without any answer until its next hop counts as lost.
        hop_found: rounds with an answer, one after the other, until a lost hop counts as found.
        starts_at_once: queue managers that one member has in their start at one moment; 0: as many as there are.
    """

    quarantine_after: int = 3
    quarantine_window_s: float = 3600.0
    quarantine_clear_s: float = 0.0
    link_loss: LinkLoss = LinkLoss.KEEP
    hop_interval_ms: int = 1000
    hop_missed: int = 5
    hop_found: int = 10
    starts_at_once: int = 20


class FenceWhen(StrEnum):
    """When a former owner is fenced of which nothing but the end of its lease says that it has stopped."""

    UNPROVEN = "unproven"  # when its storage is still held
    ALWAYS = "always"  # before each start: for storage that can not tell whether it is held


class FencingSpec(Struct, frozen=True, kw_only=True):
    """How a member is switched off, by a command with the arguments of the fence agents of ClusterLabs.

    Attributes:
        command: program and arguments; empty: nobody is fenced.
        when: see FenceWhen.
        after_s: with `unproven`, so long the storage may be held until its holder is fenced, in seconds.
        timeout_s: longest time for one attempt, in seconds.
        options: given to the command for every member; `action` is `off` unless given here.
        members: further ones for each member that can be fenced, by name, such as its plug.
    """

    command: tuple[str, ...] = ()
    when: FenceWhen = FenceWhen.UNPROVEN
    after_s: float = 2.0
    timeout_s: float = 60.0
    options: dict[str, Any] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)


class DiskSpec(Struct, frozen=True, kw_only=True):
    """The shared disk, by which members talk when the network is gone.

    Attributes:
        path: block device or file, where data members see it; empty: there is none.
    """

    path: str = ""


class AwsSpec(Struct, frozen=True, kw_only=True):
    """What a data member does as an instance of AWS.

    Attributes:
        follow_notices: move away what runs here when the instance is going to be ended.
        report_unhealthy: report the instance to its Auto Scaling group when the member is beyond repair.
        unhealthy_after_s: how long it must have been so without a break, in seconds.
        region: of the API; empty: where the instance runs.
    """

    follow_notices: bool = False
    report_unhealthy: bool = False
    unhealthy_after_s: float = 300.0
    region: str = ""


class Cluster(Struct, frozen=True, kw_only=True):
    """A whole cluster file. Everything the members must agree on.

    Attributes:
        name: of the cluster; part of every key in the store.
        id: unique, made by `standfast init`; a member of another cluster is told apart by it.
        members: all voters; odd in number, but for the time between two changes of them.
        timing: the timers.
        policy: how to decide where there is a choice.
        queue_managers: what to keep available.
        store: the etcd.
        disk: the shared disk.
        sinks: where events go.
        fencing: how to switch a member off.
        aws: what data members do as instances of AWS.
        edition: of the settings of the cluster that it was taken from while that ran; 0: it may found one.
    """

    name: str
    id: str
    members: tuple[MemberSpec, ...]
    timing: Timing = PROFILES["normal"]
    policy: Policy = Policy()
    queue_managers: tuple[QueueManagerSpec, ...] = ()
    store: StoreSpec = StoreSpec()
    disk: DiskSpec = DiskSpec()
    aws: AwsSpec = AwsSpec()
    fencing: FencingSpec = field(default_factory=FencingSpec)
    edition: int = 0
    sinks: tuple[SinkSpec, ...] = ()

    @property
    def majority(self) -> int:
        """How many members are a majority."""
        return len(self.members) // 2 + 1

    @property
    def rank(self) -> tuple[str, ...]:
        """Names in coordinator order: witnesses first, then data members, each by name."""
        return tuple(m.name for m in sorted(self.members, key=lambda m: (m.role is Role.DATA, m.name)))

    def disk_of(self, name: str) -> str:
        """Where that member sees the shared disk; empty when it does not."""
        member = self.member(name)
        if member.disk:
            return "" if member.disk == NO_DISK else member.disk
        return self.disk.path if member.role is Role.DATA else ""

    def member(self, name: str) -> MemberSpec:
        """The member of that name; raises KeyError when there is none."""
        for spec in self.members:
            if spec.name == name:
                return spec
        raise KeyError(name)
