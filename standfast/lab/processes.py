"""Processes of a node: found as a tree, ended all at once. What a power cut does, as nearly as one kernel allows."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from standfast.member.warden_run_dir import ProcessRecord

POLL_S = 0.005
STOPS_S = 10.0
"""A process stops within milliseconds, unless it hangs in a call."""


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and all their descendants that live now, parents first."""
    parents = {int(entry.name): _parent(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}
    children: dict[int | None, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [root for root in dict.fromkeys(roots) if parents.get(root) is not None]
    for pid in found:  # it grows on the way
        found += [child for child in children.get(pid, []) if child not in found]
    return found


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to each; those that have ended already are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(pids: Collection[int]) -> None:
    """SIGSTOP, and wait until each that lives has stopped: the signal alone lets a process finish what it is at.

    Raises TimeoutError for one that does not stay stopped, such as a warden, which its backstop wakes.
    """
    signal_all(pids, signal.SIGSTOP)
    until = time.monotonic() + STOPS_S
    for pid in pids:
        while _fields(pid)[:1] not in ([], ["T"], ["Z"], ["X"]):
            if time.monotonic() >= until:
                signal_all(pids, signal.SIGCONT)
                raise TimeoutError(f"process {pid} does not stay stopped")
            time.sleep(POLL_S / 10)


def kill_at_once(living: Callable[[], list[int]]) -> list[int]:
    """Freeze all that `living` finds until it finds no more, then kill: none can react to the end of another."""
    frozen: list[int] = []
    while fresh := [pid for pid in living() if pid not in frozen]:
        signal_all(fresh, signal.SIGSTOP)
        frozen += fresh
    signal_all(frozen, signal.SIGKILL)
    return frozen


def await_end(pids: Iterable[int], within_s: float) -> bool:
    """Whether all have ended within the time (zombies count as ended)."""
    waited = [ProcessRecord.of(pid) for pid in pids]
    until = time.monotonic() + within_s
    while any(process.started_ticks and process.alive() for process in waited):
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_S)
    return True


def _parent(pid: int) -> int | None:
    """Of a process that lives."""
    state, *rest = _fields(pid) or ["X"]
    return int(rest[0]) if state not in "ZX" else None


def _fields(pid: int) -> list[str]:
    """Of proc(5) stat from the state on, for the name before it may hold anything; none when there is no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
