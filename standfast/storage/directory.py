"""Storage kind `directory`: a plain or mounted directory, claimed by a lock and an epoch file.

Guarantees, once `claim` has returned:
  * no process on any machine that honours the lock holds it too, for as long as the descriptor returned, or a copy of
    it in any descendant, is open: the lock lives exactly as long as the queue manager's processes do;
  * the epoch file on stable storage names this claim, so that every claim under a smaller epoch is refused from now on,
    also after the lock was lost or was never honoured.
Does not guarantee: anything against a process that never asks (a queue manager started by hand), nor against a file
system that grants one lock twice. A hung mount hangs the caller: call it only in a process that may be killed.

Assumes open file description locks (Linux, 64 bit); on NFSv4 they are the server's locks, and a dead client's lock
is freed after the server's lease time. Standard library only.
"""

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from standfast.storage import epoch_file
from standfast.storage.epoch_file import EPOCH_FILE, EpochFileBrokenError, Stamp
from standfast.storage.mounts import FAULTS, MOUNTINFO, MountFault, faults, mount_of
from standfast.storage.refusal import LaunchRefusal, LaunchRefused

LOCK_FILE = ".standfast-lock"
LOCK_POLL_S = 0.003
"""Pause between two attempts to take the lock: its share of a takeover's outage, at most."""
DIRECTORY_MODE = 0o750
FILE_MODE = 0o640

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid

_ERRNO: dict[int, LaunchRefusal] = {
    errno.EROFS: LaunchRefusal.READ_ONLY,
    errno.EACCES: LaunchRefusal.READ_ONLY,
    errno.EPERM: LaunchRefusal.READ_ONLY,
    errno.ENOSPC: LaunchRefusal.FULL,
    errno.EDQUOT: LaunchRefusal.FULL,
    errno.ENOLCK: LaunchRefusal.NO_LOCKS,
    errno.EOPNOTSUPP: LaunchRefusal.NO_LOCKS,
    errno.ENOENT: LaunchRefusal.MISSING,
    errno.ENOTDIR: LaunchRefusal.MISSING,
}


class Claim(NamedTuple):
    """What a queue manager's launch asks of its storage.

    Attributes:
        path: the directory.
        mount: whether it must be a mount point (as told by `os.path.ismount`: a bind mount of the same file system
            is not seen as one).
        cluster: id of the cluster.
        qm: name of the queue manager.
        epoch: of the assignment.
        member: that claims.
        incarnation: of that member.
        make: directories below `path` to create.
        wait_until_ns: on CLOCK_BOOTTIME: how long to wait for another holder's lock.
    """

    path: str
    mount: bool
    cluster: str
    qm: str
    epoch: int
    member: str
    incarnation: int
    make: tuple[str, ...]
    wait_until_ns: int

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "Claim":
        """From a JSON object; raises KeyError, TypeError, ValueError for a missing or wrong field."""
        made = tuple(str(name) for name in fields["make"])
        if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in made):
            raise ValueError(f"make = {made} leaves the storage directory")
        return cls(
            path=str(fields["path"]),
            mount=bool(fields["mount"]),
            cluster=str(fields["cluster"]),
            qm=str(fields["qm"]),
            epoch=int(fields["epoch"]),
            member=str(fields["member"]),
            incarnation=int(fields["incarnation"]),
            make=made,
            wait_until_ns=int(fields["wait_until_ns"]),
        )


def claim(wanted: Claim) -> int:
    """Take the storage: the descriptor that holds its lock, to be inherited; raises LaunchRefused."""
    directory = Path(wanted.path)
    with _refusing(directory):
        _require(directory, mount=wanted.mount)
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            _lock(lock, directory, wanted.wait_until_ns)
            _stamp(directory, wanted)
            for name in wanted.make:
                (directory / name).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        except BaseException:
            os.close(lock)
            raise
    return lock


def is_mounted(directory: Path) -> bool:
    """Whether something is mounted exactly there, symbolic links followed."""
    return directory.resolve().is_mount()


