"""What DRBD says of one resource, and what it means: a table of situations.

Read from `/proc/drbd` with DRBD 8.4 and from `drbdsetup status --json` with 9. Standard library only.
"""

import json
import re
from enum import StrEnum
from typing import Any, NamedTuple


class Replica(NamedTuple):
    """One resource, as this machine has it.

    Attributes:
        connection: `Connected`, `StandAlone`, `WFConnection` or `Connecting`, or a state of resynchronisation.
        role: `Primary`, `Secondary` or `Unknown`; `peer_role` likewise.
        disk: `UpToDate`, `Outdated`, `Inconsistent`, `Diskless` and so on; `peer_disk` likewise.
        frozen: writes wait for the fence-peer handler.
        percent: how far a resynchronisation has come; None when there is none.
    """

    connection: str
    role: str
    peer_role: str
    disk: str
    peer_disk: str
    frozen: bool = False
    percent: float | None = None

    @property
    def in_sync(self) -> bool:
        """Whether the peer has all data, and gets every write."""
        return self.connection == "Connected" and self.peer_disk == "UpToDate" and self.disk == "UpToDate"


class Situation(StrEnum):
    """What that means for an operator."""

    DOWN = "down"  # the resource is not up on this machine
    IN_SYNC = "in_sync"
    RESYNC = "resync"  # one half is being brought up to date
    ALONE = "alone"  # the peer is not connected
    FROZEN = "frozen"  # writes wait until the store says that the peer's copy is outdated
    SPLIT = "split"  # both halves were written to: one has to give up what it wrote
    OUTDATED = "outdated"  # the peer has data that this half lacks
    INCONSISTENT = "inconsistent"  # a resynchronisation was cut off: this half is of no use alone
    DISKLESS = "diskless"  # the backing disk failed or is not attached


NEXT: dict[Situation, str] = {
    Situation.DOWN: "Bring it up on this machine: `drbdadm up RESOURCE`; the kernel module must be loaded.",
    Situation.IN_SYNC: "Nothing to do.",
    Situation.RESYNC: "Wait: it says how far it is.",
    Situation.ALONE: "Mend the other machine or the link between them; it resynchronises by itself.",
    Situation.FROZEN: "Have a majority of members reach each other; writes then go on by themselves.",
    Situation.SPLIT: "On the member whose copy is outdated by the store: `standfast drbd heal QM`; then on the other.",
    Situation.OUTDATED: "Let it connect to the other machine; it resynchronises by itself.",
    Situation.INCONSISTENT: "Let it connect to the other machine; it resynchronises by itself.",
    Situation.DISKLESS: "See the kernel log; replace the disk, then `drbdadm create-md` and `drbdadm up`.",
}
STARTABLE = frozenset({"UpToDate", "Consistent"})
"""Disks on which a queue manager may start, as far as this half knows; the store knows better."""


def situation(replica: Replica | None) -> Situation:
    """The first that is so, the gravest first."""
    if replica is None:
        return Situation.DOWN
    told = (
        (replica.disk in {"Diskless", "Failed", "Detaching"}, Situation.DISKLESS),
        (replica.connection == "StandAlone", Situation.SPLIT),
        (replica.frozen, Situation.FROZEN),
        (replica.percent is not None, Situation.RESYNC),
        (replica.disk == "Inconsistent", Situation.INCONSISTENT),
        (replica.disk == "Outdated", Situation.OUTDATED),
        (replica.in_sync, Situation.IN_SYNC),
    )
    return next((which for is_so, which in told if is_so), Situation.ALONE)


_LINE = re.compile(r"^ *(\d+): cs:(\S+)(?: ro:(\S+)/(\S+) ds:(\S+)/(\S+) (.) (\S+))?", re.MULTILINE)
"""The protocol's letter is a blank in a half that is StandAlone."""
_PERCENT = re.compile(r"sync'ed: *([0-9.]+)%")
_FROZEN_FLAG = "s"


def from_proc(text: str, minor: int) -> Replica | None:
    """Of DRBD 8.4's /proc/drbd; None when the device is not configured."""
    found = list(_LINE.finditer(text))
    for match, following in zip(found, [*found[1:], None], strict=True):
        if int(match[1]) != minor or match[3] is None:
            continue
        block = text[match.start() : following.start() if following else len(text)]
        percent = _PERCENT.search(block)
        return Replica(
            connection=match[2],
            role=match[3],
            peer_role=match[4],
            disk=match[5],
            peer_disk=match[6],
            frozen=match[8].startswith(_FROZEN_FLAG),
            percent=float(percent[1]) if percent else None,
        )
    return None


def from_status(text: str, minor: int) -> Replica | None:
    """Of DRBD 9's `drbdsetup status --json`; None when the device is not configured."""
    for resource in json.loads(text):
        for device in resource["devices"]:
            if device["minor"] == minor:
                return _of_nine(resource, device)
    return None


def _of_nine(resource: dict[str, Any], device: dict[str, Any]) -> Replica:
    connection: dict[str, Any] = next(iter(resource.get("connections", ())), {})
    peers = connection.get("peer_devices", ())
    peer: dict[str, Any] = next((p for p in peers if p["volume"] == device["volume"]), {})
    state = connection.get("connection-state", "StandAlone")
    replication = peer.get("replication-state", "Off")
    syncing = "Sync" in replication
    return Replica(
        connection=replication if syncing else state,
        role=resource["role"],
        peer_role=connection.get("peer-role", "Unknown"),
        disk=device["disk-state"],
        peer_disk=peer.get("peer-disk-state", "DUnknown"),
        frozen=bool(resource.get("suspended-fencing")),
        percent=float(peer.get("percent-in-sync", 0.0)) if syncing else None,
    )


__all__ = ["NEXT", "STARTABLE", "Replica", "Situation", "from_proc", "from_status", "situation"]
