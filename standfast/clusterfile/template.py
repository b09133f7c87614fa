"""The complete, commented cluster file that `standfast init` writes.

Every key appears: with its value where one was given, else commented out (`#key = ...`, without a space) with its
default. Taking the `#` away from such a line changes nothing.
"""

from collections.abc import Iterator, Sequence
from textwrap import wrap

import msgspec
from msgspec import Struct

from standfast.clusterfile.written import TABLES, endpoint_table, toml
from standfast.model.cluster import (
    VIP,
    AwsSpec,
    DiskSpec,
    EndpointSpec,
    MemberSpec,
    Policy,
    QueueManagerSpec,
    StorageSpec,
    StoreSpec,
)
from standfast.model.events import Severity
from standfast.model.sinks import SinkKind, SinkSpec
from standfast.model.timing import DEFAULT_PROFILE, PROFILES

WIDTH = 100

EXPLAINED: dict[type[Struct], dict[str, str]] = {
    MemberSpec: {
        "name": "Unique; letters, digits and dashes.",
        "role": '"data" may run queue managers, "witness" only votes and needs no storage.',
        "addresses": "One for each heartbeat link; the first also serves the store and the health page. "
        "A second one on another network keeps a cut of the first from costing anything.",
        "client_address": "Where its queue managers listen for clients; empty: the first address.",
        "heartbeat_port": "UDP, between members.",
        "store_client_port": "TCP, members to its etcd.",
        "store_peer_port": "TCP, etcd to etcd.",
        "health_port": "TCP, health URLs for load balancers.",
        "api_port": "TCP, the REST API and its page in the browser, on the first address (TLS); 0: none.",
        "watchdog": 'The kernel\'s watchdog resets the machine when its lease ends and something still runs: "off", '
        '"automatic" (where it can be used) or "required" (runs nothing without it). See docs/watchdog.md.',
        "watchdog_device": "The device for it.",
        "disk": "Where this member sees the shared disk, if not at the path of [disk]. Witnesses see it only if a path "
        'stands here; "none" at a data member: it does not.',
        "priority": "Of two members that are equal in all else the one with the larger number stays.",
        "hops": 'Next hops of the clients\' network, such as ["10.0.0.254"]; while none of them answers pings the '
        "member is chosen for nothing that another one could run, and hands over what it runs.",
    },
    QueueManagerSpec: {
        "name": "Unique; letters, digits and dashes.",
        "kind": "The driver that runs it, such as nats or mosquitto.",
        "port": "TCP port for clients, on whichever member runs it.",
        "storage": "",
        "preferred": "Data members in order of preference; the others follow by name.",
        "start_timeout_s": "Longest time from its start until it must answer, in seconds.",
        "stop_timeout_s": "Longest time for a graceful stop that nothing hurries, in seconds.",
        "drain_s": "Before a planned stop, how long no new clients are led to it while those that are there may go on, "
        "in seconds: docs/endpoints.md.",
        "restart_limit": "Restarts in place within restart_window_s before it is moved to another member.",
        "restart_window_s": "The window in which restarts are counted, in seconds.",
        "failback": 'Whether it moves back by itself to a member that it prefers: "never", "preferred" (as soon as '
        'that one has been well for failback_after_s) or "window" (only within failback_window).',
        "failback_after_s": "How long that member must have been well without a gap, in seconds.",
        "failback_window": 'Daily, in the owner\'s local time, such as "02:00-04:30".',
        "options": "",
        "halted": "true: it is stopped and stays so, until this is false again.",
        "min_memory_mb": "A member with less memory available is not chosen for it, in megabytes; 0: no matter.",
        "min_disk_mb": "A member that finds less free where its data are is not chosen, in megabytes; 0: no matter.",
        "version_rule": 'Its program where it is to run, compared with the last owner: "not_older", "equal" or "any".',
        "together": "Name of a group: queue managers with the same name here run on one member. See docs/groups.md.",
        "together_rule": '"strict" (rather down than on another member than the others) or "preferred".',
        "apart": "Name of a group: no two queue managers with the same name here run on one member.",
        "apart_rule": '"strict" (rather down than beside another one of the group) or "preferred".',
    },
    StorageSpec: {
        "kind": "directory: shared by all data members (NFS, EFS, a cluster file system); drbd: a copy on each of two.",
        "path": "Its own directory; nobody else writes there.",
        "mount": "true: the path must be a mount point, so that a missing mount refuses the start.",
        "disk": "drbd: the block device below it, by the same name on both members. See docs/drbd.md.",
        "minor": "drbd: number of the device /dev/drbdN.",
        "port": "drbd: TCP port of the replication.",
        "filesystem": "drbd: what is on it, ext4 or xfs.",
    },
    Policy: {
        "quarantine_after": "Unclean losses of a data member (evicted, or back after a crash that ended its queue "
        "managers) until it is in quarantine: chosen for nothing while another can be; 0: never.",
        "quarantine_window_s": "A member that stayed for so long has its earlier losses forgotten, in seconds.",
        "quarantine_clear_s": "A member in quarantine that stayed for so long is cleared by itself, in seconds; "
        "0: only `standfast clear NAME` does.",
        "link_loss": 'When two data members lost each other and both reach a majority: "keep" (nobody goes, right for '
        'shared storage) or "evict" (the one that loses the comparison of docs/arbitration.md).',
        "hop_interval_ms": "Pause between two pings of a member's next hops, in milliseconds.",
        "hop_missed": "Rounds of pings without an answer until its next hop is lost.",
        "hop_found": "Rounds with an answer until it is found again.",
        "starts_at_once": "Queue managers that one member starts at one moment, the others after them; 0: all at once.",
    },
    DiskSpec: {
        "path": "A block device or file of its own that all data members see, prepared by `standfast disk init`; "
        "empty: there is none. See docs/shared-disk.md.",
    },
    SinkSpec: {
        "name": "Unique; letters, digits and dashes.",
        "kind": "amqp (1.0), amqp091, mqtt, nats, snmp, webhook, syslog or command; see docs/alerts.md.",
        "url": "Where it is, such as nats://10.0.0.9:4222; without user and password.",
        "target": "Queue, address, topic or subject there.",
        "queue_manager": "It is on that queue manager of this cluster, wherever that runs: this replaces the host "
        "and the port of the url.",
        "severity": 'The least severity that it takes: "info", "warning" or "critical".',
        "only": "Kinds of events that it takes; empty: all.",
        "delivery": '"usual": for queues from the store\'s log, for others at once from each member; or '
        '"from_log" or "at_once".',
        "deadline_s": "Longest time for one delivery, in seconds.",
        "username": "At the sink.",
        "password_file": "File on each member with the password, or with the community of SNMP version 2c.",
        "ca_file": "Who signed its certificate; empty: the system's authorities.",
        "cert_file": "For a sink that asks for client certificates.",
        "key_file": "Of that certificate.",
        "options": "",
    },
    AwsSpec: {
        "follow_notices": "Move away what runs on an instance that is going to be ended: a spot instance, a scheduled "
        "event, its Auto Scaling group. See docs/instances.md.",
        "report_unhealthy": "Report an instance to its Auto Scaling group when its member is beyond repair.",
        "unhealthy_after_s": "How long it must have been so without a break, in seconds.",
        "region": "Of the API; empty: where the instance runs.",
    },
    StoreSpec: {
        "endpoints": 'An etcd that exists already, such as ["https://10.0.0.9:2379"]; '
        "empty: Standfast runs one etcd on each member.",
        "username": "For an existing etcd with authentication.",
        "password_file": "File that holds the password for it.",
        "ca_file": "For an existing etcd with https: who signed its certificate; empty: the system's authorities.",
        "cert_file": "For an existing etcd that asks for client certificates.",
        "key_file": "Of that certificate.",
    },
}
"""What each key means. Tables within tables say nothing here, they have a section of their own."""