@contextlib.contextmanager
def _refusing(directory: Path) -> Iterator[None]:
    """Turn what the file system answers into refusals."""
    try:
        yield
    except EpochFileBrokenError as error:
        raise LaunchRefused(LaunchRefusal.EPOCH_BROKEN, str(error)) from error
    except OSError as error:
        code = _ERRNO.get(error.errno or 0, LaunchRefusal.STORAGE_ERROR)
        where = error.filename or directory
        raise LaunchRefused(code, f"({where}: {error.strerror})") from error


def _require(directory: Path, *, mount: bool) -> None:
    """The directory is there and, when it must be, mounted; a plain one is made below an existing parent."""
    if mount and not is_mounted(directory):
        raise LaunchRefused(LaunchRefusal.MOUNT_MISSING, f"({directory})")
    _require_options(directory)
    if not mount and not directory.is_dir():
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=DIRECTORY_MODE)


def _require_options(directory: Path) -> None:
    """It is not mounted in a way that makes data or locks worthless; raises LaunchRefused."""
    fault = grave_fault(directory)
    if fault is not None:
        raise LaunchRefused(LaunchRefusal.MOUNT_OPTIONS, f"({directory}, {fault}: {FAULTS[fault].meaning})")


def grave_fault(directory: Path) -> MountFault | None:
    """What forbids to use the mount on which it lies, read-only apart; may hang on a dead mount."""
    mount = mount_of(str(directory.resolve()), MOUNTINFO.read_text(encoding="utf-8"))
    found = faults(mount) if mount is not None else []
    return next((f for f in found if FAULTS[f].severe and f is not MountFault.READ_ONLY), None)


def _lock(lock: int, directory: Path, wait_until_ns: int) -> None:
    """Take the exclusive lock, trying until the moment given; raises LaunchRefused `locked`, OSError."""
    request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    while True:
        try:
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, request)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        else:
            return
        if time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= wait_until_ns:
            raise LaunchRefused(LaunchRefusal.LOCKED, f"({directory}, {_holder(directory)})")
        time.sleep(LOCK_POLL_S)


def _holder(directory: Path) -> str:
    """Whom the epoch file names, for people: who held the storage last is who most likely holds it now."""
    try:
        stamp = epoch_file.read(directory)
    except (OSError, EpochFileBrokenError) as error:
        return f"holder unknown: {error}"
    if stamp is None:
        return "holder unknown: no epoch file yet"
    return (
        f"claimed for {stamp.qm} of cluster {stamp.cluster} by {stamp.member}, incarnation {stamp.incarnation}, "
        f"under epoch {stamp.epoch} at {stamp.written}"
    )


def _stamp(directory: Path, wanted: Claim) -> None:
    """Compare with the last claim and record this one; raises LaunchRefused, EpochFileBrokenError, OSError."""
    epoch_file.refresh(directory)
    last = epoch_file.read(directory)
    mine = Stamp(wanted.cluster, wanted.qm, wanted.epoch, wanted.member, wanted.incarnation)
    if last is not None:
        refusal = contested(last, mine)
        if refusal is not None:
            raise LaunchRefused(refusal, f"({directory / EPOCH_FILE}: {last}; wanted: {mine})")
        if last._replace(written="") == mine:
            return  # a restart in place
    epoch_file.write(directory, mine)


def contested(last: Stamp, mine: Stamp) -> LaunchRefusal | None:
    """Why a directory that was claimed by `last` can not be claimed, or kept, by `mine`; None when it can."""
    if (last.cluster, last.qm) != (mine.cluster, mine.qm):
        return LaunchRefusal.FOREIGN
    if last.epoch > mine.epoch:
        return LaunchRefusal.EPOCH_LARGER
    # A member that ran by an override joins anew when a majority is back, and keeps its epoch.
    later = last.member != mine.member or last.incarnation > mine.incarnation
    return LaunchRefusal.EPOCH_TAKEN if last.epoch == mine.epoch and later else None


__all__ = ["LOCK_FILE", "Claim", "claim", "contested", "grave_fault", "is_mounted"]
