"""The epoch file: which cluster, queue manager and epoch a storage directory was last claimed for.

Guarantees: whoever reads it sees a whole stamp, an older whole stamp, or an error that stops the launch, never a
mixture; a stamp that `write` returned from survives the death of the machine, as far as the storage honours fsync.
Does not guarantee exclusion: that is the lock's part, taken before the file is read (see `directory`).

The file is one JSON object, see `Stamp`. Standard library only.
"""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

EPOCH_FILE = ".standfast-epoch"
FORMAT = 1
_LARGEST_BYTES = 65_536


class EpochFileBrokenError(ValueError):
    """The file exists and holds no whole stamp; the message says what is wrong with it."""


class Stamp(NamedTuple):
    """Who claimed the storage last.

    Attributes:
        cluster: id of the cluster.
        qm: name of the queue manager.
        epoch: of the assignment under which it was claimed.
        member: that claimed it.
        incarnation: of that member.
        written: wall-clock time in UTC, for people only.
    """

    cluster: str
    qm: str
    epoch: int
    member: str
    incarnation: int
    written: str = ""


def read(directory: Path) -> Stamp | None:
    """The stamp, or None when there is none yet; raises EpochFileBrokenError, OSError."""
    try:
        with (directory / EPOCH_FILE).open("rb") as file:
            raw = file.read(_LARGEST_BYTES)
    except FileNotFoundError:
        return None
    try:
        entry = json.loads(raw)
        kept = {name: kind(entry[name]) for name, kind in Stamp.__annotations__.items()}
        version = entry["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise EpochFileBrokenError(f"{directory / EPOCH_FILE} ({len(raw)} bytes) is no stamp: {error!r}") from error
    if version != FORMAT:
        raise EpochFileBrokenError(f"{directory / EPOCH_FILE} has format {version}, this version reads {FORMAT}")
    return Stamp(**kept)


def refresh(directory: Path) -> None:
    """Have an NFS client ask the server for the stamp anew, whatever it has cached; raises OSError.

    While any process of this machine has a replaced file open, its name goes on leading to it. A change of the
    directory by this machine shows the client that others changed it too (tests/vm/test_nfs.py).
    """
    path = directory / f"{EPOCH_FILE}.look-{os.getpid()}-{time.monotonic_ns()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    path.unlink()


def write(directory: Path, stamp: Stamp) -> None:
    """Replace the stamp durably: temporary file, fsync, rename, fsync of the directory; raises OSError."""
    written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    entry = stamp._asdict() | {"format": FORMAT, "written": written}
    fresh = directory / f"{EPOCH_FILE}.new"
    try:
        with fresh.open("wb") as file:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(directory / EPOCH_FILE)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