_HEAD = """\
A Standfast cluster. Every member gets the same file.
Check it with `standfast check cluster.toml --member NAME`, on each machine.
Lines such as `#key = value` show the defaults.
"""
_CLUSTER = "Do not change name and id while the cluster has data: members of another cluster are told apart by them."
_TIMING = """\
The timers. A profile sets all of them; single values below change it. An inconsistent set is refused with a sentence.
"""
_POLICY = "How to decide where safety leaves a choice."
_DISK = "A shared disk, by which members talk when the whole network is gone."
_AWS = "What data members do as instances of AWS."
_MEMBERS = """\
The voters: an odd number, 3 or more; a majority of them must reach each other. Two data members and a witness are \
the smallest cluster that survives the loss of any one machine.
"""
_QUEUE_MANAGERS = "What to keep available. Each runs on one data member at a time."
_EXAMPLE = QueueManagerSpec(
    name="orders", kind="nats", port=4222, storage=StorageSpec(path="/shared/orders"), options={}
)
_SINKS = "Where events go, so that a person hears of them: docs/alerts.md."
_EXAMPLE_SINK = SinkSpec(name="syslog", kind=SinkKind.SYSLOG, url="unix:///dev/log", severity=Severity.WARNING)
_OPTIONS = "Settings of the driver; `standfast check` names those that it does not know."

