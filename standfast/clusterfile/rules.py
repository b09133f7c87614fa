"""The rules that a cluster file must keep, each a small function from values to problems.

A blank value (empty text, port 0) stands for one that the reader has complained about already; rules that compare
places pass over blanks.
"""

import ipaddress
import re
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from standfast.clusterfile.places import Fault, Path, Problem
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, WatchdogMode
from standfast.model.watchdog import uncovered

MIN_MEMBERS = 3
"""Fewer can not lose one and keep a majority."""
MAX_MEMBERS = 7
"""With more, each decision waits for more answers than it gains in safety; the store's authors say the same."""
MAX_NAME = 63
MAX_TIMEOUT_S = 86_400.0
MAX_PORT = 65_535
STORAGE_KINDS = ("directory",)

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_TCP_PORTS = ("store_client_port", "store_peer_port", "health_port")
_PORTS = ("heartbeat_port", *_TCP_PORTS)


def problems(cluster: Cluster) -> Iterator[Problem]:
    """Everything that is wrong with these values, all of it."""
    return chain(
        _cluster(cluster),
        chain.from_iterable(_member(("member", i), m) for i, m in enumerate(cluster.members)),
        _sockets(cluster),
        _watchdogs(cluster),
        chain.from_iterable(_queue_manager(("queue_manager", i), q) for i, q in enumerate(cluster.queue_managers)),
        _same_names(cluster),
        _client_ports(cluster),
        _storage_paths(cluster),
        _preferred(cluster),
        _store(cluster),
    )


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
    if not text.endswith("\n"):
        yield Problem(
            Fault.NO_LAST_NEWLINE,
            (),
            "the last line has no end: if the file was cut short, copy it again; else add a line break.",
        )


def _cluster(cluster: Cluster) -> Iterator[Problem]:
    """The name, the id and the number of members."""
    yield from _name(("cluster", "name"), cluster.name)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", cluster.id):
        yield Problem(
            Fault.BAD_VALUE,
            ("cluster", "id"),
            f"id = {cluster.id!r} must be 8 to 64 letters, digits and dashes: keep the one of `standfast init`.",
        )
    count = len(cluster.members)
    if count < MIN_MEMBERS:
        yield Problem(
            Fault.MEMBER_COUNT,
            ("member",),
            f"the file has {count} of at least {MIN_MEMBERS} members: a majority must outlive one of them. "
            "Add members; a witness needs no storage. If there were more, the file was cut short.",
        )
    elif count % 2 == 0:
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


def _name(path: Path, name: str) -> Iterator[Problem]:
    if not _NAME.match(name) or len(name) > MAX_NAME:
        yield Problem(
            Fault.BAD_NAME,
            path,
            f"the name {name!r} must be 1 to {MAX_NAME} letters, digits and dashes, without a dash at either end.",
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


def _port(path: Path, port: int) -> Iterator[Problem]:
    if not 1 <= port <= MAX_PORT:
        yield Problem(Fault.BAD_VALUE, path, f"{path[-1]} = {port} is no port: choose 1 to {MAX_PORT}.")


def _member(path: Path, member: MemberSpec) -> Iterator[Problem]:
    """What one member's table must keep by itself."""
    yield from _name((*path, "name"), member.name)
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
        yield from _port((*path, key), getattr(member, key))


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


def _sockets(cluster: Cluster) -> Iterator[Problem]:
    """No two listeners of the cluster's members share an address and a port."""
    taken: dict[tuple[str, str, int], tuple[int, str]] = {}
    for number, member in enumerate(cluster.members):
        listeners = [("udp", address, "heartbeat_port") for address in member.addresses]
        listeners += [("tcp", address, key) for address in member.addresses[:1] for key in _TCP_PORTS]
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


def _queue_manager(path: Path, qm: QueueManagerSpec) -> Iterator[Problem]:
    """What one queue manager's table must keep by itself."""
    yield from _name((*path, "name"), qm.name)
    yield from _name((*path, "kind"), qm.kind)
    yield from _port((*path, "port"), qm.port)
    for key in ("start_timeout_s", "stop_timeout_s", "restart_window_s"):
        value = getattr(qm, key)
        if not 0 < value <= MAX_TIMEOUT_S:
            yield Problem(
                Fault.BAD_VALUE,
                (*path, key),
                f"{key} = {value:g} must be above 0 and at most {MAX_TIMEOUT_S:g} seconds.",
            )
    if qm.restart_limit < 0:
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "restart_limit"),
            f"restart_limit = {qm.restart_limit} must be 0 (move it at once) or more.",
        )
    if qm.storage.kind not in STORAGE_KINDS:
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "storage", "kind"),
            f"storage of kind {qm.storage.kind!r} is unknown: choose {' or '.join(STORAGE_KINDS)}.",
        )
    where = qm.storage.path
    if not where.startswith("/") or not where.isprintable() or ".." in where.split("/") or not where.strip("/"):
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "storage", "path"),
            f'path = {where!r} must be an absolute directory below /, without "..", such as "/shared/orders".',
        )


