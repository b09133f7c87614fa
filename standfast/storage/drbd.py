"""Storage kind `drbd`: a device whose every write is on two machines, made primary and mounted by the launched process.

Guarantees, once `claim` has returned: those of `directory`, on the file system of the device; the device is primary
here, and nowhere else unless both halves lost each other: then the store was asked first.
A claim and a release of one device on one machine never overlap: both hold its guard.
Does not guarantee: that the device can be released: a mount that is in use, or whose writes are frozen, stays.

It runs in the forked child of the warden and in a disposable one; everything here may hang. Standard library only.
"""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from standfast.storage import directory
from standfast.storage.drbd_claim import DrbdClaim
from standfast.storage.drbd_state import Replica, from_proc, from_status
from standfast.storage.mounts import MOUNTINFO, mount_of
from standfast.storage.refusal import LaunchRefusal, LaunchRefused

PROC = Path("/proc/drbd")
GUARDS = Path("/run/lock")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C", "HOME": "/"}
PROGRAM_S = 20.0
"""Longest time for one program; making a device primary waits for the fence-peer handler."""
POLL_S = 0.1
REQUEST_BYTES = 65_536


class Trouble(Exception):  # noqa: N818 - an answer, not a mistake
    """A program failed, or did not end in time."""


def claim(wanted: DrbdClaim) -> int:
    """Make it primary, mount it and claim the directory: the descriptor of its lock; raises LaunchRefused."""
    path, until_ns = wanted.claim.path, wanted.claim.wait_until_ns
    guard = _guard(wanted.minor)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        _promote(wanted.claim.qm, until_ns)
        _mount(wanted, Path(path))
        return directory.claim(wanted.claim)
    finally:
        os.close(guard)


def _guard(minor: int) -> int:
    GUARDS.mkdir(parents=True, exist_ok=True)
    return os.open(GUARDS / f"standfast-drbd-{minor}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _promote(resource: str, until_ns: int) -> None:
    """Primary here; while the other half is still primary, it is waited for."""
    while True:
        try:
            run("drbdadm", "primary", resource)
        except Trouble as trouble:
            if time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= until_ns:
                raise LaunchRefused(LaunchRefusal.REPLICA, f"({trouble})") from trouble
            time.sleep(POLL_S)
        else:
            return


def _mount(wanted: DrbdClaim, path: Path) -> None:
    if mounted(wanted.minor, path):
        return
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        run("mount", "-t", wanted.filesystem, f"/dev/drbd{wanted.minor}", str(path))
    except (Trouble, OSError) as trouble:
        raise LaunchRefused(LaunchRefusal.STORAGE_ERROR, f"({trouble})") from trouble


def mounted(minor: int, path: Path) -> bool:
    """Whether that device is mounted exactly there."""
    mount = mount_of(str(path), MOUNTINFO.read_text(encoding="utf-8"))
    return mount is not None and (mount.point, mount.source) == (str(path), f"/dev/drbd{minor}")


def release(resource: str, minor: int, path: str) -> bool:
    """Unmount and make it secondary; False when a claim is under way. Raises Trouble."""
    guard = _guard(minor)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        while mounted(minor, Path(path)):
            run("umount", path)
        run("drbdadm", "secondary", resource)
        return True
    finally:
        os.close(guard)


def thaw(resource: str) -> None:
    """Let frozen writes end on this half, of which the store says that it is outdated: it will be overwritten."""
    run("drbdadm", "resume-io", resource)


def discard(resource: str) -> None:
    """Give up what this half has written since it lost the other one, and take the other's data; raises Trouble."""
    run("drbdadm", "secondary", resource)
    with contextlib.suppress(Trouble):  # 8.4 has no connection to end in a half that is StandAlone, and says so
        run("drbdadm", "disconnect", resource)
    run("drbdadm", "connect", "--discard-my-data", resource)


def connect(resource: str) -> None:
    """Look for the other half again; raises Trouble."""
    run("drbdadm", "connect", resource)


def state(minor: int) -> Replica | None:
    """What DRBD says of it; None when it is not up. Raises Trouble."""
    try:
        text = PROC.read_text()
    except FileNotFoundError:
        return None
    if text.startswith("version: 8"):
        return from_proc(text, minor)
    return from_status(run("drbdsetup", "status", "--json"), minor)


def run(*argv: str) -> str:
    """The output of a program; raises Trouble."""
    try:
        done = subprocess.run(
            argv, env=ENVIRONMENT, capture_output=True, text=True, timeout=PROGRAM_S, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{' '.join(argv)}: {error}") from error
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).split())
        raise Trouble(f"{' '.join(argv)} ended with {done.returncode}: {told}")
    return done.stdout


DO: dict[str, Callable[..., Any]] = {
    "state": lambda a: state(a["minor"]),
    "release": lambda a: release(a["resource"], a["minor"], a["path"]),
    "thaw": lambda a: thaw(a["resource"]),
    "discard": lambda a: discard(a["resource"]),
    "connect": lambda a: connect(a["resource"]),
}


def main() -> None:
    """A disposable child: do what is asked for on the socket whose descriptor is the argument."""
    with socket.socket(fileno=int(sys.argv[1])) as asker:
        while packet := asker.recv(REQUEST_BYTES):
            asked = json.loads(packet)
            try:
                answer: dict[str, Any] = {"answer": DO[asked["do"]](asked)}
            except (Trouble, OSError) as error:
                answer = {"trouble": str(error)}
            asker.send(json.dumps(answer).encode())
