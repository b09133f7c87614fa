"""What is mounted where, and whether its options let several machines share it: from /proc/self/mountinfo alone.

Guarantees: no system call on the mount itself, so that a dead server hangs nobody who asks. The path is compared by its
name, without following symbolic links; a caller that may hang resolves it first.

Format of mountinfo: proc_pid_mountinfo(5). Options of NFS: nfs(5); the rules are explained in docs/nfs.md.
Standard library only: disposable children use it.
"""

import re
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
_EFS = re.compile(r"(^fs-[0-9a-f]+\.efs\.|\.efs\.[a-z0-9-]+\.amazonaws\.com)")


class Mount(NamedTuple):
    """One mounted file system.

    Attributes:
        point: where.
        kind: file system type, such as `nfs4` or `ext4`.
        source: server and export, or device.
        options: of the mount and of the file system; a flag has the value "".
    """

    point: str
    kind: str
    source: str
    options: dict[str, str]

    @property
    def nfs(self) -> bool:
        """Whether it comes from an NFS server."""
        return self.kind in {"nfs", "nfs4"}


class MountFault(StrEnum):
    """What is wrong with the options of a mount; the table FAULTS says how grave each is."""

    SOFT = "soft"
    OLD_VERSION = "old_version"
    LOCAL_LOCKS = "local_locks"
    NO_LOCKS = "no_locks"
    READ_ONLY = "read_only"
    LEASE_4_0 = "version_4_0"
    NO_ATTRIBUTE_CACHE = "noac"
    RESERVED_PORT = "reserved_port"


class Grave(NamedTuple):
    """How grave a fault is, what it means and what to do."""

    severe: bool
    meaning: str
    action: str


FAULTS: dict[MountFault, Grave] = {
    MountFault.SOFT: Grave(
        True,
        "Mounted soft: when the server is slow, writes fail and data are lost without an error where it matters.",
        "Mount it hard.",
    ),
    MountFault.OLD_VERSION: Grave(
        True,
        "NFS 3 or older: its locks do not end with a dead client.",
        "Mount it with vers=4.1 or newer.",
    ),
    MountFault.LOCAL_LOCKS: Grave(
        True, "Locks are kept by this machine alone: another one does not see them.", "Mount it with local_lock=none."
    ),
    MountFault.NO_LOCKS: Grave(True, "Mounted without locks.", "Mount it without nolock."),
    MountFault.READ_ONLY: Grave(True, "Mounted read-only.", "Mount it rw; the kernel log says whether it had to."),
    MountFault.LEASE_4_0: Grave(
        False,
        "NFS 4.0: a lost answer may be carried out twice, as it has no sessions.",
        "Mount it with vers=4.1 where the server has it.",
    ),
    MountFault.NO_ATTRIBUTE_CACHE: Grave(
        False,
        "Without attribute cache every write waits for the server: slow, and of no use beside locks.",
        "Leave noac out.",
    ),
    MountFault.RESERVED_PORT: Grave(
        False,
        "After a break the client may not get its port back for a while, and Amazon EFS then does not know it.",
        "Mount it with noresvport.",
    ),
}


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """The mount that holds this path, by its name; None when the table is empty."""
    wanted = PurePosixPath(path)
    found: Mount | None = None
    for line in mountinfo.splitlines():
        mount = _parsed(line)
        if wanted.is_relative_to(mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _parsed(line: str) -> Mount:
    fields, _, rest = line.partition(" - ")
    kind, source, super_options = (*rest.split(" "), "", "")[:3]
    point, mount_options = fields.split(" ")[4:6]
    options = dict(_option(word) for word in f"{super_options},{mount_options}".split(",") if word)
    if "ro" in {*super_options.split(","), *mount_options.split(",")}:
        options["ro"] = ""
    return Mount(_plain(point), kind, _plain(source), options)


def _option(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _plain(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def faults(mount: Mount) -> list[MountFault]:
    """What speaks against sharing it, the severe ones first."""
    options = mount.options
    found = [MountFault.READ_ONLY] if "ro" in options else []
    if mount.nfs:
        found += _nfs_faults(mount)
    return sorted(found, key=lambda fault: not FAULTS[fault].severe)


def _nfs_faults(mount: Mount) -> list[MountFault]:
    options = mount.options
    found = []
    if "soft" in options or "softerr" in options:
        found.append(MountFault.SOFT)
    version = options.get("vers", "3")
    if not version.startswith("4"):
        found.append(MountFault.OLD_VERSION)
    elif version in {"4", "4.0"}:
        found.append(MountFault.LEASE_4_0)
    if options.get("local_lock", "none") != "none":
        found.append(MountFault.LOCAL_LOCKS)
    if "nolock" in options:
        found.append(MountFault.NO_LOCKS)
    if "noac" in options:
        found.append(MountFault.NO_ATTRIBUTE_CACHE)
    if _EFS.search(mount.source) and "noresvport" not in options:
        found.append(MountFault.RESERVED_PORT)
    return found


__all__ = ["FAULTS", "MOUNTINFO", "Grave", "Mount", "MountFault", "faults", "mount_of"]
