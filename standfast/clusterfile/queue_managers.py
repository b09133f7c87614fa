"""The rules that the queue managers of a cluster file must keep, each by itself and all together."""

from collections.abc import Iterator
from itertools import chain

from standfast.clusterfile.places import Fault, Path, Problem
from standfast.clusterfile.replicated import problems as replicated
from standfast.clusterfile.window import WindowError, window
from standfast.clusterfile.words import TCP_PORTS, name, port
from standfast.model.cluster import VIP, Cluster, EndpointSpec, Failback, QueueManagerSpec, Role

MAX_TIMEOUT_S = 86_400.0
STORAGE_KINDS = ("directory", "drbd")


def problems(cluster: Cluster) -> Iterator[Problem]:
    """Everything that is wrong with them."""
    return chain(
        chain.from_iterable(_queue_manager(("queue_manager", i), q) for i, q in enumerate(cluster.queue_managers)),
        _client_ports(cluster),
        _storage_paths(cluster),
        replicated(cluster),
        _preferred(cluster),
        _endpoints(cluster),
    )


def _queue_manager(path: Path, qm: QueueManagerSpec) -> Iterator[Problem]:
    """What one queue manager's table must keep by itself."""
    yield from name((*path, "name"), qm.name)
    yield from name((*path, "kind"), qm.kind)
    yield from port((*path, "port"), qm.port)
    for key in ("start_timeout_s", "stop_timeout_s", "restart_window_s"):
        value = getattr(qm, key)
        if not 0 < value <= MAX_TIMEOUT_S:
            yield Problem(
                Fault.BAD_VALUE,
                (*path, key),
                f"{key} = {value:g} must be above 0 and at most {MAX_TIMEOUT_S:g} seconds.",
            )
    if qm.drain_s and not 0 < qm.drain_s < qm.stop_timeout_s:
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "drain_s"),
            f"drain_s = {qm.drain_s:g} must be 0 or more, and less than stop_timeout_s = {qm.stop_timeout_s:g}.",
        )
    for key in ("min_memory_mb", "min_disk_mb"):
        if getattr(qm, key) < 0:
            yield Problem(Fault.BAD_VALUE, (*path, key), f"{key} = {getattr(qm, key)} must be 0 (no matter) or more.")
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
    yield from _failback(path, qm)
    where = qm.storage.path
    if not where.startswith("/") or not where.isprintable() or ".." in where.split("/") or not where.strip("/"):
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "storage", "path"),
            f'path = {where!r} must be an absolute directory below /, without "..", such as "/shared/orders".',
        )


def _failback(path: Path, qm: QueueManagerSpec) -> Iterator[Problem]:
    """Moving back has a member to move to, a wait, and a window where it needs one."""
    if qm.failback is not Failback.NEVER and not qm.preferred:
        yield Problem(
            Fault.MISSING,
            (*path, "preferred"),
            f'failback = "{qm.failback}" needs to know where to: add preferred = ["NAME"].',
        )
    if not 0 <= qm.failback_after_s <= MAX_TIMEOUT_S:
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "failback_after_s"),
            f"failback_after_s = {qm.failback_after_s:g} must be 0 to {MAX_TIMEOUT_S:g} seconds.",
        )
    if qm.failback_window or qm.failback is Failback.WINDOW:
        try:
            window(qm.failback_window)
        except WindowError as error:
            yield Problem(Fault.BAD_VALUE, (*path, "failback_window"), str(error))


def _client_ports(cluster: Cluster) -> Iterator[Problem]:
    """All queue managers may meet on one member, next to its own listeners."""
    taken: dict[int, str] = {}
    for member in cluster.members:
        if member.role is Role.DATA and member.addresses and member.clients == member.addresses[0]:
            taken.update({getattr(member, key): f"{key} of member {member.name}" for key in TCP_PORTS})
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
        for member in qm.preferred:
            if member not in data:
                yield Problem(
                    Fault.NOT_A_DATA_MEMBER,
                    path,
                    f"{member!r} is not a data member: choose from {', '.join(data) or 'none yet'}.",
                )
        if len(set(qm.preferred)) < len(qm.preferred):
            yield Problem(Fault.DUPLICATE, path, "a member is listed twice: name each once.")


def _endpoints(cluster: Cluster) -> Iterator[Problem]:
    """Each leads to one queue manager, and none is what a member is reached at."""
    taken: list[tuple[EndpointSpec, str]] = []
    own = {address: m.name for m in cluster.members for address in (*m.addresses, m.client_address)}
    for number, qm in enumerate(cluster.queue_managers):
        for place, endpoint in enumerate(qm.endpoints):
            path: Path = ("queue_manager", number, "endpoints", place)
            yield from name((*path, "kind"), endpoint.kind.replace("_", ""))
            for other, whose in taken:
                if other == endpoint:
                    yield Problem(
                        Fault.DUPLICATE, path, f"it leads to {whose} already: give each queue manager its own."
                    )
            taken.append((endpoint, qm.name))
            address = endpoint.options.get("address")
            if endpoint.kind == VIP and isinstance(address, str) and address in own:
                yield Problem(
                    Fault.DUPLICATE,
                    (*path, "address"),
                    f"{address} is an address of member {own[address]}: take one that no machine has.",
                )