_ENDPOINTS = "What leads clients to it wherever it runs, such as an address that moves with it: docs/endpoints.md."
_VIP = EndpointSpec(kind=VIP, options={"address": "10.0.0.100"})


def template(
    name: str,
    cluster_id: str,
    members: Sequence[MemberSpec],
    queue_managers: Sequence[QueueManagerSpec] = (),
    profile: str = DEFAULT_PROFILE,
) -> str:
    """The text of a cluster file; it ends with a newline. Without queue managers it shows one, commented out."""
    lines = [
        *_comment(_HEAD),
        "",
        "[cluster]",
        *_comment(_CLUSTER),
        f"name = {toml(name)}",
        f"id = {toml(cluster_id)}",
        "",
        *_timing(profile),
        "",
        "[policy]",
        *_comment(_POLICY),
        *_keys(Policy()),
        "",
        "[store]",
        *_keys(StoreSpec()),
        "",
        "[disk]",
        *_comment(_DISK),
        *_keys(DiskSpec()),
        "",
        "[aws]",
        *_comment(_AWS),
        *_keys(AwsSpec()),
        "",
        *_comment(_MEMBERS),
    ]
    for number, member in enumerate(members):
        lines += ["[[member]]", *_keys(member, explain=number == 0), ""]
    lines += _comment(_QUEUE_MANAGERS)
    for number, qm in enumerate(queue_managers):
        lines += [*_queue_manager(qm, explain=number == 0), ""]
    if not queue_managers:
        lines += map(_commented, _queue_manager(_EXAMPLE))
    lines += ["", *_comment(_SINKS), *map(_commented, ["[[sink]]", *_keys(_EXAMPLE_SINK), "[sink.options]"])]
    while not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def _commented(line: str) -> str:
    return line if line.startswith("#") or not line else f"#{line}"


def _timing(profile: str) -> Iterator[str]:
    """The section with what each profile means, and when what happens under the chosen one."""
    yield "[timing]"
    yield from _comment(_TIMING)
    for name, timers in PROFILES.items():
        yield f"# {name:9} heartbeat every {timers.interval_ms:4} ms, a lease of {timers.term_ms:5} ms"
    yield f"profile = {toml(profile)}"
    yield f"# After the last heartbeat that a majority acknowledged, under {profile}:"
    chosen = PROFILES[profile]
    for at_ms, sentence in chosen.timeline():
        yield f"# {at_ms:6} ms  {sentence}"
    explained = {
        "interval_ms": "Time between two heartbeats, in milliseconds.",
        "in_doubt_after": "Missed heartbeats until a member is in doubt.",
        "evict_after": "Missed heartbeats until it may be evicted; this many intervals are the term of its lease.",
        "graceful_ms": "Budget for the graceful stop of its queue managers when the lease runs out.",
        "kill_ms": "Budget after that for SIGKILL and for letting go of the storage.",
    }
    for field in msgspec.structs.fields(chosen):
        yield from _comment(explained[field.name])
        yield f"#{field.name} = {getattr(chosen, field.name)}"


def _queue_manager(qm: QueueManagerSpec, *, explain: bool = True) -> Iterator[str]:
    """One queue manager with its tables."""
    yield "[[queue_manager]]"
    yield from _keys(qm, explain=explain)
    yield "[queue_manager.storage]"
    yield from _keys(qm.storage, explain=explain)
    yield "[queue_manager.options]"
    if explain:
        yield from _comment(_OPTIONS)
    yield from (f"{key} = {toml(value)}" for key, value in qm.options.items())
    if explain:
        yield from _comment(_ENDPOINTS)
        if not qm.endpoints:
            yield from (f"# {line}" for line in endpoint_table(_VIP))
    for endpoint in qm.endpoints:
        yield from endpoint_table(endpoint)


def _keys(spec: Struct, *, explain: bool = True) -> Iterator[str]:
    """The keys of one table: given ones live, defaults commented out."""
    explained = EXPLAINED[type(spec)]
    for field in msgspec.structs.fields(spec):
        value = getattr(spec, field.name)
        if isinstance(value, Struct | dict) or (isinstance(spec, QueueManagerSpec) and field.name == TABLES):
            continue
        if explain:
            yield from _comment(explained[field.name])
        live = field.required or value != field.default
        yield f"{'' if live else '#'}{field.name} = {toml(value)}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for paragraph in text.splitlines() for line in wrap(paragraph, WIDTH - 2)]
