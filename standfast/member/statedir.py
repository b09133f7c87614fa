"""The state directory of one member: its lock, and the identity by which the cluster knows the machine again.

Guarantees: only one daemon at a time uses it; the identity is on stable storage before it is used; a broken or
foreign one is refused, never overwritten.
"""

import fcntl
import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

from standfast.errors import AlreadyRunning, StateError
from standfast.member.durable import write_durably

LOCK = "lock"
IDENTITY = "identity.json"


class StoredIdentity(Struct, frozen=True, kw_only=True):
    """What the identity file holds.

    Attributes:
        cluster_id: the cluster that this directory belongs to.
        member: likewise.
        machine: random, made once.
    """

    cluster_id: str
    member: str
    machine: str


class StateDir:
    """Opened and locked for one daemon; raises AlreadyRunning and StateError."""

    def __init__(self, path: Path, cluster_id: str, member: str) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"The state directory {path} can not be used: {error.strerror}. Create it for the user that runs "
                f"Standfast, or name another one with --state-dir."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AlreadyRunning(
                f"A daemon uses {path} already: member {member!r} runs on this machine. "
                f"Stop it first, or give this one its own --state-dir."
            ) from None
        try:
            self.machine = self._identity(cluster_id, member)
        except BaseException:
            self.close()
            raise

    def _identity(self, cluster_id: str, member: str) -> str:
        file = self.path / IDENTITY
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            return self._first_identity(file, cluster_id, member)
        except OSError as error:
            raise StateError(
                f"{file} can not be read: {error.strerror}. It must belong to the user that runs Standfast."
            ) from error
        try:
            stored = msgspec.json.decode(text, type=StoredIdentity)
        except msgspec.MsgspecError as error:
            raise StateError(
                f"{file} is broken ({error}). If this machine's disk was damaged, move {self.path} away: the member "
                f"then joins again as a new machine, once the others have evicted the old one; its etcd then fetches "
                f"everything from theirs."
            ) from error
        if (stored.cluster_id, stored.member) != (cluster_id, member):
            raise StateError(
                f"{self.path} belongs to member {stored.member!r} of cluster {stored.cluster_id}, not to {member!r} of "
                f"{cluster_id}. Name the right directory with --state-dir."
            )
        return stored.machine

    def _first_identity(self, file: Path, cluster_id: str, member: str) -> str:
        fresh = StoredIdentity(cluster_id=cluster_id, member=member, machine=secrets.token_hex(8))
        try:
            write_durably(file, msgspec.json.encode(fresh))
        except OSError as error:
            raise StateError(
                f"{file} can not be written: {error.strerror}. Make room there, or let the directory belong to the "
                f"user that runs Standfast."
            ) from error
        return fresh.machine

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)
