"""The lock by which one daemon alone uses a run directory."""

import fcntl
import os
from pathlib import Path

from standfast.errors import AlreadyRunning, MachineError


def locked(file: Path, member: str) -> int:
    """A descriptor that holds this lock, with this process's pid in it, until closed; AlreadyRunning, MachineError."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MachineError(
            f"The run directory {file.parent} can not be used: {error.strerror}. It must belong to the user that runs "
            f"Standfast."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunning(
            f"A daemon uses {file.parent} already: member {member!r} runs on this machine. Stop it first."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