def _same_names(cluster: Cluster) -> Iterator[Problem]:
    """Names are unique even for those who do not see capitals: they become file and host names."""
    for table, named in (("member", cluster.members), ("queue_manager", cluster.queue_managers)):
        seen: dict[str, int] = {}
        for number, name in enumerate(entry.name for entry in named):
            first = seen.setdefault(name.casefold(), number)
            if name and first != number:
                yield Problem(
                    Fault.DUPLICATE,
                    (table, number, "name"),
                    f"the name {name} is also that of {table.replace('_', ' ')} {first + 1}: names must differ.",
                )


def _client_ports(cluster: Cluster) -> Iterator[Problem]:
    """All queue managers may meet on one member, next to its own listeners."""
    taken: dict[int, str] = {}
    for member in cluster.members:
        if member.role is Role.DATA and member.addresses and member.clients == member.addresses[0]:
            taken.update({getattr(member, key): f"{key} of member {member.name}" for key in _TCP_PORTS})
    for number, qm in enumerate(cluster.queue_managers):
        if not qm.port:
            continue
        if qm.port in taken:
            yield Problem(
                Fault.DUPLICATE,
                ("queue_manager", number, "port"),
                f"port = {qm.port} is also {taken[qm.port]}; both may meet on one member: choose another port.",
            )
        taken.setdefault(qm.port, f"that of queue manager {qm.name}")


def _storage_paths(cluster: Cluster) -> Iterator[Problem]:
    """No queue manager keeps its data in another's directory, or below it."""
    seen: list[tuple[str, str]] = []
    for number, qm in enumerate(cluster.queue_managers):
        parts = "/".join(part for part in qm.storage.path.split("/") if part not in {"", "."}) + "/"
        if parts == "/":
            continue
        for other, taken in seen:
            if parts.startswith(taken) or taken.startswith(parts):
                yield Problem(
                    Fault.DUPLICATE,
                    ("queue_manager", number, "storage", "path"),
                    f"path = {qm.storage.path!r} is, or holds, or lies in the directory of {other}: "
                    "give each queue manager its own.",
                )
        seen.append((qm.name, parts))


def _preferred(cluster: Cluster) -> Iterator[Problem]:
    """Preferred members exist and may run queue managers."""
    data = [m.name for m in cluster.members if m.role is Role.DATA and m.name]
    for number, qm in enumerate(cluster.queue_managers):
        path = ("queue_manager", number, "preferred")
        for name in qm.preferred:
            if name not in data:
                yield Problem(
                    Fault.NOT_A_DATA_MEMBER,
                    path,
                    f"{name!r} is not a data member: choose from {', '.join(data) or 'none yet'}.",
                )
        if len(set(qm.preferred)) < len(qm.preferred):
            yield Problem(Fault.DUPLICATE, path, "a member is listed twice: name each once.")


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
