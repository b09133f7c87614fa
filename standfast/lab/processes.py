"""Processes of a node: found as a tree, ended all at once. What a power cut does, as nearly as one kernel allows."""

import contextlib
import os
import signal
import time
from pathlib import Path

POLL_S = 0.005


def tree(root: int) -> list[int]:
    """The process and all its descendants that live now, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            parent = _parent(int(entry.name))
            if parent is not None:
                children.setdefault(parent, []).append(int(entry.name))
    found, position = [root], 0
    while position < len(found):
        found += children.get(found[position], [])
        position += 1
    return [pid for pid in found if _parent(pid) is not None]


def signal_all(pids: list[int], number: int) -> None:
    """Send a signal to each; those that have ended already are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_at_once(pids: list[int]) -> None:
    """Freeze all of them, then kill all: none can react to the end of another."""
    signal_all(pids, signal.SIGSTOP)
    signal_all(pids, signal.SIGKILL)


def await_end(pids: list[int], within_s: float) -> bool:
    """Whether all have ended within the time (zombies count as ended)."""
    until = time.monotonic() + within_s
    while any(alive(pid) for pid in pids):
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_S)
    return True


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    state = _stat(pid)
    return state is not None and state[0] not in "ZX"


def _parent(pid: int) -> int | None:
    state = _stat(pid)
    return int(state[1]) if state is not None and state[0] not in "ZX" else None


def _stat(pid: int) -> list[str] | None:
    """The fields of proc(5) stat from the state on: the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
