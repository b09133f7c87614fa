"""The disposable child that looks at directories: one JSON object in, one out, until the prober hangs up.

It may hang for ever in any call on a dead mount; nobody waits for it then. Standard library only.

Asked: {"path", "mount", "fresh"}; answers: {"state", "free_bytes", "stamp", "detail"} (see `probe.Probe`).
"""

import errno
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from standfast.storage import epoch_file
from standfast.storage.directory import FILE_MODE, grave_fault, is_mounted
from standfast.storage.epoch_file import EpochFileBrokenError
from standfast.storage.mounts import FAULTS

PROBE_FILE = ".standfast-probe"
"""Rewritten by each probe of any member: the same few bytes, so that it does not matter who wins."""
_REQUEST_BYTES = 65_536

_ERRNO = {
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
}


def look(path: Path, *, mount: bool, fresh: bool) -> dict[str, Any]:
    """Everything about one directory, its stamp `fresh` from the server; never raises for what may be answered."""
    try:
        if mount and not is_mounted(path):
            return {"state": "not_mounted"}
        fault = grave_fault(path)
        if fault is not None:
            return {"state": "unsafe_mount", "detail": f"{path}: {FAULTS[fault].meaning} {FAULTS[fault].action}"}
        if not path.is_dir():
            return _makeable(path)
        _write(path)
        if fresh:
            epoch_file.refresh(path)
        stamp = epoch_file.read(path)
    except EpochFileBrokenError as error:
        return {"state": "epoch_broken", "detail": str(error)}
    except OSError as error:
        return {"state": _ERRNO.get(error.errno or 0, "error"), "detail": str(error)}
    return {"state": "ok", "free_bytes": _free(path), "stamp": stamp}


def _makeable(path: Path) -> dict[str, Any]:
    """A plain directory is made by its first claim: what counts is whether it can be; raises OSError."""
    parent = path.parent
    parent.stat()
    if path.exists() or not parent.is_dir():
        return {"state": "missing"}
    if not os.access(parent, os.W_OK | os.X_OK):
        return {"state": "read_only", "detail": str(parent)}
    return {"state": "ok", "free_bytes": _free(parent)}


def _write(path: Path) -> None:
    """Write a little; no fsync, which would cost the queue manager's own writes on the same disk; raises OSError."""
    handle = os.open(path / PROBE_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.pwrite(handle, b"standfast\n", 0)
    finally:
        os.close(handle)  # NFS reports the outcome of the write here


def _free(path: Path) -> int:
    """Bytes free for this user; raises OSError."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def main() -> None:
    """Answer the prober on the socket whose descriptor is the argument."""
    with socket.socket(fileno=int(sys.argv[1])) as prober:
        while packet := prober.recv(_REQUEST_BYTES):
            asked = json.loads(packet)
            prober.send(json.dumps(look(Path(asked["path"]), mount=asked["mount"], fresh=asked["fresh"])).encode())
