"""Why a queue manager was not launched: one code for each situation, with its meaning and the next step.

Standard library only: this runs in the warden and in the process that becomes the queue manager.
"""

from enum import StrEnum
from typing import NamedTuple

from standfast.errors import Refused


class LaunchRefusal(StrEnum):
    """Codes of refusals; `MEANINGS` explains each."""

    # by the warden, before anything was touched
    BAD_REQUEST = "bad_request"
    ALREADY_RUNNING = "already_running"
    LEASE_ENDED = "lease_ended"
    LEASE_SHORT = "lease_short"
    CONTAINMENT = "containment"
    WATCHDOG = "watchdog"
    # by the storage
    MISSING = "missing"
    MOUNT_MISSING = "mount_missing"
    MOUNT_OPTIONS = "mount_options"
    READ_ONLY = "read_only"
    FULL = "full"
    NO_LOCKS = "no_locks"
    LOCKED = "locked"
    FOREIGN = "foreign"
    EPOCH_BROKEN = "epoch_broken"
    EPOCH_LARGER = "epoch_larger"
    EPOCH_TAKEN = "epoch_taken"
    REPLICA = "replica"
    STORAGE_ERROR = "storage_error"
    # by the launched process, at the end
    LOG = "log"
    EXEC_FAILED = "exec_failed"
    KILLED = "killed"


class Meaning(NamedTuple):
    """What happened, what to do next, and whether the same launch may succeed later without an operator."""

    meaning: str
    action: str
    passing: bool


MEANINGS: dict[LaunchRefusal, Meaning] = {
    LaunchRefusal.BAD_REQUEST: Meaning(
        "The launch order lacks a field or has a wrong one.", "Report it: daemon and warden disagree.", passing=False
    ),
    LaunchRefusal.ALREADY_RUNNING: Meaning(
        "A process of this queue manager is still there.", "Wait until its end is reported.", passing=True
    ),
    LaunchRefusal.LEASE_ENDED: Meaning(
        "The member's lease has ended.", "Restore the network to a majority of members.", passing=True
    ),
    LaunchRefusal.LEASE_SHORT: Meaning(
        "The lease would end before a started queue manager could be stopped.",
        "Nothing to do: it is tried again under a fresh lease.",
        passing=True,
    ),
    LaunchRefusal.CONTAINMENT: Meaning(
        "The process could not be put where all its descendants can be killed.",
        "See the detail; check the delegation of the service's cgroup and the limit of processes.",
        passing=False,
    ),
    LaunchRefusal.WATCHDOG: Meaning(
        "The watchdog is required on this member and could not be started.",
        "`standfast status` on this member says why.",
        passing=True,
    ),
    LaunchRefusal.MISSING: Meaning(
        "The storage directory does not exist and its parent does not either.",
        "Create or mount it on this member, or correct the path in the cluster file.",
        passing=False,
    ),
    LaunchRefusal.MOUNT_MISSING: Meaning(
        "The storage must be a mount point and is not one: nothing is mounted there.",
        "Mount the shared file system on this member.",
        passing=False,
    ),
    LaunchRefusal.MOUNT_OPTIONS: Meaning(
        "The storage is mounted in a way in which data are lost or locks mean nothing.",
        "See the detail and docs/nfs.md, and mount it anew.",
        passing=False,
    ),
    LaunchRefusal.READ_ONLY: Meaning(
        "The storage can not be written by this member.",
        "Check the mount options and the owner and mode of the directory.",
        passing=False,
    ),
    LaunchRefusal.FULL: Meaning(
        "The storage has no space, quota or locks left.",
        "Free space or raise the quota; on Amazon EFS count the locks per mount as well.",
        passing=False,
    ),
    LaunchRefusal.NO_LOCKS: Meaning(
        "The file system grants no locks.",
        "Mount it as NFSv4 with local_lock=none, or start the lock service of NFSv3.",
        passing=False,
    ),
    LaunchRefusal.LOCKED: Meaning(
        "Another process holds the storage's lock: a queue manager still runs on it somewhere.",
        "Find the holder named in the detail; a dead NFS client's lock ends with the server's lease time.",
        passing=True,
    ),
    LaunchRefusal.FOREIGN: Meaning(
        "The directory belongs to another cluster or queue manager.",
        "Correct the path; if the data are meant to be taken over, delete the epoch file.",
        passing=False,
    ),
    LaunchRefusal.EPOCH_BROKEN: Meaning(
        "The epoch file can not be read or was cut short.",
        "Check the file system; make sure that the queue manager runs nowhere, then delete the epoch file.",
        passing=False,
    ),
    LaunchRefusal.EPOCH_LARGER: Meaning(
        "The storage was claimed under a larger epoch: another member owned it later.",
        "Nothing to do unless the store was restored from a backup: then delete the epoch file.",
        passing=False,
    ),
    LaunchRefusal.EPOCH_TAKEN: Meaning(
        "The storage was claimed under the same epoch by another member, or by a later incarnation of this one.",
        "Two members drew one epoch: the store was restored or recreated. Stop both and delete the epoch file.",
        passing=False,
    ),
    LaunchRefusal.REPLICA: Meaning(
        "DRBD did not make this member's copy the primary one.",
        "See the detail and `standfast drbd status`; the other member may not have let go of it yet.",
        passing=True,
    ),
    LaunchRefusal.STORAGE_ERROR: Meaning(
        "The storage answered with an error.", "See the detail and the kernel log of this member.", passing=True
    ),
    LaunchRefusal.LOG: Meaning(
        "The log file could not be opened.", "Check the log directory's space, owner and mode.", passing=False
    ),
    LaunchRefusal.EXEC_FAILED: Meaning(
        "The queue manager's program could not be executed.",
        "Check that it is installed and executable on this member.",
        passing=False,
    ),
    LaunchRefusal.KILLED: Meaning(
        "The launch was killed before the program was executed.",
        "Nothing to do when the daemon or the lease ended it; else look for the kernel's out-of-memory killer.",
        passing=True,
    ),
}


class LaunchRefused(Refused):
    """A queue manager was not launched; `code` says why, `detail` with which values."""

    def __init__(self, code: LaunchRefusal, detail: str = "") -> None:
        meaning = MEANINGS[code]
        super().__init__(f"{meaning.meaning} {detail} {meaning.action}" if detail else " ".join(meaning[:2]))
        self.code = code
        self.detail = detail
