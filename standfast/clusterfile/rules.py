"""The rules that a cluster file must keep, each a small function from values to problems.

A blank value (empty text, port 0) stands for one that the reader has complained about already; rules that compare
places pass over blanks.
"""

import ipaddress
import re
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from standfast.clusterfile import fencing, groups, queue_managers, sinks
from standfast.clusterfile.places import Fault, Path, Problem
from standfast.clusterfile.words import OPTIONAL_PORTS, TCP_PORTS, name, port
from standfast.model.cluster import NO_DISK, Cluster, MemberSpec, Policy, Role, WatchdogMode
from standfast.model.watchdog import uncovered

MIN_MEMBERS = 3
"""Fewer can not lose one and keep a majority."""
MAX_MEMBERS = 7
"""With more, each decision waits for more answers than it gains in safety; the store's authors say the same."""
MIN_DISK_MEMBERS = 2
"""Fewer have nobody to talk to by it."""
MAX_POLICY_S = 31_536_000.0
MIN_UNHEALTHY_S = 10.0
MAX_PRIORITY = 1_000_000
HOP_LIMITS = {"hop_interval_ms": (50, 60_000), "hop_missed": (2, 100), "hop_found": (2, 1000)}

_PORTS = ("heartbeat_port", *TCP_PORTS)


def problems(cluster: Cluster) -> Iterator[Problem]:
    """Everything that is wrong with these values, all of it."""
    return chain(
        _cluster(cluster),
        chain.from_iterable(_member(("member", i), m) for i, m in enumerate(cluster.members)),
        _sockets(cluster),
        _watchdogs(cluster),
        queue_managers.problems(cluster),
        groups.problems(cluster),
        sinks.problems(cluster),
        _policy(cluster),
        fencing.problems(cluster),
        _disk(cluster),
        _aws(cluster),
        _same_names(cluster),
        _store(cluster),
    )


def member_problems(spec: MemberSpec) -> Iterator[Problem]:
    """Everything that is wrong with one member by itself."""
    return _member(("member",), spec)


def warnings(cluster: Cluster, text: str) -> Iterator[Problem]:
    """What is legal and yet worth a look."""
    data = [m.name for m in cluster.members if m.role is Role.DATA]
    if len(data) == 1:
        yield Problem(
            Fault.ONE_DATA_MEMBER,
            ("member",),
            f"{data[0]} is the only data member: no other can take over its queue managers. Make a second one.",
        )
    if len(cluster.members) > MAX_MEMBERS:
        yield Problem(
            Fault.MANY_MEMBERS,
            ("member",),
            f"{len(cluster.members)} members vote: more than {MAX_MEMBERS} make decisions slower, not safer.",
        )
    yield from _idle_watchdogs(cluster)
    yield from _lonely_disk(cluster)
    yield from groups.warnings(cluster)
    if not text.endswith("\n"):
        yield Problem(
            Fault.NO_LAST_NEWLINE,
            (),
            "the last line has no end: if the file was cut short, copy it again; else add a line break.",
        )


def _cluster(cluster: Cluster) -> Iterator[Problem]:
    """The name, the id and the number of members."""
    yield from name(("cluster", "name"), cluster.name)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", cluster.id):
        yield Problem(
            Fault.BAD_VALUE,
            ("cluster", "id"),
            f"id = {cluster.id!r} must be 8 to 64 letters, digits and dashes: keep the one of `standfast init`.",
        )
    if cluster.edition < 0:
        yield Problem(Fault.BAD_VALUE, ("cluster", "edition"), "it is never negative: leave it as it was written.")
    count = len(cluster.members)
    if count < MIN_MEMBERS:
        yield Problem(
            Fault.MEMBER_COUNT,
            ("member",),
            f"the file has {count} of at least {MIN_MEMBERS} members: a majority must outlive one of them. "
            "Add members; a witness needs no storage. If there were more, the file was cut short.",
        )
    elif count % 2 == 0 and not cluster.edition:
        yield Problem(
            Fault.MEMBER_COUNT,
            ("member",),
            f"{count} members are an even number: split in half, neither side has a majority. Add a witness.",
        )
    if cluster.members and not any(m.role is Role.DATA for m in cluster.members):
        yield Problem(
            Fault.NO_DATA_MEMBER,
            ("member",),
            'no member has role = "data": nothing could run a queue manager. Make two of them data members.',
        )


