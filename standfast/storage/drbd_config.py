"""DRBD's resource file for one queue manager: the same text on both data members, in DRBD 8.4's words or in 9's.

Guarantees: replication is synchronous (protocol C), and a lost peer freezes writes until `standfast drbd fence-peer`
has said that they may go on (`fencing resource-and-stonith`, see quorum/copies.py); DRBD resolves no split by itself.
Both halves are named by address (`floating`), so that a machine's own name does not matter.
Format: drbd.conf(5) of each version; tests have it read by the real `drbdadm` of each.
"""

from collections.abc import Mapping
from pathlib import Path

from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role

CONFIG_DIR = Path("/etc/drbd.d")
NET = {"timeout": 9, "ping-int": 1, "ping-timeout": 5, "connect-int": 2, "ko-count": 3}
"""A silent peer is noticed within about a second and a half. Units as DRBD has them: tenths of a second for timeout and
ping-timeout, seconds for the others; DRBD wants timeout below ping-int and connect-int."""
RESYNC = {"c-min-rate": "20M", "c-max-rate": "200M"}
"""A resynchronisation is not starved by a busy queue manager, as it is by default (250 KB/s): until it has ended there
is only one copy. In bytes a second."""
SPLITS = {f"after-sb-{count}pri": "disconnect" for count in (0, 1, 2)}
PAIR = 2


def halves(cluster: Cluster) -> tuple[MemberSpec, MemberSpec]:
    """The two data members, by name: each has a copy. The rules of the cluster file see to it that there are two."""
    one, other = sorted((m for m in cluster.members if m.role is Role.DATA), key=lambda m: m.name)
    return one, other


def peer_of(cluster: Cluster, me: str) -> str:
    """The other data member."""
    return next(member.name for member in halves(cluster) if member.name != me)


def resource(cluster: Cluster, spec: QueueManagerSpec, handler: str, major: int) -> str:
    """The file; `handler` is the command line of `standfast drbd` on these machines, `major` that of DRBD: 8 or 9."""
    net: dict[str, object] = {**NET, **SPLITS}
    disk = {"on-io-error": "detach", **RESYNC}
    back = "unfence-peer"
    if major < 9:  # noqa: PLR2004 - the release in which these words moved
        disk["fencing"], back = "resource-and-stonith", "after-resync-target"
    else:
        net["fencing"] = "resource-and-stonith"
    handlers = {"fence-peer": f'"{handler} fence-peer"', back: f'"{handler} unfence-peer"'}
    lines = [
        "# Made by `standfast drbd config`: change the cluster file, not this one.",
        f"resource {spec.name} {{",
        *_section("net", {"protocol": "C", **net}),
        *_section("disk", disk),
        *_section("handlers", handlers),
    ]
    for number, member in enumerate(halves(cluster)):
        family = "ipv6" if ":" in member.addresses[0] else "ipv4"
        host = f"[{member.addresses[0]}]" if family == "ipv6" else member.addresses[0]
        lines += [
            f"    floating {family} {host}:{spec.storage.port} {{  # {member.name}",
            *([f"        node-id {number};"] if major > 8 else []),  # noqa: PLR2004
            f"        device minor {spec.storage.minor};",
            f"        disk {spec.storage.disk};",
            "        meta-disk internal;",
            "    }",
        ]
    return "\n".join([*lines, "}", ""])


def _section(name: str, options: Mapping[str, object]) -> list[str]:
    return [f"    {name} {{", *(f"        {key} {value};" for key, value in options.items()), "    }"]


__all__ = ["CONFIG_DIR", "PAIR", "halves", "peer_of", "resource"]
