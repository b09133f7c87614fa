"""Processes of a node: found as a tree, ended all at once. What a power cut does, as nearly as one kernel allows."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from standfast.member.warden_run_dir import ProcessRecord

POLL_S = 0.005


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
    """Of a process that lives; proc(5) stat from the state on, for the name before it may hold anything."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat[1]) if stat[0] not in "ZX" else None