def _address(path: Path, address: str) -> Iterator[Problem]:
    """An address that others can connect to. No host names: a name service must not decide who hears whom."""
    try:
        wildcard = ipaddress.ip_address(address).is_unspecified
    except ValueError:
        yield Problem(
            Fault.BAD_VALUE,
            path,
            f"{address!r} is no IP address: give it in figures, without port, brackets or netmask, and no host name.",
        )
        return
    if wildcard:
        yield Problem(
            Fault.BAD_VALUE, path, f"{address} means every address: give the one that the others reach it at."
        )


def _member(path: Path, member: MemberSpec) -> Iterator[Problem]:
    """What one member's table must keep by itself."""
    yield from name((*path, "name"), member.name)
    if not member.addresses:
        yield Problem(
            Fault.BAD_VALUE, (*path, "addresses"), 'the list is empty: give one address, such as ["10.0.0.1"].'
        )
    for address in member.addresses:
        yield from _address((*path, "addresses"), address)
    if len(set(member.addresses)) < len(member.addresses):
        yield Problem(Fault.DUPLICATE, (*path, "addresses"), "an address is listed twice: each is a link of its own.")
    if member.client_address:
        yield from _address((*path, "client_address"), member.client_address)
    for key in _PORTS:
        if getattr(member, key) or key not in OPTIONAL_PORTS:
            yield from port((*path, key), getattr(member, key))
    if abs(member.priority) > MAX_PRIORITY:
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "priority"),
            f"priority = {member.priority} must be -{MAX_PRIORITY} to {MAX_PRIORITY}.",
        )
    for hop in member.hops:
        yield from _address((*path, "hops"), hop)
    if len(set(member.hops)) < len(member.hops):
        yield Problem(Fault.DUPLICATE, (*path, "hops"), "a hop is listed twice: name each once.")


def _watchdogs(cluster: Cluster) -> Iterator[Problem]:
    """A required watchdog can keep the timing; the device is named as an absolute path."""
    reason = uncovered(cluster.timing)
    for number, member in enumerate(cluster.members):
        if reason and member.watchdog is WatchdogMode.REQUIRED:
            yield Problem(Fault.WATCHDOG, ("member", number, "watchdog"), reason)
        if not member.watchdog_device.startswith("/"):
            yield Problem(
                Fault.BAD_VALUE,
                ("member", number, "watchdog_device"),
                f'watchdog_device = {member.watchdog_device!r} must be an absolute path, such as "/dev/watchdog0".',
            )


def _idle_watchdogs(cluster: Cluster) -> Iterator[Problem]:
    """Watchdogs that will not be used."""
    reason = uncovered(cluster.timing)
    for number, member in enumerate(cluster.members):
        path = ("member", number, "watchdog")
        if member.watchdog is WatchdogMode.OFF:
            continue
        if member.role is Role.WITNESS:
            yield Problem(Fault.WATCHDOG, path, "a witness runs nothing that a watchdog could guard: leave it out.")
        elif reason:
            yield Problem(Fault.WATCHDOG, path, f"it will not be used: {reason}")


def _disk(cluster: Cluster) -> Iterator[Problem]:
    """Paths of the shared disk are absolute: a daemon may start in any directory."""
    paths: list[tuple[Path, str, str]] = [(("disk", "path"), cluster.disk.path, "")]
    paths += [(("member", i, "disk"), m.disk, f' or "{NO_DISK}"') for i, m in enumerate(cluster.members)]
    for path, where, other in paths:
        if where and not where.startswith("/") and not (other and where == NO_DISK):
            sentence = f'{path[-1]} = {where!r} must be an absolute path, such as "/dev/disk/by-id/..."{other}.'
            yield Problem(Fault.BAD_VALUE, path, sentence)


def _aws(cluster: Cluster) -> Iterator[Problem]:
    """Time to mend itself before its machine is given up."""
    value = cluster.aws.unhealthy_after_s
    if not MIN_UNHEALTHY_S <= value <= MAX_POLICY_S:
        sentence = f"unhealthy_after_s = {value:g} must be {MIN_UNHEALTHY_S:g} to {MAX_POLICY_S:g} seconds."
        yield Problem(Fault.BAD_VALUE, ("aws", "unhealthy_after_s"), sentence)


def _lonely_disk(cluster: Cluster) -> Iterator[Problem]:
    """A shared disk that only one member sees, or none."""
    seen_by = [m.name for m in cluster.members if cluster.disk_of(m.name)]
    wanted = cluster.disk.path or any(m.disk and m.disk != NO_DISK for m in cluster.members)
    if wanted and len(seen_by) < MIN_DISK_MEMBERS:
        yield Problem(
            Fault.LONELY_DISK,
            ("disk",),
            f"{seen_by[0] if seen_by else 'nobody'} alone sees the shared disk: it helps where two members do.",
        )


