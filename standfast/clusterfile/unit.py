"""What systemd must know of a cluster file: a drop-in for `standfast.service` on one member's machine.

Guarantees: what a queue manager's data are mounted on is mounted before the member starts, and unmounted only after it
has stopped; systemd waits for a clean stop as long as the slowest queue manager may take.

Does not make the member depend on a mount: one that fails costs that queue manager its place here (`mount = true`
sees to that), but must not cost the cluster this member's vote. So it says Wants= and After= where
RequiresMountsFor= would refuse the start, and would not try again once the storage is back.

Formats: systemd.unit(5), systemd.mount(5), and the escaping of paths in systemd-escape(1).
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from standfast.model.cluster import Cluster, MemberSpec, Role

BEYOND_S = 30
"""What a stop may take beyond the queue managers: handing over, the store's last word, etcd's end."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
_WITNESS = """\
# A witness only votes: it needs no device, no storage and no right but those that keep its warden awake.
CapabilityBoundingSet=
CapabilityBoundingSet=CAP_CHOWN CAP_IPC_LOCK CAP_SYS_NICE CAP_SYS_RESOURCE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictSUIDSGID=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service"""
_NO_DEVICES = "PrivateDevices=yes"


def escaped(path: str) -> str:
    r"""A path as systemd names its unit, without a suffix: `/shared/my-data` is `shared-my\x2ddata`."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-"
    name = "-".join("".join(c if c in _PLAIN else _hex(c) for c in part) for part in parts)
    return _hex(".") + name[1:] if name.startswith(".") else name


def _hex(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def mount_units(path: str) -> list[str]:
    """Units of all mount points that the path may lie on, the root's left out; those that do not exist do no harm."""
    whole = PurePosixPath(path)
    above = [str(place) for place in (*reversed(whole.parents), whole) if str(place) != "/"]
    return [f"{escaped(place)}.mount" for place in above]


def drop_in(cluster: Cluster, member: MemberSpec) -> str:
    """The text for `standfast.service.d/`; it ends with a newline."""
    return "\n".join(_lines(cluster, member)) + "\n"


def _lines(cluster: Cluster, member: MemberSpec) -> Iterator[str]:
    yield f"# For member {member.name} of cluster {cluster.name}, made by `standfast unit`."
    yield "# Make it anew when queue managers or their storage change; `standfast check` compares."
    if member.role is Role.WITNESS:
        yield "[Service]"
        yield _WITNESS
        if member.hops:
            yield "# For its pings, where the kernel allows them to nobody else."
            yield "CapabilityBoundingSet=CAP_NET_RAW"
        if not cluster.disk_of(member.name):
            yield _NO_DEVICES
        return
    if units := _once(unit for spec in cluster.queue_managers for unit in mount_units(spec.storage.path)):
        yield "[Unit]"
        yield "# Wanted, not required: a member whose mount fails still votes."
        yield f"Wants={' '.join(units)}"
        yield f"After={' '.join(units)}"
    slowest_s = max((spec.stop_timeout_s for spec in cluster.queue_managers), default=0)
    yield "[Service]"
    yield f"TimeoutStopSec={math.ceil(slowest_s) + BEYOND_S}"


def _once(units: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(units))