def _sockets(cluster: Cluster) -> Iterator[Problem]:
    """No two listeners of the cluster's members share an address and a port."""
    taken: dict[tuple[str, str, int], tuple[int, str]] = {}
    for number, member in enumerate(cluster.members):
        listeners = [("udp", address, "heartbeat_port") for address in member.addresses]
        listeners += [("tcp", address, key) for address in member.addresses[:1] for key in TCP_PORTS]
        for protocol, address, key in listeners:
            port = getattr(member, key)
            if not port:
                continue
            other, other_key = taken.setdefault((protocol, address, port), (number, key))
            if other != number:
                yield Problem(
                    Fault.DUPLICATE,
                    ("member", number, "addresses"),
                    f"{address} port {port} is also member {other + 1} ({cluster.members[other].name})'s: "
                    "give each member an address, or ports, of its own.",
                )
            elif other_key != key:
                yield Problem(
                    Fault.DUPLICATE,
                    ("member", number, key),
                    f"{key} = {port} is also {other_key}: choose another port.",
                )


def _same_names(cluster: Cluster) -> Iterator[Problem]:
    """Names are unique even for those who do not see capitals: they become file and host names."""
    for table, named in (
        ("member", cluster.members),
        ("queue_manager", cluster.queue_managers),
        ("sink", cluster.sinks),
    ):
        seen: dict[str, int] = {}
        for number, word in enumerate(entry.name for entry in named):
            first = seen.setdefault(word.casefold(), number)
            if word and first != number:
                yield Problem(
                    Fault.DUPLICATE,
                    (table, number, "name"),
                    f"the name {word} is also that of {table.replace('_', ' ')} {first + 1}: names must differ.",
                )


def _policy(cluster: Cluster) -> Iterator[Problem]:
    """Numbers that make sense."""
    policy = cluster.policy
    if policy.quarantine_after < 0:
        yield Problem(
            Fault.BAD_VALUE,
            ("policy", "quarantine_after"),
            f"quarantine_after = {policy.quarantine_after} must be 0 (never) or more.",
        )
    if policy.starts_at_once < 0:
        yield Problem(
            Fault.BAD_VALUE,
            ("policy", "starts_at_once"),
            f"starts_at_once = {policy.starts_at_once} must be 0 (all at once) or more.",
        )
    for key, least in (("quarantine_window_s", 1.0), ("quarantine_clear_s", 0.0)):
        value = getattr(policy, key)
        if not least <= value <= MAX_POLICY_S:
            yield Problem(
                Fault.BAD_VALUE,
                ("policy", key),
                f"{key} = {value:g} must be {least:g} to {MAX_POLICY_S:g} seconds.",
            )
    yield from _hop_numbers(policy)


def _hop_numbers(policy: Policy) -> Iterator[Problem]:
    for key, (low, high) in HOP_LIMITS.items():
        value = getattr(policy, key)
        if not low <= value <= high:
            yield Problem(Fault.BAD_VALUE, ("policy", key), f"{key} = {value} must be {low} to {high}.")
    if policy.hop_found < policy.hop_missed:
        yield Problem(
            Fault.BAD_VALUE,
            ("policy", "hop_found"),
            f"hop_found = {policy.hop_found} must be at least hop_missed = {policy.hop_missed}: what comes and goes "
            "must not count as found sooner than as lost.",
        )


def _store(cluster: Cluster) -> Iterator[Problem]:
    """An etcd that exists already: URLs with a scheme and a port; a user has a password."""
    store = cluster.store
    for endpoint in store.endpoints:
        if not _is_endpoint(endpoint):
            yield Problem(
                Fault.BAD_VALUE,
                ("store", "endpoints"),
                f'{endpoint!r} is no endpoint: write scheme, address and port, such as "https://10.0.0.9:2379".',
            )
    if bool(store.username) != bool(store.password_file):
        lacking = "password_file" if store.username else "username"
        yield Problem(
            Fault.MISSING, ("store", lacking), f"{lacking} is missing: username and password_file go together."
        )
    if bool(store.cert_file) != bool(store.key_file):
        lacking = "key_file" if store.cert_file else "cert_file"
        yield Problem(Fault.MISSING, ("store", lacking), f"{lacking} is missing: cert_file and key_file go together.")
    if store.username and not store.endpoints:
        yield Problem(
            Fault.BAD_VALUE,
            ("store", "username"),
            "username is for an etcd that exists already: give its endpoints, or leave username out.",
        )


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname and parts.port) and parts.path in {"", "/"}
    except ValueError:
        return False
